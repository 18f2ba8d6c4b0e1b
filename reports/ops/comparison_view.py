"""Two profiles side by side, as sentences and tables of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench import format as fmt
from bench.ops.compare import ComparedOp, OpTime, ProfileComparison
from bench.ops.groups import SideTime
from bench.ops.mapping import Match
from bench.ops.summary import Summary
from reports.ops.view import (
    OP_LENGTH,
    PROFILED,
    RAN_BY,
    By,
    Column,
    ProfileView,
    TableView,
    cut,
    took,
)

_LABEL_LENGTH = 14


def comparison_view(
    title: str,
    compared: ProfileComparison,
    labels: tuple[str, str],
    explained: Sequence[str],
    *,
    by: By | None,
    top: int,
) -> ProfileView:
    """Two profiles side by side; `labels` are theirs, `explained` sentences to begin with.

    "layer" keeps the order of the model, the others begin with the largest difference.
    """
    short = labels if max(map(len, labels)) <= _LABEL_LENGTH else ("first", "second")
    tables = []
    paired = any(op.ours is not None and op.theirs is not None for op in compared.ops)
    if paired and by in (None, "op", "layer"):
        tables.append(_compared_ops(compared, short, top=top, in_order=by == "layer"))
    if by in (None, "type"):
        tables.append(_compared_groups(compared, short))
    ours, theirs = compared.ours.total_us, compared.theirs.total_us
    notes = [*_notes(compared, labels)]
    notes.append(
        f"Ops are paired by {compared.paired_by}. {PROFILED}"
        if paired
        else f"No op has a counterpart by {compared.paired_by}. {PROFILED}"
    )
    if short != labels:
        notes.append(f"first: {labels[0]}; second: {labels[1]}.")
    sums = (
        f"Sum of ops: {labels[0]} {fmt.duration(ours)}, {labels[1]} {fmt.duration(theirs)}"
        f" ({_signed(ours - theirs)})."
    )
    return ProfileView(title, (*map(fmt.visible, explained), sums), tuple(tables), tuple(notes))


def _notes(compared: ProfileComparison, labels: tuple[str, str]) -> Iterator[str]:
    ours, theirs = compared.ours.notes, compared.theirs.notes
    yield from (note for note in ours if note in theirs)
    yield from (f"{labels[0]}: {note}" for note in ours if note not in theirs)
    yield from (f"{labels[1]}: {note}" for note in theirs if note not in ours)


def _compared_ops(
    compared: ProfileComparison, labels: tuple[str, str], *, top: int, in_order: bool
) -> TableView:
    def size(op: ComparedOp) -> float:
        sides = [side.us or 0.0 for side in (op.ours, op.theirs) if side is not None]
        known = op.difference_us
        return abs(known) if known is not None else max(sides, default=0.0)

    ops = compared.ops if in_order else sorted(compared.ops, key=size, reverse=True)[:top]
    rows = [
        (
            cut(op.op, OP_LENGTH),
            _us(op.ours, compared.ours),
            _ran(op.ours),
            _us(op.theirs, compared.theirs),
            _ran(op.theirs),
            _signed(op.difference_us),
            cut(op.output),
        )
        for op in ops
    ]
    ours, theirs = map(cut, labels)
    columns = (
        Column("op"),
        Column(ours, right=True),
        Column("by"),
        Column(theirs, right=True),
        Column("by"),
        Column("difference", right=True),
        Column("output", gives=True),
    )
    left = len(compared.ops) - len(rows)
    more = f"{fmt.counted(left, 'op')} more; --top and --by layer show them." if left else ""
    title = "Op by op, in order" if in_order else "Op by op, the largest differences"
    return TableView(title, columns, tuple(rows), more)


def _compared_groups(compared: ProfileComparison, labels: tuple[str, str]) -> TableView:
    ours, theirs = map(cut, labels)
    rows = [
        (
            cut(group.label),
            _group_us(group.ours, compared.ours),
            _group_share(group.ours, compared.ours),
            f"{group.ours.plain_ops}/{group.ours.ops}",
            _group_us(group.theirs, compared.theirs),
            _group_share(group.theirs, compared.theirs),
            f"{group.theirs.plain_ops}/{group.theirs.ops}",
            _signed(group.difference_us),
        )
        for group in compared.groups
    ]
    columns = (
        Column("ops", gives=True),
        Column(ours, right=True),
        Column("share", right=True),
        Column("plain", right=True),
        Column(theirs, right=True),
        Column("share", right=True),
        Column("plain", right=True),
        Column("difference", right=True),
    )
    more = "plain: how many of these ops ran on plain kernels."
    return TableView("By kind of op", columns, tuple(rows), more)


def _group_us(side: SideTime, of: Summary) -> str:
    return took(side.us if side.is_timed else None, of.resolution_us)


def _group_share(side: SideTime, of: Summary) -> str:
    return fmt.percent(of.share(side.us if side.is_timed else None), 1)


def _us(side: OpTime | None, of: Summary) -> str:
    return fmt.ABSENT if side is None else took(side.us, of.resolution_us)


def _ran(side: OpTime | None) -> str:
    if side is None:
        return fmt.ABSENT
    mark = "~" if side.match is Match.BEST_EFFORT else ""
    return mark + "+".join(dict.fromkeys(RAN_BY[kind] for kind in side.kinds))


def _signed(us: float | None) -> str:
    if us is None:
        return fmt.ABSENT
    sign = "−" if us < 0 else "+" if us > 0 else ""
    return f"{sign}{fmt.duration(abs(us))}"
