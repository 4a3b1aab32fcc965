"""Labelled attacks on the population: one planner per kind, found by name.

A planner takes a `Scene` and a start, and returns the strikes of one campaign. Adding a
kind is adding a planner to `PLANNERS` and its frequency to `PER_THOUSAND_USERS`.
"""

from authkit.workload.attacks.guessing import brute_force, spraying, stuffing
from authkit.workload.attacks.scene import Planner, Scene
from authkit.workload.attacks.takeover import (
    dormant_takeover,
    mfa_fatigue,
    naive,
    targeted,
    very_targeted,
    vpn,
)
from authkit.workload.attacks.tokens import refresh_replay, session_theft
from authkit.workload.attempt import Kind

__all__ = ["PER_THOUSAND_USERS", "PLANNERS", "Planner", "Scene"]

PLANNERS: dict[Kind, Planner] = {
    "naive": naive,
    "vpn": vpn,
    "targeted": targeted,
    "very_targeted": very_targeted,
    "credential_stuffing": stuffing,
    "password_spraying": spraying,
    "brute_force": brute_force,
    "mfa_fatigue": mfa_fatigue,
    "dormant_takeover": dormant_takeover,
    "session_theft": session_theft,
    "refresh_replay": refresh_replay,
}

# Campaigns over the whole world, at least one of each: takeovers are rare.
PER_THOUSAND_USERS: dict[Kind, float] = {
    "naive": 2.0,
    "vpn": 2.0,
    "targeted": 2.0,
    "very_targeted": 2.0,
    "credential_stuffing": 1.2,
    "password_spraying": 1.5,
    "brute_force": 1.5,
    "mfa_fatigue": 0.5,
    "dormant_takeover": 0.5,
    "session_theft": 0.5,
    "refresh_replay": 0.5,
}
