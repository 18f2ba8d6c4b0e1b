"""Models and profiles for tests of bench.ops and reports.ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert.schema_py_generated import BuiltinOperator
from models import GraphBuilder

from bench.ops.mapping import map_rows, unmapped
from bench.ops.model import OpKind, OpProfile, OpRow, OpTable, ProfileSource
from bench.ops.summary import Summary, summarise
from bench.tflite.graph import TfliteModel, parse_model

# MobileNetV2: expansion, number of repeats per stage.
_STAGES = ((1, 1), (6, 2), (6, 3), (6, 4), (6, 3), (6, 3), (6, 1))

STEPS = {
    "CONV_2D": "Fully Connected (NC, F32) GEMM",
    "DEPTHWISE_CONV_2D": "Convolution (NHWC, F32) DWConv",
    "ADD": "Add (ND)",
    "MEAN": "Mean (ND) Reduce2",
    "FULLY_CONNECTED": "Fully Connected (NC, F32) GEMM",
    "SOFTMAX": "Softmax (NC, F32)",
}


def mobilenet_ops() -> list[str]:
    """The ops of MobileNetV2 in their order, 65 of them."""
    ops = ["CONV_2D"]
    for expansion, repeats in _STAGES:
        for repeat in range(repeats):
            ops += ["CONV_2D"] * (expansion > 1) + ["DEPTHWISE_CONV_2D", "CONV_2D"]
            ops += ["ADD"] * (repeat > 0)
    return [*ops, "CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"]


def chain(ops: Sequence[str], dtype: Any = np.float32, names: Sequence[str] = ()) -> TfliteModel:
    """A model of those ops, each of which takes what the one before gives."""
    g = GraphBuilder()
    first = last = g.tensor((1, 4), dtype, name="in")
    for index, op in enumerate(ops):
        made = g.tensor((1, 4), dtype, name=names[index] if names else f"out{index}")
        known = getattr(BuiltinOperator, op, None)
        if known is None:
            g.op(BuiltinOperator.CUSTOM, (last,), (made,), custom=op)
        else:
            g.op(known, (last,), (made,))
        last = made
    return parse_model(g.build((first,), (last,)))


def graph_of(ops: Sequence[tuple[str, Sequence[int]]]) -> TfliteModel:
    """A model of (op, the ops that it takes from; -1 is the input)."""
    g = GraphBuilder()
    given = g.tensor((1, 4), name="in")
    made = [g.tensor((1, 4), name=f"out{index}") for index in range(len(ops))]
    for index, (op, sources) in enumerate(ops):
        inputs = [given if source < 0 else made[source] for source in sources]
        g.op(getattr(BuiltinOperator, op), inputs, (made[index],))
    return parse_model(g.build((given,), (made[-1],)))


def plain(node: int, op: str, us: float | None = 1.0, **changes: Any) -> OpRow:
    """An op that the runtime ran itself."""
    return OpRow(
        **{
            "kind": OpKind.OP,
            "type": op,
            "name": f"[out{node}]:{node}",
            "avg_us": us,
            "times_called": 1,
            "node": node,
            **changes,
        }
    )


def step(of: str, us: float | None = 1.0, **changes: Any) -> OpRow:
    """A step within XNNPACK."""
    return OpRow(
        **{
            "kind": OpKind.DELEGATE_OP,
            "type": of,
            "name": f"Delegate/{of}:0",
            "avg_us": us,
            "times_called": 1,
            **changes,
        }
    )


def in_order(rows: Sequence[OpRow]) -> tuple[OpRow, ...]:
    """The same rows, numbered as they ran."""
    values = [{name: getattr(row, name) for name in OpRow.__dataclass_fields__} for row in rows]
    return tuple(OpRow(**{**value, "order": order}) for order, value in enumerate(values))


def profile(*rows: OpRow, ordered: bool = True, **changes: Any) -> OpProfile:
    """A profile of one table."""
    table = OpTable(in_order(rows) if ordered else rows)
    return OpProfile(
        **{"source": ProfileSource.STDOUT, "regular": (table,), "runs": 100, **changes}
    )


def summary(given: OpProfile, model: TfliteModel | None = None) -> Summary:
    """What a profile says, with the nodes of a model or without."""
    return summarise(given, unmapped(given) if model is None else map_rows(given, model))
