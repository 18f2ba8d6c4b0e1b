"""`edgebench history`: each series over time, what became of it, and what changed then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.common import store_option
from bench.errors import UserError

if TYPE_CHECKING:
    from datetime import datetime

    from bench.identity import Case
    from bench.store import Store
    from reports.history.model import History, SeriesHistory

_MOST_NAMED = 5


@click.command("history")
@click.argument("case", required=False)
@click.option("--project", help="Of this project. [default: the newest run's]")
@click.option("--model", help="Of this model only.")
@click.option("--variant", help="Of this variant only.")
@click.option("--device", help="On this device only.")
@click.option("--delegate", help="With this delegate only.")
@click.option("--since", help="Only what began since then: an age (90d, 12w) or a date, UTC.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
@click.option("--all", "show_all", is_flag=True, help="Show the quiet cases too.")
@click.option(
    "--confirm", is_flag=True, help="Measure old and new of CASE side by side, to be sure."
)
@click.option("--gate", is_flag=True, help="Exit with 1 where a regression is certain.")
@click.option(
    "--charts",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write a chart of each case that is shown, as SVG and PNG, into this directory.",
)
@store_option
def command(
    case: str | None,
    project: str | None,
    model: str | None,
    variant: str | None,
    device: str | None,
    delegate: str | None,
    since: str | None,
    as_json: bool,
    show_all: bool,
    confirm: bool,
    gate: bool,
    charts: Path | None,
    store_path: str,
) -> int:
    """Print what needs a look, or the history of one CASE (the beginning of its id).

    Options that leave one case show its history too. A step is suspected until --confirm, or
    `edgebench run --against`, has measured old and new side by side.
    """
    from datetime import UTC, datetime

    from bench.cli.dates import moment
    from bench.store import open_store
    from reports.history.gather import gather

    names = {"model": model, "variant": variant, "device": device, "delegate": delegate}
    filters = {option: name for option, name in names.items() if name is not None}
    if confirm and case is None and not filters:
        raise UserError("--confirm needs the case that it is to confirm: edgebench history CASE")
    now = datetime.now(UTC)
    begin = None if since is None else moment(since, before=now, option="--since")
    with open_store(store_path, write=False) as store:
        project, wanted = _wanted(store, project, case, filters)
        history = gather(store, project, since=begin, where=wanted)
    if begin is not None:
        history = _began_since(history, begin)
    if confirm:
        return _confirm(store_path, history)
    if as_json:
        import json

        from reports.export.history import history_to_json

        click.echo(json.dumps(history_to_json(history), indent=2, allow_nan=False))
    else:
        _print(history, begin, picked=wanted is not None, show_all=show_all)
    if charts is not None:
        shown = _shown(history, picked=wanted is not None, show_all=show_all)
        _save_charts(shown, charts, aside=as_json)
    return 1 if gate and _is_bad(history) else 0


def _wanted(
    store: Store, project: str | None, prefix: str | None, filters: dict[str, str]
) -> tuple[str, Callable[[Case], bool] | None]:
    """The project, and which of its cases are asked for; None for all.

    Raises: UserError if there is no run, or no such case, or several begin so.
    """
    from bench.identity import SENTINEL_PROJECT

    cases: dict[str, Case] = {}
    if prefix is not None:
        known = store.cases(project=project)
        cases = {
            key: value
            for key, value in known.items()
            if key.startswith(prefix.lower()) and not value.is_before
        }
        if not cases:
            raise UserError(
                f"no case begins with {prefix!r}; edgebench history --all --json lists them"
            )
        if len(cases) > 1:
            named = ", ".join(sorted(cases)[:_MOST_NAMED])
            raise UserError(f"{len(cases)} cases begin with {prefix!r}: {named}; give more of it")
        (found,) = cases.values()
        if project is None and found.project != SENTINEL_PROJECT:
            project = found.project
    newest = store.latest_run(project)
    if newest is None:
        of = "" if project is None else f" of project {project!r}"
        raise UserError(f"the store holds no run{of}; edgebench run makes one")
    project = newest.project
    if prefix is None and not filters:
        return project, None
    asked = frozenset(cases)

    def wanted(case: Case) -> bool:
        has = {
            "model": (case.model,),
            "variant": (case.variant,),
            "device": (case.device,),
            "delegate": (case.delegate.name, case.delegate.label),
        }
        return (not asked or case.case_id in asked) and all(
            name in has[option] for option, name in filters.items()
        )

    mine = [one for one in store.cases(project=project).values() if not one.is_before]
    if not any(map(wanted, mine)):
        words = " ".join(f"--{option} {name}" for option, name in filters.items())
        raise UserError(f"project {project!r} has no case with {words}; {_there(mine, filters)}")
    return project, wanted


def _there(cases: Iterable[Case], filters: dict[str, str]) -> str:
    """What there is of what was asked for."""
    own = [case for case in cases if not case.is_sentinel]
    names = {
        "model": [case.model for case in own],
        "variant": [case.variant for case in own],
        "device": [case.device for case in own],
        "delegate": [case.delegate.name for case in own],
    }
    return "; ".join(f"{option}s: {', '.join(sorted(set(names[option])))}" for option in filters)


def _began_since(history: History, begin: datetime) -> History:
    from dataclasses import replace

    return replace(
        history,
        findings=tuple(f for f in history.findings if f.since_utc >= begin),
        devices=tuple(d for d in history.devices if d.since_utc >= begin),
    )


def _confirm(store_path: str, history: History) -> int:
    from bench.cli.confirm import confirm
    from reports.history.model import Word

    if len(history.series) != 1:
        count = len(history.series)
        raise UserError(f"--confirm takes one case, and {count} are left; name it, or narrow them")
    speeds = [f for f in history.findings if f.word in (Word.SLOWER, Word.FASTER)]
    return confirm(store_path, history.series[0], speeds[0] if speeds else None)


def _print(history: History, begin: datetime | None, *, picked: bool, show_all: bool) -> None:
    from rich.console import Console

    from reports.render.history_terminal import HistoryScreen, SeriesScreen, with_findings_first

    console = Console()
    if picked and len(history.series) == 1:
        (one,) = history.series
        shown = tuple(p for p in one.points if begin is None or p.started_utc >= begin)
        console.print(SeriesScreen(one, history.findings, shown))
        return
    rows = _shown(history, picked=picked, show_all=show_all)
    left_out = sum(not one.case.is_sentinel for one in history.series) - sum(
        not one.case.is_sentinel for one in rows
    )
    rows = with_findings_first(rows, history.findings)
    console.print(HistoryScreen(history, rows, left_out, begin))


def _shown(history: History, *, picked: bool, show_all: bool) -> tuple[SeriesHistory, ...]:
    """Those with findings, and those that were asked for."""
    found = {finding.case_id for finding in history.findings}
    return tuple(
        one
        for one in history.series
        if one.case_id in found or show_all or (picked and not one.case.is_sentinel)
    )


def _save_charts(shown: Sequence[SeriesHistory], directory: Path, *, aside: bool) -> None:
    """aside: what was written is told on stderr, as JSON stands on stdout."""
    from bench.format import counted, visible
    from reports.render.series_charts import save_series_charts

    try:
        written = save_series_charts(shown, directory)
    except OSError as error:
        raise UserError(f"{directory}: cannot be written: {error.strerror}") from error
    place = visible(str(directory))
    click.echo(f"Wrote {counted(len(written), 'chart file')} into {place}", err=aside)


def _is_bad(history: History) -> bool:
    """Whether a finding fails a gate; a simulated one never does."""
    from reports.history.words import is_simulated

    real = {one.case_id for one in history.series if not is_simulated(one)}
    return any(finding.is_bad and finding.case_id in real for finding in history.findings)
