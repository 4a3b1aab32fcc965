"""What analysis costs at full size, beside the least that each work can cost.

python bench/analysis.py frames    1M attempts x 15 columns to pandas
python bench/analysis.py ingest    a log of OpenSSH into the database
python bench/analysis.py export    20M exported rows, read by DuckDB
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from auth_log import lines_of
from exported import export
from measuring import migrated, ratio

from authkit.figures import Figure, Report, figure

COLUMNS = (
    "occurred_at",
    "id",
    "user",
    "address",
    "network",
    "asn",
    "country",
    "user_agent",
    "device",
    "client",
    "stage",
    "method",
    "outcome",
    "failure_reason",
    "risk_score",
)
# All of a row but its time and its id.
_REST = """session_id, user_id, subject_hash, ip, asn, country, user_agent,
    device_fingerprint, client_id, stage, method, outcome, failure_reason,
    settled_at, risk_score, risk_model, risk_model_version, risk_features"""


def main() -> None:
    """Measure, print, write; ends with 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("frames", "ingest", "export"))
    parser.add_argument("--rows", type=int, help="1M; 200,000 lines; 20M")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", type=Path, help="keep the export here, go on with it")
    parser.add_argument("--json", metavar="FILE")
    asked = parser.parse_args()
    started, began = datetime.now(UTC), time.perf_counter()
    if asked.what == "frames":
        found = frames(asked.rows or 1_000_000, asked.rounds)
    elif asked.what == "ingest":
        found = ingest(asked.rows or 200_000, asked.rounds)
    else:
        found = export(asked.rows or 20_000_000, asked.rounds, asked.dir)
    report = Report(
        f"bench {asked.what}",
        started,
        time.perf_counter() - began,
        tuple(
            replace(f, value=round(f.value, 3)) if isinstance(f.value, float) else f
            for f in found
        ),
    )
    for one in report.figures:
        held = {None: "", True: "  holds", False: "  MISSED"}[one.holds]
        told = f"{one.name:34} {one.value} {one.unit} {one.goal or ''}{held}"
        sys.stdout.write(f"{told}\n")
    if asked.json:
        report.write_json(asked.json)
    sys.exit(report.exit_code)


# --- frames ---------------------------------------------------------------------------


def frames(rows: int, rounds: int) -> list[Figure]:
    """Each reading in a process of its own, in turns; its memory is what it grew."""
    from authkit.workload.load import seed

    took: dict[str, list[float]] = {}
    grew: dict[str, list[float]] = {}
    with migrated() as lab:
        seed(lab.url(), users=2_000, days=7, seed=1)
        lab.sql(
            f"INSERT INTO authkit.auth_attempts (occurred_at, id, {_REST})"  # noqa: S608 # a number and names of our own
            f" SELECT occurred_at, gen_random_uuid(), {_REST}"
            " FROM authkit.auth_attempts CROSS JOIN generate_series(1,"
            f" {rows} / (SELECT count(*) FROM authkit.auth_attempts))"
            f" LIMIT {rows} - (SELECT count(*) FROM authkit.auth_attempts)"
        )
        lab.sql("VACUUM ANALYZE authkit.auth_attempts")
        arms = ("ADBC", "frames", "ADBC masked", "frames masked")
        for number in range(rounds + 1):
            turned = arms if number % 2 else arms[::-1]
            for arm in turned:
                found, seconds, mib = _apart(arm, lab.url())
                if found != rows:
                    raise SystemExit(f"{arm} read {found:,} rows, not {rows:,}")
                if number:  # the first warms up
                    took.setdefault(arm, []).append(seconds)
                    grew.setdefault(arm, []).append(mib)
        _, read_sql, read_sql_mib = _apart("read_sql", lab.url())
    return [
        figure("rows", rows),
        figure("columns", len(COLUMNS)),
        *(figure(f"{arm} seconds", median(took[arm]), "s") for arm in arms),
        figure("frames to ADBC", ratio(took["frames"], took["ADBC"]), goal=("<=", 1.1)),
        figure(
            "masked frames to ADBC on the view",
            ratio(took["frames masked"], took["ADBC masked"]),
            goal=("<=", 1.1),
        ),
        figure("masked to clear", ratio(took["frames masked"], took["frames"])),
        figure(
            "frames peak growth",
            max(grew["frames"]),
            "MiB",
            goal=("<=", 400 / 1.048576),
        ),
        figure("ADBC peak growth", max(grew["ADBC"]), "MiB"),
        figure("read_sql seconds", read_sql, "s"),
        figure("read_sql peak growth", read_sql_mib, "MiB"),
        figure(
            "read_sql to frames", read_sql / median(took["frames"]), goal=(">=", 20)
        ),
    ]


