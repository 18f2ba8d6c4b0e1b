"""Delegations and gates that are not what they were before the window."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from bench.delegation.model import Coverage
from bench.points import Point, PointState
from reports.gates import NUMERICS_GATE
from reports.history.model import SeriesHistory
from reports.weekly.model import Change, DelegationChange, GateChange
from reports.weekly.window import Window

_TELLING = (PointState.MEASURED, PointState.FELL_BACK)
_RANK = {Coverage.NONE: 0, Coverage.PARTIAL: 1, Coverage.FULL: 2}


def delegation_changes(
    series: Iterable[SeriesHistory], window: Window, titles: Mapping[str, str]
) -> tuple[DelegationChange, ...]:
    """Of every series whose delegate took other nodes, what became worse first, by device.

    A verdict of UNKNOWN says nothing, so the last known one is what counts.
    """
    found = []
    for one in series:
        if one.case.delegate.name == "none":
            continue
        known = [p for p in _around(one, window) if _taken(p) is not None]
        if len(known) < 2 or _taken(known[0]) == _taken(known[-1]):
            continue
        change = _change(one, known, [_taken(p) == _taken(known[-1]) for p in known], titles)
        found.append(DelegationChange(change, _order(known[-1]) < _order(known[0])))
    return tuple(sorted(found, key=lambda c: (not c.worse, c.change.case.device, c.change.title)))


def gate_changes(
    series: Iterable[SeriesHistory],
    window: Window,
    titles: Mapping[str, str],
    known_wrong: Collection[str],
) -> tuple[GateChange, ...]:
    """Gates that fail now and did not, and those that pass again; the former first.

    Only points with a number are held against each other: what was not measured neither
    passed nor failed. The gate on answers says nothing new of a case known to be WRONG.
    """
    found = []
    for one in series:
        known = [p for p in _around(one, window) if p.state is PointState.MEASURED]
        if len(known) < 2:
            continue
        before, now = set(known[0].gates_failed), set(known[-1].gates_failed)
        for gate in sorted(before ^ now):
            if gate == NUMERICS_GATE and one.case_id in known_wrong:
                continue
            like = [(gate in p.gates_failed) == (gate in now) for p in known]
            found.append(GateChange(_change(one, known, like, titles), gate, gate in now))
    return tuple(sorted(found, key=lambda c: (not c.fails, c.change.title, c.gate)))


def _around(series: SeriesHistory, window: Window) -> Iterator[Point]:
    """The last point before the window that says anything of its delegate or its gates, and
    those in it; none that an emulator gave beside real ones."""
    emulated = series.points[-1].simulated
    earlier = (p for p in reversed(window.earlier(series)) if p.simulated is emulated)
    yield from islice((p for p in earlier if p.state in _TELLING), 1)
    yield from (p for p in window.points(series) if p.simulated is emulated)


def _change(
    series: SeriesHistory, known: Sequence[Point], like: Sequence[bool], titles: Mapping[str, str]
) -> Change:
    """From the first of `known` to the last, with the beginning of what holds at the end."""
    begin = len(like) - 1
    while begin and like[begin - 1]:
        begin -= 1
    return Change(series.case, titles[series.case_id], known[0], known[begin], known[-1])


def _taken(point: Point) -> tuple[str, int | None, int | None] | None:
    """What the delegate took; None where nobody knows."""
    if point.coverage is None or point.coverage == Coverage.UNKNOWN:
        return None
    return (point.coverage, point.delegated_nodes, point.total_nodes)


def _order(point: Point) -> tuple[int, float]:
    """Larger is more of the model."""
    share = (point.delegated_nodes or 0) / point.total_nodes if point.total_nodes else 0.0
    return (_RANK.get(Coverage(point.coverage or "NONE"), 0), share)
