"""The process beside a load run that holds the lab and inflicts the faults.

PostgreSQL wants a parent with real threads and signals, and the load generator's are
patched. The child lives as long as its standard input is open: when the load ends, or
is killed, a fault under way is undone and a lab made for the run goes with it.

`python -m authkit.harness.attendant` reads one JSON object a line and writes another
one for whatever happens; `Attendant` is the other end.
"""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from authkit.errors import AuthkitError, LabError
from authkit.harness.faults import Fault
from authkit.harness.phases import Mark, What

if TYPE_CHECKING:
    from authkit.lab import Lab

logger: Final = logging.getLogger("authkit.harness")
_USERS: Final = 2_000
_DAYS: Final = 3
_START_S: Final = 120.0
_HEAL_S: Final = 60.0
_STOP_S: Final = 30.0


class Attendant:
    """Starts the child, tells it what to do, and hears what happened."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.problem: str | None = None
        self.lab = False
        self._child: subprocess.Popen[str] | None = None
        self._healed = threading.Event()
        self._gone = threading.Event()

    def start(self, urls: Sequence[str] = ()) -> dict[str, Any]:
        """Start the child; without URLs it makes a lab for the run.

        Returns:
            `database_url` and `database_replica_urls`, as `Settings` has them.

        Raises:
            LabError: the lab could not be started; the child has said why.
        """
        if not urls:
            logger.info("no DATABASE_URL: starting a cluster for this run")
        # A session of its own: Ctrl-C is for the load, which then closes the pipe.
        self._child = subprocess.Popen(
            [sys.executable, "-m", "authkit.harness.attendant"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._send({"urls": list(urls)})
        assert self._child.stdout is not None  # noqa: S101 # as asked for
        line = self._child.stdout.readline()
        if not line:
            self.stop()
            raise LabError("the cluster for this run could not be started")
        ready = json.loads(line)
        self.lab = ready.pop("lab")
        threading.Thread(target=self._listen, daemon=True).start()
        return ready

    def inflict(self, fault: Fault, number: int) -> None:
        """Have a fault inflicted now, its marks numbered; does not wait for it."""
        self._send({"fault": fault.as_dict(), "number": number})

    def heal(self) -> None:
        """Have every fault undone that is under way, and wait for it."""
        if self._child is None or self._gone.is_set():
            return
        self._healed.clear()
        self._send({"heal": True})
        if not self._healed.wait(_HEAL_S) and self.problem is None:
            self.problem = "a fault could not be undone in time"

    def stop(self) -> None:
        """End the child and a lab of its own; stopping twice does nothing."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None  # noqa: S101 # as asked for
        try:
            child.stdin.close()
        except BrokenPipeError:
            logger.debug("the attendant had ended before it was told to")
        try:
            child.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            child.terminate()
            try:
                child.wait(timeout=_STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._child is not None  # noqa: S101 # started before
        assert self._child.stdin is not None  # noqa: S101 # as asked for
        try:
            self._child.stdin.write(json.dumps(message) + "\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            self.problem = self.problem or "the process that inflicts faults has ended"

    def _listen(self) -> None:
        child = self._child
        assert child is not None  # noqa: S101 # started before
        assert child.stdout is not None  # noqa: S101 # as asked for
        for line in child.stdout:
            message = json.loads(line)
            if "mark" in message:
                mark = Mark(**message["mark"])
                self.marks.append(mark)
                logger.info("%s: %s", mark.node, mark.what)
            elif "problem" in message:
                self.problem = self.problem or str(message["problem"])
            elif "healed" in message:
                self._healed.set()
        self._gone.set()
        self._healed.set()


# --- the child ------------------------------------------------------------------------


def lab_of(urls: Sequence[str]) -> Lab | None:
    """Return the running lab that these URLs belong to, None when they are no lab's."""
    import authkit.lab
    from authkit.harness.database import credentials

    wanted = {credentials(url) for url in urls}
    for lab in authkit.lab.labs():
        try:
            nodes = {credentials(lab.url(node)) for node in lab.nodes}
        except LabError:
            continue  # half made, or just removed
        if wanted <= nodes:
            return lab
    return None


def _throwaway() -> AbstractContextManager[Lab]:
    import authkit.lab

    return authkit.lab.cluster(replicas=1)


def _fill(lab: Lab) -> None:
    from authkit.ops.migrate import upgrade
    from authkit.risk import PastOnly
    from authkit.workload.load import seed

    upgrade(lab.url())
    seed(lab.url(), users=_USERS, days=_DAYS, seed=1, score=PastOnly())
    lab.wait_replayed()


class _Child:
    """Answers the lines on standard input until it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._healing = threading.Event()
        self._under_way: list[threading.Thread] = []

    def say(self, **message: object) -> None:
        with self._lock:
            print(json.dumps(message), flush=True)  # noqa: T201 # the pipe is the interface

    def serve(self, urls: Sequence[str], lab: Lab | None) -> None:
        from authkit.harness.database import node_name
        from authkit.harness.inflict import Site

        def site_of(number: int) -> Site:
            def tell(what: What, node: str) -> None:
                self.say(mark=Mark(time.time(), what, node, number).as_dict())

            nodes = {node_name(url): url for url in urls}
            return Site(nodes, lab, tell, self._healing)

        self.say(
            database_url=urls[0],
            database_replica_urls=list(urls[1:]),
            lab=lab is not None,
        )
        try:
            for line in sys.stdin:
                message = json.loads(line)
                if "heal" in message:
                    self._heal()
                    self.say(healed=True)
                    continue
                fault, site = Fault(**message["fault"]), site_of(message["number"])
                thread = threading.Thread(target=self._inflict, args=(site, fault))
                self._under_way.append(thread)
                thread.start()
        finally:
            self._heal()

    def _heal(self) -> None:
        self._healing.set()
        for thread in self._under_way:
            thread.join()
        self._under_way.clear()
        self._healing.clear()

    def _inflict(self, site: Any, fault: Fault) -> None:
        from psycopg import Error

        from authkit.harness.inflict import inflict

        try:
            inflict(site, fault)
        except AuthkitError as exc:
            self.say(problem=f"{fault}: {exc}")
        except Error as exc:
            # Its text may hold what a row holds; its class says what to look for.
            self.say(problem=f"{fault}: {type(exc).__name__} ({exc.sqlstate})")


def _end(_number: int, _frame: object) -> None:
    sys.exit(143)


def main() -> int:
    """Hold a lab, or look after one, until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    urls: list[str] = json.loads(sys.stdin.readline() or "{}").get("urls", [])
    child = _Child()
    made: Callable[[], AbstractContextManager[Lab | None]] = (
        (lambda: nullcontext(lab_of(urls))) if urls else _throwaway
    )
    try:
        with made() as lab:
            if not urls and lab is not None:
                _fill(lab)
                urls = [lab.url(), *(lab.url(name) for name in lab.replicas)]
            child.serve(urls, lab)
    except AuthkitError as exc:
        print(f"authkit: {exc}", file=sys.stderr)  # noqa: T201 # the same
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
