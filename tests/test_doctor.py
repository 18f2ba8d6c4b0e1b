"""devices.doctor: what it concludes from what devices tell, and that it leaves nothing behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.android_facts import AndroidFacts
from devices.deadline import Deadline
from devices.device import Device
from devices.doctor import examine
from devices.doctor_finding import Finding
from devices.doctor_probe import RUNTIME, SCRIPT, Probe, UnreadableProbe, parse_probe
from devices.doctor_setup import (
    judge_clock,
    judge_controls,
    judge_gpu,
    judge_lease,
    judge_link,
    judge_place,
    judge_runtime,
    judge_simulated,
)
from devices.doctor_state import judge_clocks, judge_heat, judge_power
from devices.emulated.fake import Fault, FaultyTransport
from devices.facts import Cluster, Facts
from devices.inventory import DeviceEntry
from devices.journal import Change, Entry, Journal
from devices.lease import Lease, LeaseState, Owner
from devices.local import LocalTransport
from devices.state import FrequencyPolicy, Snapshot
from devices.transport import Transport

SHELLS = [
    pytest.param(name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"no {name} here"))
    for name in ("dash", "mksh", "bash", "busybox")
]
HEALTHY = Probe(
    epoch_s=1_000,
    place_problem=None,
    free_kib=8_000_000,
    missing=(),
    python="3.11.2",
    numpy="1.26.4",
    runtime="ai-edge-litert 2.1.0",
)
OWNER = Owner("anna", "lab-pc", 4242, "run 01J", "ab" * 16)
PHONE = DeviceEntry(name="pixel", kind="android", serial="S")
BOARD = DeviceEntry(name="pi4", kind="linux", host="pi4")
SNAPSHOT = Snapshot(uptime_s=1.0)


def facts(**changes: Any) -> Facts:
    plain = Facts(
        kind="linux",
        hostname="pi4",
        machine="aarch64",
        kernel="6.6",
        os="Debian",
        cpu_model=None,
        cpu_count=4,
        clusters=(),
        ram_kib=None,
        board=None,
        hypervisor=None,
        word_bits=64,
        libc=None,
    )
    return replace(plain, **changes)


def android(**changes: Any) -> AndroidFacts:
    plain = AndroidFacts(
        "Google", "Pixel 8", 34, "14", ("arm64-v8a",), None, None, None, None, "present"
    )
    return replace(plain, **changes)


def levels(findings: Any) -> dict[str, str]:
    return {finding.check: finding.level for finding in findings}


# The probe


def probe_with(shell: str, workdir: Path | str, python: str = "") -> str:
    command = [shell, "sh"] if shell == "busybox" else [shell]
    done = subprocess.run(
        [*command, "-c", SCRIPT, "edgebench", str(workdir), python, RUNTIME],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_the_probe_in_every_shell(shell: str, tmp_path: Path) -> None:
    workdir = tmp_path / "deep" / "it's $HOME; work"
    probe = parse_probe(probe_with(shell, workdir))
    assert probe.place_problem is None
    assert probe.missing == ()
    assert probe.epoch_s is not None
    assert abs(probe.epoch_s - time.time()) < 60
    free_kib = shutil.disk_usage(tmp_path).free // 1024
    assert probe.free_kib is not None
    assert probe.free_kib == pytest.approx(free_kib, rel=0.2)
    assert not workdir.exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_work_directory_that_cannot_be(shell: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    probe = parse_probe(probe_with(shell, tmp_path / "file" / "work"))
    assert probe.place_problem is not None
    assert "Not a directory" in probe.place_problem


def test_what_was_in_the_work_directory_stays(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    probe_with("sh", tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["blobs"]
    (tmp_path / "empty").mkdir()
    probe_with("sh", tmp_path / "empty")
    assert (tmp_path / "empty").is_dir()


def test_the_runtime_of_an_interpreter(tmp_path: Path) -> None:
    probe = parse_probe(probe_with("sh", tmp_path, sys.executable))
    assert probe.python == ".".join(map(str, sys.version_info[:3]))
    assert probe.runtime is not None
    assert probe.runtime.startswith("ai-edge-litert ")
    assert probe.python_problem is None


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("exit 139", "exit code 139"),
        ("echo Traceback; echo 'No module named numpy' >&2; exit 1", "No module named numpy"),
        ("echo python 3.11.2; echo numpy 1.26.4", None),
        ("echo python 3.11.2; kill -9 $$", "Killed|exit code 137"),
    ],
)
def test_an_interpreter_without_a_runtime(tmp_path: Path, program: str, problem: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{program}\n")
    python.chmod(0o755)
    probe = parse_probe(probe_with("sh", tmp_path / "work", str(python)))
    assert probe.runtime is None
    if problem is None:
        assert probe.python_problem is None
        assert probe.numpy == "1.26.4"
    else:
        assert probe.python_problem in problem.split("|")


def test_no_interpreter_there(tmp_path: Path) -> None:
    probe = parse_probe(probe_with("sh", tmp_path, "/nowhere/python"))
    assert "not found" in (probe.python_problem or "")


@given(st.text())
def test_any_text_is_a_probe_or_refused(text: str) -> None:
    try:
        parse_probe(text)
    except UnreadableProbe:
        return
    assert text.startswith("edgebench-doctor 1")


def test_a_cut_probe_is_refused(tmp_path: Path) -> None:
    whole = probe_with("sh", tmp_path)
    for cut in range(len(whole) - 1):
        with pytest.raises(UnreadableProbe):
            parse_probe(whole[:cut])
    assert parse_probe(whole.replace("\n", "\r\n")) == parse_probe(whole)


# What is concluded


@pytest.mark.parametrize(
    ("lease", "level", "words"),
    [
        (None, "ok", "free"),
        (LeaseState(OWNER, True, 60, 90, ()), "warning", "in use by anna@lab-pc"),
        (LeaseState(None, True, 60, 90, ()), "warning", "somebody unknown"),
        (LeaseState(OWNER, False, 0, 0, ()), "ok", "free"),
        (
            LeaseState(OWNER, False, 0, 0, (Entry("1", "governor", "p", "a", "b", "c"),)),
            "warning",
            "left changed: governor",
        ),
    ],
)
def test_lease(lease: LeaseState | None, level: str, words: str) -> None:
    finding = judge_lease(lease)
    assert finding.level == level
    assert words in finding.text
    assert OWNER.nonce not in str(finding)


@pytest.mark.parametrize(
    ("changes", "check", "level"),
    [
        ({}, "work directory", "ok"),
        ({"place_problem": "Permission denied"}, "work directory", "failure"),
        ({"free_kib": 51 * 1024}, "space", "warning"),
        ({"free_kib": 49 * 1024}, "space", "failure"),
        ({"free_kib": 0}, "space", "failure"),
        ({"missing": ("setsid",)}, "tools", "failure"),
    ],
)
def test_place(changes: dict[str, Any], check: str, level: str) -> None:
    assert levels(judge_place("/work", replace(HEALTHY, **changes)))[check] == level


def test_unknown_space_is_no_finding() -> None:
    assert "space" not in levels(judge_place("/work", replace(HEALTHY, free_kib=None)))


@pytest.mark.parametrize(
    ("device_s", "level", "words"),
    [
        (1_000_000, "ok", "agrees"),
        (1_000_059, "ok", "agrees"),
        (1_000_061, "warning", "61 s ahead"),
        (999_000, "warning", "1000 s behind"),
        (0, "warning", "278 h behind"),
        (None, "warning", "does not tell"),
    ],
)
def test_clock(device_s: int | None, level: str, words: str) -> None:
    finding = judge_clock(device_s, 1_000_000.0)
    assert finding.level == level
    assert words in finding.text


@pytest.mark.parametrize(
    ("kind", "changes", "tool", "level"),
    [
        ("linux", {}, None, "ok"),
        ("linux", {"runtime": None}, None, "failure"),
        ("linux", {"runtime": None}, "aarch64", "ok"),
        ("linux", {"numpy": None}, None, "failure"),
        ("android", {"python": None, "numpy": None, "runtime": None}, None, "failure"),
        ("android", {"python": None, "numpy": None, "runtime": None}, "arm64-v8a", "ok"),
    ],
)
def test_runtime(kind: str, changes: dict[str, Any], tool: str | None, level: str) -> None:
    finding = judge_runtime(kind, "/v/python", replace(HEALTHY, **changes), tool)
    assert finding.level == level
    assert (finding.fix is None) == (level == "ok")


@pytest.mark.parametrize(
    ("opencl", "gles", "level"),
    [
        ("/vendor/lib64/libOpenCL.so", None, "ok"),
        (None, "ARM, Mali-G715, OpenGL ES 3.2 v1.r44", "ok"),
        (None, "ARM, Mali-400, OpenGL ES 3.0 v1", "warning"),
        (None, "ARM, Mali-400, OpenGL ES 2.0", "warning"),
        (None, None, "warning"),
    ],
)
def test_gpu(opencl: str | None, gles: str | None, level: str) -> None:
    finding = judge_gpu(facts(kind="android", android=android(opencl=opencl, gles=gles)))
    assert finding is not None
    assert finding.level == level


def test_a_board_has_no_finding_of_a_gpu() -> None:
    assert judge_gpu(facts()) is None


@pytest.mark.parametrize(
    ("entry", "told", "level"),
    [
        (BOARD, facts(), None),
        (BOARD, facts(hypervisor="qemu"), "failure"),
        (BOARD, facts(hypervisor="kvm"), "warning"),
        (BOARD.model_copy(update={"simulated": True}), facts(hypervisor="qemu"), "ok"),
        (PHONE, facts(kind="android", android=android(), os="google/shiba/shiba:14"), None),
        (PHONE, facts(kind="android", android=android(), soc="ranchu"), "failure"),
        (PHONE, facts(kind="android", android=android(), os="google/sdk_gphone64/x"), "failure"),
        (PHONE, facts(kind="android", android=android(), soc="edgebench (simulated)"), "failure"),
    ],
)
def test_an_emulator_is_not_taken_for_a_device(
    entry: DeviceEntry, told: Facts, level: str | None
) -> None:
    finding = judge_simulated(entry, told)
    assert (finding.level if finding else None) == level


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, {}),
        ({"battery_percent": 80, "battery_status": "Discharging"}, {"battery": "ok"}),
        ({"battery_percent": 19, "plugged": ()}, {"battery": "warning"}),
        ({"battery_percent": 0}, {"battery": "warning"}),
        ({"battery_percent": 20, "plugged": ("USB",)}, {"battery": "ok"}),
        ({"battery_status": "Charging"}, {"battery": "warning"}),
        (
            {"battery_percent": 50, "power_saver": True},
            {"battery": "ok", "power saver": "warning"},
        ),
    ],
)
def test_power(state: dict[str, Any], expected: dict[str, str]) -> None:
    assert levels(judge_power(replace(SNAPSHOT, **state))) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, {"temperature": "warning"}),
        ({"temperature_c": 42.0, "temperature_zone": "cpu"}, {"temperature": "ok"}),
        ({"temperature_c": 81.0, "temperature_zone": "cpu"}, {"temperature": "warning"}),
        (
            {"temperature_c": 42.0, "battery_c": 41.0, "thermal_status": 0},
            {"temperature": "ok", "battery heat": "warning", "throttling": "ok"},
        ),
        (
            {"temperature_c": 42.0, "thermal_status": 3},
            {"temperature": "ok", "throttling": "warning"},
        ),
        (
            {"temperature_c": 42.0, "throttled_bits": 0},
            {"temperature": "ok", "throttled bits": "ok"},
        ),
        (
            {"temperature_c": 42.0, "throttled_bits": 0x50005},
            {"temperature": "ok", "throttled bits": "failure"},
        ),
        (
            {"temperature_c": 42.0, "throttled_bits": 0x10000},
            {"temperature": "ok", "throttled bits": "warning"},
        ),
        (
            {"temperature_c": 42.0, "throttled_reason": "add this user to the group video"},
            {"temperature": "ok", "throttled bits": "warning"},
        ),
    ],
)
def test_heat(state: dict[str, Any], expected: dict[str, str]) -> None:
    assert levels(judge_heat(replace(SNAPSHOT, **state))) == expected


@given(st.integers(0, 0xFFFFFFFF))
def test_throttled_bits_of_any_value(bits: int) -> None:
    (finding,) = (
        item
        for item in judge_heat(replace(SNAPSHOT, throttled_bits=bits))
        if item.check == "throttled bits"
    )
    now, before = bits & 0xF, bits >> 16 & 0xF
    assert finding.level == ("failure" if now else "warning" if before else "ok")
    voltage = bool(now & 1) or bool(before & 1)
    assert ("power supply" in (finding.fix or "")) == voltage


def test_clocks() -> None:
    told = facts(clusters=(Cluster((0, 1), 1_800_000), Cluster((2,), 2_800_000)))
    policies = {
        "policy0": FrequencyPolicy(max_khz=1_800_000, governor="schedutil"),
        "policy2": FrequencyPolicy(max_khz=1_400_000, governor="powersave"),
    }
    found = {item.check: item for item in judge_clocks(told, replace(SNAPSHOT, policies=policies))}
    assert found["governor"].level == "warning"
    assert found["frequency limit"].text == "held down: policy2 to 1400 of 2800 MHz"
    assert list(judge_clocks(facts(), SNAPSHOT)) == []


@pytest.mark.parametrize(
    ("wanted", "root", "level"),
    [
        ({}, "none", "ok"),
        ({"stay_awake": "on"}, "none", "ok"),
        ({"governor": "performance"}, "none", "warning"),
        ({"governor": "performance!"}, "none", "failure"),
        ({"governor": "performance!"}, "sudo", "ok"),
        ({"gouvernor": "performance"}, "sudo", "failure"),
        ({"stay_awake": "perhaps"}, "su-0", "failure"),
    ],
)
def test_controls(wanted: dict[str, str], root: str, level: str) -> None:
    assert judge_controls(wanted, root).level == level


def test_link() -> None:
    assert judge_link(0.02, 1 << 20, 0.2).level == "ok"
    assert judge_link(0.02, 1 << 20, 2.0).level == "warning"
    assert judge_link(0.6, 1 << 20, 0.2).level == "warning"


# The whole examination, on this machine as if it were a board


def board(tmp_path: Path, transport: Transport | None = None) -> Device:
    return Device(
        name="pi4",
        kind="linux",
        transport=transport or LocalTransport("pi4"),
        workdir=str(tmp_path / "work"),
        python=sys.executable,
        resources=frozenset(),
        simulated=False,
        lease_place=str(tmp_path / "lease"),
    )


def look_over(device: Device) -> tuple[Finding, ...]:
    return examine(device, BOARD, lambda _: None, Deadline(60))


def test_an_examination_leaves_nothing_behind(tmp_path: Path) -> None:
    found = look_over(board(tmp_path))
    assert {"lease", "work directory", "runtime", "clock", "controls", "link"} <= set(levels(found))
    assert levels(found)["runtime"] == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_device_in_use_is_left_alone(tmp_path: Path) -> None:
    device = board(tmp_path)
    lease = Lease.acquire(
        device.transport, device.lease_place, OWNER, deadline=Deadline(60), replay=lambda _: None
    )
    counting = FaultyTransport(LocalTransport("pi4"), {})
    found = look_over(board(tmp_path, counting))
    assert levels(found) == {"lease": "warning"}
    assert counting.calls == 3  # twice `true`, and the lease
    lease.release(deadline=Deadline(60))
    assert levels(look_over(device))["lease"] == "ok"


def test_what_was_left_changed_is_told(tmp_path: Path) -> None:
    device = board(tmp_path)
    lease = Lease.acquire(
        device.transport, device.lease_place, OWNER, deadline=Deadline(60), replay=lambda _: None
    )
    journal: Journal = lease.journal
    journal.record([Change("fan", "f", "0", "255")], deadline=Deadline(60))
    lease.release(deadline=Deadline(60))
    (finding,) = (item for item in look_over(device) if item.check == "lease")
    assert "left changed: fan" in finding.text


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.FREEZE, Fault.DROP_AFTER])
def test_a_link_that_fails_anywhere_is_a_finding(tmp_path: Path, fault: Fault) -> None:
    whole = FaultyTransport(LocalTransport("pi4"), {})
    look_over(board(tmp_path, whole))
    # The last two remove what was pushed, and are no news.
    for call in range(1, whole.calls - 1):
        found = look_over(board(tmp_path, FaultyTransport(LocalTransport("pi4"), {call: fault})))
        assert [item.level for item in found if item.check == "reach"] == ["failure"], call
        assert found[-1].check == "reach"


def test_half_an_answer_is_no_clean_bill(tmp_path: Path) -> None:
    whole = FaultyTransport(LocalTransport("pi4"), {})
    look_over(board(tmp_path, whole))
    silent = []
    for call in range(1, whole.calls + 1):
        cut = FaultyTransport(LocalTransport("pi4"), {call: Fault.TRUNCATE})
        found = look_over(board(tmp_path, cut))
        if found[-1].check != "reach":
            silent.append(call)
    # `true`, `test`, `rm` and `rmdir` say nothing that could be cut, and a push is only timed.
    assert len(silent) == whole.calls - 5
