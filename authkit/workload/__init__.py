"""A synthetic world of logins: people, habits, labelled attacks, one seed.

Everything here is invented: addresses and names belong to nobody. It knows nothing of
`authkit.risk`, so that an evaluation on it is honest.
"""

from authkit.workload.attempt import ATTACKS, KINDS, TAKEOVERS, Attempt, Kind, Source
from authkit.workload.population import Person
from authkit.workload.world import World, whole_hour

__all__ = [
    "ATTACKS",
    "KINDS",
    "TAKEOVERS",
    "Attempt",
    "Kind",
    "Person",
    "Source",
    "World",
    "whole_hour",
]
