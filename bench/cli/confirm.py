"""`edgebench history --confirm`: old and new of one case side by side, today, on its device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from bench.cli.common import again
from bench.cli.lab import find_inventory, known_socs, with_phones
from bench.config import DelegateConfig, GatesConfig, PlanConfig
from bench.errors import UserError
from bench.format import visible
from bench.identity import Case
from bench.plan import Plan, resolve
from bench.planfile import parse_plan

if TYPE_CHECKING:
    from bench.against import OldSide
    from bench.kept_files import KeptFiles
    from bench.records import RunData
    from reports.history.model import Finding, SeriesHistory

ROUNDS = 6
_CASE_ID = 12


def confirm(store_path: str, series: SeriesHistory, finding: Finding | None) -> int:
    """Measure the last good files and runner beside the newest, and say what it settles
    (METHOD section 8); both are stored as a run.

    Args:
        finding: the step that is suspected; None where none is.

    Where the old file is gone that is stored too, so that two further weeks can decide.

    Returns: the exit code: 1 where a regression is confirmed, 3 where the old one cannot be
    had or something could not be measured.
    Raises: UserError where there is nothing to confirm, or nothing to do it with; StoreError.
    """
    from bench.against import FileIsGone
    from bench.cli.run import execute
    from reports.history.model import Standing

    case, console = series.case, Console()
    if case.is_sentinel:
        raise UserError("the sentinel never changes: a step of it is the machine's own")
    if finding is None:
        raise UserError("no step of this case is suspected; there is nothing to confirm")
    if finding.standing is not Standing.SUSPECTED:
        console.print(Text(visible(f"{finding.standing.upper()}: {finding.sentence}")))
        return 1 if finding.is_bad else 0
    try:
        plan, old = plan_of(store_path, series, finding)
    except FileIsGone as error:
        console.print(Text(visible(f"The old one cannot be had: {error}.")))
        _store_that_it_is_gone(store_path, series, finding, str(error))
        return _say(store_path, series, console) or 3
    code = execute(
        plan,
        store_path,
        resume=False,
        resume_command=again("history", series.case_id[:_CASE_ID], "--confirm"),
        old=old,
        report=False,
    )
    return _say(store_path, series, console) if code in (0, 1) else code


def plan_of(store_path: str, series: SeriesHistory, finding: Finding) -> tuple[Plan, OldSide]:
    """The newest run's plan with nothing but this case, its newest file beside the last good
    one.

    Raises: FileIsGone where the old file is nowhere any more; UserError where today's is, or
        the case cannot be measured from here; StoreError.
    """
    from bench.against import FileIsGone, old_of_run, with_old
    from bench.kept_files import KeptFiles
    from bench.store import open_store

    if finding.last_good_run_id is None:
        raise UserError("no run from before the step is known")
    newest = series.judged[-1].run_id if series.judged else finding.run_id
    with open_store(store_path, write=False) as store:
        good, now = (store.load(run_id) for run_id in (finding.last_good_run_id, newest))
    if now.run.pruned_utc is not None:
        raise UserError(f"run {now.run.run_id[:13]} was pruned: measure the plan again first")
    kept = KeptFiles()
    root = Path(now.run.root)
    try:
        config = _narrowed(now, series.case, kept)
    except FileIsGone as error:
        # Today's one: it can be measured again, and says nothing of the old one.
        raise UserError(f"today's file is gone: {error}") from None
    inventory = with_phones(find_inventory(None, root), config.measure.devices)
    plan = resolve(config, root, inventory, socs=known_socs(inventory))
    if good.run.pruned_utc is not None:
        raise FileIsGone(f"run {good.run.run_id[:13]} was pruned and tells no files any more")
    old = old_of_run(plan, good, kept)
    return with_old(plan, old), old


def _store_that_it_is_gone(
    store_path: str, series: SeriesHistory, finding: Finding, why: str
) -> None:
    """A run that measured nothing: its one case is the old one, and why it cannot be.

    Once is enough; raises StoreError.
    """
    from dataclasses import replace
    from datetime import UTC, datetime

    from bench.identity import named_before, new_run_id
    from bench.points import PointState
    from bench.records import PlannedCase, RunStatus
    from bench.store import open_store
    from reports.points import points_of

    assert finding.last_good_run_id is not None
    old = replace(series.case, model=named_before(series.case.model, finding.last_good_run_id))
    with open_store(store_path, write=True, create=False) as store:
        known = store.points(case_ids=[old.case_id])
        if any(point.state is PointState.NOT_APPLICABLE for point in known):
            return
        newest = store.run(series.judged[-1].run_id)
        models = [m for m in newest.plan["model"] if m["name"] == series.case.model]
        run = replace(
            newest,
            plan={**newest.plan, "model": [*models, *({**m, "name": old.model} for m in models)]},
            run_id=new_run_id(),
            status=RunStatus.RUNNING,
            started_utc=datetime.now(UTC),
            finished_utc=None,
            host={},
        )
        store.begin_run(run, [PlannedCase(run.run_id, old, why)])
        store.finish_run(run.run_id, RunStatus.FINISHED, datetime.now(UTC))
        store.add_points(run.run_id, points_of(store.load(run.run_id)))


def _narrowed(now: RunData, case: Case, kept: KeptFiles) -> PlanConfig:
    """The recorded plan with this case alone, of the very file that was measured."""
    import platformdirs

    from bench.against import file_of

    plan = parse_plan(dict(now.run.plan), where=f"plan of run {now.run.run_id[:13]}")
    model = next((m for m in plan.model if m.name == case.model), None)
    record = next(
        (v for v in now.variants if (v.model, v.variant) == (case.model, case.variant)), None
    )
    if model is None or record is None or not record.usable:
        raise UserError(f"run {now.run.run_id[:13]} tells no file of {case.model} {case.variant}")
    delegate = next((d for d in plan.measure.delegate_configs if _is(d, case)), None)
    if delegate is None:
        raise UserError(f"run {now.run.run_id[:13]} does not plan {case.label}")
    files = {case.variant: str(file_of(record, now, kept))}
    made_of = dict.fromkeys(("source", "signature", "calibration", "train"))
    measure = plan.measure.model_copy(
        update={
            "variants": (case.variant,),
            "delegates": (delegate,),
            "threads": (case.threads,),
            "devices": (case.device,),
            "runners": (case.runner,),
            "rounds": ROUNDS,
            "precision": None,
            "profile": "off",
            "numerics": "off",
            "device_accuracy": 0,
        }
    )
    return plan.model_copy(
        update={
            "model": (model.model_copy(update={"files": files, **made_of}),),
            "measure": measure,
            "gates": GatesConfig(),
            # The user's own directory has the variants of today's plan.
            "out": str(platformdirs.user_cache_path("edgebench") / "confirm"),
        }
    )


def _is(delegate: DelegateConfig, case: Case) -> bool:
    return (delegate.name, tuple(sorted(delegate.options.items()))) == (
        case.delegate.name,
        case.delegate.options,
    )


def _say(store_path: str, series: SeriesHistory, console: Console) -> int:
    """What the history says of the step, now that both were measured side by side."""
    from bench.store import open_store
    from reports.history.gather import gather
    from reports.history.model import Word

    with open_store(store_path, write=False) as store:
        history = gather(
            store, series.case.project, where=lambda case: case.case_id == series.case_id
        )
    steps = [f for f in history.findings if f.word in (Word.SLOWER, Word.FASTER)]
    if not steps:
        console.print(Text("With this run there is no step left: it is as fast as before."))
        return 0
    found = steps[0]
    console.print(Text(visible(f"{found.standing.upper()}: {found.sentence}"), style="bold"))
    if found.todo:
        console.print(Text(visible(f"Next: {found.todo}")))
    return 1 if found.is_bad else 0
