"""The gates of the plan, applied to one row with its intervals."""

from __future__ import annotations

from collections.abc import Iterator

from bench.config import DeviceGates, GatesConfig
from bench.format import confidence_remark, duration, duration_interval, memory, points, size
from bench.stability import StabilityWord
from bench.stats import Interval
from reports.measured import why_not_as_requested
from reports.model import Comparison, GateResult, GateStatus, Row

REFERENCE = "fp32"


def apply_gates(row: Row, gates: GatesConfig, *, holdout: bool) -> tuple[GateResult, ...]:
    """Every gate that applies to the row, () for a case that cannot exist.

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
    results = list(_accuracy_gates(row, gates)) if holdout or row.accuracy is not None else []
    for limits in gates.device:
        if limits.device in ("*", row.case.device):
            results += _device_gates(row, limits)
    return tuple(results)


def gate_failed(comparison: Comparison) -> bool:
    """Whether any gate of any row says FAIL."""
    return any(gate.status is GateStatus.FAIL for row in comparison.rows for gate in row.gates)


def _accuracy_gates(row: Row, gates: GatesConfig) -> Iterator[GateResult]:
    ratio_limit, drop_limit = gates.accuracy_ratio_min, gates.accuracy_drop_max_points
    names = (("accuracy_ratio_min", ratio_limit), ("accuracy_drop_max_points", drop_limit))
    if row.case.variant == REFERENCE:
        for (name, limit), value in zip(names, (1.0, 0.0), strict=True):
            yield GateResult(name, GateStatus.PASS, limit, value, f"{REFERENCE} is the reference")
        return
    accuracy = row.accuracy
    change = None if accuracy is None else accuracy.change_points
    around = None if accuracy is None else accuracy.change_interval_points
    if accuracy is None or change is None or around is None:
        reason = row.accuracy_reason or f"no accuracy of {REFERENCE} to compare with"
        for name, limit in names:
            yield GateResult(name, GateStatus.UNKNOWN, limit, None, reason)
        return
    reference = accuracy.value - change / 100
    shown = f"accuracy {points(change)} points [{points(around.low)}, {points(around.high)}]"
    if reference <= 0:
        reason = f"{REFERENCE} is never right: there is no ratio"
        yield GateResult("accuracy_ratio_min", GateStatus.UNKNOWN, ratio_limit, None, reason)
    else:
        # The accuracy of fp32 counts as known: what is uncertain is the paired change.
        low, high = (1 + end / 100 / reference for end in (around.low, around.high))
        yield GateResult(
            "accuracy_ratio_min",
            _at_least(low, high, ratio_limit),
            ratio_limit,
            accuracy.value / reference,
            f"accuracy {accuracy.value / reference:.4f} [{low:.4f}, {high:.4f}] of {REFERENCE},"
            f" limit {ratio_limit:g}",
        )
    yield GateResult(
        "accuracy_drop_max_points",
        _at_least(around.low, around.high, -drop_limit),
        drop_limit,
        -change,
        f"{shown} against {REFERENCE}, limit {points(-drop_limit)}",
    )


def _device_gates(row: Row, limits: DeviceGates) -> Iterator[GateResult]:
    for name, limit, value, interval, absent in (
        ("p50_us_max", limits.p50_us_max, row.p50_us, row.p50_interval_us, None),
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
    doubt = why_not_as_requested(row.delegation)
    if doubt is None and row.stability.word is StabilityWord.INVALID:
        doubt = f"INVALID: {row.stability.reasons[0]}"
    if doubt is None and interval is None:
        doubt = f"{row.launches_used} usable launches give no interval"
    if doubt is not None or interval is None:
        reason = f"{quantile} {duration(value)}, but {doubt}"
        return GateResult(name, GateStatus.UNKNOWN, limit, value, reason)
    remark = confidence_remark(interval)
    reason = (
        f"{quantile} {duration(value)} {duration_interval(value, interval)}"
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
