"""Which wheels a board takes, and getting them on this machine.

Platform tags: PEP 600 (manylinux_2_N runs on glibc 2.N and later) and PEP 425.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.errors import Unsupported

LITERT = "ai-edge-litert"
# What there is for 32 bits; it takes numpy from the system, since there is none for it.
TFLITE = "tflite-runtime"
_OTHERWISE = 'benchmark_model needs no Python: measure.runners = ["benchmark_model"]'
_OLDEST_GLIBC = 17  # manylinux2014
_PIP_S = 900.0
# What pip says where it reached no index; without these it saw one that has no such wheel.
_NO_INDEX = re.compile(
    r"connection broken|Could not fetch URL|ProxyError|SSLError|Max retries|timed out|"
    r"Name or service not known|Temporary failure in name resolution|\b40[1347] Client Error",
    re.IGNORECASE,
)
_NO_WHEEL = re.compile(r"No matching distribution found for (\S+)")


class NoWheels(Exception):
    """The wheels cannot be had on this machine; the message says why and what to do by hand."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A board's python3.

    Attributes:
        executable: absolute path, of no virtual environment and no link.
        version: "3.11.2"; implementation: "cpython".
        bits: of its own words, whatever the kernel has.
        free_threaded: built without the global lock, which is another ABI.
        numpy: version that the system has, or None; tflite_runtime: likewise.
    """

    executable: str
    version: str
    implementation: str
    bits: int
    free_threaded: bool
    numpy: str | None
    tflite_runtime: str | None

    @property
    def minor(self) -> str:
        """ "3.11"."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True, slots=True)
