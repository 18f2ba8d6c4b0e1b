"""The charts: what is drawn, what is said of it, and that it can be embedded."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import comparisons
import numpy as np
import pytest

from reports.model import Comparison
from reports.render.charts import charts, save_charts
from reports.render.figures import Chart


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[Chart, ...]]:
    return {name: charts(make()) for name, make in comparisons.SITUATIONS.items()}


def texts(chart: Chart) -> list[str]:
    svg = re.sub(r"xlink:href", "href", chart.svg)
    return ["".join(e.itertext()).strip() for e in ET.fromstring(svg).iter("text")]


def by_kind(found: tuple[Chart, ...], kind: str) -> Chart:
    return next(chart for chart in found if chart.kind == kind)


def test_every_kind_is_drawn_that_there_are_numbers_for(
    drawn: dict[str, tuple[Chart, ...]],
) -> None:
    kinds = ["latency", "accuracy", "distribution", "ecdf", "size", "heatmap"]
    assert [c.kind for c in drawn["good"]] == kinds
    assert [c.kind for c in drawn["detailed"]] == [
        "latency", "accuracy", "ops", "op-differences", "distribution", "ecdf", "launches", "size",
        "heatmap",
    ]  # fmt: skip


def test_every_measured_case_is_named_in_the_chart_of_latencies(
    drawn: dict[str, tuple[Chart, ...]],
) -> None:
    names = texts(by_kind(drawn["good"], "latency"))
    for row in comparisons.good().rows:
        assert row.case.label in names


def test_a_case_without_a_number_is_not_drawn_and_a_doubtful_one_is_marked(
    drawn: dict[str, tuple[Chart, ...]],
) -> None:
    words = " ".join(texts(by_kind(drawn["failures"], "latency")))
    assert "fp16 · none · 1 thread" not in words
    for caveat in ("(TAINTED)", "(NOISY)", "(INVALID)", "(not as asked)", "(NOT STEADY)"):
        assert caveat in words
    assert "hollow: see its verdict" in texts(by_kind(drawn["failures"], "accuracy"))


def test_the_front_is_lettered(drawn: dict[str, tuple[Chart, ...]]) -> None:
    words = texts(by_kind(drawn["good"], "accuracy"))
    assert "A: int8-qat · xnnpack · 2 threads" in words
    assert {"A", "B", "C"} <= set(words)


def test_without_accuracy_there_is_no_chart_of_it(drawn: dict[str, tuple[Chart, ...]]) -> None:
    assert "accuracy" not in [c.kind for c in drawn["no_accuracy"]]
    assert "latency" in [c.kind for c in drawn["no_accuracy"]]


def test_without_samples_there_is_no_chart_of_them() -> None:
    rows = tuple(replace(row, launch_samples_us=()) for row in comparisons.good().rows)
    kinds = {c.kind for c in charts(comparisons.comparison(rows))}
    assert not kinds & {"distribution", "ecdf", "launches"}


def test_without_any_number_nothing_is_drawn() -> None:
    row = comparisons.without_numbers(comparisons.row("fp32"), failure="crash: it died")
    assert charts(comparisons.comparison((row,), variants=())) == ()


def test_models_and_devices_are_drawn_apart(drawn: dict[str, tuple[Chart, ...]]) -> None:
    keys = [chart.key for chart in drawn["multi"]]
    # Two models on two devices by four kinds; two matrices; one of sizes.
    assert len(keys) == len(set(keys)) == 4 * 4 + 2 + 1


def test_a_simulated_chart_says_so(drawn: dict[str, tuple[Chart, ...]]) -> None:
    for chart in drawn["simulated"]:
        assert chart.title.startswith("SIMULATED")
        assert any("SIMULATED" in text for text in texts(chart))
    assert not any("SIMULATED" in chart.svg for chart in drawn["good"])


def spread(factor: float) -> Comparison:
    fast, slow = comparisons.row("int8"), comparisons.row("fp32", "none")
    assert fast.p50_us is not None
    value = fast.p50_us * factor
    slow = replace(slow, p50_us=value, p50_interval_us=None, p90_us=value, p90_interval_us=None)
    return comparisons.comparison((fast, slow))


@pytest.mark.parametrize(("factor", "is_log"), [(15.0, False), (25.0, True)])
def test_a_wide_spread_gets_a_log_axis_and_the_caption_says_so(factor: float, is_log: bool) -> None:
    chart = by_kind(charts(spread(factor)), "latency")
    assert ("logarithmic" in chart.caption) is is_log
    assert any("log scale" in text for text in texts(chart)) is is_log


@pytest.mark.parametrize("situation", comparisons.SITUATIONS)
def test_a_chart_can_stand_in_a_page_beside_the_others(
    drawn: dict[str, tuple[Chart, ...]], situation: str
) -> None:
    ids: list[str] = []
    for chart in drawn[situation]:
        assert "http" not in chart.svg
        assert "<image" not in chart.svg
        assert "currentColor" in chart.svg
        own = re.findall(r' id="([^"]+)"', chart.svg)
        ids += own
        for target in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', chart.svg):
            assert "".join(target) in own
    assert len(ids) == len(set(ids))


def test_the_same_comparison_gives_the_same_chart(drawn: dict[str, tuple[Chart, ...]]) -> None:
    assert charts(comparisons.simulated()) == drawn["simulated"]


def test_one_launch_of_equal_samples_can_be_drawn() -> None:
    row = replace(comparisons.row("fp32"), launch_samples_us=(np.full(100, 1900.0),))
    kinds = [chart.kind for chart in charts(comparisons.comparison((row,)))]
    assert kinds == ["latency", "accuracy", "distribution", "ecdf", "size"]


def test_files_are_written_for_every_chart(tmp_path: Path) -> None:
    written = save_charts(comparisons.simulated(), tmp_path / "new")
    assert {path.name for path in written} == {
        f"{kind}.{ending}"
        for kind in ("latency", "accuracy", "distribution", "ecdf", "size")
        for ending in ("svg", "png")
    }
    for path in written:
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG" if path.suffix == ".png" else b"<?xml")
        assert b"currentColor" not in content
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(p.name for p in written)
