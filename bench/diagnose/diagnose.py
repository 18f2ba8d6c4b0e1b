"""Carries out a diagnosis: variants, answers, layers, remedies, latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import __version__
from bench.accuracy import Loss, allowed_loss, judge_loss, paired_change
from bench.config import ModelConfig, PlanConfig
from bench.diagnose.advice import advise, plan_line
from bench.diagnose.answers import KERNELS, Candidate, Judge
from bench.diagnose.culprits import first_fall
from bench.diagnose.findings import findings, float_islands, with_support
from bench.diagnose.keeping import folder_for, keep_all
from bench.diagnose.latency import measure_all
from bench.diagnose.layers import Analysis
from bench.diagnose.making import CannotDiagnose, Workshop
from bench.diagnose.outcome import Diagnosis, Treatment, Verdict
from bench.diagnose.remedies import QUANTISER, TRAINER
from bench.diagnose.treating import Patient, Ward
from bench.errors import UserError
from bench.events import Emit, StageAdvanced, StageFinished, StageStarted
from bench.identity import new_run_id
from bench.records import VariantRecord
from bench.samples import materialise
from bench.variants.evaluate import input_sample
from bench.variants.make import make_variants
from bench.variants.recipe import RECIPES
from bench.variants.scratch import scratch_in
from devices.device import Device

DIAGNOSED = ("int8", "int8-uint8-io", "int8-float-io", "int8-qat", "int16x8")
_STAGE = "layers"


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be diagnosed.

    Attributes:
        root: absolute directory that the paths in `model` start from; out: for files.
        variant: one of DIAGNOSED.
        remedies: whether to try them.
        device: where their latency is measured.
    """

    config: PlanConfig
    model: ModelConfig
    root: Path
    out: Path
    variant: str
    remedies: bool
    device: Device

    @property
    def seed(self) -> int:
        return self.config.measure.seed


def diagnose(request: Request, *, emit: Emit) -> Diagnosis:
    """Find out why a variant lost accuracy, and what brings it back.

    Remedies are tried where a loss is shown; their files stay in
    `<out>/diagnosis/<model>/`.

    Raises: UserError where the user's files are wrong or lacking; CannotDiagnose where
    fp32 or the variant cannot be made or evaluated; KeyboardInterrupt.
    """
    model = _checked(request, emit)
    pair = make_variants(
        model,
        ("fp32", request.variant),
        root=request.root,
        out=request.out,
        seed=request.seed,
        run_id=new_run_id(),
        emit=emit,
    )
    for record in pair:
        if record.failure is not None or record.path is None:
            why = "no file" if record.failure is None else record.failure.message
            raise CannotDiagnose(f"{record.variant} of model {model.name}: {why}")
    folder = folder_for(request.out, model.name)
    with scratch_in(folder) as scratch:
        return _diagnose(request, model, pair, folder, scratch, emit)


def _checked(request: Request, emit: Emit) -> ModelConfig:
    """The model with its samples as .npz files."""
    model = request.model
    if model.holdout is None:
        raise UserError(
            f"model {model.name!r} has no holdout: a loss takes samples to be judged by; give "
            "--holdout, or `holdout` in the plan (.npz with x and y)"
        )
    for variant in ("fp32", request.variant):
        if model.source is None and variant not in model.files:
            raise UserError(
                f"model {model.name!r} has no {variant}: give `source`, or files.{variant}"
            )
    recipe = RECIPES[request.variant]
    for role, needed in (
        ("calibration", recipe.needs_calibration),
        ("train", recipe.needs_training),
    ):
        if needed and request.variant not in model.files and getattr(model, role) is None:
            raise UserError(
                f"{request.variant} of model {model.name!r} is made with samples: give --{role}, "
                f"or `{role}` in the plan; or files.{request.variant}, if it exists already"
            )
    roles = [r for r in ("calibration", "holdout", "train") if getattr(model, r) is not None]
    return materialise(
        model, root=request.root, out=request.out, roles=roles, emit=emit, seed=request.seed
    )


