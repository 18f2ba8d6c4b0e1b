"""`edgebench profile`: which ops take the time, where, and why one variant is slower."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.common import load_run, store_option
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.cli.profile_run import Wanted
    from bench.cli.profile_subjects import Subject
    from bench.records import RunData

_BY = ("op", "type", "layer")
_EXPORTS = ("csv", "trace", "model-explorer", "system-trace")


@click.command("profile")
@click.argument("what", required=False, metavar="[RUN|FILE|MODEL.tflite]")
@click.option("--model", help="Of a run: the model's name. Of a FILE: the .tflite behind it.")
@click.option("--variant", help="Of a run: the variant.")
@click.option("--delegate", help="The delegate. [default, of a MODEL.tflite: xnnpack]")
@click.option("--threads", type=click.IntRange(1, 256), help="[default, of a MODEL.tflite: 1]")
@click.option("--device", help="Of a run: the device.")
@click.option("--case", "case_id", help="Of a run: the beginning of a case's id (--json has it).")
@click.option("--project", help="The newest run of this project.")
@click.option(
    "--against",
    metavar="OTHER",
    help="Compare with the same case but another variant, delegate, device or model (or with the "
    "case of this id); or with another FILE or MODEL.tflite.",
)
@click.option("--explain", is_flag=True, help="Only say why it is slower; than fp32 by itself.")
@click.option("--by", type=click.Choice(_BY), help="Only this table.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Rows of ops.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
@click.option("--export", type=click.Choice(_EXPORTS), help="Write a file, to -o.")
@click.option(
    "-o", "out", type=click.Path(path_type=Path, dir_okay=False), help="Where --export goes."
)
@click.option(
    "--charts",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write charts, as SVG and PNG, into this directory.",
)
@store_option
def command(
    what: str | None,
    model: str | None,
    variant: str | None,
    delegate: str | None,
    threads: int | None,
    device: str | None,
    case_id: str | None,
    project: str | None,
    against: str | None,
    explain: bool,
    by: str | None,
    top: int,
    as_json: bool,
    export: str | None,
    out: Path | None,
    charts: Path | None,
    store_path: str,
) -> None:
    """Show which ops took the time in RUN (the newest one without it), in a FILE that
    benchmark_model or the LiteRT benchmark wrote or printed, or in a MODEL.tflite, which is
    profiled on this machine now.

    \b
    edgebench profile model.tflite
    edgebench profile model.tflite --against none
    edgebench profile --variant int8 --against fp32
    edgebench profile profile.csv --model model.tflite --by layer
    """
    # Late: whoever asks for --help need not wait for numpy.
    from bench.cli.profile_run import Wanted

    if (export is None) != (out is None):
        raise UserError("--export says what to write and -o where: give both, or neither")
    beside = (against, by, charts)
    if export is not None and (explain or as_json or any(one is not None for one in beside)):
        raise UserError(
            "--export writes one profile; leave --against, --explain, --by, --json, --charts out"
        )
    path = None if what is None else Path(what)
    of_run = path is None or not _is_file(path)
    if not of_run and any(option is not None for option in (variant, device, case_id, project)):
        raise UserError("--variant, --device, --case and --project choose from a run")
    if of_run:
        data = load_run(store_path, what, project, samples=False)
        wanted = Wanted(case_id, model, variant, delegate, threads, device)
        if export == "system-trace":
            _save_trace(data, wanted, store_path, _place(out))
            return
        subjects = _of_run(data, wanted, against, explain=explain, alone=export is not None)
    else:
        assert path is not None
        subjects = _of_files(path, model, delegate, threads, against, explain=explain)
    if export is not None:
        _export(subjects[0], export, _place(out))
    elif as_json:
        _print_json(subjects, compared=against is not None or explain)
    else:
        _print(subjects, by, top, compared=against is not None or explain, only=explain)
    if charts is not None:
        _save_charts(subjects, charts, compared=against is not None or explain, aside=as_json)


def _is_file(path: Path) -> bool:
    """Whether a file is meant, there or not, and not the beginning of a run's id."""
    return path.exists() or path.suffix != "" or len(path.parts) > 1


def _place(out: Path | None) -> Path:
    assert out is not None
    return out


def _of_run(
    data: RunData, wanted: Wanted, against: str | None, *, explain: bool, alone: bool
) -> list[Subject]:
    """The profiles to show: one, one and what it is held against, or many."""
    from bench.cli.profile_run import cases_of, one_of, other_case, subject_of
    from bench.records import Purpose

    found = cases_of(data, wanted, Purpose.PROFILE)
    if against is None and not explain:
        chosen = [one_of(found)] if alone else found
        return [subject_of(data, case, check) for case, check in chosen]
    case, check = one_of(found)
    if against is None and case.variant == "fp32":
        raise UserError("--explain holds a variant against fp32; of fp32 itself say --against")
    other = other_case(data, case, against or "fp32")
    return [subject_of(data, case, check), subject_of(data, *other)]


