"""Whether this process is still the one in which a pool was opened.

A pool that two processes share answers one with the other's rows. A counter that
`os.fork` raises in the child costs an attribute lookup; asking for the pid, a system
call.
"""

from __future__ import annotations

import os


class _Generation:
    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0

    def forked(self) -> None:
        self.number += 1


generation = _Generation()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=generation.forked)
