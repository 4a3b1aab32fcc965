"""High dynamic range histograms: latency to three significant digits, merged exactly.

The bucketing is that of HdrHistogram (Gil Tene, hdrhistogram.org) with 2,048
sub-buckets and a unit of one nanosecond. Counts are kept sparse, because a run holds
thousands of these (one per slot of time, operation and node) and a dense one takes
260 kB; `to_hdr` and `encode` hand them to the library and to every tool that reads its
format.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

DIGITS: Final = 3
_SUB_BITS: Final = 11  # 2,048 sub-buckets: three significant digits
_HALF_BITS: Final = _SUB_BITS - 1
_HALF: Final = 1 << _HALF_BITS
HIGHEST_NS: Final = (1 << 42) - 1  # 73 minutes; longer counts as this


def index_of(value: int) -> int:
    """Return the bucket of a value; every value in it is equal to three digits."""
    shift = value.bit_length() - _SUB_BITS
    return value if shift <= 0 else (shift << _HALF_BITS) + (value >> shift)


def highest_in(index: int) -> int:
    """Return the highest value of a bucket, which is what percentiles report."""
    if index < _HALF << 1:
        return index
    shift = (index >> _HALF_BITS) - 1
    return (((index & (_HALF - 1)) + _HALF + 1) << shift) - 1


class Histogram:
    """Counts of durations in nanoseconds; merging two is the same as recording both."""

    __slots__ = ("count", "counts", "max_ns", "min_ns", "sum_ns")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.count = 0
        self.sum_ns = 0
        self.min_ns = HIGHEST_NS
        self.max_ns = 0

    def record(self, value_ns: int) -> None:
        """Count one duration; below zero counts as zero, above 73 minutes as that."""
        if value_ns < 0:
            value_ns = 0
        elif value_ns > HIGHEST_NS:
            value_ns = HIGHEST_NS
        shift = value_ns.bit_length() - _SUB_BITS
        index = value_ns if shift <= 0 else (shift << _HALF_BITS) + (value_ns >> shift)
        counts = self.counts
        counts[index] = counts.get(index, 0) + 1
        self.count += 1
        self.sum_ns += value_ns
        if value_ns < self.min_ns:
            self.min_ns = value_ns
        if value_ns > self.max_ns:
            self.max_ns = value_ns

    def add(self, other: Histogram) -> None:
        """Merge another histogram into this one, exactly."""
        counts = self.counts
        for index, count in other.counts.items():
            counts[index] = counts.get(index, 0) + count
        self.count += other.count
        self.sum_ns += other.sum_ns
        self.min_ns = min(self.min_ns, other.min_ns)
        self.max_ns = max(self.max_ns, other.max_ns)

    @property
    def mean_ns(self) -> float | None:
        """The arithmetic mean, from exact sums; None when nothing was recorded."""
        return self.sum_ns / self.count if self.count else None

    def percentile_ns(self, percent: float) -> int | None:
        """Return the nearest-rank percentile, at most 0.1 % too high; None if empty."""
        found = self.percentiles_ns((percent,))
        return found[0] if found else None

    def percentiles_ns(self, percents: Iterable[float]) -> list[int]:
        """Return several percentiles, asked in rising order, in one pass."""
        if not self.count:
            return []
        found: list[int] = []
        seen = 0
        buckets = iter(sorted(self.counts.items()))
        index = 0
        for percent in percents:
            # Rounding first: 99.9 * 1000 / 100 is a little more than 999 in binary.
            rank = max(1, math.ceil(round(percent * self.count / 100, 6)))
            while seen < rank:
                index, count = next(buckets)
                seen += count
            found.append(min(highest_in(index), self.max_ns))
        return found

    def share_above(self, bound_ns: int) -> float:
        """Return the share of durations in buckets above that of the bound."""
        if not self.count:
            return 0.0
        limit = index_of(bound_ns)
        above = sum(count for index, count in self.counts.items() if index > limit)
        return above / self.count

    def as_dict(self) -> dict[str, Any]:
        """Return a form for JSON and msgpack: bucket indices beside their counts."""
        return {
            "sum": self.sum_ns,
            "min": self.min_ns,
            "max": self.max_ns,
            "at": list(self.counts),
            "n": list(self.counts.values()),
        }

    @classmethod
    def from_dict(cls, form: dict[str, Any]) -> Histogram:
        """Read what `as_dict` returned."""
        made = cls()
        made.counts = dict(zip(form["at"], form["n"], strict=True))
        made.count = sum(form["n"])
        made.sum_ns, made.min_ns, made.max_ns = form["sum"], form["min"], form["max"]
        return made

    def to_hdr(self) -> Any:
        """Return hdrhistogram's dense `HdrHistogram` of the same counts."""
        from hdrh.histogram import HdrHistogram

        dense: Any = HdrHistogram(1, HIGHEST_NS, DIGITS)
        for index, count in self.counts.items():
            dense.record_value(highest_in(index), count)
        return dense

    def encode(self) -> str:
        """Return the compressed base64 V2 form that HdrHistogram's own tools read."""
        return str(self.to_hdr().encode(), "ascii")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return (
            self.counts == other.counts
            and self.sum_ns == other.sum_ns
            and (self.min_ns, self.max_ns) == (other.min_ns, other.max_ns)
        )

    __hash__ = None  # pyright: ignore[reportAssignmentType] # mutable: equal by content

    def __repr__(self) -> str:
        return f"Histogram(count={self.count}, max_ns={self.max_ns})"


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """Return the sum of histograms as a new one."""
    total = Histogram()
    for histogram in histograms:
        total.add(histogram)
    return total
