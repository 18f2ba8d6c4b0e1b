"""`edgebench devices trust` and `unlock`: whose key is believed, and who may use a device."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.devices_pick import the_one
from bench.cli.lab import agreed, connected, find_inventory, inventory_option
from bench.cli.text import printable
from bench.errors import UserError

if TYPE_CHECKING:
    from devices.controls import RestoreResult
    from devices.inventory import Inventory
    from devices.lease import LeaseState
    from devices.ssh_config import SshAddress

_TRUST_S, _UNLOCK_S = 30.0, 60.0
_DEVICES_FAILED = 3
_HOST = re.compile(r"(?:(?P<user>[^@]+)@)?(?P<host>\[[^]]+\]|[^:@]+)(?::(?P<port>[0-9]{1,5}))?")

_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command("trust", short_help="Show the key of an SSH board, and remember it.")
@click.argument("host", metavar="HOST|NAME")
@_yes
@inventory_option
def trust(host: str, yes: bool, inventory_path: Path | None) -> None:
    """Show the key of an SSH board and remember it in known_hosts once you agree.

    HOST is [user@]host[:port] or a name of ~/.ssh/config, NAME one of devices.toml.
    A key that changed is never replaced.
    """
    from devices import host_keys, known_hosts
    from devices.deadline import Deadline
    from devices.known_hosts import Verdict
    from devices.ssh_link import known_name

    address = _address(host, find_inventory(inventory_path))
    key = host_keys.fetch(address, Deadline(_TRUST_S))
    name, file = known_name(address), address.known_hosts[0]
    shown = f"{key.type} {key.fingerprint}"
    try:
        verdict = known_hosts.verdict(name, key, address.known_hosts)
        if verdict is Verdict.UNKNOWN:
            kind = key.type.removeprefix("ssh-").split("-")[0]
            click.echo(printable(f"{name} shows the key {shown}"))
            click.echo(
                "Compare it with what the board itself says at its own screen or serial line:\n"
                f"  ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub"
            )
            if not agreed("Is it the same?", yes=yes):
                raise UserError(f"{name}: not trusted, nothing was written")
        added = host_keys.trust(address, key)
    except OSError as error:
        raise UserError(f"{file}: cannot be used: {error.strerror}") from None
    done = f"{name} is trusted from now on, by {file}" if added else f"{name} is known by {shown}"
    click.echo(printable(done))


@click.command("unlock", short_help="End the lease of a device, and put back what was changed.")
@click.argument("name")
@_yes
@inventory_option
def unlock(name: str, yes: bool, inventory_path: Path | None) -> int:
    """End the lease of the device NAME, and put back what its owner left changed.

    Exit code 3 where something could not be put back.
    """
    from devices import lease
    from devices.controls import restore
    from devices.deadline import Deadline
    from devices.journal import Journal
    from devices.lease import Owner

    entry = the_one(name, inventory_path)
    results: list[RestoreResult] = []
    with connected([entry]) as made:
        device = made[entry.name]
        way, place = device.transport, device.lease_place
        state = lease.look(way, place, deadline=Deadline(_UNLOCK_S))
        if state is None:
            click.echo(printable(f"{entry.name} is free, and nothing was left changed"))
            return 0
        click.echo(printable(f"{entry.name}: {_told(state)}"))
        if state.live and not agreed("Their measurement will fail. End it?", yes=yes):
            raise UserError(f"{entry.name}: left as it is")

        def put_back(journal: Journal) -> None:
            results.extend(
                restore(way, journal, deadline=Deadline(_UNLOCK_S), over_network=device.by_network)
            )

        owner = Owner.here("edgebench devices unlock")
        lease.unlock(way, place, owner, deadline=Deadline(_UNLOCK_S), replay=put_back)
    for item in results:
        target = f" of {item.target}" if item.target else ""
        done = f"put back to {item.value}" if item.restored else f"not put back: {item.reason}"
        click.echo(printable(f"  {item.name}{target}: {done}"))
    click.echo(printable(f"{entry.name} is free"))
    return 0 if all(item.restored for item in results) else _DEVICES_FAILED


def _told(state: LeaseState) -> str:
    who = state.owner or "somebody unknown"
    count = len(state.pending)
    changed = f", {count} change{'s' * (count > 1)} not put back" if count else ""
    if state.live:
        left = f"free in {state.left_s} s unless renewed"
        return f"in use by {who} for {state.held_s} s, {left}{changed}"
    return f"free, last used by {who}{changed}"


def _address(host: str, inventory: Inventory) -> SshAddress:
    from devices.connect import ssh_address
    from devices.ssh_config import resolve

    entry = inventory.entries.get(host)
    if entry is not None and entry.kind != "linux":
        raise UserError(f"{host!r} is a device of kind {entry.kind}, which has no host key")
    match = _HOST.fullmatch(host)
    try:
        if entry is not None:
            return ssh_address(entry)
        if match is None:
            raise ValueError(f"not a host: {host!r}")
        port = int(match["port"]) if match["port"] else None
        if port is not None and not 0 < port < 65536:
            raise ValueError(f"not a port: {match['port']}")
        return resolve(match["host"].strip("[]"), user=match["user"], port=port)
    except ValueError as error:
        raise UserError(str(error)) from None
