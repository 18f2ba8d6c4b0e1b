"""A recommendation in words: the figures of the variant that won, and why of several equals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from bench.accuracy import paired_change
from bench.format import duration_with_interval, ratio, score, score_change, threads
from bench.metrics import Metric, Statistics
from bench.power import SIGNIFICANCE, percent
from reports.model import Row

REFERENCE = "fp32"

# Place -> the row that stands for the variant there: a device, or one runner of it.
Chosen: TypeAlias = Mapping[str, Row]


def why_of_equals(
    model: str,
    winner: str,
    fastest: str,
    equal: Sequence[str],
    chosen: Mapping[str, Chosen],
    statistics: Mapping[tuple[str, str, str], Statistics],
) -> str:
    others = [variant for variant in equal if variant != winner]
    text = (
        f"Equally fast (not significantly slower than {fastest}, the fastest): "
        f"{', '.join(equal)}. Of these {winner} is"
    )
    best = least_accurate(chosen[winner])
    if best.accuracy is None:
        return f"{text} the smallest."
    metric = best.accuracy.metric
    rival = max(others, key=lambda v: accuracy_of(chosen[v]))
    other = least_accurate(chosen[rival])
    if other.accuracy is None:
        return f"{text} the one whose accuracy is known."
    gap = best.accuracy.value - other.accuracy.value
    if gap == 0:
        return f"{text} the smallest at the same accuracy as {rival}."
    answers = [
        statistics.get((model, row.case.variant, row.case.delegate.name)) for row in (best, other)
    ]
    p = None
    if answers[0] is not None and answers[1] is not None and answers[0].shape == answers[1].shape:
        p = paired_change(metric, answers[0], answers[1]).p_value
    sure = "not tested" if p is None else f"{_significance(p)}, p = {p:.2g}"
    return f"{text} the most accurate, {_change(metric, gap)} against {rival} ({sure})."


def praise(best: Chosen, reference_size: int | None) -> str:
    """One sentence with the figures of the variant that won."""
    parts = []
    for device, row in best.items():
        place = f" on {device}" if len(best) > 1 else ""
        fast = "" if row.speedup is None else f", {ratio(row.speedup.ratio)} {REFERENCE}"
        delegate = "no delegate" if row.case.delegate.name == "none" else row.case.delegate.name
        setting = f"{delegate} and {threads(row.case.threads)}{place}"
        p50 = duration_with_interval(row.p50_us, row.p50_interval_us)
        parts.append(f"with {setting}: p50 {p50}{fast}")
    row = least_accurate(best)
    small = ""
    if row.size_bytes is not None and reference_size and row.case.variant != REFERENCE:
        small = f"; {percent(row.size_bytes / reference_size)} of the size"
    return f"{row.case.variant} {'; '.join(parts)}; {_accuracy_text(row)}{small}."


def _accuracy_text(row: Row) -> str:
    accuracy = row.accuracy
    if accuracy is None:
        return f"accuracy was not checked ({row.accuracy_reason or 'no evaluation'})"
    metric = accuracy.metric
    value = (
        f"{100 * accuracy.value:.1f} %" if metric.is_share else score(accuracy.value, share=False)
    )
    text = f"{metric.title} {value}"
    if accuracy.change is None or accuracy.p_value is None:
        return text
    change = _change(metric, accuracy.change)
    return f"{text} ({change} against {REFERENCE}, {_significance(accuracy.p_value)})"


def _change(metric: Metric, change: float) -> str:
    return score_change(change, share=metric.is_share) + (" points" if metric.is_share else "")


def _significance(p_value: float) -> str:
    return "significant" if p_value <= SIGNIFICANCE else "not significant"


def least_accurate(best: Chosen) -> Row:
    """Of its rows, as the kernels of devices may differ; one without accuracy first."""
    return min(best.values(), key=_goodness)


def accuracy_of(best: Chosen) -> float:
    """How good the least accurate of its rows is: more is better, whatever the metric."""
    return _goodness(least_accurate(best))


def _goodness(row: Row) -> float:
    if row.accuracy is None:
        return -math.inf
    return row.accuracy.metric.better(row.accuracy.value, 0.0)
