from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import psycopg
import pytest

from authkit.analysis import Frames
from authkit.errors import InvalidInput, NotPermitted, SchemaMismatch, Unavailable
from authkit.risk import DEFAULT
from authkit.testing.waiting import until

END = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVERY = ("attempts", "sessions", "audit", "scores")


def test_attempts_of_a_window_are_those_of_the_database(seeded):
    frame = seeded.frames().attempts(since="3d")
    [(count,)] = seeded.fetch(
        "SELECT count(*) FROM authkit.auth_attempts"
        " WHERE occurred_at >= '2026-11-20 12:00+00'"
    )
    assert len(frame) == count > 0
    assert frame["occurred_at"].is_monotonic_increasing


def test_a_frame_says_where_it_is_from_and_how_far_behind_that_is(seeded):
    said: list[str] = []

    frames = seeded.frames(say=said.append)

    asked = []

    def caught_up() -> bool:  # others write to this cluster meanwhile
        said.clear()
        asked[:] = [frames.attempts(since="1d")]
        return not asked[0].attrs["behind"]

    until(caught_up, "the replica there")
    (frame,) = asked
    assert frame.attrs["node"] == "replica"
    assert frame.attrs["lag_s"] >= 0.0
    assert frame.attrs["masked"] is True
    assert said == [
        (
            f"attempts: {len(frame):,} rows, 2026-11-22 12:00 to now UTC"
            f" (replica, at most {frame.attrs['lag_s']:.1f} s behind)"
        )
    ]


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("name", EVERY)
def test_types_do_not_depend_on_whether_there_are_rows(seeded, name: str, masked: bool):
    read = getattr(seeded.frames(masked=masked), name)
    full, empty = read(since=None), read(since="1999-01-01", until="1999-01-02")
    assert len(full) > 0
    assert len(empty) == 0
    assert empty.dtypes.equals(full.dtypes)


@pytest.mark.parametrize("name", ["attempts", "sessions"])
def test_masked_and_clear_frames_have_the_same_columns(seeded, name: str):
    masked = getattr(seeded.frames(), name)(since=None)
    clear = getattr(seeded.frames(masked=False), name)(since=None)
    assert masked.dtypes.equals(clear.dtypes)


def test_types_are_those_that_pandas_3_computes_with(seeded):
    frame = seeded.frames(masked=False).attempts(since=None)
    assert frame["occurred_at"].dtype == "datetime64[us, UTC]"
    assert (
        frame["id"].dtype == frame["address"].dtype == frame["outcome"].dtype == "str"
    )
    assert frame["asn"].dtype == "Int64"
    assert frame["risk_score"].dtype == "float64"
    sessions = seeded.frames().sessions()
    assert sessions["idle_timeout"].dtype == "timedelta64[us]"
    assert sessions["live"].dtype == "boolean"
    assert isinstance(sessions["methods"].iloc[0], list)


def test_tokens_join_across_masked_frames_and_name_nobody(seeded):
    attempts = seeded.frames().attempts(since=None)
    sessions = seeded.frames().sessions()
    assert set(sessions["user"]) <= set(attempts["user"].dropna())
    known = {str(row[0]) for row in seeded.fetch("SELECT id FROM authkit.users")}
    addresses = {
        row[0] for row in seeded.fetch("SELECT host(ip) FROM authkit.auth_attempts")
    }
    assert known.isdisjoint(attempts["user"].dropna())
    assert addresses.isdisjoint(attempts["address"].dropna())
    assert attempts["network"].str.endswith(("/24", "/48")).all()


def test_masked_and_clear_frames_tell_the_same_people_and_addresses_apart(seeded):
    masked = seeded.frames().attempts(since=None).set_index("id")
    clear = seeded.frames(masked=False).attempts(since=None).set_index("id")
    for column in ("user", "address", "device", "session", "subject"):
        both = pd.DataFrame({"m": masked[column], "c": clear[column]}).dropna()
        assert both.groupby("m")["c"].nunique().max() == 1
        assert both.groupby("c")["m"].nunique().max() == 1


