"""What a device says of itself when somebody looks in for a moment."""

from __future__ import annotations

from dataclasses import dataclass, replace

from devices.connect import connect, disconnect
from devices.deadline import Deadline
from devices.device import Device
from devices.errors import DeviceError, Unauthorized
from devices.facts import Facts, read_facts
from devices.inventory import DeviceEntry
from devices.lease import LeaseState, look
from devices.state import Snapshot
from devices.telemetry import snapshot


@dataclass(frozen=True, slots=True)
class Seen:
    """None is what it did not tell, or was not asked.

    Attributes:
        reached: whether it answered at all.
        lease: None where nobody has it or left anything, once it was reached.
        problem: why it told nothing, or not all; one line.
        refused: whether one side does not trust the other.
        facts, state: not asked for while somebody holds its lease: a dozen processes in the
            middle of their measurement would be in their figures.
    """

    reached: bool
    lease: LeaseState | None = None
    facts: Facts | None = None
    state: Snapshot | None = None
    problem: str | None = None
    refused: bool = False

    @property
    def in_use(self) -> bool:
        return self.lease is not None and self.lease.live


def survey(entry: DeviceEntry, deadline: Deadline) -> Seen:
    """Look at one device; nobody is asked for a password. Raises nothing."""
    try:
        device = connect(entry)
    except ValueError as error:
        return Seen(reached=False, problem=str(error))
    try:
        return look_at(device, deadline)
    finally:
        disconnect(device)


def look_at(device: Device, deadline: Deadline) -> Seen:
    """Its lease, then, unless it is in use, its state and facts. Raises nothing."""
    transport = device.transport
    seen = Seen(reached=False)
    try:
        transport.run(["true"], deadline=deadline)
        seen = replace(seen, reached=True)
        seen = replace(seen, lease=look(transport, device.lease_place, deadline=deadline))
        if seen.in_use:
            return seen
        seen = replace(seen, state=snapshot(transport, deadline))
        return replace(seen, facts=read_facts(transport, deadline))
    except DeviceError as error:
        return replace(seen, problem=in_words(error), refused=isinstance(error, Unauthorized))


def in_words(error: DeviceError) -> str:
    """What happened, in one line without the device's name and the command."""
    last = error.stderr_tail.strip().splitlines()[-1:]
    return "; ".join([error.message, *last])
