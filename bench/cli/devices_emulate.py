"""`edgebench devices emulate`: emulated phones to try everything on, until Ctrl-C."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from pathlib import Path

import click

from bench.cli.text import printable
from bench.errors import UserError

_CONNECT_S = 30.0


@click.command("emulate", short_help="Start emulated phones to try everything on.")
@click.option(
    "--phones",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="How many.",
)
@click.option("--profile", default="android-13", show_default=True, help="Which Android they have.")
def emulate(phones: int, profile: str) -> None:
    """Start emulated phones, print their entries for devices.toml, and run until Ctrl-C.

    They are behind an adb server of their own. What they measure is simulated, and
    marked as that everywhere.
    """
    from devices.deadline import Deadline
    from devices.emulated.phone import EmulatedPhone
    from devices.emulated.phone_profiles import PROFILES
    from devices.emulated.server import PrivateAdbServer

    if profile not in PROFILES:
        raise UserError(f"there is no profile {profile!r}; there are {', '.join(PROFILES)}")
    try:
        with ExitStack() as stack:
            private = stack.enter_context(PrivateAdbServer())
            homes: list[Path] = []
            for number in range(1, phones + 1):
                phone = stack.enter_context(EmulatedPhone(profile, f"{profile}-{number}"))
                private.connect(phone.address, Deadline(_CONNECT_S))
                click.echo(_entry(phone.name, phone.address, private.port))
                homes.append(phone.home)
            for home in homes:
                click.echo(printable(f"# its state, in files to look into and to change: {home}"))
            click.echo("# Put these entries into devices.toml. Ctrl-C ends the phones.")
            signal.pause()
    except KeyboardInterrupt:
        click.echo("# ended", err=True)


def _entry(name: str, address: str, port: int) -> str:
    from devices.emulated.standin import CLASSIC

    return (
        "[[device]]\n"
        f'name = "{name}"\n'
        'kind = "android"\n'
        f'serial = "{address}"\n'
        'adb_host = "127.0.0.1"\n'
        f"adb_port = {port}\n"
        # JSON's text is TOML's too.
        f"tool = {json.dumps(str(CLASSIC))}\n"
        "simulated = true\n"
        "shares_controller = true\n"
    )
