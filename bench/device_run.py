"""One device's part of a run: owned, prepared, measured on, and left as it was found."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.checks import check_cases, purposes_of
from bench.config import MeasureConfig
from bench.errors import EdgebenchError, UserError
from bench.estimate import check_estimate_s, launch_estimate_s
from bench.events import Emit, Event, Note, StageAdvanced, StageFinished, StageStarted
from bench.format import first_line
from bench.identity import Case
from bench.link import of_the_link, wait_until_back
from bench.records import CheckRecord, LaunchRecord, Outcome, Purpose
from bench.runners.base import LaunchLimits, Runner
from bench.scheduler import MAX_REPEATS, RunPolicy, measure
from bench.sentinel import SentinelWatch, sentinel_case, sentinel_files
from bench.session import Session, Stopped
from bench.slots import CaseFiles, CheckSlot, Slot, check_slots, slots
from bench.tenancy import STEP_S, Tenancy
from devices import sampler, telemetry
from devices.blobs import BlobStore
from devices.controls import ControlResult, trace_ops
from devices.deadline import Deadline
from devices.device import CONTROLLER_CPU, Device
from devices.errors import DeviceError, LeaseLost
from devices.facts import Facts, read_facts
from devices.launch import Launcher, Watch
from devices.lease import Lease, Owner
from devices.telemetry import snapshot
from devices.thermal import Cooling, gate_limit, wait_until_cool

# A lease outlives its renewal by this much beside the longest launch.
LEASE_MARGIN_S = 180.0
# Slow links move a few hundred KiB a second.
_PUSH_BASE_S = 60.0
_PUSH_BYTES_PER_S = 200_000
BLOBS_MAX_BYTES = 4 * 2**30

# A device that restarts again and again is broken.
_TAKEN_AGAIN = 5

RunnerFor = Callable[[str, Device, Facts], Runner]


@dataclass(frozen=True, slots=True)
class OldTools:
    """What the old side of an A/B is measured with, where that is not what today's is.

    Attributes:
        runner_for: as RunnerFor; None where there is no older one of that kind and device.
        python: interpreter of this machine, on which every device of the run is then.
    """

    runner_for: Callable[[str, Device, Facts], Runner | None]
    python: str | None = None


@dataclass(slots=True)
class DeviceRun:
    """Everything that a run does on one device; a bench.fleet.Job.

    Attributes:
        cases: of this device; files: case_id -> files of the case.
        done, checks_done: launches of this run and device that are stored already.
        keep, keep_check: store one launch for good.
        runner_for: kind, device and its facts -> runner. Raises UserError where the device
            has not what it needs.
        unit: Facts.unit that it had when its facts were last stored; None if never.
        trace: whether to take a system trace of each case.
        old: for cases of an A/B's old side; None where there are none, or nothing is older.
    """

    device: Device
    cases: Sequence[Case]
    files: Mapping[str, CaseFiles]
    done: Sequence[LaunchRecord]
    keep: Callable[[LaunchRecord], None]
    keep_check: Callable[[CheckRecord], None]
    emit: Emit
    run_id: str
    config: MeasureConfig
    limits: LaunchLimits
    runner_for: RunnerFor
    owner: Owner
    unit: str | None = None
    checks_done: Sequence[CheckRecord] = ()
    trace: bool = False
    old: OldTools | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _session: Session | None = None
    _first_c: float | None = None
    _made: list[LaunchRecord] = field(default_factory=list)
    _checked: list[CheckRecord] = field(default_factory=list)
    # Stages that have begun and not ended, the last one last.
    _open: dict[str, None] = field(default_factory=dict)
    _steps: int = 0
    _away_since: float | None = None

    @property
    def name(self) -> str:
        return self.device.name

    @property
    def takes_controller(self) -> bool:
        return CONTROLLER_CPU in self.device.resources

    def interrupt(self) -> None:
        self._stop.set()
        if self._session is not None:
            self._session.interrupt()

    def run(self) -> None:
        """Raises: Stopped, DeviceAway, DeviceError (LeaseHeld above all), UserError."""
        try:
            self._run()
        except (DeviceError, EdgebenchError) as error:
            for stage in tuple(self._open):
                self._tell(StageFinished(stage, first_line(error), ok=False))
            raise

    def _run(self) -> None:
        # A device that does not answer now has not gone away: it was never there.
        facts = self._facts()
        runners = {
            kind: self.runner_for(kind, self.device, facts)
            for kind in dict.fromkeys(case.runner for case in self.cases)
        }
        old_runners = self._old_runners(facts)
        for times_left in range(_TAKEN_AGAIN, -1, -1):
            try:
                with self._tenancy().held() as (lease, controls):
                    if times_left < _TAKEN_AGAIN:
                        facts = self._facts()
                    self._measure(facts, runners, old_runners, lease, controls)
                return
            except LeaseLost as lost:
                # It restarted, or was out of reach for so long that somebody else had it:
                # what was set is void, what was measured stays.
                if not times_left:
                    raise
                self._say(f"{lost.message}; taken again", "warning")
            except DeviceError as error:
                if not times_left or not of_the_link(error):
                    raise
                self._say(f"{error.message}; begun again where it stopped", "warning")
                wait_until_back(
                    self.device,
                    error,
                    away_s=self.config.away_s,
                    tell=self._tell_meanwhile,
                    raise_if_stopped=self._raise_if_stopped,
                    pause=self._pause,
                )

    def _old_runners(self, facts: Facts) -> dict[str, Runner]:
        """By kind, those of an A/B's old side that are not today's."""
        kinds = dict.fromkeys(case.runner for case in self.cases if case.is_before)
        if self.old is None:
            return {}
        made = {kind: self.old.runner_for(kind, self.device, facts) for kind in kinds}
        return {kind: runner for kind, runner in made.items() if runner is not None}

    def _tenancy(self) -> Tenancy:
        return Tenancy(
            device=self.device,
            owner=self.owner,
            wanted={**self.device.controls, **self.config.controls},
            ttl_s=self.limits.timeout_s + LEASE_MARGIN_S,
            say=lambda message: self._say(message, "warning"),
        )

    def _facts(self) -> Facts:
        """What it is. Raises: UserError where another unit than before answers."""
        facts = read_facts(self.device.transport, deadline=Deadline(STEP_S))
        before = {self.unit} | {_unit(record) for record in (*self.done, *self._made)}
        others = before - {None, facts.unit}
        if facts.unit is not None and others:
            raise UserError(
                f"{self.name}: another device answers there than before (unit {facts.unit}, it "
                f"was {min(map(str, others))}); correct its address in devices.toml, or, if it "
                f"was replaced on purpose, tell it by `edgebench devices facts {self.name}`"
            )
        return facts

    def _measure(
        self,
        facts: Facts,
        runners: Mapping[str, Runner],
        old_runners: Mapping[str, Runner],
        lease: Lease,
        controls: tuple[ControlResult, ...],
    ) -> None:
        transport, workdir = self.device.transport, self.device.workdir
        blobs = BlobStore(transport, workdir)
        session = Session(
            device=self.device,
            facts=facts,
            runners=runners,
            run_id=self.run_id,
            seed=self.config.seed,
            limits=self.limits,
            launcher=Launcher(transport, workdir, blobs, pause=self._pause_away),
            watch=Watch(conditions=telemetry.SCRIPT, sampler=sampler.SCRIPT),
            ready=lambda case: self._ready(lease),
            environment={"controls": [asdict(result) for result in controls]},
            prefix=tuple(word for result in controls for word in result.argv_prefix),
            away_s=self.config.away_s,
            tell=self._tell_meanwhile,
            old_runners=old_runners,
            old_python=None if self.old is None else self.old.python,
        )
        self._session = session
        self._raise_if_stopped()
        self._stage(session, blobs)
        of_sentinel = sentinel_case(self.name, self.cases[0].runner)
        self._recover(session, of_sentinel)
        done = [*self.done, *self._made]
        watch = SentinelWatch(
            session,
            of_sentinel,
            keep=self._keep,
            taken=sum(record.case_id == of_sentinel.case_id for record in done),
        )

        def keep(record: LaunchRecord) -> None:
            self._keep(record)
            watch.take_if_due()

        wanted = {case.case_id for case in self.cases}
        watch.take()
        measure(
            self.cases,
            self.files,
            session,
            RunPolicy(
                rounds=self.config.rounds,
                precision=self.config.precision,
                max_rounds=self.config.max_rounds,
                seed=self.config.seed,
                launch_s=launch_estimate_s(self.limits),
            ),
            done=[record for record in done if record.case_id in wanted],
            keep=keep,
            emit=self._tell,
            stage=f"measure:{self.name}",
            title=f"Measuring on {self.name}",
        )
        watch.take()
        self._check(session, lease)

    def _check(self, session: Session, lease: Lease) -> None:
        """The launches beside the timed ones, of every case that ran when it was timed."""
        ran = {r.case_id for r in (*self.done, *self._made) if r.outcome is Outcome.OK}
        cases = [case for case in self.cases if case.case_id in ran]
        if not cases:
            return
        for purpose in self._purposes:
            if purpose is Purpose.TRACE and self.device.kind == "android":
                self._name_ops(session, lease)
            check_cases(
                purpose,
                cases,
                self.files,
                session,
                device=self.name,
                seed=self.config.seed,
                launch_s=check_estimate_s(purpose, self.limits),
                done=(*self.checks_done, *self._checked),
                keep=self._keep_check,
                emit=self._tell,
            )

    @property
    def _purposes(self) -> tuple[Purpose, ...]:
        return purposes_of(self.config, trace=self.trace)

    def _name_ops(self, session: Session, lease: Lease) -> None:
        """Have TFLite name its ops in the traces to come; the tenancy's end puts it back."""
        result = trace_ops(self.device.transport, lease.journal, deadline=Deadline(STEP_S))
        if result.outcome in ("refused", "unsupported"):
            self._say(f"the trace will not name TFLite's ops: {result.reason}", "warning")
        controls = [*session.environment.get("controls", ()), asdict(result)]
        session.environment = {**session.environment, "controls": controls}

    def _ready(self, lease: Lease) -> Mapping[str, Any]:
        """The lease is ours for another launch, and the device is cool."""
        lease.renew(deadline=Deadline(STEP_S))
        self._away_since = None
        result = wait_until_cool(
            self._celsius,
            limit=gate_limit(self.config.start_c, self._first_c),
            budget_s=self.config.cool_s,
            sleep=self._pause,
            clock=time.monotonic,
            tell=self._tell_cooling,
        )
        if self._first_c is None:
            self._first_c = result.end_c
        return {"gate": result.to_json()}

    def _tell_cooling(self, cooling: Cooling) -> None:
        left = "" if cooling.left_s is None else f", about {max(1, round(cooling.left_s))} s"
        self._tell_meanwhile(f"{cooling.now_c:.1f} °C, waiting for {cooling.limit_c:.1f} °C{left}")

    def _celsius(self) -> float | None:
        return snapshot(self.device.transport, deadline=Deadline(STEP_S)).temperature_c

    def _tell_meanwhile(self, message: str) -> None:
        stage = next(reversed(self._open), "")
        if stage and not stage.startswith("push:"):
            self._tell(StageAdvanced(stage, self._steps, message))

    def _raise_if_stopped(self) -> None:
        if self._stop.is_set():
            raise Stopped("stopped")

    def _pause_away(self, seconds: float) -> None:
        """Between two tries to reach a device on which a launch goes on meanwhile."""
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
        away_s = now - self._away_since
        self._tell_meanwhile(f"away for {away_s:.0f} s; what was launched goes on there")
        self._pause(seconds)

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped("stopped")

    def _stage(self, session: Session, blobs: BlobStore) -> None:
        """Have every file on the device before anything is measured."""
        blobs.collect_garbage(BLOBS_MAX_BYTES, deadline=Deadline(STEP_S))
        paths: dict[Path, None] = {}
        for case in self.cases:
            files = self.files[case.case_id]
            wanted: list[Slot | CheckSlot] = [Slot(case, 0, 0, 0)]
            checks = (CheckSlot(case, purpose, 0) for purpose in self._purposes)
            wanted += [slot for slot in checks if session.why_none(slot, files) is None]
            for slot in wanted:
                paths |= dict.fromkeys(session.needs(slot, files).files.values())
        stage = f"push:{self.name}"
        sizes = {path: path.stat().st_size for path in paths}
        total = max(1, sum(sizes.values()))
        self._tell(StageStarted(stage, f"Copying to {self.name}", total, unit="B"))
        sent = 0
        for path, size in sizes.items():
            seconds = _PUSH_BASE_S + size / _PUSH_BYTES_PER_S
            tell = functools.partial(self._tell_pushed, stage, path.name, sent)
            blobs.ensure(path, deadline=Deadline(seconds), on_progress=tell)
            sent += size
            self._tell(StageAdvanced(stage, sent, path.name))
            self._raise_if_stopped()
        self._tell(StageFinished(stage, f"{len(sizes)} files"))

    def _tell_pushed(self, stage: str, name: str, before: int, sent: int, _total: int) -> None:
        self._tell(StageAdvanced(stage, before + sent, name))

    def _recover(self, session: Session, sentinel: Case) -> None:
        """Launches whose controller was lost: collected where they are not stored yet.

        Those of other runs are ended, since nobody else may be at work here, and stay for
        whoever resumes them.
        """
        present = set(session.left_over())
        if not present:
            return
        stored = {r.launch_id for r in (*self.done, *self._made)}
        stored_checks = {r.launch_id for r in (*self.checks_done, *self._checked)}
        rounds = max(self.config.max_rounds, self.config.rounds)
        possible = {
            session.id_of(slot): slot
            for slot in (
                *slots(self.cases, rounds, 1 + MAX_REPEATS),
                *slots([sentinel], 2 + len(stored), 1),
            )
        }
        checks = {session.id_of(slot): slot for slot in check_slots(self.cases, 1 + MAX_REPEATS)}
        files = {**self.files, sentinel.case_id: sentinel_files()}
        found = 0
        for identifier in sorted(present):
            if (check := checks.get(identifier)) is not None:
                of_case = files[check.case.case_id]
                # What cannot be read any more is said when it would be made again.
                if identifier not in stored_checks and session.why_none(check, of_case) is None:
                    self._keep_check(session.recover_check(check, of_case))
                    found += 1
            elif (slot := possible.get(identifier)) is not None:
                if identifier not in stored:
                    self._keep(session.recover(slot, files[slot.case.case_id]))
                    found += 1
            else:
                session.end(identifier)
                continue
            session.forget(identifier)
        if found:
            self._say(f"collected {found} launches whose controller or link was lost")

    def _tell(self, event: Event) -> None:
        if isinstance(event, StageStarted):
            self._open[event.stage] = None
            self._steps = 0
        elif isinstance(event, StageFinished):
            self._open.pop(event.stage, None)
        elif isinstance(event, StageAdvanced):
            self._steps = event.done
        self.emit(event)

    def _keep(self, record: LaunchRecord) -> None:
        self.keep(record)
        self._made.append(record)

    def _keep_check(self, record: CheckRecord) -> None:
        self.keep_check(record)
        self._checked.append(record)

    def _say(self, message: str, level: str = "info") -> None:
        self.emit(Note(f"{self.name}: {message}", level))


def _unit(record: LaunchRecord) -> str | None:
    device = record.environment.get("device")
    unit = device.get("unit") if isinstance(device, Mapping) else None
    return unit if isinstance(unit, str) else None