@pytest.mark.parametrize("masked", [True, False])
def test_one_user_is_found_by_what_the_frame_calls_them(seeded, masked: bool):
    frames = seeded.frames(masked=masked)
    every = frames.attempts(since=None)
    user = every["user"].value_counts().index[0]
    own = frames.attempts(since=None, user=user)
    assert set(own["user"]) == {user}
    assert len(own) == (every["user"] == user).sum()


@pytest.mark.parametrize("masked", [True, False])
def test_one_address_and_one_network_are_found(seeded, masked: bool):
    frames = seeded.frames(masked=masked)
    every = frames.attempts(since=None)
    row = every[every["network"].str.endswith("/24")].iloc[0]
    by_address = frames.attempts(since=None, ip=row["address"])
    by_network = frames.attempts(since=None, ip=row["network"])
    assert set(by_address["address"]) == {row["address"]}
    assert set(by_network["network"]) == {row["network"]}
    assert len(by_network) >= len(by_address) > 0


def test_a_masked_frame_cannot_be_asked_for_somebody_by_name(seeded):
    frames = seeded.frames()
    with pytest.raises(InvalidInput, match="token"):
        frames.attempts(user="00000000-0000-7000-8000-000000000001")
    with pytest.raises(InvalidInput, match="token"):
        frames.attempts(ip="240.0.0.1")
    with pytest.raises(InvalidInput, match="token"):
        frames.attempts(ip="240.0.0.0/25")


def test_only_the_wanted_columns_come_in_the_wanted_order(seeded):
    frame = seeded.frames().attempts(columns=["outcome", "occurred_at", "outcome"])
    assert list(frame.columns) == ["outcome", "occurred_at"]


@pytest.mark.parametrize("columns", [["nonsense"], [], "outcome", ["terms"]])
def test_a_column_that_is_not_there_is_named(seeded, columns: object):
    with pytest.raises(InvalidInput, match="column"):
        seeded.frames().scores(columns=columns)


def test_scores_come_with_model_terms_and_the_reason_of_none(seeded):
    scores = seeded.frames(masked=False).scores(since=None)
    assert set(scores["model"]) == {DEFAULT}
    scored = scores[scores["score"].notna()].iloc[-1]
    assert sum(t["term"] for t in scored["terms"]) == pytest.approx(scored["score"])
    unscored = scores[scores["score"].isna()]
    assert set(unscored["unscored"]) == {"no_history"}
    assert set(unscored["n"]) == {0}


def test_jsonb_comes_as_python_values(seeded):
    audit = seeded.frames(masked=False).audit(since=None)
    grants = audit[audit["action"] == "role.grant"]
    assert {"roles"} == {key for after in grants["after"].dropna() for key in after}


def test_rate_limits_are_read_clear_only(seeded):
    assert seeded.frames(masked=False).rate_limits().empty
    with pytest.raises(NotPermitted, match="masked=False"):
        seeded.frames().rate_limits()


def test_clear_is_the_same_database_unmasked(seeded):
    frames = seeded.frames()
    assert frames.masked
    assert not frames.clear.masked
    clear = frames.clear.attempts(since=None)
    assert set(clear["id"]) == set(frames.attempts(since=None)["id"])
    assert "before" in frames.clear.audit(since=None)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("'3000000000'::oid", 3_000_000_000),
        ("interval '300 years -1 day'", timedelta(days=300 * 360 - 1)),
        ("interval '0.000001 s'", timedelta(microseconds=1)),
    ],
)
def test_large_values_of_your_own_sql_come_as_they_are(
    seeded, value: str, told: object
):
    column = seeded.frames().query(f"SELECT {value} AS v UNION ALL SELECT NULL")["v"]
    assert column[0] == told
    assert pd.isna(column[1])


def test_sql_of_your_own_takes_parameters_and_gives_usable_types(seeded):
    frame = seeded.frames().query(
        "SELECT inet '10.0.0.1' AS a, cidr '10.0.0.0/8' AS b, inet '10.0.0.1/8' AS c,"
        " uuid '00000000-0000-7000-8000-000000000001' AS d, interval '1 day 2s' AS e,"
        " 1.5::numeric AS f, '{\"k\": [1]}'::jsonb AS g, ARRAY[1, 2] AS h,"
        " $1::text AS i, NULL::integer AS j, true AS k, date '2026-11-23' AS l,"
        " inet '2001:db8::1' AS m",
        ["given"],
    )
    assert frame.drop(columns="j").iloc[0].to_dict() == {
        "a": "10.0.0.1",
        "b": "10.0.0.0/8",
        "c": "10.0.0.1/8",
        "d": "00000000-0000-7000-8000-000000000001",
        "e": pd.Timedelta(days=1, seconds=2),
        "f": 1.5,
        "g": {"k": [1]},
        "h": [1, 2],
        "i": "given",
        "k": True,
        "l": pd.Timestamp("2026-11-23"),
        "m": "2001:db8::1",
    }
    assert frame["j"].dtype == "Int32"
    assert frame["j"].isna().all()


