"""A pipeline that ends for what its caller was ended for.

psycopg fetches what is outstanding when a pipeline ends. Where its caller is ended
meanwhile (Ctrl-C, a cancelled task, a killed greenlet) an `OperationalError` takes the
place of the reason, and whoever handles errors would go on as if nothing had happened.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, AsyncPipeline, Error

from authkit.cluster.faults import ended_for


class AsyncPipelining(AsyncConnection[Any]):
    """A connection whose pipelines let nothing replace the reason for an end."""

    @asynccontextmanager
    async def pipeline(self) -> AsyncGenerator[AsyncPipeline]:
        """As psycopg's."""
        outside = sys.exception()
        try:
            async with super().pipeline() as pipeline:
                yield pipeline
        except Error as exc:
            reason = ended_for(exc, outside)
            if reason is None:
                raise
            raise reason from None
