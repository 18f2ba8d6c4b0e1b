"""Rows of a profile that ran within a delegate, aligned with the nodes of the graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.ops.kernels import computes_in, finishes, prepares, stands_for
from bench.ops.model import OpKind, OpRow
from bench.ops.partitions import execution_order
from bench.tflite.graph import Graph

# Scores of the alignment. A node that computes is skipped at a cost, so that rows and nodes
# keep step; one that XNNPACK folds into its neighbour, or into a constant, hardly costs.
_ANCHOR, _COMPUTES, _ASSISTS, _SAME_TYPE = 1000.0, 4.0, 1.0, 0.5
_SKIP, _SKIP_FOLDED = 1.5, 0.05
_FOLDED = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "DEQUANTIZE", "PAD", "RELU", "RELU6"})
# What a step is of a node, in the order of its steps.
_PREPARING, _COMPUTING, _FINISHING = 0, 1, 2
# Rows times nodes; beyond it nothing is aligned rather than the machine kept busy.
_MOST_CELLS = 4_000_000


def align_rows(
    rows: Sequence[OpRow], anchors: Sequence[int | None], graph: Graph
) -> list[int | None] | None:
    """A node for each row, by the best assignment that keeps the order of execution.

    A node may take several rows, one of which is its computation; rows and nodes may be
    left over. No row gets a node whose op it cannot be a step of.

    Args:
        rows: in the order in which they ran.
        anchors: of each row, the node that is known to be its own, or None.

    Returns: None where rows and nodes are too many.
    """
    plain = {node for node in anchors if node is not None}
    order = execution_order(graph, plain)
    if not order or len(rows) * len(order) > _MOST_CELLS:
        return None
    skip = np.array([_SKIP_FOLDED if graph.ops[n].name in _FOLDED else _SKIP for n in order])
    skip[[n in plain for n in order]] = 0.0
    # Cost of all nodes before each, so that those between two cost a difference.
    before = np.concatenate(([0.0], np.cumsum(skip)))
    count = len(order)
    # best[0]: node j has had steps that prepare it; best[1]: its computation too.
    # Column 0 stands in front of all nodes.
    best = np.full((2, count + 1), -np.inf)
    best[1, 0] = 0.0
    came: list[tuple[NDArray[np.int8], NDArray[np.int32]]] = []
    known: dict[str, NDArray[np.float64]] = {}
    for row, anchor in zip(rows, anchors, strict=True):
        if anchor is not None:
            scores = np.full((3, count), -np.inf)
            scores[_COMPUTING, order.index(anchor)] = _ANCHOR
        elif row.kind is not OpKind.DELEGATE_OP:
            scores = np.full((3, count), -np.inf)
        else:
            if row.type not in known:
                known[row.type] = _scores(row.type, graph, order, plain)
            scores = known[row.type]
        best, how, origin = _step(best, scores, before)
        came.append((how, origin))
    return _walk_back(best, came, order)


# How a cell was reached: the row has no node; it is a further row of the same node; it is the
# first row of this node. The lowest bit of the origin tells the half of `best`.
_STAYED, _SAME, _MOVED = 0, 1, 2


def _step(
    best: NDArray[np.float64], scores: NDArray[np.float64], before: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int8], NDArray[np.int32]]:
    """One more row. scores: as each part of each node, -inf where it cannot be that."""
    count = best.shape[1]
    columns = np.arange(count)
    new = best.copy()
    how = np.zeros((2, count), np.int8)
    origin = np.stack([columns * 2, columns * 2 + 1]).astype(np.int32)
    # From any earlier node: the better half, less what is skipped on the way. Column c is
    # node c - 1, and `before[c]` the cost of all nodes up to and with it.
    either = best.max(axis=0)
    half = best.argmax(axis=0)
    value = either + before[:count]
    leader = _running_argmax(value)[:-1]
    reached = value[leader] - before[: count - 1]
    source = (leader * 2 + half[leader]).astype(np.int32)
    for into, part in ((1, _COMPUTING), (0, _PREPARING)):
        gained = reached + scores[part]
        better = gained > new[into, 1:]
        new[into, 1:][better] = gained[better]
        how[into, 1:][better] = _MOVED
        origin[into, 1:][better] = source[better]
    # A further row of the same node.
    for at, into, part in ((0, 0, _PREPARING), (0, 1, _COMPUTING), (1, 1, _FINISHING)):
        gained = best[at, 1:] + scores[part]
        better = gained > new[into, 1:]
        new[into, 1:][better] = gained[better]
        how[into, 1:][better] = _SAME
        origin[into, 1:][better] = columns[1:][better] * 2 + at
    return new, how, origin


def _running_argmax(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Where the greatest value up to each place stands, the latest of several."""
    rising = np.maximum.accumulate(values)
    places = np.where(values == rising, np.arange(len(values)), 0)
    return np.maximum.accumulate(places)


def _walk_back(
    best: NDArray[np.float64],
    came: Sequence[tuple[NDArray[np.int8], NDArray[np.int32]]],
    order: Sequence[int],
) -> list[int | None]:
    cell = int(best.argmax())
    half, column = divmod(cell, best.shape[1])
    found: list[int | None] = []
    for how, origin in reversed(came):
        stayed = how[half, column] == _STAYED
        found.append(None if stayed else order[column - 1])
        column, half = divmod(int(origin[half, column]), 2)
    return found[::-1]


def _scores(step: str, graph: Graph, order: Sequence[int], plain: set[int]) -> NDArray[np.float64]:
    """(3, nodes): what a step is worth as each part of each node."""
    itself, first, last, types = (
        stands_for(step),
        prepares(step),
        finishes(step),
        computes_in(step),
    )
    scores = np.full((3, len(order)), -np.inf)
    for place, node in enumerate(order):
        op = graph.ops[node]
        if node in plain or op.custom:
            continue
        if op.name in itself:
            dtypes = {graph.tensors[index].dtype for index in op.outputs}
            scores[_COMPUTING, place] = _COMPUTES + (_SAME_TYPE if types & dtypes else 0.0)
        if op.name in first:
            scores[_PREPARING, place] = _ASSISTS
        if op.name in last:
            scores[_FINISHING, place] = _ASSISTS
    return scores
