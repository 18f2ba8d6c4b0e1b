"""A profile as sentences and tables of text, ready for a renderer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench import format as fmt
from bench.delegation.model import Delegation
from bench.ops.mapping import MappedRow, Match, NodeFacts
from bench.ops.model import OpKind, OpProfile
from bench.ops.summary import Summary

By = Literal["op", "type", "layer"]

NAME_LENGTH, OP_LENGTH = 60, 24
RAN_BY = {
    OpKind.OP: "plain",
    OpKind.DELEGATE: "delegate",
    OpKind.DELEGATE_OP: "delegate",
    OpKind.PHASE: "–",
}
BEST_EFFORT = "~: by order and type of the steps within the delegate, not told by the runtime."


@dataclass(frozen=True, slots=True)
class Column:
    """header; right: numbers.

    gives: names, which are cut where a terminal is narrow; wraps: which go on in the next line.
    """

    header: str
    right: bool = False
    gives: bool = False
    wraps: bool = False


@dataclass(frozen=True, slots=True)
class TableView:
    """A table; `more` stands below it: what it leaves out, what a head means; "" if nothing."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    more: str = ""


@dataclass(frozen=True, slots=True)
class ProfileView:
    """A title, sentences, tables, and remarks at the end."""

    title: str
    lines: tuple[str, ...]
    tables: tuple[TableView, ...]
    notes: tuple[str, ...]


def profile_view(
    title: str,
    profile: OpProfile,
    summary: Summary,
    delegation: Delegation | None,
    *,
    by: By | None,
    top: int,
) -> ProfileView:
    """One profile.

    Args:
        delegation: what that launch says of the delegate, where it says anything.
        by: the one table to show; None for the slowest ops and the types.
        top: rows of the table of the slowest ops.

    Raises: ValueError where `by` is "layer" and the profile has no order.
    """
    tables: list[TableView] = []
    if by in (None, "op"):
        tables.append(_ops(summary, summary.top, f"Slowest {fmt.counted(top, 'op')}", top))
    if by in (None, "type"):
        tables.append(_types(summary))
    if by == "layer":
        layers = summary.layers
        if layers is None:
            raise ValueError("the profile does not tell in which order its rows ran")
        tables.append(_ops(summary, layers, "In order of execution", len(layers)))
    notes = list(summary.notes)
    if any(row.match is Match.BEST_EFFORT for row in summary.rows):
        notes.append(BEST_EFFORT)
    lines = [*_heads(profile, summary)]
    if delegation is not None:
        lines.append(f"Delegate {delegated(delegation)}.")
    return ProfileView(title, tuple(lines), tuple(tables), tuple(notes))


def overview(subjects: Sequence[tuple[str, Summary, Delegation | None]]) -> ProfileView:
    """Many profiles, a line each: title, summary and what is known of the delegate."""
    rows = []
    for title, summary, found in subjects:
        types = summary.types
        rows.append(
            (
                fmt.visible(title),
                took(summary.total_us, summary.cut_off_us),
                fmt.percent(summary.share(summary.plain_us), 1),
                fmt.ABSENT if found is None else found.verdict.value,
                cut(types[0].type) if types else fmt.ABSENT,
                fmt.percent(types[0].share, 1) if types else fmt.ABSENT,
            )
        )
    columns = (
        Column("case", wraps=True),
        Column("sum of ops", right=True),
        Column("plain", right=True),
        Column("delegated"),
        Column("slowest type", gives=True),
        Column("share", right=True),
    )
    table = TableView("Profiles", columns, tuple(rows))
    return ProfileView(fmt.counted(len(rows), "profile"), (PROFILED,), (table,), ())


def delegated(found: Delegation) -> str:
    """A verdict in a few words: "xnnpack: PARTIAL, 50 of 65 nodes in 16 partitions"."""
    text = f"{fmt.visible(found.requested)}: {found.verdict.value}"
    if found.delegated_nodes is not None and found.total_nodes is not None:
        text += f", {found.delegated_nodes} of {fmt.counted(found.total_nodes, 'node')}"
        if found.partitions is not None:
            text += f" in {fmt.counted(found.partitions, 'partition')}"
    if found.fallback_ops:
        outside = ", ".join(f"{cut(op)} x{n}" for op, n in sorted(found.fallback_ops.items()))
        text += f"; outside it: {outside}"
    return text


PROFILED = "Times are of profiled launches, which are slower than timed ones."


