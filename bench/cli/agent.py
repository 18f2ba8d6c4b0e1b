"""`edgebench agent`: what a gateway or board in the field needs, and a try of it here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from bench.errors import UserError


@click.group("agent")
def command() -> None:
    """Set up the telemetry of gateways and boards in the field.

    The agent runs without edgebench: `script` writes its files, `config` a configuration.
    """


@command.command("config")
def config() -> None:
    """Print a commented configuration to start from."""
    from bench.agent import EXAMPLE

    click.echo(EXAMPLE.read_text("utf-8"), nl=False)


@command.command("script")
@click.argument("directory", type=click.Path(path_type=Path))
def script(directory: Path) -> None:
    """Write the agent's files to DIRECTORY, to be copied to a device as they are.

    There they need Python 3.9, numpy and a TFLite runtime; the upload psycopg or pg8000.
    """
    from bench.agent import REQUIREMENTS, SCRIPTS
    from reports.render.atomic import write_atomically

    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file in (*SCRIPTS, REQUIREMENTS):
            write_atomically(directory / file.name, file.read_bytes())
    except OSError as error:
        raise UserError(f"{directory}: cannot be written: {error.strerror}") from error
    click.echo(f"Wrote {len(SCRIPTS)} scripts and {REQUIREMENTS.name} to {directory}")


@command.command("run", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(arguments: tuple[str, ...]) -> None:
    """Run the agent with this Python, e.g. `run --config agent.toml --once`."""
    os.execv(  # noqa: S606
        sys.executable, [sys.executable, "-P", "-m", "bench.agent.edge_agent", *arguments]
    )
