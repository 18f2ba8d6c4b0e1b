"""Charts and sparklines of series: what is marked, that it is bounded, and that names are data."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import comparisons
import drawn_series
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.numerics.model import NumericsWord
from bench.points import PointState
from reports.history.model import ProvenanceChange, SeriesHistory
from reports.render.series_charts import save_series_charts, series_chart
from reports.render.series_marks import MOST_POINTS
from reports.render.sparklines import change, sparkline

RUNTIME = ProvenanceChange("runtime", "2.1.0", "2.2.0")


def texts(svg: str) -> list[str]:
    return ["".join(e.itertext()).strip() for e in parsed(svg).iter("text")]


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg.replace("xlink:href", "href"))


def test_a_step_is_labelled_with_its_size_and_a_change_with_its_letter() -> None:
    words = texts(series_chart(drawn_series.eventful()))
    first, second = drawn_series.eventful().steps
    assert {change(first.ratio), change(second.ratio)} <= set(words)
    assert "b  2025-04-14: runtime 2.1.0 → 2.2.0; GPU driver not recorded → 512.615" in words
    assert {"a", "b", "c"} <= set(words)
    assert "level, and step" in words


def test_what_became_of_runs_without_a_number_is_named() -> None:
    words = texts(series_chart(drawn_series.eventful()))
    assert {"failed", "fell back", "invalid", "lone point"} <= set(words)
    assert "baseline: pinned run 01980000" in words
    quiet = texts(series_chart(drawn_series.series(drawn_series.quiet(9))))
    assert not {"failed", "fell back", "level, and step", "lone point"} & set(quiet)


def test_a_lone_point_far_outside_stands_at_the_edge_with_its_ratio() -> None:
    values: list[float | None] = [*drawn_series.quiet(9)]
    values[4] = 5.0 * 1910
    words = texts(series_chart(drawn_series.series(values, spikes=(4,))))
    assert any(re.fullmatch(r"5\.0\d×|4\.9\d×", word) for word in words)
    ticks = [float(word.removesuffix(" ms")) for word in words if word.endswith(" ms")]
    assert ticks
    assert max(ticks) < 3, "the axis follows the level and not the lone point"


def test_wrong_answers_and_another_quantity_are_marked() -> None:
    series = drawn_series.series(drawn_series.quiet(6))
    points = list(series.points)
    points[2] = replace(points[2], numerics=NumericsWord.WRONG)
    judged = (*points[:4], points[5])
    words = texts(series_chart(replace(series, points=tuple(points), judged=judged)))
    assert {"WRONG answers", "another quantity"} <= set(words)


def test_a_simulated_series_says_so() -> None:
    series = drawn_series.series(drawn_series.quiet(4))
    points = tuple(replace(p, simulated=True) for p in series.points)
    svg = series_chart(replace(series, points=points, judged=points))
    assert any(word.startswith("SIMULATED: ") for word in texts(svg))
    assert "SIMULATED" not in series_chart(series)


def test_long_series_are_bounded_and_say_what_is_left_out() -> None:
    count = 3 * MOST_POINTS
    changes = {n: (replace(RUNTIME, after="x" * 200),) for n in range(5, count, 7)}
    series = drawn_series.series(
        drawn_series.quiet(count), steps=(count - 20,), changes=changes, days=1
    )
    svg = series_chart(series)
    words = texts(svg)
    assert f"{count - MOST_POINTS} older runs not drawn" in words
    assert any("without a letter" in word for word in words)
    assert len(svg.encode()) < 25_000
    assert len(sparkline(series)) < 3_000


def test_without_a_point_there_is_no_chart_and_without_a_number_it_says_so() -> None:
    assert series_chart(drawn_series.series([])) == sparkline(drawn_series.series([])) == ""
    failed = drawn_series.series([None, None, None])
    assert "no number that counts" in texts(series_chart(failed))
    assert "no number" in sparkline(failed)


@pytest.mark.parametrize(
    "series",
    [
        drawn_series.eventful(),
        drawn_series.series([1910.0]),
        drawn_series.series([1910.0, 1910.0]),
        drawn_series.series([None, 1910.0], states={0: PointState.UNFINISHED}),
        drawn_series.series(drawn_series.quiet(6), days=0.001),
        drawn_series.series([0.4, 0.5, 0.4]),
    ],
    ids=["eventful", "one", "two equal", "unfinished", "minutes", "below a microsecond"],
)
def test_every_chart_is_an_element_of_its_own_made_alike_without_a_warning(
    series: SeriesHistory,
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = series_chart(series)
        assert svg == series_chart(series)
    root = parsed(svg)
    assert root.get("role") == "img"
    assert (root.get("aria-label") or "").startswith("int8 · gpu · 4 threads")
    ids = re.findall(r' id="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert all(one.startswith("series-") for one in ids)
    assert set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg)) <= {
        *((one, "") for one in ids),
        *(("", one) for one in ids),
    }
    assert "http" not in svg
    assert "currentColor" in svg


@pytest.mark.parametrize("name", comparisons.HOSTILE)
def test_names_are_data(name: str) -> None:
    case = replace(drawn_series.CASE, model=name, device=name, variant=name)
    series = drawn_series.series(
        [*drawn_series.quiet(4), *drawn_series.quiet(4, 2600.0)],
        steps=(4,),
        case=case,
        changes={4: (ProvenanceChange(name, name, name),)},
        baseline=name,
    )
    for svg in (series_chart(series), sparkline(series)):
        root = parsed(svg)
        assert "<script" not in svg
        assert "<img" not in svg
        assert not {e.tag for e in root.iter()} & {"script", "img", "image", "foreignObject"}
    assert "\x1b" not in series_chart(series)


def test_a_sparkline_says_in_words_what_it_shows() -> None:
    series = drawn_series.eventful()
    root = ET.fromstring(sparkline(series))
    title = root.findtext("title") or ""
    assert title == root.get("aria-label")
    assert f"{len(series.points)} runs from 2025-01-06 to" in title
    assert change(series.steps[0].ratio) in title
    assert "2 lone points" in title
    assert "4 without a number" in title


def test_a_sparkline_marks_steps_lone_points_and_failures() -> None:
    root = ET.fromstring(sparkline(drawn_series.eventful()))
    paths = list(root.iter("path"))
    dashed = [e for e in paths if e.get("stroke-dasharray")]
    crosses = [e for e in paths if "l4 4m0-4l-4 4" in (e.get("d") or "")]
    rings = [e for e in root.iter("circle") if e.get("fill") == "none"]
    assert (len(dashed), len(crosses), len(rings)) == (2, 3, 2)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.none() | st.floats(0.01, 1e9), max_size=90),
    st.floats(0.0001, 60),
)
def test_whatever_was_measured_a_sparkline_stays_in_its_box(
    values: list[float | None], days: float
) -> None:
    svg = sparkline(drawn_series.series(values, days=days))
    if not values:
        assert svg == ""
        return
    root = ET.fromstring(svg)
    for line in root.iter("polyline"):
        for pair in (line.get("points") or "").split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= 120
            assert 0 <= y <= 24


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(1.052, "+5.2 %"), (0.95, "−5.0 %"), (2.13, "2.13×"), (0.4, "0.400×"), (1.0, "+0.0 %")],
)
def test_a_step_is_said_as_people_say_it(ratio: float, text: str) -> None:
    assert change(ratio) == text


def test_files_are_written(tmp_path: Path) -> None:
    both = [drawn_series.eventful(), drawn_series.series([])]
    written = save_series_charts(both, tmp_path)
    assert [path.suffix for path in written] == [".svg", ".png"]
    assert written[1].read_bytes().startswith(b"\x89PNG")
    assert b"currentColor" not in written[0].read_bytes()
