"""What a device is: hardware, system, and a fingerprint of what survives a reboot."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from devices.android_facts import AndroidFacts, read_android, soc_of
from devices.deadline import Deadline
from devices.errors import TransferError
from devices.state import parse_cpu_list
from devices.transport import Transport

# Sections "@@ name", then what a file or command says; empty where it is not there.
_SCRIPT = """
LC_ALL=C; export LC_ALL
exec 2> /dev/null
echo edgebench-facts 1
say() { echo "@@ $1"; shift; "$@" < /dev/null; echo; }
say kind sh -c 'command -v getprop > /dev/null && echo android || echo linux'
say hostname uname -n
say machine uname -m
say kernel uname -r
say os cat /etc/os-release
say android getprop ro.build.fingerprint
say cpuinfo cat /proc/cpuinfo
say lscpu lscpu
say clusters grep -H '' /sys/devices/system/cpu/cpufreq/policy*/cpuinfo_max_freq \
    /sys/devices/system/cpu/cpufreq/policy*/related_cpus
say meminfo grep '^MemTotal' /proc/meminfo
say board sh -c "tr -d '\\000' < /proc/device-tree/model"
say product cat /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name
say virtual systemd-detect-virt --vm
say bits getconf LONG_BIT
say libc getconf GNU_LIBC_VERSION
say user id -u
say capacity grep -H '' /sys/devices/system/cpu/cpu[0-9]*/cpu_capacity
say compatible sh -c "tr '\\000' '\\n' < /proc/device-tree/compatible"
say revision sh -c "grep '^Revision' /proc/cpuinfo"
say serial sh -c "tr -d '\\000' < /proc/device-tree/serial-number || cat /etc/machine-id"
if command -v getprop > /dev/null; then
    for name in ro.product.manufacturer ro.product.model ro.soc.manufacturer ro.soc.model \
        ro.board.platform ro.hardware ro.build.version.sdk ro.build.version.release \
        ro.product.cpu.abilist ro.hardware.egl ro.hardware.vulkan ro.serialno; do
        say "$name" getprop "$name"
    done
    say gles sh -c "dumpsys -t 5 SurfaceFlinger | grep -m 1 'GLES:'"
    say su sh -c 'command -v su'
    say opencl sh -c 'for lib in libOpenCL.so libOpenCL-pixel.so libOpenCL-car.so libPVROCL.so; do
        for dir in /vendor/lib64 /system/vendor/lib64 /system/lib64 /vendor/lib /system/lib; do
            [ -e "$dir/$lib" ] && echo "$dir/$lib" && exit
        done
    done'
