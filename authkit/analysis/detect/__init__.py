"""Detectors on frames: attempts in, findings out, each with its evidence.

They are the detectors of `authkit.risk.detectors`, of the same names, parameters and
findings, for rows that left the database. Masked, clear and case frames give the same
findings under other names.
"""

from authkit.analysis.detect.detecting import DEFAULT, NAMES, detect, findings
from authkit.analysis.detect.travel import impossible_travel

__all__ = ["DEFAULT", "NAMES", "detect", "findings", "impossible_travel"]
