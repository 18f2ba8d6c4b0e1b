"""`edgebench tools`: the binaries that measure on devices: list, fetch, add, where."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.text import printable


@click.group("tools", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Show and get the benchmark_model builds that phones and boards are measured with."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_tools, as_json=False)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def list_tools(as_json: bool) -> None:
    """Every known tool: which are here, and what to do for the others."""
    from bench.tools.cache import ToolCache, ToolError
    from bench.tools.catalogue import known_tools

    cache = ToolCache()
    rows = []
    for tool in known_tools():
        try:
            rows.append((tool, cache.get(tool), ""))
        except ToolError as error:
            rows.append((tool, None, str(error)))
    if as_json:
        import json

        document = {
            "schema": "edgebench-tools/1",
            "root": str(cache.root),
            "tools": [
                {
                    "name": tool.name,
                    "kind": tool.kind,
                    "system": tool.system,
                    "abi": tool.abi,
                    "url": tool.url or None,
                    "verified": tool.verified,
                    "path": None if found is None else str(found.path),
                    "sha256": None if found is None else found.sha256,
                    "source": None if found is None else found.source,
                    "version": None if found is None else found.version or None,
                    "problem": problem or None,
                }
                for tool, found, problem in rows
            ],
        }
        click.echo(json.dumps(document, indent=2))
        return

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from bench.format import ABSENT, to_ascii

    console = Console()
    write = to_ascii if console.options.ascii_only else str
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("tool", "here", "sha256"):
        table.add_column(column, no_wrap=True)
    table.add_column("from", overflow="fold")
    for tool, found, problem in rows:
        here, style = ("yes", "green") if found else ("damaged", "red") if problem else ("no", "")
        if found is not None:
            origin = printable(found.source)
        elif problem:
            origin = printable(problem)
        else:
            origin = "published, untried" if tool.url else "build it yourself"
        cells = (tool.name, here, found.sha256[:12] if found else ABSENT, origin)
        table.add_row(*(Text(write(cell), style if k == 1 else "") for k, cell in enumerate(cells)))
    console.print(table)
    if not all(found for _, found, _ in rows):
        console.print(
            Text("\nedgebench tools fetch TOOL says how to get one; add TOOL FILE takes yours.")
        )


@command.command("fetch")
@click.argument("name")
@click.option("--url", help="Take it from this https address.")
@click.option("--accept", is_flag=True, help="Also where it is another file than the pinned one.")
def fetch(name: str, url: str | None, accept: bool) -> None:
    """Download the tool NAME, and pin what came."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TransferSpeedColumn,
    )

    from bench.tools.cache import ToolCache
    from bench.tools.catalogue import known_tool

    tool = known_tool(name)
    columns = (TextColumn(tool.name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=None, visible=False)

        def show(done: int, whole: int | None) -> None:
            bar.update(task, completed=done, total=whole, visible=True)

        found = ToolCache().fetch(tool, url=url, accept=accept, progress=show)
    _report(tool.name, found.sha256, str(found.path))


@command.command("add")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--accept", is_flag=True, help="Also where it is another file than the pinned one.")
def add(name: str, file: Path, accept: bool) -> None:
    """Take FILE, a build of yours, as the tool NAME, and pin it."""
    from bench.tools.cache import ToolCache
    from bench.tools.catalogue import known_tool

    tool = known_tool(name)
    found = ToolCache().add(tool, file, accept=accept)
    _report(tool.name, found.sha256, str(found.path))


@command.command("where")
@click.argument("name")
def where(name: str) -> None:
    """Print the path of the pinned tool NAME."""
    from bench.errors import UserError
    from bench.tools.cache import ToolCache
    from bench.tools.catalogue import known_tool

    tool = known_tool(name)
    found = ToolCache().get(tool)
    if found is None:
        raise UserError(f"{tool.name}: not here; `edgebench tools fetch {tool.name}` says how")
    click.echo(found.path)


def _report(name: str, sha256: str, path: str) -> None:
    click.echo(f"{name}: pinned, sha256 {sha256}")
    click.echo(printable(path))
