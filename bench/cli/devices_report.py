"""Facts and findings of devices as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.cli.text import printable
from bench.format import ABSENT, memory, to_ascii

if TYPE_CHECKING:
    from devices.doctor_finding import Finding

_DO = "→"
_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "failure": ("FAILURE", "red")}


def facts_view(
    facts: Mapping[str, Mapping[str, Any]],
    problems: Mapping[str, str],
    *,
    ascii_only: bool = False,
) -> RenderableType:
    """A block of lines per device, then why others could not be read."""
    parts: list[RenderableType] = []
    for name, values in facts.items():
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for key, text in _lines(values):
            table.add_row(f"  {key}", _text(text, ascii_only))
        parts += [_text(name, ascii_only, "bold"), table, Text()]
    parts += [_text(problem, ascii_only, "red") for problem in problems.values()]
    return Group(*parts)


def doctor_view(
    found: Mapping[str, Sequence[Finding]], *, ascii_only: bool = False
) -> RenderableType:
    """A block per device, with how to repair what is found, then one line of sums."""
    parts: list[RenderableType] = []
    for name, findings in found.items():
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for finding in findings:
            word, style = _MARKS[finding.level]
            told = _text(finding.text, ascii_only)
            if finding.fix:
                told.append("\n").append(_text(f"{_DO} {finding.fix}", ascii_only))
            table.add_row(Text(f"  {word}", style), Text(finding.check), told)
        parts += [_text(name, ascii_only, "bold"), table, Text()]
    return Group(*parts, _text(_sum(found), ascii_only))


def _sum(found: Mapping[str, Sequence[Finding]]) -> str:
    broken = [name for name, items in found.items() if any(i.level == "failure" for i in items)]
    doubtful = sum(item.level == "warning" for items in found.values() for item in items)
    warnings = {0: "no warnings", 1: "1 warning"}.get(doubtful, f"{doubtful} warnings")
    if broken:
        return f"Cannot be measured on: {', '.join(broken)}. Repair what is marked FAILURE."
    return f"All can be measured on; {warnings}."


def _lines(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        words = key.replace("_", " ")
        if key == "android":
            yield from _lines(value or {})
        elif key == "clusters":
            for cluster in value:
                yield "cores", _cluster(cluster)
        elif key == "ram_kib":
            yield "memory", memory(value)
        elif isinstance(value, list):
            yield words, ", ".join(map(str, value)) or ABSENT
        elif value is not None:
            yield words, str(value)


def _cluster(cluster: Mapping[str, Any]) -> str:
    cpus = ", ".join(map(str, cluster["cpus"]))
    capacity = "" if cluster["capacity"] is None else f", capacity {cluster['capacity']} of 1024"
    return f"{cpus} up to {cluster['max_khz'] / 1000:.0f} MHz{capacity}"


def _text(text: str, ascii_only: bool, style: str = "") -> Text:
    shown = printable(text)
    return Text(to_ascii(shown.replace("°", "")) if ascii_only else shown, style)
