"""A private Python with a TFLite runtime on a board, also on one without internet.

`<workdir>/venvs/<digest>/` is a virtual environment whose content its digest names, and
`<workdir>/venv` a link to the one in use. The wheels are had on the controller and
unpacked on the board by its own python3; the system's packages are never touched.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices import provision_py
from devices.blobs import BlobStore
from devices.connect import PROVISIONED_PYTHON
from devices.deadline import Deadline
from devices.device import Device
from devices.errors import (
    CommandFailed,
    CommandNotFound,
    NoSpace,
    StableDeviceError,
    TransferError,
    Unsupported,
)
from devices.facts import Facts
from devices.provision_wheels import (
    Interpreter,
    Wheel,
    WheelPlan,
    digest_of,
    fetch_wheels,
    plan_wheels,
)

_SCHEMA = "edgebench-venv/1"
_ASK_S = 60.0
# A Pi writes a few MB a second to its card, and the first import compiles hundreds of files.
_INSTALL_S = 900.0
_CHECK_S = 300.0
_PUSH_BASE_S, _PUSH_BYTES_PER_S = 60.0, 200_000


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What a board measures with now.

    Attributes:
        python: absolute path of the interpreter on the board; digest: of its environment.
        runtime: name and version of the TFLite runtime; numpy: version.
        wheels: file name -> sha256 of what was unpacked; () where the system has it all.
        changed: whether anything on the board is another than before.
    """

    python: str
    digest: str
    python_version: str
    runtime: str
    numpy: str
    wheels: tuple[tuple[str, str], ...]
    changed: bool


def provision(
    device: Device,
    facts: Facts,
    *,
    wheels: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
    prove: Callable[[str], None] = lambda python: None,
) -> Provisioned:
    """Have the newest TFLite runtime that fits a board in its work directory, and in use.

    Does nothing on a board that has it already. An older environment stays until `remove`,
    and in use where the new one does not work. Whoever calls it has the board's lease.

    Args:
        wheels: directory of the controller with wheels to choose from, in place of the
            package index that pip is set up with.
        tell: what is being done, line by line.
        prove: called with the new interpreter before it is put in use; raises where it is
            no good.

    Raises: Unsupported (nothing fits it, or it is no board for this), NoWheels (they cannot
    be had on this machine), NoSpace, StableDeviceError (the runtime does not work there),
    and what BlobStore.ensure, Transport.run and `prove` raise.
    """
    python = _interpreter(device)
    plan = plan_wheels(python, facts.machine, facts.libc, device.name)
    with tempfile.TemporaryDirectory(prefix="edgebench-wheels-") as folder:
        if plan.requirements:
            tell(f"looking for {', '.join(plan.requirements)} for Python {python.minor}")
        found = fetch_wheels(plan, Path(folder), given=wheels, device=device.name)
        digest = digest_of(plan, python, found)
        own = f"{device.workdir}/venvs/{digest}/bin/python"
        works, in_use = _state(device, digest)
        if works is None:
            _install(device, digest, python, plan, found, tell)
            works = _runtime_of(device, own)
        if not in_use:
            prove(own)
            _run(device, [python.executable, "-c", provision_py.SWITCH, device.workdir, digest])
        names = tuple((wheel.path.name, wheel.sha256) for wheel in found)
    return Provisioned(
        python=f"{device.workdir}/{PROVISIONED_PYTHON}",
        digest=digest,
        python_version=python.version,
        runtime=works.runtime,
        numpy=works.numpy,
        wheels=names,
        changed=not in_use,
    )


def remove(device: Device, *, deadline: Deadline) -> tuple[str, ...]:
    """Remove every environment that `provision` made, and nothing else; their digests.

    Raises: what Transport.run raises, and CommandFailed.
    """
    result = device.transport.run(
        ["sh", "-c", provision_py.REMOVE, "edgebench", device.workdir], deadline=deadline
    )
    return tuple(result.check().text.split())


