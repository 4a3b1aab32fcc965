"""What a user asks by mistake is answered by a sentence, never by a driver's trace."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest

from authkit.analysis import Frames
from authkit.analysis.provenance import Standing
from authkit.errors import AuthkitError, DatabaseError, InvalidInput
from authkit.testing.waiting import until

END = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("params", "word"),
    [
        (["x"], "does not fit"),
        (["\x00"], "does not fit"),
        ([object()], "cast it"),
        ("1", "list of values"),
        ({"a": 1}, "list of values"),
    ],
)
def test_a_wrong_parameter_is_named_without_its_value(
    seeded, params: object, word: str
):
    with pytest.raises(InvalidInput, match=word):
        seeded.frames().query("SELECT $1::int AS a", params)


@pytest.mark.parametrize(
    "value",
    [
        "timestamptz 'infinity'",
        "timestamptz '-infinity'",
        "timestamp 'infinity'",
        "date '-infinity'",
        "ARRAY[timestamptz 'infinity']",
    ],
)
def test_an_infinite_time_is_no_time_of_a_frame(seeded, value: str):
    frames = seeded.frames()
    with pytest.raises(InvalidInput, match=r"::text"):
        frames.query(f"SELECT {value} AS at UNION ALL SELECT NULL")
    ends = frames.query(
        "SELECT nullif(timestamptz 'infinity', 'infinity') AS never,"
        " timestamptz '4714-11-24 00:00 UTC BC' AS first, date '4714-11-24 BC' AS day"
    )
    assert ends["never"].isna().all()
    assert ends["first"].dt.year.tolist() == ends["day"].dt.year.tolist() == [-4713]


@pytest.mark.parametrize(
    ("value", "instead"),
    [
        ("money '1234.50'", "v::numeric"),
        ("ARRAY[money '1234.50']", r"v::numeric\[\]"),
        ("ARRAY['3000000000'::oid]", r"v::bigint\[\]"),
        ("time '24:00'", "v::text"),
        ("interval '178000000 years'", "::text"),
    ],
)
def test_what_would_come_as_another_value_is_named_with_the_way_out(
    seeded, value: str, instead: str
):
    with pytest.raises(InvalidInput, match=instead):
        seeded.frames().query(f"SELECT {value} AS v")


def test_a_stream_stops_at_an_infinite_time_too(database):
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO authkit.rate_limit_tracking (identifier, resource, policy,"
            " theoretical_arrival_at, updated_at, blocked_until) VALUES"
            " ('\\x00', 'r', 'p', now(), now(), 'infinity')"
        )
    frames = Frames(lambda: database.url, masked=False, say=lambda _: None)
    with pytest.raises(InvalidInput, match="blocked_until holds 'infinity'"):
        list(frames.stream("rate_limits"))
    assert len(frames.rate_limits(columns=["hits"])) == 1


def test_a_query_may_end_as_people_end_them(seeded):
    frame = seeded.frames().query("SELECT 1 AS a; ")
    assert frame.equals(seeded.frames().query("SELECT 1 AS a -- the last word"))


def test_what_no_stream_can_be_cut_into_is_refused(seeded):
    with pytest.raises(InvalidInput, match="must be positive"):
        next(seeded.frames().stream(rows=0))


def test_a_url_that_cannot_be_read_is_not_repeated():
    frames = Frames(lambda: "postgresql//a:geheim@x", say=lambda _: None)
    with pytest.raises(InvalidInput, match="URL cannot be read") as caught:
        frames.attempts()
    assert "geheim" not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_a_replica_that_is_behind_the_asked_time_says_so(seeded, pair, replay_paused):
    said: list[str] = []
    frames = seeded.frames(say=said.append, now=lambda: datetime.now(UTC))

    def late() -> bool:
        return frames.attempts(since="1h").attrs["lag_s"] >= 1.0

    with replay_paused():
        pair.sql("SELECT txid_current()")
        until(late, "the replica behind")
        assert frames.attempts(since="1h").attrs["behind"] is True
        assert "the primary has them all" in said[-1]
        long_ago = frames.attempts(since="30d", until="7d")
        assert long_ago.attrs["behind"] is False
        assert "missing" not in said[-1]
    unknown = Standing("replica", None)
    assert unknown.misses(END, END)


@pytest.mark.parametrize("named", [True, False])
def test_what_breaks_off_among_the_rows_gives_none_of_them(seeded, named: bool):
    late = "1 / (100000 - g)" if named else "xmlparse(content g::text)"
    with pytest.raises(AuthkitError, match=r"broke off|does not fit") as caught:
        seeded.frames().query(
            f"SELECT g AS a, ({late})::text AS b FROM generate_series(1, 200000) AS g"
        )
    assert isinstance(caught.value, DatabaseError | InvalidInput)
