"""The interpreter's state as it prints it -> the nodes of its main subgraph, delegates and all.

benchmark_model prints it with --print_preinvoke_state and --print_postinvoke_state, and any
program that calls PrintInterpreterState. Format: LiteRT, tflite/optional_debug_tools.cc.
Before TensorFlow 2.5 it lists no execution plan, so that nothing can be told of delegates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bench.errors import UnreadableOutput
from bench.parsers.benchmark_proto import RuntimeGraph, RuntimeNode

_N = r"(\d{1,9})"
_BEGIN = re.compile(rf"-+Subgraph-{_N} has {_N} tensors and {_N} nodes-+")
_END = re.compile(rf"-+Subgraph-{_N} dump has completed-+")
_NODE = re.compile(
    rf"Node +{_N} Operator (?:Builtin Code +\d{{1,9}}|Custom Name) ?(.*?)"
    rf"(?: \((?:(not delegated)|delegated by node {_N})\))? *"
)
_PLAN = re.compile(rf"Execution plan as the list of {_N} nodes invoked in-order: (\S+)")
_DELEGATE = re.compile(
    rf" *Node {_N} is a (.*) node \(\S*\), which has delegated {_N} nodes: (\S+)"
)
_LIKE_ONE = re.compile(r"Node +\d+ Operator |Execution plan as | *Node \d+ is a .* which has ")
_RANGE = re.compile(rf"{_N}(?:-{_N})?")
# No model has more nodes, and no range of them may become a list without end.
_MOST_NODES = 1_000_000
_SHOWN = 200


def parse_states(lines: Sequence[str]) -> tuple[RuntimeGraph, ...]:
    """The main subgraph of each state printed, those that are alike once.

    Args:
        lines: may hold anything else in between. A state that is cut off tells nothing.

    Raises: UnreadableOutput where a line of a state cannot be read, or its lines do not fit.
    """
    found: dict[RuntimeGraph, None] = {}
    start: int | None = None
    for k, line in enumerate(lines):
        if (begin := _BEGIN.fullmatch(line)) is not None:
            start = k if int(begin[1]) == 0 else None
        elif start is not None and (end := _END.fullmatch(line)) is not None:
            graph = _graph(lines[start:k]) if int(end[1]) == 0 else None
            start = None
            if graph is not None:
                found[graph] = None
    return tuple(found)


def _graph(lines: Sequence[str]) -> RuntimeGraph | None:
    """None where it lists no execution plan."""
    begin = _BEGIN.fullmatch(lines[0])
    nodes: dict[int, tuple[str, bool, int | None]] = {}
    taken: dict[int, tuple[str, tuple[int, ...]]] = {}
    plan: tuple[int, ...] | None = None
    for line in lines[1:]:
        if (match := _NODE.fullmatch(line)) is not None:
            by = None if match[4] is None else int(match[4])
            nodes[int(match[1])] = match[2].strip(), match[3] is None and by is None, by
        elif (match := _PLAN.fullmatch(line)) is not None:
            plan = _ids(match[2], int(match[1]), line)
        elif (match := _DELEGATE.fullmatch(line)) is not None:
            taken[int(match[1])] = match[2], _ids(match[4], int(match[3]), line)
        elif _LIKE_ONE.match(line):
            raise _unreadable(line)
    if plan is None:
        return None
    delegates = {number for number, (_, is_delegate, _) in nodes.items() if is_delegate}
    if (
        begin is None
        or set(nodes) != set(range(int(begin[3])))
        or delegates & set(plan) != set(taken)
    ):
        raise _unreadable(lines[0])
    return RuntimeGraph(tuple(_nodes(nodes, taken)), plan)


def _nodes(
    nodes: dict[int, tuple[str, bool, int | None]],
    taken: dict[int, tuple[str, tuple[int, ...]]],
) -> Iterator[RuntimeNode]:
    for number in sorted(nodes):
        name, is_delegate, by = nodes[number]
        if is_delegate:
            own, replaces = taken.get(number, (name, ()))
            # A delegate without a name of its own.
            delegate = name if own == "[n/a]" else own
            yield RuntimeNode(number, name, None, replaces, delegate or "[n/a]")
        else:
            yield RuntimeNode(number, name, by, (), "")


def _ids(text: str, number: int, line: str) -> tuple[int, ...]:
    """Of "[0-5,7]"; "(null)" are none."""
    if text == "(null)":
        ids: list[int] = []
    elif not (text.startswith("[") and text.endswith("]")):
        raise _unreadable(line)
    else:
        ids = []
        for part in text[1:-1].split(","):
            match = _RANGE.fullmatch(part)
            if match is None:
                raise _unreadable(line)
            first, last = int(match[1]), int(match[2] or match[1])
            if last - first + len(ids) >= _MOST_NODES:
                raise _unreadable(line)
            ids += range(first, last + 1)
    if len(ids) != number:
        raise _unreadable(line)
    return tuple(ids)


def _unreadable(line: str) -> UnreadableOutput:
    return UnreadableOutput(f"a line of the interpreter's state is off: {line[:_SHOWN]!r}")
