"""Mapping files: which field of somebody's log is what, in TOML.

```toml
format = "jsonl"                     # or "csv"
[time]
field = "time"
unit = "ms"                          # s, ms, us, ns or iso; iso without a zone is UTC
[fields]                             # ours = theirs; a dot goes into an object
account = "userId"
ip = ["ipAddress", "client.ip"]      # the first that is there
[outcome]
field = "type"
succeeded = ["LOGIN"]
failed = ["LOGIN_ERROR"]
[stage]                              # primary where nothing else is said
field = "step"
values = {otp = "second_factor"}
```
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, cast, get_args

from authkit.analysis.ingest.addresses import address_of
from authkit.analysis.ingest.event import Event, Found, Passed, Unreadable, What
from authkit.errors import InvalidInput
from authkit.schema.columns import USER_AGENT_CHARS
from authkit.schema.vocabulary import (
    ATTEMPT_METHODS,
    ATTEMPT_STAGES,
    AttemptMethod,
    AttemptOutcome,
    AttemptStage,
)

Unit = Literal["s", "ms", "us", "ns", "iso"]
Form = Literal["csv", "jsonl"]
FIELDS = (
    "account",
    "subject",
    "ip",
    "asn",
    "country",
    "user_agent",
    "device",
    "client",
    "session",
)
SETTLED: tuple[AttemptOutcome, ...] = ("succeeded", "failed", "denied", "abandoned")
SHIPPED = ("keycloak", "okta", "rba")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PER_SECOND: dict[Unit, float] = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
_SLUG = re.compile(r"[^a-z0-9_.-]+")
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_ASN_MAX = 4_294_967_295
_REASON_CHARS = 63

Get = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Mapping:
    """How a record of some other system becomes an attempt."""

    form: Form
    time: str
    unit: Unit
    fields: dict[str, tuple[str, ...]]
    outcome: str
    outcomes: dict[str, AttemptOutcome]
    others: Literal["pass", "reject"] = "pass"
    reason: tuple[str, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    unknown: frozenset[str] = frozenset()
    method: AttemptMethod = "password"
    method_field: tuple[str, ...] = ()
    methods: dict[str, AttemptMethod] = field(default_factory=dict[str, AttemptMethod])
    stage: AttemptStage = "primary"
    stage_field: tuple[str, ...] = ()
    stages: dict[str, AttemptStage] = field(default_factory=dict[str, AttemptStage])
    label: str | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])

    def read(self, get: Get) -> Found:
        """Return what one record is; `get` looks a field of theirs up, None: absent."""
        said = get(self.outcome)
        if said is None:
            return Unreadable(f"it has no field {self.outcome!r}")
        outcome = self.outcomes.get(_word(said))
        if outcome is None:
            if self.others == "pass":
                return Passed(f"{self.outcome} {_word(said)[:60]}")
            return Unreadable(f"{self.outcome} is not a word of the mapping")
        at_us = _microseconds(get(self.time), self.unit)
        if isinstance(at_us, str):
            return Unreadable(f"{self.time} {at_us}")
        told = {ours: _first(get, theirs) for ours, theirs in self.fields.items()}
        failed = outcome in {"failed", "denied", "abandoned"}
        theirs = _first(get, self.reason) if failed else None
        reason = None if theirs is None else self.reasons.get(theirs, _slug(theirs))
        asn = _asn(told.get("asn"))
        if isinstance(asn, Unreadable):
            return asn
        method = self.methods.get(_first(get, self.method_field) or "", self.method)
        stage = self.stages.get(_first(get, self.stage_field) or "", self.stage)
        country = (told.get("country") or "").upper()
        label = None if self.label is None else get(self.label)
        return Event(
            at_us,
            What(
                told.get("account"),
                theirs is None or theirs not in self.unknown,
                told.get("subject"),
                address_of(told.get("ip")),
                outcome,
                reason,
                method,
                told.get("client"),
                asn,
                country if _COUNTRY.fullmatch(country) else None,
                _cut(told.get("user_agent"), USER_AGENT_CHARS),
                told.get("device"),
                stage,
            ),
            session=told.get("session"),
            label=None if label is None else self.labels.get(_word(label)),
        )


def read_mapping(name: str | Path) -> Mapping:
    """Read a mapping: one that is shipped, by its name, or a TOML file.

    Raises:
        InvalidInput: there is none, or it does not say what it must.
    """
    try:
        if str(name) in SHIPPED:
            folder = files("authkit.analysis.ingest") / "mappings"
            text = (folder / f"{name}.toml").read_text(encoding="utf-8")
        else:
            text = Path(name).read_text(encoding="utf-8")
        return _mapping(tomllib.loads(text))
    except OSError as exc:
        raise InvalidInput(
            f"there is no mapping {name}: name a TOML file, or one of"
            f" {', '.join(SHIPPED)}"
        ) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise InvalidInput(f"the mapping {name} is not valid TOML: {exc}") from exc
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise InvalidInput(f"the mapping {name} is not complete: {exc}") from exc


def _mapping(told: Table[str, Any]) -> Mapping:
    form, time = told["format"], told["time"]
    if form not in get_args(Form):
        raise ValueError("format must be csv or jsonl")
    unit = time.get("unit", "iso")
    if unit not in get_args(Unit):
        raise ValueError(f"the unit of time must be one of {', '.join(get_args(Unit))}")
    fields = {ours: _names(theirs) for ours, theirs in told["fields"].items()}
    if strange := set(fields) - set(FIELDS):
        raise ValueError(
            f"fields has {', '.join(sorted(strange))}; known: {', '.join(FIELDS)}"
        )
    outcome = told["outcome"]
    outcomes: dict[str, AttemptOutcome] = {
        _word(word): ours for ours in SETTLED for word in outcome.get(ours, ())
    }
    if not outcomes:
        raise ValueError(f"outcome must list the words of {', '.join(SETTLED)}")
    others = outcome.get("others", "pass")
    if others not in {"pass", "reject"}:
        raise ValueError("outcome.others must be pass or reject")
    reason, method = told.get("reason", {}), told.get("method", {})
    label = told.get("label", {})
    stage = told.get("stage", {})
    for table, default, words in (
        (method, "password", ATTEMPT_METHODS),
        (stage, "primary", ATTEMPT_STAGES),
    ):
        for named in (table.get("default", default), *table.get("values", {}).values()):
            if named not in words:
                raise ValueError(f"{named} is not one of {', '.join(words)}")
    return Mapping(
        form=form,
        time=str(time["field"]),
        unit=unit,
        fields=fields,
        outcome=str(outcome["field"]),
        outcomes=outcomes,
        others=others,
        reason=_names(reason.get("field", ())),
        reasons={key: _slug(value) for key, value in reason.get("values", {}).items()},
        unknown=frozenset(reason.get("unknown_account", ())),
        method=method.get("default", "password"),
        method_field=_names(method.get("field", ())),
        methods=dict(method.get("values", {})),
        stage=stage.get("default", "primary"),
        stage_field=_names(stage.get("field", ())),
        stages=dict(stage.get("values", {})),
        label=label.get("field"),
        labels={key: str(value) for key, value in label.get("values", {}).items()},
    )


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(name) for name in cast("list[object]", value))


def _first(get: Get, names: tuple[str, ...]) -> str | None:
    for name in names:
        found = get(name)
        if found is not None and found != "":
            return _word(found)
    return None


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).replace("\x00", "")


def _slug(text: str) -> str:
    made = _SLUG.sub("_", text.strip().lower())[:_REASON_CHARS].strip("_.-")
    return made if made[:1].isalpha() else f"reason_{made}"[:_REASON_CHARS]


def _cut(text: str | None, chars: int) -> str | None:
    return None if text is None else text[:chars]


def _asn(text: str | None) -> int | Unreadable | None:
    if text is None:
        return None
    try:
        number = int(text.upper().removeprefix("AS"))
    except ValueError:
        return Unreadable("its autonomous system is no number")
    if not 0 <= number <= _ASN_MAX:
        return Unreadable("its autonomous system is out of range")
    return number


def _microseconds(value: object, unit: Unit) -> int | str:
    """Return microseconds since 1970, or what is wrong with the time."""
    if value is None or value == "":
        return "is missing"
    try:
        if unit == "iso":
            moment = datetime.fromisoformat(str(value))
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            at_us = (moment - _EPOCH) // _MICROSECOND
        else:
            number = float(value) if isinstance(value, str) else cast("float", value)
            at_us = round(number * _PER_SECOND[unit])
        read = _EPOCH + timedelta(microseconds=at_us)
    except (ValueError, TypeError, OverflowError):
        return "is not a time of the unit that the mapping says"
    if read < _EPOCH:
        return "lies before 1970"
    return at_us
