"""Whether a variant lost accuracy, and what a remedy did: by paired intervals only."""

from __future__ import annotations

from bench.accuracy import PairedChange
from bench.config import GatesConfig
from bench.diagnose.outcome import Verdict
from bench.metrics import Metric


def allowed_loss(metric: Metric, fp32: float, gates: GatesConfig) -> float:
    """By how much a value may be worse than fp32's and pass both gates; >= 0, its unit."""
    ratio = gates.accuracy_ratio_min
    if not metric.higher_is_better:
        return abs(fp32) * (1 / ratio - 1) if ratio > 0 else float("inf")
    by_ratio = abs(fp32) * (1 - ratio)
    return min(by_ratio, gates.accuracy_drop_max_points / 100) if metric.is_share else by_ratio


def gain(metric: Metric, change: PairedChange) -> tuple[float, float] | None:
    """The interval of a change turned so that above 0 is better; None if there is none."""
    if change.interval is None:
        return None
    low, high = change.interval.low, change.interval.high
    return (low, high) if metric.higher_is_better else (-high, -low)


def loss_shown(metric: Metric, change: PairedChange) -> bool:
    """Whether the whole interval is on the worse side of 0."""
    around = gain(metric, change)
    return around is not None and around[1] < 0


def judge(
    metric: Metric, against_fp32: PairedChange, against_baseline: PairedChange, allowed: float
) -> Verdict:
    """What a remedy did.

    Args:
        against_baseline: to the untreated variant by the same tool, so that a change of
            tool is not credited to the remedy.
        allowed: see `allowed_loss`.
    """
    kept, gained = gain(metric, against_fp32), gain(metric, against_baseline)
    if kept is None or gained is None:
        return Verdict.NO_HELP
    if gained[1] < 0:
        return Verdict.WORSE
    if gained[0] <= 0:
        return Verdict.NO_HELP
    return Verdict.RESTORES if kept[0] >= -allowed else Verdict.HELPS
