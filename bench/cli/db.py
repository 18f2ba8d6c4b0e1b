"""`edgebench db`: make, look at, copy, export, import and prune stores."""

from __future__ import annotations

from datetime import datetime

import click

from bench.cli.common import store_option
from bench.cli.db_files import export_command, import_command
from bench.cli.db_prune import prune_command


@click.group("db")
def command() -> None:
    """Make, look at, copy, export, import and prune stores.

    A store is a SQLite file, or a PostgreSQL database as postgresql://USER@HOST/DATABASE.
    """


@command.command("init")
@click.argument("place")
def init_command(place: str) -> None:
    """Make the store PLACE, or bring it up to date; what is in it stays."""
    from bench.cli.text import printable
    from bench.store import StorePlace, initialise

    where = StorePlace.parse(place)
    initialise(where)
    click.echo(f"{printable(where.label)}: ready")


@command.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
def copy_command(source: str, target: str) -> None:
    """Copy everything in the store FROM that TO does not hold into TO, which is made if it is
    a file.

    Done again, it copies what has come since. Nothing in TO is ever overwritten.
    """
    from bench.cli.db_progress import copying, existing, say_copied
    from bench.errors import UserError
    from bench.store import StorePlace, open_store
    from bench.store.merge import copy_runs
    from reports.points import store_missing_points

    here, there = StorePlace.parse(existing(source)), StorePlace.parse(target)
    if here == there:
        raise UserError(f"{here}: both are the same store; give another one to copy into")
    with (
        open_store(here, write=False) as reading,
        open_store(there, write=True) as writing,
        copying() as tell,
    ):
        copied = copy_runs(reading, writing, tell=tell)
        # Once here, and not by every reader of TO.
        store_missing_points(writing)
    say_copied(copied, there.label)


@command.command("info")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
@store_option
def info_command(as_json: bool, store_path: str) -> None:
    """Show where the store is, and how much is in it."""
    from bench.cli.db_progress import existing
    from bench.store import open_store
    from bench.store.summary import summarise

    with open_store(existing(store_path), write=False) as store:
        found = summarise(store)
    if as_json:
        import json
        from dataclasses import asdict

        def value(of: object) -> object:
            return of.isoformat() if isinstance(of, datetime) else of

        document = {"schema": "edgebench-store/1"} | asdict(found)
        click.echo(json.dumps({name: value(of) for name, of in document.items()}, indent=2))
        return

    from bench.cli.text import printable
    from bench.format import ABSENT, size

    def day(of: datetime | None) -> str:
        return ABSENT if of is None else f"{of:%Y-%m-%d %H:%M} UTC"

    pruned = f", {found.pruned:,} of them pruned" if found.pruned else ""
    lines = (
        ("place", printable(found.place)),
        ("revision", found.revision),
        ("size", size(found.size_bytes)),
        ("runs", f"{found.runs:,}{pruned}"),
        ("launches", f"{found.launches:,}"),
        ("edge metrics", f"{found.edge_metrics:,}"),
        ("oldest run", day(found.oldest_utc)),
        ("newest run", day(found.newest_utc)),
    )
    for name, text in lines:
        click.echo(f"{name:<14}{text}")


command.add_command(export_command)
command.add_command(import_command)
command.add_command(prune_command)
