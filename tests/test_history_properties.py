"""No finding without its evidence, whatever came in whatever order."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import stored_past as past
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_past import case, old_side, series, stepped, store

from bench.points import Point, PointState
from reports.history.gather import gather
from reports.history.levels import beyond
from reports.history.model import History, Standing, Word
from reports.history.words import is_simulated

CASES = tuple(case(variant=v, delegate=d) for v in ("fp32", "int8") for d in ("none", "gpu"))
SPEEDS = (Word.SLOWER, Word.FASTER)


def history(points: list[Point], cases: Any = CASES) -> History:
    return gather(store(points, cases), past.PROJECT)


@st.composite
def lives(draw: st.DrawFn) -> list[Point]:
    """What may have befallen a few series over a time."""
    points: list[Point] = []
    for number, one in enumerate(CASES):
        count = draw(st.integers(0, 24))
        noise = np.random.default_rng(draw(st.integers(0, 2**20)))
        level = 1000.0 * (1 + number)
        for week in range(count):
            level *= draw(st.sampled_from([1.0] * 12 + [1.1, 0.9]))
            us: float | None = float(level * np.exp(noise.normal(0, 0.01)))
            fate = draw(st.sampled_from(["well"] * 9 + ["failed", "fell", "wrong", "simulated"]))
            made = past.point(one, week, None if fate == "failed" else us)
            if fate == "fell":
                made = replace(made, state=PointState.FELL_BACK, p50_us=None, coverage="NONE")
            if fate == "wrong":
                made = replace(made, numerics="WRONG")
            points.append(replace(made, simulated=fate == "simulated"))
    return points


@settings(max_examples=60)
@given(lives(), st.randoms(use_true_random=False))
def test_the_order_in_the_store_does_not_matter(points: list[Point], rng: random.Random) -> None:
    shuffled = list(points)
    rng.shuffle(shuffled)
    cases = list(CASES)
    rng.shuffle(cases)
    assert history(points) == history(shuffled, cases)


@settings(max_examples=60)
@given(lives())
def test_every_finding_has_its_evidence(points: list[Point]) -> None:
    found = history(points)
    by_id = {one.case_id: one for one in found.series}
    for finding in found.findings:
        one = by_id[finding.case_id]
        runs = {p.run_id: p for p in one.points}
        judged = {p.run_id for p in one.judged}
        assert finding.word is Word.MISSING or finding.run_id in runs
        assert finding.sentence.startswith("Simulated: ") is is_simulated(one)
        if finding.last_good_run_id is not None:
            assert runs[finding.last_good_run_id].started_utc <= finding.since_utc
        # Nothing here was ever measured side by side.
        assert finding.standing in (Standing.CERTAIN, Standing.SUSPECTED, Standing.DEVICE)
        if finding.word in SPEEDS:
            assert finding.ratio is not None
            assert beyond(finding.ratio, 0.02)
            assert (finding.ratio > 1) is (finding.word is Word.SLOWER)
            assert {finding.run_id, finding.last_good_run_id} <= judged
            assert finding.standing is not Standing.CERTAIN
            assert not finding.is_bad
        if finding.word is Word.WRONG:
            assert runs[finding.run_id].numerics == "WRONG"
        if finding.word is Word.FAILED:
            assert runs[finding.run_id].state is PointState.FAILED
    for one in found.series:
        assert {p.run_id for p in one.judged} <= {p.run_id for p in one.points if p.judged}
        assert len({p.simulated for p in one.judged}) <= 1
        for step in one.steps:
            assert one.judged[step.position].started_utc <= step.since_utc


@settings(max_examples=40)
@given(st.integers(5, 30), st.permutations(range(8)), st.floats(10.0, 1e6))
def test_a_constant_series_has_no_finding_in_any_order(
    count: int, order: list[int], level_us: float
) -> None:
    """The medians of a quiet machine by whole microseconds, shuffled."""
    steps = [round(level_us) + (order[n % 8] > 6) * round(level_us * 0.001) for n in range(count)]
    found = history(series(CASES[0], [float(us) for us in steps]))
    assert found.findings == ()


@settings(max_examples=40)
@given(st.floats(0.5, 2.0), st.integers(0, 1000))
def test_only_a_side_by_side_that_says_so_confirms(ratio: float, seed: int) -> None:
    of = CASES[0]
    before, both = old_side(of, 14, ratio=ratio, old_run=5)
    old, new = both
    slow = [old, replace(new, p50_us=2000.0 * 1.08)]
    found = history([*stepped(of), *slow], (of, before))
    (speed,) = [f for f in found.findings if f.word is Word.SLOWER]
    if speed.standing is Standing.CONFIRMED:
        assert ratio > 1.019
    if ratio > 1.03:
        assert speed.standing is Standing.CONFIRMED
    if ratio < 1.0:
        assert speed.standing is not Standing.CONFIRMED


def test_quiet_series_of_normal_noise_alarm_rarely() -> None:
    """1000 series of 30 weeks at 1 %: what is told of the last weeks."""
    rng = np.random.default_rng(20)
    many = [case(f"m{n}") for n in range(1000)]
    points = [
        p
        for one in many
        for p in series(one, [float(v) for v in 2000.0 * np.exp(rng.normal(0, 0.01, 30))])
    ]
    found = history(points, many)
    assert found.devices == ()
    assert {f.standing for f in found.findings} <= {Standing.SUSPECTED}
    assert len(found.findings) <= 30
