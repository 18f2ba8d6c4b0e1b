"""The span of time that a report is of, and which points lie in it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime

from bench.points import Point
from reports.history.model import SeriesHistory


@dataclass(frozen=True, slots=True)
class Window:
    """since_utc <= moment < until_utc."""

    since_utc: datetime
    until_utc: datetime

    def holds(self, moment: datetime) -> bool:
        return self.since_utc <= moment < self.until_utc

    def points(self, series: SeriesHistory) -> tuple[Point, ...]:
        """Those of the series in the window, oldest first."""
        return series.points[
            bisect_left(series.points, self.since_utc, key=_started) : self._end(series)
        ]

    def earlier(self, series: SeriesHistory) -> tuple[Point, ...]:
        """Those before the window, oldest first."""
        return series.points[: bisect_left(series.points, self.since_utc, key=_started)]

    def was_expected(self, series: SeriesHistory) -> bool:
        """Whether the span of equal length before the window has a point of it."""
        before = self.earlier(series)
        length = self.until_utc - self.since_utc
        return bool(before) and before[-1].started_utc >= self.since_utc - length

    def _end(self, series: SeriesHistory) -> int:
        return bisect_left(series.points, self.until_utc, key=_started)


def _started(point: Point) -> datetime:
    return point.started_utc
