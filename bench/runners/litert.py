"""The runner kind litert: CompiledModel through the C API of the ai-edge-litert wheel."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from bench.identity import Case
from bench.parsers.litert_loop import parse, parse_answered, parse_profile
from bench.records import Failure, Measurement, Outcome, Purpose
from bench.runners import scripts
from bench.runners.base import Answers, LaunchFiles, LaunchSpec, Profiled, RawOutput
from bench.runners.delegates import LITERT, delegates_of, option_problem
from bench.runners.invoke_answers import RESULT as ANSWERS

_SCRIPTS = (scripts.INVOKE_LOOP, scripts.LITERT_ABI, scripts.LITERT_CAPI, scripts.LITERT_LOOP)
# What the log says of a machine -> what its owner can do.
_ADVICE = {
    "Couldn't load Vulkan": "the device has no libvulkan.so.1; install its Vulkan loader",
    "No adapters found": "no Vulkan driver offers an adapter; install the GPU's driver",
}


def not_applicable(case: Case, kind: str) -> str | None:
    """Why this runner can never measure a case on a device of a kind, or None."""
    if kind == "android":
        return "a phone has no Python runtime; benchmark_litert measures there"
    if case.delegate.name not in delegates_of(LITERT):
        return f"LiteRT's CompiledModel has no {case.delegate.name} delegate"
    return _one_thread(case) or option_problem(case.delegate, LITERT)


def _one_thread(case: Case) -> str | None:
    # Seen in LiteRT 2.3: num_threads is XNNPACK's; a process with plain kernels has one thread.
    if case.delegate.name == "none" and case.threads > 1:
        return "LiteRT's CompiledModel runs plain kernels on one thread only"
    return None


class LitertRunner:
    """Measures and profiles on CPU, GPU and NPU wherever there is Python and the wheel."""

    @property
    def kind(self) -> str:
        return LITERT

    @property
    def environment(self) -> Mapping[str, Any]:
        """The sha256 of the scripts that measure."""
        return {"runner_sha256": scripts.scripts_sha256(*_SCRIPTS)}

    def cannot(self, spec: LaunchSpec) -> str | None:
        """Why there is no launch of the spec's purpose, or None if there is one."""
        if spec.purpose is Purpose.PROFILE and spec.case.delegate.name in ("gpu", "npu"):
            return "LiteRT's profiler sees nothing of accelerators"
        return _one_thread(spec.case)

    def prepare(self, spec: LaunchSpec) -> LaunchFiles:
        """Lay out the scripts, the model, the inputs and the spec.

        Raises: ValueError for a delegate, or options of one, that this runner does not have;
        a plan must not have planned it.
        """
        if problem := not_applicable(spec.case, "local"):
            raise ValueError(problem)
        return scripts.laid_out(
            spec, scripts.LITERT_LOOP, beside=_SCRIPTS, purpose={"purpose": str(spec.purpose)}
        )

    def read(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Measurement | None, Failure | None]:
        """Judge what came out; the failure's log is the end of stderr."""
        delegate, threads = spec.case.delegate.name, spec.case.threads
        outcome, measurement, failure = scripts.judged(
            output, lambda log: parse(output.stdout, delegate=delegate, threads=threads, log=log)
        )
        return outcome, measurement, _advised(failure, output)

    def read_profile(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Profiled | None, Failure | None]:
        """Judge a profiling launch, likewise."""
        delegate, threads = spec.case.delegate.name, spec.case.threads
        outcome, profiled, failure = scripts.judged(
            output,
            lambda log: parse_profile(output.stdout, delegate=delegate, threads=threads, log=log),
        )
        return outcome, profiled, _advised(failure, output)

    def read_answers(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Answers | None, Failure | None]:
        """Judge a numerics launch, likewise."""
        outcome, answers, failure = scripts.judged(
            output,
            lambda log: parse_answered(
                output.stdout,
                output.files.get(ANSWERS),
                delegate=spec.case.delegate.name,
                threads=spec.case.threads,
                log=log,
            ),
        )
        return outcome, answers, _advised(failure, output)


def _advised(failure: Failure | None, output: RawOutput) -> Failure | None:
    """A failure of a delegate with what the log says of its cause."""
    if failure is None or failure.kind != "delegate":
        return failure
    log = output.stderr.decode("utf-8", "replace")
    advice = next((advice for words, advice in _ADVICE.items() if words in log), None)
    if advice is None:
        return failure
    return dataclasses.replace(failure, message=f"{failure.message}: {advice}")
