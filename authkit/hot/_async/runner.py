"""What runs an operation: on a node chosen per call, or inside somebody's transaction.

A repository knows a runner and nothing of nodes. `Routed` takes a connection for each
call; `Bound` uses the one it was given, and with it that transaction and its fate.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from authkit.cluster import AsyncCluster, Token
from authkit.hot.operation import AnyOperation, Intent, Operation

from . import statement

if TYPE_CHECKING:
    from psycopg import AsyncConnection

Row = TypeVar("Row")
Result = TypeVar("Result")
Params = Sequence[object]
