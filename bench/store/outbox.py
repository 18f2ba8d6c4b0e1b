"""Results on their way to a server: into a local store first, then merged.

No measurement waits for a network, and none is lost to one: what could not be merged stays
where it is, and goes with the next run.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from bench.errors import StoreError, StoreUnreachable, UserError
from bench.records import RunStatus
from bench.store import schema
from bench.store.inserts import hold_run
from bench.store.merge import Copied, copy_runs
from bench.store.opening import open_store
from bench.store.place import StorePlace
from bench.store.snapshots import in_parts
from bench.store.store import Store

Say = Callable[[str], None]


def outbox_path(shared: StorePlace, folder: Path) -> Path:
    """The local store of results for a server; one for each server and database."""
    name = hashlib.sha256(shared.label.encode("utf-8", "surrogateescape")).hexdigest()
    return folder / f"outbox-{name[:12]}.db"


@contextmanager
def results_store(place: str | Path | StorePlace, folder: Path, say: Say) -> Iterator[Store]:
    """The store that a run writes into: the file itself, or the outbox of a server.

    However the run ends, what waits in the outbox is merged then, and one line says so, or why
    not. A server that cannot be reached is no error, before or after.

    Args:
        folder: where outboxes are.
        say: takes a line for people.

    Raises:
        UserError: the server is there and takes no results: it would gather none for weeks.
        StoreError: as open_store, for the file or the outbox.
    """
    place = StorePlace.parse(place)
    if not place.shared:
        with open_store(place, write=True) as store:
            yield store
        return
    _check(place)
    path = outbox_path(place, folder)
    with open_store(path, write=True) as store:
        try:
            yield store
        finally:
            if line := _merged(store, path, place):
                say(line)


def _check(place: StorePlace) -> None:
    try:
        with open_store(place, write=True) as store, store._transaction() as connection:
            # What no reader may ask for, and no standby grants.
            hold_run(connection, "")
    except StoreUnreachable:
        # Said at the end, once, if it is still so.
        return
    except StoreError as error:
        raise UserError(str(error)) from error


def _merged(outbox: Store, path: Path, place: StorePlace) -> str:
    """Merge, and say how that went; nothing where nothing was to be done."""
    if not outbox.runs():
        return ""
    try:
        with open_store(place, write=True) as shared:
            waiting = _not_there(outbox, shared)
            if not waiting:
                return ""
            copied = copy_runs(outbox, shared, waiting)
    except StoreError as error:
        by_hand = shlex.join(["edgebench", "db", "copy", str(path), place.label])
        return (
            f"{error}: everything is kept in {path}; the next `edgebench run` merges it, or "
            f"now: {by_hand}"
        )
    told = [*copied.notes]
    if copied.runs_new or copied.runs_grown:
        told.insert(0, f"merged into {place}: {_counts(copied)}")
    return "; ".join(told)


def _counts(copied: Copied) -> str:
    runs = copied.runs_new + copied.runs_grown
    return f"{runs} {'run' if runs == 1 else 'runs'}, {copied.launches:,} launches"


def _not_there(outbox: Store, shared: Store) -> list[str]:
    """Runs of the outbox that are not in the other store as they are here.

    A run says "running" there until its last launch is there.
    """
    here = _ends(outbox, [run.run_id for run in outbox.runs()])
    there = _ends(shared, list(here))
    # Points of a run that was interrupted are made after it was merged.
    without = {run.run_id for run in shared.runs_without_points()}
    without -= {run.run_id for run in outbox.runs_without_points()}
    return [
        run_id
        for run_id, end in here.items()
        if there.get(run_id) != end or end[0] == RunStatus.RUNNING or run_id in without
    ]


def _ends(store: Store, run_ids: list[str]) -> dict[str, tuple[object, object]]:
    """How and when runs ended, by run_id; without those that the store does not hold."""
    run = schema.run.c
    query = sa.select(run.run_id, run.status, run.finished_utc)
    with store._snapshot() as connection:
        return {
            run_id: (status, finished_utc)
            for part in in_parts(run_ids)
            for run_id, status, finished_utc in connection.execute(
                query.where(run.run_id.in_(part))
            )
        }
