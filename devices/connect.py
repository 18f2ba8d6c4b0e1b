"""From an entry of the inventory to a device: the transport it takes, and where its things lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from devices.adb import AdbTransport
from devices.adb_server import AdbServer
from devices.device import CONTROLLER_CPU, Device, local_device
from devices.inventory import DeviceEntry
from devices.ssh import SshTransport
from devices.ssh_config import SshAddress, resolve
from devices.ssh_login import Secrets
from devices.transport import Transport

ANDROID_WORKDIR = "/data/local/tmp/edgebench"
# Below the work directory of a board: what `edgebench devices provision` made.
PROVISIONED_PYTHON = "venv/bin/python"


def connect(
    entry: DeviceEntry,
    *,
    ask: Callable[[str], str] | None = None,
) -> Device:
    """The device of an entry; nothing is sent before its first call.

    Args:
        ask: shows a prompt and returns the password that a person typed; None where nobody
            can be asked.

    Raises: ValueError where the address is none, or ~/.ssh/config cannot be used.
    """
    if entry.kind == "local":
        return local_device(entry.name, Path(entry.workdir) if entry.workdir else None)
    if entry.kind == "android":
        transport: Transport = AdbTransport(
            entry.name,
            entry.serial or "",
            server=AdbServer(entry.adb_host, entry.adb_port),
        )
        return _device(entry, transport, entry.workdir or ANDROID_WORKDIR, None)
    address = ssh_address(entry)
    transport = SshTransport(address, entry.name, secrets=Secrets(ask))
    # Of its own user: another one's could not be written.
    workdir = entry.workdir or f"/var/tmp/edgebench-{address.user}"  # noqa: S108
    return _device(entry, transport, workdir, entry.python or f"{workdir}/{PROVISIONED_PYTHON}")


def disconnect(device: Device) -> None:
    """Close what `connect` opened; the device may be used again and then connects anew."""
    close = getattr(device.transport, "close", None)
    if close is not None:
        close()


def ssh_address(entry: DeviceEntry) -> SshAddress:
    """Where the SSH server of an entry is, by it and by ~/.ssh/config. Raises: ValueError."""
    return resolve(
        entry.host or "",
        user=entry.user,
        port=entry.port,
        key=Path(entry.key).expanduser() if entry.key else None,
        jump=entry.jump,
    )


def _device(entry: DeviceEntry, transport: Transport, workdir: str, python: str | None) -> Device:
    return Device(
        name=entry.name,
        kind=entry.kind,
        transport=transport,
        workdir=workdir,
        python=python,
        resources=frozenset({CONTROLLER_CPU} if entry.shares_controller else ()),
        simulated=entry.simulated,
        controls=entry.controls,
        by_network=entry.by_network,
    )
