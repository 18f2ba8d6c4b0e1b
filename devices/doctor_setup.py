"""From what a device told to findings: lease, work directory, runtime and the rest. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from devices.controls import check_controls
from devices.doctor_finding import Finding
from devices.doctor_probe import Probe
from devices.facts import Facts
from devices.inventory import DeviceEntry
from devices.lease import LeaseState

_LITTLE_SPACE_KIB, _NO_SPACE_KIB = 500 * 1024, 50 * 1024
_CLOCK_OFF_S = 60
_NEED_ROOT = frozenset({"governor", "max_khz", "min_khz", "fan"})
_ROOT = {
    "none": "no root, and none is needed",
    "root": "commands run as root",
    "sudo": "root by sudo",
    "su-0": "root by su",
    "su-c": "root by su",
}
_GLES = "OpenGL ES 3."
# In a build's fingerprint, chip or model; the last is devices.emulated.
_EMULATORS = ("sdk_gphone", "ranchu", "goldfish", "cuttlefish", "vbox", "simulated")


def judge_lease(lease: LeaseState | None) -> Finding:
    """Who has it, and what somebody left changed."""
    if lease is None:
        return Finding("lease", "ok", "free")
    who = lease.owner or "somebody unknown"
    if lease.live:
        return Finding(
            "lease",
            "warning",
            f"in use by {who} for {lease.held_s} s; nothing else was looked at, which would be in"
            " their figures",
            "wait for it, or end it with `edgebench devices unlock`",
        )
    if lease.pending:
        names = ", ".join(dict.fromkeys(entry.control for entry in lease.pending))
        return Finding(
            "lease",
            "warning",
            f"free, but {who} left changed: {names}",
            "`edgebench devices unlock` puts it back, and so does the next run",
        )
    return Finding("lease", "ok", "free")


def judge_place(workdir: str, probe: Probe) -> Iterator[Finding]:
    """Where our files go, and the programs that a launch needs."""
    if probe.place_problem:
        yield Finding(
            "work directory",
            "failure",
            f"{workdir} cannot be used: {probe.place_problem}",
            "set `workdir` in devices.toml to a directory where this user may write and run"
            " programs (on a phone below /data/local/tmp)",
        )
    else:
        yield Finding("work directory", "ok", f"{workdir} takes programs and runs them")
    if probe.free_kib is not None:
        yield _space(probe.free_kib)
    if probe.missing:
        yield Finding(
            "tools",
            "failure",
            f"there is no {', no '.join(probe.missing)}",
            "install coreutils, util-linux and tar, or busybox",
        )
    else:
        yield Finding("tools", "ok", "sha256sum, setsid and tar are there")


def _space(free_kib: int) -> Finding:
    text = f"{free_kib / 1024:.0f} MiB free"
    fix = "free some: what edgebench keeps lies in `blobs` of the work directory"
    if free_kib < _NO_SPACE_KIB:
        return Finding("space", "failure", text, fix)
    if free_kib < _LITTLE_SPACE_KIB:
        return Finding("space", "warning", text, fix)
    return Finding("space", "ok", text)


def judge_clock(device_s: int | None, here_s: float) -> Finding:
    """The device's clock against this machine's, both seconds since 1970."""
    if device_s is None:
        return Finding("clock", "warning", "it does not tell the time")
    off_s = device_s - here_s
    if abs(off_s) < _CLOCK_OFF_S:
        return Finding("clock", "ok", "agrees with this machine's within a minute")
    amount = f"{abs(off_s):.0f} s" if abs(off_s) < 7200 else f"{abs(off_s) / 3600:.0f} h"
    return Finding(
        "clock",
        "warning",
        f"{amount} {'ahead of' if off_s > 0 else 'behind'} this machine's (a Raspberry Pi has"
        " none that runs without power); no figure depends on it",
        "sudo timedatectl set-ntp true, or on a phone: automatic date and time",
    )


def judge_runtime(kind: str, python: str | None, probe: Probe, tool: str | None) -> Finding:
    """Whether anything can run a model there.

    Args:
        python: interpreter that was tried. tool: a benchmark_model for it, in words.
    """
    have = [f"benchmark_model {tool}"] if tool else []
    if probe.runtime and probe.numpy:
        have.insert(0, f"{probe.runtime} (Python {probe.python}, numpy {probe.numpy})")
    if have:
        return Finding("runtime", "ok", "; ".join(have))
    get_tool = "get a benchmark_model (`edgebench tools`)"
    if kind == "android":
        return Finding("runtime", "failure", "no benchmark_model for its ABI here", get_tool)
    why = probe.python_problem or "no TFLite runtime in it"
    return Finding(
        "runtime",
        "failure",
        f"no benchmark_model for it here, and {python}: {why}",
        f"`edgebench devices provision` puts a runtime there (64 bits), or name an interpreter as"
        f" `python` in devices.toml, or {get_tool}",
    )


def judge_gpu(facts: Facts) -> Finding | None:
    """What the GPU delegate needs; None on what is no phone."""
    if facts.android is None:
        return None
    opencl, gles = facts.android.opencl, facts.android.gles or ""
    have = [opencl] if opencl else []
    if (at := gles.find(_GLES)) >= 0 and not gles[at:].startswith(f"{_GLES}0"):
        have.append(gles)
    if have:
        return Finding("gpu", "ok", "; ".join(have))
    return Finding(
        "gpu",
        "warning",
        f"neither an OpenCL library nor OpenGL ES 3.1 was seen ({gles or 'no GL driver told'})",
        "measure without the gpu delegate; the tool itself has the last word",
    )


def judge_simulated(entry: DeviceEntry, facts: Facts) -> Finding | None:
    """Whether an emulator is marked as one; None where neither is the case."""
    if entry.simulated:
        return Finding("simulated", "ok", "marked as simulated: its figures never count as real")
    if emulator := _emulator(facts):
        return Finding(
            "simulated",
            "failure",
            f"it is an emulator ({emulator}) and not marked as one",
            "set `simulated = true` for it in devices.toml",
        )
    if facts.hypervisor:
        return Finding(
            "simulated",
            "warning",
            f"a virtual machine ({facts.hypervisor}): its neighbours are in its figures",
            "compare within one run only",
        )
    return None


def _emulator(facts: Facts) -> str | None:
    """A sign of an emulator; a virtual machine runs on the host's own processor and is none."""
    if facts.android is None:
        # systemd-detect-virt's word for QEMU without KVM.
        return "qemu" if facts.hypervisor == "qemu" else None
    words = f"{facts.os} {facts.soc} {facts.android.model}".lower()
    return next((sign for sign in _EMULATORS if sign in words), None)


def judge_controls(wanted: Mapping[str, str], root: str) -> Finding:
    """Whether what the inventory wants set can be set. root: of Hands.root."""
    try:
        check_controls(wanted)
    except ValueError as error:
        return Finding("controls", "failure", str(error), "correct `controls` in devices.toml")
    without = sorted(name for name in wanted if name in _NEED_ROOT) if root == "none" else []
    if not without:
        return Finding("controls", "ok", _ROOT[root])
    required = any(wanted[name].endswith("!") for name in without)
    return Finding(
        "controls",
        "failure" if required else "warning",
        f"no root without a password, so {', '.join(without)} cannot be set",
        "on a board: a sudoers rule with NOPASSWD; else leave it out of `controls`",
    )


def judge_link(round_trip_s: float, sent_bytes: int, sent_s: float) -> Finding:
    """A command that does nothing, and a file pushed; both with their own overhead."""
    text = f"{round_trip_s * 1000:.0f} ms a command, {sent_bytes / 2**20:.0f} MiB in {sent_s:.1f} s"
    if sent_bytes / sent_s < 1e6 or round_trip_s > 0.5:
        return Finding(
            "link", "warning", text, "slow: another cable or USB port, or the wire and not wireless"
        )
    return Finding("link", "ok", text)
