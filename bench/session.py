"""One device under measurement: launch a case, read the conditions around it, keep it all."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.conditions import CONTEXT, Conditions, Left, conditions_of, context_of, with_energy
from bench.errors import EdgebenchError
from bench.identity import Case, launch_id
from bench.link import DeviceAway, of_the_link, wait_until_back
from bench.records import Failure, LaunchRecord, Measurement, Outcome
from bench.runners.base import LaunchFiles, LaunchLimits, LaunchSpec, RawOutput, Runner
from bench.taint import taints
from devices.deadline import Deadline
from devices.device import Device
from devices.errors import (
    STDERR_TAIL_BYTES,
    DeviceError,
    DeviceOffline,
    NoSpace,
    PathMissing,
    TransferError,
    Unauthorized,
)
from devices.facts import Facts
from devices.launch import NO_WATCH, Launcher, LaunchTimeout, Watch
from devices.telemetry import mean_khz

HOUSEKEEPING_S = 30.0
# What never arrives whole, over a link that stands, is no matter of waiting.
_MOST_SPOILT = 5
_ENDED = (-signal.SIGTERM, -signal.SIGKILL)


class Stopped(EdgebenchError):
    """The user stopped the run while this device was measured."""


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


@dataclass(frozen=True, slots=True)
class Slot:
    """Which launch of a run: a case, its round, its place there, and the how-manieth try."""

    case: Case
    index: int
    position: int
    attempt: int


@dataclass(slots=True)
class Session:
    """Measures on one device. Not thread-safe, but for `interrupt`.

    Attributes:
        device: where; facts: what it is.
        runners: by kind, how.
        run_id, seed, limits: of the run.
        launcher: of the device.
        watch: what observes every launch on the device itself.
        ready: called before every launch: renews the lease, waits until the device is cool;
            says what it found, as plain JSON, for the launch's conditions.
        environment: what all launches have in common beside facts and limits: controls.
        prefix: words before every command, such as `taskset f`.
        away_s: how long a device may be out of reach before its queue is given up.
        tell: told, for people, that it is away.
        best_khz: case_id -> best mean frequency per policy seen so far, for the
            frequency taint of METHOD section 6.
    """

    device: Device
    facts: Facts
    runners: Mapping[str, Runner]
    run_id: str
    seed: int
    limits: LaunchLimits
    launcher: Launcher
    watch: Watch = NO_WATCH
    ready: Callable[[Case], Mapping[str, Any]] = lambda case: {}
    environment: Mapping[str, Any] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    away_s: float = 300.0
    tell: Callable[[str], object] = lambda message: None
    pause: Callable[[float], None] = time.sleep
    best_khz: dict[str, dict[str, float]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _current: str | None = None

    def launch(
        self, case: Case, files: CaseFiles, *, index: int, position: int, attempt: int
    ) -> LaunchRecord:
        """One launch, whatever becomes of it; its directory stays until `forget`.

        Raises: Stopped, KeyboardInterrupt (what runs on the device is ended and removed),
        DeviceAway, NoSpace. Any other failure of the device is a record with the outcome
        DEVICE_FAILED, not an exception.
        """
        slot = Slot(case, index, position, attempt)
        identifier = self.id_of(slot)
        self._current = identifier
        try:
            return self._launch(slot, identifier, files)
        except DeviceAway:
            raise
        except BaseException:
            with suppress(DeviceError):
                self.launcher.remove(identifier, deadline=Deadline(HOUSEKEEPING_S))
            raise
        finally:
            self._current = None

    def forget(self, identifier: str) -> None:
        """Remove what a launch left on the device: its record is stored.

        What cannot be removed now is removed when the device is measured on again.
        """
        with suppress(DeviceError):
            self.launcher.remove(identifier, deadline=Deadline(HOUSEKEEPING_S))

    def end(self, identifier: str) -> None:
        """End a launch of another run if it still runs; what it left stays.

        Raises: what Launcher.end raises, but nothing for what is no launch.
        """
        with suppress(ValueError):
            self.launcher.end(identifier, deadline=Deadline(HOUSEKEEPING_S))

    def interrupt(self) -> None:
        """End the launch under way and begin no other; from any thread."""
        self._stop.set()
        if (current := self._current) is not None:
            with suppress(DeviceError):
                self.launcher.end(current, deadline=Deadline(HOUSEKEEPING_S))

    def left_over(self) -> tuple[str, ...]:
        """Ids of the launches that lie on the device.

        Raises: what Transport.run raises.
        """
        runs = f"{self.device.workdir}/runs"
        listed = self.device.transport.run(
            ["sh", "-c", '[ ! -d "$1" ] || ls -1 "$1"', "edgebench", runs],
            deadline=Deadline(HOUSEKEEPING_S),
        ).check()
        return tuple(listed.text.split())

    def recover(self, slot: Slot, files: CaseFiles) -> LaunchRecord:
        """The record of a launch whose controller was lost while it ran.

        It is waited for where it still runs. Raises as `launch`, and never starts anything.
        """
        prepared = self.runners[slot.case.runner].prepare(self._spec(slot, files))
        return self._judge(slot, files, self._collect(self.id_of(slot), prepared.results))

    def id_of(self, slot: Slot) -> str:
        """The id of a launch of this run."""
        return launch_id(self.run_id, slot.case.case_id, slot.index, slot.attempt)

    def _spec(self, slot: Slot, files: CaseFiles) -> LaunchSpec:
        return LaunchSpec(
            case=slot.case,
            model=files.model,
            inputs=files.inputs,
            seed=self.seed,
            limits=self.limits,
            launch_key=self.id_of(slot),
        )

    def _launch(self, slot: Slot, identifier: str, files: CaseFiles) -> LaunchRecord:
        runner = self.runners[slot.case.runner]
        prepared = runner.prepare(self._spec(slot, files))
        argv, env = self._argv(prepared), prepared.env
        if self.prefix:
            # Variables such as LD_PRELOAD are for the program and not for its prefix.
            argv = (*self.prefix, "env", *(f"{k}={v}" for k, v in env.items()), *argv)
            env = {}
        found = self._until_ready(slot.case)
        context = {
            "started_utc": datetime.now(UTC).isoformat(),
            "position": slot.position,
            "argv": argv,
            "ready": found,
            "environment": self._environment(slot.case, files),
        }
        began = time.monotonic()
        try:
            output = self.launcher.run(
                identifier,
                argv,
                files=prepared.files,
                texts={**prepared.texts, CONTEXT: json.dumps(context)},
                env=env,
                deadline=Deadline(self.limits.timeout_s),
                results=(*prepared.results, CONTEXT),
                watch=self.watch,
            )
        except DeviceError as error:
            left = self._after(error, identifier, prepared.results)
        else:
            left = Left(output, None, context)
        if isinstance(left.error, NoSpace):
            # All that follow would fail alike, and none of it is the fault of a case.
            raise left.error
        if left.output is None or left.output.exit_code in _ENDED:
            # Ended by `interrupt`, perhaps; one that had ended before is kept.
            self._raise_if_stopped()
        return self._judge(slot, files, left, context, time.monotonic() - began)

    def _argv(self, prepared: LaunchFiles) -> tuple[str, ...]:
        found = []
        for word in prepared.argv:
            if word == "{python}":
                if self.device.python is None:
                    raise EdgebenchError(
                        f"{self.device.name} has no Python runtime; on a board "
                        f"`edgebench devices provision {self.device.name}` installs one, and "
                        'measure.runners = ["benchmark_model"] needs none'
                    )
                word = self.device.python
            found.append(word)
        return tuple(found)

    def _until_ready(self, case: Case) -> Mapping[str, Any]:
        """Prepare the device; one that is away meanwhile is waited for."""
        spoilt = 0
        while True:
            self._raise_if_stopped()
            try:
                return self.ready(case)
            except DeviceError as error:
                spoilt += 1
                if not of_the_link(error) or spoilt > _MOST_SPOILT:
                    raise
                self._come_back(error)

    def _after(self, error: DeviceError, identifier: str, results: Sequence[str]) -> Left:
        """What is left of a launch whose call failed: the link may have, and not the launch."""
        if self._stop.is_set() or not of_the_link(error):
            return Left(None, error, {})
        waited_s = self._come_back(error)
        left = self._collect(identifier, results)
        if isinstance(left.error, PathMissing):
            # It was never started: what went wrong then is what there is to say.
            left = replace(left, error=error)
        return replace(left, link=f"{error}; back after {waited_s:.0f} s")

    def _collect(self, identifier: str, results: Sequence[str]) -> Left:
        deadline = Deadline(self.limits.timeout_s)
        spoilt = 0
        while True:
            try:
                output = self.launcher.wait(
                    identifier, deadline=deadline, results=(*results, CONTEXT)
                )
            except (DeviceOffline, TransferError, Unauthorized) as error:
                spoilt += isinstance(error, TransferError)
                if self._stop.is_set() or spoilt > _MOST_SPOILT:
                    return Left(None, error, {})
                self._come_back(error)
                continue
            except DeviceError as error:
                return Left(None, error, {})
            return Left(output, None, context_of(output))

    def _come_back(self, error: DeviceError) -> float:
        """Wait until the device answers again; seconds waited. Raises: DeviceAway, Stopped."""
        return wait_until_back(
            self.device,
            error,
            away_s=self.away_s,
            tell=self.tell,
            raise_if_stopped=self._raise_if_stopped,
            pause=self.pause,
        )

    def _raise_if_stopped(self) -> None:
        if self._stop.is_set():
            raise Stopped("stopped")

    def _judge(
        self,
        slot: Slot,
        files: CaseFiles,
        left: Left,
        context: Mapping[str, Any] | None = None,
        duration_s: float | None = None,
    ) -> LaunchRecord:
        context = context if context is not None else left.context
        spec = self._spec(slot, files)
        measurement: Measurement | None = None
        stderr = b""
        if left.output is not None:
            raw = RawOutput(
                left.output.exit_code, left.output.stdout, left.output.stderr, left.output.files
            )
            outcome, measurement, failure = self.runners[slot.case.runner].read(spec, raw)
            stderr = raw.stderr
            if measurement is not None and not _of_this_model(measurement, files):
                # Filed under the wrong model a number is worse than none.
                outcome, measurement = Outcome.UNREADABLE, None
                failure = Failure(
                    "wrong-model", "the device measured another file than it was given"
                )
        else:
            assert left.error is not None
            outcome, failure = self._lost(left.error)
        seen = conditions_of(left, context)
        if measurement is not None:
            measurement = with_energy(measurement, seen)
        started = context.get("started_utc")
        spent_s = 0.0 if left.output is None else left.output.duration_s
        return LaunchRecord(
            launch_id=self.id_of(slot),
            run_id=self.run_id,
            case_id=slot.case.case_id,
            index=slot.index,
            position=context.get("position", slot.position),
            attempt=slot.attempt,
            started_utc=datetime.fromisoformat(started) if started else datetime.now(UTC),
            duration_s=spent_s if duration_s is None else duration_s,
            outcome=outcome,
            measurement=measurement,
            failure=failure,
            taints=() if measurement is None else self._taints(slot.case, measurement, seen),
            conditions=seen.to_json(),
            environment=context.get("environment") or self._environment(slot.case, files),
            argv=tuple(context.get("argv", ())),
            stderr_tail=stderr[-STDERR_TAIL_BYTES:].decode("utf-8", "replace"),
        )

    def _lost(self, error: DeviceError) -> tuple[Outcome, Failure]:
        if isinstance(error, LaunchTimeout):
            limit = f"no result within {self.limits.timeout_s:g} s (measure.timeout_s)"
            return Outcome.TIMED_OUT, Failure("timeout", limit, str(error))
        return Outcome.DEVICE_FAILED, Failure("device", str(error))

    def _taints(self, case: Case, measurement: Measurement, seen: Conditions) -> tuple[str, ...]:
        best = self.best_khz.setdefault(case.case_id, {})
        if seen.before is not None and seen.after is not None:
            for policy, khz in mean_khz(seen.before, seen.after).items():
                best[policy] = max(khz, best.get(policy, 0.0))
        conditions = seen.to_json()
        # What the launch itself saw (other load, steal time) counts also where the
        # device did not tell the conditions around it.
        return taints(
            measurement,
            conditions["before"] or {},
            conditions["after"] or {},
            best or None,
            gate=conditions.get("gate"),
            samples=conditions.get("samples", ()),
        )

    def _environment(self, case: Case, files: CaseFiles) -> Mapping[str, Any]:
        return {
            "model_sha256": files.model_sha256,
            "runner": case.runner,
            **self.runners[case.runner].environment,
            "device": self.facts.to_json(),
            "limits": asdict(self.limits),
            "simulated": self.device.simulated,
            **self.environment,
        }


def slots(cases: Iterable[Case], rounds: int, attempts: int) -> Iterable[Slot]:
    """Every launch that a run may have begun; their positions are not known."""
    for case in cases:
        for index in range(rounds):
            for attempt in range(attempts):
                yield Slot(case, index, 0, attempt)


def _of_this_model(measurement: Measurement, files: CaseFiles) -> bool:
    """Whether the runner hashed the very file it was given; True where it hashes none."""
    return bool(measurement.runtime.get("model_sha256", files.model_sha256) == files.model_sha256)
