"""A lab for one load run, kept by a process of its own.

The child holds the lab, because PostgreSQL wants a parent with real threads and signals
and the load generator's are patched. It lives as long as its standard input is open:
when the load ends, or is killed, the lab goes with it.

`python -m authkit.harness.throwaway` prints one line of JSON when the lab is ready.
"""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from typing import Any, Final

from authkit.errors import LabError

logger: Final = logging.getLogger("authkit.harness")
_USERS: Final = 2_000
_DAYS: Final = 3


class Throwaway:
    """Starts and ends the child."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None

    def start(self) -> dict[str, Any]:
        """Start a primary and a replica with a small world; return their settings.

        Raises:
            LabError: the lab could not be started; the child has said why.
        """
        logger.info("no DATABASE_URL: starting a cluster for this run")
        # A session of its own: Ctrl-C is for the load, which then closes the pipe.
        self._child = subprocess.Popen(
            [sys.executable, "-m", "authkit.harness.throwaway"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._child.stdout is not None  # noqa: S101 # as asked for
        line = self._child.stdout.readline()
        if not line:
            self.stop()
            raise LabError("the cluster for this run could not be started")
        return json.loads(line)

    def stop(self) -> None:
        """End the child and the lab; stopping twice does nothing."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None  # noqa: S101 # as asked for
        child.stdin.close()
        try:
            child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            child.terminate()
            child.wait()


def _end(_number: int, _frame: object) -> None:
    sys.exit(143)


def main() -> int:
    """Hold a lab until standard input ends."""
    import authkit.lab
    from authkit.errors import AuthkitError
    from authkit.ops.migrate import upgrade
    from authkit.risk import PastOnly
    from authkit.workload.load import seed

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    try:
        with authkit.lab.cluster(replicas=1) as lab:
            upgrade(lab.url())
            seed(lab.url(), users=_USERS, days=_DAYS, seed=1, score=PastOnly())
            lab.wait_replayed()
            found = {
                "database_url": lab.url("primary"),
                "database_replica_urls": [lab.url(name) for name in lab.replicas],
            }
            print(json.dumps(found), flush=True)  # noqa: T201 # the pipe is the interface
            sys.stdin.read()
    except AuthkitError as exc:
        print(f"authkit: {exc}", file=sys.stderr)  # noqa: T201 # the same
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
