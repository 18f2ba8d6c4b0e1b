"""Two profiles op by op: of one model under two delegates, or of two of its variants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.diagnose.align import align
from bench.ops.groups import Group, group
from bench.ops.mapping import MappedRow, Match
from bench.ops.model import OpKind
from bench.ops.summary import Summary
from bench.tflite.graph import Graph, Op, TfliteModel


@dataclass(frozen=True, slots=True)
class OpTime:
    """What one side spent on an op.

    Attributes:
        us: per run of the model; None where a row of it has no time.
        steps: types of its rows, in their order.
        kinds: who ran it.
        node: index in its own main graph; None where nobody can tell.
        match: of the least certain of its rows.
    """

    us: float | None
    steps: tuple[str, ...]
    kinds: tuple[OpKind, ...]
    node: int | None
    match: Match


@dataclass(frozen=True, slots=True)
class ComparedOp:
    """One op on both sides; a side is None where it does not have it, or does not tell.

    Attributes:
        op: as the file or the tool names it; output: its first output, "" if not known.
    """

    op: str
    output: str
    ours: OpTime | None
    theirs: OpTime | None

    @property
    def difference_us(self) -> float | None:
        """By how much the first profile is slower; None where a time is missing."""
        if self.ours is None or self.theirs is None:
            return None
        if self.ours.us is None or self.theirs.us is None:
            return None
        return self.ours.us - self.theirs.us


@dataclass(frozen=True, slots=True)
class ProfileComparison:
    """Two profiles; "ours" is the first, "theirs" what it is held against.

    Attributes:
        ops: in order of our nodes, then what only they have.
        groups: the same by kinds of op, without need of a model.
        paired_by: how ops were paired, for people.
    """

    ours: Summary
    theirs: Summary
    ops: tuple[ComparedOp, ...]
    groups: tuple[Group, ...]
    paired_by: str


def compare_profiles(
    ours: Summary,
    theirs: Summary,
    our_model: TfliteModel | None,
    their_model: TfliteModel | None,
) -> ProfileComparison:
    """Pair the ops of two profiles.

    By node where both models are given, else by the tool's own name of a row; what has no
    counterpart (QUANTIZE and DEQUANTIZE of one variant, say) stands alone.
    """
    if our_model is not None and their_model is not None:
        ops, how = _by_node(ours, theirs, our_model.main, their_model.main)
    else:
        ops, how = _by_name(ours, theirs), "the names of rows, for want of the models"
    return ProfileComparison(ours, theirs, tuple(ops), group(ours, theirs), how)


def _by_node(
    ours: Summary, theirs: Summary, our_graph: Graph, their_graph: Graph
) -> tuple[list[ComparedOp], str]:
    pairs, how = _pairs(our_graph, their_graph)
    left, right = _of_nodes(ours), _of_nodes(theirs)
    found: list[ComparedOp] = []
    for node in sorted(left.keys() | {a for a, b in pairs.items() if b in right}):
        op = our_graph.ops[node]
        other = pairs.get(node)
        found.append(
            ComparedOp(
                op.name,
                _output(our_graph, op),
                left.get(node),
                None if other is None else right.get(other),
            )
        )
    for node in sorted(right.keys() - set(pairs.values())):
        op = their_graph.ops[node]
        found.append(ComparedOp(op.name, _output(their_graph, op), None, right[node]))
    return found, how


def _output(graph: Graph, op: Op) -> str:
    return graph.tensors[op.outputs[0]].name if op.outputs else ""


def _pairs(ours: Graph, theirs: Graph) -> tuple[dict[int, int], str]:
    """Our node -> theirs."""
    if [op.name for op in ours.ops] == [op.name for op in theirs.ops] and [
        op.outputs for op in ours.ops
    ] == [op.outputs for op in theirs.ops]:
        return {op.index: op.index for op in ours.ops}, "node"
    aligned = align(ours, theirs)
    return (
        aligned.ops,
        f"the {aligned.how} of ops" if aligned.ops else "the structure of their graphs",
    )


def _of_nodes(summary: Summary) -> dict[int, OpTime]:
    rows: dict[int, list[MappedRow]] = {}
    for row in summary.rows:
        if row.node is not None and row.node.subgraph == 0:
            rows.setdefault(row.node.index, []).append(row)
    return {node: _time(node, found) for node, found in rows.items()}


def _time(node: int | None, rows: Iterable[MappedRow]) -> OpTime:
    ordered = sorted(rows, key=lambda row: row.row.order or 0)
    times = [us for row in ordered if (us := row.row.avg_us) is not None]
    matches = {row.match for row in ordered}
    return OpTime(
        us=sum(times) if len(times) == len(ordered) else None,
        steps=tuple(row.row.type for row in ordered),
        kinds=tuple(dict.fromkeys(row.row.kind for row in ordered)),
        node=node,
        match=next(m for m in (Match.NONE, Match.BEST_EFFORT, Match.EXACT) if m in matches),
    )


def _by_name(ours: Summary, theirs: Summary) -> list[ComparedOp]:
    left, right = _named(ours), _named(theirs)
    return [
        ComparedOp(key[1], key[2], left.get(key), right.get(key))
        for key in [*left, *(key for key in right if key not in left)]
    ]


def _named(summary: Summary) -> dict[tuple[OpKind, str, str], OpTime]:
    rows: dict[tuple[OpKind, str, str], list[MappedRow]] = {}
    for row in summary.rows:
        rows.setdefault((row.row.kind, row.row.type, row.row.name), []).append(row)
    return {
        key: _time(None, found) for key, found in rows.items() if len(found) == 1 and key[2] != ""
    }
