"""The warm-up rule on traces whose truth is known, and the loop on a clock that tests own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.runners import invoke_loop
from bench.runners.invoke_loop import (
    batch_size,
    evenly,
    halves_agree,
    judge_warmup,
    mser_cut,
    record,
    warm_up,
)

LIMITS = {"warmup_min_s": 1.0, "warmup_max_s": 10.0, "warmup_min_invokes": 20}
MS = 1_000_000


def noise(n: int, sd: float = 0.01, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.exp(np.random.default_rng(seed).normal(0, sd, n))


# --- judge_warmup --------------------------------------------------------------------------


SEEDS = range(100)


@pytest.mark.parametrize("n", [20, 60, 119, 120, 500, 5000])
def test_a_flat_trace_is_steady(n: int) -> None:
    verdicts = [judge_warmup(noise(n, seed=seed)) for seed in SEEDS]
    assert sum(steady for _, steady in verdicts) >= 90
    assert all(cut <= n / 2 for cut, steady in verdicts if steady)


@pytest.mark.parametrize("n", [20, 50])
def test_a_slow_first_inference_is_cut_and_the_rest_is_steady(n: int) -> None:
    trace = noise(n)
    trace[0] *= 3
    cut, steady = judge_warmup(trace)
    assert steady
    assert 1 <= cut <= n / 2


@pytest.mark.parametrize("n", [100, 1000])
def test_one_slow_invoke_does_not_move_the_median_of_its_block(n: int) -> None:
    trace = noise(n)
    trace[0] *= 3
    assert judge_warmup(trace)[1]


def test_a_short_ramp_is_cut_whole() -> None:
    n = 1000
    ramp = 1 + 0.5 * np.maximum(0, 1 - np.arange(n) / 200)
    verdicts = [judge_warmup(noise(n, seed=seed) * ramp) for seed in SEEDS]
    assert sum(steady for _, steady in verdicts) >= 85
    assert all(150 <= cut <= 500 for cut, steady in verdicts if steady)


def test_a_burst_of_other_load_is_not_taken_for_a_change_of_level() -> None:
    """What a shared machine does: a few slow stretches of 10 ms in a second."""
    accepted = 0
    for seed in SEEDS:
        trace = noise(1000, seed=seed)
        for start in np.random.default_rng(seed).integers(0, 990, 3):
            trace[start : start + 10] *= 1.3
        accepted += judge_warmup(trace)[1]
    assert accepted >= 85


def test_a_ramp_over_the_whole_trace_is_not_steady() -> None:
    assert not judge_warmup(noise(1000) * np.linspace(1.5, 1.0, 1000))[1]


def test_a_step_in_the_first_half_is_cut() -> None:
    trace = noise(600)
    trace[:180] *= 1.3
    cut, steady = judge_warmup(trace)
    assert steady
    assert 180 <= cut <= 300


def test_a_step_in_the_second_half_is_not_steady() -> None:
    trace = noise(600)
    trace[:400] *= 1.3
    assert not judge_warmup(trace)[1]


def test_throttling_late_in_the_trace_is_not_steady() -> None:
    trace = noise(600)
    trace[350:] *= 1.25
    assert not judge_warmup(trace)[1]


def test_a_steady_drift_is_not_steady() -> None:
    assert not judge_warmup(noise(1000, sd=0.005) * np.linspace(1.0, 1.1, 1000))[1]


def test_noise_that_hides_a_small_difference_is_allowed_for() -> None:
    # 20 invokes with 20 % noise: no 2 % can be shown, so none is demanded.
    accepted = sum(judge_warmup(noise(20, sd=0.2, seed=seed))[1] for seed in range(50))
    assert accepted >= 25


@settings(deadline=None)
@given(st.lists(st.integers(min_value=1, max_value=10**12), min_size=1, max_size=300))
def test_any_trace_gets_a_judgement(trace: list[int]) -> None:
    cut, steady = judge_warmup(trace)
    assert 0 <= cut < len(trace)
    assert steady in (True, False)
    if steady:
        assert cut <= len(trace) / 2


@settings(deadline=None)
@given(
    st.lists(st.integers(min_value=1000, max_value=10**6), min_size=8, max_size=200),
    st.sampled_from([2, 8, 1024]),
)
def test_the_unit_of_time_does_not_matter(trace: list[int], factor: int) -> None:
    def errors(cut: int) -> float:
        rest = np.log(np.array(trace, float))[cut:]
        return float(rest.var()) / len(rest)

    a, b = mser_cut(trace), mser_cut([t * factor for t in trace])
    # Rounding may break a tie the other way, but both cuts are then equally good.
    assert a == b or len(trace) >= 120 or errors(a) == pytest.approx(errors(b), abs=1e-12)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_too_few_times_agree_with_nothing(n: int) -> None:
    assert not halves_agree([1000] * n)


@pytest.mark.parametrize(("percent", "agree"), [(1, True), (3, False), (30, False)])
@pytest.mark.parametrize("half", [3, 10, 100])
def test_halves_agree_within_two_percent(half: int, percent: int, agree: bool) -> None:
    quiet = 100_000 * noise(2 * half, sd=0.001)
    quiet[half:] *= 1 + percent / 100
    assert halves_agree(quiet) is agree


@pytest.mark.parametrize("seed", range(20))
def test_a_step_does_not_count_as_the_noise_that_excuses_it(seed: int) -> None:
    trace = noise(20, sd=0.01, seed=seed)
    trace[10:] *= 1.3
    assert not halves_agree(trace)


def test_flat_noise_is_seldom_called_drift() -> None:
    for n, most in ((6, 30), (10, 12), (20, 6), (60, 2), (300, 0)):
        refused = sum(not halves_agree(noise(n, sd=0.05, seed=seed)) for seed in range(200))
        assert refused <= most, n


def test_constant_times_agree() -> None:
    assert halves_agree([1000] * 4)


# --- batches and subsets -------------------------------------------------------------------


@settings(deadline=None)
@given(st.floats(1, 1e5), st.floats(1, 1e10))
def test_batch_is_the_smallest_that_hides_the_timer(timer_ns: float, invoke_ns: float) -> None:
    n = batch_size(timer_ns, invoke_ns)
    assert timer_ns <= 0.03 * n * invoke_ns * (1 + 1e-6)
    assert n == 1 or timer_ns > 0.03 * (n - 1) * invoke_ns * (1 - 1e-6)


@settings(deadline=None)
@given(st.lists(st.integers(), max_size=200), st.integers(1, 50))
def test_a_subset_is_spread_evenly_and_in_order(values: list[int], most: int) -> None:
    positions = evenly(list(range(len(values))), most)
    assert len(positions) == min(len(values), most)
    steps = {b - a for a, b in itertools.pairwise(positions)}
    assert len(steps) <= 2
    assert all(step >= 1 for step in steps)
    assert max(steps, default=0) - min(steps, default=0) <= 1


# --- the loop on a clock of its own --------------------------------------------------------


class FakeMachine:
    """Time passes only inside invoke(); `cost` says how long the i-th one takes."""

    def __init__(self, cost: Callable[[int], int]) -> None:
        self.now, self.invokes, self._cost = 0, 0, cost

    def invoke(self) -> None:
        self.now += self._cost(self.invokes)
        self.invokes += 1

    def clock(self) -> int:
        return self.now


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], int]], FakeMachine]:
    def make(cost: Callable[[int], int]) -> FakeMachine:
        fake = FakeMachine(cost)
        monkeypatch.setattr(invoke_loop, "time", SimpleNamespace(perf_counter_ns=fake.clock))
        return fake

    return make


Make = Callable[[Callable[[int], int]], FakeMachine]


def warmed(fake: FakeMachine) -> tuple[list[int], int, bool | None]:
    samples: list[int] = []
    record(fake.invoke, samples, 1, 0, 10**18)
    cut, steady = warm_up(fake.invoke, LIMITS, samples, 0)
    return samples, cut, steady


def test_a_steady_model_warms_up_for_the_minimum(machine: Make) -> None:
    fake = machine(lambda i: 3 * MS if i == 0 else MS)
    samples, cut, steady = warmed(fake)
    assert steady is True
    assert samples[0] == 3 * MS
    assert sum(samples) == fake.now
    assert 1_000 * MS <= fake.now <= 1_001 * MS
    assert cut <= len(samples) / 2


def test_fifty_ms_invokes_still_make_twenty(machine: Make) -> None:
    samples, _, steady = warmed(machine(lambda _: 60 * MS))
    assert len(samples) == 20
    assert steady is True


def test_a_slow_model_warms_up_for_three_invokes_and_leaves_the_judgement(machine: Make) -> None:
    samples, cut, steady = warmed(machine(lambda _: 150 * MS))
    assert (len(samples), cut, steady) == (3, 0, None)


def test_a_slow_first_inference_alone_does_not_make_a_slow_model(machine: Make) -> None:
    samples, _, _ = warmed(machine(lambda i: 400 * MS if i == 0 else 10 * MS))
    assert len(samples) >= 20


def test_warm_up_is_extended_until_it_is_steady(machine: Make) -> None:
    fake = machine(lambda i: MS if i > 800 else 2 * MS - i * MS // 800)
    _, cut, steady = warmed(fake)
    assert steady is True
    assert 1_500 * MS <= fake.now <= 6_000 * MS
    assert cut >= 600


def test_a_model_that_never_settles_is_given_up_after_the_maximum(machine: Make) -> None:
    fake = machine(lambda i: MS + i * 200)
    _, _, steady = warmed(fake)
    assert steady is False
    assert 10_000 * MS <= fake.now <= 10_100 * MS


@pytest.mark.timeout(20)
def test_also_without_a_least_warm_up_it_comes_to_an_end(machine: Make) -> None:
    fake = machine(lambda i: MS + i * MS // 200)
    samples: list[int] = []
    record(fake.invoke, samples, 1, 0, 10**18)
    limits = {**LIMITS, "warmup_min_s": 0.0, "warmup_min_invokes": 200}
    _, steady = warm_up(fake.invoke, limits, samples, 0)
    assert steady is False
    assert fake.now <= 11_000 * MS


@pytest.mark.parametrize(
    ("cost", "count"),
    [
        (MS, 300),  # 0.3 s decides
        (10 * MS, 100),  # 100 samples decide
        (100 * MS, 50),  # 5 s decide: fewer samples than 100
        (60_000 * MS, 1),  # never none
    ],
)
def test_the_measured_part_keeps_to_the_limits(machine: Make, cost: int, count: int) -> None:
    samples: list[int] = []
    record(machine(lambda _: cost).invoke, samples, 100, 300 * MS, 5_000 * MS)
    assert samples == [cost] * count


def test_a_batched_sample_is_the_time_of_one_invoke(machine: Make) -> None:
    fake = machine(lambda i: 500 + i % 2)
    samples: list[int] = []
    record(fake.invoke, samples, 10, 0, 10**12, 4)
    assert fake.invokes == 40
    assert samples == [501] * 10  # 500.5, rounded up
