"""`edgebench devices`: which there are, what they are, what ails them, and who has them."""

from __future__ import annotations

import difflib

import click

from bench.cli.devices_access import trust, unlock
from bench.cli.devices_check import doctor, facts
from bench.cli.devices_emulate import emulate
from bench.cli.devices_list import list_devices
from bench.cli.devices_provision import provision


class DeviceVerbs(click.Group):
    """A group that lists where no verb is given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            close = difflib.get_close_matches(args[0], self.commands, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(self.commands)}"
            raise click.UsageError(f"unknown command devices {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group("devices", cls=DeviceVerbs)
def command() -> None:
    """Phones, boards and this machine: list them, ask them, examine them, free them.

    Without a command it lists. SELECTOR is a name, label=.., soc=.., kind=.., serial=..
    or all.
    """


for verb in (list_devices, facts, doctor, trust, provision, unlock, emulate):
    command.add_command(verb)
