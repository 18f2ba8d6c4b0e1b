"""Which runner measures on a device, with which binary."""

from __future__ import annotations

from pathlib import Path

import platformdirs

from bench.errors import UserError
from bench.runners.base import Runner
from bench.runners.benchmark_app import BenchmarkAppRunner
from bench.runners.benchmark_model import BenchmarkModelRunner
from bench.runners.clock import library_for
from bench.runners.litert import LitertRunner
from bench.runners.loop import InvokeLoopRunner
from bench.tools.cache import APP, ToolBinary, ToolCache, tool_from_path
from devices.device import Device
from devices.facts import Facts

# As `uname -m` has it, with 64 bits of user land or 32 -> ABI, on Android and on Linux.
_ABIS = {
    ("aarch64", 64): ("arm64-v8a", "aarch64"),
    ("aarch64", 32): ("armeabi-v7a", "armhf"),
    ("armv8l", 32): ("armeabi-v7a", "armhf"),
    ("armv7l", 32): ("armeabi-v7a", "armhf"),
    ("x86_64", 64): ("x86_64", "x86_64"),
}


def runner_for(kind: str, device: Device, facts: Facts, *, tool: Path | None = None) -> Runner:
    """The runner of a kind on a device.

    Args:
        tool: a binary of the user's own; None for the one in the cache.

    Raises: UserError where there is no binary, or one for other devices; it says what to do.
    """
    if kind == "invoke_loop":
        return InvokeLoopRunner()
    if kind == "litert":
        return LitertRunner()
    system = "android" if device.kind == "android" else "linux"
    abi = abi_of(facts)
    binary = _binary(kind, system, abi, device, tool)
    scratch = platformdirs.user_cache_path("edgebench") / "inputs"
    if kind == APP:
        return BenchmarkAppRunner(binary, scratch=scratch)
    clock = library_for(facts.machine, facts.word_bits or 64)
    return BenchmarkModelRunner(binary, clock, system=system, scratch=scratch)


def abi_of(facts: Facts) -> str:
    """The ABI that programs for a device are built for, as Android or Debian call it."""
    known = _ABIS.get((facts.machine, facts.word_bits or 64))
    if known is None:
        return facts.machine
    return known[0] if facts.kind == "android" else known[1]


def _binary(kind: str, system: str, abi: str, device: Device, tool: Path | None) -> ToolBinary:
    # A device has one `tool`, which may be the app or the program.
    if tool is not None and (tool.suffix == ".apk") == (kind == APP):
        return tool_from_path(tool.expanduser(), kind=kind, system=system, abi=abi)
    found = ToolCache().find(kind, system, abi)
    if found is None:
        raise UserError(
            f"{device.name}: there is no {kind} for {system} {abi} here; `edgebench tools` shows "
            "what there is and how to get it, or name your own as `tool` in devices.toml"
        )
    return found
