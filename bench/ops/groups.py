"""Rows of two profiles in groups that mean the same ops on both sides.

A step of XNNPACK may be any of several ops ("Fully Connected" is a CONV_2D of 1x1 or a
FULLY_CONNECTED). Where no model tells which, all of them make one group, so that what the
plain kernels of one side computed is never held against half of the other side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.ops.kernels import family, prepares, stands_for
from bench.ops.mapping import MappedRow
from bench.ops.model import OpKind
from bench.ops.summary import Summary
from bench.tflite.graph import CONVERSIONS

# What a delegate adds of its own to compute in integers on reals.
QUANTISING = "conversion of activations"


@dataclass(frozen=True, slots=True)
class SideTime:
    """A group on one side: time per run in us, and number of ops, by who ran them.

    Several steps of one node are one op, a row of merged steps is as many as it has calls;
    `rows` are those of the profile, of which `untimed` have no time and are in no sum.
    """

    plain_us: float = 0.0
    delegate_us: float = 0.0
    plain_ops: int = 0
    delegate_ops: int = 0
    rows: int = 0
    untimed: int = 0

    @property
    def us(self) -> float:
        return self.plain_us + self.delegate_us

    @property
    def ops(self) -> int:
        return self.plain_ops + self.delegate_ops

    @property
    def is_timed(self) -> bool:
        """Whether any row of it has a time."""
        return self.rows > self.untimed


@dataclass(frozen=True, slots=True)
class Group:
    """The same ops on both sides.

    Attributes:
        ops: names of the ops, or of what a delegate calls steps that are no op.
        ours, theirs: of the first and of the second profile.
    """

    ops: tuple[str, ...]
    ours: SideTime
    theirs: SideTime

    @property
    def label(self) -> str:
        return "/".join(self.ops)

    @property
    def difference_us(self) -> float | None:
        """By how much the first profile is slower; None where a row has no time."""
        if self.ours.untimed or self.theirs.untimed:
            return None
        return self.ours.us - self.theirs.us

    @property
    def converts(self) -> bool:
        """Whether it turns numbers into another type, and computes nothing."""
        return self.ops == (QUANTISING,) or (
            bool(CONVERSIONS & set(self.ops)) and set(self.ops) <= CONVERSIONS | {"CAST"}
        )


def group(ours: Summary, theirs: Summary) -> tuple[Group, ...]:
    """All groups of two profiles, those that differ most first."""
    keys = [(_names(row), row, side) for side, s in enumerate((ours, theirs)) for row in s.rows]
    head = _united(names for names, _, _ in keys)
    members: dict[str, set[str]] = {}
    rows: dict[str, tuple[list[MappedRow], list[MappedRow]]] = {}
    for names, row, side in keys:
        top = head[min(names)]
        members.setdefault(top, set()).update(names)
        rows.setdefault(top, ([], []))[side].append(row)
    found = [Group(tuple(sorted(members[top])), _time(a), _time(b)) for top, (a, b) in rows.items()]
    return tuple(sorted(found, key=lambda item: (-abs(item.difference_us or 0.0), item.ops)))


def _names(row: MappedRow) -> frozenset[str]:
    if row.node is not None:
        return frozenset({row.node.op})
    step = row.row.type
    if row.row.kind is OpKind.OP:
        return frozenset({step.split("/", 1)[0]})
    if row.row.kind is OpKind.DELEGATE:
        return frozenset({step})
    if ops := stands_for(step):
        return ops
    if family(step) == "Convert" and prepares(step):
        return frozenset({QUANTISING})
    return frozenset({family(step)})


def _united(sets: Iterable[frozenset[str]]) -> dict[str, str]:
    """Each name -> one name that stands for all that are connected with it."""
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for names in sets:
        first = find(min(names))
        for name in names:
            parent[find(name)] = first
    return {name: find(name) for name in parent}


def _time(rows: Iterable[MappedRow]) -> SideTime:
    us = [0.0, 0.0]
    loose = [0, 0]
    nodes: tuple[set[int], set[int]] = (set(), set())
    number = untimed = 0
    for row in rows:
        number += 1
        untimed += row.row.avg_us is None
        at = int(row.row.kind is not OpKind.OP)
        us[at] += row.row.avg_us or 0.0
        if row.node is not None:
            nodes[at].add(row.node.index)
        else:
            loose[at] += max(1, round(row.row.times_called or 1))
    plain_ops, delegate_ops = (loose[at] + len(nodes[at]) for at in (0, 1))
    return SideTime(us[0], us[1], plain_ops, delegate_ops, number, untimed)
