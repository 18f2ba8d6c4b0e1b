"""An inspection of a .tflite as sections for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench.cli.text import printable
from bench.format import ABSENT, percent, size, to_ascii
from bench.tflite.graph import CONVERSIONS
from bench.tflite.inspection import Inspection, OpKind, Port
from bench.tflite.islands import FloatIsland
from bench.tflite.macs import MacCount
from bench.tflite.variables import unassigned_text

_ARITHMETIC = {
    "integer": "computes in integers",
    "mixed": "computes in integers, with ops that stayed float",
    "dynamic": "computes in float with integer weights (quantised while it runs)",
    "float": "computes in float",
    "none": "no op that computes on reals",
}
# From text to what the terminal can show of it.
Write = Callable[[str], str]

# Of what a file may hold thousands of, a person reads this many; --json has them all.
_MOST = 20
_NAME_LENGTH = 80


def view(name: str, sha256: str, found: Inspection, *, ascii_only: bool = False) -> RenderableType:
    """The sections, one below the other; those with nothing to say are left out.

    ascii_only: for a terminal that can show nothing else.
    """
    write = to_ascii if ascii_only else str
    head = Text(write(f"{name}  {size(found.size_bytes)}, {_ARITHMETIC[found.arithmetic]}"), "bold")
    parts: list[RenderableType] = [head, Text(f"sha256 {sha256}", "dim")]
    for title, body in _sections(found, write):
        parts += [Text(f"\n{title}", "bold"), Padding(body, (0, 0, 0, 2))]
    return Group(*parts)


def _sections(found: Inspection, write: Write) -> Iterator[tuple[str, RenderableType]]:
    if warnings := list(_warnings(found)):
        yield "Beware", _lines(write, warnings)
    yield "Inputs and outputs", _ports(write, found)
    yield "Ops", _ops(write, found.ops)
    if found.islands:
        yield "What stayed float", _lines(write, _islands(found.islands))
    yield "Weights", _lines(write, _weights(found))
    yield "Work of one inference", _lines(write, _work(found))
    yield "File", _lines(write, _file(found))


def _warnings(found: Inspection) -> Iterator[str]:
    if flex := found.of_kind("flex"):
        yield (
            f"TensorFlow ops, which TFLite and LiteRT do not run by themselves: {_names(flex)}. "
            "Replace these layers, or link the Flex delegate into the app."
        )
    if custom := found.of_kind("custom"):
        yield f"Custom ops, which run only where the app registers them: {_names(custom)}."
    if found.unassigned:
        yield f"The model {printable(unassigned_text(found.unassigned))}."
    for port in (*found.inputs, *found.outputs):
        if port.remark:
            yield f"{_clip(port.name)}: {port.remark}."


def _ports(write: Write, found: Inspection) -> RenderableType:
    table = _table("", "name", "type", "shape", "scale", "zero", "real numbers")
    for kind, ports in (("in", found.inputs), ("out", found.outputs)):
        for port in ports[:_MOST]:
            _row(
                write,
                table,
                kind,
                _clip(port.argument or port.name),
                port.dtype.lower(),
                _shape(port),
                ABSENT if port.scale is None else f"{port.scale:.6g}",
                ABSENT if port.zero_point is None else str(port.zero_point),
                ABSENT
                if port.real_range is None
                else " to ".join(f"{bound:.4g}" for bound in port.real_range),
            )
        _more(write, table, len(ports))
    return table


def _ops(write: Write, ops: Sequence[OpKind]) -> RenderableType:
    table = _table("count", "op", "version", "computes in", numbers=1)
    for op in ops[:_MOST]:
        _row(
            write,
            table,
            f"{op.count:,}",
            _clip(op.name),
            ", ".join(map(str, op.versions[:5])),
            _computes(op),
        )
    _more(write, table, len(ops))
    return table


def _computes(op: OpKind) -> str:
    floats, integers = op.in_float, op.in_integers
    words = []
    if floats:
        words.append("float" if floats == op.count else f"float ({floats:,})")
    if integers:
        words.append("integers" if integers == op.count else f"integers ({integers:,})")
    if op.kind == "builtin" and op.name in CONVERSIONS:
        words.append("conversion")
    if op.kind != "builtin":
        words.append("TensorFlow op" if op.kind == "flex" else "custom op")
    return ", ".join(words) or ABSENT


def _islands(islands: Sequence[FloatIsland]) -> Iterator[str]:
    yield (
        "Each conversion costs time at every inference, and an accelerator for integers "
        "hands the work back to the CPU there."
    )
    for island in islands[:_MOST]:
        ops = ", ".join(f"{_clip(op.name)} (op {op.index})" for op in island.ops[:6])
        more = f" and {island.op_count - 6:,} more" if island.op_count > 6 else ""
        elements = _count(island.converted_elements)
        conversions = island.dequantize + island.quantize
        graph = f"graph {island.graph}: " if island.graph else ""
        border = ", at the model's border" if island.at_border else ""
        yield f"{graph}{ops}{more}: {conversions:,} conversions of {elements} elements{border}"
        yield f"  computes {_clip(island.ops[0].output)}"
    if len(islands) > _MOST:
        yield f"and {len(islands) - _MOST:,} more; --json has all"


def _weights(found: Inspection) -> Iterator[str]:
    weights = found.weights
    yield f"parameters: {_count(weights.parameters)}"
    for dtype, held in weights.by_type.items():
        place = "in another file" if held.size_bytes is None else size(held.size_bytes)
        yield f"{dtype.lower()}: {place}, {_tensors(held.tensors)}"
    granularity = [
        f"{count:,} {words}"
        for count, words in (
            (weights.per_channel, "per channel"),
            (weights.per_tensor, "per tensor"),
            (weights.blockwise, "per block"),
        )
        if count
    ]
    if granularity:
        yield f"quantised weights: {', '.join(granularity)}"
    if weights.zero_share is not None:
        unread = f", {_tensors(weights.zeros_unread)} not read" if weights.zeros_unread else ""
        yield f"exactly zero: {percent(weights.zero_share)} of dense weights{unread}"
    if weights.sparse_tensors:
        yield f"sparse encoding: {_tensors(weights.sparse_tensors)}"


def _work(found: Inspection) -> Iterator[str]:
    for (name, _), macs in list(zip(found.graphs, found.macs, strict=True))[:_MOST]:
        graph = f"graph {_clip(name)}: " if len(found.graphs) > 1 else ""
        yield f"{graph}{_macs(macs)}"
    for dtype, held in found.activations.items():
        yield (
            f"computed {dtype.lower()}: {_tensors(held.tensors)}"
            + (", " + _bytes(held.size_bytes) + " in all" if held.size_bytes is not None else "")
        )
    if found.dynamic_tensors or found.unranked_tensors:
        yield (
            f"shapes that only the runtime knows: {_tensors(found.dynamic_tensors)} with an "
            f"open dimension, {found.unranked_tensors:,} of unknown rank"
        )
    if found.control_flow:
        flow = ", ".join(f"{name} x{count:,}" for name, count in found.control_flow.items())
        yield f"control flow: {flow}"


def _macs(macs: MacCount) -> str:
    if macs.total is None:
        text = f"MACs unknown: {macs.reason}"
    else:
        text = f"{_count(macs.total)} MACs" + (" per item of the batch" if macs.per_item else "")
    left_out = [f"{_clip(name)} x{count:,}" for name, count in macs.not_counted.items()]
    return f"{text}, without {', '.join(left_out[:_MOST])}" if left_out else text


def _file(found: Inspection) -> Iterator[str]:
    runtime = f", needs runtime {found.min_runtime_version}" if found.min_runtime_version else ""
    yield f"schema {found.schema_version}{runtime}"
    if found.description:
        yield f"description: {_clip(found.description)}"
    if len(found.graphs) > 1:
        yield f"{len(found.graphs):,} subgraphs"
    for entry in found.signatures[:_MOST]:
        inputs, outputs = (
            ", ".join(map(_clip, list(e)[:6])) for e in (entry.inputs, entry.outputs)
        )
        yield f"signature {_clip(entry.key)}: {inputs} -> {outputs}"
    for kind, held in (("metadata", found.metadata), ("attached", found.attached)):
        if held:
            names = [f"{_clip(name)} ({_bytes(count)})" for name, count in held.items()]
            yield f"{kind}: {', '.join(names[:_MOST])}"


def _shape(port: Port) -> str:
    if not port.ranked:
        return "unknown"
    sizes = " x ".join("?" if size == -1 else str(size) for size in port.signature)
    return sizes or "scalar"


def _table(*columns: str, numbers: int = 0) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for position, column in enumerate(columns):
        table.add_column(column, justify="right" if position < numbers else "left")
    return table


def _row(write: Write, table: Table, *cells: str) -> None:
    # As Text, for rich takes [red] in a plain string as an order.
    table.add_row(*(Text(write(cell)) for cell in cells))


def _more(write: Write, table: Table, count: int) -> None:
    if count > _MOST:
        _row(write, table, "", f"and {count - _MOST:,} more; --json has all")


def _lines(write: Write, lines: Iterable[str]) -> Text:
    return Text("\n".join(map(write, lines)))


def _names(ops: Sequence[OpKind]) -> str:
    return ", ".join(f"{_clip(op.name)} x{op.count:,}" for op in ops[:_MOST])


def _tensors(count: int) -> str:
    return "1 tensor" if count == 1 else f"{count:,} tensors"


def _count(number: int | None) -> str:
    if number is None:
        return "an unknown number of"
    return f"{number:,}" if number < 10**15 else f"{number:.2e}"


def _bytes(count: int | None) -> str:
    # Only a damaged file tells of this much, and it would fill the line with digits.
    return f"{count:.2e} B" if count is not None and count >= 10**15 else size(count)


def _clip(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) <= _NAME_LENGTH else f"{shown[:_NAME_LENGTH]}…"