@dataclass(frozen=True, slots=True)
class _Works:
    runtime: str
    numpy: str


def _interpreter(device: Device) -> Interpreter:
    """The python3 of a board that can be provisioned."""
    if device.kind != "linux":
        raise Unsupported(
            "a phone has no Python; benchmark_model is its runner", device=device.name
        )
    if device.python != f"{device.workdir}/{PROVISIONED_PYTHON}":
        raise Unsupported(
            f"it measures with {device.python}, which is not ours to change; without a `python` "
            "of its own in devices.toml a board uses what is provisioned",
            device=device.name,
        )
    try:
        text = _run(device, ["python3", "-c", provision_py.PROBE])
    except CommandNotFound as error:
        raise Unsupported(
            "there is no python3 on it (Debian: apt install python3); benchmark_model needs none",
            device=device.name,
        ) from error
    return Interpreter(**_json(device, text))


def _state(device: Device, digest: str) -> tuple[_Works | None, bool]:
    """What the environment of that digest measures with, None without a good one; in use."""
    place = f"{device.workdir}/venvs/{digest}"
    script = 'readlink "$2" || echo; [ -f "$1/edgebench.json" ] && echo made; exit 0'
    words = ["sh", "-c", script, "edgebench", place, f"{device.workdir}/venv"]
    link, made = _run(device, words).split("\n")[:2]
    if made != "made":
        return None, False
    try:
        works = _runtime_of(device, f"{place}/bin/python")
    except StableDeviceError:
        # Somebody's hand was in it, or the system's Python was replaced: made anew.
        return None, False
    return works, link == f"venvs/{digest}"


def _install(
    device: Device,
    digest: str,
    python: Interpreter,
    plan: WheelPlan,
    wheels: Sequence[Wheel],
    tell: Callable[[str], None],
) -> None:
    blobs = BlobStore(device.transport, device.workdir)
    paths: list[str] = []
    for wheel in wheels:
        size = wheel.path.stat().st_size
        tell(f"copying {wheel.title} ({size / 1e6:.1f} MB)")
        seconds = _PUSH_BASE_S + size / _PUSH_BYTES_PER_S
        blobs.ensure(wheel.path, wheel.sha256, deadline=Deadline(seconds))
        paths.append(blobs.path(wheel.sha256))
    tell(f"making {digest}")
    manifest = {
        "schema": _SCHEMA,
        "python": python.version,
        "wheels": [{"file": wheel.path.name, "sha256": wheel.sha256} for wheel in wheels],
    }
    system = "true" if plan.system_packages else "false"
    words = [device.workdir, digest, python.executable, python.minor, system]
    _run(
        device,
        [python.executable, "-I", "-c", provision_py.INSTALL, *words, json.dumps(manifest), *paths],
        seconds=_INSTALL_S,
    )


def _runtime_of(device: Device, python: str) -> _Works:
    """What an environment measures with. Raises: StableDeviceError where it does not."""
    try:
        text = _run(device, [python, "-c", provision_py.CHECK], seconds=_CHECK_S)
    except CommandFailed as error:
        last = error.stderr_tail.strip().splitlines()[-1:] or [f"exit code {error.exit_code}"]
        raise StableDeviceError(
            f"the runtime does not work on this board: {last[0]}", device=device.name
        ) from error
    found = _json(device, text)
    return _Works(f"{found['runtime']} {found['version']}", found["numpy"])


def _run(device: Device, argv: Sequence[str], *, seconds: float = _ASK_S) -> str:
    """Stdout of a command. Raises: CommandFailed, NoSpace, what Transport.run raises."""
    result = device.transport.run(argv, deadline=Deadline(seconds))
    if result.exit_code == provision_py.NO_SPACE:
        raise NoSpace("the board's disk is full", device=device.name, stderr=result.stderr)
    return result.check().text


def _json(device: Device, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise TransferError(f"its Python answered {text[:200]!r}", device=device.name)
    return found
