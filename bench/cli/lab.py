"""The devices that a command line means: the inventory found, the ways there made."""

from __future__ import annotations

import getpass
import json
import os
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.text import Text

from bench.cli.text import printable
from bench.errors import UserError
from devices.inventory import Inventory, InventoryError, read_inventory

if TYPE_CHECKING:
    from bench.runners.base import Runner
    from devices.device import Device
    from devices.facts import Facts
    from devices.inventory import DeviceEntry
    from devices.roll_call import RollCall

F = TypeVar("F", bound=Callable[..., Any])

FILE_NAME = "devices.toml"
_HELLO_S = 30.0
_ROLL_CALL_S = 10.0
# Selectors of what only an inventory can say.
_WRITTEN_DOWN = ("label=", "name=")


def inventory_option(function: F) -> F:
    """--devices FILE, handed to the command as `inventory_path`."""
    option = click.option(
        "--devices",
        "inventory_path",
        type=click.Path(path_type=Path),
        help=f"The inventory. [default: EDGEBENCH_DEVICES, {FILE_NAME} beside the plan or here, "
        "or the one in your configuration directory]",
    )
    return option(function)


def find_inventory(given: Path | None, beside: Path | None = None) -> Inventory:
    """The inventory that a command line means; this machine alone where there is none.

    Raises: UserError for one that was named and is not there, or says what none may say.
    """
    import platformdirs

    named = given or (Path(p) if (p := os.environ.get("EDGEBENCH_DEVICES")) else None)
    places = [named] if named else []
    if named is None:
        places += [beside / FILE_NAME] if beside else []
        places += [Path(FILE_NAME), platformdirs.user_config_path("edgebench") / FILE_NAME]
    try:
        for place in places:
            if named or place.exists():
                return read_inventory(place)
    except InventoryError as error:
        raise UserError(str(error)) from None
    return Inventory(())


def roll_call(inventory: Inventory) -> RollCall:
    """The devices of the inventory and those that adb lists. Raises: UserError."""
    from devices.deadline import Deadline
    from devices.roll_call import call_roll

    try:
        return call_roll(inventory, Deadline(_ROLL_CALL_S))
    except ValueError as error:
        raise UserError(str(error)) from None


def with_phones(inventory: Inventory, selectors: Sequence[str]) -> Inventory:
    """The inventory and, where a selector may mean them, the phones that adb lists beside it.

    A phone that cannot be used as it is (unauthorized, offline) is left to
    `edgebench devices`, which says what to do about it. Raises: UserError.
    """
    if all(s in inventory.entries or s.startswith(_WRITTEN_DOWN) for s in selectors):
        return inventory
    found = roll_call(inventory).devices
    beside = [spotted.entry for spotted in found if spotted.usable and not spotted.recorded]
    return Inventory([*inventory.entries.values(), *beside], inventory.path)


def stored_facts(name: str) -> Mapping[str, Any] | None:
    """What `edgebench devices facts` last read of a device; None where it never did."""
    try:
        found = json.loads(_facts_path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def store_facts(name: str, facts: Mapping[str, Any]) -> Path:
    """Keep the facts of a device for selectors. Raises: UserError where that cannot be."""
    path = _facts_path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def _facts_path(name: str) -> Path:
    import platformdirs

    folder = platformdirs.user_data_path("edgebench") / "devices"
    return folder / f"{urllib.parse.quote(name, safe='')}.json"


def known_socs(inventory: Inventory) -> Mapping[str, str]:
    """Device name -> SoC, as stored facts have it."""
    return _stored(inventory.entries, "soc")


def known_units(names: Iterable[str]) -> Mapping[str, str]:
    """Device name -> Facts.unit, as stored facts have it."""
    return _stored(names, "unit")


def _stored(names: Iterable[str], key: str) -> dict[str, str]:
    found = {name: (stored_facts(name) or {}).get(key) for name in names}
    return {name: value for name, value in found.items() if isinstance(value, str) and value}


@contextmanager
def connected(
    entries: Sequence[DeviceEntry],
) -> Iterator[dict[str, Device]]:
    """The devices by name, each with a way to it; closed at the end.

    Nothing is sent yet: a device that is away shows at its first call.
    """
    from devices.connect import connect, disconnect

    somebody_there = sys.stdin.isatty() and sys.stderr.isatty()
    ask = _one_at_a_time(getpass.getpass) if somebody_there else None
    made: dict[str, Device] = {}
    try:
        for entry in entries:
            try:
                made[entry.name] = connect(entry, ask=ask)
            except ValueError as error:
                raise UserError(f"device {entry.name!r}: {error}") from None
        yield made
    finally:
        for device in made.values():
            disconnect(device)


def _one_at_a_time(ask: Callable[[str], str]) -> Callable[[str], str]:
    """Devices log in side by side, and a terminal has one prompt."""
    lock = threading.Lock()

    def in_turn(prompt: str) -> str:
        with lock:
            return ask(printable(prompt))

    return in_turn


def agreed(question: str, *, yes: bool) -> bool:
    """Whether a person says yes to it, or --yes did before.

    Raises: UserError where nobody can be asked.
    """
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UserError(f"{question} Nobody is there to ask; --yes says yes")
    return click.confirm(printable(question), err=True)


def say_hello(devices: Mapping[str, Device], console: Console) -> None:
    """Reach every device once, so that a password is asked for before anything is drawn.

    One that does not answer is said, and left to the run to fail.
    """
    from devices.deadline import Deadline
    from devices.errors import DeviceError

    for device in devices.values():
        try:
            device.transport.run(["true"], deadline=Deadline(_HELLO_S))
        except DeviceError as error:
            console.print(Text(printable(str(error)), style="yellow"))


def runner_chooser(entries: Sequence[DeviceEntry]) -> Callable[[str, Device, Facts], Runner]:
    """bench.device_run.RunnerFor: binaries come from the inventory, else from the cache."""
    from bench.runners.choose import runner_for

    own = {entry.name: entry.tool for entry in entries}

    def choose(kind: str, device: Device, facts: Facts) -> Runner:
        tool = own.get(device.name)
        return runner_for(kind, device, facts, tool=None if tool is None else Path(tool))

    return choose
