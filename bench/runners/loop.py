"""The runner kind invoke_loop: what to lay out, what to start, and how to read the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.parsers.answers import parse_answers
from bench.parsers.invoke_loop import parse
from bench.records import Failure, Measurement, Outcome, Purpose
from bench.runners import scripts
from bench.runners.base import Answers, LaunchFiles, LaunchSpec, Profiled, RawOutput
from bench.runners.delegates import delegates_of, option_problem
from bench.runners.invoke_answers import RESULT as ANSWERS
from bench.runners.litert import LitertRunner

SCRIPT = scripts.INVOKE_LOOP
# The interpreter tells no times of its ops. The C API of the same wheel does, with the same
# XNNPACK and the same plain kernels.
_PROFILER = LitertRunner()


class InvokeLoopRunner:
    """Measures through the Python interpreter of whichever TFLite runtime the device has."""

    @property
    def kind(self) -> str:
        return "invoke_loop"

    @property
    def environment(self) -> Mapping[str, Any]:
        """The script's own sha256: its sum is what a change of method shows in."""
        return {"runner_sha256": scripts.scripts_sha256(SCRIPT)}

    def cannot(self, spec: LaunchSpec) -> str | None:
        """Why there is no launch of the spec's purpose, or None if there is one."""
        if spec.purpose is not Purpose.PROFILE:
            return None
        if spec.case.delegate.name not in ("none", "xnnpack"):
            return f"{self.kind} makes no profile of {spec.case.delegate.name}"
        return _PROFILER.cannot(spec)

    def prepare(self, spec: LaunchSpec) -> LaunchFiles:
        """Lay out the script, the model, the inputs and the spec.

        Raises: ValueError for a delegate, or options of one, that this runner does not have;
        a plan must not have planned it.
        """
        delegate = spec.case.delegate
        if delegate.name not in delegates_of(self.kind):
            raise ValueError(f"invoke_loop has no delegate {delegate.name!r}")
        if problem := option_problem(delegate, self.kind):
            raise ValueError(problem)
        if spec.purpose is Purpose.PROFILE:
            return _PROFILER.prepare(spec)
        script = scripts.ANSWERS if spec.purpose is Purpose.NUMERICS else SCRIPT
        return scripts.laid_out(spec, script, beside=(SCRIPT,), purpose={})

    def read(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Measurement | None, Failure | None]:
        """Judge what came out; the failure's log is the end of stderr."""
        delegate, threads = spec.case.delegate.name, spec.case.threads
        return scripts.judged(
            output, lambda log: parse(output.stdout, delegate=delegate, threads=threads, log=log)
        )

    def read_profile(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Profiled | None, Failure | None]:
        """Judge a profile, made by the C API of the runtime's wheel."""
        return _PROFILER.read_profile(spec, output)

    def read_answers(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Answers | None, Failure | None]:
        """Judge the answers, likewise."""
        return scripts.judged(
            output,
            lambda log: parse_answers(
                output.stdout,
                output.files.get(ANSWERS),
                delegate=spec.case.delegate.name,
                threads=spec.case.threads,
                log=log,
            ),
        )
