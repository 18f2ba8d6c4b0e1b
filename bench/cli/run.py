"""`edgebench run`: measure what a plan says, print the table, write the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.against import OldSide, with_old
from bench.checks import purposes_of
from bench.cli.against import check_old_python, keep_files, old_side, old_tools, say_old
from bench.cli.common import (
    again,
    data_folder,
    default_store,
    junit_option,
    print_comparison,
    store_option,
)
from bench.cli.lab import (
    connected,
    find_inventory,
    inventory_option,
    known_socs,
    known_units,
    runner_chooser,
    say_hello,
    with_phones,
)
from bench.cli.progress import duration, progress
from bench.config import VARIANTS, PlanConfig
from bench.errors import UserError
from bench.estimate import estimate
from bench.format import visible
from bench.plan import Plan, all_cells, expand, resolve
from bench.planfile import read_plan
from bench.records import Purpose

_BESIDE = {
    Purpose.PROFILE: "profiles",
    Purpose.NUMERICS: "answers",
    Purpose.TRACE: "system traces",
}


@click.command("run")
@click.argument("path", metavar="PLAN", type=click.Path(path_type=Path))
@click.option("--resume", is_flag=True, help="Go on with the newest unfinished run of this plan.")
@click.option("--dry-run", is_flag=True, help="Print the cases and the time they take; do nothing.")
@click.option("--variant", "variants", multiple=True, help="Only this variant; may be repeated.")
@click.option(
    "--device",
    "devices",
    multiple=True,
    help="These devices in place of the plan's: a name, label=.., soc=.., kind=.., serial=.., all.",
)
@click.option(
    "--precision",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Add rounds until each p50 interval is within this share (0.02 is 2 %).",
)
@click.option(
    "--trace",
    is_flag=True,
    help="On Android, one more launch per case with a trace of the whole system around it.",
)
@click.option(
    "--against",
    metavar="BASELINE",
    help="Measure old and new in turns: a run (latest, baseline, release=NAME, the beginning of"
    " its id), a .tflite, or a directory with one for each variant.",
)
@click.option(
    "--against-python",
    type=click.Path(path_type=Path),
    help="With --against, on this machine: the old side runs by this interpreter's runtime.",
)
@inventory_option
@junit_option
@store_option
def command(
    path: Path,
    resume: bool,
    dry_run: bool,
    variants: tuple[str, ...],
    devices: tuple[str, ...],
    precision: float | None,
    trace: bool,
    against: str | None,
    against_python: Path | None,
    inventory_path: Path | None,
    junit_to: Path | None,
    store_path: str,
) -> int:
    """Measure what PLAN (an edgebench.toml) says.

    Everything measured is in the store at once. Interrupt it when you like and go on
    with --resume. Devices are measured side by side; one that fails or goes away leaves
    the others alone, and --resume measures what is missing.

    Exit code 1 if a gate failed, 3 if a part could not be measured.
    """
    config = _narrow(read_plan(path), variants, devices, precision)
    inventory = find_inventory(inventory_path, path.parent)
    inventory = with_phones(inventory, config.measure.devices)
    plan = resolve(config, path.parent, inventory, socs=known_socs(inventory))
    if not expand(plan):
        reasons = dict.fromkeys(str(reason) for _, reason in all_cells(plan))
        raise UserError(f"{path}: nothing of it can be measured: {'; '.join(reasons)}")
    old, python = None, None
    if against is not None:
        old = old_side(plan, against, store_path)
        plan = with_old(plan, old)
        python = None if against_python is None else check_old_python(plan, against_python)
        say_old(old, Console(stderr=True))
    elif against_python is not None:
        raise UserError("--against-python says how the old side runs: add --against")
    if dry_run:
        print_plan(plan, Console(), trace=trace)
        return 0
    return execute(
        plan,
        store_path,
        resume=resume,
        resume_command=_resume_command(
            path,
            variants,
            devices,
            precision,
            trace,
            None if old is None else old.given,
            python,
            inventory_path,
            junit_to,
            store_path,
        ),
        junit_to=junit_to,
        trace=trace,
        old=old,
        old_python=python,
    )


def _narrow(
    config: PlanConfig,
    variants: Sequence[str],
    devices: Sequence[str],
    precision: float | None,
) -> PlanConfig:
    """The plan with the command line's choices in it."""
    changes: dict[str, object] = {}
    if unknown := [v for v in variants if v not in VARIANTS]:
        raise UserError(f"unknown variant {unknown[0]!r} (known: {', '.join(VARIANTS)})")
    if variants:
        changes["variants"] = tuple(variants)
    if devices:
        changes["devices"] = tuple(devices)
    if precision is not None:
        changes["precision"] = precision
    if not changes:
        return config
    return config.model_copy(update={"measure": config.measure.model_copy(update=changes)})


