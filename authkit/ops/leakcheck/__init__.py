"""Does any secret that we issue come out anywhere but where it belongs?"""

from __future__ import annotations

from authkit.ops.leakcheck.checking import LeakCheck, leakcheck
from authkit.ops.leakcheck.searching import Canary, Leak, search

__all__ = ["Canary", "Leak", "LeakCheck", "leakcheck", "search"]
