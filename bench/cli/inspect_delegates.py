"""Forecasts of what delegates take of a .tflite, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.cli.text import printable
from bench.forecast.model import Expected, Forecast
from bench.format import counted, to_ascii

_SAID = (
    "A forecast, not a measurement: what each delegate's own sources say of these ops. What "
    "really ran where, edgebench run and edgebench profile tell."
)
# Of what a file may hold hundreds of, a person reads this many; --json has them all.
_MOST = 12


def delegates_view(
    name: str, found: Sequence[Forecast], *, ascii_only: bool = False
) -> RenderableType:
    """A table of the lists, each with what it refuses and what it does not know.

    ascii_only: for a terminal that can show nothing else.
    """

    def write(text: str, style: str = "") -> Text:
        return Text(to_ascii(text) if ascii_only else text, style)

    table = Table(box=box.ASCII if ascii_only else box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("delegate")
    table.add_column("forecast", no_wrap=True)
    table.add_column("nodes", no_wrap=True, justify="right")
    table.add_column("what stays outside, and why", ratio=1)
    for one in found:
        lines = [*_lines(one.refused, "refused"), *_lines(one.unknown, "unknown")]
        nodes = f"{one.taken}/{one.nodes}"
        table.add_row(
            write(f"{one.delegate}: {one.title}"),
            write(one.verdict),
            write(nodes),
            write("\n".join(lines)),
            end_section=True,
        )
    sources: dict[str, list[str]] = {}
    for one in found:
        for url in one.documents:
            known = sources.setdefault(one.taken_from, [])
            known += [url] * (url not in known)
    return Group(
        write(printable(name), "bold"),
        write(_SAID),
        table,
        write(f"Lists of version {found[0].rules_version}, taken from", "bold"),
        *(write("\n  ".join((taken_from, *urls)), "dim") for taken_from, urls in sources.items()),
    )


def _lines(found: Sequence[Expected], word: str) -> list[str]:
    lines = [f"{word}: {e.nodes} {printable(e.op)} ({e.reason})" for e in found[:_MOST]]
    if len(found) > _MOST:
        lines.append(f"{word}: {counted(len(found) - _MOST, 'line')} more, see --json")
    return lines
