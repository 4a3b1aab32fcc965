"""Detectors on frames: attempts in, findings out, each with its evidence.

Masked, clear and case frames give the same findings under other names.
"""

from authkit.analysis.detect.rules import RULES, Rule
from authkit.analysis.detect.travel import impossible_travel
from authkit.analysis.detect.windows import detect, findings

__all__ = ["RULES", "Rule", "detect", "findings", "impossible_travel"]
