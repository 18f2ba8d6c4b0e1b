"""Steps and lone points of a series: what they do not depend on, what is never one, and figures.

The figures have wide limits; exact ones are those of scripts/benchmark-detector.
"""

from __future__ import annotations

import math
import runpy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.changepoints import (
    MIN_POINTS,
    MIN_STEP,
    SIGNIFICANCE,
    Detection,
    Settings,
    detect,
    detect_many,
    smallest_step,
    smallest_step_given,
    worth_a_look,
)

SCRIPT = Path(__file__).parent.parent / "scripts" / "benchmark-detector"


def noise(seed: int, runs: int, sd: float = 0.01) -> list[float]:
    """Logs around 0."""
    return np.random.default_rng(seed).normal(0, sd, runs).tolist()


def stepped(seed: int, before: int, after: int, step: float, sd: float = 0.01) -> list[float]:
    """p50 in us of a level and one that is `step` slower."""
    logs = noise(seed, before + after, sd)
    return [1900 * math.exp(x + (i >= before) * math.log1p(step)) for i, x in enumerate(logs)]


def positions(detection: Detection) -> list[int]:
    return [step.position for step in detection.steps]


# A few different values, so that ties and equal halves come up often.
values = st.lists(
    st.one_of(
        st.sampled_from([1000.0, 1010.0, 1050.0, 1500.0]),
        st.floats(min_value=900, max_value=1100),
    ),
    max_size=40,
)
# Levels with noise, and points of their own: continuous, so that nothing is a tie.
series = st.builds(
    lambda seed, runs, sd, steps, lone: [
        1900
        * math.exp(
            x
            + sum(size for at, size in steps if i >= at)
            + sum(size for at, size in lone if i == at)
        )
        for i, x in enumerate(noise(seed, runs, sd))
    ],
    seed=st.integers(0, 2**32 - 1),
    runs=st.integers(5, 60),
    sd=st.sampled_from([0.003, 0.01, 0.04]),
    steps=st.lists(st.tuples(st.integers(2, 58), st.sampled_from([-0.1, 0.05, 0.2])), max_size=3),
    lone=st.lists(st.tuples(st.integers(0, 59), st.sampled_from([-0.3, 0.2, 0.4])), max_size=2),
)


def test_a_step_is_found_where_it_is() -> None:
    found = detect(stepped(1, 20, 3, 0.10))
    assert positions(found) == [20]
    assert found.steps[0].p_value < 1e-6


def test_steps_up_and_down_and_a_passing_one() -> None:
    logs = np.array(noise(2, 60))
    logs[30:35] += 0.05
    assert positions(detect(np.exp(logs).tolist())) == [30, 35]


def test_a_passing_level_stays_found_while_the_series_goes_on() -> None:
    logs = np.array(noise(3, 120, sd=0.005))
    logs[20:26] += 0.06
    for runs in range(30, 121, 10):
        assert {20, 26} <= set(positions(detect(np.exp(logs[:runs]).tolist())))


def test_a_lone_point_is_replaced_and_told() -> None:
    logs = np.array(noise(4, 30))
    logs[12] += 0.3
    found = detect(np.exp(logs).tolist())
    assert found.spikes == (12,)
    assert found.steps == ()
    assert found.cleaned[12] == pytest.approx(1, abs=0.02)
    assert [v for i, v in enumerate(found.cleaned) if i != 12] == [
        v for i, v in enumerate(np.exp(logs).tolist()) if i != 12
    ]


def test_the_newest_point_alone_is_a_lone_one_and_with_a_second_a_step() -> None:
    values_us = stepped(5, 20, 2, 0.10)
    assert positions(detect(values_us[:21])) == []
    assert detect(values_us[:21]).spikes == (20,)
    assert positions(detect(values_us)) == [20]
    assert detect(values_us).spikes == ()


def test_smaller_than_the_least_step_is_none() -> None:
    values_us = stepped(6, 30, 30, 0.015, sd=0.002)
    assert positions(detect(values_us)) == []
    assert positions(detect(values_us, Settings(min_step=0.01))) == [30]


@given(st.floats(1e-300, 1e300), st.integers(0, 60))
def test_a_constant_series_shows_nothing(value: float, runs: int) -> None:
    assert detect([value] * runs) == Detection((), (), (value,) * runs)


@given(values)
def test_nothing_is_found_in_fewer_than_five(values_us: list[float]) -> None:
    short = values_us[: MIN_POINTS - 1]
    assert detect(short) == Detection((), (), tuple(short))
    assert smallest_step(short) is None


