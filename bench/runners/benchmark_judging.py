"""Whether a run of benchmark_model is what was asked for, and if not, whose word says why."""

from __future__ import annotations

import signal
from typing import TypeAlias

from bench.delegation.judge import why_not_created
from bench.errors import UnreadableOutput
from bench.parsers.benchmark_litert import parse_compiled
from bench.parsers.benchmark_model import ToolOutput, average, decode, parse_classic
from bench.parsers.failures import reason
from bench.records import Failure, Outcome
from bench.runners.base import RawOutput
from bench.runners.delegates import COMPILED

NoResult: TypeAlias = tuple[Outcome, None, Failure]

_LOG_BYTES = 4000
# Flags that change nothing about the run: a tool that is too old for them only ignores them.
_MAY_BE_IGNORED = (
    "--result_file_path=",
    "--export_model_runtime_info=",
    "--model_runtime_info_output_file=",
    "--report_peak_memory_footprint=",
    # Older ones print the profile, and have room for fewer ops at first.
    "--op_profiling_output_mode=",
    "--op_profiling_output_file=",
    "--max_profiling_buffer_entries=",
    "--allow_dynamic_profiling_buffer_increase=",
)
# The tool's clock has whole us, and reading it takes some 30 ns of each sample.
_LEAST_MEAN_US = 1.0
_NOT_STARTED = {126: "it cannot be executed", 127: "it is not there, or its loader is not"}


def judged(delegate: str, output: RawOutput, *, kind: str) -> ToolOutput | NoResult:
    """What the tool said, where it ran with that delegate and all of its flags; else why not.

    The failure's log is the end of stderr. kind: of the runner.
    """
    tail = log_tail(output)
    code = exit_code(output.exit_code)
    if code in _NOT_STARTED:
        message = f"the tool does not start on this device: {_NOT_STARTED[code]}"
        return failed(Outcome.LOAD_FAILED, "tool", message, tail)
    try:
        found = (parse_compiled if kind == COMPILED else parse_classic)(
            output.stdout, output.stderr
        )
    except UnreadableOutput as error:
        if code < 0:
            return failed(Outcome.CRASHED, "crash", _signal(-code), tail)
        if code > 0:
            # A loader that finds no library, or a shell, speaks in the tool's place.
            last = next((line for line in reversed(tail.split("\n")) if line.strip()), "")
            message = _with(f"the tool ended with exit code {code}", last.strip())
            return failed(Outcome.LOAD_FAILED, "tool", message, tail)
        return failed(Outcome.UNREADABLE, "unreadable", str(error), tail)
    if code < 0:
        message = _with(_signal(-code), _last_error(found))
        return failed(Outcome.CRASHED, "crash", message, tail)
    if code != 0:
        return _ended_badly(code, found, tail)
    return _not_as_asked(delegate, found, tail, compiled=kind == COMPILED) or found


def without_measurement(found: ToolOutput, log: str, *, warmup: bool) -> NoResult | None:
    """Why a run that ended with success measured nothing, or None if it did.

    warmup: whether it had to warm up too.
    """
    text = found.text
    if text.measured is None or text.warmup is None:
        message = "the tool ended with success and without a measurement"
        return failed(Outcome.UNREADABLE, "no-measurement", message, log)
    if text.measured.count == 0 or (warmup and text.warmup.count == 0):
        return failed(Outcome.UNREADABLE, "no-measurement", "the tool made no runs", log)
    return None


def too_fast(found: ToolOutput, log: str) -> NoResult | None:
    """Why nobody can time the runs, or None."""
    assert found.text.measured is not None
    if average(found.text.measured) >= _LEAST_MEAN_US:
        return None
    message = "an inference takes less than 1 µs, which the tool's clock cannot tell"
    return failed(Outcome.UNREADABLE, "no-measurement", message, log)


def exit_code(code: int) -> int:
    """Minus the signal where a shell has put it into words and nobody translated it."""
    return 128 - code if 128 < code < 193 else code


def log_tail(output: RawOutput) -> str:
    """The end of stderr, for a failure's log."""
    return decode(output.stderr)[-_LOG_BYTES:]


def failed(outcome: Outcome, kind: str, message: str, log: str) -> NoResult:
    """A launch without a result."""
    return outcome, None, Failure(kind, message, log)


def _ended_badly(code: int, found: ToolOutput, log: str) -> NoResult:
    said = [line.partition(": ")[2] for line in found.log.errors]
    if (found_reason := reason(said)) is not None:
        kind, line = found_reason
        return failed(Outcome.LOAD_FAILED, kind, line, log)
    message = _with(f"the tool ended with exit code {code}", _last_error(found))
    return failed(Outcome.LOAD_FAILED, "tool", message, log)


def _not_as_asked(delegate: str, found: ToolOutput, log: str, *, compiled: bool) -> NoResult | None:
    text = found.text
    ignored = [flag for flag in text.unconsumed if not flag.startswith(_MAY_BE_IGNORED)]
    if ignored:
        message = f"this build of the tool does not know {' '.join(ignored)}"
        return failed(Outcome.LOAD_FAILED, "flag", message, log)
    if missing := why_not_created(delegate, found, compiled=compiled):
        return failed(Outcome.LOAD_FAILED, "delegate", missing, log)
    renamed = [warning for warning in text.warnings if "but flags call it" in warning]
    if renamed:
        return failed(Outcome.LOAD_FAILED, "inputs", renamed[0], log)
    return None


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"the tool was ended by signal {number}"
    if number == signal.SIGABRT:
        return f"the tool aborted ({name})"
    if number == signal.SIGKILL:
        return f"the tool was killed ({name}): from outside, often for want of memory (lmkd)"
    return f"the tool crashed ({name})"


def _last_error(found: ToolOutput) -> str:
    lines = [line for line in found.log.errors if "Benchmarking failed" not in line]
    return lines[-1] if lines else ""


def _with(message: str, detail: str) -> str:
    return f"{message}: {detail}" if detail else message
