"""One device under measurement: launch a case, wait for it or collect it, and never twice."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bench import system_trace
from bench.conditions import CONTEXT, Left, context_of
from bench.errors import EdgebenchError, UserError
from bench.identity import Case
from bench.judging import Over, check_record, not_made, timed_record
from bench.link import DeviceAway, of_the_link, wait_until_back
from bench.numerics.reference import NumericsFiles
from bench.records import CheckRecord, Failure, LaunchRecord, Purpose
from bench.runners.base import LaunchFiles, LaunchLimits, LaunchSpec, Runner
from bench.slots import CaseFiles, CheckSlot, Slot
from devices.deadline import Deadline
from devices.device import Device
from devices.errors import (
    DeviceError,
    DeviceOffline,
    NoSpace,
    PathMissing,
    TransferError,
    Unauthorized,
)
from devices.facts import Facts
from devices.launch import NO_WATCH, Launcher, Watch

HOUSEKEEPING_S = 30.0
# What never arrives whole, over a link that stands, is no matter of waiting.
_MOST_SPOILT = 5
_ENDED = (-signal.SIGTERM, -signal.SIGKILL)


class Stopped(EdgebenchError):
    """The user stopped the run while this device was measured."""


@dataclass(slots=True)
class Session:
    """Measures on one device. Not thread-safe, but for `interrupt`.

    Attributes:
        device: where; facts: what it is.
        runners: by kind, how.
        old_runners, old_python: of the old side of an A/B (Case.is_before), where they are not
            those of today: by kind, and the device's interpreter.
        run_id, seed, limits: of the run.
        launcher: of the device.
        watch: what observes every launch on the device itself.
        ready: called before every launch: renews the lease, waits until the device is cool;
            says what it found, as plain JSON, for the launch's conditions.
        environment: what all launches have in common beside facts and limits: controls.
        prefix: words before every command, such as `taskset f`.
        away_s: how long a device may be out of reach before its queue is given up.
        tell: told, for people, that it is away.
        best_khz: case_id -> best mean frequency per policy seen so far, see
            bench.judging.timed_record.
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
    old_runners: Mapping[str, Runner] = field(default_factory=dict)
    old_python: str | None = None
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
        return self._timed(slot, self._launch(slot, files))

    def check(self, slot: CheckSlot, files: CaseFiles) -> CheckRecord:
        """One launch beside the timed ones; as `launch`.

        Where there can be none the record is NOT_MADE, and the device is not asked.
        """
        if (reason := self.why_none(slot, files)) is not None:
            environment = self._environment(slot.case, files)
            return not_made(slot, self.run_id, environment, reason)
        return self._checked(slot, self._launch(slot, files))

    def why_none(self, slot: CheckSlot, files: CaseFiles) -> str | None:
        """Why there is no launch of this purpose for a case, one line; None if there is one."""
        spec = self._spec(slot, files)
        if slot.purpose is Purpose.NUMERICS:
            if files.numerics is None:
                return "there is nothing to hold the answers against"
            if isinstance(files.numerics, Failure):
                return files.numerics.message
        if slot.purpose is Purpose.TRACE:
            if (reason := system_trace.cannot(self.device.kind)) is not None:
                return reason
        elif (reason := self._runner(slot.case).cannot(spec)) is not None:
            return reason
        try:
            self.needs(slot, files)
        except UserError as error:
            return str(error)
        return None

    def needs(self, slot: Slot | CheckSlot, files: CaseFiles) -> LaunchFiles:
        """What a launch needs on the device. Raises: what Runner.prepare raises."""
        prepared = self._runner(slot.case).prepare(self._spec(slot, files))
        return system_trace.around(prepared) if slot.purpose is Purpose.TRACE else prepared

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
        return self._timed(slot, self._recover(slot, files))

    def recover_check(self, slot: CheckSlot, files: CaseFiles) -> CheckRecord:
        """The same of a launch beside the timed ones."""
        return self._checked(slot, self._recover(slot, files))

    def id_of(self, slot: Slot | CheckSlot) -> str:
        """The id of a launch of this run."""
        return slot.name(self.run_id)

    def _runner(self, case: Case) -> Runner:
        old = self.old_runners.get(case.runner) if case.is_before else None
        return old or self.runners[case.runner]

    def _spec(self, slot: Slot | CheckSlot, files: CaseFiles) -> LaunchSpec:
        numerics = files.numerics if slot.purpose is Purpose.NUMERICS else None
        return LaunchSpec(
            case=slot.case,
            model=files.model,
            inputs=files.inputs,
            seed=self.seed,
            limits=self.limits,
            launch_key=self.id_of(slot),
            # What a system trace is taken of is a launch like the timed ones.
            purpose=Purpose.TIMING if slot.purpose is Purpose.TRACE else slot.purpose,
            samples=numerics.samples if isinstance(numerics, NumericsFiles) else None,
        )

    def _timed(self, slot: Slot, over: Over) -> LaunchRecord:
        best_khz = self.best_khz.setdefault(slot.case.case_id, {})
        return timed_record(slot, over, self._runner(slot.case), best_khz)

    def _checked(self, slot: CheckSlot, over: Over) -> CheckRecord:
        return check_record(slot, over, self._runner(slot.case))

    def _launch(self, slot: Slot | CheckSlot, files: CaseFiles) -> Over:
        """One launch, watched to its end; what it left is removed only if that never comes."""
        identifier = self.id_of(slot)
        self._current = identifier
        try:
            return self._carry_out(slot, identifier, files)
        except DeviceAway:
            raise
        except BaseException:
            with suppress(DeviceError):
                self.launcher.remove(identifier, deadline=Deadline(HOUSEKEEPING_S))
            raise
        finally:
            self._current = None

    def _carry_out(self, slot: Slot | CheckSlot, identifier: str, files: CaseFiles) -> Over:
        prepared = self.needs(slot, files)
        argv, env = self._argv(slot.case, prepared), prepared.env
        prefix = self.prefix
        if slot.purpose is Purpose.TRACE:
            prefix = (*system_trace.prefix(self.limits.timeout_s), *prefix)
        if prefix:
            # Variables such as LD_PRELOAD are for the program and not for its prefix.
            argv = (*prefix, "env", *(f"{k}={v}" for k, v in env.items()), *argv)
            env = {}
        found = self._until_ready(slot.case)
        context: dict[str, Any] = {
            "started_utc": datetime.now(UTC).isoformat(),
            "argv": argv,
            "ready": found,
            "environment": self._environment(slot.case, files),
        }
        if isinstance(slot, Slot):
            context["position"] = slot.position
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
        return self._over(slot, files, left, context, time.monotonic() - began)

    def _recover(self, slot: Slot | CheckSlot, files: CaseFiles) -> Over:
        left = self._collect(self.id_of(slot), self.needs(slot, files).results)
        return self._over(slot, files, left, left.context, None)

    def _over(
        self,
        slot: Slot | CheckSlot,
        files: CaseFiles,
        left: Left,
        context: Mapping[str, Any],
        duration_s: float | None,
    ) -> Over:
        return Over(
            run_id=self.run_id,
            spec=self._spec(slot, files),
            files=files,
            left=left,
            context=context,
            environment=self._environment(slot.case, files),
            duration_s=duration_s,
        )

    def _argv(self, case: Case, prepared: LaunchFiles) -> tuple[str, ...]:
        python = (self.old_python if case.is_before else None) or self.device.python
        found = []
        for word in prepared.argv:
            if word == "{python}":
                if python is None:
                    raise EdgebenchError(
                        f"{self.device.name} has no Python runtime; on a board "
                        f"`edgebench devices provision {self.device.name}` installs one, and "
                        'measure.runners = ["benchmark_model"] needs none'
                    )
                word = python
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

    def _environment(self, case: Case, files: CaseFiles) -> Mapping[str, Any]:
        return {
            "model_sha256": files.model_sha256,
            "runner": case.runner,
            **self._runner(case).environment,
            "device": self.facts.to_json(),
            "limits": asdict(self.limits),
            "simulated": self.device.simulated,
            **self.environment,
        }
