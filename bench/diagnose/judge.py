"""What a remedy did, by paired intervals only."""

from __future__ import annotations

from bench.accuracy import Loss, PairedChange, judge_loss
from bench.diagnose.outcome import Verdict
from bench.metrics import Metric


def judge(
    metric: Metric,
    against_fp32: PairedChange,
    against_baseline: PairedChange,
    samples: int,
    allowed: float,
) -> Verdict:
    """What a remedy did.

    Args:
        against_baseline: to the untreated variant by the same tool, so that a change of
            tool is not credited to the remedy.
        samples: of the holdout. allowed: see bench.accuracy.allowed_loss.
    """
    gained = judge_loss(metric, against_baseline, samples, None).loss
    if gained is Loss.WORSE:
        return Verdict.WORSE
    if gained is not Loss.BETTER or against_fp32.interval is None:
        return Verdict.NO_HELP
    return Verdict.RESTORES if -worst_of(metric, against_fp32) <= allowed else Verdict.HELPS


def worst_of(metric: Metric, change: PairedChange) -> float:
    """The worse end of a change's interval; below 0 it is worse than what it is held against."""
    assert change.interval is not None
    return min(metric.better(end, 0.0) for end in (change.interval.low, change.interval.high))
