from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ET
from base64 import b64decode
from dataclasses import replace

import pytest

from authkit.figures import figure
from authkit.harness.activity import Checkpoints, Waiting, over_time
from authkit.harness.database import DatabaseSide, LagSample, Statement
from authkit.harness.phases import Mark, phases
from authkit.harness.recorder import Recorder, Recording
from authkit.harness.report import (
    Drawing,
    Story,
    Tile,
    milliseconds,
    render,
    with_short_names,
)
from authkit.harness.series import folded

START = 1_800_000_000.0


def recorded(loop="closed") -> Recording:
    source = random.Random(1)  # noqa: S311 # a load, no secret
    now = [START]
    recorder = Recorder(slot_s=0.25, loop=loop, clock=lambda: now[0])
    for at in range(200):
        now[0] = START + at / 20
        node, role = ("n1", "primary") if at < 100 else ("n2", "primary")
        taken = source.uniform(0.001, 0.002)
        response = taken * 2 if loop == "open" else None
        recorder.record("sessions.validate", role, node, taken, response_s=response)
        recorder.arrival(0.0001, late=False)
    recorder.record("sessions.create", None, None, 0.5, error="NoPrimary")
    return recorder.drain()


def story(loop="closed") -> Story:
    span = (START, START + 10)
    return Story(
        title="A <b>failover</b>",
        summary="It went well.",
        recording=recorded(loop),
        span=span,
        tiles=(Tile("outage", "640 ms", "goal", holds=True),),
        figures=(figure("outage_ms", 640.0, "ms", goal=("<=", 3000)),),
        marks=(
            Mark(START + 4.0, "killed", "n1"),
            Mark(START + 4.2, "promoted", "n2"),
            Mark(START + 5.0, "writing", "n2"),
            Mark(START + 7.0, "rejoined", "n1"),
        ),
        phases=phases(span, 0.25, (START + 4.0, START + 5.0)),
        start_roles={"n1": "primary", "n2": "replica"},
        database=DatabaseSide(
            (Statement("n1", "sessions.validate", 100, 12.5, 100, 400, 3, 0),),
            (LagSample(START + 1, "n2", 2048), LagSample(START + 2, "n2", 0)),
        ),
        settings={"load": "two users"},
        drawings=(Drawing("A risk", "<svg id='light'/>", "<svg id='dark'/>"),),
    )


def pictures(html: str) -> list[ET.Element]:
    found = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    return [ET.fromstring(text) for text in found]  # noqa: S314 # our own charts


@pytest.fixture(scope="module")
def html() -> str:
    return render(story())


def test_the_report_needs_no_network(html: str):
    # Names of XML namespaces are no addresses that anything is loaded from.
    loaded = re.findall(
        r"""(?:src|srcset|href|url)\s*[=(]\s*["']?(?!#)([^"')\s]+)""", html
    )
    assert [name for name in loaded if not name.startswith("data:")] == []
    assert "<script" not in html
    assert "@import" not in html


def test_every_picture_has_marks_and_words(html: str):
    drawn = pictures(html)
    assert len(drawn) == 5
    for picture in drawn:
        tags = [element.tag.rpartition("}")[2] for element in picture.iter()]
        assert tags.count("path") > 4
        assert tags.count("text") > 4


def test_axes_name_what_they_show_with_its_unit(html: str):
    words = {e.text for picture in pictures(html) for e in picture.iter() if e.text}
    assert {
        "seconds since the start",
        "service time (ms)",
        "successful operations (1/s)",
        "failed operations (1/s)",
        "not yet replayed (kB)",
    } <= words


def test_the_failover_is_marked_by_words(html: str):
    words = {e.text for picture in pictures(html) for e in picture.iter() if e.text}
    assert {"n1 killed", "n2 promoted", "n2 writes again", "n1 rejoined"} <= words


def test_colours_follow_light_and_dark(html: str):
    svg = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    defined = set(re.findall(r"(--[\w-]+):", html))
    assert set(re.findall(r"var\((--[\w-]+)\)", svg)) <= defined
    fixed = set(re.findall(r"#[0-9a-f]{6}", svg))
    assert fixed == set()


def test_a_drawing_is_an_image_for_light_and_one_for_dark(html: str):
    found = re.findall(r'data:image/svg\+xml;base64,([^"]+)"', html)
    assert {b64decode(text) for text in found} == {
        b"<svg id='light'/>",
        b"<svg id='dark'/>",
    }


def test_text_is_escaped(html: str):
    assert "<b>failover</b>" not in html
    assert "&lt;b&gt;failover" in html


