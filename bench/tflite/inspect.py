"""All that can be told of a .tflite without running it."""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from bench.tflite.facts import computes_in_float, computes_in_integers
from bench.tflite.graph import FLOATS, Graph, Op, Tensor, TfliteModel, parse_model
from bench.tflite.inspection import Activations, Entry, Inspection, OpKind, Port
from bench.tflite.islands import float_islands
from bench.tflite.macs import CONTROL_FLOW, count_macs
from bench.tflite.values import ELEMENT_BITS, real_range
from bench.tflite.variables import unassigned_variables
from bench.tflite.weights import weigh

# The record that ends a zip archive, with the longest comment that it may have; and a
# directory of it larger than any model's associated files need.
_ZIP_END_BYTES = 22 + 65535
_ZIP_DIRECTORY_BYTES = 1 << 20

_NAME_LENGTH = 1000

_VERSION = re.compile(rb"[0-9A-Za-z.+-]{1,32}")


def inspect_model(data: bytes) -> Inspection:
    """Read a whole .tflite.

    Raises: UnreadableOutput if it is none, is cut short or contradicts itself.
    """
    model = parse_model(data)
    tensors = [tensor for graph in model.graphs for tensor in graph.tensors]
    return Inspection(
        size_bytes=model.size_bytes,
        schema_version=model.version,
        description=model.description,
        min_runtime_version=_min_runtime(model),
        arithmetic=_arithmetic(model),
        inputs=_ports(model, model.main.inputs, of_inputs=True),
        outputs=_ports(model, model.main.outputs, of_inputs=False),
        signatures=_entries(model),
        ops=_op_kinds(model),
        graphs=tuple((graph.name, len(graph.ops)) for graph in model.graphs),
        macs=tuple(count_macs(graph) for graph in model.graphs),
        activations=_activations(model),
        weights=weigh(model),
        islands=tuple(
            island
            for number, graph in enumerate(model.graphs)
            for island in float_islands(graph, number)
        ),
        dynamic_tensors=sum(-1 in tensor.signature for tensor in tensors),
        unranked_tensors=sum(not tensor.has_rank for tensor in tensors),
        control_flow=_control_flow(model),
        unassigned=tuple(map(_clip, unassigned_variables(model))),
        metadata=MappingProxyType({name: len(held) for name, held in model.metadata.items()}),
        attached=_attached(data),
    )


def _min_runtime(model: TfliteModel) -> str | None:
    match = _VERSION.match(model.metadata.get("min_runtime_version", b""))
    return match.group().decode("ascii") if match else None


def _arithmetic(model: TfliteModel) -> str:
    pairs = [(graph, op) for graph in model.graphs for op in graph.ops]
    in_float = [(graph, op) for graph, op in pairs if computes_in_float(graph, op)]
    if any(computes_in_integers(graph, op) for graph, op in pairs):
        return "mixed" if in_float else "integer"
    if any(_is_dynamic(graph, op) for graph, op in in_float):
        return "dynamic"
    return "float" if in_float else "none"


def _is_dynamic(graph: Graph, op: Op) -> bool:
    """A float op that takes integer weights as they are."""
    inputs = [graph.tensors[k] for k in op.inputs if k >= 0]
    return any(
        t.is_constant and t.dtype not in FLOATS and (t.quantization is not None or t.blockwise)
        for t in inputs
    )


def _ports(model: TfliteModel, indices: tuple[int, ...], *, of_inputs: bool) -> tuple[Port, ...]:
    names: dict[int, str] = {}
    for given in model.signatures:
        if given.graph == 0:
            for argument, index in (given.inputs if of_inputs else given.outputs).items():
                names.setdefault(index, argument)
    return tuple(_port(model.main.tensors[k], names.get(k)) for k in indices)


