"""What each greenlet is at: the arrival it waits for, the task it runs.

A task may take several operations. Its first counts from when the task was due; those
after it had no time of their own to be due at, but the whole of it has.
"""

from __future__ import annotations

from gevent import getcurrent

from authkit.harness.schedule import Due


class Visit:
    """A task under way: its moments, its calls and the last error of these.

    `due_s` is None under a closed loop, where nothing is due.
    """

    __slots__ = ("began_s", "calls", "due_s", "error")

    def __init__(self, due_s: float | None, began_s: float) -> None:
        self.due_s = due_s
        self.began_s = began_s
        self.calls = 0
        self.error: BaseException | None = None


class Visits:
    """The arrivals and tasks of one process; every method is about its caller."""

    def __init__(self) -> None:
        self._due: dict[object, Due] = {}
        self._under_way: dict[object, Visit] = {}
        self._several: set[str] = set()

    def expect(self, due: Due) -> None:
        """Note which arrival the caller waits for."""
        self._due[getcurrent()] = due

    def begin(self, now_s: float) -> Due | None:
        """Begin a task; return the arrival it serves, None where none was expected."""
        here = getcurrent()
        due = self._due.pop(here, None)
        self._under_way[here] = Visit(None if due is None else due.at_s, now_s)
        return due

    def called(self, now_s: float, service_s: float) -> float:
        """Count a call that ended now; return its response time in seconds."""
        here = getcurrent()
        visit = self._under_way.get(here)
        if visit is None:  # in a TaskSet of the user's own, which has no beginning
            due = self._due.pop(here, None)
            return service_s if due is None else now_s - due.at_s
        visit.calls += 1
        if visit.due_s is None or visit.calls > 1:
            return service_s
        return now_s - visit.due_s

    def failed(self, error: BaseException) -> None:
        """Note the error of the call that ended now."""
        visit = self._under_way.get(getcurrent())
        if visit is not None:
            visit.error = error

    def was_counted(self, error: BaseException) -> bool:
        """Tell whether an error is one that the observer has already counted."""
        visit = self._under_way.get(getcurrent())
        seen = None if visit is None else visit.error
        return seen is not None and (error is seen or error.__cause__ is seen)

    def measured(self, name: str) -> Visit | None:
        """Return the task that ends now, where tasks of its name take several calls.

        From the first on that took several, whatever this one took: a cache that is hit
        and one that is missed are both what users see.
        """
        visit = self._under_way[getcurrent()]
        if visit.calls > 1:
            self._several.add(name)
        return visit if name in self._several else None

    def forget(self) -> None:
        """Forget the caller's task, which may have been killed in the middle."""
        self._under_way.pop(getcurrent(), None)
