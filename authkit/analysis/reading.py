"""One read-only connection through ADBC: whose lag is known, whose errors are named."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

from authkit.analysis.arrow import finite, pa
from authkit.analysis.growing import Growing
from authkit.analysis.provenance import Standing
from authkit.errors import (
    AuthkitError,
    DatabaseError,
    DeadlineExceeded,
    InvalidInput,
    NotPermitted,
    RetryLater,
    SchemaMismatch,
    Unavailable,
)
from authkit.settings import plain_url

if TYPE_CHECKING:
    from pandas import DataFrame

    from authkit.analysis.loading import Came

ANALYST = "authkit_analyst"
_CONNECT_TIMEOUT_S = 5
# A frame is sorted by time; the server's usual 4 MB would put each sort on its disk.
_SORT_MEMORY = "64MB"
# Each is copied and let go; of 16 MB, the driver's own measure, three are in memory.
_BATCH_BYTES = "2000000"

# At most so far is a standby behind: what was committed before the last commit that it
# replayed is here; and where it has replayed all that its primary had at its last word,
# what was committed before that word. Later than that nobody here knows, as a link that
# hangs looks like a primary with nothing to say; a standby without a receiver knows
# nothing. The word is seen by members of pg_read_all_stats only: for others the bound
# grows while nobody commits.
_STANDING = """
SELECT r.standby AS standby,
    CASE WHEN NOT r.standby THEN 0.0
        WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) THEN NULL
        ELSE extract(epoch FROM clock_timestamp() - greatest(
            pg_last_xact_replay_timestamp(),
            (SELECT w.last_msg_receipt_time FROM pg_catalog.pg_stat_wal_receiver AS w
                WHERE w.latest_end_lsn <= pg_last_wal_replay_lsn())))
    END::double precision AS lag_s
