"""The binary files that benchmark_model writes -> typed facts, or UnreadableOutput.

Field numbers: LiteRT, tflite/profiling/proto/model_runtime_info.proto and
tflite/tools/benchmark/proto/benchmark_result.proto. The few fields that are needed are
read here, so that no generated code has to match an installed protobuf.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from bench.errors import UnreadableOutput
from bench.parsers.wire import fields, varint

_MAX_ID = 1 << 31


@dataclass(frozen=True, slots=True)
class RuntimeNode:
    """One node of a subgraph as it was when the tool was ready to run.

    Attributes:
        node_id: within its subgraph; name: of the op, or of the delegate.
        delegated_to: id of the delegate node that took its place; None if none did.
        replaces: ids that this delegate node took; () for an op.
        delegate: name of the delegate; "" for an op.
    """

    node_id: int
    name: str
    delegated_to: int | None
    replaces: tuple[int, ...]
    delegate: str


@dataclass(frozen=True, slots=True)
class RuntimeGraph:
    """Nodes of one subgraph, and the ids of those that run, in order."""

    nodes: tuple[RuntimeNode, ...]
    execution_plan: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ResultFile:
    """The tool's own result file; times in ms as float32, None where it has no such field."""

    avg_ms: float | None
    min_ms: float | None
    max_ms: float | None
    median_ms: float | None
    p5_ms: float | None
    p95_ms: float | None
    init_ms: float | None
    first_ms: float | None
    warmup_avg_ms: float | None
    runs: int | None
    warmup_runs: int | None


def parse_runtime_info(data: bytes) -> RuntimeGraph:
    """The main subgraph of a ModelRuntimeDetails message.

    Raises: UnreadableOutput if it is damaged or has no subgraph with nodes.
    """
    for number, value in fields(data):
        if number == 2 and isinstance(value, bytes):
            return _graph(value)
    raise UnreadableOutput("the model runtime info has no subgraph")


def parse_result(data: bytes) -> ResultFile:
    """A BenchmarkResult message. Raises: UnreadableOutput if it is damaged or empty."""
    parts = {n: v for n, v in fields(data) if isinstance(v, bytes)}
    if 2 not in parts or 4 not in parts:
        raise UnreadableOutput("the tool's result file lacks its latency or its counts")
    times = {n: _float(v) for n, v in fields(parts[2])}
    counts = {n: v for n, v in fields(parts[4]) if isinstance(v, int)}
    return ResultFile(
        avg_ms=times.get(1),
        min_ms=times.get(2),
        max_ms=times.get(3),
        median_ms=times.get(5),
        p5_ms=times.get(6),
        p95_ms=times.get(7),
        init_ms=times.get(8),
        first_ms=times.get(9),
        warmup_avg_ms=times.get(10),
        runs=counts.get(2),
        warmup_runs=counts.get(3),
    )


def _graph(data: bytes) -> RuntimeGraph:
    nodes: list[RuntimeNode] = []
    plan: list[int] = []
    for number, value in fields(data):
        if number == 3 and isinstance(value, bytes):
            nodes.append(_node(value))
        elif number == 4:
            plan += _ids(value)
    if not nodes or not plan:
        raise UnreadableOutput("the model runtime info lists no nodes, or none that run")
    return RuntimeGraph(tuple(nodes), tuple(plan))


def _node(data: bytes) -> RuntimeNode:
    node_id, name, delegated_to, delegate = 0, "", None, ""
    replaces: list[int] = []
    for number, value in fields(data):
        if number == 1:
            node_id = _id(value)
        elif number == 2:
            name = _text(value)
        elif number == 9:
            delegated_to = _id(value)
        elif number == 8 and isinstance(value, bytes):
            for inner, detail in fields(value):
                if inner == 1:
                    delegate = _text(detail)
                elif inner == 2:
                    replaces += _ids(detail)
            delegate = delegate or name
    return RuntimeNode(node_id, name, delegated_to, tuple(replaces), delegate)


def _id(value: int | bytes) -> int:
    if not isinstance(value, int) or value >= _MAX_ID:
        raise UnreadableOutput("the model runtime info holds a node id that is no id")
    return value


def _ids(value: int | bytes) -> list[int]:
    """A repeated number: one by one, or packed into bytes."""
    if isinstance(value, int):
        return [_id(value)]
    found, position = [], 0
    while position < len(value):
        number, position = varint(value, position)
        found.append(_id(number))
    return found


def _text(value: int | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _float(value: int | bytes) -> float:
    if not isinstance(value, bytes) or len(value) != 4:
        raise UnreadableOutput("the tool's result file holds a time that is no float")
    number = float(struct.unpack("<f", value)[0])
    if not math.isfinite(number) or number < 0:
        raise UnreadableOutput("the tool's result file holds a time that is no time")
    return number
