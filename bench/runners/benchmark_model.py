"""The runners of benchmark_model, classic and CompiledModel: flags out, a judged launch in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import UnreadableOutput, UserError
from bench.records import Failure, Measurement, Outcome, Purpose
from bench.runners.base import Answers, LaunchFiles, LaunchSpec, Profiled, RawOutput
from bench.runners.benchmark_answers import answers_files, answers_of
from bench.runners.benchmark_judging import (
    failed,
    judged,
    log_tail,
    too_fast,
    without_measurement,
)
from bench.runners.benchmark_profile import (
    PROFILE_RESULTS,
    profile_flags,
    profile_of,
    why_no_profile,
)
from bench.runners.benchmark_reading import (
    CLOCK_FILE,
    NODES_FILE,
    RESULT_FILE,
    measurement,
    nodes_flags,
)
from bench.runners.clock import CLOCK_OUT
from bench.runners.delegates import COMPILED, delegate_flags
from bench.runners.raw_inputs import RawInputs, RawSamples, raw_inputs, raw_samples, tool_random
from bench.tools.cache import ToolBinary, sha256_of_file

_PROGRAM, _MODEL, _CLOCK = "benchmark_model", "model.tflite", "recorded_clock.so"
# Its own warm-up cannot be prolonged, so that it gets twice the least time, and half the
# invokes, which slow models are bound by (METHOD section 2: 2 s, 10 runs).
_WARMUP_TIMES, _WARMUP_PART = 2, 2


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
        self._samples: dict[tuple[Any, ...], RawSamples] = {}
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

    def cannot(self, spec: LaunchSpec) -> str | None:
        """Why the tool has no profile or no answers of a case, or None if it has."""
        if spec.purpose is Purpose.PROFILE:
            return why_no_profile(spec, compiled=self.kind == COMPILED)
        if spec.purpose is Purpose.NUMERICS:
            return self._why_no_answers(spec)
        return None

    def prepare(self, spec: LaunchSpec) -> LaunchFiles:
        """Lay out the binary, the model, its inputs and, to time it, the clock library.

        Raises: UserError where the inputs do not fit the model; ValueError for a delegate
        that this kind of tool does not have, which a plan must not have planned.
        """
        tool = {_PROGRAM: self._tool.path, _MODEL: spec.model}
        argv = (f"./{_PROGRAM}", f"--graph={_MODEL}", *self._delegate_flags(spec))
        if spec.purpose is Purpose.NUMERICS:
            return answers_files(argv, tool, self._samples_of(spec))
        inputs = self._inputs_of(spec)
        files = {**tool, **inputs.files}
        if spec.purpose is Purpose.PROFILE:
            flags = profile_flags(spec, compiled=self.kind == COMPILED)
            return LaunchFiles((*argv, *flags, *inputs.flags), files, {}, {}, PROFILE_RESULTS)
        env: dict[str, str] = {}
        results: tuple[str, ...] = (RESULT_FILE, NODES_FILE)
        if self._clock is not None:
            files[_CLOCK] = self._clock
            # With a slash, or the loader looks for it among the system's libraries.
            env = {"LD_PRELOAD": f"./{_CLOCK}", CLOCK_OUT: CLOCK_FILE}
            results = (*results, CLOCK_FILE)
        flags = self._timing_flags(spec)
        return LaunchFiles((*argv, *flags, *inputs.flags), files, {}, env, results)

    def read(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Measurement | None, Failure | None]:
        """Judge what came out; the failure's log is the end of stderr."""
        found = judged(spec.case.delegate.name, output, kind=self.kind)
        if isinstance(found, tuple):
            return found
        log = log_tail(output)
        if problem := without_measurement(found, log, warmup=True) or too_fast(found, log):
            return problem
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
            return failed(Outcome.UNREADABLE, "unreadable", str(error), log)
        return Outcome.OK, measured, None

    def read_profile(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Profiled | None, Failure | None]:
        """Judge a launch with the tool's profiler, likewise."""
        return profile_of(spec, output, kind=self.kind)

    def read_answers(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Answers | None, Failure | None]:
        """Judge a launch that answered each of the samples, likewise."""
        return answers_of(spec, output, self._samples_of(spec), kind=self.kind)

    def _delegate_flags(self, spec: LaunchSpec) -> tuple[str, ...]:
        case = spec.case
        return delegate_flags(
            case.delegate, kind=self.kind, system=self._system, threads=case.threads
        )

    def _timing_flags(self, spec: LaunchSpec) -> tuple[str, ...]:
        limits = spec.limits
        warmup_s = _WARMUP_TIMES * limits.warmup_min_s
        return (
            f"--warmup_runs={max(1, limits.warmup_min_invokes // _WARMUP_PART)}",
            f"--warmup_min_secs={warmup_s:g}",
            f"--num_runs={limits.min_samples}",
            f"--min_secs={limits.measure_min_s:g}",
            # It limits both parts.
            f"--max_secs={max(limits.measure_max_s, warmup_s):g}",
            "--report_peak_memory_footprint=true",
            f"--result_file_path={RESULT_FILE}",
            *nodes_flags(compiled=self.kind == COMPILED),
        )

    def _inputs_of(self, spec: LaunchSpec) -> RawInputs:
        if self.kind == COMPILED:
            return tool_random("benchmark_litert_model takes no input files")
        key = (spec.model, spec.inputs, spec.seed, spec.case.input_shapes)
        if key not in self._inputs:
            self._inputs[key] = raw_inputs(spec, self._scratch)
        return self._inputs[key]

    def _why_no_answers(self, spec: LaunchSpec) -> str | None:
        if self.kind == COMPILED:
            return "benchmark_litert_model takes no input files and does not tell its outputs"
        try:
            self._samples_of(spec)
        except UserError as error:
            return str(error)
        return None

    def _samples_of(self, spec: LaunchSpec) -> RawSamples:
        key = (spec.model, spec.samples, spec.case.input_shapes)
        if key not in self._samples:
            self._samples[key] = raw_samples(spec, self._scratch)
        return self._samples[key]