def _diagnose(
    request: Request,
    model: ModelConfig,
    pair: Sequence[VariantRecord],
    folder: Path,
    scratch: Path,
    emit: Emit,
) -> Diagnosis:
    fp32 = pair[0]
    holdout = Path(str(model.holdout))
    judge = Judge(holdout, model.metric, request.root, request.out, fp32, emit)
    healthy, sick = judge.evaluate(pair)
    for candidate in (healthy, sick):
        if candidate.failure is not None:
            raise CannotDiagnose(f"{candidate.record.variant}: {candidate.failure.message}")
    assert healthy.statistics is not None
    assert sick.statistics is not None
    metric = judge.metric
    loss = paired_change(metric, sick.statistics, healthy.statistics)
    allowed = allowed_loss(metric, metric.value_of(healthy.statistics), request.config.gates)
    judgement = judge_loss(metric, loss, len(sick.statistics), allowed)
    lost = judgement.loss is Loss.WORSE
    workshop = Workshop(scratch, request.seed)
    analysis = _analyse(workshop, request, model, pair, emit)
    origin = _origin(request, holdout, pair)
    rows = [_reference(judge, healthy, None), _reference(judge, sick, healthy)]
    if lost and request.remedies:
        patient = Patient(
            model,
            request.variant,
            request.root,
            request.out,
            request.seed,
            healthy,
            sick,
            allowed,
        )
        rows += Ward(patient, workshop, judge, analysis, emit).treat()
        if any(row.accuracy is not None for row in rows[2:]):
            rows = _measured(request, model, holdout, rows, emit)
        rows = keep_all(rows, folder, request.out, origin)
    verdicts = {row.key: row.verdict for row in rows if row.verdict is not Verdict.REFERENCE}
    # Where nothing was lost, no number needs to be explained.
    shown = findings(analysis) if lost else float_islands(analysis)
    found = tuple(with_support(finding, verdicts) for finding in shown)
    recommended, advice = advise(
        rows,
        found,
        metric=metric,
        variant=request.variant,
        judgement=judgement,
        allowed=allowed,
        tried=request.remedies,
    )
    return Diagnosis(
        project=request.config.project,
        model=model.name,
        variant=request.variant,
        metric=metric,
        holdout=holdout.name,
        samples=len(sick.statistics),
        kernels=KERNELS,
        loss=loss,
        judgement=judgement,
        allowed_loss=allowed,
        analysis=analysis,
        first_fall=first_fall(analysis) if lost else None,
        findings=found,
        treatments=tuple(rows),
        recommended=None if recommended is None else recommended.key,
        advice=advice,
        plan_line=None if recommended is None else plan_line(recommended, request.config.out),
        remarks=_remarks(analysis, request.variant, rows),
        provenance=origin,
    )


def _analyse(
    workshop: Workshop,
    request: Request,
    model: ModelConfig,
    pair: Sequence[VariantRecord],
    emit: Emit,
) -> Analysis:
    emit(StageStarted(_STAGE, "Comparing the layers", 1))
    analysis = replace(
        workshop, advance=lambda label: emit(StageAdvanced(_STAGE, 0, label))
    ).analyse(
        request.out / str(pair[0].path),
        request.out / str(pair[1].path),
        Path(str(model.holdout)),
        calibration=None if model.calibration is None else Path(model.calibration),
        train=None if model.train is None else Path(model.train),
    )
    emit(StageFinished(_STAGE, f"{len(analysis.layers)} layers"))
    return analysis


def _reference(judge: Judge, candidate: Candidate, healthy: Candidate | None) -> Treatment:
    record = candidate.record
    row = Treatment(
        key=record.variant,
        title=record.variant if healthy is None else f"{record.variant} as it is",
        needs="",
        tool=_tool(record),
        verdict=Verdict.REFERENCE,
        size_bytes=record.size_bytes,
        path=record.path,
        sha256=record.sha256,
    )
    return judge.judged(row, candidate, healthy=healthy)


def _measured(
    request: Request,
    model: ModelConfig,
    holdout: Path,
    rows: Sequence[Treatment],
    emit: Emit,
) -> list[Treatment]:
    files = {
        row.key: (request.out / str(row.path), str(row.sha256))
        for row in rows
        if row.accuracy is not None and row.path is not None
    }
    found = measure_all(
        files,
        project=request.config.project,
        model=model.name,
        inputs=input_sample([request.out / str(rows[0].path)], holdout, request.out),
        device=request.device,
        seed=request.seed,
        emit=emit,
    )
    return [replace(row, latency=found.get(row.key)) for row in rows]


def _origin(request: Request, holdout: Path, pair: Sequence[VariantRecord]) -> dict[str, Any]:
    return {
        "edgebench": __version__,
        "seed": request.seed,
        "kernels": KERNELS,
        "holdout": holdout.name,
        **{record.variant: dict(record.provenance) for record in pair},
    }


def _remarks(analysis: Analysis, variant: str, rows: Sequence[Treatment]) -> tuple[str, ...]:
    remarks = [
        f"Layers are compared on {analysis.samples} samples of the holdout by plain kernels, "
        f"accuracy is judged on all of it by {KERNELS}.",
    ]
    judged = [row for row in rows[2:] if row.accuracy is not None]
    if judged:
        remarks.append(
            f"{len(judged)} remedies were judged on the same samples. One that is not good enough "
            "still passes for one that restores with a chance of up to 2.5 % each: before you "
            "ship, evaluate the one you take on samples that were not used here."
        )
    if analysis.trained_on:
        remarks.append(
            f"{analysis.trained_on} samples of the holdout are in train, too: what was made with "
            "train is judged too well."
        )
    if analysis.unaligned:
        remarks.append(
            f"{len(analysis.unaligned)} of {len(analysis.layers)} layers have no counterpart in "
            "the variant: nothing is known of their error."
        )
    if analysis.calibration_samples == 0:
        remarks.append("No calibration samples were given: ranges are compared with nothing.")
    if judged and variant in ("int8-uint8-io", "int8-float-io"):
        remarks.append("Remedies are made with int8 inputs and outputs.")
    return tuple(remarks)


def _tool(record: VariantRecord) -> str:
    how, tools = record.provenance.get("how"), record.provenance.get("tools", {})
    if how == "imported":
        return "you: a finished file"
    if how == "trained":
        return TRAINER
    return QUANTISER if QUANTISER in tools else "TensorFlow"
