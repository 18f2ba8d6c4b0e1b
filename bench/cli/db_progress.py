"""What copies, imports and exports say on stderr while they work, and at their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console

from bench.cli.common import may_hold_runs
from bench.cli.progress import progress
from bench.cli.text import printable
from bench.errors import UserError
from bench.events import StageAdvanced, StageFinished, StageStarted
from bench.format import counted
from bench.store.merge import Copied, Tell

_STAGE = "db"


def existing(place: str) -> str:
    """The place of a store that is there, as far as can be told without opening it.

    Raises: UserError otherwise.
    """
    if not may_hold_runs(place):
        raise UserError(f"{place}: no such store; give a file or postgresql://USER@HOST/DATABASE")
    return place


@contextmanager
def copying() -> Iterator[Tell]:
    """What to tell of a copy while the block lasts."""
    with progress(Console(stderr=True)) as emit:
        started = False

        def tell(done: Copied) -> None:
            nonlocal started
            if not started:
                started = True
                emit(StageStarted(_STAGE, "copy runs", done.runs))
            emit(StageAdvanced(_STAGE, done.runs_done, counted(done.launches, "new launch")))

        try:
            yield tell
        finally:
            if started:
                emit(StageFinished(_STAGE))


@contextmanager
def exporting(tables: int) -> Iterator[Callable[[str], None]]:
    """What to tell of an export: the name of each table as it begins."""
    with progress(Console(stderr=True)) as emit:
        begun = 0

        def tell(table: str) -> None:
            nonlocal begun
            if not begun:
                emit(StageStarted(_STAGE, "write tables", tables))
            emit(StageAdvanced(_STAGE, begun, table))
            begun += 1

        try:
            yield tell
        finally:
            if begun:
                emit(StageFinished(_STAGE))


def say_copied(copied: Copied, where: str) -> None:
    """One line of what came into the store, and the notes on stderr."""
    parts = [
        f"{copied.runs_new} new",
        f"{copied.runs_grown} grown",
        f"{copied.runs_there} there already",
    ]
    more = [counted(copied.launches, "launch"), counted(copied.checks, "check")]
    if copied.edge_metrics:
        more.append(counted(copied.edge_metrics, "edge metric"))
    click.echo(
        f"{printable(where)}: {counted(copied.runs, 'run')} ({', '.join(parts)}); "
        f"{', '.join(more)} added"
    )
    for note in copied.notes:
        click.echo(printable(note), err=True)
