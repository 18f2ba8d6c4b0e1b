"""What people call a run: the beginning of its id, `latest`, `latest~2`, `baseline`,
`release=1.4`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.errors import UserError
from bench.points import Baseline, BaselineKind
from bench.records import RunRecord, RunStatus

if TYPE_CHECKING:
    from bench.store.reader import StoreReader

_LATEST = re.compile(r"latest(?:~(?P<back>\d{1,6}))?")
_RELEASE = "release="
KNOWN = "the beginning of a run's id, latest, latest~1, baseline or release=NAME"


def run_named(
    store: StoreReader, name: str, project: str | None, *, finished: bool = False
) -> RunRecord:
    """The run that a name means.

    Args:
        project: whose runs, baseline and releases are meant; None for that of the newest run.
        finished: whether `latest` counts finished runs only.

    Raises: UserError where there is none, with what there is; StoreError.
    """
    if found := _LATEST.fullmatch(name):
        back = int(found["back"] or 0)
        runs = [
            run for run in store.runs(project) if run.status is RunStatus.FINISHED or not finished
        ]
        if back >= len(runs):
            what = "finished run" if finished else "run"
            of = "" if project is None else f" of project {project!r}"
            raise UserError(f"{name}: the store has {len(runs)} {what}s{of}")
        return runs[back]
    if name != "baseline" and not name.startswith(_RELEASE):
        return store.find_run(name)
    if project is None:
        newest = store.latest_run()
        if newest is None:
            raise UserError(f"{name}: the store holds no run")
        project = newest.project
    return store.run(_baseline(store.baselines(project), name, project))


def _baseline(baselines: Iterable[Baseline], name: str, project: str) -> str:
    known = current(baselines)
    release = name.removeprefix(_RELEASE) if name.startswith(_RELEASE) else None
    key = (BaselineKind.PINNED, "") if release is None else (BaselineKind.RELEASE, release)
    if key in known:
        return known[key]
    releases = [label for kind, label in known if kind is BaselineKind.RELEASE]
    there = f"; its releases are {', '.join(releases)}" if releases else ""
    raise UserError(
        f"{name}: project {project!r} has no such baseline{there}; `edgebench baseline` pins one"
    )


def current(baselines: Iterable[Baseline]) -> dict[tuple[BaselineKind, str], str]:
    """(kind, name) -> run id of what is a baseline now, without what was unpinned.

    Args:
        baselines: of one project, newest first.
    """
    newest: dict[tuple[BaselineKind, str], str | None] = {}
    for one in baselines:
        newest.setdefault((one.kind, one.name), one.run_id)
    return {key: run_id for key, run_id in newest.items() if run_id is not None}
