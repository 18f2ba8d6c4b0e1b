"""Pairs of synthetic runs for tests of reports.pairs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from analysis import rounds, run_data
from records import NOW, case
from rich.console import Console

from bench.config import GatesConfig, ModelConfig, PlanConfig
from bench.identity import Case, launch_id, named_before
from bench.points import Point, PointState
from bench.records import LaunchRecord, RunData, RunStatus
from bench.store import open_store
from reports.pairs.compare import Series, compare_sides, side_cases
from reports.pairs.model import Pair, Pairs, Side
from reports.pairs.sides import SideCase
from reports.pairs.terminal import terminal
from reports.points import points_of

RUN_A = "01939f3a-0000-7000-8000-000000000000"
RUN_B = "01939f3b-1111-7000-8000-000000000000"
OLD = named_before("m", RUN_A)
NO_SERIES = Series(lambda ids: [], lambda ids: {})


def old(of: Case) -> Case:
    return replace(of, model=OLD)


def ab_run(
    ratio: float = 1.0,
    *,
    seed: int = 0,
    n: int = 6,
    spread: float = 0.005,
    cases: Iterable[Case] = (),
    **run: Any,
) -> RunData:
    """An A/B run: today's cases take `ratio` times as long as the old ones, in common rounds
    with a common drift."""
    rng = np.random.default_rng(seed)
    launches: dict[Case, list[LaunchRecord]] = {}
    for one in tuple(cases) or (case("fp32"),):
        drift = rng.normal(0, 0.02, n)
        for which, us in ((old(one), 1000.0), (one, 1000.0 * ratio)):
            values = us * np.exp(drift + rng.normal(0, spread, n))
            launches[which] = rounds(which, [float(v) for v in values])
    models = tuple(ModelConfig(name=name, files={"fp32": "m.tflite"}) for name in ("m", OLD))
    return run_data(launches, of=PlanConfig(project="p", model=models), **run)


def side(data: RunData, label: str) -> Side:
    return Side(label, f"{label} in words", data.run.run_id, "p", data.run.started_utc)


def pairs(
    a: RunData,
    b: RunData,
    *,
    of_a: Callable[[Case], bool] = lambda c: True,
    of_b: Callable[[Case], bool] = lambda c: True,
    differing: Sequence[str] = (),
    series: Series = NO_SERIES,
    **changes: Any,
) -> Pairs:
    """Cases of both runs against each other."""

    def those(data: RunData, wanted: Callable[[Case], bool]) -> list[SideCase]:
        return [one for one in side_cases(data) if wanted(one.measured.case)]

    return compare_sides(
        (side(a, "before"), those(a, of_a)),
        (side(b, "after"), those(b, of_b)),
        differing=differing,
        delta=0.02,
        gates=GatesConfig(),
        series=series,
        model_of=lambda data, case: None,
        **changes,
    )


def one_pair(*args: Any, **changes: Any) -> Pair:
    (found,) = pairs(*args, **changes).pairs
    return found


def within_ab(data: RunData, **changes: Any) -> Pairs:
    """The two sides of an A/B run."""
    return pairs(data, data, of_a=lambda c: c.is_before, of_b=lambda c: not c.is_before, **changes)


def series_of(of: Case, runs_us: Mapping[str, float], **changes: Any) -> Series:
    """A store that knows these runs of one case, all of one environment."""
    points = [_point(of, run_id, us, **changes) for run_id, us in runs_us.items()]
    return Series(lambda ids: [p for p in points if p.case_id in ids], lambda ids: {"e": {}})


def _point(of: Case, run_id: str, p50_us: float, **changes: Any) -> Point:
    fields: dict[str, Any] = {
        "run_id": run_id,
        "case_id": of.case_id,
        "started_utc": NOW,
        "state": PointState.MEASURED,
        "reason": "",
        "quantity": "a median of single invokes",
        "p50_us": p50_us,
        "p50_low_us": None,
        "p50_high_us": None,
        "p90_us": None,
        "mean_us": None,
        "p50_by_round_us": (),
        "launches_made": 6,
        "launches_used": 6,
        "stability": "STABLE",
        "coverage": "FULL",
        "delegated_nodes": 10,
        "total_nodes": 10,
        "numerics": None,
        "accuracy": None,
        "accuracy_low": None,
        "accuracy_high": None,
        "metric": "",
        "higher_is_better": True,
        "gates_failed": (),
        "size_bytes": None,
        "model_sha256": "0" * 64,
        "peak_rss_kib": None,
        "energy_mj_per_invoke": None,
        "start_c": None,
        "environment_id": "e",
        "simulated": False,
    }
    return Point(**{**fields, **changes})


def shown(found: Pairs, *, width: int = 100, encoding: str = "utf-8") -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=out, width=width, color_system=None).print(terminal(found))
    out.flush()
    return out.buffer.getvalue().decode(encoding)


def stored(path: Path, *runs: RunData) -> Path:
    """A store of these runs, whatever run their records were made for; oldest first."""
    with open_store(path, write=True) as store:
        for hours, data in enumerate(runs):
            run = replace(data.run, started_utc=data.run.started_utc + timedelta(hours=hours))
            key = run.run_id
            store.begin_run(
                replace(run, status=RunStatus.RUNNING, finished_utc=None),
                [replace(planned, run_id=key) for planned in data.cases],
            )
            for variant in data.variants:
                store.add_variant(replace(variant, run_id=key))
            for evaluation in data.evaluations:
                store.add_evaluation(replace(evaluation, run_id=key))
            for one in data.launches:
                name = launch_id(key, one.case_id, one.index, one.attempt)
                store.add_launch(replace(_with_samples(one), run_id=key, launch_id=name))
            if run.status is not RunStatus.RUNNING:
                store.finish_run(key, run.status, run.started_utc)
            found = replace(data, run=run)
            points = points_of(found)
            store.add_points(key, points)
    return path


def _with_samples(one: LaunchRecord) -> LaunchRecord:
    """A store takes no launch without them."""
    measured = one.measurement
    if measured is None or measured.p50_us is None:
        return one
    samples = np.full(measured.count, round(measured.p50_us * 1000), dtype=np.int64)
    return replace(one, measurement=replace(measured, samples_ns=samples, warmup_ns=samples[:2]))