fi
echo '@@ end'
"""

_CLUSTER = re.compile(
    r"/sys/devices/system/cpu/cpufreq/policy(\d+)/(cpuinfo_max_freq|related_cpus):(.*)"
)
_CAPACITY = re.compile(r"/sys/devices/system/cpu/cpu(\d+)/cpu_capacity:(\d+)")
# What a reboot, a new name or a change of address may alter; and which of equal devices
# it is, which is no property of the kind.
_NOT_IN_FINGERPRINT = frozenset({"hostname", "ram_kib", "unit", "root"})
# Came after the first records; they count only where the device tells them.
_LATER = frozenset({"soc", "revision", "android", "capacity"})
# What makers leave in the place of a serial number.
_NO_SERIAL = re.compile(r"unknown|0123456789abcdef|[0f]*|uninitialized", re.IGNORECASE)


class UnreadableFacts(ValueError):
    """The text is not what the facts script prints, or only part of it."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """CPUs that share a clock.

    Attributes:
        max_khz: what the hardware allows.
        capacity: of each of them, where 1024 is the fastest kind of the device
            (cpu_capacity); None where the kernel does not tell.
    """

    cpus: tuple[int, ...]
    max_khz: int
    capacity: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a device is; None is "it does not tell".

    Attributes:
        kind: "linux" or "android".
        machine: as uname -m has it; word_bits of the user land may be fewer.
        os: name and version of the system, on Android its build fingerprint.
        cpu_model: names of all kinds of cores, joined by " + ".
        cpu_count: CPUs that the kernel has brought up.
        clusters: by first CPU; () where the kernel does not tell.
        ram_kib: MemTotal; it differs a little from boot to boot.
        board: device tree's model, else vendor and product of the DMI table.
        hypervisor: its name, "unnamed" where only the CPU flag tells; None without one.
        libc: "glibc 2.36"; None for one that does not tell (musl, bionic).
        soc: name of the chip, on boards as the device tree has it ("brcm,bcm2711").
        revision: code of a Raspberry Pi's make.
        android: what only phones have.
        root: "user" where commands run as root; "su" where a phone has such a program,
            whether or not it lets anybody in; None without a sign of either.
        unit: tells equal devices apart: 16 hex digits of the sha256 of the serial number,
            on a Linux without one of the machine id. Cards copied from one image share a
            machine id, which is why the serial number goes first.
    """

    kind: str
    hostname: str | None
    machine: str
    kernel: str
    os: str | None
    cpu_model: str | None
    cpu_count: int | None
    clusters: tuple[Cluster, ...]
    ram_kib: int | None
    board: str | None
    hypervisor: str | None
    word_bits: int | None
    libc: str | None
    soc: str | None = None
    revision: str | None = None
    android: AndroidFacts | None = None
    root: str | None = None
    unit: str | None = None

    @property
    def fingerprint(self) -> str:
        """Hex sha256 of hardware and system: alike after every reboot, and for equal devices.

        Without hostname, ram_kib, root and unit. What later versions ask for counts only
        where it is told, so that a device that does not tell it keeps its fingerprint.
        """
        stable = _told({k: v for k, v in asdict(self).items() if k not in _NOT_IN_FINGERPRINT})
        text = json.dumps(stable, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Field names as keys, plus `fingerprint`."""
        value: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {**value, "fingerprint": self.fingerprint}


def read_facts(transport: Transport, deadline: Deadline) -> Facts:
    """Ask a device what it is, in one command.

    Raises: what Transport.run raises, CommandFailed, TransferError (its answer cannot
    be read, most likely cut off).
    """
    result = transport.run(["sh", "-c", _SCRIPT], deadline=deadline).check()
    try:
        return parse_facts(result.text)
    except UnreadableFacts as error:
        raise TransferError(str(error), device=result.device, stderr=result.stderr) from error


def parse_facts(text: str) -> Facts:
    """Read what the facts script printed.

    Raises: UnreadableFacts where a section is missing or holds no number where one
    belongs, or kind, machine or kernel is empty.
    """
    sections = _sections(text.replace("\r\n", "\n"))
    try:
        kind, machine, kernel = (sections[name] for name in ("kind", "machine", "kernel"))
        if not (kind in ("linux", "android") and machine and kernel):
            raise UnreadableFacts(f"not the facts of a device: {kind!r} {machine!r} {kernel!r}")
        cpus = _pairs(sections["cpuinfo"])
        return Facts(
            kind=kind,
            hostname=sections["hostname"] or None,
            machine=machine,
            kernel=kernel,
            os=sections["android"] or _os_name(sections["os"]),
            cpu_model=_cpu_model(cpus, _pairs(sections["lscpu"])),
            cpu_count=len(cpus.get("processor", ())) or None,
            clusters=_clusters(sections["clusters"], sections["capacity"]),
            ram_kib=_number(r"MemTotal:\s*(\d+) kB", sections["meminfo"]),
            board=sections["board"] or " ".join(sections["product"].split()) or None,
            hypervisor=_hypervisor(sections["virtual"], cpus),
            word_bits=_number(r"(\d+)", sections["bits"]),
            libc=sections["libc"] if sections["libc"].startswith("glibc") else None,
            soc=soc_of(sections)
            if kind == "android"
            else next(iter(sections["compatible"].split()[::-1]), None),
            revision=sections["revision"].partition(":")[2].strip() or None,
            android=read_android(sections) if kind == "android" else None,
            root="user" if sections["user"] == "0" else "su" if sections.get("su") else None,
            unit=_unit(sections.get("ro.serialno", "") or sections["serial"]),
        )
    except KeyError as error:
        raise UnreadableFacts(f"facts without section {error}") from error
    except UnreadableFacts:
        raise
    except ValueError as error:
        raise UnreadableFacts(f"facts: {error}") from error


def _sections(text: str) -> dict[str, str]:
    head, *parts = re.split(r"^@@ ", text, flags=re.MULTILINE)
    if head.strip() != "edgebench-facts 1" or not parts or parts[-1].strip() != "end":
        raise UnreadableFacts(f"not a whole text of facts: {text[:80]!r} ... {text[-80:]!r}")
    pairs = (part.partition("\n") for part in parts)
    return {name.strip(): content.strip() for name, _, content in pairs}


def _pairs(text: str) -> Mapping[str, list[str]]:
    """Key -> its values in order, of lines "key : value"."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), []).append(value.strip())
    return found


def _number(pattern: str, text: str) -> int | None:
    match = re.fullmatch(pattern, text)
    return int(match[1]) if match else None


def _os_name(os_release: str) -> str | None:
    match = re.search(r'^PRETTY_NAME=(["\']?)(.*)\1$', os_release, re.MULTILINE)
    return match[2] if match else None


def _cpu_model(cpus: Mapping[str, list[str]], lscpu: Mapping[str, list[str]]) -> str | None:
    """Names of the kinds of cores; ARM kernels give numbers, which lscpu has names for."""
    parts = [
        f"ARM implementer {implementer} part {part}"
        for implementer, part in zip(
            cpus.get("CPU implementer", ()), cpus.get("CPU part", ()), strict=False
        )
    ]
    named = [name for name in lscpu.get("Model name", ()) if name not in ("", "-")]
    names = cpus.get("model name") or named or parts
    return " + ".join(dict.fromkeys(names)) or None


def _told(value: Any) -> Any:
    """Without the later fields that are None, at any depth."""
    if isinstance(value, dict):
        return {k: _told(v) for k, v in value.items() if v is not None or k not in _LATER}
    return [_told(inner) for inner in value] if isinstance(value, tuple) else value


def _unit(serial: str) -> str | None:
    if _NO_SERIAL.fullmatch(serial):
        return None
    # machine-id(5) asks never to give the id itself away; a serial number is no better.
    return hashlib.sha256(f"edgebench unit {serial}".encode()).hexdigest()[:16]


def _clusters(text: str, capacities: str) -> tuple[Cluster, ...]:
    known = {int(m[1]): int(m[2]) for m in map(_CAPACITY.fullmatch, capacities.splitlines()) if m}
    policies: dict[int, dict[str, str]] = {}
    for match in map(_CLUSTER.fullmatch, text.splitlines()):
        if match:
            policies.setdefault(int(match[1]), {})[match[2]] = match[3]
    clusters = []
    for _, policy in sorted(policies.items()):
        if len(policy) == 2:
            cpus = parse_cpu_list(policy["related_cpus"].strip().replace(" ", ","))
            khz = int(policy["cpuinfo_max_freq"])
            clusters.append(Cluster(cpus, khz, known.get(cpus[0])))
    return tuple(clusters)


def _hypervisor(detected: str, cpus: Mapping[str, list[str]]) -> str | None:
    if detected and detected != "none":
        return detected
    flags = " ".join(cpus.get("flags", ())).split()
    return "unnamed" if not detected and "hypervisor" in flags else None
