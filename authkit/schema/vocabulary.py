"""The closed lists of words that columns may hold, for SQL and for type checkers.

They are `text` with a CHECK and no PostgreSQL enumeration: a word is added by swapping
one constraint, inside a transaction, and taken away again the same way.
"""

from __future__ import annotations

from typing import Literal, get_args

AttemptStage = Literal["primary", "second_factor"]
ATTEMPT_STAGES: tuple[AttemptStage, ...] = get_args(AttemptStage)

AttemptMethod = Literal[
    "password",
    "passkey",
    "webauthn",
    "totp",
    "backup_code",
    "push",
    "sms_code",
    "email_code",
    "magic_link",
    "oauth",
    "saml",
    "client_secret",
    "refresh_token",
    "public_key",
    "other",
]
ATTEMPT_METHODS: tuple[AttemptMethod, ...] = get_args(AttemptMethod)

# `denied`: refused before or beside the secret (lock, limiter, policy, the user pressed
# no). `abandoned`: a challenge that nobody answered.
AttemptOutcome = Literal["pending", "succeeded", "failed", "denied", "abandoned"]
ATTEMPT_OUTCOMES: tuple[AttemptOutcome, ...] = get_args(AttemptOutcome)

TokenKind = Literal["refresh", "access"]
TOKEN_KINDS: tuple[TokenKind, ...] = get_args(TokenKind)

AccountType = Literal["oauth", "oidc", "saml", "email", "credentials", "webauthn"]
ACCOUNT_TYPES: tuple[AccountType, ...] = get_args(AccountType)

AuditOutcome = Literal["succeeded", "failed", "denied"]
AUDIT_OUTCOMES: tuple[AuditOutcome, ...] = get_args(AuditOutcome)

# `applied`: the transaction that wrote the key committed. `void`: somebody in doubt
# claimed the key first, so that transaction can never commit.
WriteStatus = Literal["applied", "void"]
WRITE_STATUSES: tuple[WriteStatus, ...] = get_args(WriteStatus)