@given(series, st.floats(1e-200, 1e200))
def test_the_unit_decides_nothing(values_us: list[float], unit: float) -> None:
    one, other = detect(values_us), detect([value * unit for value in values_us])
    assert positions(one) == positions(other)
    assert one.spikes == other.spikes
    for step, same in zip(one.steps, other.steps, strict=True):
        # A p of next to nothing keeps few digits of the logs it came from.
        assert math.log1p(-math.log(step.p_value or 1e-300)) == pytest.approx(
            math.log1p(-math.log(same.p_value or 1e-300)), rel=1e-6
        )
    assert np.allclose(np.array(other.cleaned) / unit, one.cleaned, rtol=1e-9)


@given(series)
def test_the_direction_of_time_decides_nothing(values_us: list[float]) -> None:
    one, other = detect(values_us), detect(values_us[::-1])
    assert [len(values_us) - at for at in reversed(positions(other))] == positions(one)
    assert tuple(len(values_us) - 1 - at for at in reversed(other.spikes)) == one.spikes


def test_nor_does_it_for_passing_levels() -> None:
    rng = np.random.default_rng(1)
    logs = rng.normal(0, 0.01, (500, 30))
    for row in logs:
        runs, at = rng.integers(2, 6), rng.integers(3, 22)
        row[at : at + runs] += 0.04
    ahead = detect_many(np.exp(logs).tolist())
    back = detect_many(np.exp(logs[:, ::-1]).tolist())
    assert [positions(one) for one in ahead] == [
        [30 - at for at in reversed(positions(one))] for one in back
    ]


def test_nor_does_the_unit_where_values_are_alike() -> None:
    rng = np.random.default_rng(1)
    alike = np.array([1000.0, 1010.0, 1050.0, 1500.0])
    many, units = [], []
    for _ in range(4000):
        many.append(alike[rng.integers(0, 4, rng.integers(5, 30))])
        units.append(10 ** rng.uniform(-50, 50))
    one = detect_many([values_us.tolist() for values_us in many])
    other = detect_many(
        [(values_us * unit).tolist() for values_us, unit in zip(many, units, strict=True)]
    )
    assert [(positions(d), d.spikes) for d in one] == [(positions(d), d.spikes) for d in other]


@given(series)
def test_slower_and_faster_are_treated_alike(values_us: list[float]) -> None:
    one, other = detect(values_us), detect([1 / value for value in values_us])
    assert positions(one) == positions(other)
    assert one.spikes == other.spikes


@given(st.one_of(values, series))
def test_what_every_detection_keeps(values_us: list[float]) -> None:
    found = detect(values_us)
    assert found == detect(list(values_us))
    edges = [0, *positions(found), len(values_us)]
    if found.steps:
        assert all(after - before >= 2 for before, after in pairwise(edges))
    assert all(0 <= step.p_value < SIGNIFICANCE for step in found.steps)
    assert len(found.cleaned) == len(values_us)
    for at, (was, now) in enumerate(zip(values_us, found.cleaned, strict=True)):
        assert (was == now) is (at not in found.spikes)
        assert min(values_us) * (1 - 1e-9) <= now <= max(values_us) * (1 + 1e-9)
    logs = np.log(found.cleaned)
    for before, at, after in zip(edges, edges[1:], edges[2:], strict=False):
        size = logs[at:after].mean() - logs[before:at].mean()
        assert abs(size) >= math.log1p(MIN_STEP) - 1e-9


@pytest.mark.parametrize("size", [-0.1, 0.1, 0.5])
def test_lone_points_are_told_and_make_no_steps(size: float) -> None:
    many = []
    for seed in range(300):
        logs = np.array(noise(seed, 30))
        logs[seed % 30] += math.log1p(size)
        many.append(np.exp(logs).tolist())
    found = detect_many(many)
    assert sum(seed % 30 in one.spikes for seed, one in enumerate(found)) >= 294
    assert sum(bool(one.steps) for one in found) <= 9


@given(st.lists(st.one_of(values, series), max_size=8))
def test_many_at_once_are_the_same_as_one_by_one(many: list[list[float]]) -> None:
    assert detect_many(many) == tuple(detect(values_us) for values_us in many)


@given(st.lists(st.floats(900, 1100), min_size=1, max_size=20))
def test_between_equal_halves_alone_there_is_no_step(half: list[float]) -> None:
    assert positions(detect(half + half)) != [len(half)]


@given(st.lists(st.sampled_from([1e-300, 1e-9, 1.0, 1e9, 1e300]), min_size=5, max_size=20))
@settings(max_examples=50)
def test_huge_and_tiny_values(values_us: list[float]) -> None:
    found = detect(values_us)
    assert all(map(math.isfinite, found.cleaned))
    assert all(value > 0 for value in found.cleaned)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_what_is_no_duration_is_refused(bad: float) -> None:
    for function in (detect, smallest_step):
        with pytest.raises(ValueError, match="positive finite"):
            function([1.0, 2.0, bad, 3.0, 4.0])
    with pytest.raises(ValueError, match="positive finite"):
        detect([bad])


