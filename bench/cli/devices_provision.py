"""`edgebench devices provision`: a TFLite runtime on a board, or away from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.devices_pick import the_one
from bench.cli.lab import connected, inventory_option
from bench.cli.text import printable
from bench.errors import EdgebenchError, UserError

if TYPE_CHECKING:
    from devices.device import Device

_STEP_S, _REMOVE_S = 60.0, 300.0
# Longer than an installation on a slow card; given back at the end of it.
_LEASE_S = 3600.0


@click.command("provision", short_help="Put a TFLite runtime on a board, or --remove it.")
@click.argument("name")
@click.option(
    "--wheels",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Take the wheels from this directory instead of the package index.",
)
@click.option("--remove", "away", is_flag=True, help="Take away what was put there.")
@inventory_option
def provision(name: str, wheels: Path | None, away: bool, inventory_path: Path | None) -> None:
    """Put a private Python environment with a TFLite runtime on the board NAME.

    The board needs no internet. Does nothing where it is there already.
    """
    from bench.prove import prove_python
    from devices import provision as provisioning
    from devices.deadline import Deadline
    from devices.facts import read_facts
    from devices.provision_wheels import NoWheels

    entry = the_one(name, inventory_path)
    if entry.kind != "linux":
        raise UserError(f"{entry.name!r} is a device of kind {entry.kind}; provision is for boards")

    def tell(line: str) -> None:
        click.echo(printable(line), err=True)

    with connected([entry]) as made, _leased(made[entry.name]):
        device = made[entry.name]
        if away:
            gone = provisioning.remove(device, deadline=Deadline(_REMOVE_S))
            what = f"taken away: {', '.join(gone)}" if gone else "nothing was there"
            click.echo(printable(f"{entry.name}: {what}"))
            return
        facts = read_facts(device.transport, Deadline(_STEP_S))
        try:
            done = provisioning.provision(
                device,
                facts,
                wheels=wheels,
                tell=tell,
                prove=lambda python: prove_python(device, python),
            )
        except NoWheels as error:
            raise EdgebenchError(str(error)) from error
    already = "" if done.changed else ", there already"
    click.echo(
        printable(
            f"{entry.name}: {done.runtime}, numpy {done.numpy}, Python {done.python_version} at "
            f"{done.python}{already}"
        )
    )


@contextmanager
def _leased(device: Device) -> Iterator[None]:
    """Nobody measures meanwhile. Raises: LeaseHeld, and as Lease.acquire."""
    from devices.controls import restore
    from devices.deadline import Deadline
    from devices.errors import DeviceError
    from devices.journal import Journal
    from devices.lease import Lease, Owner

    def put_back(journal: Journal) -> None:
        restore(
            device.transport, journal, deadline=Deadline(_STEP_S), over_network=device.by_network
        )

    lease = Lease.acquire(
        device.transport,
        device.lease_place,
        Owner.here("edgebench devices provision"),
        deadline=Deadline(_STEP_S),
        ttl_s=_LEASE_S,
        replay=put_back,
    )
    try:
        yield
    finally:
        with suppress(DeviceError):  # it expires by itself, and the error before it counts more
            lease.release(deadline=Deadline(_STEP_S))