class WheelPlan:
    """What to install on a board, and how to ask for it.

    Attributes:
        requirements: names of packages; () where the system has everything.
        with_dependencies: whether theirs come along.
        system_packages: whether the environment sees the system's packages.
        python, abi: as tags have them: "3.11", "cp311".
        platforms: tags that the board takes, best first.
    """

    requirements: tuple[str, ...]
    with_dependencies: bool
    system_packages: bool
    python: str
    abi: str
    platforms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel on this machine; its file name says name and version."""

    path: Path
    sha256: str

    @property
    def title(self) -> str:
        """ "ai-edge-litert 2.3.0"."""
        name, version = self.path.name.split("-")[:2]
        return f"{name.replace('_', '-')} {version}"


def plan_wheels(python: Interpreter, machine: str, libc: str | None, device: str) -> WheelPlan:
    """What a board of that `uname -m` and C library (Facts.libc) takes.

    Raises: Unsupported where there is nothing for it.
    """
    if python.implementation != "cpython":
        raise _unsupported(
            f"its python3 is {python.implementation}; wheels are for CPython", device
        )
    minor = python.minor
    abi = f"cp{minor.replace('.', '')}{'t' if python.free_threaded else ''}"
    if python.bits == 32:
        if python.numpy is None:
            raise _unsupported(
                "32 bits, for which there is no numpy wheel, and its python3 has no numpy "
                "(Debian: python3-numpy)",
                device,
            )
        if python.tflite_runtime is not None:
            return WheelPlan((), False, True, minor, abi, ())
        # An ARMv8 kernel may carry a 32-bit system, which takes what ARMv7 takes.
        arm = machine in ("armv7l", "armv8l", "aarch64")
        platforms = _platforms("armv7l", libc, device) if arm else ()
        if not platforms:
            raise _unsupported(f"there is no TFLite runtime for 32 bits of {machine}", device)
        return WheelPlan((TFLITE,), False, True, minor, abi, platforms)
    if machine not in ("aarch64", "x86_64"):
        raise _unsupported(f"there is no TFLite runtime for {machine}", device)
    return WheelPlan((LITERT,), True, False, minor, abi, _platforms(machine, libc, device))


def fetch_wheels(
    plan: WheelPlan, into: Path, *, given: Path | None, device: str
) -> tuple[Wheel, ...]:
    """Have pip choose and bring the newest wheels that fit; by file name.

    Args:
        into: an empty directory.
        given: take them from this directory and from nowhere else.

    Raises: Unsupported where none fits the board; NoWheels where they cannot be had.
    """
    if not plan.requirements:
        return ()
    if given is not None and not given.is_dir():
        raise NoWheels(f"{given}: no such directory")
    argv = [*_pip(plan), *_target(plan), *_source(given), f"--dest={into}", *plan.requirements]
    try:
        ran = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=_PIP_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoWheels(f"pip got no wheels within {_PIP_S:g} s; {by_hand(plan)}") from None
    if ran.returncode != 0:
        raise _pip_failed(plan, ran.stderr, given, device)
    wheels = tuple(Wheel(path, _sha256(path)) for path in sorted(into.glob("*.whl")))
    if not wheels:
        raise NoWheels(f"pip ended with success and brought no wheel; {by_hand(plan)}")
    return wheels


def by_hand(plan: WheelPlan) -> str:
    """What to do on a machine that reaches a package index, one sentence."""
    words = ["pip", *_target(plan), "--dest=wheels", *plan.requirements]
    return f"where there is internet run `{' '.join(words)}`, then give the directory: --wheels"


def _pip(plan: WheelPlan) -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"]
    found = shutil.which("pip3") or shutil.which("pip")
    if found is None:
        raise NoWheels(f"this machine has no pip; install it, or {by_hand(plan)}")
    return [found]


def _source(given: Path | None) -> list[str]:
    quick = ["--quiet", "--disable-pip-version-check", "--no-input"]
    if given is not None:
        return [*quick, "--isolated", "--no-index", f"--find-links={given.absolute()}"]
    return [*quick, "--retries=1", "--timeout=20"]


def _target(plan: WheelPlan) -> list[str]:
    argv = ["download", "--only-binary=:all:", "--implementation=cp"]
    argv += [f"--python-version={plan.python}", f"--abi={plan.abi}"]
    argv += [f"--platform={tag}" for tag in plan.platforms]
    return argv if plan.with_dependencies else [*argv, "--no-deps"]


def _platforms(machine: str, libc: str | None, device: str) -> tuple[str, ...]:
    known = re.fullmatch(r"glibc 2\.(\d+)", libc or "")
    if known is None:
        raise _unsupported(
            f"wheels are for glibc, and this has {libc or 'another C library'}", device
        )
    newest = int(known[1])
    if newest < _OLDEST_GLIBC:
        raise _unsupported(f"its glibc 2.{newest} is too old for any wheel", device)
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(newest, _OLDEST_GLIBC - 1, -1)]
    return (*tags, f"manylinux2014_{machine}")


def _pip_failed(plan: WheelPlan, stderr: str, given: Path | None, device: str) -> Exception:
    if given is None and _NO_INDEX.search(stderr):
        return NoWheels(f"no package index can be reached from this machine; {by_hand(plan)}")
    missing = _NO_WHEEL.search(stderr)
    target = f"Python {plan.python} ({plan.abi}) on {plan.platforms[0]}"
    if missing is not None and given is not None:
        return NoWheels(f"{given} has no wheel of {missing[1]} for {target}; {by_hand(plan)}")
    if missing is not None:
        return _unsupported(f"there is no wheel of {missing[1]} for {target}", device)
    last = next((line for line in reversed(stderr.splitlines()) if line.strip()), "no word")
    return NoWheels(f"pip failed: {last.strip()}; {by_hand(plan)}")


def _unsupported(what: str, device: str) -> Unsupported:
    return Unsupported(f"{what}; {_OTHERWISE}", device=device)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(plan: WheelPlan, python: Interpreter, wheels: Sequence[Wheel]) -> str:
    """16 hex digits: the same for what would be the same environment."""
    parts = [python.executable, python.version, str(plan.system_packages)]
    parts += [f"{wheel.path.name} {wheel.sha256}" for wheel in wheels]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
