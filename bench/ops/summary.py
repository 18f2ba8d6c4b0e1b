"""What one profile says by itself: times and shares by row, by type and by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.format import counted
from bench.ops.mapping import MappedRow, Mapping
from bench.ops.model import OpKind, OpProfile, ProfileSource


@dataclass(frozen=True, slots=True)
class TypeTotal:
    """All rows of one kind and type.

    Attributes:
        rows: how many; calls: per run of the model, None where the tool does not tell.
        us: their time per run of the model, None where none of them has one; share: of all
            ops, None where nothing took time.
    """

    kind: OpKind
    type: str
    rows: int
    calls: float | None
    us: float | None
    share: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """A profile in numbers. Times are per run of the model while it was profiled.

    Attributes:
        rows: those that count, in the profile's order: of the main subgraph and not of a
            delegate's inside, whose time is in theirs; the same for called subgraphs.
        total_us: sum of the rows that have a time.
        delegate_us, plain_us: of it, by who ran them.
        covered: total_us of the profile's own time of a run; None where it has none.
        resolution_us: below it a time is cut off to 0; 0 where that is not known.
        notes: what else must be said.
    """

    rows: tuple[MappedRow, ...]
    total_us: float
    delegate_us: float
    plain_us: float
    covered: float | None
    resolution_us: float
    notes: tuple[str, ...]

    @property
    def cut_off_us(self) -> float:
        """By how much the sum may be too small, where a coarse clock cuts each row off."""
        return self.resolution_us * sum(row.row.avg_us is not None for row in self.rows)

    @property
    def too_coarse(self) -> bool:
        """Whether more may have been cut off than there is: then no share means anything."""
        return self.cut_off_us > self.total_us

    def share(self, us: float | None) -> float | None:
        """A time as a share of all ops; None without a time, or where shares mean nothing."""
        return None if us is None or self.total_us <= 0 or self.too_coarse else us / self.total_us

    @property
    def top(self) -> tuple[MappedRow, ...]:
        """The rows that have a time, the slowest first."""
        timed = [row for row in self.rows if row.row.avg_us is not None]
        return tuple(sorted(timed, key=lambda row: -(row.row.avg_us or 0.0)))

    @property
    def layers(self) -> tuple[MappedRow, ...] | None:
        """All rows in the order in which they ran; None where the tool does not tell it."""
        if not self.rows or any(row.row.order is None for row in self.rows):
            return None
        return tuple(sorted(self.rows, key=lambda row: row.row.order or 0))

    @property
    def types(self) -> tuple[TypeTotal, ...]:
        """By kind and type, the slowest first."""
        groups: dict[tuple[OpKind, str], list[MappedRow]] = {}
        for row in self.rows:
            groups.setdefault((row.row.kind, row.row.type), []).append(row)
        totals = [self._total(kind, step, rows) for (kind, step), rows in groups.items()]
        return tuple(sorted(totals, key=lambda total: -(total.us or 0.0)))

    def _total(self, kind: OpKind, step: str, rows: Sequence[MappedRow]) -> TypeTotal:
        times = [us for row in rows if (us := row.row.avg_us) is not None]
        us = sum(times) if times else None
        calls = [row.row.times_called for row in rows]
        known = [call for call in calls if call is not None]
        return TypeTotal(
            kind=kind,
            type=step,
            rows=len(rows),
            calls=sum(known) if len(known) == len(calls) else None,
            us=us,
            share=self.share(us),
        )


def resolution_us(profile: OpProfile) -> float:
    """Below which its times are cut off to 0; 0 where that is not known."""
    return 1.0 if profile.source is ProfileSource.C_API else 0.0


def summarise(profile: OpProfile, mapping: Mapping) -> Summary:
    """Sum up the rows of a profile; `mapping` is of the same profile."""
    rows = _counting(profile, mapping)
    total = sum(row.row.avg_us or 0.0 for row in rows)
    plain = sum(row.row.avg_us or 0.0 for row in rows if row.row.kind is OpKind.OP)
    return Summary(
        rows=rows,
        total_us=total,
        delegate_us=total - plain,
        plain_us=plain,
        covered=total / profile.invoke_us if profile.invoke_us else None,
        resolution_us=resolution_us(profile),
        notes=tuple(dict.fromkeys((*profile.notes, *mapping.notes, *_remarks(profile, rows)))),
    )


def _counting(profile: OpProfile, mapping: Mapping) -> tuple[MappedRow, ...]:
    """The rows whose times add up to a run.

    A WHILE or CALL holds the time of the subgraph that it runs, a row of a subgraph that of
    what its delegate reports beside it.
    """
    tables = [n for n, table in enumerate(profile.regular) if not table.inside_delegate]
    if not tables:
        return ()
    main = min(profile.regular[n].subgraph for n in tables)
    counting = {n for n in tables if profile.regular[n].subgraph == main}
    return tuple(
        row for row in mapping.rows if row.table in counting and row.row.kind is not OpKind.PHASE
    )


def _remarks(profile: OpProfile, rows: Sequence[MappedRow]) -> list[str]:
    remarks = []
    merged = sum((row.row.times_called or 1) > 1 for row in rows)
    if merged:
        remarks.append(
            f"{counted(merged, 'row')} of several calls: the tool merged what has the same name."
        )
    untimed = sum(row.row.avg_us is None for row in rows)
    if untimed:
        remarks.append(f"{counted(untimed, 'row')} without a time, in no sum.")
    called = {table.subgraph for table in profile.regular} - {_subgraph(profile, r) for r in rows}
    if called and rows:
        remarks.append("Ops of called subgraphs are part of the op that calls them.")
    return remarks


def _subgraph(profile: OpProfile, row: MappedRow) -> int:
    return profile.regular[row.table].subgraph
