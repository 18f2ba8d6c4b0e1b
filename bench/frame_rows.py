"""Rows of a store about some runs, in the order of the columns that bench.frames shows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from functools import cached_property
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from bench.frame_columns import CASE, LAUNCH, POINT, RUNS, SAMPLED
from bench.identity import Case
from bench.ops.model import OpRow
from bench.ops.summary import resolution_us
from bench.points import POINTS_VERSION, Point, PointState
from bench.records import Outcome, Purpose, RunRecord
from bench.store import schema
from bench.store.check_rows import check_of
from bench.store.codec import unpack_array
from bench.store.rows import case_of, evaluation_of
from bench.store.snapshots import in_parts

_ROWS_AT_ONCE = 1_000
# What is drawn in a table of latencies is a number under its own name.
_LATENCIES = ("p50_us", "p50_low_us", "p50_high_us", "p90_us", "mean_us")
_NO_POINTS = "no summary yet: `edgebench history` makes it"


class Rows:
    """What one snapshot of a store holds about some runs; sentinels are left out."""

    def __init__(self, connection: sa.Connection, runs: Sequence[RunRecord]) -> None:
        self._connection = connection
        self._runs = {run.run_id: run for run in runs}

    def runs(self) -> Iterator[tuple[Any, ...]]:
        """In the order of RUNS."""
        cases = self._counted(schema.planned_case)
        launches = self._counted(schema.launch)
        for run in self._runs.values():
            values = {name: getattr(run, name, None) for name in RUNS}
            # Of a pruned run nobody knows any more how many there were.
            pruned = run.pruned_utc is not None
            values["cases"] = cases[run.run_id]
            values["launches"] = None if pruned else launches[run.run_id]
            yield tuple(values[name] for name in RUNS)

    def cases(self) -> Iterator[tuple[Any, ...]]:
        """In the order of CASE and POINT; a latency only where it counts."""
        points = {row[:2]: dict(zip(POINT, row[len(CASE) :], strict=True)) for row in self.points()}
        planned = schema.planned_case.c
        query = sa.select(planned.run_id, planned.case_id, planned.reason).order_by(
            planned.run_id, planned.position
        )
        for run_id, case_id, reason in self._of_runs(query, planned.run_id):
            names = self._names(run_id, case_id)
            if names is None:
                continue
            values: dict[str, Any] = dict.fromkeys(POINT)
            values["started_utc"] = self._runs[run_id].started_utc
            if (point := points.get((run_id, case_id))) is not None:
                values = point
                if point["state"] != PointState.MEASURED:
                    values = point | dict.fromkeys(_LATENCIES)
            elif reason is not None:
                values |= {"state": PointState.NOT_APPLICABLE.value, "reason": reason}
            else:
                values["reason"] = _NO_POINTS
            yield (*names, *(values[name] for name in POINT))

    def points(self) -> Iterator[tuple[Any, ...]]:
        """In the order of CASE and POINT, as they are stored."""
        assert set(POINT) <= {field.name for field in fields(Point)}
        point = schema.point
        query = (
            sa.select(point)
            .join_from(point, schema.run, point.c.run_id == schema.run.c.run_id)
            .where(
                (point.c.points_version == POINTS_VERSION) | schema.run.c.pruned_utc.is_not(None)
            )
            .order_by(point.c.run_id, point.c.case_id)
        )
        for found in self._of_runs(query, point.c.run_id):
            row = found._mapping
            names = self._names(row["run_id"], row["case_id"], simulated=row["simulated"])
            if names is not None:
                values = dict(row) | {"gates_failed": ", ".join(row["gates_failed"])}
                yield (*names, *(values[name] for name in POINT))

    def launches(self) -> Iterator[tuple[Any, ...]]:
        """In the order of CASE and LAUNCH."""
        for names, values, _ in self._launches():
            yield (*names, *values)

    def samples(self) -> Iterator[tuple[tuple[Any, ...], NDArray[np.int64]]]:
        """For each launch with samples: in the order of CASE and SAMPLED, and the samples in
        ns."""
        at = [list(LAUNCH).index(name) for name in SAMPLED]
        for names, values, packed in self._launches(samples=True):
            if packed is not None:
                yield (*names, *(values[i] for i in at)), unpack_array(packed, "<i8")

    def sample_count(self) -> int:
        """How many samples the runs have."""
        launch = schema.launch
        query = sa.select(sa.func.sum(launch.c.sample_count)).join(schema.launch_samples)
        return sum(row[0] or 0 for row in self._of_runs(query, launch.c.run_id))

    def ops(self) -> Iterator[tuple[Any, ...]]:
        """In the order of CASE and OP."""
        for names, check in self._checks(Purpose.PROFILE):
            profile = check.profile
            if profile is None:
                continue
            phases = ((False, profile.regular), (True, profile.init))
            for preparing, tables in phases:
                for number, table in enumerate(tables):
                    of_table = (
                        check.launch_id,
                        number,
                        table.subgraph,
                        table.name,
                        table.inside_delegate,
                        preparing,
                    )
                    of_profile = (
                        profile.runs,
                        profile.invoke_us,
                        profile.source.value,
                        profile.complete,
                    )
                    for row in table.rows:
                        yield (*names, *of_table, *_op(row, resolution_us(profile)), *of_profile)

    def accuracy(self) -> Iterator[tuple[Any, ...]]:
        """In the order of CASE and ACCURACY."""
        table = schema.evaluation
        query = sa.select(table).order_by(table.c.run_id, table.c.position)
        for found in self._of_runs(query, table.c.run_id):
            record = evaluation_of(found._mapping)
            count = None if record.statistics is None else len(record.statistics)
            project = self._runs[record.run_id].project
            yield (
                *(record.run_id, None, project, record.model, record.variant),
                *(None, None, None, None, False),
                *(record.kernels, record.metric, record.k, record.higher_is_better),
                *(record.value, count, count, record.holdout_sha256),
                None if record.failure is None else record.failure.message,
            )
        directions = self._directions()
        for names, check in self._checks(Purpose.NUMERICS):
            answers = None if check.numerics is None else check.numerics.accuracy
            if answers is not None:
                higher = directions.get((check.run_id, names[3], answers.metric))
                yield (
                    *names,
                    *(None, answers.metric, answers.k, higher),
                    *(answers.value, answers.samples, answers.of, None, None),
                )

    def _directions(self) -> dict[tuple[str, str, str], bool]:
        table = schema.evaluation.c
        query = sa.select(table.run_id, table.model, table.metric, table.higher_is_better)
        return {tuple(row[:3]): row[3] for row in self._of_runs(query, table.run_id)}

    def _launches(
        self, *, samples: bool = False
    ) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...], bytes | None]]:
        launch = schema.launch
        stored = [name for name in LAUNCH if name in launch.c]
        columns = [launch.c[name] for name in stored]
        columns += [launch.c.run_id, launch.c.case_id, launch.c.round_index]
        query = sa.select(*columns)
        if samples:
            query = query.add_columns(schema.launch_samples.c.samples_ns).join(
                schema.launch_samples
            )
        query = query.order_by(launch.c.run_id, launch.c.case_id, launch.c.round_index)
        for found in self._of_runs(query.order_by(launch.c.attempt), launch.c.run_id):
            row = found._mapping
            names = self._names(row["run_id"], row["case_id"])
            if names is None:
                continue
            usable = row["outcome"] == Outcome.OK and not row["taints"]
            values = dict(row) | {
                "round": row["round_index"],
                "usable": usable,
                "taints": "; ".join(row["taints"]),
            }
            yield names, tuple(values[name] for name in LAUNCH), values.get("samples_ns")

    def _checks(self, purpose: Purpose) -> Iterator[tuple[tuple[Any, ...], Any]]:
        check = schema.check_launch
        query = (
            sa.select(*check.c, schema.environment.c.facts)
            .join(schema.environment)
            .where(check.c.purpose == purpose.value)
            .order_by(check.c.run_id, check.c.case_id, check.c.attempt)
        )
        for found in self._of_runs(query, check.c.run_id):
            record = check_of(found._mapping, ())
            names = self._names(record.run_id, record.case_id)
            if names is not None:
                yield names, record

    def _names(
        self, run_id: str, case_id: str, *, simulated: bool | None = None
    ) -> tuple[Any, ...] | None:
        """The values of CASE; None for a sentinel."""
        case = self._cases[case_id]
        if case.is_sentinel:
            return None
        if simulated is None:
            simulated = (run_id, case.device) in self._simulated
        return (
            run_id,
            case_id,
            case.project,
            case.model,
            case.variant,
            case.delegate.label,
            case.threads,
            case.runner,
            case.device,
            simulated,
        )

    @cached_property
    def _cases(self) -> dict[str, Case]:
        of_runs = sa.select(schema.planned_case.c.case_id)
        found: dict[str, Case] = {}
        for part in in_parts(self._runs):
            theirs = of_runs.where(schema.planned_case.c.run_id.in_(part))
            query = sa.select(schema.case).where(schema.case.c.case_id.in_(theirs))
            for row in self._connection.execute(query).mappings():
                found[row["case_id"]] = case_of(row)
        return found

    @cached_property
    def _simulated(self) -> set[tuple[str, str]]:
        """(run_id, device) of emulators.

        Each launch says it of its own device; where none does, it is the run's word. Of a
        pruned run, its points say it.
        """
        said: dict[tuple[str, str], set[object]] = defaultdict(set)
        facts: dict[str, object] = {}
        for table in (schema.launch, schema.check_launch):
            query = sa.select(table.c.run_id, table.c.case_id, table.c.environment_id).distinct()
            for run_id, case_id, environment_id in self._of_runs(query, table.c.run_id):
                if environment_id not in facts:
                    environment = schema.environment.c
                    asked = sa.select(environment.facts).where(
                        environment.environment_id == environment_id
                    )
                    flag = self._connection.execute(asked).scalar_one().get("simulated")
                    facts[environment_id] = flag if isinstance(flag, bool) else None
                said[run_id, self._cases[case_id].device].add(facts[environment_id])
        point = schema.point.c
        pruned = sa.select(point.run_id, point.case_id).where(point.simulated)
        for run_id, case_id in self._of_runs(pruned, point.run_id):
            said[run_id, self._cases[case_id].device].add(True)
        return {
            key
            for key, words in said.items()
            if True in words or (words == {None} and self._runs[key[0]].simulated)
        }

    def _counted(self, table: sa.Table) -> Counter[str]:
        """By run_id, without what belongs to sentinels."""
        of = (table.c.run_id, table.c.case_id)
        counts: Counter[str] = Counter()
        for run_id, case_id, count in self._of_runs(
            sa.select(*of, sa.func.count()).group_by(*of), table.c.run_id
        ):
            if not self._cases[case_id].is_sentinel:
                counts[run_id] += count
        return counts

    def _of_runs(self, query: sa.Select[Any], column: sa.ColumnElement[str]) -> Iterator[Any]:
        for part in in_parts(self._runs):
            asked = query.where(column.in_(part)).execution_options(yield_per=_ROWS_AT_ONCE)
            yield from self._connection.execute(asked)


def _op(row: OpRow, cut_off_us: float) -> tuple[Any, ...]:
    kind, called, name, avg_us, *others = astuple(row)
    return (kind.value, called, name, avg_us, cut_off_us or None, *others)
