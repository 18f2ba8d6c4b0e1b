"""In which order a runtime runs the nodes of a graph, once a delegate has taken some."""

from __future__ import annotations

from collections.abc import Set

from bench.tflite.graph import Graph


def execution_order(graph: Graph, plain: Set[int]) -> tuple[int, ...]:
    """The nodes by index, as they run where all but the `plain` ones went to one delegate.

    Source: how TFLite cuts a graph into partitions. It gathers all nodes of one kind that
    can run by now, in the order of the file, then those of the other kind, and so on.
    """
    waiting = list(range(len(graph.ops)))
    made = {index for op in graph.ops for index in op.outputs}
    order: list[int] = []
    while waiting:
        taken = _gather(graph, plain, waiting, made)
        if not taken:
            # A file whose nodes wait for each other; what order there is, is its own.
            return (*order, *waiting)
        order += taken
        gone = set(taken)
        made -= {index for node in taken for index in graph.ops[node].outputs}
        waiting = [node for node in waiting if node not in gone]
    return tuple(order)


def _gather(graph: Graph, plain: Set[int], waiting: list[int], made: Set[int]) -> list[int]:
    """One partition: nodes of one kind that need nothing but each other.

    made: tensors that waiting nodes still have to make.
    """
    missing = set(made)
    kind: bool | None = None
    taken: list[int] = []
    for node in waiting:
        op = graph.ops[node]
        if missing.isdisjoint(op.inputs) and kind in (None, node in plain):
            kind = node in plain
            taken.append(node)
            missing.difference_update(op.outputs)
    return taken
