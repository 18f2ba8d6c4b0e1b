"""One device's part of a run, on this machine: owned, measured on, left as it was found."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from records import RUN_ID, case, launch
from test_session import ScriptRunner

from bench.config import MeasureConfig
from bench.device_run import DeviceRun
from bench.errors import UserError
from bench.events import Event, Note, StageFinished, StageStarted
from bench.records import CheckRecord, LaunchRecord, Outcome
from bench.runners.base import LaunchLimits
from bench.session import Stopped
from bench.slots import CaseFiles
from devices.deadline import Deadline
from devices.device import Device
from devices.emulated.fake import Fault, FaultyTransport
from devices.errors import DeviceOffline, LeaseHeld, Unsupported
from devices.lease import Lease, Owner, look
from devices.local import LocalTransport
from devices.transport import Transport

CASES = (case("fp32"), case("int8"))


class Lab:
    """A device run over a transport with faults, and what came of it."""

    def __init__(self, folder: Path, faults: Mapping[int, Fault] | None = None) -> None:
        self.folder = folder
        self.transport = FaultyTransport(LocalTransport(), faults or {})
        self.kept: list[LaunchRecord] = []
        self.checks: list[CheckRecord] = []
        self.events: list[Event] = []
        model = folder / "model.tflite"
        model.write_bytes(b"weights")
        self.files = {c.case_id: CaseFiles(model, "a" * 64, None) for c in CASES}

    def run(
        self,
        transport: Transport | None = None,
        *,
        controls: Mapping[str, str] | None = None,
        script: str = "echo measured",
        unit: str | None = None,
        owner: Owner | None = None,
        done: tuple[LaunchRecord, ...] = (),
    ) -> DeviceRun:
        runner = ScriptRunner(script, launch().measurement)  # type: ignore[arg-type]
        return DeviceRun(
            device=self.device(transport),
            cases=CASES,
            files=self.files,
            done=done,
            keep=self.kept.append,
            keep_check=self.checks.append,
            emit=self.events.append,
            run_id=RUN_ID,
            config=MeasureConfig(
                rounds=2,
                away_s=2.0,
                controls=dict(controls or {}),
                profile="off",
                numerics="off",
            ),
            limits=LaunchLimits(timeout_s=60.0),
            runner_for=lambda kind, device, facts: runner,
            owner=owner or Owner.here(RUN_ID),
            unit=unit,
        )

    def device(self, transport: Transport | None = None) -> Device:
        return Device(
            name="board",
            kind="linux",
            transport=transport or self.transport,
            workdir=str(self.folder / "work dir"),
            python="python3",
            resources=frozenset(),
            simulated=True,
            lease_place=str(self.place),
        )

    @property
    def place(self) -> Path:
        return self.folder / "lease"

    def cases_kept(self) -> list[tuple[str, int, int]]:
        return sorted((r.case_id, r.index, r.attempt) for r in self.kept if r.case_id in self.files)

    def check_left(self) -> None:
        """Nothing is left but blobs, and nobody holds the device."""
        work = self.folder / "work dir"
        assert [p.name for p in work.iterdir() if p.name != "runs"] == ["blobs"]
        assert list((work / "runs").iterdir()) == []
        state = look(LocalTransport(), str(self.place), deadline=Deadline(60))
        assert state is None or (not state.live and state.pending == ())

    def notes(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Note)]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


ALL = sorted((c.case_id, index, 0) for c in CASES for index in range(2))


def test_everything_is_measured_and_nothing_left(lab: Lab) -> None:
    lab.run().run()
    assert lab.cases_kept() == ALL
    assert [r.outcome for r in lab.kept] == [Outcome.OK] * 6
    assert [r.case_id in lab.files for r in lab.kept] == [False, *[True] * 4, False]
    assert lab.kept[0].environment["controls"] == []
    assert "gate" in lab.kept[0].conditions
    started = [e.stage for e in lab.events if isinstance(e, StageStarted)]
    assert started == ["push:board", "measure:board"]
    lab.check_left()


def test_a_device_in_use_is_left_to_who_uses_it(lab: Lab) -> None:
    other = Owner("ann", "elsewhere", 1, "her run")
    lease = Lease.acquire(
        LocalTransport(), str(lab.place), other, deadline=Deadline(60), replay=lambda j: None
    )
    with pytest.raises(LeaseHeld, match="ann@elsewhere"):
        lab.run().run()
    assert lab.kept == []
    lease.release(deadline=Deadline(60))
    lab.run().run()
    assert lab.cases_kept() == ALL


def test_a_control_that_is_required_and_cannot_be_had_ends_it_before_anything(lab: Lab) -> None:
    with pytest.raises(Unsupported, match="stay_awake = on is required"):
        lab.run(controls={"stay_awake": "on!"}).run()
    assert lab.kept == []


def test_a_control_that_cannot_be_had_is_said_and_recorded(lab: Lab) -> None:
    lab.run(controls={"stay_awake": "on"}).run()
    assert any("stay_awake" in note for note in lab.notes())
    controls = lab.kept[0].environment["controls"]
    assert [(c["name"], c["outcome"]) for c in controls] == [("stay_awake", "unsupported")]


def test_another_unit_under_the_same_name_is_refused(lab: Lab) -> None:
    with pytest.raises(UserError, match="another device answers there"):
        lab.run(unit="0123456789abcdef").run()
    facts = {"device": {"unit": "0123456789abcdef"}}
    with pytest.raises(UserError, match="devices facts board"):
        lab.run(done=(launch(CASES[0], environment=facts),)).run()
    assert lab.kept == []


def test_a_device_that_was_never_there_is_not_waited_for(tmp_path: Path) -> None:
    lab = Lab(tmp_path, dict.fromkeys(range(1, 10_000), Fault.DROP))
    with pytest.raises(DeviceOffline):
        lab.run().run()
    assert lab.transport.calls == 1


@pytest.mark.parametrize(
    ("call", "fault"),
    [(call, (Fault.DROP, Fault.DROP_AFTER, Fault.FREEZE)[call % 3]) for call in range(2, 12)],
)
def test_a_link_that_drops_at_any_step_of_the_preparation(
    tmp_path: Path, call: int, fault: Fault
) -> None:
    lab = Lab(tmp_path, {call: fault})
    lab.run().run()
    assert lab.cases_kept() == ALL
    lab.check_left()


def test_what_an_earlier_controller_left_is_collected_and_not_repeated(lab: Lab) -> None:
    """It is killed after its first launch has ended, before it stores it."""

    def die(record: LaunchRecord) -> None:
        raise ZeroDivisionError

    first = dataclasses.replace(lab.run(script="echo x >> ../../ran; echo measured"), keep=die)
    with pytest.raises(ZeroDivisionError):
        first.run()
    assert len(list((lab.folder / "work dir/runs").iterdir())) == 1
    lab.run(script="echo x >> ../../ran; echo measured").run()
    assert lab.cases_kept() == ALL
    sentinels = [r.index for r in lab.kept if r.case_id not in lab.files]
    assert sentinels == [0, 1, 2]
    assert (lab.folder / "work dir/ran").read_text().count("x") == len(lab.kept) == 7
    (lab.folder / "work dir/ran").unlink()
    lab.check_left()


def test_one_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    run = lab.run()
    run.keep = lambda record: run.interrupt()
    with pytest.raises(Stopped):
        run.run()
    finished = [e for e in lab.events if isinstance(e, StageFinished)]
    assert [(e.stage, e.ok) for e in finished] == [("push:board", True), ("measure:board", False)]
    lab.check_left()


def test_records_say_which_device_they_are_of(lab: Lab) -> None:
    lab.run().run()
    facts = lab.kept[0].environment["device"]
    assert json.loads(json.dumps(facts))["kind"] == "linux"
    assert lab.kept[0].environment["simulated"] is True
