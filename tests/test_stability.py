"""The verdict on a case: each word by its own cause, and the worst of several."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from analysis import around, measured, rounds, samples
from records import case, launch

from bench.digest import SampleDigest, digest
from bench.records import HostLoad, LaunchRecord, Outcome
from bench.stability import Stability, StabilityWord, judge_stability, used_launches

CASE = case()
LOAD = "other load: 0.31 of a core, limit 0.10"


def judged(launches: list[LaunchRecord], planned: int = 6) -> Stability:
    return judge_stability(launches, planned_rounds=planned)


def tainted(item: LaunchRecord, reason: str = LOAD) -> LaunchRecord:
    return replace(item, taints=(reason,))


def repeated(item: LaunchRecord, attempt: int = 1) -> LaunchRecord:
    return replace(item, attempt=attempt)


def drifting() -> SampleDigest:
    rng = np.random.default_rng(1)
    logs = rng.normal(0, 0.005, 400) + np.linspace(0, 0.08, 400)
    return digest((1e6 * np.exp(logs)).astype(np.int64))


def two_modes() -> SampleDigest:
    rng = np.random.default_rng(2)
    logs = rng.normal(0, 0.02, 400) + np.log(1.15) * (rng.random(400) < 0.2)
    return digest((1e6 * np.exp(logs)).astype(np.int64))


def test_quiet_launches_are_stable_and_there_is_nothing_to_say() -> None:
    assert judged(rounds(CASE, around(1000))) == Stability(StabilityWord.STABLE)


def test_no_launch_at_all_is_invalid() -> None:
    assert judged([]).word is StabilityWord.INVALID


def test_nothing_usable_is_invalid_and_says_how_they_ended() -> None:
    found = judged([launch(CASE, index=i, outcome=Outcome.CRASHED) for i in range(3)])
    assert found.word is StabilityWord.INVALID
    assert "none of 3 launches is usable" in found.reasons
    assert "of 3 launches 3 crashed" in found.reasons


def test_a_crash_among_clean_launches_stays_in_the_denominator() -> None:
    found = judged([*rounds(CASE, around(1000, 5)), launch(CASE, index=5, outcome=Outcome.CRASHED)])
    assert found.word is StabilityWord.STABLE
    assert found.reasons == ("of 6 launches 1 crashed",)


def test_a_taint_that_a_repeat_replaced_is_a_reason_and_no_verdict() -> None:
    clean = rounds(CASE, around(1000))
    found = judged([*clean[:-1], tainted(clean[-1]), repeated(clean[-1])])
    assert found.word is StabilityWord.STABLE
    assert found.reasons == (f"1 of 7 launches tainted: {LOAD}; repeated",)


def test_a_round_without_clean_launch_is_tainted() -> None:
    clean = rounds(CASE, around(1000))
    found = judged([*clean[:-1], tainted(clean[-1])])
    assert found.word is StabilityWord.TAINTED
    assert "1 round has no clean launch" in found.reasons[0]


def test_more_than_a_fifth_tainted_is_invalid() -> None:
    clean = rounds(CASE, around(1000, 8))
    repeats = [repeated(item) for item in clean[:2]]
    assert judged([*map(tainted, clean[:2]), *repeats, *clean[2:]], 8).word is StabilityWord.STABLE
    repeats = [repeated(item) for item in clean[:3]]
    found = judged([*map(tainted, clean[:3]), *repeats, *clean[3:]], 8)
    assert found.word is StabilityWord.INVALID
    assert found.reasons[0].startswith("3 of 11 launches tainted: other load")
    assert "(3 launches)" in found.reasons[0]


def test_too_few_launches_give_no_interval() -> None:
    found = judged(rounds(CASE, [1000.0, 1001.0, 999.0]), 3)
    assert found.word is StabilityWord.NOISY
    assert found.reasons == ("too few launches: 3 usable, an interval needs 4",)


def test_rounds_that_were_not_run_are_counted() -> None:
    assert "2 of 6 rounds were not run" in judged(rounds(CASE, around(1000, 4))).reasons


@pytest.mark.parametrize(("spread", "word"), [(0.04, "STABLE"), (0.12, "NOISY")])
def test_launches_that_differ_are_noisy_and_the_figure_is_stated(spread: float, word: str) -> None:
    found = judged(rounds(CASE, around(1000, spread=spread)))
    assert found.word == word
    stated = "launches differ: half width of the p50 interval 10 %, limit 5 %"
    assert found.reasons == ((stated,) if word == "NOISY" else ())


def test_launches_that_creep_are_noisy() -> None:
    creeping = rounds(CASE, [1000 + 5.0 * i for i in range(10)])
    found = judged(creeping, 10)
    assert found.word is StabilityWord.NOISY
    assert "lag-1 correlation 0.7" in found.reasons[0]
    assert judged(creeping[:7], 7).word is StabilityWord.STABLE


@pytest.mark.parametrize(("launches", "word"), [(3, "STABLE"), (4, "NOT STEADY")])
def test_drift_inside_most_launches_is_not_steady(launches: int, word: str) -> None:
    quiet = digest(samples(1000))
    found = judged(
        [
            measured(CASE, i, p50, digest=drifting() if i < launches else quiet)
            for i, p50 in enumerate(around(1000))
        ]
    )
    assert found.word == word
    assert f"drift inside {launches} of 6 launches: second half up to 4" in found.reasons[0]


@pytest.mark.parametrize(("launches", "word"), [(3, "STABLE"), (4, "NOT STEADY")])
def test_a_warm_up_that_never_settles_is_not_steady(launches: int, word: str) -> None:
    found = judged(
        [measured(CASE, i, p50, steady=i >= launches) for i, p50 in enumerate(around(1000))]
    )
    assert found.word == word
    assert found.reasons == (f"warm-up never became steady in {launches} of 6 launches",)


def test_two_modes_are_noisy_and_both_are_shown() -> None:
    found = judged(rounds(CASE, around(1000), digest=two_modes()))
    assert found.word is StabilityWord.NOISY
    assert [m.p50_us for m in found.modes] == pytest.approx([1000, 1150], rel=0.02)
    assert sum(m.share for m in found.modes) == pytest.approx(1)
    assert found.reasons[0].startswith("two modes: ")


def test_two_modes_in_one_launch_are_only_mentioned() -> None:
    launches = rounds(CASE, around(1000))
    launches[0] = measured(CASE, 0, 1000.0, digest=two_modes())
    found = judged(launches)
    assert found.word is StabilityWord.STABLE
    assert found.modes == ()
    assert found.reasons == ("two modes inside 1 of 6 launches",)


def test_a_clock_that_stands_still_makes_the_number_invalid() -> None:
    broken = digest(np.array([1_000_000] * 99 + [0], dtype=np.int64))
    found = judged([*rounds(CASE, around(1000, 5)), measured(CASE, 5, 1000.0, digest=broken)])
    assert found.word is StabilityWord.INVALID
    assert "clock problem" in found.reasons[0]
    stopped = rounds(CASE, [0.0] * 6, min_us=0.0, digest=broken)
    assert judged(stopped).word is StabilityWord.INVALID
    equal = digest(np.full(100, 1_000_000, dtype=np.int64))
    assert judged(rounds(CASE, around(1000), digest=equal)).word is StabilityWord.INVALID


def test_a_coarse_clock_is_noisy() -> None:
    coarse = digest(np.random.default_rng(3).integers(95, 106, 200) * 100_000)
    found = judged(rounds(CASE, around(9000), digest=coarse))
    assert found.word is StabilityWord.NOISY
    assert found.reasons == ("coarse clock: it steps by 100 µs, above 1 % of p50",)


def test_batches_are_said_and_mixed_ones_are_noisy() -> None:
    batched = rounds(CASE, around(5), invokes_per_sample=8)
    found = judged(batched)
    assert found.word is StabilityWord.STABLE
    assert found.reasons == ("below the timer's resolution: 8 invokes per sample",)
    mixed = [measured(CASE, 0, 5.0), *batched[1:]]
    assert judged(mixed).word is StabilityWord.NOISY


def test_a_timer_that_costs_too_much_is_noisy() -> None:
    found = judged(rounds(CASE, around(2)))
    assert found.word is StabilityWord.NOISY
    assert found.reasons == ("the timer costs 5 % of a sample, limit 3 %",)


def test_unknown_load_is_said() -> None:
    unknown = HostLoad(10**9, 10**9, None, None)
    found = judged(rounds(CASE, around(1000), load=unknown))
    assert found.reasons == ("other load and steal time are unknown in 6 of 6 launches",)


def test_without_digest_the_samples_are_read_and_without_both_it_is_said() -> None:
    assert judged(rounds(CASE, around(1000), digest=None, samples_ns=samples(1000))).reasons == ()
    found = judged(rounds(CASE, around(1000), digest=None))
    assert found.reasons == ("drift and modes are not judged in 6 of 6 launches",)


def test_the_worst_word_wins_and_stands_first() -> None:
    found = judged(rounds(CASE, around(1000, spread=0.12), steady=False))
    assert found.word is StabilityWord.NOT_STEADY
    assert "warm-up" in found.reasons[0]
    assert any("launches differ" in reason for reason in found.reasons)


def test_the_last_usable_attempt_of_a_round_counts() -> None:
    first, second = measured(CASE, 1, 1000.0), repeated(measured(CASE, 1, 1010.0))
    zero = measured(CASE, 0, 990.0)
    assert used_launches([second, first, zero]) == (zero, second)
    assert used_launches([tainted(second), first]) == (first,)
