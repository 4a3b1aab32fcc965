"""A locustfile whose operation does nothing: what is measured is the harness itself."""

from __future__ import annotations

from locust import task

from authkit.harness.user import AuthUser


class Nothing(AuthUser):
    """Calls what an operation would call when it has ended, and nothing else."""

    think_s = (0.0, 0.0)

    @task
    def nothing(self) -> None:
        """End an operation that took no time."""
        self.load.observe("nothing", "none", "primary", 0.0, None)
