"""`edgebench devices list`: every device, asked side by side."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.lab import find_inventory, inventory_option, roll_call, stored_facts

_EACH_S = 5.0


@click.command("list", short_help="Every device that is known here, and how it is.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
@click.option("--no-probe", is_flag=True, help="Ask no device; show what is known without.")
@inventory_option
def list_devices(as_json: bool, no_probe: bool, inventory_path: Path | None) -> None:
    """Every device of the inventory and every phone that adb lists.

    All are asked at once, each for 5 seconds at most. One that is in use is not asked
    more than that: what it costs would be in somebody's figures.
    """
    from rich.console import Console

    from bench.cli.devices_rows import row_of
    from devices.deadline import Deadline
    from devices.roll_call import Spotted
    from devices.side_by_side import side_by_side
    from devices.survey import Seen, survey

    def ask(spotted: Spotted) -> Seen | None:
        return survey(spotted.entry, Deadline(_EACH_S)) if spotted.usable else None

    with Console(stderr=True).status("asking the devices"):
        roll = roll_call(find_inventory(inventory_path))
        seen = [None] * len(roll.devices) if no_probe else side_by_side(ask, roll.devices)
    rows = [
        row_of(spotted, told, stored_facts(spotted.entry.name))
        for spotted, told in zip(roll.devices, seen, strict=True)
    ]
    if as_json:
        import json

        document = {
            "schema": "edgebench-devices/1",
            "devices": [row.to_json() for row in rows],
            "problems": list(roll.problems),
        }
        click.echo(json.dumps(document, indent=2, allow_nan=False))
        return

    from bench.cli.devices_table import table

    console = Console()
    console.print(
        table(rows, roll.problems, width=console.width, ascii_only=console.options.ascii_only)
    )
