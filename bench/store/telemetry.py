"""Reading what agents in the field sent, summed up by the database: ten million rows stay there."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bench.store.schema import edge_metrics
from bench.store.snapshots import Snapshots
from bench.telemetry import AGENT_ITSELF, Deployment, Loss, Telemetry

# A device that was last heard of before is no part of the fleet any more.
SILENCE_LOOKED_FOR = timedelta(days=60)
_METRICS = edge_metrics.c
# Moments that are looked up by one statement.
_AT_ONCE = 500
# What is held against its like: one model, as one device runs it.
_KEYS = (
    _METRICS.device_id,
    _METRICS.model_name,
    _METRICS.model_version,
    _METRICS.quantization_type,
    _METRICS.delegate,
    _METRICS.threads,
)
_NAMES = tuple(column.name for column in _KEYS)
_LATEST = (
    "model_sha256",
    "delegate_verdict",
    "runtime_version",
    "temperature_c",
    "clock_synchronised",
    "timestamp",
)


@dataclass(frozen=True, slots=True)
class Window:
    """Which rows count.

    Attributes:
        since, until: of the timestamp, the first included and the last not.
        simulated: rows of emulated devices alone, or of real ones alone.
        model: only of this name; None for all.
    """

    since: datetime
    until: datetime
    simulated: bool
    model: str | None = None

    @property
    def rows(self) -> sa.ColumnElement[bool]:
        """As a condition."""
        parts = [
            _METRICS.timestamp >= self.since,
            _METRICS.timestamp < self.until,
            _METRICS.simulated == sa.literal(self.simulated),
            _METRICS.model_name != AGENT_ITSELF,
        ]
        if self.model is not None:
            parts.append(_METRICS.model_name == self.model)
        return sa.and_(*parts)


def any_real(store: Snapshots, since: datetime, until: datetime) -> bool:
    """Whether any row of a window is of a real device.

    Raises: StoreError.
    """
    query = sa.select(sa.literal(1)).where(Window(since, until, simulated=False).rows).limit(1)
    with store._snapshot() as connection:
        return connection.execute(query).first() is not None


def telemetry(store: Snapshots, window: Window) -> list[Telemetry]:
    """What every deployment sent, in order of model and device.

    The database makes one row per deployment and day of what it holds, and no more is read.

    Raises: StoreError.
    """
    with store._snapshot() as connection:
        days: dict[Deployment, list[Any]] = defaultdict(list)
        for row in connection.execute(_by_day(connection, window)):
            days[Deployment(**{name: row._mapping[name] for name in _NAMES})].append(row)
        good = _rows_at(connection, window, days, "last_good_utc", _METRICS.failure.is_(None))
        bad = _rows_at(connection, window, days, "last_bad_utc", _METRICS.failure.is_not(None))
    return [
        _telemetry(deployment, days[deployment], good.get(deployment), bad.get(deployment))
        for deployment in sorted(days, key=lambda d: (d.model_name, d.model_version, d.device_id))
    ]


def last_heard(store: Snapshots, window: Window) -> dict[str, datetime]:
    """When each device of a window sent its last sample.

    Raises: StoreError.
    """
    query = (
        sa.select(_METRICS.device_id, sa.func.max(_METRICS.timestamp, type_=_TIME))
        .where(window.rows)
        .group_by(_METRICS.device_id)
    )
    with store._snapshot() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def losses(store: Snapshots, window: Window) -> list[Loss]:
    """What agents said of samples that they lost, oldest first.

    Raises: StoreError.
    """
    query = (
        sa.select(_METRICS.device_id, _METRICS.failure, _METRICS.timestamp)
        .where(
            _METRICS.model_name == AGENT_ITSELF,
            _METRICS.timestamp >= window.since,
            _METRICS.timestamp < window.until,
            _METRICS.simulated == sa.literal(window.simulated),
        )
        .order_by(_METRICS.timestamp)
    )
    with store._snapshot() as connection:
        return [Loss(device, text or "", when) for device, text, when in connection.execute(query)]


def _telemetry(
    deployment: Deployment, days: Sequence[Any], good: Any | None, bad: Any | None
) -> Telemetry:
    def total(name: str) -> int:
        return sum(row._mapping[name] for row in days)

    drained = [row.drained_pct for row in days if row.drained_pct is not None]
    return Telemetry(
        deployment=deployment,
        # A sample that failed does not always know it.
        device_model=max((row.device_model for row in days if row.device_model), default=None),
        samples=total("samples"),
        failures=total("failures"),
        last_failure="" if bad is None else bad["failure"],
        first_utc=min(row.first_utc for row in days),
        last_utc=max(row.last_utc for row in days),
        daily_ms=tuple(
            sorted((_date(row.day), float(row.p50)) for row in days if row.p50 is not None)
        ),
        throttled=total("throttled"),
        told=total("told"),
        drained_pct=math.fsum(drained) if drained else None,
        unsynchronised=total("unsynchronised"),
        latest={} if good is None else {name: good[name] for name in _LATEST},
    )


_TIME = edge_metrics.c.timestamp.type


def _by_day(connection: sa.Connection, window: Window) -> sa.Select[Any]:
    def how_many(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((condition, 1), else_=0), type_=sa.Integer)

    def newest(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
        return sa.func.max(sa.case((condition, _METRICS.timestamp)), type_=_TIME)

    well = _METRICS.failure.is_(None)
    latency = sa.case((well, _METRICS.inference_latency_ms_p50))
    day, median = _day_and_median(connection, latency)
    return (
        sa.select(
            *_KEYS,
            day.label("day"),
            median.label("p50"),
            sa.func.max(_METRICS.device_model).label("device_model"),
            sa.func.count().label("samples"),
            how_many(~well).label("failures"),
            sa.func.min(_METRICS.timestamp, type_=_TIME).label("first_utc"),
            sa.func.max(_METRICS.timestamp, type_=_TIME).label("last_utc"),
            newest(well).label("last_good_utc"),
            newest(~well).label("last_bad_utc"),
            how_many(_METRICS.throttled.is_(True)).label("throttled"),
            how_many(_METRICS.throttled.is_not(None)).label("told"),
            sa.func.sum(_METRICS.battery_drain_pct).label("drained_pct"),
            how_many(_METRICS.clock_synchronised.is_(False)).label("unsynchronised"),
        )
        .where(window.rows)
        .group_by(*_KEYS, day)
    )


def _day_and_median(
    connection: sa.Connection, latency: sa.ColumnElement[Any]
) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    if connection.dialect.name == "postgresql":
        in_utc = sa.func.timezone("UTC", _METRICS.timestamp)
        return sa.cast(in_utc, sa.Date), sa.func.percentile_cont(0.5).within_group(latency)
    # SQLite has no median: this one takes a third of the time that its window functions take.
    driver: Any = connection.connection.driver_connection
    driver.create_aggregate("edgebench_median", 1, _Median)
    # It keeps the text "2026-11-21 07:00:00.000000", in UTC.
    day = sa.func.substr(_METRICS.timestamp, 1, 10, type_=sa.Text)
    return day, sa.func.edgebench_median(latency, type_=sa.Double)


class _Median:
    """An aggregate function for SQLite; NULL does not count."""

    def __init__(self) -> None:
        self._values: list[float] = []

    def step(self, value: float | None) -> None:
        if value is not None:
            self._values.append(value)

    def finalize(self) -> float | None:
        return statistics.median(self._values) if self._values else None


def _rows_at(
    connection: sa.Connection,
    window: Window,
    days: Mapping[Deployment, Sequence[Any]],
    name: str,
    which: sa.ColumnElement[bool],
) -> dict[Deployment, Mapping[str, Any]]:
    """The newest row of each deployment, found by its device and moment."""
    moments = {
        deployment: max(found)
        for deployment, rows in days.items()
        if (found := [row._mapping[name] for row in rows if row._mapping[name] is not None])
    }
    pairs = [(deployment.device_id, moment) for deployment, moment in moments.items()]
    newest: dict[Deployment, Mapping[str, Any]] = {}
    for start in range(0, len(pairs), _AT_ONCE):
        wanted = (
            sa.values(sa.column("device_id", _METRICS.device_id.type), sa.column("moment", _TIME))
            .data(pairs[start : start + _AT_ONCE])
            .cte("wanted")
        )
        query = (
            sa.select(*_KEYS, *(_METRICS[column] for column in (*_LATEST, "failure")))
            .join_from(
                wanted,
                edge_metrics,
                (_METRICS.device_id == wanted.c.device_id)
                & (_METRICS.timestamp == wanted.c.moment),
            )
            .where(window.rows, which)
            .order_by(_METRICS.sample_id)
        )
        for row in connection.execute(query).mappings():
            deployment = Deployment(**{key: row[key] for key in _NAMES})
            # Another model of the device may have a row at just that moment.
            if moments.get(deployment) == row["timestamp"]:
                newest[deployment] = dict(row)
    return newest


def _date(day: Any) -> date:
    return day if isinstance(day, date) else date.fromisoformat(day)
