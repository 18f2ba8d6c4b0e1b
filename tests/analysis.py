"""Whole runs for tests of what is made of them: launches with samples, answers, a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from records import NOW, RUN_ID, case, launch, measurement

from bench.config import GatesConfig, MeasureConfig, ModelConfig, PlanConfig
from bench.delegation.model import Coverage, Delegation
from bench.digest import digest
from bench.identity import Case, check_id
from bench.metrics import metric_named
from bench.records import (
    CheckRecord,
    EvaluationRecord,
    LaunchRecord,
    Outcome,
    PlannedCase,
    Purpose,
    RunData,
    RunRecord,
    RunStatus,
    VariantRecord,
)

SHA256 = "0" * 64  # as in records.launch
SIZES = {"fp32": 90_000, "fp16": 50_000, "int8": 30_000, "int8-qat": 29_000, "dynamic": 35_000}


def took(delegate: str) -> Delegation:
    """What a delegate that did as it was told took."""
    if delegate == "none":
        return Delegation("none", Coverage.NONE, 0, 10, 0)
    return Delegation(delegate, Coverage.FULL, 10, 10, 1)


def samples(p50_us: float, *, seed: int = 0, spread: float = 0.01) -> NDArray[np.int64]:
    logs = np.random.default_rng(seed).normal(0, spread, 200)
    logs -= np.median(logs)
    return (p50_us * 1000 * np.exp(logs)).astype(np.int64)


def measured(of: Case, index: int, p50_us: float, **changes: Any) -> LaunchRecord:
    """A clean launch with jittered samples and their digest."""
    values = samples(p50_us, seed=index)
    fields: dict[str, Any] = {
        "samples_ns": None,
        "warmup_ns": None,
        "digest": digest(values),
        "delegation": took(of.delegate.name),
        **changes,
    }
    environment = {"model_sha256": SHA256, "runner": "invoke_loop"}
    return launch(of, index=index, measured=measurement(p50_us, **fields), environment=environment)


def rounds(of: Case, p50s_us: Sequence[float], **changes: Any) -> list[LaunchRecord]:
    """One clean launch per round."""
    return [measured(of, index, p50_us, **changes) for index, p50_us in enumerate(p50s_us)]


def around(p50_us: float, n: int = 6, *, spread: float = 0.004, seed: int = 0) -> list[float]:
    """n launch medians, quiet by default."""
    steps = np.random.default_rng(seed).permutation(np.linspace(-1, 1, n))
    return [float(p50_us * (1 + spread * step)) for step in steps]


def answers(right: int, images: int = 700, *, wrong_at: int = 0) -> NDArray[np.bool_]:
    """`right` right answers of `images`; the wrong ones lie together from `wrong_at` on."""
    correct = np.ones(images, dtype=np.bool_)
    correct[wrong_at : wrong_at + images - right] = False
    return correct


def evaluation(variant: str, correct: NDArray[np.bool_], kernels: str) -> EvaluationRecord:
    return EvaluationRecord(
        run_id=RUN_ID,
        model="m",
        variant=variant,
        kernels=kernels,
        metric="top1",
        value=float(correct.mean()),
        predictions=None,
        statistics=correct.astype(np.float64)[:, None],
        holdout_sha256="h",
        runtime={},
    )


def errors(mean: float, images: int = 700, *, seed: int = 0) -> NDArray[np.float64]:
    """Absolute errors around a mean, (images, 1), alike for the same seed."""
    draws = np.random.default_rng(seed).gamma(4, 0.25, (images, 1))
    return draws * (mean / draws.mean())


def by_metric(data: RunData, metric: str, statistics: Mapping[str, NDArray[np.float64]]) -> RunData:
    """The run with evaluations by another metric, by both kinds of kernels."""
    judge = metric_named(metric)
    made = tuple(
        replace(
            evaluation(variant, answers(1), kernels),
            metric=metric,
            value=judge.value_of(rows),
            statistics=rows,
            higher_is_better=judge.higher_is_better,
        )
        for variant, rows in statistics.items()
        for kernels in ("none", "xnnpack")
    )
    return replace(data, evaluations=made)


def variant_record(variant: str, **changes: Any) -> VariantRecord:
    made = VariantRecord(RUN_ID, "m", variant, f"{variant}.tflite", SHA256, SIZES[variant], {})
    return replace(made, **changes)


def plan(*, holdout: bool = True, gates: GatesConfig | None = None, **measure: Any) -> PlanConfig:
    model = ModelConfig(name="m", source="m.keras", holdout="h.npz" if holdout else None)
    return PlanConfig(
        project="p",
        model=(model,),
        measure=MeasureConfig(**measure),
        gates=gates or GatesConfig(),
    )


def run_data(
    launches: Mapping[Case, Iterable[LaunchRecord]],
    *,
    correct: Mapping[str, NDArray[np.bool_]] | None = None,
    made: Sequence[VariantRecord] | None = None,
    not_applicable: Mapping[Case, str] | None = None,
    of: PlanConfig | None = None,
    **run: Any,
) -> RunData:
    """A run of the cases in `launches`; `correct` holds answers by both kinds of kernels."""
    record = RunRecord(
        run_id=RUN_ID,
        project="p",
        status=RunStatus.FINISHED,
        started_utc=NOW,
        finished_utc=NOW,
        plan=(of or plan(holdout=correct is not None)).model_dump(mode="json"),
        plan_sha256="0" * 64,
        root="/",
        seed=0,
        edgebench_version="0",
        host={"cores": 2},
    )
    names = dict.fromkeys(c.variant for c in launches)
    return RunData(
        run=replace(record, **run),
        cases=tuple(PlannedCase(RUN_ID, c, (not_applicable or {}).get(c)) for c in launches),
        variants=tuple(made if made is not None else map(variant_record, names)),
        evaluations=tuple(
            evaluation(variant, values, kernels)
            for variant, values in (correct or {}).items()
            for kernels in ("none", "xnnpack")
        ),
        launches=tuple(item for each in launches.values() for item in each),
    )


def check(of: Case, purpose: Purpose, **changes: Any) -> CheckRecord:
    """A launch beside the timed ones that went well, unless `changes` say otherwise."""
    made = CheckRecord(
        launch_id=check_id(RUN_ID, of.case_id, purpose.value, changes.get("attempt", 0)),
        run_id=RUN_ID,
        case_id=of.case_id,
        purpose=purpose,
        attempt=0,
        started_utc=NOW,
        duration_s=1.0,
        outcome=Outcome.OK,
        failure=None,
        conditions={},
        environment={"model_sha256": SHA256},
        argv=("runner",),
    )
    return replace(made, **changes)


def matrix(
    p50_us: Mapping[str, float], delegates: Sequence[str] = ("xnnpack",), n: int = 6
) -> dict[Case, list[LaunchRecord]]:
    """Quiet rounds of every variant with every delegate, one thread."""
    return {
        (which := case(variant, delegate)): rounds(which, around(p50, n, seed=seed))
        for seed, (variant, p50) in enumerate(p50_us.items())
        for delegate in delegates
    }
