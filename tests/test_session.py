"""One session on a device that fails in every way: what is recorded, and what is left."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from records import RUN_ID, case, measurement

from bench.events import silent
from bench.identity import launch_id
from bench.link import DeviceAway
from bench.records import Failure, HostLoad, LaunchRecord, Measurement, Outcome
from bench.runners.base import Answers, LaunchFiles, LaunchLimits, LaunchSpec, Profiled, RawOutput
from bench.scheduler import RunPolicy, measure
from bench.session import Session, Stopped
from bench.slots import CaseFiles, Slot
from devices import sampler, telemetry
from devices.blobs import BlobStore
from devices.deadline import Deadline
from devices.device import Device
from devices.emulated.fake import Fault, FaultyTransport
from devices.errors import NoSpace
from devices.facts import read_facts
from devices.launch import Launcher, Watch
from devices.local import LocalTransport
from devices.transport import CommandResult

# What the first launch of a session asks of its transport, call by call.
CHECK, PUSH, CHECKED, START, WAIT, FETCH, REMOVE = range(1, 8)
MODEL_SHA = "a" * 64


def short_pause(seconds: float) -> None:
    time.sleep(min(seconds, 0.01))


class ScriptRunner:
    """Runs a line of sh in place of a benchmark, and measures what `result` says."""

    kind = "invoke_loop"
    environment: Mapping[str, Any] = MappingProxyType({"runner_sha256": "r" * 64})

    def __init__(self, script: str, result: Measurement) -> None:
        self.script, self.result = script, result
        self.env: dict[str, str] = {}

    def cannot(self, spec: LaunchSpec) -> str | None:
        return f"a line of sh has no launch for {spec.purpose}"

    def prepare(self, spec: LaunchSpec) -> LaunchFiles:
        return LaunchFiles(("sh", "-c", self.script), {"model.tflite": spec.model}, {}, self.env)

    def read(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Measurement | None, Failure | None]:
        assert output.stdout == b"measured\n"
        return Outcome.OK, self.result, None

    def read_profile(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Profiled | None, Failure | None]:
        raise AssertionError("there is no such launch")

    def read_answers(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Answers | None, Failure | None]:
        raise AssertionError("there is no such launch")


class Lab:
    """A session over a transport with faults, on this machine."""

    def __init__(
        self,
        folder: Path,
        faults: Mapping[int, Fault] | None = None,
        *,
        script: str = "echo measured",
        result: Measurement | None = None,
        timeout_s: float = 60.0,
        away_s: float = 5.0,
    ) -> None:
        self.runs = folder / "work/runs"
        model = folder / "model.tflite"
        model.write_bytes(b"weights" * 100)
        self.files = CaseFiles(model, MODEL_SHA, None)
        self.transport = FaultyTransport(LocalTransport(), faults or {})
        workdir = str(folder / "work")
        self.launcher = Launcher(
            self.transport, workdir, BlobStore(self.transport, workdir), pause=short_pause
        )
        self.session = Session(
            device=Device("d", "linux", self.transport, workdir, "python3", frozenset(), False),
            facts=read_facts(LocalTransport(), deadline=Deadline(60)),
            runners={"invoke_loop": ScriptRunner(script, result or measurement())},
            run_id=RUN_ID,
            seed=0,
            limits=LaunchLimits(timeout_s=timeout_s),
            launcher=self.launcher,
            watch=Watch(conditions=telemetry.SCRIPT, sampler=sampler.SCRIPT),
            away_s=away_s,
            pause=short_pause,
        )

    def launch(self) -> LaunchRecord:
        record = self.session.launch(case(), self.files, index=0, position=3, attempt=0)
        self.session.forget(record.launch_id)
        assert self.left_over() == []
        assert record.failure is None or "\n" not in record.failure.message
        return record

    def left_over(self) -> list[str]:
        return sorted(p.name for p in self.runs.iterdir()) if self.runs.exists() else []

    def start(self, identifier: str, script: str) -> None:
        self.launcher.start(
            identifier, ["sh", "-c", script], files={}, texts={}, env={}, deadline=Deadline(60)
        )

    def group(self, identifier: str) -> int:
        return int((self.runs / identifier / ".launch/group").read_text().split()[0])


def living(group: int) -> bool:
    """Whether any process of a group lives; zombies do not count."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rpartition(") ")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state not in "ZX":
            return True
    return False