def _apart(arm: str, url: str) -> tuple[int, float, float]:
    """Measure in a fresh process, so that no other reading's memory is counted."""
    spawned = multiprocessing.get_context("spawn")
    with spawned.Pool(1) as pool:
        return pool.apply(_measured, (arm, url))


def _measured(arm: str, url: str) -> tuple[int, float, float]:
    read = _reading(arm, url)
    before = _status("VmRSS")
    began = time.perf_counter()
    found = read()
    seconds = time.perf_counter() - began
    return found, seconds, (_status("VmHWM") - before) / 1024


def _status(field: str) -> int:
    """Return a line of /proc/self/status, in KiB; the peak is VmHWM (proc(5))."""
    told = Path("/proc/self/status").read_text().split(f"{field}:")[1]
    return int(told.split()[0])


def _reading(arm: str, url: str) -> Callable[[], int]:
    """Import what an arm needs, and return what is measured of it."""
    import pyarrow as pa

    from authkit.analysis import Frames
    from authkit.harness.peers import frames as peers

    plain = arm.removesuffix(" masked")
    name = {"ADBC": peers.BARE, "frames": peers.OURS, "read_sql": peers.READ_SQL}[plain]
    arms, missing = peers.opened(url, (name,), columns=COLUMNS, masked=arm != plain)
    if missing:
        raise SystemExit(missing[0].missing)
    # What is loaded with the first use, by whichever arm, is not of the frame.
    pa.array([1]).to_pandas()
    Frames(lambda: url, say=lambda _: None).attempts("1970-01-01", "1970-01-02")
    return lambda: len(arms[name]())


# --- ingest ---------------------------------------------------------------------------


def ingest(count: int, rounds: int) -> list[Figure]:
    """Lines read, lines into the table, and the same rows by COPY, in turns."""
    from authkit.analysis.ingest import Clock, OpenSSH
    from authkit.analysis.ingest import ingest as take
    from authkit.crypto import KeyedHash

    lines = lines_of(datetime(2026, 10, 1, tzinfo=UTC), count)
    now = datetime(2026, 11, 1, tzinfo=UTC)
    read: list[float] = []
    whole: list[float] = []
    copied: list[float] = []
    rows = 0
    with migrated() as lab, tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            began = time.perf_counter()
            for _ in OpenSSH(Clock(2026, now=now)).read(lines):
                pass
            read.append(count / (time.perf_counter() - began))
            found = take(
                lab.url(),
                lines,
                OpenSSH(Clock(2026, now=now)),
                source=f"round{number}",
                hashing=KeyedHash.random(),
                rejects=Path(folder) / "rejects",
            )
            whole.append(count / found.seconds)
            rows = found.new
            copied.append(count / _copied_again(lab.url()))
    return [
        figure("lines", count),
        figure("attempts among them", rows),
        figure("read alone", median(read), "lines/s"),
        figure("into the database", median(whole), "lines/s", goal=(">=", 60_000)),
        figure("slowest round", min(whole), "lines/s"),
        figure("plain COPY of the rows", median(copied), "lines/s"),
        figure("COPY to ingest", ratio(copied, whole)),
    ]


def _copied_again(url: str) -> float:
    """Take all rows out, copy them in again; returns the seconds of that."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.cursor()
        with cursor.copy(
            "COPY (SELECT * FROM authkit.auth_attempts) TO STDOUT (FORMAT binary)"
        ) as out:
            data = b"".join(bytes(part) for part in out)
        connection.execute("TRUNCATE authkit.auth_attempts")
        began = time.perf_counter()
        with cursor.copy("COPY authkit.auth_attempts FROM STDIN (FORMAT binary)") as to:
            for at in range(0, len(data), 262_144):
                to.write(data[at : at + 262_144])
        seconds = time.perf_counter() - began
        connection.execute("TRUNCATE authkit.auth_attempts")
        return seconds


if __name__ == "__main__":
    main()