def _port(tensor: Tensor, argument: str | None) -> Port:
    given = tensor.quantization
    scale = zero_point = real_numbers = remark = None
    if given is not None and len(given.scales) > 1:
        remark = f"{len(given.scales)} scales, one for each channel"
    elif given is not None:
        scale, zero_point = float(given.scales[0]), int(given.zero_points[0])
        real_numbers = real_range(tensor.dtype, scale, zero_point)
        if not (math.isfinite(scale) and scale > 0):
            remark = f"its scale is {scale}, which is no positive number"
    return Port(
        name=_clip(tensor.name),
        argument=None if argument is None else _clip(argument),
        dtype=tensor.dtype,
        shape=tensor.shape,
        signature=tensor.signature,
        ranked=tensor.has_rank,
        scale=scale,
        zero_point=zero_point,
        real_range=real_numbers,
        remark=remark,
    )


def _entries(model: TfliteModel) -> tuple[Entry, ...]:
    return tuple(
        Entry(
            _clip(given.key),
            given.graph,
            *(
                MappingProxyType(
                    {
                        _clip(name): _clip(model.graphs[given.graph].tensors[k].name)
                        for name, k in ends.items()
                    }
                )
                for ends in (given.inputs, given.outputs)
            ),
        )
        for given in model.signatures
    )


def _op_kinds(model: TfliteModel) -> tuple[OpKind, ...]:
    """Most frequent first."""
    found: dict[tuple[str, str], list[tuple[Graph, Op]]] = {}
    for graph in model.graphs:
        for op in graph.ops:
            kind = "flex" if op.flex else "custom" if op.custom else "builtin"
            found.setdefault((op.name, kind), []).append((graph, op))
    kinds = [
        OpKind(
            name,
            kind,
            versions=tuple(sorted({op.version for _, op in nodes})),
            count=len(nodes),
            in_float=sum(computes_in_float(graph, op) for graph, op in nodes),
            in_integers=sum(computes_in_integers(graph, op) for graph, op in nodes),
        )
        for (name, kind), nodes in found.items()
    ]
    return tuple(sorted(kinds, key=lambda kind: (-kind.count, kind.name)))


def _activations(model: TfliteModel) -> Mapping[str, Activations]:
    found: dict[str, list[Tensor]] = {}
    for graph in model.graphs:
        for k in {k for op in graph.ops for k in op.outputs}:
            tensor = graph.tensors[k]
            found.setdefault(tensor.dtype, []).append(tensor)
    return MappingProxyType(
        {dtype: Activations(len(found[dtype]), _size(found[dtype])) for dtype in sorted(found)}
    )


def _size(tensors: list[Tensor]) -> int | None:
    bits = ELEMENT_BITS.get(tensors[0].dtype)
    if bits is None or any(-1 in t.signature or not t.has_rank for t in tensors):
        return None
    return sum((tensor.elements * bits + 7) // 8 for tensor in tensors)


def _control_flow(model: TfliteModel) -> Mapping[str, int]:
    ops = (op for graph in model.graphs for op in graph.ops)
    return MappingProxyType(
        dict(
            sorted(Counter(o.name for o in ops if not o.custom and o.name in CONTROL_FLOW).items())
        )
    )


def _attached(data: bytes) -> Mapping[str, int]:
    """Files of the zip archive that TFLite metadata tools append to a model."""
    end = data.rfind(b"PK\5\6", -_ZIP_END_BYTES)
    if end < 0 or len(data) < end + 22:
        return MappingProxyType({})
    (directory_bytes,) = struct.unpack_from("<I", data, end + 12)
    if directory_bytes > _ZIP_DIRECTORY_BYTES:
        return MappingProxyType({})
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return MappingProxyType(
                {_clip(info.filename): info.file_size for info in archive.infolist()}
            )
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OSError, EOFError):
        return MappingProxyType({})


def _clip(name: str) -> str:
    """Names are shared by whoever refers to them, and would be written out each time."""
    return name if len(name) <= _NAME_LENGTH else f"{name[:_NAME_LENGTH]}…"
