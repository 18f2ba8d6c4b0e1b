"""The runners of benchmark_model, classic and CompiledModel: flags out, a judged launch in."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.delegation import why_not_created
from bench.errors import UnreadableOutput
from bench.parsers.benchmark_litert import parse_compiled
from bench.parsers.benchmark_model import ToolOutput, average, decode, parse_classic
from bench.records import Failure, Measurement, Outcome
from bench.runners.base import LaunchFiles, LaunchSpec, RawOutput
from bench.runners.benchmark_reading import CLOCK_FILE, NODES_FILE, RESULT_FILE, measurement
from bench.runners.clock import CLOCK_OUT
from bench.runners.delegates import COMPILED, delegate_flags
from bench.runners.raw_inputs import RawInputs, raw_inputs, tool_random
from bench.tools.cache import ToolBinary, sha256_of_file

_PROGRAM, _MODEL, _CLOCK = "benchmark_model", "model.tflite", "recorded_clock.so"
_LOG_BYTES = 4000
# Flags that change nothing about the run: a tool that is too old for them only ignores them.
_MAY_BE_IGNORED = (
    "--result_file_path=",
    "--export_model_runtime_info=",
    "--model_runtime_info_output_file=",
    "--report_peak_memory_footprint=",
)
# Its own warm-up cannot be prolonged, so that it gets twice the least time, and half the
# invokes, which slow models are bound by (METHOD section 2: 2 s, 10 runs).
_WARMUP_TIMES, _WARMUP_PART = 2, 2
# The tool's clock has whole us, and reading it takes some 30 ns of each sample.
_LEAST_MEAN_US = 1.0
_NOT_STARTED = {126: "it cannot be executed", 127: "it is not there, or its loader is not"}
# Beginning of the tool's reason -> kind of failure; the first that fits.
_REASONS = (
    ("Disallowed CPU fallback", "delegate"),
    ("Requesting full delegation", "delegate"),
    ("Failed to apply", "delegate"),
    ("failed to invoke", "invoke"),
    ("Run failed", "invoke"),
    ("Failed to parse flag", "flag"),
    ("Invalid gpu-precision", "flag"),
    ("Wrong input", "inputs"),
    ("Input tensor", "inputs"),
    ("input_layer", "inputs"),
    ("Signature not specified", "signature"),
    ("unresolved custom op", "load"),
    ("Select TensorFlow op", "load"),
    ("Failed to allocate", "allocate"),
    ("failed to prepare", "allocate"),
    ("Could not open", "load"),
    ("Failed to load model", "load"),
    ("model identifier", "load"),
    ("not a valid Flatbuffer", "load"),
)


class BenchmarkModelRunner:
    """Measures with a benchmark_model binary; classic or CompiledModel, as the tool is.

    Args:
        tool: the binary for the device.
        clock: library that records the tool's clock reads (bench.runners.clock), or None
            to do with what it prints.
        system: of the device, "android" or "linux".
        scratch: directory of the controller for raw input files.
    """

    def __init__(self, tool: ToolBinary, clock: Path | None, *, system: str, scratch: Path) -> None:
        self._tool = tool
        self._clock = clock
        self._system = system
        self._scratch = scratch
        self._inputs: dict[tuple[Any, ...], RawInputs] = {}
        self._clock_sha256 = None if clock is None else sha256_of_file(clock)

    @property
    def kind(self) -> str:
        return self._tool.kind

    @property
    def environment(self) -> Mapping[str, Any]:
        """sha256 of binary and clock library, where the binary is from, what is known of it."""
        return {
            "runner_sha256": self._tool.sha256,
            "runner_source": self._tool.source,
            "runner_version": self._tool.version or None,
            "runner_clock_sha256": self._clock_sha256,
        }

    def prepare(self, spec: LaunchSpec) -> LaunchFiles:
        """Lay out the binary, the model, its inputs and the clock library.

        Raises: UserError where the inputs do not fit the model; ValueError for a delegate
        that this kind of tool does not have, which a plan must not have planned.
        """
        inputs = self._inputs_of(spec)
        files = {_PROGRAM: self._tool.path, _MODEL: spec.model, **inputs.files}
        env: dict[str, str] = {}
        results = [RESULT_FILE, NODES_FILE]
        if self._clock is not None:
            files[_CLOCK] = self._clock
            # With a slash, or the loader looks for it among the system's libraries.
            env = {"LD_PRELOAD": f"./{_CLOCK}", CLOCK_OUT: CLOCK_FILE}
            results.append(CLOCK_FILE)
        return LaunchFiles(
            argv=(f"./{_PROGRAM}", *self._flags(spec), *inputs.flags),
            files=files,
            texts={},
            env=env,
            results=tuple(results),
        )

    def read(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Measurement | None, Failure | None]:
        """Judge what came out; the failure's log is the end of stderr."""
        tail = decode(output.stderr)[-_LOG_BYTES:]
        code = output.exit_code
        # A shell's word for a signal, where nobody translated it.
        code = 128 - code if 128 < code < 193 else code
        if code in _NOT_STARTED:
            message = f"the tool does not start on this device: {_NOT_STARTED[code]}"
            return _failed(Outcome.LOAD_FAILED, "tool", message, tail)
        try:
            found = (parse_compiled if self.kind == COMPILED else parse_classic)(
                output.stdout, output.stderr
            )
        except UnreadableOutput as error:
            if code < 0:
                return _failed(Outcome.CRASHED, "crash", _signal(-code), tail)
            if code > 0:
                # A loader that finds no library, or a shell, speaks in the tool's place.
                last = next((line for line in reversed(tail.split("\n")) if line.strip()), "")
                message = _with(f"the tool ended with exit code {code}", last.strip())
                return _failed(Outcome.LOAD_FAILED, "tool", message, tail)
            return _failed(Outcome.UNREADABLE, "unreadable", str(error), tail)
        if code < 0:
            message = _with(_signal(-code), _last_error(found))
            return _failed(Outcome.CRASHED, "crash", message, tail)
        if code != 0:
            return self._ended_badly(code, found, tail)
        problem = self._problem(spec, found)
        if problem is not None:
            outcome, kind, message = problem
            return _failed(outcome, kind, message, tail)
        try:
            measured = measurement(
                spec,
                found,
                output.files,
                compiled=self.kind == COMPILED,
                inputs=self._inputs_of(spec).record,
                tool={"name": self.kind, **self.environment},
                has_clock=self._clock is not None,
            )
        except UnreadableOutput as error:
            return _failed(Outcome.UNREADABLE, "unreadable", str(error), tail)
        return Outcome.OK, measured, None

    def _flags(self, spec: LaunchSpec) -> tuple[str, ...]:
        limits, case = spec.limits, spec.case
        warmup_s = _WARMUP_TIMES * limits.warmup_min_s
        # CompiledModel's tool exports them wherever it is given a file for it.
        export = () if self.kind == COMPILED else ("--export_model_runtime_info=true",)
        return (
            f"--graph={_MODEL}",
            *delegate_flags(
                case.delegate, kind=self.kind, system=self._system, threads=case.threads
            ),
            f"--warmup_runs={max(1, limits.warmup_min_invokes // _WARMUP_PART)}",
            f"--warmup_min_secs={warmup_s:g}",
            f"--num_runs={limits.min_samples}",
            f"--min_secs={limits.measure_min_s:g}",
            # It limits both parts.
            f"--max_secs={max(limits.measure_max_s, warmup_s):g}",
            "--report_peak_memory_footprint=true",
            f"--result_file_path={RESULT_FILE}",
            *export,
            f"--model_runtime_info_output_file={NODES_FILE}",
        )

    def _inputs_of(self, spec: LaunchSpec) -> RawInputs:
        if self.kind == COMPILED:
            return tool_random("benchmark_litert_model takes no input files")
        key = (spec.model, spec.inputs, spec.seed, spec.case.input_shapes)
        if key not in self._inputs:
            self._inputs[key] = raw_inputs(spec, self._scratch)
        return self._inputs[key]

    def _ended_badly(self, code: int, found: ToolOutput, log: str) -> tuple[Outcome, None, Failure]:
        said = [line.partition(": ")[2] for line in found.log.errors]
        for word, kind in _REASONS:
            for line in said:
                if word in line:
                    return _failed(Outcome.LOAD_FAILED, kind, line, log)
        message = _with(f"the tool ended with exit code {code}", _last_error(found))
        return _failed(Outcome.LOAD_FAILED, "tool", message, log)

    def _problem(self, spec: LaunchSpec, found: ToolOutput) -> tuple[Outcome, str, str] | None:
        """Why a run that ended with success is none of what was asked for."""
        text = found.text
        ignored = [flag for flag in text.unconsumed if not flag.startswith(_MAY_BE_IGNORED)]
        if ignored:
            message = f"this build of the tool does not know {' '.join(ignored)}"
            return Outcome.LOAD_FAILED, "flag", message
        name = spec.case.delegate.name
        if reason := why_not_created(name, found, compiled=self.kind == COMPILED):
            return Outcome.LOAD_FAILED, "delegate", reason
        renamed = [warning for warning in text.warnings if "but flags call it" in warning]
        if renamed:
            return Outcome.LOAD_FAILED, "inputs", renamed[0]
        if text.measured is None or text.warmup is None:
            message = "the tool ended with success and without a measurement"
            return Outcome.UNREADABLE, "no-measurement", message
        if text.measured.count == 0 or text.warmup.count == 0:
            return Outcome.UNREADABLE, "no-measurement", "the tool made no runs"
        if average(text.measured) < _LEAST_MEAN_US:
            message = "an inference takes less than 1 µs, which the tool's clock cannot tell"
            return Outcome.UNREADABLE, "no-measurement", message
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


def _failed(outcome: Outcome, kind: str, message: str, log: str) -> tuple[Outcome, None, Failure]:
    return outcome, None, Failure(kind, message, log)