def share_found(before: int, step: float, sd: float, count: int = 200) -> float:
    """Of steps, those found within 3 runs."""
    found = np.zeros(count, dtype=bool)
    for after in (2, 3):
        many = [stepped(seed, before, after, step, sd) for seed in range(count)]
        found |= [
            any(at >= before - 1 for at in positions(detection)) for detection in detect_many(many)
        ]
    return float(found.mean())


@pytest.mark.parametrize(
    ("step", "sd", "least"),
    [(0.03, 0.01, 0.75), (0.05, 0.01, 0.95), (0.10, 0.01, 0.97), (0.05, 0.02, 0.55)],
)
def test_steps_are_found_within_three_runs(step: float, sd: float, least: float) -> None:
    assert share_found(20, step, sd) >= least


@pytest.mark.parametrize("sd", [0.01, 0.02, 0.04])
def test_quiet_series_seldom_show_a_step(sd: float) -> None:
    many = [np.exp(noise(seed, 30, sd)).tolist() for seed in range(1000)]
    assert sum(bool(found.steps) for found in detect_many(many)) <= 30


@pytest.mark.parametrize(("before", "sd"), [(8, 0.02), (20, 0.01), (20, 0.04), (50, 0.02)])
def test_the_smallest_step_is_one_that_is_found(before: int, sd: float) -> None:
    told = [smallest_step(stepped(seed, before, 0, 0.0, sd)) for seed in range(50)]
    size = float(np.median([share for share in told if share is not None]))
    assert 0.62 <= share_found(before, size, sd) <= 0.93
    assert share_found(before, size / 2, sd) < 0.5


@given(series)
def test_the_smallest_step_is_at_least_the_least_one(values_us: list[float]) -> None:
    share = smallest_step(values_us)
    assert share is not None
    assert share > MIN_STEP
    assert share == smallest_step_given(detect(values_us))
    assert share == pytest.approx(smallest_step([value * 1000 for value in values_us]))


def test_more_runs_and_less_noise_show_smaller_steps() -> None:
    def told(runs: int, sd: float) -> float:
        shares = [smallest_step(np.exp(noise(seed, runs, sd)).tolist()) for seed in range(20)]
        return float(np.median([share for share in shares if share is not None]))

    assert told(40, 0.02) < told(8, 0.02)
    assert told(20, 0.01) < told(20, 0.02) < told(20, 0.04)


p_values = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=50)


@given(p_values)
def test_worth_a_look_keeps_the_strongest(many: list[float | None]) -> None:
    look = worth_a_look(many)
    assert len(look) == len(many)
    kept = [p for p, one in zip(many, look, strict=True) if one]
    left = [p for p, one in zip(many, look, strict=True) if not one and p is not None]
    assert None not in kept
    assert all(p is not None and p * 3 <= 0.05 for p in kept)
    if kept and left:
        assert max(p for p in kept if p is not None) < min(left)


@given(p_values, st.integers(1, 50))
def test_more_quiet_series_ask_for_more(many: list[float | None], quiet: int) -> None:
    assume(many)
    before, after = worth_a_look(many), worth_a_look([*many, *[None] * quiet])
    assert all(was or not now for was, now in zip(before, after, strict=False))


def test_one_strong_step_stands_out_of_ten_thousand_and_a_weak_one_does_not() -> None:
    quiet: list[float | None] = [None] * 10_000
    assert worth_a_look([1e-9, *quiet])[0]
    assert not worth_a_look([0.0019, *quiet])[0]
    assert worth_a_look([0.0019])[0]


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_what_is_no_p_value_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        worth_a_look([0.1, bad])
    with pytest.raises(ValueError, match="one date"):
        worth_a_look([0.1], dates=0)


def test_the_benchmark_runs(capsys: pytest.CaptureFixture[str]) -> None:
    script = runpy.run_path(str(SCRIPT), run_name="benchmark_detector")
    script["main"](["--quick", "--series", "40"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows] == ["| noise", "| 1 %", "| 2 %"]
    assert all(row.split(" | ")[2].endswith("/ 100") for row in rows[1:])


def test_the_benchmark_refuses_too_few_series(capsys: pytest.CaptureFixture[str]) -> None:
    script = runpy.run_path(str(SCRIPT), run_name="benchmark_detector")
    with pytest.raises(SystemExit) as stopped:
        script["main"](["--series", "3"])
    assert stopped.value.code == 2
    assert "at least 4" in capsys.readouterr().err
