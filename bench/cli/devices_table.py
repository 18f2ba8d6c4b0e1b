"""The table of `edgebench devices`, in one line per device where there is room for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.cli.devices_rows import Row
from bench.cli.text import printable
from bench.format import ABSENT, to_ascii

_WIDE = 110
_STYLES = {"free": "green", "in use": "yellow", "not asked": "dim"}
_BROKEN = "red"


def table(
    rows: Sequence[Row], problems: Sequence[str], *, width: int, ascii_only: bool = False
) -> RenderableType:
    """The devices, then a line for each that needs something done.

    Args:
        problems: of adb servers.
        width: of the terminal; below 110, what a device is goes on two lines.
        ascii_only: for a terminal that can show nothing else.
    """
    write = _ascii if ascii_only else printable
    battery = any(row.battery_percent is not None for row in rows)
    labels = any(row.labels for row in rows)
    drawn = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    drawn.add_column("device", overflow="fold")
    drawn.add_column("state", no_wrap=True)
    drawn.add_column("temp", no_wrap=True, justify="right")
    if battery:
        drawn.add_column("battery", no_wrap=True, justify="right")
    for column in _what_columns(width, labels):
        drawn.add_column(column, overflow="fold")
    for row in rows:
        cells = [
            _stacked(write(row.name), "simulated" if row.simulated else "", "bold"),
            Text(write(row.state), _STYLES.get(row.state, _BROKEN)),
            Text(write(_celsius(row.temperature_c))),
        ]
        if battery:
            cells.append(Text(write(_battery(row))))
        cells += _what(row, write, width, labels)
        drawn.add_row(*cells)
    lines = [*_remarks(rows), *problems]
    return Group(drawn, *(Text(f"\n{write(line)}") for line in lines))


def _what_columns(width: int, labels: bool) -> list[str]:
    if width < _WIDE:
        return ["what"]
    return ["what", "system", "address", *(["labels"] if labels else [])]


def _what(row: Row, write: Callable[[str], str], width: int, labels: bool) -> list[Text]:
    """Cells of `_what_columns`."""
    what = ", ".join(filter(None, (row.model, row.soc))) or row.kind
    named = ", ".join(row.labels)
    if width < _WIDE:
        more = "; ".join(filter(None, (row.system, row.address, named)))
        return [_stacked(write(what), write(more))]
    cells = [what, row.system or ABSENT, row.address]
    cells += [named or ABSENT] if labels else []
    return [Text(write(cell)) for cell in cells]


def _stacked(text: str, below: str, style: str = "") -> Text:
    cell = Text(text, style)
    return cell.append(f"\n{below}", "dim not bold") if below else cell


def _remarks(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        if row.lease is not None:
            yield f"{row.name}: {_of_lease(row)}"
        if row.problem:
            yield f"{row.name}: {row.problem}"
    if strangers := [row.name for row in rows if not row.recorded]:
        yield (
            f"Not in devices.toml: {', '.join(strangers)}. With an entry there a device has a"
            " name, labels and controls, and plans can name it."
        )


def _of_lease(row: Row) -> str:
    lease = row.lease
    assert lease is not None
    who = lease.owner or "somebody unknown"
    end = f"`edgebench devices unlock {row.name}`"
    if lease.live:
        return (
            f"in use by {who} for {_minutes(lease.held_s)}, free in {_minutes(lease.left_s)}"
            f" unless renewed; {end} ends that"
        )
    changed = ", ".join(dict.fromkeys(entry.control for entry in lease.pending))
    return f"{who} left changed: {changed}; {end} puts it back, and so does the next run"


def _minutes(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _celsius(degrees: float | None) -> str:
    return ABSENT if degrees is None else f"{degrees:.0f} °C"


def _battery(row: Row) -> str:
    if row.battery_percent is None:
        return ABSENT
    return f"{row.battery_percent} %{' +' if row.charging else ''}"


def _ascii(text: str) -> str:
    return to_ascii(printable(text).replace("°", ""))
