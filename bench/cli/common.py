"""What several verbs share: the store's place, the console, and options."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bench.errors import UnreadableOutput, UserError
from bench.records import RunData

if TYPE_CHECKING:
    from reports.export.junit import Judgement
    from reports.model import Comparison

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_KERAS = "a Keras model, no .tflite; `edgebench convert` makes one of it"
# First bytes, or the ending of a name, of what is given in place of a .tflite.
_SIGNATURES = {b"PK\x03\x04": _KERAS, b"\x89HDF": _KERAS}
_SUFFIXES = {
    ".keras": _KERAS,
    ".h5": _KERAS,
    ".toml": "a plan; give one .tflite file",
    ".npz": "samples, no .tflite; give one .tflite file",
    ".onnx": "an ONNX model, no .tflite; edgebench reads none",
    ".pt": "a PyTorch model, no .tflite; edgebench reads none",
    ".pth": "a PyTorch model, no .tflite; edgebench reads none",
    ".pb": "a TensorFlow graph, no .tflite; give its SavedModel directory to `edgebench convert`",
}


def data_folder() -> Path:
    """Where stores and outboxes are kept."""
    import platformdirs

    return platformdirs.user_data_path("edgebench")


def default_store() -> str:
    """Where runs are kept unless --store says otherwise: EDGEBENCH_STORE, or a file of ours."""
    return os.environ.get("EDGEBENCH_STORE") or str(data_folder() / "edgebench.db")


def store_option(function: F) -> F:
    """--store PLACE, handed to the command as text, `store_path`; bench.store.open_store reads
    it."""
    option = click.option(
        "--store",
        "store_path",
        metavar="PLACE",
        default=default_store,
        help="The store: a file, or postgresql://USER@HOST/DATABASE. [default: edgebench.db in"
        " your data directory, or EDGEBENCH_STORE]",
    )
    return option(function)


def may_hold_runs(store_path: str) -> bool:
    """False for a file that is not there: nothing was measured yet."""
    return "://" in store_path or Path(store_path).exists()


def again(*words: object) -> str:
    """A command line of ours that works when pasted into the user's shell."""
    called = sys.argv[0]
    on_path = shutil.which("edgebench")
    known = on_path is not None and Path(on_path).resolve() == Path(called).resolve()
    return shlex.join(["edgebench" if known else called, *map(str, words)])


def load_run(store_path: str, run: str | None, project: str | None, *, samples: bool) -> RunData:
    """A run by the beginning of its id, or the newest one (of a project).

    Raises: UserError if there is no such run or no store.
    """
    from bench.store import open_store

    if not may_hold_runs(store_path):
        raise UserError(f"{store_path}: no such store; `edgebench quickstart` makes a first run")
    with open_store(store_path, write=False) as store:
        if run is not None:
            return store.load(store.find_run(run).run_id, samples=samples)
        latest = store.latest_run(project)
        if latest is None:
            of = "" if project is None else f" of project {project!r}"
            raise UserError(f"{store.place}: holds no run{of}")
        return store.load(latest.run_id, samples=samples)


def read_tflite(path: Path) -> bytes:
    """The content of a file that begins as a .tflite does.

    Raises: UserError for anything else, before more than a few bytes of it are read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UserError(
                f"{path}: a directory, no .tflite; `edgebench convert` makes one of a SavedModel"
            )
        if not stat.S_ISREG(mode):
            raise UserError(f"{path}: no regular file; give one .tflite file")
        with path.open("rb") as file:
            start = file.read(8)
            if start[4:] != b"TFL3":
                raise UserError(f"{path}: {_what_else(path, start)}")
            return start + file.read()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give one .tflite file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except MemoryError:
        raise UserError(f"{path}: larger than the free memory of this machine") from None


def parse_tflite(path: Path, parse: Callable[[bytes], T]) -> tuple[bytes, T]:
    """The content of a .tflite, and what a parser that raises UnreadableOutput makes of it.

    Raises: UserError if it is none, or is damaged.
    """
    content = read_tflite(path)
    try:
        return content, parse(content)
    except UnreadableOutput as error:
        raise UserError(f"{path}: {error}; fetch or convert it again") from error


def _what_else(path: Path, start: bytes) -> str:
    if not start:
        return "an empty file; fetch or convert it again"
    known = _SUFFIXES.get(path.suffix.lower()) or _SIGNATURES.get(start[:4])
    return known or "not a .tflite file: the identifier TFL3 is missing; give one .tflite file"


def junit_option(function: F) -> F:
    """--junit FILE, handed to the command as `junit_to`."""
    option = click.option(
        "--junit",
        "junit_to",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Also write the gates as JUnit XML, for CI.",
    )
    return option(function)


def write_junit(cases: Sequence[Judgement], name: str, path: Path) -> None:
    """Write a JUnit file, whole or not at all.

    Raises: UserError if it cannot be written.
    """
    from reports.export.junit import junit
    from reports.render.atomic import write_atomically

    try:
        write_atomically(path, junit(cases, name))
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error


def print_comparison(data: RunData, *, report_to: Path | None, junit_to: Path | None = None) -> int:
    """Print a run's table and recommendation, write its report; return the exit code.

    1 if a gate failed, else 3 if something of the plan could not be measured.
    """
    from rich.console import Console
    from rich.text import Text

    from reports.compare import compare
    from reports.export.junit import judgements
    from reports.gates import gate_failed
    from reports.render.terminal import terminal

    comparison = compare(data)
    console = Console()
    console.print(terminal(comparison))
    if report_to is not None:
        # Late: the charts in it bring matplotlib along, which `show` need not wait for.
        from reports.render.files import write_report

        files = write_report(comparison, report_to)
        console.print(Text(f"Report: {files.html}"), soft_wrap=True)
    if junit_to is not None:
        write_junit(judgements(comparison), comparison.project, junit_to)
    if gate_failed(comparison):
        return 1
    return 3 if _something_failed(comparison) else 0


def _something_failed(comparison: Comparison) -> bool:
    """Whether a variant was not made, or a case that can exist has no number to show."""
    return any(variant.failure is not None for variant in comparison.variants) or any(
        row.failure is not None for row in comparison.rows
    )
