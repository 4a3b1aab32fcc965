"""The picture of measurements over time: what changed comes first, and is marked."""

from __future__ import annotations

import pandas as pd
import pytest

from authkit.analysis import plots
from authkit.errors import InvalidInput

CHANGES = ["started", "series", "revision", "ratio"]


def points(series: int, versions: int = 6) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "started": pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(days=day),
            "series": f"series {number:02}",
            "revision": f"c{day}",
            "value": 3.0 + 2 * (number == series - 1 and day > 2),
        }
        for number in range(series)
        for day in range(versions)
    )


@pytest.mark.parametrize("look", ["light", "dark"])
def test_a_series_that_changed_comes_first_and_its_change_is_marked(look):
    change = points(20).query("series == 'series 19' and revision == 'c3'")
    picture = plots.measured_over_time(
        points(20), change.assign(ratio=1.667)[CHANGES], look=look
    )
    drawn = picture.frame
    assert drawn["series"].nunique() == 12
    assert "series 19" in set(drawn["series"])
    assert picture.chart.to_dict()["facet"]["sort"][:2] == [
        "series 19: 5, changed for good: \N{MULTIPLICATION SIGN}1.67",
        "series 00: 3, the same in every version",
    ]
    svg = picture.svg()
    assert "1.67" in svg
    assert "20 series, 12 drawn; 1 change" in svg


def test_versions_stand_side_by_side_however_long_lay_between():
    measured = points(2, versions=3)
    measured.loc[measured["revision"] == "c2", "started"] += pd.Timedelta(days=300)
    scattered = measured.assign(value=[3.0, 4.0, 3.5, 1.0, 1.0, 1.0])
    none = pd.DataFrame(columns=CHANGES)
    spec = plots.measured_over_time(scattered, none).chart.to_dict()
    assert spec["facet"]["sort"] == [
        "series 00: 3.5, no lasting change",
        "series 01: 1, the same in every version",
    ]
    axis = spec["spec"]["layer"][0]["encoding"]["x"]
    assert (axis["type"], axis["sort"]) == ("ordinal", ["c0", "c1", "c2"])


def test_without_changes_and_without_points_there_is_a_picture_too():
    none = pd.DataFrame(columns=CHANGES)
    assert (
        "2 series, 2 drawn; 0 changes"
        in plots.measured_over_time(points(2), none).svg()
    )
    empty = plots.measured_over_time(points(2).head(0), none)
    assert "Nothing in this window." in empty.svg()
    with pytest.raises(InvalidInput, match="lacks value"):
        plots.measured_over_time(points(1).drop(columns="value"), none)
