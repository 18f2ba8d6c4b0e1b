"""One session on a device that fails in every way: what is recorded, and what is left."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest
from records import RUN_ID, case, measurement

from bench.events import silent
from bench.identity import launch_id
from bench.records import Failure, HostLoad, LaunchRecord, Measurement, Outcome
from bench.runners.base import LaunchFiles, LaunchLimits, LaunchSpec, RawOutput
from bench.scheduler import RunPolicy, measure
from bench.session import CaseFiles, Session
from devices.blobs import BlobStore
from devices.deadline import Deadline
from devices.device import Device
from devices.emulated.fake import Fault, FaultyTransport
from devices.facts import read_facts
from devices.launch import Launcher
from devices.local import LocalTransport
from devices.transport import CommandResult

# What the first launch of a session asks of its transport, call by call.
BEFORE, CHECK, PUSH, CHECKED, START, WAIT, REMOVE, AFTER = range(1, 9)
MODEL_SHA = "a" * 64


class ScriptRunner:
    """Runs a line of sh in place of a benchmark, and measures what `result` says."""

    kind = "script"

    def __init__(self, script: str, result: Measurement) -> None:
        self.script, self.result = script, result

    def prepare(self, spec: LaunchSpec) -> LaunchFiles:
        return LaunchFiles(("sh", "-c", self.script), {"model.tflite": spec.model}, {}, {})

    def read(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Measurement | None, Failure | None]:
        assert output.stdout == b"measured\n"
        return Outcome.OK, self.result, None


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
    ) -> None:
        self.runs = folder / "work/runs"
        model = folder / "model.tflite"
        model.write_bytes(b"weights" * 100)
        self.files = CaseFiles(model, MODEL_SHA, None)
        self.transport = FaultyTransport(LocalTransport(), faults or {})
        workdir = str(folder / "work")
        self.launcher = Launcher(
            self.transport, workdir, BlobStore(self.transport, workdir), pause=lambda s: None
        )
        self.session = Session(
            device=Device("d", "linux", self.transport, workdir, "python3", frozenset(), False),
            facts=read_facts(LocalTransport(), deadline=Deadline(60)),
            runner=ScriptRunner(script, result or measurement()),
            run_id=RUN_ID,
            seed=0,
            limits=LaunchLimits(timeout_s=timeout_s),
            launcher=self.launcher,
        )

    def launch(self) -> LaunchRecord:
        record = self.session.launch(case(), self.files, index=0, position=0, attempt=0)
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
    assert lab.transport.calls == AFTER
    assert (record.outcome, record.failure, record.taints) == (Outcome.OK, None, ())
    assert record.launch_id == launch_id(RUN_ID, case().case_id, 0, 0)
    assert record.argv == ("sh", "-c", "echo measured")
    assert record.conditions["before"]["uptime_s"] <= record.conditions["after"]["uptime_s"]
    assert record.environment["model_sha256"] == MODEL_SHA


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({BEFORE: Fault.DROP}, "the link dropped"),
        ({BEFORE: Fault.FREEZE}, "no answer"),
        ({BEFORE: Fault.TRUNCATE}, ""),
        ({CHECK: Fault.DROP}, "the link dropped"),
        ({PUSH: Fault.NO_SPACE}, "No space left on device"),
        ({PUSH: Fault.TRUNCATE, CHECKED + 1: Fault.TRUNCATE}, "arrived wrong 2 times"),
        ({START: Fault.DROP}, "the link dropped"),
        ({START: Fault.DROP_AFTER}, "the link dropped"),
        ({START: Fault.FREEZE}, "no answer"),
        ({WAIT: Fault.FREEZE}, "did not end"),
    ],
)
def test_a_device_that_fails_is_recorded_and_left_clean(
    tmp_path: Path, faults: Mapping[int, Fault], words: str
) -> None:
    record = Lab(tmp_path, faults).launch()
    assert record.outcome is Outcome.DEVICE_FAILED
    assert record.measurement is None
    assert record.failure is not None
    assert record.failure.kind == "device"
    assert words in record.failure.message
    assert record.conditions["after"] is None
    assert (record.conditions["before"] is None) == (BEFORE in faults)


@pytest.mark.parametrize(
    "faults",
    [
        {PUSH: Fault.TRUNCATE},
        {WAIT: Fault.DROP},
        {WAIT: Fault.DROP_AFTER},
        {WAIT: Fault.TRUNCATE},
        {WAIT: Fault.DROP, WAIT + 1: Fault.DROP_AFTER},
    ],
)
def test_what_can_be_made_good_loses_nothing(tmp_path: Path, faults: Mapping[int, Fault]) -> None:
    record = Lab(tmp_path, faults).launch()
    assert (record.outcome, record.failure) == (Outcome.OK, None)
    assert record.measurement is not None


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.FREEZE, Fault.TRUNCATE])
def test_a_measurement_outlives_the_snapshot_after_it(tmp_path: Path, fault: Fault) -> None:
    record = Lab(tmp_path, {AFTER: fault}).launch()
    assert record.outcome is Outcome.OK
    assert record.measurement is not None
    assert record.conditions["before"] is not None
    assert record.conditions["after"] is None


def test_other_load_taints_also_where_the_snapshot_after_it_is_missing(tmp_path: Path) -> None:
    busy = measurement(
        load=HostLoad(wall_ns=10**9, process_cpu_ns=10**9, busy_ns=2 * 10**9, steal_ns=0)
    )
    record = Lab(tmp_path, {AFTER: Fault.DROP}, result=busy).launch()
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


def test_launches_of_a_killed_controller_are_ended_and_others_are_left_alone(
    tmp_path: Path,
) -> None:
    lab = Lab(tmp_path)
    lab.start("ours", "sleep 1000")
    lab.start("theirs", "sleep 1000")
    ours, theirs = lab.group("ours"), lab.group("theirs")
    try:
        assert lab.session.remove_left_over(lambda: ["never-started", "ours"]) == 1
        assert lab.left_over() == ["theirs"]
        assert not living(ours)
        assert living(theirs)
    finally:
        lab.launcher.remove("theirs", deadline=Deadline(60))


def test_where_nothing_was_left_nobody_is_asked_what_it_may_be(tmp_path: Path) -> None:
    def ask() -> Iterable[str]:
        raise AssertionError("asked")

    lab = Lab(tmp_path)
    assert lab.session.remove_left_over(ask) == 0
    lab.launch()
    assert lab.session.remove_left_over(ask) == 0