def _resume_command(
    path: Path,
    variants: Sequence[str],
    devices: Sequence[str],
    precision: float | None,
    trace: bool,
    against: str | None,
    python: Path | None,
    inventory_path: Path | None,
    junit_to: Path | None,
    store_path: str,
) -> str:
    """The command that resumes this very run."""
    words = ["run", str(path), "--resume"]
    for variant in variants:
        words += ["--variant", variant]
    for device in devices:
        words += ["--device", device]
    if precision is not None:
        words += ["--precision", f"{precision:g}"]
    if trace:
        words.append("--trace")
    if against is not None:
        words += ["--against", against]
    if python is not None:
        words += ["--against-python", str(python)]
    if inventory_path is not None:
        words += ["--devices", str(inventory_path)]
    if junit_to is not None:
        words += ["--junit", str(junit_to)]
    if store_path != default_store():
        from bench.store import StorePlace

        words += ["--store", StorePlace.parse(store_path).label]
    return again(*words)


def print_plan(plan: Plan, console: Console, *, trace: bool = False) -> None:
    """Every case of a plan, what cannot exist and why, and the time it will take."""
    table = Table("model", "variant", "delegate", "threads", "device", "runner", box=None)
    cells = all_cells(plan)
    for case, why_not in cells:
        if why_not is not None:
            continue
        table.add_row(
            Text(case.model),
            case.variant,
            Text(case.delegate.label, overflow="fold"),
            str(case.threads),
            Text(case.device),
            case.runner,
        )
    console.print(table)
    for reason, count in Counter(reason for _, reason in cells if reason).items():
        console.print(Text(f"Not applicable, {count} cells: {reason}"))
    console.print(expectation(plan, trace=trace))


def expectation(plan: Plan, *, trace: bool = False) -> str:
    """One line: what will be done and how long it takes."""
    cases, time = len(expand(plan)), estimate(plan, trace=trace)
    more = ""
    if plan.config.measure.precision is not None:
        more = f" at first, up to {plan.config.measure.max_rounds} rounds for the precision asked"
    beside, checking = "", ""
    if time.checks:
        words = [_BESIDE[purpose] for purpose in purposes_of(plan.config.measure, trace=trace)]
        beside = f", and {time.checks} more for {' and '.join(words)}"
        checking = f", {duration(time.check_s)} for {' and '.join(words)}"
    return (
        f"{cases} cases x {plan.config.measure.rounds} rounds = {time.launches} launches{more}"
        f"{beside}; about {duration(time.total_s)}: "
        f"{duration(time.make_s + time.evaluate_s)} to make and evaluate the variants, "
        f"{duration(time.measure_s)} to measure{checking}"
    )


def execute(
    plan: Plan,
    store_path: str | Path,
    *,
    resume: bool,
    resume_command: str,
    junit_to: Path | None = None,
    trace: bool = False,
    old: OldSide | None = None,
    old_python: Path | None = None,
    report: bool = True,
) -> int:
    """Carry a plan out on this console; return the exit code.

    Args:
        old: whose models the plan has beside today's (bench.against.with_old).
        old_python: interpreter of this machine that they are run by.
        report: whether to print the run's own table and to write its report.
    """
    # Late: whoever asks for --help or --dry-run need not wait for SQLAlchemy.
    from bench.cli.compare import print_pairs
    from bench.cli.pairs import pairs_of_run
    from bench.run import Interrupted, carry_out, find_unfinished, start_run
    from bench.store.outbox import results_store
    from devices.deadline import Deadline
    from devices.device import local_device
    from devices.facts import read_facts
    from reports.points import points_of, store_missing_points

    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(Text(visible(line)), soft_wrap=True)

    with (
        results_store(store_path, data_folder(), say) as store,
        connected(plan.devices) as devices,
    ):
        say_hello(devices, console)
        if resume:
            run_id = find_unfinished(plan, store)
            store.reopen_run(run_id)
        else:
            host = read_facts(local_device().transport, deadline=Deadline(30))
            simulated = any(device.simulated for device in devices.values())
            run_id = start_run(plan, store, host, simulated=simulated)
        console.print(Text(expectation(plan, trace=trace)))
        try:
            with progress(console) as emit:
                problems = carry_out(
                    plan,
                    store,
                    run_id,
                    devices,
                    runner_for=runner_chooser(plan.devices),
                    emit=emit,
                    units=known_units(devices),
                    trace=trace,
                    old=None if old is None else old_tools(old, old_python),
                )
        except UserError as error:
            # Where nothing was measured there is nothing to go on with.
            if "--resume" in str(error) or not store.launches_done(run_id):
                raise
            raise UserError(f"{error}; once mended, go on with: {resume_command}") from None
        except Interrupted as stop:
            kept = (
                f"after {stop.launches} launches; all of them are kept"
                if stop.launches
                else "before anything was measured"
            )
            console.print(Text(f"\nInterrupted {kept}.\nGo on with:  {resume_command}"))
            return 130
        data = store.load(run_id, samples=True)
        store.add_points(run_id, points_of(data))
        # Of runs that ended without: interrupted ones, and those of earlier versions.
        store_missing_points(store)
        keep_files(store, store_path, data, plan, console)
        pairs = None if old is None else pairs_of_run(store, run_id)
    code = 0
    if report:
        code = print_comparison(data, report_to=plan.out / "report", junit_to=junit_to)
    if pairs is not None:
        print_pairs(pairs)
    if not problems:
        return code
    for problem in problems:
        console.print(Text(f"{problem.device}: not finished: {problem.message}", style="red"))
    console.print(Text(f"What is missing is measured by:  {resume_command}"))
    # A failed gate comes first, as it does where every device took part.
    return code or 3