def test_a_panel_without_rows_is_left_out():
    quiet = Recorder(slot_s=0.25, clock=lambda: START)
    quiet.record("sessions.validate", "primary", "n1", 0.001)
    calm = replace(story(), recording=quiet.drain(), database=DatabaseSide(), marks=())
    html = render(calm)
    assert "No call failed." in html
    assert "What the servers said" not in html
    assert len(pictures(html)) == 3


def test_a_run_in_which_everything_failed_is_still_drawn():
    broken = Recorder(slot_s=0.25, clock=lambda: START + 1)
    broken.record("sessions.validate", None, None, 0.1, error="NoPrimary")
    html = render(replace(story(), recording=broken.drain()))
    assert "NoPrimary" in html


def test_waits_and_checkpoints_are_shown_where_there_were_any():
    pressed = Recorder(slot_s=0.25, clock=lambda: START + 1)
    pressed.record("sessions.validate", "primary", "n1", 0.002, wait_s=0.001)
    pressed.count("stale read")
    side = DatabaseSide(
        waits=(
            Waiting(START + 1, "n1", "IPC: SyncRep", 3),
            Waiting(START + 1.1, "n1", "on the processor", 0),
        ),
        checkpoints=(Checkpoints("n1", 2, 1500.0, 20.0),),
    )
    html = render(replace(story(), recording=pressed.drain(), database=side, marks=()))
    words = {e.text for picture in pictures(html) for e in picture.iter() if e.text}
    assert {"calls that waited (1/s)", "active connections", "IPC: SyncRep"} <= words
    assert "<td>1.50</td>" in html


def test_active_connections_are_the_mean_of_several_looks_at_every_node():
    samples = [
        Waiting(10.0, "a", "IO: DataFileRead", 4),
        Waiting(10.2, "a", "on the processor", 0),
        Waiting(10.0, "b", "IO: DataFileRead", 2),
        Waiting(10.2, "b", "IO: DataFileRead", 2),
    ]
    rows = {row["event"]: row["per_s"] for row in over_time(samples, 10.0, 11.0, 0.5)}
    assert rows == {"IO: DataFileRead": 4.0, "on the processor": 0.0}


def test_a_node_that_is_down_changes_nothing_in_the_connections_of_another():
    samples = [
        *(Waiting(10 + at / 4, "a", "on the processor", 10) for at in range(8)),
        *(Waiting(10 + at / 4, "b", "on the processor", 2) for at in range(4)),
    ]
    found = [row["per_s"] for row in over_time(samples, 10.0, 12.0, 1.0)]
    assert found == [12.0, 10.0]


def test_nodes_of_one_host_are_named_by_their_ports():
    recorder = Recorder(slot_s=0.25, clock=lambda: START)
    recorder.record("sessions.validate", "primary", "127.0.0.1:5001", 0.001)
    roles = {"127.0.0.1:5001": "primary", "127.0.0.1:5002": "replica"}
    found = with_short_names(
        replace(story(), recording=recorder.drain(), start_roles=roles)
    )
    assert found.recording.keys[0].node == ":5001"
    assert set(found.start_roles) == {":5001", ":5002"}
    other = replace(story(), start_roles={"a:1": "primary", "b:1": "replica"})
    assert with_short_names(other) is other


def test_an_open_loop_shows_response_time_and_the_generators_lag():
    html = render(story("open"))
    assert "response time (ms)" in html
    assert "generator itself was late" in html


def test_a_run_that_proves_nothing_says_so_at_its_head(html: str):
    assert "proves nothing" not in html
    page = render(replace(story(), invalid="it was late & slow"))
    head = page.partition("</header>")[0]
    assert "This run proves nothing: it was late &amp; slow." in head


def test_a_stack_shows_the_most_frequent_parts_and_the_rest_as_one():
    rows = [
        {"t": t, "t2": t + 1, "operation": f"o{n}", "per_s": float(n)}
        for n in range(1, 10)
        for t in (0, 1)
    ]
    found = folded(rows, "operation")
    at_once = {row["operation"]: row["per_s"] for row in found if row["t"] == 0}
    assert at_once == {"o9": 9, "o8": 8, "o7": 7, "o6": 6, "o5": 5, "others": 10}
    assert folded(rows[:4], "operation") == rows[:4]


def test_what_is_undone_after_the_end_is_not_drawn_beyond_it():
    late = Mark(START + 99, "rejoined", "n1")
    page = render(replace(story(), marks=(Mark(START + 4.0, "killed", "n1"), late)))
    assert "n1 killed" in page
    assert "n1 rejoined" not in page


def test_milliseconds_are_written_as_people_read_them():
    shown = [milliseconds(value) for value in (0.0764, 2.345, 280.2, 3705.668)]
    assert shown == ["0.076", "2.35", "280", "3\u202f706"]
