"""The cache of what logins and permission checks need."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from authkit.cluster import Token
from authkit.crypto import normalise_email
from authkit.errors import AlreadyExists
from authkit.hot import auth_cache, inputs
from authkit.hot.auth_cache import CachedLogin

from .bound import AsyncBound
from .runner import AsyncRunner

KEEP = timedelta(minutes=15)
_TRIES = 3


class AsyncAuthCache:
    """Cached logins, run by a runner: on the cluster, or in a transaction.

    Nothing has to be invalidated for an answer to be right: an entry whose versions
    are not the current ones is not served. Invalidating frees space and saves a read.
    """

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner

    async def get(
        self,
        user_id: UUID,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> CachedLogin | None:
        """Return what is known of a user; None where it is not known, or not current.

        With a bound a replica may answer, and a change may go unseen for that long.
        """
        params = (inputs.identifier(user_id, "user id"),)
        return await self._runner.fetch_one(
            auth_cache.GET, params, max_lag=max_lag, after=after
        )

    async def get_by_email(
        self,
        email_hash: bytes,
        *,
        max_lag: timedelta | None = None,
        after: Token | None = None,
    ) -> CachedLogin | None:
        """Return what is known of the user of an address; see `get`.

        Raises:
            InvalidInput: it is no keyed hash (`KeyedHash.subject`).
        """
        params = (inputs.keyed_hash(email_hash, "e-mail hash"),)
        return await self._runner.fetch_one(
            auth_cache.GET_BY_EMAIL, params, max_lag=max_lag, after=after
        )

    async def put(
        self,
        user_id: UUID,
        email_hash: bytes,
        *,
        email: str | None = None,
        keep: timedelta = KEEP,
    ) -> CachedLogin | None:
        """Read a user, roles and permissions afresh, keep them, and return them.

        None where there is no such user, where the address is another one by now, or
        where somebody else has just kept a later state: `get` has that one.

        Args:
            user_id: whose.
            email_hash: keyed hash of the user's address (`KeyedHash.subject`).
            email: that address, in any writing. Without it the hash is believed, and
                that of an address changed meanwhile finds the user while it is kept.
            keep: for how long at most; a grant that expires earlier ends it earlier.

        Raises:
            InvalidInput: it is no keyed hash, no address, or `keep` is not positive.
            AlreadyExists: within a transaction, somebody kept this address meanwhile.
        """
        params = (
            inputs.identifier(user_id, "user id"),
            inputs.keyed_hash(email_hash, "e-mail hash"),
            inputs.span(keep, "time to keep"),
            None if email is None else normalise_email(email),
        )
        tries = 1 if isinstance(self._runner, AsyncBound) else _TRIES
        while True:
            tries -= 1
            try:
                written = await self._runner.write(auth_cache.PUT, params)
            except AlreadyExists:
                # Another caller has just kept this address, for this user or for the
                # one who had it before: what this statement did not see yet, the next
                # one does.
                if not tries:
                    raise
            else:
                return written.rows[0] if written.rows else None

    async def invalidate(self, user_id: UUID) -> bool:
        """Forget a user; False where nothing was known.

        On the primary: a reader with a `max_lag` may see the old row for that long.
        """
        params = (inputs.identifier(user_id, "user id"),)
        return await self._runner.execute(auth_cache.INVALIDATE, params) > 0

    async def invalidate_role(self, role: str) -> int:
        """Forget everybody who holds a role; returns how many.

        Raises:
            InvalidInput: the name is empty or too long.
        """
        params = (inputs.text(role, "role", limit=63),)
        return await self._runner.execute(auth_cache.INVALIDATE_ROLE, params)

    async def purge(self, *, limit: int = 10_000) -> int:
        """Delete expired entries; returns how many. Bounded, safe to run twice at once.

        Raises:
            InvalidInput: the limit is not between 1 and 100,000.
        """
        params = (inputs.count(limit, "limit", low=1, high=100_000),)
        return await self._runner.execute(auth_cache.PURGE, params)
