"""The directories of an emulated phone before it is switched on: programs and properties."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from devices.emulated.container import MOUNTS
from devices.emulated.phone_fresh import first_state
from devices.emulated.phone_profiles import PhoneProfile
from devices.emulated.phone_state import PhoneState

_USERLAND = Path(__file__).with_name("userland")

# What phones have of the usual tools: from toybox where it is installed, as on a phone,
# else the host's. Not `ps` and the like of other users, which a phone hides.
_TOOLS = (
    "base64 basename cat chmod cmp cp cut date dd df dirname du echo env expr false file find "
    "free grep gzip head hostname kill ln ls md5sum mkdir mkfifo mktemp mount mv nice nohup nproc "
    "od paste pgrep printf ps pwd readlink realpath renice rm rmdir sed seq setsid sha1sum "
    "sha256sum sleep sort split stat sync tail tar taskset tee test top touch tr true truncate "
    "umount uname uniq unlink uptime wc which xargs yes [ "
)


def lay_out(home: Path, profile: PhoneProfile, serial: str) -> PhoneState:
    """Make the directories of a phone, or find those of one that was switched off.

    Raises: OSError.
    """
    for directory in MOUNTS:
        (home / directory).mkdir(parents=True, exist_ok=True)
    (home / "tmp").chmod(0o1777)
    (home / "var_tmp").chmod(0o1777)
    properties = home / "state" / "properties"
    if properties.exists():
        return PhoneState.outside(home)
    _programs(home / "system", profile)
    state = first_state(home, profile, sorted(os.sched_getaffinity(0)))
    lines = [f"{key}={value}\n" for key, value in profile.properties(serial).items()]
    properties.write_text("".join(lines))
    return state


def _programs(system: Path, profile: PhoneProfile) -> None:
    tools = set(_TOOLS.split()) | ({"timeout"} if profile.sdk >= 28 else set())
    for name in sorted(tools):
        target = _toybox(name) or shutil.which(name)
        if target:
            (system / name).symlink_to(target)
    (system / "sh").symlink_to(shutil.which("mksh") or "/bin/sh")
    has = {"su": profile.rooted, "perfetto": profile.has_perfetto}
    for script in _USERLAND.iterdir():
        if has.get(script.name, True):
            shutil.copy(script, system / script.name)
            (system / script.name).chmod(0o755)


def _toybox(name: str) -> str | None:
    path, tools = _toybox_tools()
    return path if name in tools else None


@cache
def _toybox_tools() -> tuple[str | None, frozenset[str]]:
    path = shutil.which("toybox")
    if path is None:
        return None, frozenset()
    listed = subprocess.run([path], capture_output=True, text=True, timeout=30, check=False)
    return path, frozenset(listed.stdout.split())
