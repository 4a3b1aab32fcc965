"""Sees the moment of a promotion from outside the cluster under test."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from time import monotonic
from types import TracebackType
from typing import Self

import psycopg

from authkit.errors import LabError

_EVERY_S = 0.001
_SEEN_WITHIN_S = 10.0


class PromotionWatch:
    """Asks every replica, a thousand times a second, whether it has left recovery.

    The moment it saw is at most an answer and a millisecond late.

    Args:
        urls: the replicas by name.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls
        self._news = threading.Condition()
        self._seen: dict[str, float] = {}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for name, url in self._urls.items():
            try:
                connection = psycopg.connect(url, autocommit=True, connect_timeout=3)
            except psycopg.OperationalError:
                continue  # it is down, so it is not the one
            thread = threading.Thread(
                target=self._watch, args=(name, connection), name=f"promotion {name}"
            )
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def moment(self, name: str) -> float:
        """Return when a replica was seen to be a primary, on the monotonic clock.

        Raises:
            LabError: it was not.
        """
        end = monotonic() + _SEEN_WITHIN_S
        with self._news:
            while name not in self._seen:
                if not self._news.wait(end - monotonic()):
                    raise LabError(f"{name} was not seen to be promoted")
            return self._seen[name]

    def _watch(self, name: str, connection: psycopg.Connection) -> None:
        with connection:
            while not self._stop.wait(_EVERY_S):
                try:
                    row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
                except psycopg.Error:
                    return  # it went away: then it is not the one
                if row == (False,):
                    with self._news:
                        self._seen[name] = monotonic()
                        self._news.notify_all()
                    return
