"""What a diagnosis says: losses, findings, remedies with their numbers, and the advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bench.accuracy import Loss, LossVerdict, PairedChange
from bench.diagnose.layers import Analysis
from bench.metrics import Metric
from bench.stats import Interval


class FindingKind(StrEnum):
    """Kinds of causes, in the order in which findings of equal place are told."""

    NOT_COMPARABLE = "NOT_COMPARABLE"
    UNDER_RANGE = "UNDER_RANGE"
    OVER_RANGE = "OVER_RANGE"
    CLIPPED = "CLIPPED"
    OUTLIER_CHANNELS = "OUTLIER_CHANNELS"
    PER_TENSOR_WEIGHTS = "PER_TENSOR_WEIGHTS"
    FLOAT_ISLAND = "FLOAT_ISLAND"
    NONE_FOUND = "NONE_FOUND"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a variant, with its numbers.

    Attributes:
        summary: one sentence for people.
        evidence: further sentences, each with numbers, worst layer first.
        layers: positions of the layers concerned, worst first.
        supported_by: remedies that treat this cause and brought accuracy back.
        contradicted_by: remedies that treat it and changed nothing.
    """

    kind: FindingKind
    summary: str
    evidence: tuple[str, ...]
    layers: tuple[int, ...]
    supported_by: tuple[str, ...] = ()
    contradicted_by: tuple[str, ...] = ()


class Verdict(StrEnum):
    """What a remedy did.

    RESTORES: better than the untreated variant by the same tool, as pairs show, and the
    whole paired interval against fp32 lies within the gates. HELPS: only the former is
    shown. NO_HELP: no improvement shown. WORSE: a loss against the untreated variant is
    shown. NOT_APPLICABLE: cannot be made here, so it was not tried. FAILED: should have been
    made, and was not.
    """

    REFERENCE = "reference"
    RESTORES = "restores"
    HELPS = "helps"
    NO_HELP = "no help"
    WORSE = "worse"
    NOT_APPLICABLE = "not tried"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Latency:
    """p50 on this machine: median over launches, with its interval.

    Attributes:
        launches: that it is made of. how: delegate, threads, rounds.
        taints: what disqualifies it from deciding anything; () if nothing does.
    """

    p50_us: float
    interval_us: Interval | None
    launches: int
    how: str
    taints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Treatment:
    """One row of the table: fp32, the variant as it is, or the variant after a remedy.

    Attributes:
        key: short and stable, fit for a file name.
        title: for people. needs: what it takes, in a few words. tool: what made it.
        verdict, reason: see Verdict; the reason says why it is not applicable or failed.
        accuracy, interval: of the metric, on the full holdout; None where not evaluated.
        against_fp32, against_variant: accuracy minus theirs, paired.
        against_baseline: the same, to the untreated variant that the same tool made.
        path: of the file, relative to the plan's output directory.
        facts: how it was made, plain JSON.
    """

    key: str
    title: str
    needs: str
    tool: str
    verdict: Verdict
    reason: str = ""
    accuracy: float | None = None
    interval: Interval | None = None
    against_fp32: PairedChange | None = None
    against_variant: PairedChange | None = None
    against_baseline: PairedChange | None = None
    size_bytes: int | None = None
    latency: Latency | None = None
    path: str | None = None
    sha256: str | None = None
    facts: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that was found out about one variant of one model.

    Attributes:
        metric: by which answers are judged.
        holdout: name of its file; samples: their number.
        loss: accuracy of the variant minus that of fp32, paired.
        judgement: what `loss` shows, see bench.accuracy.judge_loss.
        allowed_loss: by how much the gates let the metric be worse than fp32's, its unit.
        kernels: whose arithmetic gave the answers.
        first_fall: position of the layer where the error first appears, see
            bench.diagnose.findings.first_fall; None also where no loss is shown.
        findings: where no loss is shown, none that would explain one.
        treatments: fp32 and the variant first.
        recommended: key of a treatment, or None; `advice` says why and what to do next,
            `plan_line` how a plan takes it.
    """

    project: str
    model: str
    variant: str
    metric: Metric
    holdout: str
    samples: int
    kernels: str
    loss: PairedChange
    judgement: LossVerdict
    allowed_loss: float
    analysis: Analysis
    first_fall: int | None
    findings: tuple[Finding, ...]
    treatments: tuple[Treatment, ...]
    recommended: str | None
    advice: tuple[str, ...]
    plan_line: str | None
    remarks: tuple[str, ...]
    provenance: Mapping[str, Any]

    @property
    def loss_shown(self) -> bool:
        return self.judgement.loss is Loss.WORSE

    @property
    def fp32(self) -> Treatment:
        return self.treatments[0]

    @property
    def untreated(self) -> Treatment:
        return self.treatments[1]
