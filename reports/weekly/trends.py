"""Which series are drawn: those with findings first, and of the rest the most telling."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from reports.history.model import SeriesHistory, Word
from reports.weekly.model import Entry, Trend
from reports.weekly.window import Window

# A chart takes some 20 kB and 0.1 s: a page of thousands would neither be made nor read.
MAX_CHARTS = 40
_MIN_POINTS = 3
# What becomes of times, and runs without one. A file's size or an answer is no part of it.
_SHOWN = (Word.SLOWER, Word.FASTER, Word.FELL_BACK, Word.FAILED, Word.MENDED)


def trends(
    series: Sequence[SeriesHistory], window: Window, entries: Sequence[Entry]
) -> tuple[tuple[Trend, ...], int]:
    """Model by model and device by device, and how many series are left out.

    Series come first whose finding a chart of times can show, in the order of the findings;
    then others of the same model on the same device, then those that moved most against
    their baseline.

    Args:
        entries: the worst first.
    """
    findings = [e.finding.case_id for e in entries if e.finding.word in _SHOWN]
    drawable = [s for s in series if len(s.judged) >= _MIN_POINTS and window.points(s)]
    rank = {case_id: n for n, case_id in enumerate(dict.fromkeys(findings))}
    near = {(s.case.model, s.case.device) for s in drawable if s.case_id in rank}

    def order(one: SeriesHistory) -> tuple[object, ...]:
        place = rank.get(one.case_id, len(rank))
        moved = abs(one.against.ratio - 1) if one.against is not None else 0.0
        beside = (one.case.model, one.case.device) not in near
        return (place, beside, -moved, one.case.model, one.case.device, one.case.label)

    chosen = sorted(drawable, key=order)[:MAX_CHARTS]
    groups: dict[tuple[bool, str, str], list[SeriesHistory]] = defaultdict(list)
    for one in chosen:
        groups[one.case_id in rank, one.case.model, one.case.device].append(one)
    drawn = tuple(
        Trend(model, device, tuple(found), found_there)
        for (found_there, model, device), found in groups.items()
    )
    return drawn, len(drawable) - len(chosen)
