"""A store in memory that holds only what histories are made of, and points to put in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np

from bench.identity import SENTINEL_MODEL, SENTINEL_PROJECT, Case, DelegateSpec, named_before
from bench.points import Baseline, Point, PointState
from bench.records import PlannedCase, RunRecord, RunStatus
from bench.store import open_store
from bench.store.reader import StoreReader

BEGAN = datetime(2026, 1, 5, 2, tzinfo=UTC)
PROJECT = "p"
SHA = "a" * 64


def case(
    model: str = "m",
    variant: str = "int8",
    delegate: str = "gpu",
    device: str = "pixel",
    **changes: Any,
) -> Case:
    made = Case(PROJECT, model, variant, DelegateSpec(delegate), 1, "benchmark_model", device)
    return replace(made, **changes)


def sentinel(device: str = "pixel") -> Case:
    return Case(
        SENTINEL_PROJECT,
        SENTINEL_MODEL,
        "fp32",
        DelegateSpec("none"),
        1,
        "benchmark_model",
        device,
    )


def run_id(number: int) -> str:
    """Of the run of that week; their beginnings differ."""
    return f"{number:08x}-0000-7000-8000-000000000000"


def week(number: float) -> datetime:
    return BEGAN + timedelta(weeks=number)


def run(number: int, **changes: Any) -> RunRecord:
    made = RunRecord(
        run_id=run_id(number),
        project=PROJECT,
        status=RunStatus.FINISHED,
        started_utc=week(number),
        finished_utc=week(number) + timedelta(hours=1),
        plan={"analysis": {"delta": 0.02}, "measure": {"rounds": 6}},
        plan_sha256="0" * 64,
        root="/lab",
        seed=0,
        edgebench_version="0.6.0",
        host={},
    )
    return replace(made, **changes)


def point(of: Case, number: int, p50_us: float | None = 2000.0, **changes: Any) -> Point:
    """A measured one with nothing to remark; without a time, one that failed."""
    asked = of.delegate.name != "none"
    failed = p50_us is None
    made = Point(
        run_id=run_id(number),
        case_id=of.case_id,
        started_utc=week(number),
        state=PointState.FAILED if failed else PointState.MEASURED,
        reason="crashed in 6 of 6 launches: the tool aborted" if failed else "",
        quantity="" if failed else "a median of single invokes",
        p50_us=p50_us,
        p50_low_us=None if p50_us is None else p50_us * 0.99,
        p50_high_us=None if p50_us is None else p50_us * 1.01,
        p90_us=None if p50_us is None else p50_us * 1.1,
        mean_us=p50_us,
        p50_by_round_us=() if p50_us is None else tuple((n, p50_us) for n in range(6)),
        launches_made=6,
        launches_used=0 if failed else 6,
        stability="INVALID" if failed else "STABLE",
        coverage=None if failed else "FULL" if asked else "NONE",
        delegated_nodes=None if failed else 65 if asked else 0,
        total_nodes=None if failed else 65,
        numerics=None if failed else "OK",
        accuracy=None,
        accuracy_low=None,
        accuracy_high=None,
        metric="",
        higher_is_better=True,
        gates_failed=(),
        size_bytes=3_400_000,
        model_sha256=SHA,
        peak_rss_kib=48_000,
        energy_mj_per_invoke=None,
        start_c=30.0,
        environment_id="env",
        simulated=False,
        runtime="litert 2.2.0",
    )
    return replace(made, **changes)


def quiet(n: int, level_us: float = 2000.0, *, sd: float = 0.004, seed: int = 0) -> list[float]:
    """Medians of n runs."""
    return [float(v) for v in level_us * np.exp(np.random.default_rng(seed).normal(0, sd, n))]


def series(of: Case, p50s_us: Sequence[float], first: int = 0, **changes: Any) -> list[Point]:
    """One point a week."""
    return [point(of, first + n, us, **changes) for n, us in enumerate(p50s_us)]


def stepped(
    of: Case, *, before: int = 10, after: int = 4, factor: float = 1.08, seed: int = 0, **then: Any
) -> list[Point]:
    """A quiet series with a step; `then` is of the points after it."""
    level = 2000.0 * (1 + 0.1 * seed)
    old = series(of, quiet(before, level, seed=seed))
    new = quiet(after, level * factor, seed=seed + 1000)
    return [*old, *series(of, new, before, **then)]


def old_side(
    of: Case,
    number: int,
    *,
    ratio: float | None,
    old_run: int = 0,
    then: Mapping[str, Any] | None = None,
    **now: Any,
) -> tuple[Case, list[Point]]:
    """The old model's case, and both points of a paired A/B: new is `ratio` times old; None
    where the old one failed. `then` is of the old one, `now` of the new one."""
    before = replace(of, model=named_before(of.model, run_id(old_run)))
    noise = np.random.default_rng(number).normal(0, 0.002, 6)
    old = tuple((n, 2000.0 * float(np.exp(noise[n]))) for n in range(6))
    new = tuple((n, us * (ratio or 1.08)) for n, us in old)
    was = (
        point(before, number, None)
        if ratio is None
        else point(before, number, 2000.0, p50_by_round_us=old)
    )
    return before, [
        replace(was, **(then or {})),
        point(of, number, 2000.0 * (ratio or 1.08), **{"p50_by_round_us": new, **now}),
    ]


@dataclass
class Memory:
    """Answers what reports.history.gather asks a store."""

    points_of: list[Point]
    cases_of: dict[str, Case]
    environments_of: dict[str, Mapping[str, Any]] = field(
        default_factory=lambda: {"env": environment()}
    )
    baselines_of: tuple[Baseline, ...] = ()
    runs_of: tuple[RunRecord, ...] = ()

    def points(
        self,
        *,
        project: str | None = None,
        case_ids: Iterable[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        run_id: str | None = None,
    ) -> list[Point]:
        kept = None if case_ids is None else set(case_ids)
        found = [
            p
            for p in self.points_of
            if (kept is None or p.case_id in kept) and (until is None or p.started_utc < until)
        ]
        return sorted(found, key=lambda p: (p.case_id, p.started_utc, p.run_id))

    def cases(self, case_ids: object = None, project: str | None = None) -> dict[str, Case]:
        return self.cases_of

    def runs(self, project: str | None = None) -> tuple[RunRecord, ...]:
        return self.runs_of

    def runs_without_points(self, project: str | None = None) -> tuple[RunRecord, ...]:
        return ()

    def environments(self, ids: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        return {key: self.environments_of[key] for key in ids if key in self.environments_of}

    def baselines(self, project: str) -> tuple[Baseline, ...]:
        return self.baselines_of


def environment(**device: Any) -> dict[str, Any]:
    """Facts as a launch records them."""
    return {
        "model_sha256": SHA,
        "runner": "benchmark_model",
        "runner_sha256": "b" * 64,
        "device": {
            "os": "build 1",
            "kernel": "6.1",
            "unit": "0123456789abcdef",
            "android": {"gles": "driver 1"},
            **device,
        },
        "limits": {"min_samples": 100},
        "controls": [{"name": "governor", "wanted": "performance", "outcome": "applied"}],
    }


def store(
    points: Iterable[Point],
    cases: Iterable[Case],
    *,
    environments: Mapping[str, Mapping[str, Any]] | None = None,
    baselines: Sequence[Baseline] = (),
    runs: Mapping[int, Mapping[str, Any]] | None = None,
) -> StoreReader:
    """A store of these points, with a run for each week that has one.

    Args:
        runs: week -> what of its record is otherwise.
    """
    made = list(points)
    weeks = sorted({int(p.run_id[:8], 16) for p in made})
    return cast(
        StoreReader,
        Memory(
            made,
            {one.case_id: one for one in cases},
            {"env": environment(), **(environments or {})},
            tuple(baselines),
            tuple(run(number, **(runs or {}).get(number, {})) for number in weeks),
        ),
    )


def fill(path: Path, points: Iterable[Point], cases: Iterable[Case]) -> Path:
    """A SQLite store of these points; their environments are not in it."""
    made, known = list(points), {one.case_id: one for one in cases}
    with open_store(path, write=True) as opened:
        for number in sorted({int(p.run_id[:8], 16) for p in made}):
            mine = [p for p in made if p.run_id == run_id(number)]
            planned = [PlannedCase(run_id(number), known[p.case_id]) for p in mine]
            opened.begin_run(run(number, status=RunStatus.RUNNING, finished_utc=None), planned)
            opened.finish_run(run_id(number), RunStatus.FINISHED, week(number))
            opened.add_points(run_id(number), mine)
    return path
