"""`edgebench weekly`: the report of a week, for people, for e-mail and for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.common import junit_option, store_option, write_junit
from bench.cli.dates import moment
from bench.errors import UserError

if TYPE_CHECKING:
    from datetime import datetime

    from bench.store import Store
    from reports.weekly.model import ProjectWeek, Weekly


@click.command("weekly")
@click.option(
    "--since",
    default="7d",
    show_default=True,
    help="Beginning of the week: an age before its end (7d, 2w) or a date, UTC.",
)
@click.option("--until", help="End of the week: a date, UTC; its day is no part. [default: now]")
@click.option("--project", help="Only this project. [default: all of the store]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("edgebench-weekly"),
    show_default=True,
    help="Directory to write weekly.html, .md, .txt and .json into.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines and not the text.")
@click.option(
    "--summary",
    "summary_to",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write a short Markdown summary, for pull requests.",
)
@junit_option
@store_option
def command(
    since: str,
    until: str | None,
    project: str | None,
    out: Path,
    as_json: bool,
    summary_to: Path | None,
    junit_to: Path | None,
    store_path: str,
) -> int:
    """Write what a week of measurements says: what regressed, where, since when, what changed
    then, and what was not measured.

    Exit code 1 for a regression that is certain or confirmed and for a gate of the plan that
    passed before, 3 if nothing was measured.
    """
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    end = now if until is None else moment(until, before=now, option="--until")
    begin = moment(since, before=end, option="--since")
    if begin >= end:
        raise UserError(f"the week begins at {begin:%Y-%m-%d %H:%M}, which is not before its end")
    week = _week(store_path, project, begin, end, dated=until is not None)
    _write(week, out, summary_to, junit_to, as_json=as_json)
    if week.gate_failed:
        return 1
    return 3 if week.measured_nothing else 0


def _week(
    store_path: str, project: str | None, begin: datetime, end: datetime, *, dated: bool
) -> Weekly:
    """Raises: UserError if there is no store, or no such project in it."""
    from bench.store import StorePlace, open_store
    from reports.weekly.build import weekly

    place = StorePlace.parse(store_path)
    if place.path is not None and not place.path.exists():
        raise UserError(f"{place}: no such store; `edgebench run` makes one")
    with open_store(place, write=False) as store:
        runs = store.runs(project)
        names = sorted({run.project for run in runs})
        if not names:
            of = "" if project is None else f" of project {project!r}"
            raise UserError(f"{place}: holds no run{of}")
        weeks = (_project(store, name, begin, end, dated=dated) for name in names)
        return weekly(weeks, begin, end)


def _project(
    store: Store, name: str, begin: datetime, end: datetime, *, dated: bool
) -> ProjectWeek:
    """dated: whether reports are made for weeks of the calendar, some time after their end;
    otherwise the one before was made when this week began, and knew of no run that had not
    ended by then."""
    from reports.history.gather import history_of
    from reports.history.past import read
    from reports.weekly.build import build

    runs = [run for run in store.runs(name) if run.started_utc < end]
    of_week = [run.run_id for run in runs if run.started_utc >= begin]
    past = read(store, name, until=end).as_of(end)
    history = history_of(past, since=begin)
    found = {finding.case_id for finding in history.findings}
    moved = {device.device for device in history.devices}
    devices = moved | {finding.case.device for finding in history.findings}
    before = history_of(
        past.of_devices(devices).as_of(begin, None if dated else begin),
        # Of what is quiet now nothing is told.
        where=lambda case: case.case_id in found or case.device in moved,
    )
    outcomes = store.launch_outcomes(of_week)
    return build(history, before, runs, outcomes, since_utc=begin, until_utc=end)


def _write(
    week: Weekly, out: Path, summary_to: Path | None, junit_to: Path | None, *, as_json: bool
) -> None:
    """Raises: UserError if a file cannot be written."""
    from reports.render.atomic import write_atomically
    from reports.weekly.files import write_weekly
    from reports.weekly.json import weekly_to_text
    from reports.weekly.junit import judgements
    from reports.weekly.markdown import summary
    from reports.weekly.text import text

    try:
        written = [*write_weekly(week, out)]
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from error
    if summary_to is not None:
        try:
            written.append(write_atomically(summary_to, summary(week).encode("utf-8")))
        except OSError as error:
            raise UserError(f"{summary_to}: cannot be written: {error.strerror}") from error
    if junit_to is not None:
        write_junit(judgements(week), "edgebench weekly", junit_to)
    if as_json:
        click.echo(weekly_to_text(week), nl=False)
    else:
        click.echo(text(week, more=str(written[0])), nl=False)
