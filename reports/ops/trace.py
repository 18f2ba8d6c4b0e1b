"""One run of a model laid out as Chrome trace events, for Perfetto or chrome://tracing.

Source of the format: Trace Event Format, JSON object form, complete events ("X") and
metadata events ("M"); times in us.
"""

from __future__ import annotations

from typing import Any

from bench.ops.mapping import MappedRow
from bench.ops.model import OpKind, OpProfile
from bench.ops.summary import Summary

_PROCESS = 1
_RUN, _PLAIN, _DELEGATE = 1, 2, 3
_LANES = {_RUN: "one run of the model", _PLAIN: "plain kernels", _DELEGATE: "delegate"}


def profile_to_trace(title: str, profile: OpProfile, summary: Summary) -> dict[str, Any]:
    """The rows one after the other, each as long as its time per run.

    It is no recording: gaps and overlaps are not known. Rows without a time are left out.

    Raises: ValueError where the profile does not tell the order of its rows.
    """
    layers = summary.layers
    if layers is None:
        raise ValueError("the profile does not tell in which order its rows ran")
    events: list[dict[str, Any]] = [_named("process_name", _RUN, title)]
    events += [_named("thread_name", lane, name) for lane, name in _LANES.items()]
    events.append(_event("run", "run", _RUN, 0.0, summary.total_us, {}))
    start = 0.0
    for row in layers:
        length = row.row.avg_us
        if length is None:
            continue
        lane = _PLAIN if row.row.kind is OpKind.OP else _DELEGATE
        label = row.node.op if row.node is not None else row.row.type
        events.append(_event(label, row.row.kind.value, lane, start, length, _facts(row)))
        start += length
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {
            "source": profile.source.value,
            "what": "times per run of a profiled launch, laid out in order; no recording",
            "rows_without_time": sum(row.row.avg_us is None for row in layers),
        },
    }


def _named(what: str, lane: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": _PROCESS, "tid": lane, "name": what, "args": {"name": name}}


def _event(
    name: str, category: str, lane: int, start: float, length: float, facts: dict[str, Any]
) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": _PROCESS,
        "tid": lane,
        "name": name,
        "cat": category,
        "ts": start,
        "dur": length,
        "args": facts,
    }


def _facts(row: MappedRow) -> dict[str, Any]:
    facts: dict[str, Any] = {"type": row.row.type, "name": row.row.name, "match": row.match.value}
    if row.node is not None:
        facts["node"] = row.node.index
        facts["outputs"] = [f"{t.name}: {t.dtype} {list(t.shape)}" for t in row.node.outputs]
    return facts
