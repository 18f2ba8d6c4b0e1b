"""Overlays for Google's Model Explorer: time per node, and who ran each node.

Source of the format: Model Explorer's node_data_builder.py and the viewer's reader of such
files (node_data_provider_extension_service.ts). A file without graph ids is laid over the
graph on the screen, so that it fits whatever the viewer calls that graph. A node is known
by the name of any of its outputs, or by its id, which for a .tflite is its index in the
file.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from bench.ops.mapping import MappedRow, NodeFacts
from bench.ops.model import OpKind
from bench.ops.summary import Summary
from bench.tflite.graph import Graph

_GRADIENT = ({"stop": 0, "bgColor": "#ffffff"}, {"stop": 1, "bgColor": "#d7301f"})
_COLOURS = {"plain kernels": "#fdae61", "delegate": "#a6d96a", "both": "#ffffbf"}
# The viewer takes a file whose "results" hold "results" for one of several graphs.
_RESERVED = "results"


def time_overlay(summary: Summary, graph: Graph) -> dict[str, Any]:
    """us per run of the model for each node of the main graph that has a time.

    Raises: ValueError where no row has both.
    """
    times: dict[int, float] = {}
    for fact, row in _of_nodes(summary):
        # A zero of a clock that cuts off is no time.
        if row.row.avg_us or (row.row.avg_us == 0 and not summary.resolution_us):
            times[fact.index] = times.get(fact.index, 0.0) + row.row.avg_us
    if not times:
        raise ValueError("no row of the profile has both a node of the model and a time")
    keys = _keys(graph)
    return {
        "results": {keys[node]: {"value": us} for node, us in sorted(times.items())},
        "gradient": list(_GRADIENT),
    }


def delegate_overlay(summary: Summary, graph: Graph) -> dict[str, Any]:
    """Who ran each node of the main graph that has a row.

    Raises: ValueError where no row has a node.
    """
    who: dict[int, set[bool]] = {}
    for fact, row in _of_nodes(summary):
        who.setdefault(fact.index, set()).add(row.row.kind is OpKind.OP)
    if not who:
        raise ValueError("no row of the profile could be mapped to a node of the model")
    keys = _keys(graph)
    results = {}
    for node, plain in sorted(who.items()):
        word = "both" if len(plain) > 1 else "plain kernels" if True in plain else "delegate"
        results[keys[node]] = {"value": word, "bgColor": _COLOURS[word]}
    return {"results": results}


def _of_nodes(summary: Summary) -> list[tuple[NodeFacts, MappedRow]]:
    return [
        (row.node, row) for row in summary.rows if row.node is not None and row.node.subgraph == 0
    ]


def _keys(graph: Graph) -> list[str]:
    """One key for each node: the name of its first output where that is nobody else's."""
    # Constants and inputs are nodes of the viewer too.
    names = Counter(tensor.name for tensor in graph.tensors)
    keys = []
    for op in graph.ops:
        name = graph.tensors[op.outputs[0]].name if op.outputs else ""
        clear = name and names[name] == 1 and not name.isdecimal() and name != _RESERVED
        keys.append(name if clear else str(op.index))
    return keys
