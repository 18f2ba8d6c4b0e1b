"""`edgebench fleet`: which devices in the field differ from their like, and on what evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bench.cli.common import store_option
from bench.cli.dates import moment
from bench.errors import UserError

if TYPE_CHECKING:
    from datetime import datetime

    from reports.fleet import Fleet


@click.command("fleet")
@click.option(
    "--since", default="7d", show_default=True, help="An age (7d, 2w) or a date, UTC, to begin at."
)
@click.option("--model", help="Only this model.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
@click.option("--gate", is_flag=True, help="Exit 1 where a device is slow or fell back.")
@store_option
def command(since: str, model: str | None, as_json: bool, gate: bool, store_path: str) -> int:
    """Hold the devices that agents in the field report on against each other and their past.

    A device stands out by 20 % and by 3.5 robust standard deviations among at least 5 of its
    kind: the same model, version, quantization, delegate, threads and make of device.
    """
    from datetime import UTC, datetime

    until = datetime.now(UTC)
    begin = moment(since, before=until, option="--since")
    if begin >= until:
        raise UserError(f"--since {since}: lies in the future")
    found = _fleet(store_path, begin, until, model)
    if as_json:
        import json

        from reports.fleet.json import fleet_to_json

        click.echo(json.dumps(fleet_to_json(found), indent=2, allow_nan=False))
    else:
        from rich.console import Console

        from bench.cli.fleet_view import show

        show(Console(), found)
    return 1 if gate and found.gate_failed else 0


def _fleet(place: str, since: datetime, until: datetime, model: str | None) -> Fleet:
    """Raises: UserError where the store has no telemetry of that time."""
    from dataclasses import replace

    from bench.store import open_store
    from bench.store.telemetry import (
        SILENCE_LOOKED_FOR,
        Window,
        any_real,
        last_heard,
        losses,
        telemetry,
    )
    from reports.fleet import fleet

    with open_store(place, write=False) as store:
        longest = min(since, until - SILENCE_LOOKED_FOR)
        simulated = not any_real(store, longest, until)
        window = Window(since, until, simulated, model)
        found = telemetry(store, window)
        heard = last_heard(store, replace(window, since=longest))
        if not heard:
            of = "" if model is None else f" of model {model!r}"
            raise UserError(
                f"{store.place}: holds no telemetry{of} since {longest:%Y-%m-%d};"
                " `edgebench agent` sets devices up"
            )
        return fleet(
            found,
            heard,
            losses(store, window),
            since=since,
            until=until,
            simulated=simulated,
        )
