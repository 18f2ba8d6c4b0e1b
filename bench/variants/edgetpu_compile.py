"""Compiles the int8 variant for the Coral Edge TPU, and says what became of its ops."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.errors import UnreadableOutput
from bench.parsers.edgetpu_compiler import parse_log
from bench.records import Failure
from bench.tflite.facts import read_model
from bench.variants.contradictions import contradictions
from bench.variants.conversion import Made
from bench.variants.edgetpu import COMPILER, find_compiler, run_compiler
from bench.variants.recipe import EDGETPU, EDGETPU_OF
from bench.variants.wanted import Wanted

_TIMEOUT_S = 3600.0


def compile_variants(
    planned: Sequence[Wanted],
    results: Mapping[str, Made | Failure],
    *,
    scratch: Path,
    folder: Path,
    out: Path,
) -> dict[str, Made | Failure]:
    """Compile what is to be compiled, now that its int8 is there; variant -> what became of it.

    Args:
        results: variant -> what became of those that were made.
        scratch: an existing directory for what the compiler writes.
        folder: for its log, which is named relative to `out`.
    """
    log = folder / "edgetpu.log"
    return {
        w.variant: _compile(
            w,
            _int8(planned, results),
            scratch=scratch,
            log=log,
            log_name=log.relative_to(out).as_posix(),
        )
        for w in planned
        if w.to_make and w.maker == "compiler"
    }


def _int8(planned: Sequence[Wanted], results: Mapping[str, Made | Failure]) -> Path | Failure:
    wanted = next(w for w in planned if w.variant == EDGETPU_OF)
    if wanted.kept is not None:
        return wanted.kept.path
    if wanted.imported is not None:
        return wanted.imported
    result = wanted.failure or results[EDGETPU_OF]
    return result.path if isinstance(result, Made) else result


def _compile(
    wanted: Wanted, source: Path | Failure, *, scratch: Path, log: Path, log_name: str
) -> Made | Failure:
    """Compile an int8 .tflite.

    Args:
        source: the int8 file, or why there is none.
        scratch: an existing directory for what the compiler writes.
        log: file for what it prints; log_name: its name in messages.
    """
    if isinstance(source, Failure):
        return Failure(source.kind, f"needs {EDGETPU_OF}, which was not made: {source.message}")
    try:
        wrong = contradictions(EDGETPU_OF, read_model(source.read_bytes()))
    except UnreadableOutput as error:
        wrong = (str(error),)
    if wrong:
        return Failure("verify", f"needs {EDGETPU_OF}, and its file is not: {'; '.join(wrong)}")
    compiler = find_compiler()
    if isinstance(compiler, Failure):
        return compiler
    if dict(compiler.facts) != wanted.provenance["compiler"]:
        return Failure("prerequisite", f"{COMPILER} changed meanwhile; start again")
    out = scratch / EDGETPU
    out.mkdir()
    began = time.monotonic()
    try:
        end = run_compiler([str(compiler.path), "-s", "-o", str(out), str(source)], _TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Failure("convert", f"{COMPILER} did not finish: {error}")
    log.write_text(end.stdout, encoding="utf-8")
    made = out / f"{source.stem}_edgetpu.tflite"
    if end.returncode != 0 or not made.is_file():
        why = f"{COMPILER} ended with exit code {end.returncode}"
        without = "" if made.is_file() else " and wrote no model"
        return Failure("convert", f"{why}{without}; full text in {log_name}", log_name)
    try:
        said = parse_log(end.stdout)
    except UnreadableOutput as error:
        return Failure("convert", f"{error}; full text in {log_name}", log_name)
    return Made(
        made,
        {
            "seconds": round(time.monotonic() - began, 3),
            "converter_warnings": [
                f"left to the processor: {op.count} {op.op} ({op.status})"
                for op in said.ops
                if not op.mapped
            ],
            "facts": {
                "subgraphs": said.subgraphs,
                "operations": said.operations,
                "ops": [
                    {"op": op.op, "count": op.count, "status": op.status, "mapped": op.mapped}
                    for op in said.ops
                ],
                "log": end.stdout,
            },
            "made_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
