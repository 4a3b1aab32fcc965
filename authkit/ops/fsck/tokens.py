"""What must hold of authorisation codes and of the tokens that descend from them."""

from __future__ import annotations

from typing import Final

from authkit.ops.fsck.invariant import Invariant

TOKENS: Final = (
    Invariant(
        "family_forked",
        "A live family has one refresh token that was not rotated, the newest.",
        """
        SELECT t.family_id::text FROM authkit.oauth_issued_tokens AS t
          JOIN authkit.oauth_token_families AS f ON f.id = t.family_id
         WHERE t.kind = 'refresh' AND f.revoked_at IS NULL
         GROUP BY t.family_id
        HAVING count(*) FILTER (WHERE t.rotated_at IS NULL) > 1
            OR max(t.generation) FILTER (WHERE t.rotated_at IS NULL)
               < max(t.generation)
        """,
        "revoke these families: two holders of refresh tokens are one thief too many",
    ),
    Invariant(
        "generation_repeated",
        "A family has one token of each kind in each generation.",
        """
        SELECT family_id::text FROM authkit.oauth_issued_tokens
         GROUP BY family_id, generation, kind HAVING count(*) > 1
        """,
        "a unique constraint is missing (authkit db validate); revoke these families",
    ),
    Invariant(
        "code_redeemed_twice",
        "An authorisation code was redeemed once, and its first tokens are of then.",
        """
        SELECT c.family_id::text FROM authkit.oauth_auth_codes AS c
          JOIN authkit.oauth_issued_tokens AS t
            ON t.family_id = c.family_id AND t.generation = 0
         WHERE t.created_at IS DISTINCT FROM c.consumed_at
        UNION
        SELECT family_id::text FROM authkit.oauth_auth_codes
         WHERE consumed_at IS NOT NULL
         GROUP BY family_id HAVING count(*) > 1
        """,
        "revoke these families: somebody got tokens beside the redemption",
    ),
    Invariant(
        "token_outlives_family",
        "No token expires later than its family.",
        """
        SELECT t.id::text FROM authkit.oauth_issued_tokens AS t
          JOIN authkit.oauth_token_families AS f ON f.id = t.family_id
         WHERE t.family_expires_at > f.expires_at
        """,
        "revoke their families, or cut both expiries to the family's",
    ),
    Invariant(
        "token_of_another",
        "A token is of the client and the user of its family.",
        """
        SELECT t.id::text FROM authkit.oauth_issued_tokens AS t
          JOIN authkit.oauth_token_families AS f ON f.id = t.family_id
         WHERE t.client_id <> f.client_id OR t.user_id IS DISTINCT FROM f.user_id
        """,
        "revoke these families at once, then find out who wrote them",
    ),
    Invariant(
        "ended_session_live_family",
        "The tokens of a session that was revoked are revoked with it.",
        """
        SELECT f.id::text FROM authkit.oauth_token_families AS f
          JOIN authkit.active_sessions AS s
            ON s.refresh_family_id = f.id OR s.id = f.session_id
         WHERE s.revoked_at IS NOT NULL
           AND f.revoked_at IS NULL AND f.expires_at > now()
        """,
        "revoke these families: whoever holds their tokens is still logged in",
    ),
)
