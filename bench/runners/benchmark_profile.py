"""PROFILE with benchmark_model: flags of its profiler, and a profile of what came out.

Flags: LiteRT, tflite/tools/benchmark/benchmark_tflite_model.cc (classic) and
litert/tools/benchmark_litert_model.h (CompiledModel). A classic tool that is too old to
write a file prints tables, which are read as well.
"""

from __future__ import annotations

import dataclasses

from bench.delegation.judge import judge_tool
from bench.errors import UnreadableOutput
from bench.ops.model import OpProfile
from bench.parsers.benchmark_model import ToolOutput, average, decode
from bench.parsers.benchmark_proto import parse_runtime_info
from bench.parsers.op_profile import DROPPED_NOTE, parse_profile_text
from bench.parsers.op_proto import parse_profile_proto
from bench.records import Failure, Outcome
from bench.runners.base import LaunchSpec, Profiled, RawOutput
from bench.runners.benchmark_judging import failed, judged, log_tail, without_measurement
from bench.runners.benchmark_reading import NODES_FILE, nodes_flags
from bench.runners.delegates import COMPILED

_PROFILE_FILE = "profile.pb"
PROFILE_RESULTS = (NODES_FILE, _PROFILE_FILE)
# Enough for a mean, and few enough for a device that gets slow when it gets warm.
_RUNS = 50
_WARMUP_RUNS, _WARMUP_S = 2, 0.1
# Events of one run: a loop in a model makes many of each node.
_BUFFER = 16384
_NOT_IMPLEMENTED = b"Profile is not implemented"


def why_no_profile(spec: LaunchSpec, *, compiled: bool) -> str | None:
    """Why the tool has no profile of a case, or None if nothing speaks against it."""
    delegate = spec.case.delegate
    if (
        compiled
        and delegate.name == "gpu"
        and dict(delegate.options).get("gpu_backend") == "webgpu"
    ):
        return "LiteRT's WebGPU accelerator has no profiler"
    return None


def profile_flags(spec: LaunchSpec, *, compiled: bool) -> tuple[str, ...]:
    """All but those of the model, its delegate and its inputs."""
    limits = spec.limits
    profiler: tuple[str, ...] = ("--use_profiler=true",)
    if not compiled:
        profiler = (
            "--enable_op_profiling=true",
            "--op_profiling_output_mode=proto",
            f"--op_profiling_output_file={_PROFILE_FILE}",
            f"--max_profiling_buffer_entries={_BUFFER}",
            "--allow_dynamic_profiling_buffer_increase=true",
        )
    return (
        f"--warmup_runs={_WARMUP_RUNS}",
        f"--warmup_min_secs={min(_WARMUP_S, limits.warmup_min_s):g}",
        f"--num_runs={min(_RUNS, limits.min_samples)}",
        f"--min_secs={limits.measure_min_s:g}",
        f"--max_secs={limits.measure_max_s:g}",
        *profiler,
        *nodes_flags(compiled=compiled),
    )


def profile_of(
    spec: LaunchSpec, output: RawOutput, *, kind: str
) -> tuple[Outcome, Profiled | None, Failure | None]:
    """Judge a launch and read its profile; kind: of the runner."""
    log = log_tail(output)
    if _NOT_IMPLEMENTED in output.stderr:
        message = "the accelerator cannot be profiled: LiteRT says that it is not implemented"
        return failed(Outcome.LOAD_FAILED, "profile", message, log)
    name, compiled = spec.case.delegate.name, kind == COMPILED
    found = judged(name, output, kind=kind)
    if isinstance(found, tuple):
        return found
    if problem := without_measurement(found, log, warmup=False):
        return problem
    try:
        profile = _profile(output)
        nodes = output.files.get(NODES_FILE)
        graph = None if nodes is None else parse_runtime_info(nodes)
    except UnreadableOutput as error:
        return failed(Outcome.UNREADABLE, "profile", str(error), log)
    if profile is None:
        message = "the tool ended with success and without a profile"
        return failed(Outcome.UNREADABLE, "profile", message, log)
    profile = _complete(profile, found, spec.case.threads, compiled=compiled)
    delegation = judge_tool(name, found, graph, compiled=compiled, profile=profile)
    return Outcome.OK, Profiled(profile, delegation), None


def _profile(output: RawOutput) -> OpProfile | None:
    if _PROFILE_FILE in output.files:
        return parse_profile_proto(output.files[_PROFILE_FILE])
    for stream in (output.stdout, output.stderr):
        if (profile := parse_profile_text(decode(stream))) is not None:
            return profile
    return None


def _complete(profile: OpProfile, found: ToolOutput, threads: int, *, compiled: bool) -> OpProfile:
    """With what the rest of the output tells of it."""
    measured, warmup = found.text.measured, found.text.warmup
    assert measured is not None
    assert warmup is not None
    runs = measured.count + (warmup.count if compiled else 0)
    notes = profile.notes
    if profile.runs is not None and profile.runs != runs:
        notes = (*notes, f"the profile is of {profile.runs} runs, and the tool made {runs}")
    if found.log.dropped_rows:
        notes = (*notes, DROPPED_NOTE)
    return dataclasses.replace(
        profile,
        runs=profile.runs or runs,
        invoke_us=average(measured),
        threads=threads,
        notes=tuple(dict.fromkeys(notes)),
        complete=profile.complete and not found.log.dropped_rows,
    )
