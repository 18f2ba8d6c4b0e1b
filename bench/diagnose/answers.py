"""Answers of candidates on the full holdout, and what they are worth against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.accuracy import PairedChange, paired_change, value_interval
from bench.config import MetricConfig
from bench.diagnose.judge import judge
from bench.diagnose.outcome import Treatment, Verdict
from bench.events import Emit
from bench.metrics import Metric, Statistics, metric_of
from bench.records import Failure, VariantRecord
from bench.variants.evaluate import evaluate_variants

KERNELS = "xnnpack"


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A file under judgement: its answers, or why there are none."""

    record: VariantRecord
    statistics: Statistics | None
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges candidates of one model.

    Attributes:
        holdout: .npz. root: directory of the user's function, where the metric is one.
        out: directory that the records' paths are relative to.
        fp32: its record, which some metrics compare with.
    """

    holdout: Path
    config: MetricConfig
    root: Path
    out: Path
    fp32: VariantRecord
    emit: Emit

    @property
    def metric(self) -> Metric:
        return metric_of(self.config)

    def evaluate(self, records: Sequence[VariantRecord]) -> list[Candidate]:
        """Answers of each record's file, in their order.

        Raises: UserError if the holdout does not fit the models or the metric.
        """
        beside = [] if self.fp32 in records or self.config.name != "cosine" else [self.fp32]
        evaluations = evaluate_variants(
            [*beside, *records],
            self.holdout,
            [KERNELS],
            metric=self.config,
            root=self.root,
            out=self.out,
            run_id=self.fp32.run_id,
            emit=self.emit,
        )
        found = {e.variant: e for e in evaluations}
        return [
            Candidate(r, found[r.variant].statistics, found[r.variant].failure) for r in records
        ]

    def judged(
        self,
        row: Treatment,
        candidate: Candidate,
        *,
        healthy: Candidate | None,
        sick: Candidate | None = None,
        baseline: Candidate | None = None,
        allowed: float | None = None,
    ) -> Treatment:
        """The row with what its answers are worth.

        Args:
            healthy: fp32. sick: the variant as it is. baseline: untreated, by the same tool.
            allowed: see bench.diagnose.judge; None leaves the verdict as it is.
        """
        metric, mine = self.metric, candidate.statistics
        if mine is None:
            why = "no answers" if candidate.failure is None else candidate.failure.message
            return replace(row, verdict=Verdict.FAILED, reason=why)

        def against(other: Candidate | None) -> PairedChange | None:
            if other is None or other.statistics is None:
                return None
            return paired_change(metric, mine, other.statistics)

        row = replace(
            row,
            accuracy=metric.value_of(mine),
            interval=value_interval(metric, mine),
            against_fp32=against(healthy),
            against_variant=against(sick),
            against_baseline=against(baseline),
        )
        if row.against_fp32 is None or row.against_baseline is None or allowed is None:
            return row
        verdict = judge(metric, row.against_fp32, row.against_baseline, len(mine), allowed)
        return replace(row, verdict=verdict)
