"""What Patroni's REST interface says (documentation, "Patroni REST API")."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any, cast

from authkit.errors import LabError
from authkit.lab.places import HOST

_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Member:
    """One node as Patroni sees it."""

    name: str
    role: str
    state: str
    timeline: int | None
    lag_bytes: int | None = None

    @property
    def leads(self) -> bool:
        """Whether it is the leader, and runs."""
        return self.role == "leader" and self.state == "running"

    @property
    def streams(self) -> bool:
        """Whether it follows the leader."""
        return self.role != "leader" and self.state == "streaming"

    def __str__(self) -> str:
        return f"{self.name}: {self.role}, {self.state}"


def ask(port: int, path: str) -> int | None:
    """Return the status of a request; None where nothing answers."""
    status, _ = _request(port, "GET", path)
    return status


def members(port: int) -> tuple[Member, ...] | None:
    """Return the members of a cluster; None where nothing answers."""
    status, body = _request(port, "GET", "/cluster")
    if status != 200:  # OK
        return None
    said = cast("dict[str, Any]", json.loads(body))
    return tuple(
        Member(
            m["name"], m["role"], m["state"], m.get("timeline"), _bytes(m.get("lag"))
        )
        for m in said.get("members", ())
    )


def candidates(port: int) -> tuple[str, ...]:
    """Return the synchronous standbys that a node reads in the store.

    Ask the leader: it is who refuses a switchover without one, and a standby goes on
    to say that it is synchronous by what it read before the store was away.
    """
    return tuple(m.name for m in members(port) or () if m.role == "sync_standby")


def _bytes(said: object) -> int | None:
    # Of a member that it has not heard of: "unknown".
    return said if isinstance(said, int) else None


def post(port: int, path: str, body: dict[str, str]) -> None:
    """Ask for something to be done.

    Raises:
        LabError: Patroni refuses; the message is its own.
    """
    status, said = _request(port, "POST", path, json.dumps(body), patience_s=60.0)
    if status is None or status >= 300:  # a redirect or an error
        text = "it does not answer" if status is None else said.decode(errors="replace")
        raise LabError(f"Patroni refuses {path}: {text}")


def _request(
    port: int,
    method: str,
    path: str,
    body: str | None = None,
    *,
    patience_s: float = _PATIENCE_S,
) -> tuple[int | None, bytes]:
    connection = HTTPConnection(HOST, port, timeout=patience_s)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException):
        return None, b""
    finally:
        connection.close()
