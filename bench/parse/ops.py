"""The op profile in the text of a run, apart from what another stream put between its rows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.errors import UnreadableOutput
from bench.ops.model import OpKind, OpProfile
from bench.parse.lines import COMPILED_LINE, LEVELLED, MOST_OF_A_ROW, PROFILE
from bench.parse.model import ParsedFailure, ParsedOp
from bench.parsers.op_profile import parse_profile_text

# A row or the header of a table, in any layout.
_ROW = re.compile(
    r"\t(?!--)| +\S.*% .*\d$| *\[[Nn]ode type\]|Op Name +Count|node type, "
    r"|.*\S +\d+(?: +[\d.]+){4}$|[^%]+, [^,%]+%, "
)
_GLOG = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.")


def profile_text_of(lines: Sequence[str]) -> str | None:
    """From the first table on, without what another stream put in between."""
    start = next((k for k, line in enumerate(lines) if PROFILE.match(line)), None)
    if start is None:
        return None
    kept = [
        line
        for line in lines[start:]
        if PROFILE.match(line) or not (LEVELLED.match(line) or _GLOG.match(line))
    ]
    # An empty line ends a table; before a row it is of the other stream.
    whole = [
        line
        for line, following in zip(kept, [*kept[1:], ""], strict=True)
        if line or not _is_row(following)
    ]
    # The number of runs of the CompiledModel tool stands before its tables.
    ahead = [line for line in lines[:start] if COMPILED_LINE.match(line)]
    return "\n".join([*ahead, *whole, ""])


def _is_row(line: str) -> bool:
    return len(line) < MOST_OF_A_ROW and _ROW.match(line) is not None


def read_profile(text: str | None) -> tuple[OpProfile | None, ParsedFailure | None]:
    """The profile, or why one that begins cannot be read."""
    try:
        return (None if text is None else parse_profile_text(text)), None
    except UnreadableOutput as error:
        return None, ParsedFailure("unreadable", f"the op profile cannot be read: {error}")


def op_rows(profile: OpProfile) -> list[ParsedOp]:
    """The rows of the measured runs, without phases of the tool."""
    return [
        ParsedOp(
            type=row.type,
            name=row.name,
            kind=str(row.kind),
            avg_us=row.avg_us,
            first_us=row.first_us,
            min_us=row.min_us,
            max_us=row.max_us,
            times_called=row.times_called,
            node=row.node,
            subgraph=table.subgraph,
            inside_delegate=table.inside_delegate,
        )
        for table in profile.regular
        for row in table.rows
        if row.kind is not OpKind.PHASE
    ]
