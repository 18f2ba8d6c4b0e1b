"""The files that the tool writes: its result and the model's runtime details, as protobufs."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert import model_runtime_info_pb2

from devices.emulated.standin.delegates import Step
from devices.emulated.standin.figures import average, deviation, percentile
from devices.emulated.standin.runtime import Model


def write_result(
    path: str,
    *,
    init_us: int,
    warmup_us: Sequence[int],
    samples_us: Sequence[int],
    footprint_kib: tuple[int, int],
    peak_mib: float,
    model_bytes: int,
    throughput_mib_s: float,
) -> None:
    """tflite.tools.benchmark.BenchmarkResult. Raises: OSError."""
    latency_ms = [
        average(samples_us),
        min(samples_us, default=0),
        max(samples_us, default=0),
        deviation(samples_us),
        *(percentile(samples_us, percent) for percent in (50, 5, 95)),
        init_us,
        warmup_us[0] if warmup_us else 0,
        average(warmup_us),
    ]
    latency = b"".join(_float(i, us / 1000) for i, us in enumerate(latency_ms, 1))
    memory = _varint(1, footprint_kib[0]) + _varint(2, footprint_kib[1]) + _float(3, peak_mib)
    misc = (
        _float(1, model_bytes / 1e6)
        + _varint(2, len(samples_us))
        + _varint(3, len(warmup_us))
        + _float(4, throughput_mib_s)
    )
    parts = (_message(2, latency), _message(3, memory), _message(4, misc))
    Path(path).write_bytes(b"".join(parts))


def write_runtime_info(path: str, model: Model, plan: Sequence[Step]) -> None:
    """tflite.profiling.ModelRuntimeDetails of the main graph. Raises: OSError."""
    details = model_runtime_info_pb2.ModelRuntimeDetails()
    graph = details.subgraphs.add(subgraph_id=0, name="main")
    graph.subgraph_type = graph.TFLITE_SUBGRAPH
    for tensor in model.tensors():
        size = int(np.prod(tensor["shape"], dtype=np.int64)) * np.dtype(tensor["dtype"]).itemsize
        graph.edges.add(
            id=int(tensor["index"]),
            name=str(tensor["name"]),
            shape=[int(side) for side in tensor["shape"]],
            size=size,
        )
    kernels = [step for step in plan if step.delegate]
    kernel_of = {
        node: len(model.nodes) + number
        for number, kernel in enumerate(kernels)
        for node in kernel.nodes
    }
    for node in model.nodes:
        entry = graph.nodes.add(
            id=node.index, name=node.op, inputs=node.inputs, outputs=node.outputs
        )
        if node.index in kernel_of:
            entry.delegated_to_node_id = kernel_of[node.index]
    for number, kernel in enumerate(kernels, len(model.nodes)):
        inputs, outputs = _border(model, kernel)
        entry = graph.nodes.add(
            id=number, name=kernel.delegate, type=kernel.delegate, inputs=inputs, outputs=outputs
        )
        entry.delegate_node_details.delegate_name = str(kernel.delegate)
        entry.delegate_node_details.tflite_node_ids_replaced.extend(kernel.nodes)
    graph.execution_plan.extend(kernel_of.get(step.nodes[0], step.nodes[0]) for step in plan)
    Path(path).write_bytes(details.SerializeToString())


def _border(model: Model, kernel: Step) -> tuple[list[int], list[int]]:
    """Tensors that go into a kernel and come out of it."""
    inside = [node for node in model.nodes if node.index in kernel.nodes]
    outside = [node for node in model.nodes if node.index not in kernel.nodes]
    made = {tensor for node in inside for tensor in node.outputs}
    wanted = {tensor for node in outside for tensor in node.inputs}
    read = {tensor for node in model.nodes for tensor in node.inputs}
    inputs = sorted({tensor for node in inside for tensor in node.inputs} - made)
    return inputs, sorted(tensor for tensor in made if tensor in wanted or tensor not in read)


def _message(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2, len(content)]) + content


def _float(field: int, value: float) -> bytes:
    return bytes([field << 3 | 5]) + struct.pack("<f", value)


def _varint(field: int, value: int) -> bytes:
    parts = bytearray([field << 3])
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
