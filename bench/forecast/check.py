"""Holds a forecast against what was measured: where they disagree, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bench.delegation.model import Coverage, Delegation, EvidenceSource
from bench.forecast.model import Checked, Forecast
from bench.format import counted


def check(forecast: Forecast, delegation: Delegation | None) -> Checked:
    """Compare op by op, where the measurement tells which ops stayed outside."""
    if delegation is None or delegation.verdict is Coverage.UNKNOWN:
        return Checked(why_not="it is not known what the delegate took")
    if delegation.accelerators and not _is_delegates_own(delegation):
        names = ", ".join(delegation.accelerators)
        return Checked(why_not=f"{names} decided, and the list is not of it")
    found = tuple(_disagreements(forecast, delegation))
    if not found and forecast.verdict is Coverage.UNKNOWN:
        # What forecasts nothing cannot come true.
        names = ", ".join(dict.fromkeys(each.op for each in forecast.unknown))
        return Checked(why_not=f"the list does not know {names}")
    return Checked(disagreements=found)


def _is_delegates_own(found: Delegation) -> bool:
    """Whether the delegate itself decided: a graphics adapter takes what it is given."""
    stood_in = any(
        item.source is EvidenceSource.DEVICE and item.says is Coverage.NONE
        for item in found.evidence
    )
    return found.requested == "gpu" and not stood_in


def _disagreements(forecast: Forecast, found: Delegation) -> Iterator[str]:
    if found.total_nodes is not None and found.total_nodes != forecast.nodes:
        yield (
            f"{counted(found.total_nodes, 'node')} were seen, the file has {forecast.nodes}:"
            " the runtime changed the graph before the delegate saw it"
        )
        return
    if found.verdict is Coverage.NONE:
        if forecast.verdict is not Coverage.NONE and forecast.taken:
            yield (
                f"{found.requested} took nothing, and the list refuses only"
                f" {forecast.nodes - forecast.taken} of {counted(forecast.nodes, 'node')}"
            )
        return
    outside = _outside(found)
    if outside is None:
        if found.verdict is Coverage.PARTIAL and forecast.verdict is Coverage.FULL:
            yield f"{found.requested} left a part, and the list refuses nothing"
        return
    yield from _by_op(forecast, outside)


def _outside(found: Delegation) -> dict[str, int | None] | None:
    """Ops that stayed outside -> nodes (None if untold); None if the ops are not told."""
    if found.verdict is Coverage.FULL:
        return {}
    if found.fallback_ops:
        return dict(found.fallback_ops)
    return {refusal.op: refusal.nodes for refusal in found.unsupported} or None


def _by_op(forecast: Forecast, outside: dict[str, int | None]) -> Iterator[str]:
    refused, unknown = (
        _sum((e.op, e.nodes) for e in expected) for expected in (forecast.refused, forecast.unknown)
    )
    for op, nodes in refused.items():
        stayed = outside.get(op, 0)
        if stayed is not None and stayed < nodes:
            where = "all of them ran" if stayed == 0 else f"only {stayed} did, the others ran"
            yield f"{op}: {nodes} were to stay outside, {where} on {forecast.delegate}"
    for op, stayed in outside.items():
        most = refused[op] + unknown[op]
        if stayed is None:
            if not most:
                yield f"{op} stayed outside, and the list does not refuse it"
        elif stayed > most:
            yield f"{op}: {stayed} stayed outside, and the list refuses {refused[op] or 'none'}"


def _sum(pairs: Iterator[tuple[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for op, nodes in pairs:
        total[op] += nodes
    return total