def _heads(profile: OpProfile, summary: Summary) -> Iterable[str]:
    runs = "" if profile.runs is None else f" over {fmt.counted(profile.runs, 'run')}"
    yield f"From {profile.source.value}{runs}. {PROFILED}"
    line = f"Sum of ops {fmt.duration(summary.total_us)}"
    if summary.cut_off_us:
        line += f" (up to {fmt.duration(summary.cut_off_us)} more was cut off)"
    if summary.covered is not None:
        line += f", {_covered(profile, summary)} of a profiled run"
        line += f" ({fmt.duration(profile.invoke_us)})"
    if summary.too_coarse:
        line += "; no shares, since the profiler's clock is too coarse for ops this fast"
    elif summary.total_us > 0:
        plain, taken = summary.share(summary.plain_us), summary.share(summary.delegate_us)
        line += f"; {fmt.percent(taken, 1)} by a delegate, {fmt.percent(plain, 1)} by plain kernels"
    yield f"{line}."


def _covered(profile: OpProfile, summary: Summary) -> str:
    """The share of the run; two of them where cut off times leave it open."""
    least = fmt.percent(summary.covered, 1)
    if not summary.cut_off_us or not profile.invoke_us:
        return least
    most = min(1.0, (summary.total_us + summary.cut_off_us) / profile.invoke_us)
    return f"{least} to {fmt.percent(most, 1)}"


_OP_COLUMNS = (
    Column("#", right=True),
    Column("time", right=True),
    Column("share", right=True),
    Column("ran by"),
    Column("step", gives=True),
    Column("node", right=True),
    Column("op"),
    Column("output"),
    Column("name", gives=True),
)


def _ops(summary: Summary, rows: Sequence[MappedRow], title: str, top: int) -> TableView:
    shown = [
        (
            "" if row.row.order is None else str(row.row.order),
            took(row.row.avg_us, summary.resolution_us),
            fmt.percent(summary.share(row.row.avg_us), 1),
            RAN_BY[row.row.kind],
            cut(row.row.type + _calls(row.row.times_called)),
            _node(row),
            cut(row.node.op, OP_LENGTH) if row.node else fmt.ABSENT,
            _shape(row.node),
            cut(row.node.outputs[0].name if row.node and row.node.outputs else row.row.name),
        )
        for row in rows[:top]
    ]
    left = len(rows) - len(shown)
    more = f"{fmt.counted(left, 'row')} more; --top and --by layer show them." if left else ""
    return _without_empty(TableView(title, _OP_COLUMNS, tuple(shown), more))


def _types(summary: Summary) -> TableView:
    rows = [
        (
            str(total.rows),
            took(total.us, summary.resolution_us),
            fmt.percent(total.share, 1),
            RAN_BY[total.kind],
            cut(total.type),
        )
        for total in summary.types
    ]
    columns = (
        Column("rows", right=True),
        Column("time", right=True),
        Column("share", right=True),
        Column("ran by"),
        Column("type", gives=True),
    )
    return TableView("By type", columns, tuple(rows))


def took(us: float | None, resolution_us: float) -> str:
    """A time; a zero of a clock that is too coarse for it is not called zero."""
    if us == 0 and resolution_us > 0:
        return f"<{fmt.duration(resolution_us)}"
    return fmt.duration(us)


def _node(row: MappedRow) -> str:
    if row.node is None:
        return fmt.ABSENT
    mark = "~" if row.match is Match.BEST_EFFORT else ""
    where = f"{row.node.subgraph}:" if row.node.subgraph else ""
    return f"{mark}{where}{row.node.index}"


def _shape(node: NodeFacts | None) -> str:
    if node is None or not node.outputs:
        return fmt.ABSENT
    first = node.outputs[0]
    return f"{fmt.visible(first.dtype).lower()} [{', '.join(map(str, first.shape))}]"


def _calls(times: float | None) -> str:
    return f" x{times:g}" if times is not None and times > 1 else ""


def cut(text: str, length: int = NAME_LENGTH) -> str:
    """Names are data: whatever could steer a terminal is spelt out, and none goes on for ever."""
    shown = fmt.visible(text)
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"


def _without_empty(table: TableView) -> TableView:
    """Leaves out columns that say nothing in any row: nodes, where no model was at hand."""
    keep = [
        k
        for k in range(len(table.columns))
        if any(row[k] not in ("", fmt.ABSENT) for row in table.rows)
    ]
    return TableView(
        table.title,
        tuple(table.columns[k] for k in keep),
        tuple(tuple(row[k] for k in keep) for row in table.rows),
        table.more,
    )
