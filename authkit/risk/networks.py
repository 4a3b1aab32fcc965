"""Whose an address is: its country and autonomous system, looked up on this machine.

Countries come with the package (iptocc: by the registries' allocations), or from the
operator's own MMDB file; autonomous systems and cities from such files alone. Nothing
is ever downloaded. What an application says itself goes before what is found here.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, cast

from authkit.errors import ConfigError
from authkit.settings import Settings

_CODE = 2


class Reader(Protocol):
    """What is used of a reader of maxminddb, whose own types are not whole."""

    def get(self, ip_address: str) -> object:
        """Return the record of an address, or None."""
        ...

    def metadata(self) -> Any:
        """Return what the file says of itself."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Found(NamedTuple):
    """What is known of an address; `place` is degrees north and east."""

    asn: int | None = None
    country: str | None = None
    place: tuple[float, float] | None = None


NOTHING = Found()


class Networks:
    """Looks addresses up; files are opened when the first one is asked for.

    Args:
        country: an MMDB file of countries; without one, what the package ships.
        asn: an MMDB file of autonomous systems.
        city: an MMDB file of cities.
    """

    def __init__(
        self,
        country: Path | None = None,
        asn: Path | None = None,
        city: Path | None = None,
    ) -> None:
        self._files = {"country": country, "asn": asn, "city": city}
        self._readers: dict[str, Reader] | None = None
        self._open_files = ExitStack()
        self.look = lru_cache(maxsize=65_536)(self._look)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the networks that the environment names files of."""
        return cls(
            settings.authkit_geoip_country,
            settings.authkit_geoip_asn,
            settings.authkit_geoip_city,
        )

    @property
    def has_cities(self) -> bool:
        """Whether there is a file of cities."""
        return self._files["city"] is not None

    def complete(
        self, ip: str | None, asn: int | None, country: str | None
    ) -> tuple[int | None, str | None]:
        """Return autonomous system and country, looked up where they are not given.

        Raises:
            ConfigError: a file cannot be read.
        """
        if ip is None or (asn is not None and country is not None):
            return asn, country
        found = self.look(ip)
        return (
            found.asn if asn is None else asn,
            found.country if country is None else country,
        )

    def _look(self, ip: str) -> Found:
        readers = self._opened()
        city = _record(readers, "city", ip)
        where = _record(readers, "country", ip) or city
        if "country" in readers or "city" in readers:
            country = _country(where)
        else:
            country = _shipped(ip)
        return Found(_asn(_record(readers, "asn", ip)), country, _place(city))

    def _opened(self) -> dict[str, Reader]:
        if self._readers is None:
            self._readers = {
                kind: self._open_files.enter_context(_open(path))
                for kind, path in self._files.items()
                if path is not None
            }
        return self._readers

    def close(self) -> None:
        """Close the files."""
        self._readers = None
        self._open_files.close()


def _open(path: Path) -> Reader:
    room: Any = import_module("maxminddb")
    try:
        return cast("Reader", room.open_database(path))
    except OSError as exc:
        raise ConfigError([f"{path.name} cannot be read: {exc.strerror}"]) from exc
    except room.InvalidDatabaseError as exc:
        raise ConfigError([f"{path.name} is no MMDB file"]) from exc


def _record(readers: Mapping[str, Reader], kind: str, ip: str) -> Mapping[str, Any]:
    reader = readers.get(kind)
    if reader is None:
        return {}
    if ":" in ip and reader.metadata().ip_version == 4:
        return {}
    found = reader.get(ip)
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}


def _country(record: Mapping[str, Any]) -> str | None:
    """Read what MaxMind's, DB-IP's and IPinfo's files call the country."""
    for key in ("country", "registered_country", "country_code"):
        found = record.get(key)
        if isinstance(found, dict):
            found = cast("dict[str, Any]", found).get("iso_code")
        if isinstance(found, str) and len(found) == _CODE:
            return found.upper()
    return None


def _asn(record: Mapping[str, Any]) -> int | None:
    found = record.get("autonomous_system_number", record.get("asn"))
    text = str(found).removeprefix("AS")
    return int(text) if text.isdecimal() else None


def _place(record: Mapping[str, Any]) -> tuple[float, float] | None:
    where = record.get("location", record)
    if not isinstance(where, dict):
        return None
    found = cast("dict[str, Any]", where)
    try:
        return float(found["latitude"]), float(found["longitude"])
    except (KeyError, TypeError, ValueError):
        return None


def _shipped(ip: str) -> str | None:
    import iptocc

    found = iptocc.country_code(ip)
    return found if isinstance(found, str) and len(found) == _CODE else None
