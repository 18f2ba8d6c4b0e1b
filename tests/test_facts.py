"""devices.facts: what a device is, and when it is still the same one."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.android_facts import AndroidFacts
from devices.deadline import Deadline
from devices.device import CONTROLLER_CPU, local_device
from devices.emulated.fake import Fault, FaultyTransport
from devices.errors import TransferError
from devices.facts import Cluster, Facts, UnreadableFacts, parse_facts, read_facts
from devices.local import LocalTransport

CPUFREQ = "/sys/devices/system/cpu/cpufreq"

PI_5: Mapping[str, str] = {
    "kind": "linux",
    "hostname": "lab-pi",
    "machine": "aarch64",
    "kernel": "6.12.25+rpt-rpi-2712",
    "os": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian',
    "android": "",
    "cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n\n"
    "processor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b",
    "lscpu": "Architecture:  aarch64\nModel name:    Cortex-A76",
    "clusters": f"{CPUFREQ}/policy0/cpuinfo_max_freq:2400000\n{CPUFREQ}/policy0/related_cpus:0 1",
    "meminfo": "MemTotal:        8256160 kB",
    "board": "Raspberry Pi 5 Model B Rev 1.0",
    "product": "",
    "virtual": "none",
    "bits": "64",
    "libc": "glibc 2.36",
    "user": "1000",
    "capacity": "/sys/devices/system/cpu/cpu0/cpu_capacity:1024\n"
    "/sys/devices/system/cpu/cpu1/cpu_capacity:1024",
    "compatible": "raspberrypi,5-model-b\nbrcm,bcm2712",
    "revision": "Revision\t: d04170",
    "serial": "a0b1c2d3e4f50617",
}


def text_of(sections: Mapping[str, str]) -> str:
    body = "".join(f"@@ {name}\n{content}\n\n" for name, content in sections.items())
    return f"edgebench-facts 1\n{body}@@ end\n"


def test_a_board() -> None:
    assert parse_facts(text_of(PI_5)) == Facts(
        kind="linux",
        hostname="lab-pi",
        machine="aarch64",
        kernel="6.12.25+rpt-rpi-2712",
        os="Debian GNU/Linux 12 (bookworm)",
        cpu_model="Cortex-A76",
        cpu_count=2,
        clusters=(Cluster(cpus=(0, 1), max_khz=2400000, capacity=1024),),
        ram_kib=8256160,
        board="Raspberry Pi 5 Model B Rev 1.0",
        hypervisor=None,
        word_bits=64,
        libc="glibc 2.36",
        soc="brcm,bcm2712",
        revision="d04170",
        unit=hashlib.sha256(b"edgebench unit a0b1c2d3e4f50617").hexdigest()[:16],
    )


def test_a_phone_with_three_kinds_of_cores_and_no_lscpu() -> None:
    cores = [("0x41", "0xd46"), ("0x41", "0xd46"), ("0x41", "0xd4d"), ("0x41", "0xd4e")]
    phone = {
        **PI_5,
        "kind": "android",
        "android": "vendor/device:15/BUILD/1:user/release-keys",
        "os": "",
        "lscpu": "",
        "cpuinfo": "\n\n".join(
            f"processor : {i}\nCPU implementer : {a}\nCPU part : {b}"
            for i, (a, b) in enumerate(cores)
        ),
        "libc": "",
        "virtual": "",
    }
    facts = parse_facts(text_of(phone).replace("\n", "\r\n"))
    assert facts.os == "vendor/device:15/BUILD/1:user/release-keys"
    assert facts.cpu_count == 4
    assert facts.cpu_model == (
        "ARM implementer 0x41 part 0xd46 + ARM implementer 0x41 part 0xd4d"
        " + ARM implementer 0x41 part 0xd4e"
    )
    assert (facts.libc, facts.hypervisor) == (None, None)


PHONE: Mapping[str, str] = {
    **PI_5,
    "kind": "android",
    "android": "vendor/device:13/BUILD/1:user/release-keys",
    "compatible": "",
    "revision": "",
    "serial": "",
    "user": "2000",
    "ro.product.manufacturer": "Maker",
    "ro.product.model": "Phone 7",
    "ro.soc.manufacturer": "QTI",
    "ro.soc.model": "SM8450",
    "ro.board.platform": "taro",
    "ro.hardware": "qcom",
    "ro.build.version.sdk": "33",
    "ro.build.version.release": "13",
    "ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a,armeabi",
    "ro.hardware.egl": "adreno",
    "ro.hardware.vulkan": "adreno",
    "ro.serialno": "R3CT00ABCDE",
    "gles": "GLES: Qualcomm, Adreno (TM) 730, OpenGL ES 3.2 V@0615.50",
    "su": "",
    "opencl": "/vendor/lib64/libOpenCL.so",
}


def test_what_a_phone_tells() -> None:
    facts = parse_facts(text_of(PHONE))
    assert facts.soc == "QTI SM8450"
    assert facts.root is None
    assert facts.unit is not None
    assert "R3CT00ABCDE" not in json.dumps(facts.to_json())
    assert facts.android == AndroidFacts(
        manufacturer="Maker",
        model="Phone 7",
        sdk=33,
        release="13",
        abis=("arm64-v8a", "armeabi-v7a", "armeabi"),
        gles="Qualcomm, Adreno (TM) 730, OpenGL ES 3.2 V@0615.50",
        egl="adreno",
        vulkan="adreno",
        opencl="/vendor/lib64/libOpenCL.so",
        nnapi="present",
    )


@pytest.mark.parametrize(
    ("changes", "soc"),
    [
        ({"ro.soc.manufacturer": "unknown"}, "SM8450"),
        ({"ro.soc.model": ""}, "taro"),
        ({"ro.soc.model": "", "ro.board.platform": ""}, "qcom"),
        ({"ro.soc.model": "unknown", "ro.board.platform": "", "ro.hardware": ""}, None),
    ],
)
def test_the_name_of_a_phones_chip(changes: dict[str, str], soc: str | None) -> None:
    assert parse_facts(text_of({**PHONE, **changes})).soc == soc


@pytest.mark.parametrize(
    ("sdk", "nnapi"),
    [("26", "missing"), ("27", "present"), ("35", "deprecated"), ("", None), ("x", None)],
)
def test_nnapi_by_api_level(sdk: str, nnapi: str | None) -> None:
    facts = parse_facts(text_of({**PHONE, "ro.build.version.sdk": sdk}))
    assert facts.android is not None
    assert facts.android.nnapi == nnapi


def test_root_is_what_there_is_a_sign_of() -> None:
    assert parse_facts(text_of({**PHONE, "su": "/system/xbin/su"})).root == "su"
    assert parse_facts(text_of({**PHONE, "user": "0"})).root == "user"
    assert parse_facts(text_of(PI_5)).root is None


def test_two_equal_boards_are_two_units_and_one_fingerprint() -> None:
    one, other = (parse_facts(text_of({**PI_5, "serial": serial})) for serial in ("a1", "a2"))
    assert one.unit != other.unit
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("serial", ["", "unknown", "0123456789ABCDEF", "0000000000000000"])
def test_a_number_that_every_board_has_is_no_unit(serial: str) -> None:
    assert parse_facts(text_of({**PI_5, "serial": serial})).unit is None


def test_a_device_that_tells_nothing_new_keeps_its_fingerprint() -> None:
    # As the version computed it that knew neither chip nor unit nor capacity.
    old = Facts(
        "linux", "h", "x86_64", "6.1", "Debian", "Chip", 2, (Cluster((0, 1), 2400000),), 1,
        None, None, 64, "glibc 2.36",
    )  # fmt: skip
    before = {
        "kind": "linux", "machine": "x86_64", "kernel": "6.1", "os": "Debian",
        "cpu_model": "Chip", "cpu_count": 2, "clusters": [{"cpus": [0, 1], "max_khz": 2400000}],
        "board": None, "hypervisor": None, "word_bits": 64, "libc": "glibc 2.36",
    }  # fmt: skip
    text = json.dumps(before, sort_keys=True, separators=(",", ":"))
    assert old.fingerprint == hashlib.sha256(text.encode()).hexdigest()
    assert replace(old, soc="brcm,bcm2711").fingerprint != old.fingerprint


def test_the_script_asks_a_phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    properties = "\n".join(f"{k}) echo '{v}' ;;" for k, v in PHONE.items() if k.startswith("ro."))
    for name, body in {
        "getprop": f"case $1 in {properties} ro.build.fingerprint) echo v/d:13/B ;; esac",
        "dumpsys": f"[ $3 = SurfaceFlinger ] && printf 'Layers\\n%s\\nmore\\n' '{PHONE['gles']}'",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    facts = read_facts(LocalTransport(), Deadline(60))
    assert (facts.kind, facts.soc, facts.os) == ("android", "QTI SM8450", "v/d:13/B")
    assert facts.android is not None
    assert facts.android.gles == "Qualcomm, Adreno (TM) 730, OpenGL ES 3.2 V@0615.50"
    assert facts.android.abis == ("arm64-v8a", "armeabi-v7a", "armeabi")
    assert facts.unit == parse_facts(text_of(PHONE)).unit


@pytest.mark.parametrize(
    ("detected", "flags", "hypervisor"),
    [
        ("kvm", "fpu hypervisor", "kvm"),
        ("none", "fpu", None),
        ("", "fpu hypervisor sse", "unnamed"),
        ("", "fpu", None),
    ],
)
def test_virtual_machines(detected: str, flags: str, hypervisor: str | None) -> None:
    sections = {**PI_5, "virtual": detected, "cpuinfo": f"processor : 0\nflags : {flags}"}
    assert parse_facts(text_of(sections)).hypervisor == hypervisor


def test_what_a_device_does_not_tell_is_none() -> None:
    told = {"kind": "linux", "machine": "riscv64", "kernel": "6.1"}
    facts = parse_facts(text_of({**dict.fromkeys(PI_5, ""), **told}))
    assert facts == Facts(
        "linux", None, "riscv64", "6.1", None, None, None, (), None, None, None, None, None
    )


def test_the_fingerprint_survives_a_reboot_and_a_new_name() -> None:
    facts = parse_facts(text_of(PI_5))
    assert replace(facts, hostname="x", ram_kib=8256100).fingerprint == facts.fingerprint
    for change in (
        {"kernel": "6.13"},
        {"cpu_count": 4},
        {"board": None},
        {"clusters": ()},
        {"os": "Debian GNU/Linux 13 (trixie)"},
    ):
        assert replace(facts, **change).fingerprint != facts.fingerprint


@given(st.integers(0, len(text_of(PI_5)) - 2))
def test_a_cut_off_text_always_raises(length: int) -> None:
    with pytest.raises(UnreadableFacts):
        parse_facts(text_of(PI_5)[:length])


# Without a board the product is asked for; with one it does not matter.
@pytest.mark.parametrize("name", [name for name in PI_5 if name != "product"])
def test_a_missing_section_raises(name: str) -> None:
    with pytest.raises(UnreadableFacts):
        parse_facts(text_of({k: v for k, v in PI_5.items() if k != name}))


@pytest.mark.parametrize("name", ["kind", "machine", "kernel"])
def test_an_empty_section_that_no_device_has_raises(name: str) -> None:
    with pytest.raises(UnreadableFacts):
        parse_facts(text_of({**PI_5, name: ""}))


@given(st.text())
def test_whatever_the_kernel_says_of_clusters_is_facts_or_unreadable(said: str) -> None:
    file = f"{CPUFREQ}/policy0"
    clusters = f"{file}/cpuinfo_max_freq:{said}\n{file}/related_cpus:{said}"
    with suppress(UnreadableFacts):
        parse_facts(text_of({**PI_5, "clusters": clusters}))


def test_this_machine() -> None:
    facts = read_facts(LocalTransport(), Deadline(60))
    assert (facts.kind, facts.machine) == ("linux", platform.machine())
    assert facts.kernel == platform.release()
    assert facts.cpu_count is not None
    assert facts.cpu_model
    assert facts == read_facts(LocalTransport(), Deadline(60))
    value = facts.to_json()
    assert json.loads(json.dumps(value)) == value
    assert value["fingerprint"] == facts.fingerprint


def test_a_cut_off_answer_is_a_device_error() -> None:
    with pytest.raises(TransferError):
        read_facts(FaultyTransport(LocalTransport(), {1: Fault.TRUNCATE}), Deadline(60))


def test_the_local_device_takes_up_the_controllers_processor() -> None:
    device = local_device()
    assert (device.name, device.transport.device, device.simulated) == ("local", "local", False)
    assert device.resources == {CONTROLLER_CPU}
    assert device.python is not None
    result = device.transport.run([device.python, "-c", "print(1)"], deadline=Deadline(60))
    assert result.stdout == b"1\n"
    assert device.workdir.startswith("/")
