"""A text with profile tables -> the tables as they are printed, or UnreadableOutput.

Three layouts: the classic tool's with tabs and with commas (xla/tsl/util/stats_calculator.cc
and tflite/profiling/profile_summary_formatter.cc; TensorFlow before 2.9 has one column more)
and the CompiledModel tool's with blanks (litert/runtime/profiler_summarizer.cc).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bench.errors import UnreadableOutput

RUN_ORDER, BY_TIME, BY_TYPE = "Run Order", "Top by Computation Time", "Summary by node type"
_DELEGATES = "Delegate Statistics"
_TITLES = (RUN_ORDER, BY_TIME, "Top by Memory Use", BY_TYPE, _DELEGATES)
_NUMBER = r"(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
# Where all ops together took no time.
_SHARE = rf"(?:{_NUMBER}|-?nan|-?inf)"
_WHOLE = r"\d{1,19}"
# Title of a column, as any layout has it -> pattern of what stands in it.
_COLUMNS = {
    # From the first letter to the last, so that a long line of blanks is read once.
    "node type": r"(?P<type>\S(?:.*?\S)?)",
    "start": _NUMBER,
    "first": rf"(?P<first>{_NUMBER})",
    "avg ms": rf"(?P<avg>{_NUMBER})",
    "%": rf"(?P<percent>{_SHARE})%",
    "avg %": rf"{_SHARE}%",
    "cdf%": rf"{_SHARE}%",
    "cdf %": rf"{_SHARE}%",
    "mem kb": rf"(?P<mem>-?{_NUMBER})",
    "count": rf"(?P<count>{_WHOLE})",
    "times called": rf"(?P<called>{_WHOLE})",
    "name": r"(?P<name>.*)",
}
_NEEDED = {
    RUN_ORDER: {"node type", "first", "avg ms", "%", "mem kb", "times called", "name"},
    BY_TYPE: {"node type", "count"},
}
_BANNER = re.compile(r"(?:INFO: )?=+ (.+?) =+")
_OF_DELEGATES = re.compile(rf".*?\S +\d+(?: +{_NUMBER}){{4}}")
_SHOWN = 200


class Layout(StrEnum):
    """What separates the columns."""

    TABS = "tabs"
    COMMAS = "commas"
    BLANKS = "blanks"


@dataclass(frozen=True, slots=True)
class PrintedRow:
    """One row of a table of ops, as printed: the numbers are the tool's words.

    Attributes:
        first, avg: ms per call; percent: of the time of all rows; mem: KiB.
        called: per run, cut to a whole number; of the CompiledModel tool in all runs.
    """

    type: str
    name: str
    first: str
    avg: str
    percent: str
    mem: str
    called: int


@dataclass(frozen=True, slots=True)
class PrintedTable:
    """One table.

    Attributes:
        rows: of a table of ops; () of others.
        counts: of the summary: op type -> number of rows.
    """

    title: str
    layout: Layout
    rows: tuple[PrintedRow, ...] = ()
    counts: Mapping[str, int] | None = None


def read_lines(text: str) -> Iterator[str | PrintedTable]:
    """The lines of a text, each table in the place of its own.

    Raises: UnreadableOutput where a table is cut off or one of its lines is none of it.
    """
    lines = iter(text.replace("\r\n", "\n").split("\n"))
    for line in lines:
        banner = _BANNER.fullmatch(line.rstrip())
        if banner is None or banner[1] not in _TITLES:
            yield line
        else:
            yield _table(banner[1], lines)


def _table(title: str, lines: Iterator[str]) -> PrintedTable:
    header = next(lines, "")
    rows: list[str] = []
    for line in lines:
        if not line.strip():
            break
        rows.append(line)
    else:
        raise UnreadableOutput(f"a profile ends within its table {title!r}")
    if title == _DELEGATES:
        for line in rows:
            _match(_OF_DELEGATES, line)
        return PrintedTable(title, Layout.BLANKS)
    layout, columns = _header(header)
    missing = _NEEDED[BY_TYPE if title == BY_TYPE else RUN_ORDER] - set(columns)
    if missing:
        raise UnreadableOutput(f"a profile's table {title!r} has no column {min(missing)!r}")
    row = _row_pattern(layout, columns)
    found = [_match(row, line).groupdict() for line in rows]
    if title == BY_TYPE:
        counts: dict[str, int] = {}
        for cells in found:
            counts[cells["type"]] = counts.get(cells["type"], 0) + int(cells["count"])
        return PrintedTable(title, layout, counts=counts)
    return PrintedTable(title, layout, tuple(_row(cells, layout) for cells in found))


def _header(line: str) -> tuple[Layout, tuple[str, ...]]:
    if "\t" in line:
        layout, cells = Layout.TABS, line.split("\t")[1:]
    elif "[" in line:
        layout, cells = Layout.BLANKS, re.findall(r"\[.*?\]", line)
    else:
        layout, cells = Layout.COMMAS, line.split(",")
    columns = tuple(cell.strip().strip("[]").lower().replace("_", " ") for cell in cells)
    if len(set(columns)) != len(columns) or not set(columns) <= set(_COLUMNS):
        raise UnreadableOutput(f"a profile's header cannot be read: {line[:_SHOWN]!r}")
    return layout, columns


def _row_pattern(layout: Layout, columns: tuple[str, ...]) -> re.Pattern[str]:
    """Numbers stand between the type and the name, either of which may hold separators."""
    cells = [_COLUMNS[column] for column in columns]
    if layout is Layout.COMMAS:
        return re.compile(", ".join(cells))
    if layout is Layout.TABS:
        # Everything is right-aligned but a name.
        return re.compile(
            "".join(r"\t" + (cell if "<name>" in cell else f" *{cell}") for cell in cells)
        )
    return re.compile(" *" + " +".join(cells))


def _match(pattern: re.Pattern[str], line: str) -> re.Match[str]:
    found = pattern.fullmatch(line.rstrip("\r"))
    if found is None:
        raise UnreadableOutput(f"a line of a profile cannot be read: {line[:_SHOWN]!r}")
    return found


def _row(cells: Mapping[str, str], layout: Layout) -> PrintedRow:
    name = cells["name"]
    return PrintedRow(
        type=cells["type"],
        # Where columns end with a comma, a name has tabs in the place of its own.
        name=name.replace("\t", ",") if layout is Layout.COMMAS else name,
        first=cells["first"],
        avg=cells["avg"],
        percent=cells["percent"],
        mem=cells["mem"],
        called=int(cells["called"]),
    )
