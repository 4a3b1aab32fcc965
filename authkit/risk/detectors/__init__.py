"""Detectors: patterns of attack as evidence, one statement each, by name.

A finding names the attempts that it rests on; it is never a multiplier of a score. The
parameters of each detector, with the source of its default, are values that any other
form of the same detector can read.
"""

from authkit.risk.detectors.detector import (
    Detector,
    Finding,
    Parameter,
    detect,
    networks_in,
)
from authkit.risk.detectors.guessing import GUESSING
from authkit.risk.detectors.sessions import SESSIONS
from authkit.risk.detectors.takeover import TAKEOVER
from authkit.risk.detectors.travel import TRAVEL

__all__ = ["DETECTORS", "Detector", "Finding", "Parameter", "detect", "networks_in"]

DETECTORS: dict[str, Detector] = {
    made.name: made for made in (*GUESSING, *TAKEOVER, *TRAVEL, *SESSIONS)
}
