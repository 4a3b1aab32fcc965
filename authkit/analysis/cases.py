"""Cases: a window of time that an analyst looks into, its evidence, its findings.

In a case each person has a pseudonym that means nothing anywhere else. Maintenance
opens it and draws them; the analyst reads and labels; who somebody is is told by
maintenance alone, and never without an entry in the audit trail.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from authkit.analysis import sources
from authkit.analysis.evidence import write_evidence
from authkit.analysis.frames import Frames
from authkit.analysis.loading import tell
from authkit.analysis.reading import ANALYST
from authkit.analysis.source import Condition
from authkit.analysis.window import When, Window, window
from authkit.errors import AlreadyExists, InvalidInput, NotFound, NotPermitted
from authkit.hot import inputs
from authkit.schema.roles import MAINTENANCE
from authkit.workload.connection import connect, named_faults

if TYPE_CHECKING:
    from pandas import DataFrame

    from authkit.analysis.picture import Picture

_CASES = """
SELECT opened_at, name, since, until, opened_by, id::text AS id
FROM authkit.cases_masked ORDER BY opened_at
"""
_LABELS = """
SELECT l.labelled_at, l.attempt_id::text AS id, l.occurred_at, l.label, l.note, l.author
FROM authkit.labels_masked AS l WHERE l.case_id = $1::uuid
ORDER BY l.labelled_at, l.attempt_id
"""
_NOTE_CHARS = 2000
_REASON_CHARS = 500
_PSEUDONYM_CHARS = 100


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Cases:
    """The cases of one database; read from the primary, so that a label is seen.

    Args:
        url_for_writing: the primary; called for everything that is asked.
        say: receives a sentence about every frame.
        now: the clock.
    """

    def __init__(
        self,
        url_for_writing: Callable[[], str],
        *,
        say: Callable[[str], None] = tell,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._url = url_for_writing
        self._now = now
        self.frames = Frames(url_for_writing, say=say, now=now)

    def __repr__(self) -> str:
        return "Cases()"

    def open(self, name: str, since: When, until: When = None) -> Case:
        """Open a case, as `authkit_maintenance`: draws a pseudonym for everybody in it.

        Whoever is erased has none; to erase somebody waits while they are drawn.

        Raises:
            AlreadyExists: there is a case of that name.
            InvalidInput: the window has no beginning, or ends in the future.
            NotPermitted: the database user is no member of `authkit_maintenance`.
        """
        within = window(since, until, now=self._now())
        if within.since is None:
            raise InvalidInput("a case needs a beginning: since")
        if within.until is not None and within.until > self._now():
            raise InvalidInput("a case cannot end in the future: leave until out")
        if not name.strip() or len(name) > 100:
            raise InvalidInput("a case needs a name, of 100 characters at most")
        try:
            self.ask(
                MAINTENANCE,
                "SELECT authkit.open_case(%s, %s, coalesce(%s, now()))",
                (name, within.since, within.until),
            )
        except AlreadyExists as exc:
            raise AlreadyExists(f"there is a case named {name!r}") from exc
        return self.get(name)

    def get(self, name: str) -> Case:
        """Return a case by its name.

        Raises:
            NotFound: there is none.
        """
        with self.acting(ANALYST) as connection:
            row = connection.execute(
                "SELECT id, name, since, until, opened_by FROM authkit.cases_masked"
                " WHERE name = %s",
                (name,),
            ).fetchone()
        if row is None:
            raise NotFound(f"there is no case named {name!r}")
        id_, name, since, until, opened_by = row
        return Case(id_, name, Window(since, until), opened_by, self)

    def list(self) -> DataFrame:
        """Return all cases, the newest last."""
        return self.frames.query(_CASES)

    def ask(
        self, role: str, statement: LiteralString, values: Sequence[object]
    ) -> object:
        """Run one function on the primary as a role; returns its value.

        None where it returned no row. Errors are those of `acting`.
        """
        with self.acting(role) as connection:
            row = connection.execute(statement, values).fetchone()
        return None if row is None else row[0]

    @contextmanager
    def acting(self, role: str) -> Generator[psycopg.Connection]:
        """Yield one transaction on the primary as a role.

        Raises:
            NotPermitted: the database user is no member of the role.
        """
        with named_faults(), closing(connect(self._url())) as connection:
            try:
                connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
            except psycopg.errors.InsufficientPrivilege as exc:
                raise NotPermitted(
                    f"this database user cannot act as {role}: GRANT {role} TO it"
                ) from exc
            with connection.transaction():
                yield connection


@dataclass(frozen=True, slots=True)
class Case:
    """One case: what happened in its window, as it alone names people."""

    id: UUID
    name: str
    window: Window
    opened_by: str
    _cases: Cases = field(repr=False)

    def attempts(self, columns: Sequence[str] | None = None) -> DataFrame:
        """Return the attempts of the window; `user` is the pseudonym of this case."""
        frames, within = self._cases.frames, self.window
        mine = Condition("case_id = {}::uuid", str(self.id))
        return frames.rows(
            sources.CASE_ATTEMPTS, within.since, within.until, [mine], columns
        )

    def labels(self) -> DataFrame:
        """Return every label in the order of their making; a later one goes before."""
        return self._cases.frames.query(_LABELS, (str(self.id),))

    def label(
        self, attempts: Iterable[str | UUID], label: str, *, note: str | None = None
    ) -> int:
        """Say what attempts were; the database writes down who says it, and when.

        Args:
            attempts: ids, as the column `id` holds them.
            label: a lower-case word such as `takeover` or `false_alarm`.
            note: why; no name in clear, because other analysts read it.

        Raises:
            InvalidInput: an id is none, the label no such word, or the note empty or
                longer than 2,000 characters.
            NotFound: not all of them are attempts of this case; none was labelled.
        """
        try:
            ids = list(dict.fromkeys(UUID(str(one)) for one in attempts))
        except ValueError:
            raise InvalidInput(
                "attempts are ids, as the column `id` has them"
            ) from None
        if not ids:
            raise InvalidInput("there is no attempt to label")
        inputs.slug(label, "label")
        if note is not None:
            inputs.text(note, "note", limit=_NOTE_CHARS)
        with self._cases.acting(ANALYST) as connection:
            (count,) = connection.execute(
                "SELECT authkit.label_attempts(%s, %s, %s, %s)",
                (self.id, ids, label, note),
            ).fetchall()[0]
            if count != len(ids):
                raise NotFound(
                    f"{len(ids)} attempts were named, {count} are of this case"
                )
        return len(ids)

    def unmask(self, pseudonym: str, *, reason: str) -> UUID:
        """Say who somebody is, as `authkit_maintenance`; the audit trail keeps it.

        Raises:
            NotFound: nobody has that pseudonym here.
            InvalidInput: no reason is given, or one of more than 500 characters.
            NotPermitted: the database user is no member of `authkit_maintenance`.
        """
        if len(reason.strip()) < 3:  # as the database asks
            raise InvalidInput("unmasking needs a reason")
        inputs.text(reason.strip(), "reason", limit=_REASON_CHARS)
        inputs.text(pseudonym, "pseudonym", limit=_PSEUDONYM_CHARS)
        found = self._cases.ask(
            MAINTENANCE,
            "SELECT authkit.unmask(%s, %s, %s)",
            (self.id, pseudonym, reason.strip()),
        )
        if found is None:
            raise NotFound("nobody has that pseudonym in this case")
        return UUID(str(found))

    def export(
        self,
        directory: Path | str,
        *,
        evidence: Mapping[str, DataFrame] | None = None,
        pictures: Mapping[str, Picture] | None = None,
    ) -> Path:
        """Write what there is to hand over: rows, labels, pictures, queries, versions.

        Args:
            directory: a new folder.
            evidence: frames by name; the case's attempts where none are given. `labels`
                is the case's own.
            pictures: pictures by name.

        Raises:
            InvalidInput: the folder is there already or cannot be written, or a frame
                is named `labels`.
        """
        if evidence is not None and "labels" in evidence:
            raise InvalidInput("the case's own labels are written under that name")
        given = evidence if evidence is not None else {"attempts": self.attempts()}
        return write_evidence(
            Path(directory),
            about={
                "case": self.name,
                "id": str(self.id),
                "since": str(self.window.since),
                "until": str(self.window.until),
                "opened_by": self.opened_by,
                "masked": True,
            },
            frames={**given, "labels": self.labels()},
            pictures=pictures or {},
        )

    def _repr_html_(self) -> str:
        told = {
            "window": str(self.window),
            "opened by": self.opened_by,
            "id": str(self.id),
        }
        cells = "".join(
            f"<tr><th>{html.escape(key)}</th><td>{html.escape(value)}</td></tr>"
            for key, value in told.items()
        )
        return f"<h4>Case {html.escape(self.name)}</h4><table>{cells}</table>"
