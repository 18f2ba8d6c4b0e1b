"""The profile tables of a text by subgraph, and what those that repeat others contradict."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.errors import UnreadableOutput
from bench.format import counted
from bench.parsers.op_layout import (
    BY_TIME,
    BY_TYPE,
    RUN_ORDER,
    PrintedRow,
    PrintedTable,
    read_lines,
)

_SECTION = re.compile(r"(?:INFO: )?[\w -]*Profiling Info[\w -]*:")
_PRIMARY = re.compile(r"Primary graph(?: \(name: (?P<name>.*)\))? profile:")
_SUBGRAPH = re.compile(r"Subgraph \(index: (?P<index>\d{1,9})(?:, name: (?P<name>.*))?\) profile:")
_DELEGATE = "Delegate internal:"
_TIMINGS = re.compile(r"(?:Subgraph \(index: \d+.*\) )?Timings \(microseconds\): (count=.*)")
_EXECUTED = re.compile(r"Number of nodes executed: (\d{1,19})")
_OBSERVED = re.compile(r"(\d{1,19}) nodes observed")
_FEW = 3


@dataclass(slots=True)
class Part:
    """What is printed of one subgraph, or of a delegate's inside.

    Attributes:
        init: of preparation, rather than of the measured runs.
        inside: of a delegate's inside.
        table: in order of execution; repeats: the others.
        nodes: how many there are, wherever it is said; timings: "count=..."; None without.
        ended: whether its last line is there.
    """

    init: bool
    subgraph: int
    name: str
    inside: bool
    table: PrintedTable
    repeats: list[PrintedTable] = field(default_factory=list)
    nodes: set[int] = field(default_factory=set)
    timings: str | None = None
    ended: bool = False


def read_parts(text: str) -> list[Part]:
    """All of a text, [] where it has no profile.

    Raises: UnreadableOutput where one is cut off, cannot be read or is there twice.
    """
    parts: list[Part] = []
    init, inside, subgraph, name = False, False, 0, ""
    for item in read_lines(text):
        last = parts[-1] if parts and not parts[-1].ended else None
        if isinstance(item, PrintedTable):
            if item.title == RUN_ORDER:
                parts.append(Part(init, subgraph, name, inside, item))
            elif last is None:
                raise UnreadableOutput(f"a profile's table {item.title!r} stands alone")
            else:
                last.repeats.append(item)
            continue
        line = item.rstrip()
        if _SECTION.fullmatch(line):
            init = "Initialization" in line
            inside, subgraph, name = False, 0, ""
        elif (found := _PRIMARY.fullmatch(line)) is not None:
            inside, subgraph, name = False, 0, found["name"] or ""
        elif (found := _SUBGRAPH.fullmatch(line)) is not None:
            inside, subgraph, name = False, int(found["index"]), found["name"] or ""
        elif line == _DELEGATE:
            inside, subgraph, name = True, 0, ""
        elif last is not None:
            _count(last, line)
    if not all(part.ended for part in parts):
        raise UnreadableOutput("a profile ends before its line 'nodes observed'")
    if len({(part.init, part.inside, part.subgraph) for part in parts}) != len(parts):
        raise UnreadableOutput("there is more than one profile here: give one run at a time")
    return parts


def _count(part: Part, line: str) -> None:
    """What is printed beside the tables."""
    if (found := _TIMINGS.fullmatch(line)) is not None:
        part.timings = found[1]
    elif (found := _EXECUTED.fullmatch(line)) is not None:
        part.nodes.add(int(found[1]))
    elif (found := _OBSERVED.fullmatch(line)) is not None:
        part.nodes.add(int(found[1]))
        part.ended = True


def contradictions(part: Part) -> Iterator[str]:
    """What its parts say against each other, a line each."""
    rows = part.table.rows
    for said in sorted(part.nodes - {len(rows)}):
        yield f"the tool speaks of {counted(said, 'node')} and lists {counted(len(rows), 'row')}"
    for table in part.repeats:
        if table.title == BY_TIME and (strange := _strange(table.rows, rows)):
            yield f"the tables by order and by time differ in {listed(strange)}"
        if table.title == BY_TYPE and table.counts is not None:
            by_type: dict[str, int] = {}
            for row in rows:
                by_type[row.type] = by_type.get(row.type, 0) + 1
            if table.counts != by_type:
                yield "the summary by type counts other rows than there are"


def _strange(repeated: tuple[PrintedRow, ...], rows: tuple[PrintedRow, ...]) -> list[str]:
    known = set(rows)
    return [row.type for row in repeated if row not in known]


def place(part: Part) -> str:
    """Which it is, for people."""
    stage = "preparation" if part.init else "runs"
    if part.inside:
        return f"{stage}, inside the delegate"
    if part.subgraph or part.name:
        return f"{stage}, subgraph {part.subgraph}" + (f" ({part.name})" if part.name else "")
    return stage


def listed(types: list[str]) -> str:
    """The first few different ones, for people."""
    names = list(dict.fromkeys(types))
    rest = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + rest
