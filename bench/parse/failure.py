"""Why a run left no measurement, from what it wrote: its exit status is not in the text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.parse.lines import START, is_stdout
from bench.parse.model import ParsedFailure
from bench.parsers.failures import reason

MOST_SHOWN = 400
_FAILED = "Benchmarking failed."
# A warning, and why a run ends that may not fall back to the processor.
_NOT_LOADED = re.compile(
    r"WARNING: \[[gn]pu_registry\.cc:\d+\] \S+ accelerator could not be loaded and registered"
)


def failure_of(
    lines: Sequence[str], *, measured: bool, ended: bool, runs: int | None
) -> ParsedFailure | None:
    """The failure of one run, or None.

    Args:
        lines: of both streams.
        measured: whether the figures of the measured runs are there.
        ended: whether after them the text goes on to what a tool prints last.
        runs: number of measured runs, None where that is not told.
    """
    said = _errors(lines)
    gave_up = any(_FAILED in line for line in lines)
    if measured and runs != 0 and not gave_up and not _run_failed(said):
        return None if ended else _cut_off("before the tool's summary")
    if runs == 0 and not gave_up:
        return ParsedFailure("no-measurement", "the tool made no runs")
    # A parser of flags prints the reason and then the usage, which alone is a plea for help.
    if (found := reason(said)) is not None:
        kind, line = found
        return ParsedFailure(kind, line[:MOST_SHOWN])
    if any("usage: " in line for line in said) or "No flags matched." in lines:
        return ParsedFailure("usage", "the tool printed its flags and measured nothing")
    if any("The Model contains " in line for line in lines):
        message = "the tool listed the signatures of the model and measured nothing"
        return ParsedFailure("no-measurement", message)
    others = [line for line in said if _FAILED not in line]
    detail = others[-1][:MOST_SHOWN] if others else "it gives no reason"
    if gave_up and not others and (missing := next(filter(_NOT_LOADED.match, lines), None)):
        return ParsedFailure("delegate", missing.partition(": ")[2][:MOST_SHOWN])
    if any(line.startswith("FATAL: ") for line in lines):
        return ParsedFailure("crash", f"the tool aborted: {detail}")
    if gave_up or others:
        return ParsedFailure("tool", f"the tool failed: {detail}")
    return _cut_off("without a measurement and without a reason: crashed, killed or cut off")


def _cut_off(where: str) -> ParsedFailure:
    return ParsedFailure("cut-off", f"the text ends {where}")


def _errors(lines: Sequence[str]) -> list[str]:
    found = [
        line.partition(": ")[2].strip()
        for line in lines
        if line.startswith(("ERROR: ", "FATAL: ", "UNIMPLEMENTED: "))
    ]
    if START in lines:
        # Old versions of the tool put no level in front of a line.
        found += [
            line
            for line in lines
            if not is_stdout(line) and (line.startswith("usage: ") or reason([line]))
        ]
    return found


def _run_failed(said: Sequence[str]) -> bool:
    found = reason(said)
    return found is not None and found[0] == "invoke"
