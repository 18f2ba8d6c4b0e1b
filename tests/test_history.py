"""What became of each series: every word, how sure it is, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import stored_past as past
from stored_past import case, old_side, point, quiet, run_id, series, stepped, store, week

from bench.identity import Case
from bench.points import Baseline, BaselineKind, Point, PointState
from bench.records import RunStatus
from reports.history.gather import gather
from reports.history.model import Finding, History, Standing, Word

GPU = case()


def history(points: Sequence[Point], *cases: Case, **more: Any) -> History:
    return gather(store(points, cases or (GPU,), **more), past.PROJECT)


def only(found: History, word: Word | None = None) -> Finding:
    """The one finding, or the one of a word."""
    wanted = [f for f in found.findings if word in (None, f.word)]
    assert len(wanted) == 1, [(f.word, f.sentence) for f in found.findings]
    return wanted[0]


def words(found: History) -> list[Word]:
    return [finding.word for finding in found.findings]


# --- SLOWER and FASTER --------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "word"), [(1.08, Word.SLOWER), (0.9, Word.FASTER)])
def test_a_step_alone_is_suspected_and_asks_for_the_side_by_side(factor: float, word: Word) -> None:
    found = only(history(stepped(GPU, factor=factor)))
    assert (found.word, found.standing) == (word, Standing.SUSPECTED)
    assert found.run_id == run_id(10)
    assert found.last_good_run_id == run_id(9)
    assert found.since_utc == week(10)
    assert found.ratio == pytest.approx(factor, rel=0.01)
    assert found.interval is not None
    assert found.interval.low < factor < found.interval.high
    assert found.todo == f"edgebench history --confirm {GPU.case_id[:12]}"
    assert not found.is_bad


def test_a_quiet_series_has_nothing_to_tell() -> None:
    found = history(series(GPU, quiet(30)))
    assert found.findings == ()
    (one,) = found.series
    assert one.steps == ()
    assert one.smallest_step is not None
    assert one.against is not None
    assert one.against.what == "the 8 runs before"
    assert not one.against.significant


def test_a_step_below_the_plans_delta_does_not_count() -> None:
    points = stepped(GPU, factor=1.03, before=20, after=8)
    assert words(history(points)) == [Word.SLOWER]
    wide = {n: {"plan": {"analysis": {"delta": 0.05}}} for n in range(28)}
    assert history(points, runs=wide).findings == ()


def test_a_step_is_news_for_eight_runs() -> None:
    assert words(history(stepped(GPU, after=8))) == [Word.SLOWER]
    found = history(stepped(GPU, after=9))
    assert found.findings == ()
    assert len(found.series[0].steps) == 1


def test_what_changed_is_named_with_the_likeliest_first() -> None:
    points = stepped(
        GPU, environment_id="new", runtime="litert 2.3.0", model_sha256="c" * 64, start_c=41.0
    )
    changed = past.environment(
        os="build 2", kernel="6.6", unit="fedcba9876543210", android={"gles": "driver 2"}
    )
    changed["limits"] = {"min_samples": 200}
    changed["controls"] = []
    changed["runner_sha256"] = "d" * 64
    found = only(history(points, environments={"new": changed}))
    assert [(c.what, c.before, c.after) for c in found.provenance] == [
        ("model", "a" * 12, "c" * 12),
        ("runtime", "litert 2.2.0", "litert 2.3.0"),
        ("runner", "b" * 12, "d" * 12),
        ("GPU driver", "driver 1", "driver 2"),
        ("OS build", "build 1", "build 2"),
        ("kernel", "6.1", "6.6"),
        ("controls", "governor=performance", "none"),
        ("device unit", "01234567", "fedcba98"),
        ("run policy", "min_samples 100", "min_samples 200"),
        ("start temperature", "30 °C", "41 °C"),
    ]
    assert "model (aaaaaaaaaaaa → cccccccccccc), runtime" in found.sentence


def test_a_change_of_environment_is_drawn_and_splits_nothing() -> None:
    levels = quiet(20)
    points = [*series(GPU, levels[:10]), *series(GPU, levels[10:], 10, runtime="litert 2.3.0")]
    found = history(points)
    (one,) = found.series
    assert len(one.judged) == 20
    assert [(at, [c.what for c in changes]) for at, changes in one.changes] == [(10, ["runtime"])]
    assert found.findings == ()


def test_what_is_tainted_wrong_simulated_or_of_another_quantity_has_no_say() -> None:
    spoilt = {
        3: {"stability": "TAINTED"},
        4: {"state": PointState.INVALID, "stability": "INVALID"},
        5: {"numerics": "WRONG"},
        6: {"simulated": True},
        7: {"quantity": "a tool's mean"},
        8: {"p50_us": None, "state": PointState.FELL_BACK},
    }
    points = [
        replace(point(GPU, n, us * (3 if n in spoilt else 1)), **spoilt.get(n, {}))
        for n, us in enumerate(quiet(14))
    ]
    (one,) = history(points).series
    assert [int(p.run_id[:8], 16) for p in one.judged] == [0, 1, 2, 9, 10, 11, 12, 13]
    assert len(one.points) == 14
    assert one.steps == ()


def test_a_wholly_simulated_series_says_so_in_every_sentence() -> None:
    points = [replace(p, simulated=True) for p in stepped(GPU)]
    found = only(history(points))
    assert found.sentence.startswith("Simulated: ")


def test_the_newest_run_alone_is_a_suspect_until_the_next_one_agrees() -> None:
    points = series(GPU, [*quiet(12), 2600.0])
    found = only(history(points))
    assert (found.word, found.standing, found.run_id) == (
        Word.SLOWER,
        Standing.SUSPECTED,
        run_id(12),
    )
    assert "one run alone" in found.sentence
    back = history([*points, point(GPU, 13, 2000.0), point(GPU, 14, 2003.0)])
    assert back.findings == ()
    assert [spike.run_id for spike in back.series[0].spikes] == [run_id(12)]


def test_few_runs_find_only_what_is_far_out() -> None:
    three = quiet(3)
    assert history(series(GPU, three)).findings == ()
    assert words(history(series(GPU, [*three, 4000.0]))) == [Word.SLOWER]
    assert history(series(GPU, [*three, 2060.0])).findings == ()


# --- baselines ----------------------------------------------------------------------------


def pinned(number: int, made: int = 0, name: str = "") -> Baseline:
    kind = BaselineKind.RELEASE if name else BaselineKind.PINNED
    return Baseline(past.PROJECT, kind, name, run_id(number), week(made))


def test_a_pinned_run_is_held_against_for_as_long_as_it_is_pinned() -> None:
    points = stepped(GPU, after=20)
    found = only(history(points, baselines=[pinned(2)]))
    assert found.standing is Standing.SUSPECTED
    assert found.run_id == run_id(10)
    assert f"held against pinned run {run_id(2)[:13]}" in found.sentence
    # Pinned after the step, it is what is usual.
    assert history(points, baselines=[pinned(15)]).findings == ()


def test_the_pinned_run_comes_before_the_last_release_and_that_before_the_window() -> None:
    points = series(GPU, quiet(14))
    release = [pinned(3, 5, "1.1"), pinned(2, 4, "1.0")]
    for baselines, what in (
        ([pinned(4, 6), *release], f"pinned run {run_id(4)[:13]}"),
        (release, "release 1.1"),
        ([], "the 8 runs before"),
    ):
        held = history(points, baselines=baselines).series[0].against
        assert held is not None
        assert held.what == what


def test_an_unpinned_run_is_no_baseline_and_a_case_that_it_lacks_uses_the_next() -> None:
    points = series(GPU, quiet(14))
    gone = replace(pinned(4, 7), run_id=None)
    for baselines in ([gone, pinned(4, 6)], [pinned(99, 6)]):
        held = history(points, baselines=baselines).series[0].against
        assert held is not None
        assert held.baseline is None


def test_the_release_before_one_that_was_unpinned_counts_again() -> None:
    def release(number: int, name: str, at: int, *, gone: bool = False) -> Baseline:
        run = None if gone else run_id(number)
        return Baseline(past.PROJECT, BaselineKind.RELEASE, name, run, week(at))

    made = [release(6, "1.1", 22, gone=True), release(6, "1.1", 21), release(4, "1.0", 20)]
    held = history(series(GPU, quiet(14)), baselines=made).series[0].against
    assert held is not None
    assert held.what == "release 1.0"


def test_what_was_pinned_later_has_no_say_in_the_past() -> None:
    reader = store(series(GPU, quiet(14)), (GPU,), baselines=[pinned(2, 12)])
    for until, what in ((11, "the 8 runs before"), (13, f"pinned run {run_id(2)[:13]}")):
        held = gather(reader, past.PROJECT, until=week(until)).series[0].against
        assert held is not None
        assert held.what == what


def test_a_difference_that_may_be_chance_is_shown_and_is_no_finding() -> None:
    noisy = quiet(14, sd=0.03, seed=3)
    found = history(series(GPU, noisy), baselines=[pinned(0)])
    held = found.series[0].against
    assert held is not None
    assert not held.significant
    assert found.findings == ()


# --- side by side -------------------------------------------------------------------------


def paired(
    ratio: float | None, *, at: int = 14, old_run: int = 5, factor: float = 1.08, **more: Any
) -> History:
    before, both = old_side(GPU, at, ratio=ratio, old_run=old_run, **more)
    return history([*stepped(GPU, factor=factor), *both], GPU, before)


def test_a_slower_new_side_confirms_it_and_fails_a_gate() -> None:
    found = only(paired(1.08, then={"model_sha256": "0" * 64}))
    assert found.standing is Standing.CONFIRMED
    assert found.is_bad
    assert found.todo == ""
    assert f"Confirmed side by side in run {run_id(14)[:13]}: 8.0 % slower" in found.sentence


def test_where_old_is_as_slow_as_new_the_device_changed() -> None:
    before, both = old_side(GPU, 14, ratio=1.0, old_run=5)
    slow = [replace(p, p50_us=2160.0) for p in both]
    found = only(history([*stepped(GPU), *slow], GPU, before))
    assert found.standing is Standing.DEVICE
    assert not found.is_bad
    assert "the device changed, not the model" in found.sentence


def test_where_both_are_the_same_and_fast_again_it_is_refuted() -> None:
    found = only(paired(1.0), Word.SLOWER)
    assert found.standing is Standing.REFUTED
    assert found.todo == ""


def test_an_unclear_side_by_side_leaves_it_suspected_and_says_what_is_missing() -> None:
    before, both = old_side(GPU, 14, ratio=1.08, old_run=5)
    short = [replace(p, p50_by_round_us=p.p50_by_round_us[:3]) for p in both]
    found = only(history([*stepped(GPU), *short], GPU, before))
    assert found.standing is Standing.SUSPECTED
    assert "below 6 rounds nothing can be tested" in found.sentence
    assert found.todo.startswith("edgebench history --confirm")


def test_both_by_todays_runtime_does_not_acquit_the_runtime() -> None:
    before, both = old_side(GPU, 14, ratio=1.0, old_run=5)
    slow = [replace(p, p50_us=2160.0, runtime="litert 2.3.0") for p in both]
    points = stepped(GPU, runtime="litert 2.3.0")
    found = only(history([*points, *slow], GPU, before))
    assert found.standing is Standing.SUSPECTED
    assert "both by today's runtime" in found.sentence
    slow[0] = replace(slow[0], runtime="litert 2.2.0")
    assert only(history([*points, *slow], GPU, before)).standing is Standing.DEVICE


def test_a_side_by_side_of_something_else_says_nothing() -> None:
    # Before the step.
    before, (old, new) = old_side(GPU, 9, ratio=1.08, old_run=5)
    points = [p for p in stepped(GPU) if p.run_id != new.run_id]
    found = history([*points, old, replace(new, p50_us=2000.0)], GPU, before)
    assert only(found).standing is Standing.SUSPECTED
    # Against a run of the new level.
    assert only(paired(1.08, at=14, old_run=12)).standing is Standing.SUSPECTED


def test_old_files_of_no_run_are_known_by_what_they_are() -> None:
    found = only(paired(1.08, old_run=0xABCDEF))
    assert found.standing is Standing.CONFIRMED
    other = only(paired(1.08, old_run=0xABCDEF, then={"model_sha256": "e" * 64}))
    assert other.standing is Standing.SUSPECTED


def test_where_old_cannot_run_two_further_weeks_decide() -> None:
    before, both = old_side(GPU, 11, ratio=None, old_run=5)
    points = [*stepped(GPU, after=1), both[0], replace(both[1], p50_us=2160.0)]
    young = only(history([*points, point(GPU, 12, 2161.0)][:-1], GPU, before))
    assert young.standing is Standing.SUSPECTED
    assert "the old one could not run any more; two further weeks decide" in young.sentence
    later = only(history([*points, *series(GPU, [2161.0, 2159.0], 12)], GPU, before))
    assert later.standing is Standing.CONFIRMED
    assert "two further weeks agree" in later.sentence
    assert later.is_bad


def test_the_newest_side_by_side_counts() -> None:
    before, first = old_side(GPU, 14, ratio=1.08, old_run=5)
    _, second = old_side(GPU, 15, ratio=1.0, old_run=5)
    points = [*stepped(GPU), *first, *(replace(p, p50_us=2160.0) for p in second)]
    assert only(history(points, GPU, before)).standing is Standing.DEVICE


def test_the_old_side_is_no_series() -> None:
    before, both = old_side(GPU, 14, ratio=1.08, old_run=5)
    found = history([*stepped(GPU), *both], GPU, before)
    assert [one.case_id for one in found.series] == [GPU.case_id]
    assert len(found.series[0].points) == 15


# --- devices ------------------------------------------------------------------------------

CASES = tuple(
    case(variant=variant, delegate=delegate)
    for variant in ("fp32", "int8")
    for delegate in ("none", "xnnpack")
)


def all_moved(**then: Any) -> list[Point]:
    return [p for n, one in enumerate(CASES) for p in stepped(one, seed=n, **then)]


def test_all_cases_of_a_device_at_once_are_the_device() -> None:
    found = history(
        all_moved(start_c=45.0, environment_id="new"),
        *CASES,
        environments={"new": past.environment(os="build 2")},
    )
    (device,) = found.devices
    assert (device.device, device.cases, device.of) == ("pixel", 4, 4)
    assert device.ratio == pytest.approx(1.08, rel=0.01)
    assert [c.what for c in device.provenance] == ["OS build", "start temperature"]
    assert {f.standing for f in found.findings} == {Standing.DEVICE}
    assert not any(f.is_bad for f in found.findings)
    assert "4 of 4 cases on pixel became 8." in device.sentence


def test_spoilt_launches_are_named() -> None:
    found = history(all_moved(launches_made=12), *CASES)
    assert ("spoilt launches", "0.00 %", "50.0 %") in [
        (c.what, c.before, c.after) for c in found.devices[0].provenance
    ]


def test_a_sentinel_that_did_not_move_acquits_the_device() -> None:
    calm = past.sentinel()
    found = history([*all_moved(), *series(calm, quiet(14))], *CASES, calm)
    assert found.devices == ()
    assert {f.standing for f in found.findings} == {Standing.SUSPECTED}


def test_a_sentinel_that_moved_too_speaks_against_it_and_is_no_models_regression() -> None:
    moved = past.sentinel()
    found = history([*all_moved(), *stepped(moved, seed=9)], *CASES, moved)
    assert len(found.devices) == 1
    assert {f.standing for f in found.findings} == {Standing.DEVICE}
    assert len(found.findings) == 5


def test_two_cases_or_half_of_them_are_not_the_device() -> None:
    two = CASES[:2]
    found = history([p for n, one in enumerate(two) for p in stepped(one, seed=n)], *two)
    assert found.devices == ()
    half = [*all_moved(), *(p for one in OTHERS for p in series(one, quiet(14)))]
    assert history(half, *CASES, *OTHERS).devices == ()


OTHERS = tuple(case("other", variant=v, delegate=d) for v in ("fp32", "int8") for d in ("a", "b"))


def test_a_new_runtime_is_under_suspicion_itself() -> None:
    found = history(all_moved(runtime="litert 2.3.0"), *CASES)
    assert found.devices == ()
    assert {f.standing for f in found.findings} == {Standing.SUSPECTED}
    assert all(f.provenance[0].what == "runtime" for f in found.findings)


def test_new_models_are_under_suspicion_unless_the_sentinel_moved_with_them() -> None:
    points = all_moved(model_sha256="c" * 64)
    assert history(points, *CASES).devices == ()
    moved = past.sentinel()
    assert len(history([*points, *stepped(moved, seed=9)], *CASES, moved).devices) == 1


def test_what_was_confirmed_side_by_side_stays_so_beside_a_device() -> None:
    before, both = old_side(CASES[0], 14, ratio=1.08, old_run=5)
    found = history([*all_moved(), *both], *CASES, before)
    standings = {f.case_id: f.standing for f in found.findings}
    assert standings[CASES[0].case_id] is Standing.CONFIRMED
    assert standings[CASES[1].case_id] is Standing.DEVICE


def test_one_case_shown_alone_is_blamed_as_among_all() -> None:
    found = gather(store(all_moved(), CASES), past.PROJECT, where=lambda c: c == CASES[0])
    assert [one.case for one in found.series] == [CASES[0]]
    assert only(found).standing is Standing.DEVICE


# --- what is seen and not inferred --------------------------------------------------------


def then(points: list[Point], count: int, **changes: Any) -> list[Point]:
    """The last `count` points otherwise."""
    return [*points[:-count], *(replace(p, **changes) for p in points[-count:])]


def test_answers_that_became_wrong() -> None:
    found = only(history(then(series(GPU, quiet(9)), 2, numerics="WRONG")))
    assert (found.word, found.standing, found.run_id) == (Word.WRONG, Standing.CERTAIN, run_id(7))
    assert (found.before, found.after) == ("answers OK", "answers WRONG")
    assert found.is_bad


def test_a_delegate_that_fell_back() -> None:
    changes = {
        "state": PointState.FELL_BACK,
        "reason": "gpu took no node: what was measured is not gpu",
        "p50_us": None,
        "coverage": "NONE",
        "delegated_nodes": 0,
    }
    points = then(series(GPU, quiet(9)), 3, **changes, environment_id="new")
    found = only(history(points, environments={"new": past.environment(os="build 2")}))
    assert (found.word, found.run_id) == (Word.FELL_BACK, run_id(6))
    assert (found.before, found.after) == ("FULL 65/65", "NONE 0/65")
    assert [c.what for c in found.provenance] == ["OS build"]
    assert "gpu took no node" in found.sentence
    assert found.is_bad


def test_a_delegate_that_leaves_more_nodes() -> None:
    points = then(series(GPU, quiet(9)), 2, coverage="PARTIAL", delegated_nodes=50)
    found = only(history(points))
    assert found.word is Word.FELL_BACK
    assert (found.before, found.after) == ("FULL 65/65", "PARTIAL 50/65")
    assert "leaves 15 more nodes" in found.sentence


def test_a_smaller_model_that_is_taken_whole_did_not_fall_back() -> None:
    points = then(series(GPU, quiet(9)), 2, delegated_nodes=60, total_nodes=60)
    assert history(points).findings == ()


def test_an_unknown_delegation_is_no_verdict() -> None:
    points = then(series(GPU, quiet(9)), 2, coverage="UNKNOWN", delegated_nodes=None)
    assert history(points).findings == ()


@pytest.mark.parametrize(
    ("higher", "now", "bad"),
    [(True, 0.60, True), (True, 0.80, False), (False, 0.80, True), (False, 0.60, False)],
)
def test_less_accurate_is_an_interval_wholly_on_the_worse_side(
    higher: bool, now: float, bad: bool
) -> None:
    def judged(points: list[Point], value: float) -> list[Point]:
        return [
            replace(
                p,
                accuracy=value,
                accuracy_low=value - 0.02,
                accuracy_high=value + 0.02,
                metric="accuracy" if higher else "MAE",
                higher_is_better=higher,
            )
            for p in points
        ]

    points = series(GPU, quiet(9))
    found = history([*judged(points[:6], 0.7), *judged(points[6:], now)])
    assert words(found) == ([Word.LESS_ACCURATE] if bad else [])
    assert words(history([*judged(points[:6], 0.7), *judged(points[6:], 0.69)])) == []


def test_a_bigger_file_is_told_once_and_only_beyond_a_percent() -> None:
    other = case(delegate="xnnpack")

    def grown(size: int) -> History:
        points = [
            *then(series(GPU, quiet(9)), 3, size_bytes=size),
            *then(series(other, quiet(9)), 3, size_bytes=size),
        ]
        return history(points, GPU, other)

    found = only(grown(3_500_000))
    assert (found.word, found.before, found.after) == (Word.BIGGER, "3.40 MB", "3.50 MB")
    assert found.is_bad
    assert grown(3_430_000).findings == ()


def test_what_was_measured_and_fails_now() -> None:
    points = [*series(GPU, quiet(7)), point(GPU, 7, None), point(GPU, 8, None)]
    found = only(history(points))
    assert (found.word, found.standing, found.run_id) == (Word.FAILED, Standing.CERTAIN, run_id(7))
    assert "the tool aborted" in found.sentence
    assert found.is_bad


def test_a_device_that_failed_is_no_models_fault() -> None:
    away = point(GPU, 7, None, reason="device-failed in 6 of 6 launches: the link dropped")
    found = only(history([*series(GPU, quiet(7)), away]))
    assert (found.word, found.standing) == (Word.FAILED, Standing.DEVICE)
    assert not found.is_bad


def test_what_never_worked_is_no_change() -> None:
    assert history([point(GPU, n, None) for n in range(9)]).findings == ()


@pytest.mark.parametrize(
    "bad",
    [
        {"numerics": "WRONG"},
        {"state": PointState.FAILED, "p50_us": None, "reason": "crashed"},
        {"state": PointState.FELL_BACK, "coverage": "NONE", "p50_us": None},
    ],
)
def test_what_is_well_again_is_mended_and_told_once(bad: dict[str, Any]) -> None:
    points = series(GPU, quiet(9))
    points = [*then(points[:8], 2, **bad), points[8]]
    found = only(history(points))
    assert (found.word, found.run_id) == (Word.MENDED, run_id(8))
    assert not found.is_bad
    assert history([*points, point(GPU, 9, 2000.0)]).findings == ()


def test_new_is_what_the_newest_run_began_with() -> None:
    new = case("another")
    points = [*series(GPU, quiet(9)), point(new, 8, 500.0)]
    found = only(history(points, GPU, new))
    assert (found.word, found.case_id) == (Word.NEW, new.case_id)
    later = [*points, point(GPU, 9, 2000.0), point(new, 9, 500.0)]
    assert history(later, GPU, new).findings == ()
    since = gather(store(later, (GPU, new)), past.PROJECT, since=week(7.5))
    assert words(since) == [Word.NEW]


def test_the_first_run_of_a_project_makes_nothing_new() -> None:
    assert history([point(GPU, 0)]).findings == ()


def test_missing_is_what_two_runs_went_without() -> None:
    other = case(delegate="xnnpack")
    points = [*series(GPU, quiet(8)), *series(other, quiet(9))]
    plans = {n: {"plan_sha256": f"{n:064x}"} for n in range(30)}
    assert history(points, GPU, other, runs=plans).findings == ()
    points.append(point(other, 9, 2000.0))
    found = only(history(points, GPU, other, runs=plans))
    assert (found.word, found.run_id, found.case_id) == (Word.MISSING, run_id(8), GPU.case_id)
    assert found.is_bad
    # After five runs without it nobody waits for it any more.
    points += series(other, [2000.0] * 5, 10)
    assert history(points, GPU, other, runs=plans).findings == ()


def test_missing_at_once_where_the_very_same_plan_had_it() -> None:
    away = case(device="moto")
    points = [*series(away, quiet(8)), *series(GPU, quiet(9))]
    found = only(history(points, GPU, away))
    assert (found.word, found.case_id) == (Word.MISSING, away.case_id)


def test_missing_is_told_of_a_device_that_is_asked_for_alone() -> None:
    away = case(device="moto")
    points = [*series(away, quiet(8)), *series(GPU, quiet(9))]
    reader = store(points, (GPU, away))
    found = only(gather(reader, past.PROJECT, where=lambda one: one.device == "moto"))
    assert found == only(gather(reader, past.PROJECT))


def test_a_run_that_did_not_come_to_it_leaves_it_missing() -> None:
    stopped = point(
        GPU,
        8,
        None,
        state=PointState.UNFINISHED,
        reason="not measured: the run is interrupted",
    )
    found = only(history([*series(GPU, quiet(8)), stopped]))
    assert (found.word, found.standing) == (Word.MISSING, Standing.CERTAIN)
    cut = {8: {"status": RunStatus.INTERRUPTED}}
    found = only(history([*series(GPU, quiet(8)), stopped], runs=cut))
    assert (found.word, found.standing, found.is_bad) == (Word.MISSING, Standing.SUSPECTED, False)
    assert "was interrupted before it came to it" in found.sentence
    assert "--resume" in found.todo
    still = only(
        history([*series(GPU, quiet(8)), stopped], runs={8: {"status": RunStatus.RUNNING}})
    )
    assert "has not ended yet" in still.sentence
    assert not still.is_bad
    # Two runs in a row that did not come to it are no accident.
    again = point(GPU, 9, None, state=PointState.UNFINISHED, reason=stopped.reason)
    cut[9] = {"status": RunStatus.INTERRUPTED}
    assert only(history([*series(GPU, quiet(8)), stopped, again], runs=cut)).is_bad
    away = replace(stopped, reason="not measured: the device stayed away (no route)")
    assert only(history([*series(GPU, quiet(8)), away])).standing is Standing.DEVICE


def test_a_paired_run_of_one_case_leaves_no_other_missing() -> None:
    other = case(delegate="xnnpack")
    before, both = old_side(other, 9, ratio=1.0, old_run=5)
    _, again = old_side(other, 10, ratio=1.0, old_run=5)
    points = [*series(GPU, quiet(9)), *series(other, quiet(9)), *both, *again]
    assert history(points, GPU, other, before).findings == ()


def test_two_further_weeks_decide_where_the_old_file_is_gone() -> None:
    before, (trial, _) = old_side(
        GPU,
        12,
        ratio=1.0,
        old_run=9,
        then={"state": PointState.NOT_APPLICABLE, "p50_us": None, "reason": "not kept any more"},
    )
    young = [*stepped(GPU, after=2), trial]
    found = only(history(young, GPU, before))
    assert (found.standing, found.is_bad) == (Standing.SUSPECTED, False)
    assert "not to be had any more; two further weeks decide" in found.sentence
    old = [*stepped(GPU, after=3), trial]
    found = only(history(old, GPU, before))
    assert (found.standing, found.is_bad) == (Standing.CONFIRMED, True)
    assert "two further weeks agree" in found.sentence
    # Without a trial nothing is decided by weeks.
    assert only(history(stepped(GPU, after=8))).standing is Standing.SUSPECTED
    # What was measured side by side, on another machine say, counts more.
    _, (was, now) = old_side(GPU, 13, ratio=1.0, old_run=9)
    found = only(history([*old, was, replace(now, p50_us=2160.0)], GPU, before))
    assert found.standing is Standing.DEVICE


def test_an_interrupted_paired_run_takes_nothing_away() -> None:
    before, (old, _) = old_side(GPU, 9, ratio=1.0, old_run=5)
    cut = point(GPU, 9, None, state=PointState.UNFINISHED, reason="not measured: interrupted")
    found = history([*series(GPU, quiet(9)), old, cut], GPU, before)
    assert found.findings == ()


def test_an_effect_is_no_suspect() -> None:
    gone: dict[str, Any] = {"state": PointState.FELL_BACK, "coverage": "NONE", "reason": "cpu"}
    gone |= {"delegated_nodes": 0, "total_nodes": 65}
    alone = only(history([*series(GPU, quiet(8)), point(GPU, 8, None, **gone)]))
    assert (alone.word, alone.provenance) == (Word.FELL_BACK, ())
    assert "Nothing that is recorded changed since run 00000007" in alone.sentence
    envs = {"new": past.environment(os="build 2")}
    updated = point(GPU, 8, None, environment_id="new", **gone)
    found = only(history([*series(GPU, quiet(8)), updated], environments=envs))
    assert [one.what for one in found.provenance] == ["OS build"]
    # A step, too: what the delegate takes is said, and is no suspect.
    slower = only(
        history(stepped(GPU, coverage="PARTIAL", delegated_nodes=65, total_nodes=66)), Word.SLOWER
    )
    assert slower.provenance == ()
    assert "took FULL 65/65 and takes PARTIAL 65/66" in slower.sentence


def test_a_finding_says_of_how_many_launches_it_is() -> None:
    found = only(history(stepped(GPU)))
    assert "in the 4 runs from then on (6 launches each)" in found.sentence
    points = stepped(GPU)
    points[-1] = replace(points[-1], launches_used=1)
    assert "(1 to 6 launches each)" in only(history(points)).sentence
    # What the plan's stability calls invalid has no say, whatever its number.
    points = [*points[:10], *(replace(p, stability="INVALID") for p in points[10:])]
    assert history(points).findings == ()


def test_several_things_hold_for_one_series() -> None:
    points = stepped(GPU, size_bytes=4_000_000, coverage="PARTIAL", delegated_nodes=60)
    found = history(points)
    assert words(found) == [Word.FELL_BACK, Word.BIGGER, Word.SLOWER]


def test_until_shows_it_as_it_was_then() -> None:
    reader = store(stepped(GPU), (GPU,))
    assert words(gather(reader, past.PROJECT)) == [Word.SLOWER]
    found = gather(reader, past.PROJECT, until=week(10))
    assert found.findings == ()
    assert len(found.series[0].points) == 10


def test_a_project_without_points_has_an_empty_history() -> None:
    assert history([]) == History(past.PROJECT, (), (), ())


def test_a_finding_may_be_younger_than_its_first_run_shows() -> None:
    """A step is found some runs after it began; `since` of gather does not hide it."""
    found = gather(store(stepped(GPU), (GPU,)), past.PROJECT, since=week(13) + timedelta(days=1))
    assert words(found) == [Word.SLOWER]
