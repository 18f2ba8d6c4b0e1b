"""Where the time went between two profiles: the ops that differ most."""

from __future__ import annotations

from collections.abc import Callable

from bench.identity import Case
from bench.ops.compare import ComparedOp, compare_profiles
from bench.ops.mapping import OtherModel, map_rows, unmapped
from bench.ops.model import OpProfile
from bench.ops.summary import Summary, summarise
from bench.records import RunData
from bench.tflite.graph import TfliteModel
from reports.pairs.model import OpMoved, OpsMoved
from reports.pairs.sides import SideCase

# The file that a case of a run was measured with, or None where it is not at hand.
ModelOf = Callable[[RunData, Case], TfliteModel | None]

_SHOWN = 5


def ops_moved(a: SideCase, b: SideCase, model_of: ModelOf) -> OpsMoved | None:
    """The largest differences, op by op, else by kinds of op; None unless both have a profile."""
    ours, theirs = b.measured.checked.profile, a.measured.checked.profile
    if ours is None or theirs is None:
        return None
    our_model = model_of(b.data, b.measured.case)
    their_model = model_of(a.data, a.measured.case)
    ours_summed, our_model = _summary(ours, our_model)
    theirs_summed, their_model = _summary(theirs, their_model)
    compared = compare_profiles(ours_summed, theirs_summed, our_model, their_model)
    if any(op.ours is not None and op.theirs is not None for op in compared.ops):
        moved = [_of_op(op) for op in compared.ops]
        paired_by = compared.paired_by
    else:
        moved = [
            OpMoved(
                group.label,
                "",
                group.theirs.us if group.theirs.is_timed else None,
                group.ours.us if group.ours.is_timed else None,
            )
            for group in compared.groups
        ]
        paired_by = "kind of op"
    known = [op for op in moved if op.difference_us != 0]
    known.sort(key=lambda op: -abs(op.difference_us))
    return OpsMoved(
        a_us=theirs_summed.total_us,
        b_us=ours_summed.total_us,
        a_resolution_us=theirs_summed.resolution_us,
        b_resolution_us=ours_summed.resolution_us,
        moved=tuple(known[:_SHOWN]),
        left_out=max(0, len(known) - _SHOWN),
        paired_by=paired_by,
    )


def _summary(profile: OpProfile, model: TfliteModel | None) -> tuple[Summary, TfliteModel | None]:
    """With nodes where the model is what was profiled."""
    if model is not None:
        try:
            return summarise(profile, map_rows(profile, model)), model
        except OtherModel:
            pass
    return summarise(profile, unmapped(profile)), None


def _of_op(op: ComparedOp) -> OpMoved:
    return OpMoved(
        op.op,
        op.output,
        None if op.theirs is None else op.theirs.us,
        None if op.ours is None else op.ours.us,
    )
