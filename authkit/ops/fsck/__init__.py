"""What must always hold in the data, asked of the data itself."""

from __future__ import annotations

from authkit.ops.fsck.checking import Checked, Violation, check
from authkit.ops.fsck.invariant import Invariant
from authkit.ops.fsck.invariants import INVARIANTS

__all__ = ["INVARIANTS", "Checked", "Invariant", "Violation", "check"]
