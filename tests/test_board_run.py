"""A device's part of a run on the emulated board, while the board fails or grows hot."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import models
import pytest

from bench.config import MeasureConfig
from bench.device_run import DeviceRun
from bench.events import silent
from bench.identity import Case, DelegateSpec
from bench.records import LaunchRecord, Outcome
from bench.runners.base import LaunchLimits
from bench.runners.loop import InvokeLoopRunner
from bench.slots import CaseFiles
from devices.deadline import Deadline
from devices.emulated.board import EmulatedBoard
from devices.lease import Owner, look
from devices.ssh import SshTransport
from tests.boards import device_of

pytest_plugins = ("tests.board_fixture",)
# A busy machine of two cores emulates a Pi ten times slower than a quiet one.
pytestmark = [
    pytest.mark.board,
    pytest.mark.xdist_group("board"),
    pytest.mark.timeout(1200),
]

RUN_ID = "01939f3a-0000-7000-8000-000000000001"
CASE = Case("p", "m", "int8", DelegateSpec("xnnpack"), 1, "invoke_loop", "edgebench-emulated-pi")
LIMITS = LaunchLimits(
    warmup_min_s=1.0, warmup_max_s=2.0, measure_min_s=0.3, measure_max_s=2.0, timeout_s=120
)
# Waits until a launch has begun; $1: directory of the runs.
UNDER_WAY = 'until grep -qs . "$1"/*/.launch/group; do sleep 0.1; done; sync'


def power_cut(board: EmulatedBoard) -> None:
    board.power_cut()
    board.boot()


def reboot(board: EmulatedBoard) -> None:
    board.reboot()


def freeze(board: EmulatedBoard) -> None:
    board.freeze()
    time.sleep(20)
    board.thaw()


def throttle(board: EmulatedBoard) -> None:
    board.set(throttled=0x40004)


@pytest.mark.parametrize("fault", [power_cut, reboot, freeze, throttle])
def test_a_run_and_what_befalls_its_board(
    pi: EmulatedBoard,
    pi_transport: SshTransport,
    workdir: str,
    tmp_path: Path,
    meanwhile: Callable[[Callable[[], None]], None],
    fault: Callable[[EmulatedBoard], None],
) -> None:
    model = models.write_model(tmp_path / "model.tflite", models.int8_model())
    device = device_of(pi_transport, workdir, controls={"governor": "performance"})
    kept: list[LaunchRecord] = []
    run = DeviceRun(
        device=device,
        cases=[CASE],
        files={CASE.case_id: CaseFiles(model, _sha256(model), None)},
        done=[],
        keep=kept.append,
        keep_check=lambda record: None,
        emit=silent,
        run_id=RUN_ID,
        config=MeasureConfig(rounds=1, cool_s=0, profile="off", numerics="off"),
        limits=LIMITS,
        runner_for=lambda kind, device, facts: InvokeLoopRunner(),
        owner=Owner.here("test"),
    )
    other = pi.transport()

    def strike() -> None:
        argv = ["sh", "-c", UNDER_WAY, "sh", f"{workdir}/runs"]
        other.run(argv, deadline=Deadline(120)).check()
        fault(pi)

    meanwhile(strike)
    try:
        run.run()
    finally:
        other.close()
        pi.set(throttled=0)

    assert len({record.launch_id for record in kept}) == len(kept)
    of_case = [record for record in kept if record.case_id == CASE.case_id]
    if fault is throttle:
        # Repeated twice, and each says why it does not count.
        assert len(of_case) == 3
        assert all("throttl" in "; ".join(record.taints) for record in of_case)
    assert of_case[-1].outcome is Outcome.OK
    assert of_case[-1].environment["simulated"] is True
    assert of_case[-1].environment["controls"][0]["after"] == "performance"
    if fault is freeze:
        assert all(record.outcome is Outcome.OK for record in kept)
    # The device is as it was found.
    script = f'ls {workdir}/runs; cat "$1"'
    governor = "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor"
    said = pi_transport.run(["sh", "-c", script, "sh", governor], deadline=Deadline(60)).check()
    assert said.text == "ondemand\n"
    assert look(pi_transport, device.lease_place, deadline=Deadline(60)) is None


def _sha256(path: Path) -> str:

    return hashlib.sha256(path.read_bytes()).hexdigest()