def test_a_launch_with_everything_around_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    record = lab.launch()
    assert lab.transport.calls == REMOVE
    assert (record.outcome, record.failure, record.taints) == (Outcome.OK, None, ())
    assert record.launch_id == launch_id(RUN_ID, case().case_id, 0, 0)
    assert record.argv == ("sh", "-c", "echo measured")
    assert record.conditions["before"]["uptime_s"] <= record.conditions["after"]["uptime_s"]
    assert record.environment["model_sha256"] == MODEL_SHA
    assert record.environment["runner_sha256"] == "r" * 64


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({CHECK: Fault.DROP}, "the link dropped"),
        ({PUSH: Fault.TRUNCATE, CHECKED + 1: Fault.TRUNCATE}, "arrived wrong 2 times"),
        ({START: Fault.DROP}, "the link dropped"),
        ({START: Fault.FREEZE}, "no answer"),
    ],
)
def test_a_launch_that_never_began_is_recorded_as_the_devices_failure(
    tmp_path: Path, faults: Mapping[int, Fault], words: str
) -> None:
    record = Lab(tmp_path, faults).launch()
    assert record.outcome is Outcome.DEVICE_FAILED
    assert record.measurement is None
    assert record.failure is not None
    assert record.failure.kind == "device"
    assert words in record.failure.message
    assert (record.conditions["before"], record.conditions["after"]) == (None, None)


def test_a_full_disk_is_no_record_of_a_case_but_ends_the_devices_part(tmp_path: Path) -> None:
    lab = Lab(tmp_path, {PUSH: Fault.NO_SPACE})
    with pytest.raises(NoSpace, match="No space left on device"):
        lab.launch()


@pytest.mark.parametrize(
    "faults",
    [
        {PUSH: Fault.TRUNCATE},
        {START: Fault.DROP_AFTER},
        {WAIT: Fault.DROP},
        {WAIT: Fault.DROP_AFTER},
        {WAIT: Fault.FREEZE},
        {FETCH: Fault.DROP},
        {FETCH: Fault.DROP_AFTER},
        {FETCH: Fault.FREEZE},
        {FETCH: Fault.TRUNCATE},
        {WAIT: Fault.DROP, WAIT + 1: Fault.DROP_AFTER},
    ],
)
def test_what_can_be_made_good_loses_nothing(tmp_path: Path, faults: Mapping[int, Fault]) -> None:
    record = Lab(tmp_path, faults).launch()
    assert (record.outcome, record.failure) == (Outcome.OK, None)
    assert record.measurement is not None
    assert record.conditions["before"] is not None
    assert record.conditions["after"] is not None


def test_a_launch_whose_link_dropped_for_long_is_collected_and_not_repeated(
    tmp_path: Path,
) -> None:
    """The launch's own deadline passes while nobody can see it."""
    away = dict.fromkeys(range(WAIT, WAIT + 6), Fault.DROP)
    lab = Lab(tmp_path, away, script="echo x >> ../../ran; echo measured", timeout_s=1.0)
    record = lab.launch()
    assert record.outcome is Outcome.OK
    assert "the link dropped" in record.conditions["link"]
    assert (tmp_path / "work/ran").read_text() == "x\n"


def test_a_device_that_stays_away_is_given_up_and_keeps_what_it_finished(tmp_path: Path) -> None:
    away = dict.fromkeys(range(WAIT, 10_000), Fault.DROP)
    lab = Lab(tmp_path, away, timeout_s=0.5, away_s=0.2)
    with pytest.raises(DeviceAway, match="d is away: the link dropped"):
        lab.launch()
    assert lab.left_over() == [launch_id(RUN_ID, case().case_id, 0, 0)]

    again = Lab(tmp_path, script="exit 99")
    assert again.session.left_over() == tuple(lab.left_over())
    record = again.session.recover(Slot(case(), 0, 0, 0), again.files)
    assert (record.outcome, record.position, record.attempt) == (Outcome.OK, 3, 0)
    assert record.launch_id == launch_id(RUN_ID, case().case_id, 0, 0)
    assert record.conditions["before"] is not None
    assert record.argv == ("sh", "-c", "echo measured")


