"""What a row of an op profile is about: its kind, its op and its node.

Source of the names: LiteRT, tflite/profiling/profile_summarizer.cc (classic tool) and
litert/runtime/profiler_summarizer.cc (CompiledModel).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.ops.model import OpKind

# "[output, other]:7"; TensorFlow 1.x has no index.
_OP = re.compile(r"\[.*\](?::(\d{1,9}))?", re.DOTALL)
_INNER = re.compile(r"Delegate/(.*):\d+", re.DOTALL)
_COMPILED = re.compile(r"\[(Builtin|Delegate)\]:(\d{1,9})")
_DELEGATE_NODE = re.compile(r"delegate|dispatch_op", re.IGNORECASE)
_PREFIX = "Delegate/"


@dataclass(frozen=True, slots=True)
class Subject:
    """See bench.ops.model.OpRow."""

    kind: OpKind
    type: str
    node: int | None = None


def classic_subject(node_type: str, name: str) -> Subject:
    """Of a row of the classic tool.

    A model may call its tensors anything, but what stands for an op begins with a bracket.
    """
    if (op := _OP.fullmatch(name)) is not None:
        return _node(node_type, op[1])
    if (inner := _INNER.fullmatch(name)) is not None:
        # The type of rows of a delegate's inside is always "DelegateOpInvoke".
        return Subject(OpKind.DELEGATE_OP, inner[1])
    return Subject(OpKind.PHASE, node_type)


def compiled_subject(node_type: str, name: str) -> Subject | None:
    """Of a row of the CompiledModel tool; None for a name that it does not give."""
    found = _COMPILED.fullmatch(name)
    if found is None:
        return None
    if found[1] == "Delegate":
        return Subject(OpKind.DELEGATE_OP, node_type.removeprefix(_PREFIX))
    return _node(node_type, found[2])


def _node(node_type: str, index: str | None) -> Subject:
    # A custom op may be called anything too, but an op of the runtime is in capitals.
    if _DELEGATE_NODE.search(node_type.partition("/")[0]):
        return Subject(OpKind.DELEGATE, node_type)
    return Subject(OpKind.OP, node_type, None if index is None else int(index))
