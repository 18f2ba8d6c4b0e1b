"""Which node of the model each row of a profile stands for: exact, best effort or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.errors import EdgebenchError
from bench.format import counted
from bench.ops.align import align_rows
from bench.ops.kernels import is_known
from bench.ops.model import OpKind, OpProfile, OpRow, OpTable
from bench.tflite.graph import Graph, TfliteModel


class OtherModel(EdgebenchError):
    """The .tflite is not the one that was profiled; the message says by what it is known."""


class Match(StrEnum):
    """How sure it is which node a row stands for.

    EXACT: the tool says so. BEST_EFFORT: by order and by what a step of a delegate can be.
    NONE: nobody can tell, or it stands for none.
    """

    EXACT = "exact"
    BEST_EFFORT = "best-effort"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """What the file says of a tensor; dtype as the schema has it, -1 in shape is open."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the file says of a node; inputs without those that are absent."""

    subgraph: int
    index: int
    op: str
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]


@dataclass(frozen=True, slots=True)
class MappedRow:
    """A row and its node. `node` is None exactly where `match` is NONE."""

    row: OpRow
    table: int
    match: Match = Match.NONE
    node: NodeFacts | None = None


@dataclass(frozen=True, slots=True)
class Mapping:
    """All rows of the measured runs, in the profile's order.

    Attributes:
        unseen: nodes of the main graph that no row stands for: folded into others, or of
            a delegate that does not tell.
        notes: what to know before relying on it.
    """

    rows: tuple[MappedRow, ...]
    unseen: tuple[NodeFacts, ...] = ()
    notes: tuple[str, ...] = ()


def unmapped(profile: OpProfile) -> Mapping:
    """Of a profile whose model is not at hand: rows without nodes."""
    return Mapping(
        tuple(MappedRow(row, n) for n, table in enumerate(profile.regular) for row in table.rows)
    )


def map_rows(profile: OpProfile, model: TfliteModel) -> Mapping:
    """Find the node of each row.

    Raises: OtherModel where an exact row names a node that the file does not have.
    """
    rows: list[MappedRow] = []
    notes: list[str] = []
    for number, table in enumerate(profile.regular):
        if table.inside_delegate or table.subgraph >= len(model.graphs):
            if not table.inside_delegate:
                raise OtherModel(f"the profile has a subgraph {table.subgraph}, the file has not")
            rows += [MappedRow(row, number) for row in table.rows]
            continue
        graph = model.graphs[table.subgraph]
        found, remarks = _map_table(table, graph)
        rows += [
            MappedRow(row, number, match, None if node is None else _facts(table, graph, node))
            for row, (match, node) in zip(table.rows, found, strict=True)
        ]
        notes += remarks
    seen = {row.node.index for row in rows if row.node is not None and row.node.subgraph == 0}
    main = OpTable((), 0)
    unseen = tuple(
        _facts(main, model.main, op.index) for op in model.main.ops if op.index not in seen
    )
    return Mapping(tuple(rows), unseen, tuple(dict.fromkeys(notes)))


_Found = tuple[Match, int | None]


def _map_table(table: OpTable, graph: Graph) -> tuple[list[_Found], list[str]]:
    exact = [_exact(row, graph) for row in table.rows]
    found: list[_Found] = [
        (Match.NONE, None) if node is None else (Match.EXACT, node) for node in exact
    ]
    inner = [k for k, row in enumerate(table.rows) if row.kind is OpKind.DELEGATE_OP]
    if not inner:
        return found, []
    if any((table.rows[k].times_called or 1) > 1 for k in inner):
        return found, [
            "Steps of several partitions were merged into one row, so that no node is told"
            " for rows within the delegate."
        ]
    if any(table.rows[k].order is None for k in inner):
        return found, [
            "The tool does not tell the order of the rows within the delegate, and so not"
            " their nodes."
        ]
    sequence = sorted(
        (k for k, row in enumerate(table.rows) if row.order is not None),
        key=lambda k: table.rows[k].order or 0,
    )
    aligned = align_rows([table.rows[k] for k in sequence], [exact[k] for k in sequence], graph)
    if aligned is None:
        return found, ["Too many rows and nodes to align."]
    known = [k for k in inner if is_known(table.rows[k].type)]
    nodes = dict(zip(sequence, aligned, strict=True))
    placeable = sum(nodes[k] is not None for k in known)
    if 2 * placeable < len(known):
        return found, [
            f"Only {placeable} of {counted(len(known), 'row')} within the delegate can be nodes of"
            " this file: it may not be the model that was profiled, and none is told for them."
        ]
    for k in inner:
        if (node := nodes[k]) is not None:
            found[k] = (Match.BEST_EFFORT, node)
    placed = sum(found[k][1] is not None for k in inner)
    note = (
        f"{placed} of {counted(len(inner), 'row')} within the delegate have a node, by order"
        " and type (best effort)."
    )
    return found, [note]


def _exact(row: OpRow, graph: Graph) -> int | None:
    """The node that the tool names, checked against the file. Raises: OtherModel."""
    if row.kind is not OpKind.OP:
        return None
    node = row.node
    if node is None:
        return None
    if node >= len(graph.ops):
        raise OtherModel(
            f"the profile has a node {node}, the file has {counted(len(graph.ops), 'node')}"
        )
    op = graph.ops[node]
    # The tool adds what a kernel says of itself: "CONV_2D/im2col".
    if row.type != op.name and not row.type.startswith(f"{op.name}/"):
        raise OtherModel(f"node {node} is {row.type} in the profile and {op.name} in the file")
    return node


def _facts(table: OpTable, graph: Graph, node: int) -> NodeFacts:
    op = graph.ops[node]

    def tensors(indices: Sequence[int]) -> tuple[TensorFacts, ...]:
        given = (graph.tensors[index] for index in indices if index >= 0)
        return tuple(TensorFacts(t.name, t.dtype, t.signature) for t in given)

    return NodeFacts(table.subgraph, node, op.name, tensors(op.inputs), tensors(op.outputs))
