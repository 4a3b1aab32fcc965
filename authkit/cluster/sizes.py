"""How large a node's pool is: the limits follow the role, not the URL."""

from __future__ import annotations

from dataclasses import dataclass

from authkit.cluster.retry import RetryPolicy
from authkit.cluster.views import Role
from authkit.settings import Settings


@dataclass(frozen=True, slots=True)
class Sizes:
    """The least and most connections of one pool."""

    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Everything the cluster takes from the settings, in seconds and counts."""

    primary: Sizes
    replica: Sizes
    idle_s: float
    acquire_s: float
    policy: RetryPolicy

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Read the settings, whose times are milliseconds."""
        return cls(
            primary=Sizes(settings.database_pool_min, settings.database_pool_max),
            replica=Sizes(
                settings.database_replica_pool_min, settings.database_replica_pool_max
            ),
            idle_s=settings.database_idle_timeout / 1000,
            acquire_s=settings.database_connection_timeout / 1000,
            policy=RetryPolicy(
                max_retries=settings.database_max_retries,
                base_s=settings.database_retry_delay / 1000,
                multiplier=settings.database_backoff_multiplier,
            ),
        )

    def of_role(self, role: Role) -> Sizes:
        """Return the limits of a primary's or a replica's pool."""
        return self.primary if role is Role.PRIMARY else self.replica