def _of_files(
    path: Path,
    model: str | None,
    delegate: str | None,
    threads: int | None,
    against: str | None,
    *,
    explain: bool,
) -> list[Subject]:
    from bench.cli.profile_files import subject_of_file, subject_of_model

    if explain and against is None:
        raise UserError("--explain needs two profiles: say --against which file, model or delegate")
    if path.suffix != ".tflite":
        if delegate is not None or threads is not None:
            raise UserError("--delegate and --threads choose from a run, or how a .tflite is run")
        behind = None if model is None else Path(model)
        subjects = [subject_of_file(path, behind)]
        if against is not None:
            subjects.append(subject_of_file(Path(against), behind))
        return subjects
    if model is not None:
        raise UserError("--model is for a profile's file; a .tflite is its own")

    def tell(line: str) -> None:
        from bench.format import visible

        click.echo(visible(line), err=True)

    asked, count = delegate or "xnnpack", threads or 1
    subjects = [subject_of_model(path, asked, count, tell)]
    if against is not None and _is_file(Path(against)):
        subjects.append(subject_of_model(Path(against), asked, count, tell))
    elif against is not None:
        subjects.append(subject_of_model(path, against, count, tell))
    return subjects


def _print(subjects: Sequence[Subject], by: Any, top: int, *, compared: bool, only: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    from bench.cli.console import text_for
    from bench.cli.profile_subjects import difference_of
    from bench.ops.compare import compare_profiles
    from bench.ops.explain import explain
    from reports.ops.comparison_view import comparison_view
    from reports.ops.terminal import terminal
    from reports.ops.view import overview, profile_view

    console = Console()
    if not compared and len(subjects) > 1:
        rows = [(s.title, s.summary, s.delegation) for s in subjects]
        console.print(terminal(overview(rows)))
        line = "Choose one by --model, --variant, --delegate, --threads, --device or --case."
        console.print(text_for(console, line))
        return
    one = subjects[0]
    if not compared:
        try:
            view = profile_view(one.title, one.profile, one.summary, one.delegation, by=by, top=top)
        except ValueError as error:
            raise UserError(f"{one.title}: {error}") from error
        console.print(terminal(view))
        return
    other = subjects[1]
    labels = difference_of(one, other)
    said = explain(one.side(labels[0]), other.side(labels[1])).lines
    if only:
        for line in said:
            console.print(text_for(console, line))
        return
    pair = compare_profiles(one.summary, other.summary, one.model, other.model)
    title = f"{one.title}, against {other.title}"
    console.print(Text(""), terminal(comparison_view(title, pair, labels, said, by=by, top=top)))


def _print_json(subjects: Sequence[Subject], *, compared: bool) -> None:
    from bench.cli.profile_subjects import difference_of
    from bench.ops.compare import compare_profiles
    from bench.ops.explain import explain
    from reports.ops.json import SCHEMA, comparison_to_json, explanation_to_json, profile_to_json

    document: dict[str, Any] = {
        "schema": SCHEMA,
        "profiles": [
            profile_to_json(s.profile, s.mapping, s.summary, s.delegation, s.about)
            for s in subjects
        ],
    }
    if compared:
        one, other = subjects
        pair = compare_profiles(one.summary, other.summary, one.model, other.model)
        labels = difference_of(one, other)
        said = explain(one.side(labels[0]), other.side(labels[1]))
        document["comparison"] = comparison_to_json(pair)
        document["explanation"] = explanation_to_json(said)
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def _export(subject: Subject, kind: str, out: Path) -> None:
    from reports.ops.csv import profile_to_csv
    from reports.ops.model_explorer import delegate_overlay, time_overlay
    from reports.ops.trace import profile_to_trace

    try:
        if kind == "csv":
            _write(out, profile_to_csv(subject.profile, subject.summary).encode())
        elif kind == "trace":
            trace = profile_to_trace(subject.title, subject.profile, subject.summary)
            _write(out, _json(trace))
        elif kind == "model-explorer":
            if subject.model is None:
                raise UserError("an overlay needs the nodes of the model; say --model M.tflite")
            graph = subject.model.main
            who = out.with_name(f"{out.stem}.delegate{out.suffix or '.json'}")
            _write(out, _json(time_overlay(subject.summary, graph)))
            _write(who, _json(delegate_overlay(subject.summary, graph)))
        else:
            raise UserError("a system trace is kept with a run that was measured with --trace")
    except ValueError as error:
        raise UserError(f"{subject.title}: {error}") from error


def _save_trace(data: RunData, wanted: Wanted, store_path: str, out: Path) -> None:
    from bench.cli.profile_run import case_title, cases_of, one_of
    from bench.records import Purpose
    from bench.store import open_store

    case, check = one_of(cases_of(data, wanted, Purpose.TRACE))
    if not check.artifacts:
        raise UserError(f"{case_title(case)}: its trace was not kept")
    with open_store(store_path, write=False) as store:
        _write(out, store.load_artifact(check.launch_id, check.artifacts[0].name))


def _save_charts(
    subjects: Sequence[Subject], directory: Path, *, compared: bool, aside: bool
) -> None:
    """aside: what was written is told on stderr, as JSON stands on stdout."""
    from bench.format import visible
    from reports.ops.charts import save_op_charts

    profiles = [(subject.title, subject.profile) for subject in subjects]
    try:
        written = save_op_charts(profiles, directory, compared=compared)
    except OSError as error:
        raise UserError(f"{directory}: cannot be written: {error.strerror}") from error
    if not written:
        raise UserError("no chart: no profile tells times that shares can be made of")
    for path in written:
        click.echo(f"Wrote {visible(str(path))}", err=aside)


def _json(document: object) -> bytes:
    return json.dumps(document, indent=1, allow_nan=False).encode()


def _write(path: Path, content: bytes) -> None:
    from bench.format import visible
    from reports.render.atomic import write_atomically

    try:
        write_atomically(path, content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    click.echo(f"Wrote {visible(str(path))}")
