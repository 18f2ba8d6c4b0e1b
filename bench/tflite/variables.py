"""Variables of a .tflite that are read and never assigned: answers that mean nothing."""

from __future__ import annotations

from collections.abc import Sequence

from bench.tflite.values import TfliteModel

_NAMED = 3
_NAME_LENGTH = 80


def unassigned_variables(model: TfliteModel) -> tuple[str, ...]:
    """Names of the variables that some graph reads and no graph assigns, sorted.

    A handle that goes to a custom op or to another graph may be assigned there, so that
    its variable is not among them; and one that comes from elsewhere is not followed:
    where such a handle is assigned, it may be any variable's.
    """
    read: set[str] = set()
    touched: set[str] = set()
    for graph in model.graphs:
        names = {op.outputs[0]: op.variable for op in graph.ops if op.outputs}
        for op in graph.ops:
            held = [names.get(k) for k in op.inputs]
            known = {name for name in held if name is not None}
            if op.custom or op.name != "READ_VARIABLE":
                touched |= known
            else:
                read |= known
            if not op.custom and op.name == "ASSIGN_VARIABLE" and held[:1] == [None]:
                return ()
    return tuple(sorted(read - touched))


def unassigned_text(names: Sequence[str]) -> str:
    """What is wrong with a model that reads these variables, in one sentence."""
    listed = ", ".join(repr(name[:_NAME_LENGTH]) for name in names[:_NAMED])
    if len(names) > _NAMED:
        listed += f" and {len(names) - _NAMED} more"
    return (
        f"reads {'variable' if len(names) == 1 else 'variables'} {listed}, which nothing in the "
        "file assigns: XNNPACK takes what its memory holds, plain kernels stop; convert it again "
        "with initial values"
    )
