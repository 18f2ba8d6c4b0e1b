"""Stored records of one run -> its points, by the same verdicts that its own report shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np

from bench.config import PlanConfig
from bench.errors import UserError
from bench.headline import headline
from bench.identity import Case, before, sha256_of
from bench.planfile import parse_plan
from bench.points import Point, PointState
from bench.records import LaunchRecord, Outcome, PlannedCase, RunData
from bench.stability import StabilityWord, used_launches
from bench.stats import launch_interval
from bench.store import Store
from reports.compare import compare
from reports.conditions import simulated_devices
from reports.delegations import misfiled
from reports.measured import MeasuredCase, measured_cases
from reports.model import GateStatus, Row
from reports.provenance import mapping


def points_of(data: RunData, plan: PlanConfig | None = None) -> tuple[Point, ...]:
    """A point for every case that the run planned, in the plan's order.

    A sentinel's point is the median over its clean launches. They are no rounds, so it has
    none, nor a verdict on its stability.

    Args:
        plan: the run's plan; read from its record if not given.

    Raises: UserError if the recorded plan cannot be read by this version.
    """
    if plan is None:
        plan = parse_plan(dict(data.run.plan), where=f"plan of run {data.run.run_id}")
    plan = _with_old_models(plan, data.cases)
    by_case: dict[str, list[LaunchRecord]] = defaultdict(list)
    for launch in data.launches:
        by_case[launch.case_id].append(launch)
    simulated = simulated_devices(data)
    rows = zip(compare(data, plan).rows, measured_cases(data, plan), strict=True)
    by_id = {row.case_id: _of_row(data, row, measured) for row, measured in rows}
    return tuple(
        _of_sentinel(
            data,
            planned.case,
            by_case[planned.case.case_id],
            simulated=planned.case.device in simulated,
        )
        if planned.case.is_sentinel
        else by_id[planned.case.case_id]
        for planned in data.cases
    )


def store_missing_points(store: Store) -> int:
    """Store the points of every ended run that has none by today's rules; of how many runs.

    A run whose plan this version cannot read stays without.

    Raises: StoreError.
    """
    stored = 0
    for run in store.runs_without_points():
        with suppress(UserError):
            store.add_points(run.run_id, points_of(store.load(run.run_id)))
            stored += 1
    return stored


def _with_old_models(plan: PlanConfig, cases: Sequence[PlannedCase]) -> PlanConfig:
    """The plan with the old sides of a paired A/B, as their model of today is configured."""
    models = {model.name: model for model in plan.model}
    for name in dict.fromkeys(planned.case.model for planned in cases):
        found = before(name)
        if name not in models and found is not None and found[0] in models:
            models[name] = models[found[0]].model_copy(update={"name": name})
    return plan.model_copy(update={"model": tuple(models.values())})


def _of_row(data: RunData, row: Row, measured: MeasuredCase) -> Point:
    state, reason = _state(data, row, measured)
    interval, accuracy = row.p50_interval_us, row.accuracy
    around = None if accuracy is None else accuracy.interval
    found = None if measured.failure is not None else measured.headline
    return Point(
        run_id=data.run.run_id,
        case_id=row.case_id,
        started_utc=data.run.started_utc,
        state=state,
        reason=reason,
        quantity=measured.quantity if found is not None else "",
        p50_us=row.p50_us,
        p50_low_us=None if interval is None else interval.low,
        p50_high_us=None if interval is None else interval.high,
        p90_us=row.p90_us,
        mean_us=row.mean_us,
        p50_by_round_us=() if found is None else tuple(sorted(measured.p50_by_round.items())),
        launches_made=row.launches_made,
        launches_used=row.launches_used,
        stability=row.stability.word.value,
        coverage=None if row.delegation is None else row.delegation.verdict.value,
        delegated_nodes=None if row.delegation is None else row.delegation.delegated_nodes,
        total_nodes=None if row.delegation is None else row.delegation.total_nodes,
        numerics=None if row.numerics is None else row.numerics.word.value,
        accuracy=None if accuracy is None else accuracy.value,
        accuracy_low=None if around is None else around.low,
        accuracy_high=None if around is None else around.high,
        metric="" if accuracy is None else accuracy.metric.title,
        higher_is_better=True if accuracy is None else accuracy.metric.higher_is_better,
        gates_failed=tuple(g.name for g in row.gates if g.status is GateStatus.FAIL),
        size_bytes=row.size_bytes,
        model_sha256=row.model_sha256,
        peak_rss_kib=row.peak_rss_kib,
        energy_mj_per_invoke=row.energy_mj_per_invoke,
        start_c=_start_c(measured.used),
        environment_id=_environment_id(measured.used or measured.launches),
        simulated=row.simulated,
        runtime=_runtime(measured.used),
    )


def _state(data: RunData, row: Row, measured: MeasuredCase) -> tuple[PointState, str]:
    if row.not_applicable is not None:
        return PointState.NOT_APPLICABLE, row.not_applicable
    if row.failure is not None:
        if misfiled(row.delegation):
            return PointState.FELL_BACK, row.failure
        if any(item.outcome is Outcome.OK for item in measured.launches):
            # It ran: the conditions spoilt it, which is no fault of the case.
            return PointState.INVALID, row.failure
        failed = {(v.model, v.variant) for v in data.variants if v.failure is not None}
        tried = row.launches_made or measured.foreign
        if tried or (row.case.model, row.case.variant) in failed:
            return PointState.FAILED, row.failure
        return PointState.UNFINISHED, row.failure
    if row.stability.word is StabilityWord.INVALID:
        return PointState.INVALID, "; ".join(row.stability.reasons)
    return PointState.MEASURED, ""


def _of_sentinel(
    data: RunData, case: Case, launches: Sequence[LaunchRecord], *, simulated: bool
) -> Point:
    used = used_launches(launches)
    measured = [item.measurement for item in used if item.measurement is not None]
    found = headline(measured) if measured else None
    p50s = found.values_us if found is not None and found.is_p50 else ()
    interval = launch_interval(p50s, resolution=found.resolution_us) if found else None
    delegation = measured[-1].delegation if measured else None
    if p50s:
        state, reason = PointState.MEASURED, ""
    elif launches:
        ran = any(item.outcome is Outcome.OK for item in launches)
        state = PointState.INVALID if ran else PointState.FAILED
        reason = f"no clean launch in {len(launches)}"
    else:
        state, reason = PointState.UNFINISHED, f"not measured: the run is {data.run.status.value}"
    environment = (used or tuple(launches) or (None,))[-1]
    sha256 = None if environment is None else environment.environment.get("model_sha256")
    return Point(
        run_id=data.run.run_id,
        case_id=case.case_id,
        started_utc=data.run.started_utc,
        state=state,
        reason=reason,
        quantity=""
        if found is None
        else "a median of single invokes"
        if found.is_median
        else "a tool's mean",
        p50_us=_median(p50s),
        p50_low_us=None if interval is None else interval.low,
        p50_high_us=None if interval is None else interval.high,
        p90_us=None,
        mean_us=_median([m.mean_us for m in measured]),
        p50_by_round_us=(),
        launches_made=len(launches),
        launches_used=len(used),
        stability="",
        coverage=None if delegation is None else delegation.verdict.value,
        delegated_nodes=None if delegation is None else delegation.delegated_nodes,
        total_nodes=None if delegation is None else delegation.total_nodes,
        numerics=None,
        accuracy=None,
        accuracy_low=None,
        accuracy_high=None,
        metric="",
        higher_is_better=True,
        gates_failed=(),
        size_bytes=None,
        model_sha256=sha256 if isinstance(sha256, str) else None,
        peak_rss_kib=max((m.peak_rss_kib for m in measured if m.peak_rss_kib), default=None),
        energy_mj_per_invoke=None,
        start_c=_start_c(used),
        environment_id=_environment_id(used or launches),
        simulated=simulated,
        runtime=_runtime(used),
    )


def _start_c(used: Sequence[LaunchRecord]) -> float | None:
    """Median over the used launches that tell how warm their device was before."""
    told = [mapping(item.conditions, "before").get("temperature_c") for item in used]
    return _median([float(c) for c in told if isinstance(c, int | float)])


def _environment_id(launches: Sequence[LaunchRecord]) -> str | None:
    """As the store names it (bench.store.launch_rows)."""
    return sha256_of(launches[-1].environment) if launches else None


def _runtime(used: Sequence[LaunchRecord]) -> str:
    """ "name version", each once where launches of one run differ; the tool's name alone
    says nothing that its case does not."""
    told = (item.measurement.runtime for item in used if item.measurement is not None)
    return ", ".join(dict.fromkeys(text for one in told if (text := _name_of(one))))


def _name_of(runtime: Mapping[str, object]) -> str:
    version = runtime.get("version") or runtime.get("runner_version")
    return f"{runtime.get('name', '')} {version}".strip() if version else ""


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(np.asarray(values))) if values else None
