"""From what a launch left behind to its record: outcome, conditions, taints, provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bench import system_trace
from bench.conditions import Conditions, Left, conditions_of, with_energy
from bench.errors import UnreadableOutput
from bench.numerics.compare import numerics_of
from bench.numerics.reference import NumericsFiles
from bench.records import (
    CheckRecord,
    Failure,
    LaunchRecord,
    Measurement,
    Outcome,
    Purpose,
)
from bench.runners.base import LaunchSpec, RawOutput, Runner
from bench.slots import CaseFiles, CheckSlot, Slot
from bench.taint import taints
from devices.errors import STDERR_TAIL_BYTES, DeviceError
from devices.launch import LaunchTimeout
from devices.telemetry import mean_khz


@dataclass(frozen=True, slots=True)
class Over:
    """A launch that is over.

    Attributes:
        spec: what the runner was asked for.
        context: what its record needs beside, see bench.conditions.CONTEXT; {} if that is lost.
        environment: of the record where the context has none.
        duration_s: None for what the device says.
    """

    run_id: str
    spec: LaunchSpec
    files: CaseFiles
    left: Left
    context: Mapping[str, Any]
    environment: Mapping[str, Any]
    duration_s: float | None

    @property
    def started_utc(self) -> datetime:
        started = self.context.get("started_utc")
        return datetime.fromisoformat(started) if started else datetime.now(UTC)

    @property
    def spent_s(self) -> float:
        if self.duration_s is not None:
            return self.duration_s
        return 0.0 if self.left.output is None else self.left.output.duration_s

    @property
    def argv(self) -> tuple[str, ...]:
        return tuple(self.context.get("argv", ()))

    @property
    def raw(self) -> RawOutput | None:
        output = self.left.output
        if output is None:
            return None
        return RawOutput(output.exit_code, output.stdout, output.stderr, output.files)

    @property
    def stderr_tail(self) -> str:
        stderr = b"" if self.left.output is None else self.left.output.stderr
        return stderr[-STDERR_TAIL_BYTES:].decode("utf-8", "replace")

    @property
    def lost(self) -> tuple[Outcome, Failure] | None:
        """Why there is nothing for a runner to read; None if there is."""
        output, error = self.left.output, self.left.error
        if output is None:
            assert error is not None
            return _lost(error, self.spec.limits.timeout_s)
        if output.too_long:
            name, size = next(iter(output.too_long.items()))
            message = f"{name} has {size} bytes, more than are brought back from a device"
            return Outcome.UNREADABLE, Failure("too-long", message)
        return None


def timed_record(
    slot: Slot, over: Over, runner: Runner, best_khz: dict[str, float]
) -> LaunchRecord:
    """The record of a timed launch.

    Args:
        best_khz: of the case: best mean frequency per policy so far, for the frequency taint
            of METHOD section 6; brought up to date.
    """
    measurement: Measurement | None = None
    outcome: Outcome
    failure: Failure | None
    if (lost := over.lost) is not None:
        outcome, failure = lost
    else:
        assert over.raw is not None
        outcome, measurement, failure = _measured(over, runner, over.raw)
    seen = conditions_of(over.left, over.context)
    if measurement is not None:
        measurement = with_energy(measurement, seen)
    return LaunchRecord(
        launch_id=slot.name(over.run_id),
        run_id=over.run_id,
        case_id=slot.case.case_id,
        index=slot.index,
        position=over.context.get("position", slot.position),
        attempt=slot.attempt,
        started_utc=over.started_utc,
        duration_s=over.spent_s,
        outcome=outcome,
        measurement=measurement,
        failure=failure,
        taints=() if measurement is None else _taints(measurement, seen, best_khz),
        conditions=seen.to_json(),
        environment=over.context.get("environment") or over.environment,
        argv=over.argv,
        stderr_tail=over.stderr_tail,
    )


def check_record(slot: CheckSlot, over: Over, runner: Runner) -> CheckRecord:
    """The record of a launch beside the timed ones."""
    record = CheckRecord(
        launch_id=slot.name(over.run_id),
        run_id=over.run_id,
        case_id=slot.case.case_id,
        purpose=slot.purpose,
        attempt=slot.attempt,
        started_utc=over.started_utc,
        duration_s=over.spent_s,
        outcome=Outcome.OK,
        failure=None,
        conditions=conditions_of(over.left, over.context).to_json(),
        environment=over.context.get("environment") or over.environment,
        argv=over.argv,
        stderr_tail=over.stderr_tail,
    )
    if (lost := over.lost) is not None:
        return replace(record, outcome=lost[0], failure=lost[1])
    assert over.raw is not None
    match slot.purpose:
        case Purpose.PROFILE:
            outcome, profiled, failure = runner.read_profile(over.spec, over.raw)
            if profiled is None:
                return replace(record, outcome=outcome, failure=failure)
            return replace(record, profile=profiled.profile, delegation=profiled.delegation)
        case Purpose.NUMERICS:
            return _with_answers(record, over, runner, over.raw)
        case Purpose.TRACE:
            return _with_trace(record, over, runner, over.raw)
        case Purpose.TIMING:
            raise ValueError("a timed launch is no check")


def not_made(
    slot: CheckSlot, run_id: str, environment: Mapping[str, Any], reason: str
) -> CheckRecord:
    """The record of a launch that cannot be: nothing was started, and why stands in it."""
    return CheckRecord(
        launch_id=slot.name(run_id),
        run_id=run_id,
        case_id=slot.case.case_id,
        purpose=slot.purpose,
        attempt=slot.attempt,
        started_utc=datetime.now(UTC),
        duration_s=0.0,
        outcome=Outcome.NOT_MADE,
        failure=Failure("unsupported", reason),
        conditions={"before": None, "after": None},
        environment=environment,
        argv=(),
    )


def _with_answers(record: CheckRecord, over: Over, runner: Runner, raw: RawOutput) -> CheckRecord:
    outcome, answers, failure = runner.read_answers(over.spec, raw)
    if answers is None:
        return replace(record, outcome=outcome, failure=failure)
    assert isinstance(over.files.numerics, NumericsFiles)
    try:
        numerics = numerics_of(answers, over.files.numerics)
    except UnreadableOutput as error:
        failure = Failure("numerics", str(error))
        return replace(
            record, outcome=Outcome.UNREADABLE, failure=failure, delegation=answers.delegation
        )
    return replace(record, numerics=numerics, delegation=answers.delegation)


def _with_trace(record: CheckRecord, over: Over, runner: Runner, raw: RawOutput) -> CheckRecord:
    """The trace is kept also of a launch that failed: it may show why."""
    record = replace(record, artifacts=system_trace.artifacts(raw))
    outcome, measurement, failure = _measured(over, runner, raw)
    if measurement is None:
        return replace(record, outcome=outcome, failure=failure)
    # Its times are those of a launch that was watched: they stand nowhere.
    record = replace(record, delegation=measurement.delegation)
    if not record.artifacts:
        failure = Failure("trace", system_trace.why_none(raw))
        return replace(record, outcome=Outcome.UNREADABLE, failure=failure)
    return record


def _measured(
    over: Over, runner: Runner, raw: RawOutput
) -> tuple[Outcome, Measurement | None, Failure | None]:
    outcome, measurement, failure = runner.read(over.spec, raw)
    if measurement is None:
        return outcome, None, failure
    # True where the runner hashes none.
    sha256 = measurement.runtime.get("model_sha256", over.files.model_sha256)
    if sha256 != over.files.model_sha256:
        # Filed under the wrong model a number is worse than none.
        failure = Failure("wrong-model", "the device measured another file than it was given")
        return Outcome.UNREADABLE, None, failure
    return outcome, measurement, failure


def _lost(error: DeviceError, timeout_s: float) -> tuple[Outcome, Failure]:
    if isinstance(error, LaunchTimeout):
        limit = f"no result within {timeout_s:g} s (measure.timeout_s)"
        return Outcome.TIMED_OUT, Failure("timeout", limit, str(error))
    return Outcome.DEVICE_FAILED, Failure("device", str(error))


def _taints(
    measurement: Measurement, seen: Conditions, best_khz: dict[str, float]
) -> tuple[str, ...]:
    if seen.before is not None and seen.after is not None:
        for policy, khz in mean_khz(seen.before, seen.after).items():
            best_khz[policy] = max(khz, best_khz.get(policy, 0.0))
    conditions = seen.to_json()
    # What the launch itself saw (other load, steal time) counts also where the
    # device did not tell the conditions around it.
    return taints(
        measurement,
        conditions["before"] or {},
        conditions["after"] or {},
        best_khz or None,
        gate=conditions.get("gate"),
        samples=conditions.get("samples", ()),
    )
