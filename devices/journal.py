"""What was changed on a device and not yet put back, written there before each change.

The journal lies in the directory of the lease (devices.lease_sh), one JSON object per line:
an entry for a change to come, or {"settled": [ids]} for what was put back. A line that is
no such object was cut off by a crash, and its change was never begun: it is passed over.

An entry names a control and not a command or a path, because whoever takes the lease over
acts on it, perhaps as root, and another user may have written it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from devices import lease_sh
from devices.deadline import Deadline
from devices.errors import LeaseLost
from devices.transport import Transport


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of one thing.

    Attributes:
        id: unique on the device.
        control: name of the control that knows how to put it back.
        target: what of the device it is, in the words of that control ("policy0").
        previous: value found there, exactly.
        wanted: value it was to get.
        boot: boot id of the device then; a restart puts some things back by itself.
    """

    id: str
    control: str
    target: str
    previous: str
    wanted: str
    boot: str

    @property
    def line(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Change:
    """A change to come: `previous` was read, `wanted` will be written."""

    control: str
    target: str
    previous: str
    wanted: str


_FIELDS = frozenset(field.name for field in fields(Entry))


class Journal:
    """The journal of a lease that is ours; for one thread.

    Every method raises LeaseLost where it is ours no more, so that nobody puts back what
    its next owner has set; and what lease_sh.ask raises. Its calls may be repeated.

    Args:
        transport: the way to the device.
        place: of the lease.
        nonce, number: of the lease.
        boot: boot id of the device.
    """

    def __init__(
        self, transport: Transport, place: str, *, nonce: str, number: int, boot: str
    ) -> None:
        self._transport = transport
        self._place = place
        self._nonce = nonce
        self._number = number
        self.boot = boot

    def open(self, pending: Sequence[Entry], *, deadline: Deadline) -> None:
        """Begin it with what earlier leases left to put back, unless it was begun before."""
        self._ask(lease_sh.OPEN, *(entry.line for entry in pending), deadline=deadline)

    def record(self, changes: Iterable[Change], *, deadline: Deadline) -> tuple[Entry, ...]:
        """Write changes down before they are made; they are on the disk when this returns."""
        entries = tuple(
            Entry(
                id=secrets.token_hex(8),
                control=change.control,
                target=change.target,
                previous=change.previous,
                wanted=change.wanted,
                boot=self.boot,
            )
            for change in changes
        )
        if entries:
            lines = (entry.line for entry in entries)
            self._ask(lease_sh.APPEND, *lines, deadline=deadline)
        return entries

    def settle(self, entries: Iterable[Entry], *, deadline: Deadline) -> None:
        """Say that these were put back."""
        if ids := [entry.id for entry in entries]:
            self._ask(lease_sh.APPEND, json.dumps({"settled": ids}), deadline=deadline)

    def pending(self, *, deadline: Deadline) -> tuple[Entry, ...]:
        """What was not put back, in the order in which it was written."""
        answer = self._ask(lease_sh.READ, deadline=deadline)
        return parse_journal(answer.journal)

    def _ask(self, script: str, *lines: str, deadline: Deadline) -> lease_sh.Answer:
        number = str(self._number)
        answer = lease_sh.ask(
            self._transport, script, self._place, self._nonce, number, *lines, deadline=deadline
        )
        if answer.word == "lost":
            raise LeaseLost(
                "the lease is no longer ours, so nothing is changed or put back",
                device=self._transport.device,
            )
        return answer


def parse_journal(content: bytes) -> tuple[Entry, ...]:
    """The entries that nothing settled, in the order in which they were written."""
    entries: dict[str, Entry] = {}
    settled: set[str] = set()
    for line in content.split(b"\n"):
        try:
            value: Any = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(value, dict):
            continue
        if value.keys() == _FIELDS and all(isinstance(text, str) for text in value.values()):
            entries.setdefault(value["id"], Entry(**value))
        elif isinstance(ids := value.get("settled"), list):
            settled.update(text for text in ids if isinstance(text, str))
    return tuple(entry for entry in entries.values() if entry.id not in settled)
