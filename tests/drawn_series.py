"""Synthetic series for the tests of charts over time: consistent with themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

from bench.identity import Case, DelegateSpec
from bench.points import Baseline, BaselineKind, Point, PointState
from bench.stats import Interval
from reports.history.model import AgainstBaseline, ProvenanceChange, SeriesHistory, Spike, Step

START = datetime(2025, 1, 6, 3, 0, tzinfo=UTC)
CASE = Case("fleet", "mobilenet-v2", "int8", DelegateSpec("gpu"), 4, "benchmark_model", "pixel-8")


def point(number: int, p50_us: float | None, *, case: Case = CASE, days: float = 7.0) -> Point:
    """The run of a week; without a number it failed."""
    known = p50_us is not None
    return Point(
        run_id=f"0198{number:04x}-0000-7000-8000-000000000000",
        case_id=case.case_id,
        started_utc=START + timedelta(days=days * number),
        state=PointState.MEASURED if known else PointState.FAILED,
        reason="" if known else "crash: it died",
        quantity="a median of single invokes",
        p50_us=p50_us,
        p50_low_us=None if p50_us is None else p50_us * 0.993,
        p50_high_us=None if p50_us is None else p50_us * 1.008,
        p90_us=None if p50_us is None else p50_us * 1.1,
        mean_us=None,
        p50_by_round_us=(),
        launches_made=6,
        launches_used=6 if known else 0,
        stability="STABLE",
        coverage="FULL",
        delegated_nodes=65,
        total_nodes=65,
        numerics="OK",
        accuracy=None,
        accuracy_low=None,
        accuracy_high=None,
        metric="",
        higher_is_better=True,
        gates_failed=(),
        size_bytes=3_400_000,
        model_sha256="ab" * 32,
        peak_rss_kib=None,
        energy_mj_per_invoke=None,
        start_c=None,
        environment_id=None,
        simulated=False,
    )


def series(
    values_us: Sequence[float | None],
    *,
    steps: Sequence[int] = (),
    spikes: Sequence[int] = (),
    changes: Mapping[int, Sequence[ProvenanceChange]] | None = None,
    case: Case = CASE,
    days: float = 7.0,
    states: Mapping[int, PointState] | None = None,
    baseline: str = "",
) -> SeriesHistory:
    """A series of such p50, None for a run that failed.

    Args:
        steps, spikes, changes, states: by position in `values_us`.
        baseline: what it is held against; "" for none.
    """
    known, became = changes or {}, states or {}
    points = tuple(
        replace(made, state=became.get(n, made.state))
        for n, value in enumerate(values_us)
        for made in (point(n, value, case=case, days=days),)
    )
    judged = tuple(p for p in points if p.judged)
    places = {p.run_id: n for n, p in enumerate(judged)}
    bounds = [0, *(places[points[n].run_id] for n in steps), len(judged)]
    lone = {points[n].run_id for n in spikes}
    levels = [
        float(np.median([p.p50_us or 0.0 for p in judged[a:b] if p.run_id not in lone]))
        for a, b in pairwise(bounds)
        if a < b
    ]
    made_steps = [
        Step(
            position=bounds[number],
            last_good_run_id=judged[bounds[number] - 1].run_id,
            first_bad_run_id=points[n].run_id,
            since_utc=points[n].started_utc,
            before_us=levels[number - 1],
            after_us=levels[number],
            ratio=levels[number] / levels[number - 1],
            interval=Interval(1.0, 1.1, 0.95, "order-statistic"),
            p_value=0.001,
            provenance=tuple(known.get(n, ())),
        )
        for number, n in enumerate(steps, start=1)
    ]
    against = None
    if baseline:
        pinned = Baseline("fleet", BaselineKind.PINNED, "", judged[0].run_id, START)
        ratio = levels[-1] / levels[0]
        against = AgainstBaseline(pinned, baseline, levels[0], ratio, None, significant=True)
    return SeriesHistory(
        case=case,
        case_id=case.case_id,
        points=points,
        judged=judged,
        steps=tuple(made_steps),
        spikes=tuple(
            Spike(places[points[n].run_id], points[n].run_id, (points[n].p50_us or 0.0) / levels[0])
            for n in spikes
        ),
        against=against,
        smallest_step=0.03 if len(judged) > 5 else None,
        changes=tuple((n, tuple(what)) for n, what in known.items()),
    )


def quiet(count: int, us: float = 1910.0, *, seed: int = 1, noise: float = 0.006) -> list[float]:
    """A level with noise."""
    return [float(v) for v in us * np.random.default_rng(seed).normal(1.0, noise, count)]


def eventful() -> SeriesHistory:
    """Everything at once: steps up and down, lone points, failures, changes, a baseline."""
    values: list[float | None] = [
        *quiet(14),
        *quiet(16, 1910 * 1.082, seed=2),
        *quiet(14, 1910 * 1.02, seed=3),
    ]
    values[6], values[22] = 1910 * 1.11, 1910 * 5.2
    for n in (9, 10, 33):
        values[n] = None
    return series(
        values,
        steps=(14, 30),
        spikes=(6, 22),
        changes={
            5: (ProvenanceChange("OS build", "AP1A.240305", "AP2A.240605"),),
            14: (
                ProvenanceChange("runtime", "2.1.0", "2.2.0"),
                ProvenanceChange("GPU driver", "", "512.615"),
            ),
            30: (ProvenanceChange("model", "ab12cd34", "ef56ab78"),),
        },
        states={10: PointState.FELL_BACK, 25: PointState.INVALID},
        baseline="pinned run 01980000",
    )