FROM (SELECT pg_is_in_recovery() AS standby) AS r
"""

_FAULTS: dict[str, tuple[type[AuthkitError], str]] = {
    "42501": (NotPermitted, "the database role may not read this"),
    "25006": (NotPermitted, "frames only read: this statement would write"),
    "57014": (DeadlineExceeded, "the statement took longer than the session allows"),
    "40001": (RetryLater, "the replica had to give way to replay: ask again"),
    "42P01": (InvalidInput, "the query names a table that is not there"),
    "3F000": (InvalidInput, "the query names a schema that is not there"),
    "42703": (InvalidInput, "the query names a column that is not there"),
    "42883": (InvalidInput, "the query calls a function that is not there"),
    "08P01": (InvalidInput, "the query has more parameters than it was given"),
    "42601": (InvalidInput, "the query is not valid SQL, or is no SELECT"),
}
# By class (PostgreSQL, appendix A): what only another query would change.
_CLASSES: dict[str, str] = {
    "22": "a value of the query or its parameters does not fit",
    "42": "the server cannot make sense of the query",
    "0A": "the query asks for what this server cannot do",
}


# What these say when the statement is ours, not the caller's.
_NOT_OUR_SCHEMA = frozenset({"42P01", "3F000", "42703", "42883"})


class Reader:
    """A connection that only reads."""

    def __init__(self, connection: Any, standing: Standing, *, ours: bool) -> None:
        self._connection = connection
        self._ours = ours
        self.standing = standing

    def frame(
        self,
        statement: str,
        parameters: Sequence[object] = (),
        *,
        max_rows: int | None = None,
        came: Came = lambda rows: None,
    ) -> DataFrame:
        """Return the rows as a frame, all of them or an error.

        `came` is called with the number of rows so far.

        Raises:
            InvalidInput: there are more than `max_rows`, or the SQL is wrong.
        """
        with named_faults(ours=self._ours), self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(
                **{"adbc.postgresql.batch_size_hint_bytes": _BATCH_BYTES}
            )
            cursor.execute(statement, list(parameters) or None)
            reader = cursor.fetch_record_batch()
            growing = Growing(reader.schema)
            for batch in reader:
                growing.add(batch)
                came(growing.rows)
                if max_rows is not None and growing.rows > max_rows:
                    raise InvalidInput(too_many(f"more than {max_rows:,}"))
            return growing.frame()

    def batches(
        self, statement: str, parameters: Sequence[object] = ()
    ) -> Generator[Any]:
        """Yield the schema, then the rows as they come, `pyarrow.RecordBatch` each."""
        with named_faults(ours=self._ours), self._connection.cursor() as cursor:
            cursor.execute(statement, list(parameters) or None)
            reader = cursor.fetch_record_batch()
            yield reader.schema
            yield from map(finite, reader)

    def estimate(self, statement: str, parameters: Sequence[object] = ()) -> int:
        """Return how many rows the planner expects."""
        import json

        with named_faults(ours=self._ours), self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(
                **{"adbc.postgresql.use_copy": "false"}  # EXPLAIN is no query to COPY
            )
            cursor.execute(
                f"EXPLAIN (FORMAT JSON) {statement}", list(parameters) or None
            )
            (plan,) = cursor.fetchone()
        read = json.loads(plan) if isinstance(plan, str) else plan
        return int(read[0]["Plan"]["Plan Rows"])


def too_many(count: str) -> str:
    """Say that a result is too large, and what to do."""
    return (
        f"the result has {count} rows: ask for a shorter time or fewer columns,"
        " aggregate in SQL with query(), or raise Frames(max_rows=...)"
    )


def asked(sql: str, params: Sequence[object]) -> str:
    """Return a query of somebody's own as the driver can take it.

    Raises:
        InvalidInput: it is empty, or its parameters are no list.
    """
    if not sql.strip():
        raise InvalidInput("the query is empty")
    if not isinstance(params, list | tuple):
        raise InvalidInput("the parameters are a list of values, $1 the first")
    # The driver puts it into brackets: a remark at its end must not hide the last.
    return f"{sql.strip().removesuffix(';')}\n"


@contextmanager
def reading(url: str, *, role: str | None, ours: bool) -> Generator[Reader]:
    """Open a read-only connection, take a role, say how far behind it is.

    Args:
        url: the node.
        role: whose rights to read with; None keeps the user's own.
        ours: the statements are authkit's own, so that a table that is not there is
            the schema's fault and not the caller's.

    Raises:
        InvalidInput: the URL cannot be read.
        Unavailable: nothing answers there.
        NotPermitted: the user is no member of the role.
    """
    dbapi: Any = import_module("adbc_driver_postgresql.dbapi")
    try:
        conninfo = make_conninfo(
            plain_url(url),
            connect_timeout=_CONNECT_TIMEOUT_S,
            application_name="authkit frames",
            options="-c default_transaction_read_only=on -c search_path=authkit,public"
            f" -c work_mem={_SORT_MEMORY}",
        )
    except ProgrammingError:
        # Not chained: its text repeats the URL, and a password in it.
        raise InvalidInput(
            "the database's URL cannot be read: it is like postgresql://me@host/name"
        ) from None
    with named_faults():
        connection: Any = dbapi.connect(conninfo, autocommit=True)
    try:
        reader = Reader(connection, Standing("primary", 0.0), ours=ours)
        with named_faults(), connection.cursor() as cursor:
            cursor.execute(_STANDING)
            standby, lag_s = cursor.fetchone()
        if lag_s is not None:
            lag_s = max(0.0, lag_s)  # the primary's clock may be ahead of the replica's
        reader.standing = Standing("replica" if standby else "primary", lag_s)
        if role is not None:
            _take(connection, role)
        yield reader
    finally:
        connection.close()


def _take(connection: Any, role: str) -> None:
    quoted = '"' + role.replace('"', '""') + '"'
    try:
        with named_faults(), connection.cursor() as cursor:
            cursor.execute(f"SET ROLE {quoted}")
    except (NotPermitted, DatabaseError) as exc:
        raise NotPermitted(
            f"this database user cannot act as {role}: GRANT {role} TO it,"
            " or read clear rows with Frames(..., masked=False)"
        ) from exc


@contextmanager
def named_faults(*, ours: bool = False) -> Generator[None]:
    """Turn ADBC's errors into authkit's, by SQLSTATE; no server text is repeated."""
    driver: Any = import_module("adbc_driver_manager")
    try:
        yield
    except OSError as exc:
        # What breaks off among the rows comes through Arrow, without its SQLSTATE.
        raise DatabaseError(
            "the query broke off while its rows came: a value did not fit, a replica"
            " gave way, or the connection ended; none of its rows are kept"
        ) from exc
    except pa.ArrowException as exc:
        raise InvalidInput(
            "a parameter or a column is of a type that cannot be read: cast it"
            " in the query, with ::text for example"
        ) from exc
    except driver.Error as exc:
        state: str | None = exc.sqlstate
        if ours and state in _NOT_OUR_SCHEMA:
            raise SchemaMismatch(
                "the database lacks tables of this version: run `authkit db setup`"
            ) from exc
        if state in _FAULTS:
            kind, sentence = _FAULTS[state]
            raise kind(f"{sentence} (SQLSTATE {state})") from exc
        if not ours and state is not None and state[:2] in _CLASSES:
            raise InvalidInput(f"{_CLASSES[state[:2]]} (SQLSTATE {state})") from exc
        if state is None or state.startswith(("08", "57P", "53")):
            raise Unavailable(
                "the database cannot be reached, or ended the connection:"
                " `authkit db test` says why"
            ) from exc
        raise DatabaseError(
            f"the server refused the query (SQLSTATE {state})", sqlstate=state
        ) from exc
