"""Count lines: every recorded one is read, what is none is not, and figures follow from runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.parsers.count_line import CountLine, differences, parse_count_line
from tests.clock_recordings import line_of

RECORDED = (Path(__file__).parent / "golden" / "count_lines.txt").read_text().splitlines()
runs = st.lists(st.integers(0, 10**7), min_size=1, max_size=60)


def text_of(line: CountLine) -> str:
    """The line as the tool would print it."""
    parts = [f"count={line.count}"]
    if line.min is not None and line.avg is not None:
        parts += [f"first={line.first}", f"curr={line.curr}", f"min={line.min}"]
        parts += [f"max={line.max}", f"avg={line.avg:.6g}", f"std={line.std}"]
    elif line.count:
        parts.append(f"curr={line.curr}" + ("(all same)" if line.count > 1 else ""))
    if line.p5 is not None:
        parts += [f"p5={line.p5}", f"median={line.median}", f"p95={line.p95}"]
    return "INFO: " + " ".join(parts)


@pytest.mark.parametrize("text", RECORDED)
def test_a_recorded_line_says_the_same_when_printed_again(text: str) -> None:
    line = parse_count_line(text)
    assert line is not None
    assert text_of(line) == text
    assert parse_count_line(text + "\r") == line


def test_the_exponent_of_a_mean_over_a_second_is_read() -> None:
    line = parse_count_line(
        "INFO: count=3 first=1045741 curr=1045738 min=1045738 max=1045741 avg=1.04574e+06 std=1"
        " p5=1045738 median=1045740 p95=1045741"
    )
    assert line is not None
    assert line.avg == 1045740.0


def test_an_older_tool_prints_no_percentiles() -> None:
    line = parse_count_line("INFO: count=5 first=26 curr=30 min=26 max=52 avg=36.6 std=10")
    assert line is not None
    assert (line.max, line.p5, line.median, line.p95) == (52, None, None, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "INFO: STARTING!",
        "Memory (bytes): count=0 p5=",
        "Timings (microseconds): count=3 curr=16(all same)",
        "INFO: count=5",
        "INFO: count=5 first=26",
        "INFO: count=5 first=26 curr=30 min=26",
        "INFO: count=5 first=26 curr=30 min=26 max=52 avg=36.6",
        "INFO: count=5 first=26 curr=30 min=26 max=52 avg=nan std=10",
        "INFO: count=5 first=26 curr=30 min=26 max=52 avg=36.6 std=10 p5=26 median=30",
        "INFO: count=5 curr=30 p5=30 median=30 p95=30",
        "INFO: count=1 curr=30(all same) p5=30 median=30 p95=30",
        "INFO: count=0 curr=30 p5=30 median=30 p95=30",
        "INFO: count=99999999999999999999 p5=0 median=0 p95=0",
        "INFO: count=٣ p5=0 median=0 p95=0",
    ],
)
def test_a_line_that_is_another_or_not_whole_is_none(text: str) -> None:
    assert parse_count_line(text) is None


@pytest.mark.parametrize("text", RECORDED[::9])
def test_no_beginning_of_a_line_is_taken_for_the_line(text: str) -> None:
    whole = parse_count_line(text)
    for end in range(len(text)):
        part = parse_count_line(text[:end])
        # Cut inside its last number a line looks whole; cut after std it looks like an old one.
        if part is not None and part.p95 is not None:
            assert whole is not None
            assert str(whole.p95).startswith(str(part.p95))


@given(runs)
def test_figures_of_the_runs_themselves_never_differ(us: list[int]) -> None:
    line = line_of(us)
    assert parse_count_line(text_of(line)) == line
    assert differences(line, np.array(us, dtype=np.int64)) == ()


@given(
    runs,
    st.sampled_from(["count", "first", "curr", "min", "max", "p5", "median", "p95"]),
    st.integers(1, 1000),
)
def test_any_other_figure_is_named(us: list[int], name: str, by: int) -> None:
    line = line_of(us)
    value = getattr(line, name)
    if value is not None:
        other = dataclasses.replace(line, **{name: value + by})
        assert name in differences(other, np.array(us, dtype=np.int64))


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=40), st.floats(2e-5, 10))
def test_another_mean_or_deviation_is_named(us: list[int], by: float) -> None:
    line = line_of(us)
    if line.avg is not None and line.std is not None:
        mean = dataclasses.replace(line, avg=line.avg * (1 + by) + 1e-4)
        assert differences(mean, np.array(us, dtype=np.int64)) == ("avg",)
        spread = dataclasses.replace(line, std=line.std + 2)
        assert differences(spread, np.array(us, dtype=np.int64)) == ("std",)


def test_runs_that_differ_are_not_all_the_same() -> None:
    line = line_of([5] * 20)
    assert differences(line, np.array([5] * 20)) == ()
    assert differences(line, np.array([5] * 10 + [6] + [5] * 9)) == ("min", "max")
