"""The gates of the plan, applied to one row with its intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.config import DeviceGates, GatesConfig
from bench.format import confidence_remark, duration, duration_interval, memory, points, size
from bench.numerics.model import NumericsWord
from bench.records import Source
from bench.stability import StabilityWord
from bench.stats import Interval
from reports.model import Accuracy, Comparison, GateResult, GateStatus, Row
from reports.standing import numerics_reasons, why_not_under_its_name

REFERENCE = "fp32"
NUMERICS_GATE = "numerics"


def apply_gates(row: Row, gates: GatesConfig, *, holdout: bool) -> tuple[GateResult, ...]:
    """Every gate that applies to the row, () for a case that cannot exist.

    One is built in, "numerics": it fails where the answers are WRONG.

    PASS and FAIL need the whole interval on one side of the limit, UNSURE straddles it,
    UNKNOWN has no value or no interval, and says why. Size and peak memory have no
    interval.

    Args:
        row: with everything but its gates.
        holdout: whether the plan has a holdout for the model; without one no accuracy
            was asked for, and no accuracy gate applies.
    """
    if row.not_applicable is not None:
        return ()
    results = list(_numerics_gate(row))
    if holdout or row.accuracy is not None:
        results += accuracy_gates(
            row.accuracy,
            row.accuracy_reason,
            gates,
            # A reference that was not judged is equal to nothing.
            is_reference=row.case.variant == REFERENCE and row.accuracy is not None,
        )
    for limits in gates.device:
        if limits.device in ("*", row.case.device):
            results += _device_gates(row, limits)
    return tuple(results)


def gate_failed(comparison: Comparison) -> bool:
    """Whether any gate of any row says FAIL."""
    return any(gate.status is GateStatus.FAIL for row in comparison.rows for gate in row.gates)


def _numerics_gate(row: Row) -> Iterator[GateResult]:
    """Built in: wrong answers fail. Without a verdict there is nothing to pass or fail."""
    if row.numerics is None or row.numerics.word is NumericsWord.UNKNOWN:
        return
    status = GateStatus.FAIL if row.is_wrong else GateStatus.PASS
    reason = f"answers {row.numerics.word}: {numerics_reasons(row)}"
    yield GateResult(NUMERICS_GATE, status, None, None, reason)


def accuracy_gates(
    accuracy: Accuracy | None,
    reason: str | None,
    gates: GatesConfig,
    *,
    is_reference: bool,
    reference: str = REFERENCE,
) -> tuple[GateResult, ...]:
    """The gates on accuracy, for one variant by one set of kernels.

    accuracy_drop_max_points is for shares: another metric has no percentage points, and
    only accuracy_ratio_min applies to it.

    Args:
        reason: why there is no accuracy, or no change.
        reference: what the change is against, for the words.
    """
    ratio_limit, drop_limit = gates.accuracy_ratio_min, gates.accuracy_drop_max_points
    limits = {"accuracy_ratio_min": ratio_limit, "accuracy_drop_max_points": drop_limit}
    if accuracy is not None and not accuracy.metric.is_share:
        del limits["accuracy_drop_max_points"]
    if is_reference:
        equal = {"accuracy_ratio_min": 1.0, "accuracy_drop_max_points": 0.0}
        return tuple(
            GateResult(name, GateStatus.PASS, limit, equal[name], f"{reference} is the reference")
            for name, limit in limits.items()
        )
    if accuracy is None or accuracy.change is None or accuracy.change_interval is None:
        why = reason or (
            f"no accuracy of {reference} to compare with"
            if accuracy is None or accuracy.change is None
            else f"{accuracy.images} samples are too few for an interval"
        )
        return tuple(
            GateResult(name, GateStatus.UNKNOWN, limit, None, why) for name, limit in limits.items()
        )
    change, around = accuracy.change, accuracy.change_interval
    results = [_ratio_gate(accuracy, change, around, ratio_limit, reference)]
    if accuracy.metric.is_share:
        low, high = 100 * around.low, 100 * around.high
        shown = f"{accuracy.metric.title} {points(100 * change)} points"
        results.append(
            GateResult(
                "accuracy_drop_max_points",
                _at_least(low, high, -drop_limit),
                drop_limit,
                -100 * change,
                f"{shown} [{points(low)}, {points(high)}] against {reference}, "
                f"limit {points(-drop_limit)}",
            )
        )
    return tuple(results)


def _ratio_gate(
    accuracy: Accuracy, change: float, around: Interval, limit: float, reference: str
) -> GateResult:
    """Value divided by that of the reference, or where less is better, the other way round.

    The reference's own value counts as known: what is uncertain is the paired change.
    """
    name, metric = "accuracy_ratio_min", accuracy.metric
    base = accuracy.value - change
    if base <= 0:
        why = f"{reference} is never right" if metric.is_share else f"{reference} has {base:.4g}"
        return GateResult(name, GateStatus.UNKNOWN, limit, None, f"{why}: there is no ratio")
    if metric.higher_is_better:
        ratio, low, high = ((base + c) / base for c in (change, around.low, around.high))
    else:
        # No error at all is better than any limit asks for.
        ratio, low, high = (
            base / (base + c) if base + c > 0 else math.inf
            for c in (change, around.high, around.low)
        )
    return GateResult(
        name,
        _at_least(low, high, limit),
        limit,
        ratio if math.isfinite(ratio) else None,
        f"{metric.title} {_ratio(ratio)} [{_ratio(low)}, {_ratio(high)}] of {reference}"
        f"{'' if metric.higher_is_better else ' (less is better)'}, limit {limit:g}",
    )


def _ratio(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "without bound"


def _device_gates(row: Row, limits: DeviceGates) -> Iterator[GateResult]:
    for name, limit, value, interval, absent in (
        ("p50_us_max", limits.p50_us_max, row.p50_us, row.p50_interval_us, _p50_reason(row)),
        ("p90_us_max", limits.p90_us_max, row.p90_us, row.p90_interval_us, row.p90_reason),
        ("p95_us_max", limits.p95_us_max, row.p95_us, row.p95_interval_us, row.p90_reason),
    ):
        if limit is not None:
            yield _latency_gate(row, name, limit, value, interval, absent)
    if limits.size_bytes_max is not None:
        known = row.size_bytes
        shown = f"size {size(known)}, limit {size(limits.size_bytes_max)}"
        yield _plain_gate("size_bytes_max", limits.size_bytes_max, known, shown, row.failure)
    if limits.peak_rss_kib_max is not None:
        known = row.peak_rss_kib
        shown = f"peak memory {memory(known)}, limit {memory(limits.peak_rss_kib_max)}"
        yield _plain_gate("peak_rss_kib_max", limits.peak_rss_kib_max, known, shown, row.failure)


def _p50_reason(row: Row) -> str | None:
    if row.p50_source is not Source.UNAVAILABLE:
        return None
    return f"the tool tells no p50, only its mean, {duration(row.mean_us)}"


def _latency_gate(
    row: Row,
    name: str,
    limit: float,
    value: float | None,
    interval: Interval | None,
    absent: str | None,
) -> GateResult:
    quantile = name.split("_")[0]
    if value is None:
        reason = row.failure or absent or f"{quantile} was not measured"
        return GateResult(name, GateStatus.UNKNOWN, limit, None, reason)
    if quantile == "p90" and row.p90_source is Source.INTERPOLATED:
        reason = f"p90 is interpolated (about {duration(value)}): an estimate is never gated"
        return GateResult(name, GateStatus.UNKNOWN, limit, None, reason)
    doubt = why_not_under_its_name(row)
    if doubt is None and row.stability.word is StabilityWord.INVALID:
        doubt = f"INVALID: {row.stability.reasons[0]}"
    if doubt is None and interval is None:
        doubt = f"{row.launches_used} usable launches give no interval"
    if doubt is not None or interval is None:
        reason = f"{quantile} {duration(value)}, but {doubt}"
        return GateResult(name, GateStatus.UNKNOWN, limit, value, reason)
    remark = confidence_remark(interval)
    name_of = "tool-mean" if row.p50_source is Source.TOOL_MEAN and quantile == "p50" else quantile
    reason = (
        f"{name_of} {duration(value)} {duration_interval(value, interval)}"
        f"{f' ({remark})' if remark else ''}, limit {duration(limit)}"
    )
    return GateResult(name, _at_least(-interval.high, -interval.low, -limit), limit, value, reason)


def _plain_gate(
    name: str, limit: int, value: int | None, shown: str, failure: str | None
) -> GateResult:
    if value is None:
        return GateResult(name, GateStatus.UNKNOWN, limit, None, failure or "not measured")
    status = GateStatus.PASS if value <= limit else GateStatus.FAIL
    return GateResult(name, status, limit, value, shown)


def _at_least(low: float, high: float, limit: float) -> GateStatus:
    if low >= limit:
        return GateStatus.PASS
    return GateStatus.FAIL if high < limit else GateStatus.UNSURE
