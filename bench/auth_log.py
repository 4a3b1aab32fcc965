"""Lines as `sshd` writes them, as many as are wanted."""

from __future__ import annotations

from datetime import datetime, timedelta

_SAID = (
    "Failed password for user{who} from 203.0.113.{place} port 40022 ssh2",
    "Failed password for invalid user u{who} from 203.0.113.{place} port 22 ssh2",
    "Accepted password for user{who} from 203.0.113.{place} port 40022 ssh2",
    "pam_unix(sshd:session): session opened for user user{who}",
)


def lines_of(day: datetime, count: int) -> list[bytes]:
    """Return lines a second apart; three of four are attempts."""
    return [
        (
            f"{day + timedelta(seconds=n):%b %d %H:%M:%S} gate sshd[{n % 30_000}]: "
            + _SAID[n % 4].format(who=n % 3_000, place=n % 250)
            + "\n"
        ).encode()
        for n in range(count)
    ]
