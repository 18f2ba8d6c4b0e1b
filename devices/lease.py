"""Exclusive use of a device, across processes, logins and controllers.

How it is kept on the device is said in devices.lease_sh. Whoever takes a lease first puts
back what an earlier owner left changed (devices.journal).
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from devices import lease_sh
from devices.deadline import Deadline
from devices.errors import DeviceError, LeaseHeld, LeaseLost
from devices.journal import Entry, Journal, parse_journal
from devices.transport import Transport

TTL_S = 120.0
_RELEASE_S = 5.0
_WORDS_LENGTH = 200
_WHO = ("user", "host", "pid", "purpose", "processes")


@dataclass(frozen=True, slots=True)
class Owner:
    """Who uses a device, as others see it.

    Attributes:
        user, host, pid: the process on the controller.
        purpose: what for, such as the id of a run.
        processes: names the table of processes that pid is a number of: boot and pid
            namespace, since host names are given twice; "" where the system does not tell.
        nonce: proves to the device that it is the same owner who comes back; whoever
            takes the lease again after a dropped link does so with the same Owner.
    """

    user: str
    host: str
    pid: int
    purpose: str
    processes: str = ""
    nonce: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @classmethod
    def here(cls, purpose: str) -> Owner:
        """This process."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a number without a name, as in containers
            user = str(os.getuid())
        return cls(user, socket.gethostname(), os.getpid(), purpose, _process_table())

    def outlived(self, other: Owner) -> bool:
        """Whether another owner was a process of this very machine that is no more.

        What it held need not expire first: a killed run can be resumed at once.
        """
        if not self.processes or self.processes != other.processes or other.pid <= 0:
            return False
        try:
            os.kill(other.pid, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            pass
        return False

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (process {self.pid}, {self.purpose})"


@dataclass(frozen=True, slots=True)
class LeaseState:
    """What a device says of its lease.

    Attributes:
        owner: None where it says nothing readable.
        live: False where it was released, has expired, or the device restarted since.
        held_s: for how long it has been held; 0 where not live.
        left_s: until it expires unless renewed; 0 where not live.
        pending: what was changed and not put back, by this owner or earlier ones.
    """

    owner: Owner | None
    live: bool
    held_s: int
    left_s: int
    pending: tuple[Entry, ...]


class Lease:
    """A device is ours until `release`, or until it expires without `renew`.

    For one thread. Made by `acquire`.

    Attributes:
        journal: what we change on the device goes there first.
    """

    def __init__(self, transport: Transport, place: str, owner: Owner, ttl_s: float) -> None:
        self._transport = transport
        self._place = place
        self._owner = owner
        self._ttl_s = ttl_s
        self._number = 0
        self.journal: Journal

    @classmethod
    def acquire(
        cls,
        transport: Transport,
        place: str,
        owner: Owner,
        *,
        deadline: Deadline,
        ttl_s: float = TTL_S,
        replay: Callable[[Journal], object],
        force: bool = False,
    ) -> Lease:
        """Take the lease of a device, and put back what earlier owners left changed.

        An owner who holds it already gets it again: a call whose answer was lost may be
        repeated. Where this raises, the lease is given back if the link allows, else it
        expires.

        Args:
            place: absolute path on the device, Device.lease_place.
            ttl_s: it expires that long after the last renewal; at least 1.
            replay: puts back what is in the journal (devices.controls.restore).
            force: take it even from a live owner.

        Raises: LeaseHeld (the message says by whom), and what lease_sh.ask and replay raise.
        """
        lease = cls(transport, place, owner, ttl_s)
        flag = "force" if force else ""
        answer = lease._ask(lease_sh.ACQUIRE, lease._ttl(ttl_s), flag, deadline=deadline)
        if answer.word == "held":
            raise LeaseHeld(_held(_state(answer), transport.device), device=transport.device)
        try:
            lease._enter(answer, deadline)
            replay(lease.journal)
        except BaseException:
            with suppress(DeviceError):
                lease.release(deadline=Deadline(_RELEASE_S))
            raise
        return lease

    def renew(self, *, deadline: Deadline, ttl_s: float | None = None) -> None:
        """Hold it for another ttl_s; call it before everything that may take long.

        One that has expired is taken anew, unless somebody else was there before.

        Args:
            ttl_s: as of `acquire` unless given; longer than what comes next.

        Raises: LeaseLost (taken over, or the device restarted: nothing that was set on it
        can be relied on), and what lease_sh.ask raises.
        """
        answer = self._ask(lease_sh.RENEW, self._ttl(ttl_s or self._ttl_s), deadline=deadline)
        if answer.word == "lost":
            raise LeaseLost(_lost(self._owner, answer), device=self._transport.device)
        if answer.number != self._number:
            self._enter(answer, deadline)

    def release(self, *, deadline: Deadline) -> None:
        """Give it back; does nothing where it is not ours any more.

        What is still in the journal is put back by whoever takes the lease next.
        Raises: what lease_sh.ask raises; then it expires by itself.
        """
        self._ask(lease_sh.RELEASE, deadline=deadline)

    def _enter(self, answer: lease_sh.Answer, deadline: Deadline) -> None:
        """Begin the journal of a lease just taken with what is left to put back."""
        journal = Journal(
            self._transport,
            self._place,
            nonce=self._owner.nonce,
            number=answer.number,
            boot=answer.this_boot,
        )
        journal.open(parse_journal(answer.journal), deadline=deadline)
        # Only now, so that a link that drops before has the next renewal begin it.
        self.journal, self._number = journal, answer.number

    def _ask(self, script: str, *arguments: str, deadline: Deadline) -> lease_sh.Answer:
        owner = self._owner
        who = {name: getattr(owner, name) for name in _WHO}
        return lease_sh.ask(
            self._transport,
            script,
            self._place,
            owner.nonce,
            json.dumps(who),
            *arguments,
            deadline=deadline,
        )

    @staticmethod
    def _ttl(ttl_s: float) -> str:
        if not 1 <= ttl_s < 1e6:
            raise ValueError(f"a lease is for 1 s to 1e6 s, not {ttl_s:g}")
        return str(round(ttl_s + 0.5))  # the device counts in whole seconds


def look(transport: Transport, place: str, *, deadline: Deadline) -> LeaseState | None:
    """The lease of a device, without touching it; None where nobody has it or left anything.

    Raises: what lease_sh.ask raises.
    """
    answer = lease_sh.ask(transport, lease_sh.LOOK, place, "-", deadline=deadline)
    state = _state(answer)
    released = answer.until_s == 0
    return None if released and not state.pending else state


def unlock(
    transport: Transport,
    place: str,
    owner: Owner,
    *,
    deadline: Deadline,
    replay: Callable[[Journal], object],
) -> LeaseState | None:
    """End the lease of a device, live or not, and put back what its owner left changed.

    Returns: what `look` gave before. Raises: as Lease.acquire, but LeaseHeld.
    """
    state = look(transport, place, deadline=deadline)
    if state is not None:
        lease = Lease.acquire(transport, place, owner, deadline=deadline, replay=replay, force=True)
        lease.release(deadline=deadline)
    return state


def _state(answer: lease_sh.Answer) -> LeaseState:
    live = answer.boot == answer.this_boot and answer.now_s < answer.until_s
    return LeaseState(
        owner=_owner(answer),
        live=live,
        held_s=max(0, answer.now_s - answer.since_s) if live else 0,
        left_s=answer.until_s - answer.now_s if live else 0,
        pending=parse_journal(answer.journal),
    )


def _owner(answer: lease_sh.Answer) -> Owner | None:
    try:
        who = json.loads(answer.who)
        words = [str(who[name])[:_WORDS_LENGTH] for name in ("user", "host", "purpose")]
        processes = str(who.get("processes", ""))[:_WORDS_LENGTH]
        return Owner(words[0], words[1], int(who["pid"]), words[2], processes, answer.nonce)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _process_table() -> str:
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot_id} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _held(state: LeaseState, device: str) -> str:
    return (
        f"in use by {state.owner or 'somebody unknown'} for {state.held_s} s;"
        f" free in {state.left_s} s unless renewed."
        f" Wait for it, or end it with `edgebench devices unlock {device}`"
    )


def _lost(owner: Owner, answer: lease_sh.Answer) -> str:
    if answer.nonce == owner.nonce:
        return "the lease ended because the device restarted"
    if answer.number == 0:
        return "the lease was removed from the device"
    return f"the lease was taken over by {_owner(answer) or 'somebody unknown'}"
