"""The state in which every caller finds a connection, and how it comes back to it."""

from __future__ import annotations

from psycopg import AsyncCursor, Error
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from authkit.cluster._async.pipelining import AsyncPipelining


class AsyncTidying(AsyncPipelining):
    """A connection that several callers have, one after the other."""

    # To be closed instead of reused; its socket was shut.
    poisoned: bool = False
    severed: bool = False

    @property
    def pristine(self) -> bool:
        """Whether it is in the state every caller expects."""
        return (
            not self.pgconn.transaction_status  # 0: idle
            and not self.pgconn.pipeline_status  # 0: off; on where its user was killed
            and self._autocommit
            and not self.poisoned
            and not self.severed
            and self.row_factory is tuple_row
            and self.cursor_factory is AsyncCursor
            and self._isolation_level is None
            and self._read_only is None
            and self._deferrable is None
        )

    async def clean(self) -> bool:
        """Bring it back to the state every caller expects; False if that fails."""
        if self.poisoned or self.severed or self.pgconn.pipeline_status or self.closed:
            return False
        self.row_factory, self.cursor_factory = tuple_row, AsyncCursor
        try:
            if self.pgconn.transaction_status != TransactionStatus.IDLE:
                await self.rollback()
            if not self.autocommit:
                await self.set_autocommit(True)
            if self._isolation_level is not None:
                await self.set_isolation_level(None)
            if self._read_only is not None:
                await self.set_read_only(None)
            if self._deferrable is not None:
                await self.set_deferrable(None)
        except Error:
            return False
        return self.pgconn.transaction_status == TransactionStatus.IDLE
