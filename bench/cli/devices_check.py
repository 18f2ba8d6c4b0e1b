"""`edgebench devices facts` and `doctor`: what devices are, and what ails them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from bench.cli.devices_pick import chosen
from bench.cli.lab import connected, inventory_option, store_facts

if TYPE_CHECKING:
    from devices.device import Device
    from devices.doctor_finding import Finding
    from devices.facts import Facts
    from devices.inventory import DeviceEntry

T = TypeVar("T")

_FACTS_S, _DOCTOR_S = 30.0, 120.0
_DEVICES_FAILED = 3

_selectors = click.argument("selectors", metavar="[SELECTOR]...", nargs=-1)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


@click.command("facts", short_help="Read what devices are, print it, and keep it.")
@_selectors
@_json
@inventory_option
def facts(selectors: tuple[str, ...], as_json: bool, inventory_path: Path | None) -> int:
    """Read what devices are, print it, and keep it for soc=.. selectors; all without SELECTOR.

    Exit code 3 where one could not be read.
    """
    from devices.deadline import Deadline
    from devices.errors import DeviceError, LeaseHeld
    from devices.facts import read_facts
    from devices.lease import look

    def read(device: Device, entry: DeviceEntry) -> Facts | str:
        deadline = Deadline(_FACTS_S)
        try:
            lease = look(device.transport, device.lease_place, deadline=deadline)
            if lease is not None and lease.live:
                # What the question costs would be in somebody's figures.
                raise LeaseHeld(f"in use by {lease.owner}; ask again later", device=device.name)
            return read_facts(device.transport, deadline)
        except DeviceError as error:
            return str(error)

    found = _of_each(chosen(selectors, inventory_path), read, "reading facts")
    read_ones = {name: told.to_json() for name, told in found.items() if not isinstance(told, str)}
    problems = {name: told for name, told in found.items() if isinstance(told, str)}
    for name, values in read_ones.items():
        store_facts(name, values)
    if as_json:
        _print_json("edgebench-facts/1", devices=read_ones, problems=problems)
    else:
        from rich.console import Console

        from bench.cli.devices_report import facts_view

        console = Console()
        console.print(
            facts_view(read_ones, problems, ascii_only=console.options.ascii_only), end=""
        )
    return _DEVICES_FAILED if problems else 0


@click.command("doctor", short_help="Examine devices, and say how to repair what is found.")
@_selectors
@_json
@inventory_option
def doctor(selectors: tuple[str, ...], as_json: bool, inventory_path: Path | None) -> int:
    """Examine devices, and say how to repair what is found; all without SELECTOR.

    Exit code 3 where one cannot be measured on, 0 where there are only warnings.
    """
    from devices.deadline import Deadline
    from devices.doctor import examine

    def look_over(device: Device, entry: DeviceEntry) -> tuple[Finding, ...]:
        return examine(device, entry, lambda told: _tool(entry, told), Deadline(_DOCTOR_S))

    found = _of_each(chosen(selectors, inventory_path), look_over, "examining")
    if as_json:
        told = {name: [item.to_json() for item in items] for name, items in found.items()}
        _print_json("edgebench-doctor/1", devices=told)
    else:
        from rich.console import Console

        from bench.cli.devices_report import doctor_view

        console = Console()
        console.print(doctor_view(found, ascii_only=console.options.ascii_only), end="")
    broken = any(item.level == "failure" for items in found.values() for item in items)
    return _DEVICES_FAILED if broken else 0


def _of_each(
    entries: Sequence[DeviceEntry], work: Callable[[Device, DeviceEntry], T], doing: str
) -> Mapping[str, T]:
    """Name -> what `work` says, of all devices side by side."""
    from rich.console import Console

    from devices.side_by_side import side_by_side

    left = {entry.name for entry in entries}
    lock = threading.Lock()
    # A password may be asked for, and nothing may be drawn over the prompt.
    console = Console(stderr=True, quiet=any(entry.kind == "linux" for entry in entries))
    with connected(entries) as devices, console.status(doing) as status:

        def one(entry: DeviceEntry) -> T:
            result = work(devices[entry.name], entry)
            with lock:
                left.discard(entry.name)
                status.update(f"{doing}: {len(left)} to go")
            return result

        answers = side_by_side(one, entries)
    return dict(zip((entry.name for entry in entries), answers, strict=True))


def _tool(entry: DeviceEntry, told: Facts) -> str | None:
    """The benchmark_model that a run would use on a device, in words; None without one."""
    from bench.errors import EdgebenchError
    from bench.runners.choose import abi_of
    from bench.tools.cache import ToolCache

    if entry.tool is not None:
        own = Path(entry.tool).expanduser()
        return f"{own}" if own.is_file() else None
    system = "android" if told.kind == "android" else "linux"
    try:
        found = ToolCache().find("benchmark_model", system, abi_of(told))
    except EdgebenchError:
        return None
    return None if found is None else f"{system} {found.abi}, sha256 {found.sha256[:12]}"


def _print_json(schema: str, **content: object) -> None:
    click.echo(json.dumps({"schema": schema, **content}, indent=2, allow_nan=False))
