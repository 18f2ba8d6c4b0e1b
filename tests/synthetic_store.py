"""Fills a store with years of synthetic runs: the rows of one, with other ids and numbers.

Every device is measured once a week, in runs of DEVICES_PER_RUN devices each.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import sqlalchemy as sa

from bench.identity import Case, check_id, launch_id
from bench.points import Point
from bench.records import PlannedCase, Purpose, RunData, RunRecord
from bench.stats import launch_interval
from bench.store import StorePlace, initialise, schema
from bench.store.check_rows import check_row
from bench.store.engine import writing_engine as file_engine
from bench.store.inserts import insert_once
from bench.store.launch_rows import environment_row, launch_row, samples_row
from bench.store.point_rows import point_row
from bench.store.postgres import writing_engine as server_engine
from bench.store.rows import case_row, evaluation_row, planned_case_row, run_row, variant_row
from reports.points import points_of
from tests import synthetic_runs as synthetic

# What one lab measures in a night; a week is as many such runs as it takes.
DEVICES_PER_RUN = 10
LAUNCHES_PER_DEVICE = (
    len(synthetic.VARIANTS) * len(synthetic.DELEGATES) * synthetic.ROUNDS + synthetic.SENTINELS
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Filled:
    """What is in a store now.

    Attributes:
        newest, before: run ids of the same devices, a week apart.
        case_id: a series of them.
    """

    launches: int
    points: int
    runs: int
    newest: str
    before: str
    case_id: str


@dataclass(frozen=True, slots=True)
class _Model:
    """What is stored of one case of one device; all others of its kind are made like it."""

    launch: Row
    samples: Row
    check: Row | None
    point: Point


# By variant and delegate, and that of the sentinel.
_Models = dict[tuple[str, str, bool], _Model]


def fill(
    place: StorePlace, devices: int, weeks: int, until: datetime, tell: Callable[[str], None]
) -> Filled:
    """Fill an empty store; `until` is the end of its last week."""
    initialise(place)
    engine = server_engine(place) if place.path is None else file_engine(place.path)
    names = [synthetic.device_name(number) for number in range(devices)]
    groups = [names[at : at + DEVICES_PER_RUN] for at in range(0, devices, DEVICES_PER_RUN)]
    models = _models(synthetic.run_data(until, names[:1]))
    rng = np.random.default_rng(1)
    numbers = itertools.count()
    launches = points = 0
    of_first_group = []
    for week in range(weeks):
        monday = until - timedelta(days=7 * (weeks - week))
        for at, group in enumerate(groups):
            started = monday + timedelta(hours=1) + at * timedelta(days=6) / len(groups)
            config = synthetic.plan(group, len(synthetic.VARIANTS), len(synthetic.DELEGATES))
            run = synthetic.run_record(started, next(numbers), config)
            cases = [case for device in group for case in synthetic.cases_of(device)]
            with engine.begin() as connection:
                _begin(connection, run, cases)
                for case in cases:
                    # One series in a hundred becomes 10 % slower in its last two weeks.
                    slower = week >= weeks - 2 and int(case.case_id[:8], 16) % 100 == 0
                    level_us = synthetic.level_us(case) * (1.1 if slower else 1.0)
                    level_us *= float(np.exp(rng.normal(0, 0.01)))
                    launches += _add_case(connection, run, case, models, level_us, rng)
                    points += 1
            if at == 0:
                of_first_group.append(run.run_id)
        tell(f"week {week + 1} of {weeks}: {launches:,} launches")
    if place.path is None:
        # A server does so by itself, some time later.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    engine.dispose()
    return Filled(
        launches=launches,
        points=points,
        runs=weeks * len(groups),
        newest=of_first_group[-1],
        before=of_first_group[-2] if weeks > 1 else of_first_group[-1],
        case_id=synthetic.cases_of(names[0])[0].case_id,
    )


def _kind(case: Case) -> tuple[str, str, bool]:
    return case.variant, case.delegate.name, case.is_sentinel


def _models(data: RunData) -> _Models:
    cases = {planned.case.case_id: planned.case for planned in data.cases}
    points = {point.case_id: point for point in points_of(data)}
    checks = {check.case_id: check_row(check, "") for check in data.checks}
    models: _Models = {}
    for launch in data.launches:
        assert launch.measurement is not None
        samples = samples_row(launch.launch_id, launch.measurement)
        assert samples is not None
        models[_kind(cases[launch.case_id])] = _Model(
            launch=launch_row(launch, ""),
            samples=samples,
            check=checks.get(launch.case_id),
            point=points[launch.case_id],
        )
    return models


def _begin(connection: sa.Connection, run: RunRecord, cases: Sequence[Case]) -> None:
    data = synthetic.run_data(run.started_utc, ())
    connection.execute(sa.insert(schema.run), run_row(run))
    insert_once(connection, schema.case, [case_row(case) for case in cases])
    environments = [environment_row(synthetic.environment(case)) for case in cases]
    insert_once(connection, schema.environment, environments)
    planned = [planned_case_row(PlannedCase(run.run_id, case), at) for at, case in enumerate(cases)]
    connection.execute(sa.insert(schema.planned_case), planned)
    of_run = {"run_id": run.run_id}
    variants = [variant_row(record, at) | of_run for at, record in enumerate(data.variants)]
    connection.execute(sa.insert(schema.variant), variants)
    found = [evaluation_row(record, at) | of_run for at, record in enumerate(data.evaluations)]
    connection.execute(sa.insert(schema.evaluation), found)


def _add_case(
    connection: sa.Connection,
    run: RunRecord,
    case: Case,
    models: _Models,
    level_us: float,
    rng: np.random.Generator,
) -> int:
    """Insert what a run leaves of a case; how many launches that was."""
    model = models[_kind(case)]
    environment_id = environment_row(synthetic.environment(case))["environment_id"]
    rounds = synthetic.SENTINELS if case.is_sentinel else synthetic.ROUNDS
    p50s_us = (level_us * np.exp(rng.normal(0, 0.01, rounds))).tolist()
    of_case = {
        "run_id": run.run_id,
        "case_id": case.case_id,
        "environment_id": environment_id,
    }
    launches, samples = [], []
    for index, p50_us in enumerate(p50s_us):
        name = launch_id(run.run_id, case.case_id, index, 0)
        ratio = p50_us / model.launch["p50_us"]
        took = {key: model.launch[key] * ratio for key in _LATENCIES}
        started = run.started_utc + timedelta(seconds=60 * index)
        own = {"launch_id": name, "round_index": index, "position": index, "started_utc": started}
        launches.append({**model.launch, **of_case, **took, **own})
        samples.append({**model.samples, "launch_id": name})
    connection.execute(sa.insert(schema.launch), launches)
    connection.execute(sa.insert(schema.launch_samples), samples)
    if model.check is not None:
        name = check_id(run.run_id, case.case_id, Purpose.NUMERICS, 0)
        own = {"launch_id": name, "started_utc": run.finished_utc}
        connection.execute(sa.insert(schema.check_launch), {**model.check, **of_case, **own})
    point = _point(model.point, run, case, p50s_us)
    row = point_row(replace(point, environment_id=environment_id))
    connection.execute(sa.insert(schema.point), row)
    return rounds


_LATENCIES = ("p50_us", "p90_us", "p95_us", "mean_us", "min_us", "max_us", "first_inference_us")


def _point(model: Point, run: RunRecord, case: Case, p50s_us: Sequence[float]) -> Point:
    p50_us = float(np.median(p50s_us))
    interval = launch_interval(p50s_us)
    assert model.p50_us is not None
    ratio = p50_us / model.p50_us
    return replace(
        model,
        run_id=run.run_id,
        case_id=case.case_id,
        started_utc=run.started_utc,
        p50_us=p50_us,
        p50_low_us=None if interval is None else interval.low,
        p50_high_us=None if interval is None else interval.high,
        p90_us=None if model.p90_us is None else model.p90_us * ratio,
        p50_by_round_us=tuple(enumerate(p50s_us)) if model.p50_by_round_us else (),
    )
