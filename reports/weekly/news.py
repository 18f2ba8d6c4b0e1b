"""Which findings are this week's, and which the report of the week before had to tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from reports.history.gather import what_of
from reports.history.model import DeviceFinding, Finding, History, SeriesHistory, Word

# The detector may place a step one run earlier or later once it knows more.
_NEAR = 1
_SPEEDS = (Word.SLOWER, Word.FASTER)


class Told:
    """What was known before the window.

    A finding is told once for each standing: what was suspected is told again once it is
    confirmed, and what is found late is told when it is found, whenever it began.

    Args:
        before: the history as it was when the window began.
        series: of now, by case_id.
    """

    def __init__(self, before: History, series: Mapping[str, SeriesHistory]) -> None:
        self._series = series
        self._findings: dict[tuple[object, ...], list[Finding]] = defaultdict(list)
        for finding in before.findings:
            self._findings[*what_of(finding), finding.standing].append(finding)
        self._devices = before.devices
        self._of_device: dict[str, list[SeriesHistory]] = defaultdict(list)
        for one in series.values():
            self._of_device[one.case.device].append(one)

    def has(self, finding: Finding) -> bool:
        """Whether it was told before."""
        known = self._findings[*what_of(finding), finding.standing]
        return any(self._is_same(finding, one) for one in known)

    def has_device(self, found: DeviceFinding) -> bool:
        """Whether the same change of a device was told before."""
        alike = [
            one
            for one in self._devices
            if (one.device, one.ratio > 1) == (found.device, found.ratio > 1)
        ]
        if not alike:
            return False
        points = (p for one in self._of_device[found.device] for p in one.points)
        moments = sorted({point.started_utc for point in points})
        return any(_near(moments, one.since_utc, found.since_utc) for one in alike)

    def _is_same(self, now: Finding, then: Finding) -> bool:
        if now.case_id != then.case_id or now.run_id == then.run_id:
            return True
        series = self._series.get(now.case_id)
        if now.word not in _SPEEDS or series is None:
            return False
        return _near([point.run_id for point in series.judged], now.run_id, then.run_id)


def _near(order: Iterable[object], one: object, other: object) -> bool:
    places = {item: place for place, item in enumerate(order)}
    if one not in places or other not in places:
        return one == other
    return abs(places[one] - places[other]) <= _NEAR
