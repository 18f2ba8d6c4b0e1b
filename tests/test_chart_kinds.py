"""The map of speed-ups, the charts of ops and of launches: numbers are those of the tables."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import comparisons
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import format as fmt
from bench.identity import DelegateSpec
from reports.compare import compare
from reports.delegate_model import OpDifference
from reports.model import Comparison, Row
from reports.render import choice, heatmap
from reports.render.chart_tables import chart_tables
from reports.render.charts import charts
from reports.render.figures import Chart
from reports.render.html import html
from reports.render.launch_charts import MOST_BINS, envelope
from reports.render.matrix import matrices
from reports.render.op_charts import MOST_KINDS, MOST_PAIRS, op_name, signed
from tests.synthetic_runs import device_name, run_data


def texts(chart: Chart) -> list[str]:
    svg = chart.svg.replace("xlink:href", "href")
    return ["".join(e.itertext()).strip() for e in ET.fromstring(svg).iter("text")]


def of_kind(comparison: Comparison, kind: str) -> Chart:
    return next(chart for chart in charts(comparison) if chart.kind == kind)


@pytest.fixture(scope="module")
def detailed() -> dict[str, Chart]:
    return {chart.kind: chart for chart in charts(comparisons.detailed())}


# The map.


def test_every_number_and_word_of_the_matrix_stands_in_its_map() -> None:
    matrix = matrices(comparisons.delegates())[0]
    words = texts(of_kind(comparisons.delegates(), "heatmap"))
    for line in matrix.lines:
        for cell in line.cells:
            for entry in cell:
                if entry.word == "N/A":
                    continue
                assert entry.word in words
                shown = entry.number
                if entry.verdict is not None and entry.verdict.change.lower() != "changed":
                    shown = f"{entry.number} {entry.verdict.change.lower()}"
                assert shown in words or entry.number == fmt.ABSENT
    assert "N/A" not in words


def test_the_map_hatches_what_must_not_be_read_as_a_speed_up() -> None:
    words = texts(of_kind(comparisons.delegates(), "heatmap"))
    assert {"NONE", "UNKNOWN or SUSPECT", "WRONG"} <= set(words)
    rows = tuple(
        r for r in comparisons.delegates().rows if r.case.delegate.name in ("none", "xnnpack")
    )
    sound = texts(of_kind(comparisons.comparison(rows), "heatmap"))
    assert not {"NONE", "UNKNOWN or SUSPECT", "WRONG"} & set(sound)


def test_a_case_with_several_threads_has_a_column_for_each() -> None:
    one = comparisons.row("fp32", "xnnpack", 1)
    two = comparisons.row("fp32", "xnnpack", 2)
    rows = (one, two, comparisons.on("gpu", one, 1.5), comparisons.on("gpu", two, 0.8))
    words = texts(of_kind(comparisons.comparison(rows), "heatmap"))
    assert "1.50×" in words
    assert "0.800×" in words
    assert words.count("1 thread") == words.count("2 threads") == 2


def test_without_a_speed_up_there_is_no_map() -> None:
    rows = tuple(replace(row, against_cpu=None) for row in comparisons.detailed().rows)
    assert "heatmap" not in {chart.kind for chart in charts(comparisons.comparison(rows))}


def on_many_devices(count: int, slow: Sequence[int] = ()) -> Comparison:
    cpu = comparisons.row("int8", "xnnpack")
    rows: list[Row] = []
    for number in range(count):
        speed = 0.5 if number in slow else 2.0
        for base in (cpu, comparisons.on("gpu", cpu, speed)):
            case = replace(base.case, device=f"phone-{number:03d}")
            rows.append(replace(base, case=case, case_id=case.case_id))
    return comparisons.comparison(tuple(rows), variants=())


def test_a_large_map_shows_the_slow_ones_and_says_what_it_leaves_out() -> None:
    chart = of_kind(on_many_devices(100, slow=(3, 97)), "heatmap")
    words = texts(chart)
    lines = [word for word in words if word.endswith("· int8")]
    assert len(lines) == heatmap.MOST_LINES
    assert {"phone-003 · int8", "phone-097 · int8"} <= set(lines)
    assert f"{100 - heatmap.MOST_LINES} lines more in the table" in chart.caption
    assert "more in the table" not in of_kind(on_many_devices(5), "heatmap").caption


# Which groups are drawn.


def test_of_many_devices_those_are_drawn_that_ask_for_a_look() -> None:
    chosen = choice.chosen(on_many_devices(40, slow=(7, 31)))
    assert len(chosen.groups) == choice.MOST_OF_A_MODEL
    assert {"phone-007", "phone-031"} <= chosen.devices
    assert chosen.left_out == 40 - choice.MOST_OF_A_MODEL
    assert "Drawn are 3 of 40 tables" in chosen.rule


def test_a_page_of_many_devices_says_by_what_rule_it_draws() -> None:
    page = html(on_many_devices(12))
    assert "Drawn are 3 of 12 tables" in page
    assert page.count('id="caption-latency') == choice.MOST_OF_A_MODEL
    assert "Drawn are" not in html(on_many_devices(2))


def test_every_model_is_drawn_before_any_has_a_second_device() -> None:
    many = on_many_devices(9)
    rows = tuple(
        replace(row, case=replace(row.case, model=model))
        for model in ("a", "b", "c")
        for row in many.rows
    )
    groups = choice.chosen(replace(many, rows=rows)).groups
    models = [rows[0].case.model for rows in groups.values()]
    assert len(models) == choice.MOST_GROUPS
    assert {model: models.count(model) for model in "abc"} == {"a": 3, "b": 3, "c": 2}


def test_a_case_that_is_not_stable_gets_a_panel_before_others() -> None:
    base = comparisons.row("fp32")
    rows = []
    for threads in range(1, 13):
        case = replace(base.case, threads=threads)
        rows.append(replace(base, case=case, case_id=case.case_id, pareto=False))
    noisy = next(r for r in comparisons.failures().rows if r.stability.word.value == "NOISY")
    rows[11] = replace(rows[11], stability=noisy.stability)
    shown, more = choice.panels(tuple(rows))
    assert [row.case.threads for row in shown] == [*range(1, choice.MOST_PANELS), 12]
    assert more.startswith(f" {12 - choice.MOST_PANELS} cases more")
    assert choice.panels(tuple(rows[:3])) == (tuple(rows[:3]), "")


# Ops.


def test_the_shares_of_ops_are_named_and_the_rest_is_one(detailed: dict[str, Chart]) -> None:
    words = texts(detailed["ops"])
    assert "all others" in words
    assert "CONV_2D in the delegate" in words
    assert "CONV_2D" in words
    table = next(t for t in chart_tables(comparisons.detailed()) if "charts of ops:" in t.title)
    shares = {row[3].split(".")[0] for row in table.rows}
    drawn = [word.removesuffix(" %") for word in words if re.fullmatch(r"\d+ %", word)]
    assert "43" in drawn
    assert "43" in shares
    named = {
        op_name(op) for row in comparisons.detailed().rows if row.profile for op in row.profile.ops
    }
    assert len(named & set(words)) == MOST_KINDS


def test_the_differences_of_ops_have_a_sign_and_stand_in_the_table(
    detailed: dict[str, Chart],
) -> None:
    words = texts(detailed["op-differences"])
    table = next(t for t in chart_tables(comparisons.detailed()) if "against fp32" in t.title)
    for row in table.rows:
        assert row[1] in words
        assert row[4] in words
    assert "−248 µs" in words
    assert "+190 µs" in words
    assert any(word.endswith("together −94.0 µs") for word in words)


def test_only_so_many_cases_are_held_against_fp32_in_a_chart() -> None:
    base = comparisons.detailed().rows[0]
    assert base.profile is not None
    rows = []
    for threads in range(1, 12):
        case = replace(base.case, variant="int8", threads=threads)
        seen = replace(base.profile, against_fp32=(OpDifference("ADD", 10.0 * threads, 1.0),))
        rows.append(replace(base, case=case, case_id=case.case_id, profile=seen))
    words = texts(of_kind(comparisons.comparison(tuple(rows)), "op-differences"))
    titles = [word for word in words if ": together " in word]
    assert len(titles) == MOST_PAIRS
    assert titles[0].startswith("int8 · none · 11 threads")


@pytest.mark.parametrize(("us", "text"), [(0.0, "0"), (-1500.0, "−1.50 ms"), (12.5, "+12.5 µs")])
def test_a_difference_of_times(us: float, text: str) -> None:
    assert signed(us) == text


# Launches.


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(0.1, 1e7), min_size=1, max_size=700),
    st.integers(1, 200),
)
def test_no_spike_is_lost_by_thinning(samples: list[float], most: int) -> None:
    values = np.array(samples)
    times, low, middle, high = envelope(np.cumsum(values), values, most)
    assert len(times) == len(low) == len(middle) == len(high) == min(most, len(values))
    assert high.max() == values.max()
    assert low.min() == values.min()
    assert np.all((low <= middle) & (middle <= high))
    assert np.all(np.diff(times) > 0)


def test_a_launch_over_time_names_its_greatest_sample_and_its_heat(
    detailed: dict[str, Chart],
) -> None:
    chart = detailed["launches"]
    words = texts(chart)
    for row in comparisons.detailed().rows:
        for trace in row.traces:
            greatest = fmt.duration(float(trace.samples_us.max()))
            assert f"round 3, {trace.why}; greatest {greatest}" in words
    assert "°C placed to ±0.2 s" in words
    assert any(word.endswith(" °C") for word in words)
    assert "temperature (right)" in words
    assert "greater than the axis" in words
    assert len(chart.svg) < 40 * MOST_BINS * 40


def test_without_a_temperature_none_is_drawn() -> None:
    base = comparisons.detailed()
    rows = tuple(
        replace(
            row,
            traces=tuple(replace(t, temperature_c=(), placed_within_s=None) for t in row.traces),
        )
        for row in base.rows
    )
    words = texts(of_kind(replace(base, rows=rows), "launches"))
    assert not any("°C" in word for word in words)
    assert "temperature (right)" not in words


def test_an_ecdf_has_one_line_per_launch_and_pools_none(detailed: dict[str, Chart]) -> None:
    chart = detailed["ecdf"]
    words = texts(chart)
    assert "int8 · xnnpack · 1 thread" in words
    greatest = [
        max(float(one.max()) for one in row.launch_samples_us)
        for row in comparisons.detailed().rows
    ]
    for one in greatest:
        assert f"6 launches; greatest sample {fmt.duration(one)}" in words
    assert "Launches are not pooled" in chart.caption
    lines = re.findall(r"stroke: #3d8fd1", chart.svg)
    launches = sum(len(row.launch_samples_us) for row in comparisons.detailed().rows)
    assert len(lines) == launches


def test_every_table_of_a_chart_is_on_the_page() -> None:
    comparison = comparisons.detailed()
    page = html(comparison)
    tables = chart_tables(comparison)
    assert len(tables) == 4
    for table in tables:
        assert f"<summary>{table.title.replace(chr(39), '&#39;')}</summary>" in page
    tainted = next(t for t in tables if "over time" in t.title).rows
    assert sum("other load" in row[2] for row in tainted) == 2
    assert sum(row[2] == fmt.ABSENT for row in tainted) == len(comparison.rows)


def test_readings_of_devices_stand_in_a_table() -> None:
    tables = chart_tables(comparisons.phones())
    readings = next(t for t in tables if "temperature and frequency" in t.title).rows
    devices = comparisons.phones().devices
    count = sum(len(found.temperature_c) + sum(map(len, found.khz.values())) for found in devices)
    assert len(readings) == count > 0
    assert ("phone-a", "temperature", "0.00", "38.0 °C") in readings
    assert ("SIMULATED: emu-1", "frequency of policy0", "0.00", "1800 MHz") in readings


def test_charts_of_delegates_with_options_are_told_apart() -> None:
    cpu = comparisons.row("fp32", "xnnpack")
    half = comparisons.on("gpu", cpu, 2.5)
    case = replace(half.case, delegate=DelegateSpec("gpu", (("precision", "fp16"),)))
    rows = (cpu, comparisons.on("gpu", cpu, 1.5), replace(half, case=case, case_id=case.case_id))
    words = texts(of_kind(comparisons.comparison(rows), "heatmap"))
    assert {"gpu", "gpu precision=fp16", "2.50×", "1.50×"} <= set(words)


def test_no_chart_of_a_large_table_overflows_its_figure() -> None:
    # A layout that cannot be found is only a warning, and labels over each other.
    data = run_data(datetime(2026, 3, 2, tzinfo=UTC), [device_name(0)])
    comparison = compare(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(charts(comparison)) > 5
