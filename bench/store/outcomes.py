"""Why launches of runs count for nothing, counted by the database and not one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from bench.records import Outcome
from bench.store import schema
from bench.store.snapshots import in_parts


@dataclass(frozen=True, slots=True)
class LaunchOutcomes:
    """So many launches of one case that ended alike and have no say.

    Attributes:
        taints: as in bench.records.LaunchRecord.
    """

    case_id: str
    outcome: Outcome
    taints: tuple[str, ...]
    launches: int


def launch_outcomes(connection: sa.Connection, run_ids: Iterable[str]) -> Iterator[LaunchOutcomes]:
    """Of the launches of these runs that failed or are tainted; pruned ones are not there."""
    launch = schema.launch.c
    alike = (launch.case_id, launch.outcome, launch.taints)
    query = (
        sa.select(*alike, sa.func.count())
        .where((launch.outcome != Outcome.OK.value) | (launch.taints != "[]"))
        .group_by(*alike)
    )
    for part in in_parts(run_ids):
        for case_id, outcome, taints, count in connection.execute(
            query.where(launch.run_id.in_(part))
        ):
            yield LaunchOutcomes(case_id, Outcome(outcome), tuple(taints), count)
