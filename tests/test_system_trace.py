"""A system trace around a launch: what the script does, and the property that is put back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from records import RUN_ID
from test_checks import CASES, CheckingRunner

from bench.config import MeasureConfig
from bench.device_run import DeviceRun
from bench.events import silent
from bench.records import CheckRecord, LaunchRecord, Outcome, Purpose
from bench.runners.base import LaunchLimits
from bench.slots import CaseFiles
from bench.system_trace import SCRIPT
from devices.connect import connect
from devices.controls import trace_ops
from devices.deadline import Deadline
from devices.device import Device
from devices.emulated.phone import EmulatedPhone
from devices.errors import Unsupported
from devices.inventory import DeviceEntry
from devices.lease import Lease, Owner
from tests.adb_phones import PrivateServer

pytest_plugins = ("tests.adb_fixtures",)

SHELLS = [
    [path, *words]
    for name, *words in (["sh"], ["mksh"], ["busybox", "sh"], ["bash"])
    if (path := shutil.which(name))
]
COMMANDS = {
    "getprop": '[ "$1" = init.svc.traced ] && cat "$STATE/traced"',
    "perfetto": """
        [ ! -e "$STATE/broken" ] || { echo "cannot connect" >&2; exit 1; }
        echo "$@" > "$STATE/asked"
        trap 'echo end; exit 0' TERM
        echo begin
        echo "starting tracing" >&2
        while :; do sleep 0.1; done""",
    "atrace": """
        echo "$1" >> "$STATE/atrace"
        [ "$1" = --async_stop ] && echo "TRACE:"
        exit 0""",
}


class Phone:
    """A directory that a launch runs in, and commands of a phone on the PATH."""

    def __init__(self, root: Path, shell: list[str]) -> None:
        self.state, self.run_dir, self._bin = root / "state", root / "run", root / "bin"
        for directory in (self.state, self.run_dir, self._bin):
            directory.mkdir()
        self._shell = shell
        self.traced("running")
        for name, body in COMMANDS.items():
            self.has(name, body)

    def has(self, name: str, body: str) -> None:
        path = self._bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def lacks(self, name: str) -> None:
        (self._bin / name).unlink()

    def traced(self, state: str) -> None:
        (self.state / "traced").write_text(f"{state}\n")

    def start(self, *argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self._shell, str(SCRIPT), "30", *argv],
            cwd=self.run_dir,
            env={"PATH": f"{self._bin}:/usr/bin:/bin", "STATE": str(self.state)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ran(self, *argv: str) -> tuple[int, str, str]:
        process = self.start(*argv)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def left(self) -> dict[str, str]:
        return {p.name: p.read_text() for p in self.run_dir.iterdir()}


@pytest.fixture(params=SHELLS, ids=lambda shell: Path(shell[0]).name)
def phone(tmp_path: Path, request: pytest.FixtureRequest) -> Phone:
    return Phone(tmp_path, request.param)


def test_the_program_is_as_without_a_trace_and_the_trace_is_whole(phone: Phone) -> None:
    said = phone.ran("sh", "-c", 'echo "$1"; echo err >&2; exit 7', "sh", "a  b")
    assert said == (7, "a  b\n", "err\n")
    assert phone.left() == {
        "system.perfetto-trace": "begin\nend\n",
        "system_trace.log": "starting tracing\n",
    }
    asked = (phone.state / "asked").read_text().split()
    assert asked[:2] == ["-o", "-"]
    assert asked[asked.index("-t") + 1] == "30s"
    assert asked[asked.index("-a") + 1] == "*"
    assert not (phone.state / "atrace").exists()


def test_where_the_service_of_perfetto_does_not_run_it_is_atrace(phone: Phone) -> None:
    phone.traced("stopped")
    assert phone.ran("echo", "out") == (0, "out\n", "")
    assert phone.left()["system.atrace"] == "TRACE:\n"
    assert (phone.state / "atrace").read_text().split() == ["--async_start", "--async_stop"]


def test_without_a_tracer_the_launch_runs_and_the_log_says_why(phone: Phone) -> None:
    phone.lacks("perfetto")
    phone.lacks("atrace")
    assert phone.ran("echo", "out") == (0, "out\n", "")
    assert phone.left() == {"system_trace.log": "there is neither perfetto nor atrace\n"}


def test_a_tracer_that_fails_costs_the_trace_alone(phone: Phone) -> None:
    (phone.state / "broken").touch()
    assert phone.ran("echo", "out") == (0, "out\n", "")
    assert phone.left() == {"system.perfetto-trace": "", "system_trace.log": "cannot connect\n"}


@pytest.mark.parametrize("traced", ["running", "stopped"])
def test_a_launch_that_is_ended_leaves_no_tracer(phone: Phone, traced: str) -> None:
    phone.traced(traced)
    process = phone.start("sh", "-c", ": > started; exec sleep 1000")
    until((phone.run_dir / "started").exists)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    if traced == "stopped":
        assert (phone.state / "atrace").read_text().split()[-1] == "--async_stop"
    until(lambda: not members(process.pid))


def until(true: Callable[[], bool]) -> None:
    for _ in range(1500):
        if true():
            return
        time.sleep(0.02)
    raise AssertionError("it never happened")


def members(group: int) -> list[str]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rpartition(") ")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state not in "ZX":
            found.append(stat.parent.name)
    return found


# On emulated phones


class Lab:
    """A run with --trace on an emulated phone."""

    def __init__(self, folder: Path, adb: PrivateServer, phone: EmulatedPhone) -> None:
        self.phone = phone
        self.launches: list[LaunchRecord] = []
        self.checks: list[CheckRecord] = []
        model = folder / "model.tflite"
        model.write_bytes(b"weights")
        self._files = {CASES[0].case_id: CaseFiles(model, "a" * 64, None)}
        entry = DeviceEntry(
            name="phone",
            kind="android",
            serial=phone.address,
            adb_host="127.0.0.1",
            adb_port=adb.port,
            simulated=True,
        )
        self.device: Device = connect(entry)

    def run(self) -> None:
        runner = CheckingRunner()
        DeviceRun(
            device=self.device,
            cases=CASES[:1],
            files=self._files,
            done=(),
            keep=self.launches.append,
            keep_check=self.checks.append,
            emit=silent,
            run_id=RUN_ID,
            config=MeasureConfig(rounds=1, cool_s=0, profile="off", numerics="off"),
            limits=LaunchLimits(timeout_s=60.0),
            runner_for=lambda kind, device, facts: runner,
            owner=Owner.here(RUN_ID),
            trace=True,
        ).run()

    def trace_property(self) -> str:
        argv = ["getprop", "debug.tflite.trace"]
        return self.device.transport.run(argv, deadline=Deadline(60)).check().text.strip()


@pytest.fixture
def lab(adb: PrivateServer, tmp_path: Path) -> Iterator[Callable[[str], Lab]]:
    made: list[EmulatedPhone] = []

    def make(profile: str) -> Lab:
        phone = EmulatedPhone(profile, f"traced-{len(made)}")
        made.append(phone)
        try:
            phone.start()
        except Unsupported as error:
            pytest.skip(str(error))
        phone.state.set_heat(None)
        return Lab(tmp_path, adb, phone)

    yield make
    for phone in made:
        phone.stop()


@pytest.mark.parametrize(
    ("profile", "name", "ending"),
    [
        ("android-14", "system.perfetto-trace", b"end of trace\n"),
        ("android-10", "system.atrace", b"debug.tflite.trace=1\n"),
        ("android-8", "system.atrace", b"debug.tflite.trace=1\n"),
    ],
)
def test_a_phone_is_traced_and_left_as_it_was_found(
    lab: Callable[[str], Lab], profile: str, name: str, ending: bytes
) -> None:
    phone = lab(profile)
    phone.run()
    (check,) = phone.checks
    assert (check.purpose, check.outcome, check.failure) == (Purpose.TRACE, Outcome.OK, None)
    (artifact,) = check.artifacts
    assert artifact.name == name
    assert b"debug.tflite.trace=1\n" in artifact.content
    assert artifact.content.endswith(ending)
    assert check.environment["simulated"] is True
    assert [c["name"] for c in check.environment["controls"]] == ["tflite_trace"]
    # Timed launches were made without it.
    assert [r.environment["controls"] for r in phone.launches] == [[]] * 3
    assert phone.trace_property() == ""


def test_a_tracer_that_fails_is_said_and_no_trace_is_made_up(lab: Callable[[str], Lab]) -> None:
    phone = lab("android-14")
    (phone.phone.home / "state" / "no_tracing").touch()
    phone.run()
    (check,) = phone.checks
    assert (check.outcome, check.artifacts) == (Outcome.UNREADABLE, ())
    assert check.failure is not None
    assert check.failure.kind == "trace"
    assert "Could not connect to the traced socket" in check.failure.message
    assert phone.trace_property() == ""


def test_the_property_of_a_lost_controller_is_put_back_by_whoever_comes_next(
    lab: Callable[[str], Lab],
) -> None:
    phone = lab("android-14")
    device = phone.device
    lease = Lease.acquire(
        device.transport,
        device.lease_place,
        Owner("ann", "elsewhere", 1, "her run"),
        deadline=Deadline(60),
        ttl_s=1.0,
        replay=lambda journal: None,
    )
    result = trace_ops(device.transport, lease.journal, deadline=Deadline(60))
    assert (result.outcome, result.before, result.after) == ("applied", "", "1")
    assert phone.trace_property() == "1"
    time.sleep(3)  # its lease ends: devices count whole seconds
    phone.run()
    assert phone.trace_property() == ""
    assert [r.environment["controls"] for r in phone.launches] == [[]] * 3
