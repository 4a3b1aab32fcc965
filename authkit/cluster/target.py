"""A node's address: what it is called, and how libpq is told to connect.

A URL is a secret. A target's name is its host and port, and nothing else of the URL is
ever shown. A URL with several hosts is several targets: which of them is the primary is
discovered, so `target_session_attrs` and `load_balance_hosts` are dropped.
"""

from __future__ import annotations

import socket
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from authkit.cluster.credentials import Password, login_of
from authkit.errors import AuthkitError, ConfigError, Unavailable
from authkit.settings import check_url, plain_url

SEARCH_PATH = "authkit,public"

# The kernel notices a dead peer in 5 + 3 x 1 s and unacknowledged data in 3 s; libpq
# waits about 130 s for a connection otherwise. A stopped process acknowledges: that is
# the probe's business.
DEFAULTS: Mapping[str, str] = {
    "connect_timeout": "2",
    "keepalives_idle": "5",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    "tcp_user_timeout": "3000",
    "application_name": "authkit",
}
_ROUTED_BY_US = ("target_session_attrs", "load_balance_hosts")


@dataclass(frozen=True, slots=True)
class Target:
    """One candidate node: its masked name and libpq's parameters (a secret)."""

    name: str
    host: str
    port: str
    database: str
    zone: str | None = None
    parameters: Mapping[str, str] = field(repr=False, default_factory=dict[str, str])
    password: Password | None = field(repr=False, default=None, compare=False)

    @property
    def question(self) -> Hashable:
        """What tells two questions for a password apart."""
        return id(self.password), login_of(self.parameters)

    def ask_password(self) -> str | None:
        """Return the password of the moment; None where the URL's own will do.

        Raises:
            Unavailable: it was not to be had; safe to show.
        """
        if self.password is None:
            return None
        try:
            return self.password(login_of(self.parameters))
        except AuthkitError:
            raise
        except Exception as exc:  # noqa: BLE001 # a caller's function raises what it likes
            raise Unavailable(
                f"there is no password for {self.name} ({type(exc).__name__})"
            ) from None

    def conninfo(self, password: str | None, **more: str) -> str:
        """Return the connection string for libpq; a secret.

        Args:
            password: the one of the moment; None leaves the URL's own.
            more: further parameters, which go before the URL's.
        """
        own = {} if password is None else {"password": password}
        return make_conninfo(**{**self.parameters, **own, **more})

    def addresses(self) -> tuple[str, ...]:
        """Look its host name up; may wait for as long as the resolver likes.

        Raises:
            OSError: the name is not known.
        """
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))

    @property
    def needs_resolver(self) -> bool:
        """Whether its host is a name that has to be looked up."""
        if "host" not in self.parameters or "hostaddr" in self.parameters:
            return False
        if self.host.startswith(("/", "@")):
            return False
        try:
            ip_address(self.host)
        except ValueError:
            return True
        return False

    @property
    def identity(self) -> tuple[str, str, str]:
        """What tells two targets apart."""
        return self.host, self.port, self.database


def targets(
    urls: Iterable[str],
    *,
    zones: Mapping[str, str] | None = None,
    password: Password | None = None,
) -> tuple[Target, ...]:
    """Turn candidate URLs into targets, in their order.

    Args:
        urls: `postgresql://` URLs or `key=value` strings.
        zones: the zone of a node by its name (`host:port`).
        password: asked for each new connection, in place of the URL's own.

    Raises:
        ConfigError: every malformed or repeated URL at once, by position.
    """
    problems: list[str] = []
    found: list[Target] = []
    for position, url in enumerate(urls, start=1):
        try:
            found.extend(_expand(url))
        except ValueError as exc:
            problems.append(f"database URL {position} {exc}")
    seen: set[tuple[str, str, str]] = set()
    for target in found:
        if target.identity in seen:
            problems.append(f"the node {target.name} is named twice")
        seen.add(target.identity)
    if not found and not problems:
        problems.append("no database URL is given: set DATABASE_URL")
    if problems:
        raise ConfigError(problems)
    named = _distinct(found)
    zones = zones or {}
    unknown = sorted(set(zones) - {target.name for target in named})
    if unknown:
        raise ConfigError(f"a zone is given for an unknown node {n}" for n in unknown)
    return tuple(
        replace(target, zone=zones.get(target.name), password=password)
        for target in named
    )


def _distinct(found: list[Target]) -> list[Target]:
    """Add the database's name where host and port alone would repeat."""
    names = [target.name for target in found]
    return [
        t
        if names.count(t.name) == 1
        else Target(f"{t.name}/{t.database}", *t.identity, None, t.parameters)
        for t in found
    ]


def _expand(url: str) -> list[Target]:
    check_url(url)
    given = conninfo_to_dict(plain_url(url))
    parameters = {k: str(v) for k, v in given.items() if v is not None}
    for name in _ROUTED_BY_US:
        parameters.pop(name, None)
    defaults = _libpq_defaults()
    hosts = _split(parameters.pop("host", ""))
    addresses = _split(parameters.pop("hostaddr", ""))
    ports = _split(parameters.pop("port", ""))
    count = max(len(hosts), len(addresses))
    for name, values in (("host", hosts), ("hostaddr", addresses)):
        if len(values) not in {1, count} or (len(values) == 1 < count and values[0]):
            raise ValueError(f"names {len(values)} {name} for {count} nodes")
    if len(ports) not in {1, count}:
        raise ValueError(f"names {len(ports)} ports for {count} hosts")
    database = parameters.get("dbname") or defaults.get("dbname") or ""
    expanded: list[Target] = []
    for index in range(count):
        host = hosts[index] if len(hosts) == count else ""
        address = addresses[index] if len(addresses) == count else ""
        port = ports[index] if len(ports) == count else ports[0]
        place = {"host": host, "hostaddr": address, "port": port}
        own = parameters | {name: value for name, value in place.items() if value}
        shown_host = host or address or defaults.get("host") or "local"
        shown_port = port or defaults.get("port") or "5432"
        if "service" in own and not host and not address:
            shown_host = f"service={own['service']}"
        expanded.append(
            Target(
                f"{shown_host}:{shown_port}",
                shown_host,
                shown_port,
                database,
                None,
                _complete(own),
            )
        )
    return expanded


def _complete(parameters: dict[str, str]) -> dict[str, str]:
    """Add our defaults where the URL says nothing of its own."""
    completed = {**DEFAULTS, **parameters}
    options = parameters.get("options", "")
    if "search_path" not in options:
        completed["options"] = f"{options} -c search_path={SEARCH_PATH}".strip()
    return completed


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",")]


def _libpq_defaults() -> dict[str, str]:
    """What libpq takes from PGHOST, PGPORT and their like."""
    return {
        option.keyword.decode(): option.val.decode()
        for option in pq.Conninfo.get_defaults()
        if option.val is not None
    }