def test_a_launch_that_still_runs_is_waited_for(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.start(launch_id(RUN_ID, case().case_id, 0, 1), "sleep 0.5; echo measured")
    record = lab.session.recover(Slot(case(), 0, 0, 1), lab.files)
    assert (record.outcome, record.attempt) == (Outcome.OK, 1)


def test_a_launch_that_died_with_its_device_is_no_measurement(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    identifier = launch_id(RUN_ID, case().case_id, 0, 0)
    lab.start(identifier, "sleep 1000")
    os.killpg(lab.group(identifier), signal.SIGKILL)
    record = lab.session.recover(Slot(case(), 0, 0, 0), lab.files)
    assert record.outcome is Outcome.DEVICE_FAILED
    assert record.failure is not None
    assert "without an exit status" in record.failure.message


def test_other_load_taints_also_where_the_conditions_are_missing(tmp_path: Path) -> None:
    busy = measurement(
        load=HostLoad(wall_ns=10**9, process_cpu_ns=10**9, busy_ns=2 * 10**9, steal_ns=0)
    )
    lab = Lab(tmp_path, result=busy)
    lab.session = dataclasses.replace(lab.session, watch=Watch())
    record = lab.launch()
    assert record.outcome is Outcome.OK
    assert [taint.split(":")[0] for taint in record.taints] == ["other load"]


def test_a_launch_that_hangs_is_timed_out(tmp_path: Path) -> None:
    record = Lab(tmp_path, script="sleep 1000", timeout_s=1.5).launch()
    assert record.outcome is Outcome.TIMED_OUT
    assert record.measurement is None
    assert record.failure is not None
    assert record.failure.kind == "timeout"
    assert record.failure.message == "no result within 1.5 s (measure.timeout_s)"


def test_a_number_of_another_model_is_not_filed(tmp_path: Path) -> None:
    of_another = measurement(runtime={"model_sha256": "b" * 64})
    record = Lab(tmp_path, result=of_another).launch()
    assert (record.outcome, record.measurement) == (Outcome.UNREADABLE, None)
    assert record.failure is not None
    assert record.failure.kind == "wrong-model"
    same = measurement(runtime={"model_sha256": MODEL_SHA})
    assert Lab(tmp_path, result=same).launch().outcome is Outcome.OK


def test_a_device_that_fails_once_is_asked_again_and_both_are_recorded(tmp_path: Path) -> None:
    lab = Lab(tmp_path, {START: Fault.DROP})
    kept: list[LaunchRecord] = []
    measure(
        [case()],
        {case().case_id: lab.files},
        lab.session,
        RunPolicy(rounds=1, precision=None, max_rounds=1, seed=0, launch_s=1.0),
        done=[],
        keep=kept.append,
        emit=silent,
    )
    assert [(r.attempt, r.outcome) for r in kept] == [
        (0, Outcome.DEVICE_FAILED),
        (1, Outcome.OK),
    ]


class Interrupted(FaultyTransport):
    """A link during one call of which somebody presses Ctrl-C."""

    def __init__(self, at: int) -> None:
        super().__init__(LocalTransport(), {})
        self.at = at

    def run(
        self, argv: Sequence[str], *, deadline: Deadline, stdin: bytes | None = None
    ) -> CommandResult:
        if self.calls + 1 == self.at:
            self.calls += 1
            raise KeyboardInterrupt
        return super().run(argv, deadline=deadline, stdin=stdin)


def test_ctrl_c_during_a_launch_ends_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path, script="echo $$ > " + str(tmp_path / "pid") + "; sleep 1000")
    transport = Interrupted(WAIT)
    workdir = lab.session.device.workdir
    session = dataclasses.replace(
        lab.session,
        device=dataclasses.replace(lab.session.device, transport=transport),
        launcher=Launcher(transport, workdir, BlobStore(transport, workdir)),
    )
    with pytest.raises(KeyboardInterrupt):
        session.launch(case(), lab.files, index=0, position=0, attempt=0)
    assert transport.calls > WAIT
    assert lab.left_over() == []


def test_interrupt_ends_the_launch_under_way_from_another_thread(tmp_path: Path) -> None:
    lab = Lab(tmp_path, script=f"echo $$ > {tmp_path}/pid; sleep 1000")
    running = threading.Thread(target=lambda: (wait_for(tmp_path / "pid"), lab.session.interrupt()))
    running.start()
    with pytest.raises(Stopped):
        lab.session.launch(case(), lab.files, index=0, position=0, attempt=0)
    running.join()
    assert lab.left_over() == []
    with pytest.raises(Stopped):
        lab.session.launch(case(), lab.files, index=1, position=0, attempt=0)


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def test_launches_of_other_runs_are_ended_and_stay(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.start("theirs", "sleep 1000")
    group = lab.group("theirs")
    lab.session.end("theirs")
    lab.session.end("not a name of ours")
    assert not living(group)
    assert lab.left_over() == ["theirs"]


def test_variables_are_for_the_program_and_not_for_what_stands_before_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path, script='[ "$EDGEBENCH_TEST" = "a b" ] && echo measured')
    lab.session = dataclasses.replace(lab.session, prefix=("env", "-u", "EDGEBENCH_TEST"))
    runner = lab.session.runners["invoke_loop"]
    assert isinstance(runner, ScriptRunner)
    runner.env = {"EDGEBENCH_TEST": "a b"}
    record = lab.launch()
    assert record.outcome is Outcome.OK
    assert record.argv[:5] == ("env", "-u", "EDGEBENCH_TEST", "env", "EDGEBENCH_TEST=a b")
