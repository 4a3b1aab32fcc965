"""What a score costs at login: counters of any size, asked at a rate, in turns."""

from authkit.harness.scores.bench import run
from authkit.harness.scores.filling import Size
from authkit.harness.scores.speed import Asked

__all__ = ["Asked", "Size", "run"]
