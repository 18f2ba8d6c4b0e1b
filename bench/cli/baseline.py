"""`edgebench baseline`: the runs that everything later is held against."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.common import store_option
from bench.cli.text import printable
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.points import Baseline, BaselineKind
    from bench.records import RunRecord
    from bench.store import Store


@click.group("baseline")
def command() -> None:
    """Pin the run that everything later is held against.

    Of a project one run is pinned; releases have names, and the newest one counts where no
    run is pinned. Without either, the eight runs before are what is usual.
    """


_release = click.option("--release", help="It stands for this release.")
_project = click.option("--project", help="Of this project. [default: the newest run's]")


@command.command("pin")
@click.argument("run")
@_release
@store_option
def pin(run: str, release: str | None, store_path: str) -> None:
    """Hold what comes later against RUN (the beginning of its id, or `latest`).

    Its model files are kept, to be measured again beside later ones.
    """
    from datetime import UTC, datetime

    from bench.points import Baseline
    from bench.records import RunStatus
    from bench.run_names import run_named
    from bench.store import open_store

    kind, name = _named(release)
    with open_store(store_path, write=True, create=False) as store:
        found = run_named(store, run, None, finished=True)
        if found.status is not RunStatus.FINISHED:
            raise UserError(f"run {found.run_id} is {found.status.value}: pin a finished one")
        if found.simulated:
            raise UserError(f"run {found.run_id} is simulated: real runs are not held against it")
        # First: a plan that cannot be read pins nothing.
        lost = _keep_files(store, found)
        store.add_baseline(Baseline(found.project, kind, name, found.run_id, datetime.now(UTC)))
    what = "pinned" if release is None else f"release {release}"
    click.echo(
        printable(f"{found.project}: run {found.run_id} of {found.started_utc:%Y-%m-%d} is {what}.")
    )
    for one in lost:
        click.echo(printable(f"Not kept, since it has changed or is gone: {one}"), err=True)


@command.command("list")
@_project
@store_option
def list_(project: str | None, store_path: str) -> None:
    """Print the baselines of a project, the one that counts first."""
    from bench.store import open_store
    from reports.history.baselines import in_force, standing

    with open_store(store_path, write=False) as store:
        project = _project_of(store, project)
        every = store.baselines(project)
        counting = in_force(every)
        runs = {run.run_id: run for run in store.runs(project)}
    if not counting:
        click.echo(f"{project}: no baseline; the eight runs before are what is usual.")
    others = [one for one in standing(every) if one not in counting]
    for one in (*counting, *others):
        run = runs.get(one.run_id or "")
        date = "" if run is None else f" of {run.started_utc:%Y-%m-%d}"
        mark = "" if one is counting[0] else "; does not count while another one does"
        click.echo(printable(f"{_what(one)}: run {one.run_id}{date}{mark}"))


@command.command("unpin")
@_release
@_project
@store_option
def unpin(release: str | None, project: str | None, store_path: str) -> None:
    """Hold nothing against the pinned run, or a release, any more."""
    from datetime import UTC, datetime

    from bench.points import Baseline
    from bench.run_names import current
    from bench.store import open_store

    kind, name = _named(release)
    with open_store(store_path, write=True, create=False) as store:
        project = _project_of(store, project)
        if (kind, name) not in current(store.baselines(project)):
            what = "run is pinned" if release is None else f"release is called {release!r}"
            raise UserError(f"{project}: no {what}; edgebench baseline list shows what there is")
        store.add_baseline(Baseline(project, kind, name, None, datetime.now(UTC)))
    what = "nothing is pinned" if release is None else f"release {release} is no baseline"
    click.echo(printable(f"{project}: {what} any more."))


def _named(release: str | None) -> tuple[BaselineKind, str]:
    from bench.points import BaselineKind

    if release is None:
        return BaselineKind.PINNED, ""
    if not release.strip():
        raise UserError("--release is empty; give the release's name")
    return BaselineKind.RELEASE, release


def _what(baseline: Baseline) -> str:
    return f"release {baseline.name}" if baseline.name else "pinned"


def _project_of(store: Store, project: str | None) -> str:
    newest = store.latest_run(project)
    if newest is None:
        of = "" if project is None else f" of project {project!r}"
        raise UserError(f"the store holds no run{of}; edgebench run makes one")
    return newest.project


def _keep_files(store: Store, run: RunRecord) -> list[str]:
    """Keep what the run measured with; what could not be kept, a line each.

    Most of it is: every run keeps its own, until others take the room.
    """
    from bench.kept_files import KeptFiles, keep_run
    from bench.planfile import parse_plan

    kept = KeptFiles()
    if run.pruned_utc is not None:
        wanted = {p.model_sha256 for p in store.points(run_id=run.run_id) if p.model_sha256}
        return [f"model {sha256}" for sha256 in sorted(wanted) if kept.find(sha256) is None]
    plan = parse_plan(dict(run.plan), where=f"plan of run {run.run_id}")
    try:
        return keep_run(kept, store.load(run.run_id), out=Path(run.root) / plan.out, tools=())
    except OSError as error:
        return [f"its files: {error}"]
