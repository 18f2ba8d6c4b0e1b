"""Carry out a plan: variants made, answers checked, launches measured, all of it stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from bench import __version__
from bench.config import ModelConfig
from bench.device_run import DeviceRun, OldTools, RunnerFor
from bench.errors import EdgebenchError, UserError
from bench.events import Emit, Note
from bench.fleet import DeviceProblem, carry_out_jobs
from bench.identity import Case, new_run_id
from bench.metrics import metric_of
from bench.numerics.reference import NumericsFiles, prepare_numerics
from bench.plan import Plan, all_cells, expand, kernels_of
from bench.records import (
    EvaluationRecord,
    Failure,
    PlannedCase,
    RunData,
    RunRecord,
    RunStatus,
    VariantRecord,
)
from bench.samples import materialise
from bench.sentinel import sentinel_case
from bench.slots import CaseFiles
from bench.store import Store
from bench.variants.arrays import load_samples
from bench.variants.evaluate import evaluate_variants, input_sample
from bench.variants.make import make_variants
from devices.device import Device
from devices.facts import Facts
from devices.lease import Owner


class Interrupted(EdgebenchError):
    """The user stopped a run; everything measured until then is in the store."""

    def __init__(self, run_id: str, launches: int) -> None:
        super().__init__(f"run {run_id} was interrupted after {launches} launches")
        self.run_id = run_id
        self.launches = launches


def start_run(plan: Plan, store: Store, host: Facts, *, simulated: bool) -> str:
    """Record a new run and its cases; return its id."""
    run = RunRecord(
        run_id=new_run_id(),
        project=plan.config.project,
        status=RunStatus.RUNNING,
        started_utc=datetime.now(UTC),
        finished_utc=None,
        plan=plan.config.model_dump(mode="json"),
        plan_sha256=plan.sha256,
        root=str(plan.root),
        seed=plan.config.measure.seed,
        edgebench_version=__version__,
        host=host.to_json(),
        simulated=simulated,
    )
    cases = [PlannedCase(run.run_id, case, why_not) for case, why_not in all_cells(plan)]
    for device in plan.devices:
        cases += [PlannedCase(run.run_id, case) for case in _sentinels(plan, device.name)]
    store.begin_run(run, cases)
    return run.run_id


def find_unfinished(plan: Plan, store: Store) -> str:
    """The newest run of this very plan that was not finished.

    Raises: UserError if there is none, or if the plan has changed since.
    """
    runs = [r for r in store.runs(project=plan.config.project) if r.root == str(plan.root)]
    unfinished = [run for run in runs if run.status is not RunStatus.FINISHED]
    for run in unfinished:
        if run.plan_sha256 == plan.sha256:
            return run.run_id
    if unfinished and all(run.plan_sha256 != plan.sha256 for run in runs):
        raise UserError(
            f"the plan has changed since run {unfinished[0].run_id} was interrupted; "
            "start a new run without --resume"
        )
    raise UserError("there is no unfinished run of this plan; start one without --resume")


def carry_out(
    plan: Plan,
    store: Store,
    run_id: str,
    devices: Mapping[str, Device],
    *,
    runner_for: RunnerFor,
    emit: Emit,
    units: Mapping[str, str] = MappingProxyType({}),
    trace: bool = False,
    old: OldTools | None = None,
) -> tuple[DeviceProblem, ...]:
    """Do whatever a run has not done yet, and mark it finished if no device failed.

    Args:
        runner_for: how a device is measured; see bench.device_run.
        units: device name -> Facts.unit, where that is known from before this run.
        trace: whether to take a system trace of each case beside.
        old: what the old side of an A/B is measured with, where that is not today's.

    Returns: the devices that failed, while the others went on; their part can be resumed.
    Raises: Interrupted on Ctrl-C, with the run marked so; UserError from the checks of
    calibration and holdout; StoreError.
    """
    status = RunStatus.INTERRUPTED
    try:
        problems = _carry_out(plan, store, run_id, devices, runner_for, units, emit, trace, old)
        if not problems:
            status = RunStatus.FINISHED
    except KeyboardInterrupt:
        raise Interrupted(run_id, len(store.launches_done(run_id))) from None
    finally:
        store.finish_run(run_id, status, datetime.now(UTC))
    return problems


def _carry_out(
    plan: Plan,
    store: Store,
    run_id: str,
    devices: Mapping[str, Device],
    runner_for: RunnerFor,
    units: Mapping[str, str],
    emit: Emit,
    trace: bool,
    old: OldTools | None,
) -> tuple[DeviceProblem, ...]:
    files: dict[tuple[str, str], CaseFiles] = {}
    so_far = store.load(run_id)
    for planned in plan.config.model:
        # Its answers are judged and its first item is measured: one array for both.
        roles = [] if planned.holdout is None else ["holdout"]
        model = materialise(
            planned,
            root=plan.root,
            out=plan.out,
            roles=roles,
            emit=emit,
            seed=plan.config.measure.seed,
        )
        variants = make_variants(
            model,
            plan.variants[model.name],
            root=plan.root,
            out=plan.out,
            seed=plan.config.measure.seed,
            run_id=run_id,
            emit=emit,
        )
        for variant in variants:
            store.add_variant(variant)
        _evaluate(plan, model, variants, store, run_id, so_far, emit)
        inputs = _inputs(plan, model, variants)
        numerics = _numerics(plan, model, variants, emit)
        for variant in variants:
            if variant.usable and variant.path is not None and variant.sha256 is not None:
                files[model.name, variant.variant] = CaseFiles(
                    model=plan.out / variant.path,
                    model_sha256=variant.sha256,
                    inputs=inputs,
                    numerics=numerics.get(variant.variant),
                )
    jobs = _jobs(plan, store, run_id, devices, files, so_far, runner_for, units, emit, trace, old)
    return carry_out_jobs(list(jobs))


def _evaluate(
    plan: Plan,
    model: ModelConfig,
    variants: Sequence[VariantRecord],
    store: Store,
    run_id: str,
    so_far: RunData,
    emit: Emit,
) -> None:
    if model.holdout is None:
        emit(Note(f"{model.name}: no holdout given, so its accuracy stays unknown", "warning"))
        return
    holdout = plan.root / model.holdout
    earlier = [e for e in so_far.evaluations if e.model == model.name]
    labels = metric_of(model.metric).labels
    if earlier:
        samples = load_samples(holdout, "holdout", labels)
        # Its first item is also the input of every launch.
        if samples.sha256 != earlier[0].holdout_sha256:
            raise UserError(
                f"holdout {samples.name} has changed since run {run_id} began; "
                "start a new run without --resume"
            )
    done = {(e.variant, e.kernels) for e in earlier}
    kernels = kernels_of(plan.config)
    if all((v.variant, k) in done for v in variants if v.usable for k in kernels):
        return
    records: tuple[EvaluationRecord, ...] = evaluate_variants(
        variants,
        holdout,
        kernels,
        metric=model.metric,
        root=plan.root,
        out=plan.out,
        run_id=run_id,
        emit=emit,
    )
    for record in records:
        store.add_evaluation(record)


def _inputs(plan: Plan, model: ModelConfig, variants: Sequence[VariantRecord]) -> Path | None:
    """One input for all variants of a model; None where there is no holdout to take it from."""
    usable = [plan.out / v.path for v in variants if v.usable and v.path is not None]
    if model.holdout is None or not usable:
        return None
    return input_sample(usable, plan.root / model.holdout, plan.out)


def _numerics(
    plan: Plan, model: ModelConfig, variants: Sequence[VariantRecord], emit: Emit
) -> Mapping[str, NumericsFiles | Failure]:
    """Variant -> what its answers are held against; nothing where no plan asks for that."""
    if plan.config.measure.numerics == "off":
        return {}
    return prepare_numerics(
        model, variants, root=plan.root, out=plan.out, measure=plan.config.measure, emit=emit
    )


def _jobs(
    plan: Plan,
    store: Store,
    run_id: str,
    devices: Mapping[str, Device],
    files: Mapping[tuple[str, str], CaseFiles],
    so_far: RunData,
    runner_for: RunnerFor,
    units: Mapping[str, str],
    emit: Emit,
    trace: bool,
    old: OldTools | None,
) -> Iterator[DeviceRun]:
    """What there is to do on each device."""
    cases = [case for case in expand(plan) if (case.model, case.variant) in files]
    for name, device in devices.items():
        own = [case for case in cases if case.device == name]
        if not own:
            continue
        known = {*(c.case_id for c in own), *(c.case_id for c in _sentinels(plan, name))}
        yield DeviceRun(
            device=device,
            cases=own,
            files={c.case_id: files[c.model, c.variant] for c in own},
            done=[record for record in so_far.launches if record.case_id in known],
            keep=store.add_launch,
            keep_check=store.add_check,
            emit=emit,
            run_id=run_id,
            config=plan.config.measure,
            limits=plan.limits,
            runner_for=runner_for,
            owner=Owner.here(run_id),
            unit=units.get(name),
            checks_done=[record for record in so_far.checks if record.case_id in known],
            trace=trace,
            old=old,
        )


def _sentinels(plan: Plan, name: str) -> list[Case]:
    """The sentinel of a device: of the runner kind that its table begins with."""
    kinds = [case.runner for case in expand(plan) if case.device == name]
    return [sentinel_case(name, kinds[0])] if kinds else []
