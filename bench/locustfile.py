"""Loads the hot tables through the cluster, on the primary and its replica.

    uv run locust -f bench/locustfile.py --headless -u 50 -r 50 -t 30s
    uv run locust -f bench/locustfile.py --processes 2
    uv run authkit load --profile session-read --rate 500 --seconds 30

Takes DATABASE_URL and DATABASE_REPLICA_URLS from the environment or .env. Without them
it starts a cluster for the run, seeds it and removes it afterwards.

A user's own tasks are methods like those of `authkit.harness.visitor.Visitor`; write
them on `AuthUser` and each operation is timed and named by itself.
"""

from __future__ import annotations

from authkit.harness.visitor import Visitor


class Application(Visitor):
    """A user who comes and goes, as the profile says; without one, all calls alike."""
