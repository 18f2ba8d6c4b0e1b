"""Holds a model against the lists: which nodes a delegate should take, and which not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.delegation.model import Coverage
from bench.delegation.nodes import EDGETPU_OP
from bench.forecast.conditions import Node, node_of, problem
from bench.forecast.model import Expected, Forecast
from bench.forecast.rules import NUMBERS, RuleList, Rules
from bench.tflite.values import Graph, Op, TfliteModel

_UNPACKING = ("DEQUANTIZE", "DENSIFY")
_NOT_TAKEN = "not among the ops that it takes"
_EDGETPU_ONLY = "compiled for the Edge TPU; nothing else runs it"
_LEFT_BY_COMPILER = "left to the processor by the Edge TPU compiler"


def forecasts(model: TfliteModel, rules: Rules) -> tuple[Forecast, ...]:
    """What each list says of a model, in the order of the lists."""
    return tuple(_forecast(model.main, of, rules.version) for of in rules.list)


def _forecast(graph: Graph, of: RuleList, version: int) -> Forecast:
    if of.delegate == "edgetpu" and any(op.name == EDGETPU_OP for op in graph.ops):
        # The compiler has decided already.
        said = [(True, "" if op.name == EDGETPU_OP else _LEFT_BY_COMPILER) for op in graph.ops]
    else:
        said = _said(graph, of)
    refused = Counter(
        (op.name, why) for op, (known, why) in zip(graph.ops, said, strict=True) if known and why
    )
    unknown = Counter(
        (op.name, why) for op, (known, why) in zip(graph.ops, said, strict=True) if not known
    )
    taken = len(graph.ops) - refused.total() - unknown.total()
    return Forecast(
        delegate=of.delegate,
        title=of.title,
        runners=of.runners,
        verdict=_verdict(taken, refused.total(), unknown.total()),
        nodes=len(graph.ops),
        taken=taken,
        refused=_expected(refused),
        unknown=_expected(unknown),
        taken_from=of.taken_from,
        documents=of.documents,
        rules_version=version,
    )


def _expected(found: Counter[tuple[str, str]]) -> tuple[Expected, ...]:
    return tuple(Expected(op, nodes, why) for (op, why), nodes in found.most_common())


def _verdict(taken: int, refused: int, unknown: int) -> Coverage:
    if taken and refused:
        return Coverage.PARTIAL
    if unknown or not taken + refused:
        return Coverage.UNKNOWN
    return Coverage.FULL if taken else Coverage.NONE


def _said(graph: Graph, of: RuleList) -> list[tuple[bool, str]]:
    """For each node whether the list knows it, and why it is refused ("" if it is taken)."""
    unpacking = [op for op in graph.ops if _unpacks(graph, op, of)]
    made = frozenset(out for op in unpacking for out in op.outputs)
    said = [_judge(node_of(graph, op, made), of) for op in graph.ops]
    users: dict[int, list[int]] = {out: [] for out in made}
    for op in graph.ops:
        for tensor in made.intersection(op.inputs):
            users[tensor].append(op.index)
    for op in reversed(unpacking):
        # What is unpacked goes into the delegate only where nobody else needs it.
        needed = [said[user] for out in op.outputs for user in users[out]]
        taken = bool(needed) and all(one == (True, "") for one in needed)
        said[op.index] = (True, "" if taken else "unpacks a constant for ops that are refused")
    return said


def _unpacks(graph: Graph, op: Op, of: RuleList) -> bool:
    """Whether a node only makes a constant readable, which the delegate does by itself."""
    if op.custom or op.name not in _UNPACKING or len(op.inputs) != 1 or op.inputs[0] < 0:
        return False
    tensor = graph.tensors[op.inputs[0]]
    return tensor.is_constant and tensor.dtype in of.unpacks


def _judge(node: Node, of: RuleList) -> tuple[bool, str]:
    op = node.op
    if op.name == EDGETPU_OP:
        return True, _EDGETPU_ONLY
    rules = of.rules_of(op.name)
    if not rules:
        newest = NUMBERS[of.last_builtin]
        if not op.custom and NUMBERS.get(op.name, newest + 1) <= newest:
            return True, _NOT_TAKEN
        return False, "not in this list"
    for rule in rules:
        if why := problem(node, rule, of):
            return True, why
    if depends := next((rule.depends for rule in rules if rule.depends), None):
        return False, depends
    return True, ""


def forecast_for(found: Sequence[Forecast], delegate: str, runner: str) -> Forecast | None:
    """The forecast for a delegate as a kind of runner has it; None where no list is of it."""
    of_delegate = (f for f in found if f.delegate == delegate)
    return next((f for f in of_delegate if not f.runners or runner in f.runners), None)
