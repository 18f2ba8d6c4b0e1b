"""The accuracy of one case against another's on the same samples, where both are stored."""

from __future__ import annotations

from bench.config import GatesConfig
from bench.metrics import metric_of
from bench.records import EvaluationRecord
from reports.accuracies import Judged, answered_on_device, judge_against
from reports.model import Accuracy
from reports.pairs.sides import SideCase


class PairedAccuracies:
    """Judges each pair of evaluations once: many cases share what this machine's kernels gave."""

    def __init__(self, gates: GatesConfig) -> None:
        self._gates = gates
        self._judged: dict[tuple[int, int], tuple[EvaluationRecord, EvaluationRecord, Judged]] = {}

    def of_pair(self, a: SideCase, b: SideCase) -> tuple[Accuracy | None, str | None]:
        """B's accuracy with its change against A, or what is missing of it.

        Answers of the whole holdout on the device come first, then those of this machine's
        kernels; only the same kind on both sides is compared.
        """
        if a.row.accuracy is None and b.row.accuracy is None:
            return None, None
        for kind in (_on_device_whole, _here, _on_device):
            ours, theirs = kind(a), kind(b)
            if ours is not None and theirs is not None:
                judged = self._judge(theirs, ours)
                return judged.accuracy, judged.reason
        lacking = [name for name, side in (("A", a), ("B", b)) if side.row.accuracy is None]
        if lacking:
            side = a if lacking[0] == "A" else b
            return None, f"{lacking[0]} has no accuracy: {side.row.accuracy_reason or 'not judged'}"
        return None, "the accuracies of A and B were judged in different ways"

    def _judge(self, mine: EvaluationRecord, reference: EvaluationRecord) -> Judged:
        key = (id(mine), id(reference))
        if key not in self._judged:
            judged = judge_against(mine, reference, self._gates, "A", classes=False)
            # With the records, whose ids are theirs only while they are held.
            self._judged[key] = (mine, reference, judged)
        return self._judged[key][2]


def _here(side: SideCase) -> EvaluationRecord | None:
    case = side.measured.case
    if case.delegate.options:
        return None
    wanted = (case.model, case.variant, case.delegate.name)
    for record in side.data.evaluations:
        if (record.model, record.variant, record.kernels) == wanted:
            return record
    return None


def _on_device_whole(side: SideCase) -> EvaluationRecord | None:
    answers = side.measured.checked.answers
    whole = answers is not None and answers.accuracy is not None and answers.accuracy.is_whole
    return _on_device(side) if whole else None


def _on_device(side: SideCase) -> EvaluationRecord | None:
    found = side.measured.checked.answers
    if found is None or found.accuracy is None:
        return None
    case, data = side.measured.case, side.data
    config = next(model for model in side.plan.model if model.name == case.model)
    # Quantised inputs differ in their bytes: what names the samples is the holdout itself.
    holdout = next((e.holdout_sha256 for e in data.evaluations if e.model == case.model), None)
    return answered_on_device(
        case,
        found.accuracy,
        higher_is_better=metric_of(config.metric).higher_is_better,
        holdout=holdout or f"the holdout of {side.model} in run {data.run.run_id}",
    )