def test_an_analyst_reads_no_table(seeded):
    for table in ("users", "auth_attempts", "audit_logs", "masking_keys"):
        with pytest.raises(NotPermitted):
            seeded.frames().query(f"SELECT * FROM authkit.{table}")


@pytest.mark.parametrize("masked", [True, False])
def test_nothing_can_be_written(seeded, masked: bool):
    frames = Frames(lambda: seeded.url, masked=masked, say=lambda _: None)
    with pytest.raises(NotPermitted):
        frames.query("UPDATE authkit.users SET name = 'x' RETURNING id")


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("SELECT * FROM nowhere", "table"),
        ("SELECT nothing FROM authkit.attempts_masked", "column"),
        ("SELEC 1", "SQL"),
        ("SHOW work_mem", "no SELECT"),
        ("SELECT 1 AS a; SELECT 2 AS b", "no SELECT"),
        ("SELECT 1 AS a, 2 AS a", "two columns are called a"),
        ("SELECT $1::int AS a", "more parameters than"),
        ("SELECT 1/0 AS a", "a value of the query"),
        ("  ", "empty"),
    ],
)
def test_a_wrong_query_is_named_without_a_stack_of_the_driver(
    seeded, sql: str, word: str
):
    with pytest.raises(InvalidInput, match=word):
        seeded.frames().query(sql)


def test_a_result_that_is_too_large_is_told_and_never_shortened(seeded):
    frames = seeded.frames(max_rows=100)
    with pytest.raises(InvalidInput, match="rows: ask for a shorter time"):
        frames.attempts(since=None)
    with pytest.raises(InvalidInput, match="more than 100 rows"):
        # The planner expects one row of such a condition; there are more.
        frames.query(
            "SELECT 1 FROM authkit.attempts_masked"
            " WHERE length(outcome) + length(stage) > 1 AND length(method) * 2 = 16"
        )
    assert len(frames.query("SELECT count(*) AS n FROM authkit.attempts_masked")) == 1


def test_a_user_who_is_no_analyst_is_told_what_to_do(seeded):
    with psycopg.connect(seeded.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE outsider LOGIN PASSWORD 'outsider'")
        try:
            url = psycopg.conninfo.make_conninfo(
                seeded.url, user="outsider", password="outsider"
            )
            frames = Frames(lambda: url, say=lambda _: None)
            with pytest.raises(NotPermitted, match="GRANT authkit_analyst"):
                frames.attempts()
        finally:
            connection.execute("DROP ROLE outsider")


def test_a_database_without_our_tables_is_named(pair):
    frames = Frames(lambda: pair.url(database="postgres"), say=lambda _: None)
    with pytest.raises(SchemaMismatch, match="authkit db setup"):
        frames.attempts()


def test_a_node_that_does_not_answer_is_named_without_its_password():
    frames = Frames(lambda: "postgresql://a:geheim@127.0.0.1:1/x", say=lambda _: None)
    with pytest.raises(Unavailable) as caught:
        frames.attempts()
    assert "geheim" not in str(caught.value)


def test_a_primary_is_called_one(seeded):
    frames = Frames(lambda: seeded.url, say=lambda _: None, now=lambda: END)
    assert frames.attempts(since=timedelta(hours=1)).attrs["node"] == "primary"


def test_the_node_is_asked_for_at_every_frame(seeded):
    asked: list[int] = []

    def url_for() -> str:
        asked.append(1)
        return seeded.replica_url

    frames = Frames(url_for, say=lambda _: None)
    assert asked == []
    frames.sessions()
    frames.audit()
    assert len(asked) == 2
