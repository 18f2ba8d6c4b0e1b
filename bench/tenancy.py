"""A device while it is ours: leased, in the wanted state, and then as it was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from devices.controls import ControlResult, apply_controls, restore
from devices.deadline import Deadline
from devices.device import Device
from devices.errors import DeviceError, LeaseHeld, LeaseLost
from devices.journal import Journal
from devices.lease import Lease, Owner, look

# Of one step of preparing a device or putting it back.
STEP_S = 60.0


@dataclass(frozen=True, slots=True)
class Tenancy:
    """How a device is taken and given back.

    Attributes:
        owner: as others see us.
        wanted: control -> value while it is ours.
        ttl_s: for how long a lease holds unless renewed.
        say: told what a person should know: what could not be set or put back.
    """

    device: Device
    owner: Owner
    wanted: Mapping[str, str]
    ttl_s: float
    say: Callable[[str], object]

    @contextmanager
    def held(self) -> Iterator[tuple[Lease, tuple[ControlResult, ...]]]:
        """The lease, and what became of each control.

        Raises: LeaseHeld, Unsupported (a required control), and what the device raises.
        """
        with self._leased() as lease, self._controlled(lease) as controls:
            yield lease, controls

    @contextmanager
    def _leased(self) -> Iterator[Lease]:
        try:
            lease = self._acquire(force=False)
        except LeaseHeld:
            transport, place = self.device.transport, self.device.lease_place
            state = look(transport, place, deadline=Deadline(STEP_S))
            if state is None or state.owner is None or not self.owner.outlived(state.owner):
                raise
            lease = self._acquire(force=True)
        try:
            yield lease
        finally:
            # What cannot be released now expires by itself.
            with suppress(DeviceError):
                lease.release(deadline=Deadline(STEP_S))

    def _acquire(self, *, force: bool) -> Lease:
        return Lease.acquire(
            self.device.transport,
            self.device.lease_place,
            self.owner,
            deadline=Deadline(STEP_S),
            ttl_s=self.ttl_s,
            replay=self._put_back,
            force=force,
        )

    @contextmanager
    def _controlled(self, lease: Lease) -> Iterator[tuple[ControlResult, ...]]:
        try:
            results = apply_controls(
                self.device.transport,
                self.device.kind,
                self.device.by_network,
                self.wanted,
                lease.journal,
                deadline=Deadline(STEP_S),
            )
            for result in results:
                if result.outcome in ("refused", "unsupported"):
                    self.say(f"{result.name} = {result.wanted}: {result.reason}")
            yield results
        finally:
            self._restore(lease)

    def _restore(self, lease: Lease) -> None:
        """Put back what was changed; what cannot be stays in the journal and is said."""
        try:
            self._put_back(lease.journal)
        except LeaseLost:
            # It restarted or is somebody else's now: whoever takes the lease puts it back.
            pass
        except DeviceError as error:
            self.say(
                f"is not as it was found ({error.message}); the next run or "
                f"`edgebench devices unlock {self.device.name}` puts it back"
            )

    def _put_back(self, journal: Journal) -> None:
        """Undo what is in a journal. Raises: what devices.controls.restore raises."""
        left = restore(
            self.device.transport,
            journal,
            deadline=Deadline(STEP_S),
            over_network=self.device.by_network,
        )
        for item in left:
            if not item.restored:
                self.say(f"{item.name} could not be put back: {item.reason}")
