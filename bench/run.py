"""Carry out a plan: variants made, answers checked, launches measured, all of it stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import __version__
from bench.config import ModelConfig
from bench.errors import EdgebenchError, UserError
from bench.events import Emit, Note
from bench.identity import launch_id, new_run_id
from bench.metrics import metric_of
from bench.plan import Plan, expand, launch_estimate_s
from bench.records import (
    EvaluationRecord,
    LaunchRecord,
    PlannedCase,
    RunData,
    RunRecord,
    RunStatus,
    VariantRecord,
)
from bench.runners.loop import InvokeLoopRunner
from bench.samples import materialise
from bench.scheduler import MAX_REPEATS, RunPolicy, measure
from bench.sentinel import SentinelWatch, sentinel_case
from bench.session import CaseFiles, Session
from bench.store import Store
from bench.variants.arrays import load_samples
from bench.variants.evaluate import evaluate_variants, input_sample
from bench.variants.make import make_variants
from devices.blobs import BlobStore
from devices.deadline import Deadline
from devices.device import Device
from devices.facts import Facts, read_facts
from devices.launch import Launcher

FACTS_S = 30.0


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
    sentinels = [sentinel_case(device) for device in plan.config.measure.devices]
    cases = [PlannedCase(run.run_id, case) for case in (*expand(plan), *sentinels)]
    store.begin_run(run, cases)
    return run.run_id


def find_unfinished(plan: Plan, store: Store) -> str:
    """The newest run of this very plan that was not finished.

    Raises: UserError if there is none, or if the plan has changed since.
    """
    unfinished = [
        run
        for run in store.runs(project=plan.config.project)
        if run.status is not RunStatus.FINISHED and run.root == str(plan.root)
    ]
    for run in unfinished:
        if run.plan_sha256 == plan.sha256:
            return run.run_id
    if unfinished:
        raise UserError(
            f"the plan has changed since run {unfinished[0].run_id} was interrupted; "
            "start a new run without --resume"
        )
    raise UserError("there is no unfinished run of this plan; start one without --resume")


def carry_out(
    plan: Plan, store: Store, run_id: str, devices: Mapping[str, Device], *, emit: Emit
) -> None:
    """Do whatever a run has not done yet, and mark it finished.

    Raises: Interrupted on Ctrl-C, with the run marked so; UserError from the checks of
    calibration and holdout; StoreError; DeviceError if a device cannot be reached at all.
    """
    try:
        _carry_out(plan, store, run_id, devices, emit)
    except KeyboardInterrupt:
        store.finish_run(run_id, RunStatus.INTERRUPTED, datetime.now(UTC))
        raise Interrupted(run_id, len(store.launches_done(run_id))) from None
    except Exception:
        # Fault of the input or of a device: what was measured stays and can be resumed.
        store.finish_run(run_id, RunStatus.INTERRUPTED, datetime.now(UTC))
        raise
    store.finish_run(run_id, RunStatus.FINISHED, datetime.now(UTC))


def _carry_out(
    plan: Plan, store: Store, run_id: str, devices: Mapping[str, Device], emit: Emit
) -> None:
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
        for variant in variants:
            if variant.usable and variant.path is not None and variant.sha256 is not None:
                files[model.name, variant.variant] = CaseFiles(
                    model=plan.out / variant.path, model_sha256=variant.sha256, inputs=inputs
                )
    for name, device in devices.items():
        _measure_on(plan, store, run_id, name, device, files, so_far, emit)


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
        emit(Note(f"{model.name}: no holdout given, so answers are not checked", "warning"))
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
    kernels = plan.config.measure.delegates
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


def _measure_on(
    plan: Plan,
    store: Store,
    run_id: str,
    name: str,
    device: Device,
    files: Mapping[tuple[str, str], CaseFiles],
    so_far: RunData,
    emit: Emit,
) -> None:
    cases = [c for c in expand(plan) if c.device == name and (c.model, c.variant) in files]
    if not cases:
        return
    measure_config = plan.config.measure
    blobs = BlobStore(device.transport, device.workdir)
    session = Session(
        device=device,
        facts=read_facts(device.transport, deadline=Deadline(FACTS_S)),
        runner=InvokeLoopRunner(),
        run_id=run_id,
        seed=measure_config.seed,
        limits=plan.limits,
        launcher=Launcher(device.transport, device.workdir, blobs),
    )
    if left_over := session.remove_left_over(lambda: _unfinished_launches(store)):
        emit(Note(f"{name}: removed what {left_over} interrupted launches had left"))
    of_sentinel = sentinel_case(name).case_id
    watch = SentinelWatch(
        session,
        name,
        keep=store.add_launch,
        taken=sum(record.case_id == of_sentinel for record in so_far.launches),
    )

    def keep(record: LaunchRecord) -> None:
        store.add_launch(record)
        watch.take_if_due()

    wanted = {case.case_id for case in cases}
    watch.take()
    measure(
        cases,
        {c.case_id: files[c.model, c.variant] for c in cases},
        session,
        RunPolicy(
            rounds=measure_config.rounds,
            precision=measure_config.precision,
            max_rounds=measure_config.max_rounds,
            seed=measure_config.seed,
            launch_s=launch_estimate_s(plan.limits),
        ),
        done=[record for record in so_far.launches if record.case_id in wanted],
        keep=keep,
        emit=emit,
        title=f"Measuring on {name}",
    )
    watch.take()


def _unfinished_launches(store: Store) -> Iterator[str]:
    """Ids of all launches that unfinished runs of a store may have begun.

    Nobody else makes any of them now: whoever goes on with a run writes its store, and
    a store has one writer. The launches of other stores are none of our business.
    """
    for run in store.runs():
        if run.status is RunStatus.FINISHED:
            continue
        rounds = max(run.plan["measure"]["rounds"], run.plan["measure"]["max_rounds"])
        for planned in store.load(run.run_id).cases:
            for index in range(rounds):
                for attempt in range(1 + MAX_REPEATS):
                    yield launch_id(run.run_id, planned.case.case_id, index, attempt)
