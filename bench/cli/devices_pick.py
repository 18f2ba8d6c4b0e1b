"""Which devices the commands of `edgebench devices` mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.lab import find_inventory, known_socs, roll_call
from bench.errors import UserError

if TYPE_CHECKING:
    from devices.inventory import DeviceEntry


def chosen(selectors: Sequence[str], inventory_path: Path | None) -> tuple[DeviceEntry, ...]:
    """The devices that selectors pick, of the inventory and of what adb lists; all without one.

    Raises: UserError.
    """
    from devices.inventory import Inventory, InventoryError

    inventory = find_inventory(inventory_path)
    named = [inventory.entries[name] for name in selectors if name in inventory.entries]
    # Of a board by its name adb has nothing to say, and its server need not be started.
    if not named or len(named) < len(selectors):
        found = roll_call(inventory).devices
        inventory = Inventory([spotted.entry for spotted in found], inventory.path)
    try:
        return inventory.select(selectors or ["all"], socs=known_socs(inventory))
    except InventoryError as error:
        raise UserError(str(error)) from None


def the_one(name: str, inventory_path: Path | None) -> DeviceEntry:
    """The one device that a selector picks. Raises: UserError where it picks several."""
    first, *others = chosen([name], inventory_path)
    if others:
        names = ", ".join(entry.name for entry in (first, *others))
        raise UserError(f"{name!r} is more than one device ({names}); give one name")
    return first
