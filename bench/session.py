"""One device under measurement: launch a case, read the conditions around it, keep it all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.identity import Case, launch_id
from bench.records import Failure, LaunchRecord, Measurement, Outcome
from bench.runners.base import LaunchFiles, LaunchLimits, LaunchSpec, RawOutput, Runner
from bench.taint import taints
from devices.deadline import Deadline
from devices.device import Device
from devices.errors import STDERR_TAIL_BYTES, DeviceError, DeviceTimeout
from devices.facts import Facts
from devices.launch import Launcher
from devices.telemetry import Snapshot, mean_khz, snapshot

HOUSEKEEPING_S = 30.0


@dataclass(frozen=True, slots=True)
class CaseFiles:
    """The files on the controller that one case is measured with.

    Attributes:
        model: the variant's .tflite; model_sha256: of it.
        inputs: .npz for the runner, or None for a seeded draw.
    """

    model: Path
    model_sha256: str
    inputs: Path | None


@dataclass(slots=True)
class Session:
    """Measures on one device. Not thread-safe: one session belongs to one thread.

    Attributes:
        device: where; facts: what it is.
        runner: how.
        run_id, seed, limits: of the run.
        launcher: of the device.
        best_khz: case_id -> best mean frequency per policy seen so far, for the
            frequency taint of METHOD section 6.
    """

    device: Device
    facts: Facts
    runner: Runner
    run_id: str
    seed: int
    limits: LaunchLimits
    launcher: Launcher
    best_khz: dict[str, dict[str, float]] = field(default_factory=dict)

    def launch(
        self, case: Case, files: CaseFiles, *, index: int, position: int, attempt: int
    ) -> LaunchRecord:
        """One launch, whatever becomes of it.

        Raises: KeyboardInterrupt, after ending what runs on the device. A device
        that fails is a record with the outcome DEVICE_FAILED, not an exception.
        """
        identifier = launch_id(self.run_id, case.case_id, index, attempt)
        spec = LaunchSpec(
            case=case,
            model=files.model,
            inputs=files.inputs,
            seed=self.seed,
            limits=self.limits,
            launch_key=identifier,
        )
        prepared = self.runner.prepare(spec)
        argv = tuple(self.device.python if a == "{python}" else a for a in prepared.argv)
        started = datetime.now(UTC)
        deadline = Deadline(self.limits.timeout_s)
        result = self._attempt(identifier, argv, prepared, deadline)
        if isinstance(result.output, RawOutput):
            outcome, measurement, failure = self.runner.read(spec, result.output)
            stderr = result.output.stderr
            if measurement is not None and not _of_this_model(measurement, files):
                # Filed under the wrong model a number is worse than none.
                outcome, measurement = Outcome.UNREADABLE, None
                failure = Failure(
                    "wrong-model", "the device measured another file than it was given"
                )
        else:
            outcome, measurement, failure = self._lost(result.output, deadline)
            stderr = b""
        return LaunchRecord(
            launch_id=identifier,
            run_id=self.run_id,
            case_id=case.case_id,
            index=index,
            position=position,
            attempt=attempt,
            started_utc=started,
            duration_s=deadline.seconds - deadline.remaining(),
            outcome=outcome,
            measurement=measurement,
            failure=failure,
            taints=() if measurement is None else self._taints(case, measurement, result),
            conditions={
                "before": None if result.before is None else result.before.to_json(),
                "after": None if result.after is None else result.after.to_json(),
            },
            environment=self._environment(files),
            argv=argv,
            stderr_tail=stderr[-STDERR_TAIL_BYTES:].decode("utf-8", "replace"),
        )

    def remove_left_over(self, launch_ids: Callable[[], Iterable[str]]) -> int:
        """End and remove launches whose controller was killed; returns how many there were.

        Args:
            launch_ids: names those that may be removed; asked only if anything is there,
                since a run may have had thousands.

        Raises: what Launcher.remove and Transport.run raise.
        """
        runs = f"{self.device.workdir}/runs"
        listed = self.device.transport.run(
            ["sh", "-c", '[ ! -d "$1" ] || ls -1 "$1"', "edgebench", runs],
            deadline=Deadline(HOUSEKEEPING_S),
        ).check()
        present = set(listed.text.split())
        found = present.intersection(launch_ids()) if present else set()
        for identifier in sorted(found):
            self.launcher.remove(identifier, deadline=Deadline(HOUSEKEEPING_S))
        return len(found)

    def _attempt(
        self, identifier: str, argv: tuple[str, ...], files: LaunchFiles, deadline: Deadline
    ) -> _Attempt:
        before: Snapshot | None = None
        try:
            before = self._snapshot()
            left = self.launcher.run(
                identifier,
                argv,
                files=files.files,
                texts=files.texts,
                env=files.env,
                deadline=deadline,
            )
        except DeviceError as error:
            return _Attempt(before, None, error)
        output = RawOutput(left.exit_code, left.stdout, left.stderr)
        try:
            return _Attempt(before, self._snapshot(), output)
        except DeviceError:
            # The launch is whole; that its conditions afterwards are unknown is no
            # reason to lose it.
            return _Attempt(before, None, output)

    def _lost(self, error: DeviceError, deadline: Deadline) -> tuple[Outcome, None, Failure]:
        if isinstance(error, DeviceTimeout) and deadline.expired():
            limit = f"no result within {deadline.seconds:g} s (measure.timeout_s)"
            return Outcome.TIMED_OUT, None, Failure("timeout", limit, str(error))
        return Outcome.DEVICE_FAILED, None, Failure("device", str(error))

    def _snapshot(self) -> Snapshot:
        return snapshot(self.device.transport, deadline=Deadline(HOUSEKEEPING_S))

    def _taints(
        self, case: Case, measurement: Measurement, conditions: _Attempt
    ) -> tuple[str, ...]:
        before, after = conditions.before, conditions.after
        best = self.best_khz.setdefault(case.case_id, {})
        if before is not None and after is not None:
            for policy, khz in mean_khz(before, after).items():
                best[policy] = max(khz, best.get(policy, 0.0))
        # What the launch itself saw (other load, steal time) counts also where the
        # device did not answer around it.
        return taints(
            measurement,
            {} if before is None else before.to_json(),
            {} if after is None else after.to_json(),
            best or None,
        )

    def _environment(self, files: CaseFiles) -> Mapping[str, Any]:
        return {
            "model_sha256": files.model_sha256,
            "runner": self.runner.kind,
            "device": self.facts.to_json(),
            "limits": asdict(self.limits),
            "simulated": self.device.simulated,
        }


def _of_this_model(measurement: Measurement, files: CaseFiles) -> bool:
    """Whether the runner hashed the very file it was given; True where it hashes none."""
    return bool(measurement.runtime.get("model_sha256", files.model_sha256) == files.model_sha256)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """Conditions before and after, and what the launch left or how the device failed."""

    before: Snapshot | None
    after: Snapshot | None
    output: RawOutput | DeviceError
