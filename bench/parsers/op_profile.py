"""What a tool printed of its op profile, as tables or with commas -> OpProfile.

The tables of ops are read, and those that repeat them (by time, by type) are held against
them; what does not agree is said in the notes.
"""

from __future__ import annotations

import math
import re

from bench.errors import UnreadableOutput
from bench.format import counted
from bench.ops.model import OpKind, OpProfile, OpRow, OpTable, ProfileSource
from bench.parsers.count_line import CountLine, parse_count_line
from bench.parsers.op_layout import Layout, PrintedRow
from bench.parsers.op_names import classic_subject, compiled_subject
from bench.parsers.op_parts import Part, contradictions, listed, place, read_parts
from bench.parsers.op_proto import parse_debug_text
from bench.parsers.op_times import per_run

# In the runtime's log, which may stand in the same text.
_DROPPED = "Dropping ProfileBuffer event"
DROPPED_NOTE = "ops are missing: the tool's profiler ran out of room"
_CLASSIC = "Operator-wise Profiling Info for Regular Benchmark Runs:"
_COMPILED_TOTAL = re.compile(r"count=(\d{1,19})(?: curr=(\d{1,19}))?")
_COMPILED_RUNS = re.compile(
    r"INFO: \[benchmark_litert_model\.h:\d+\] (?:Warmup|Inference) \(avg\): .*\((\d{1,18}) runs\)"
)


def parse_profile_text(text: str) -> OpProfile | None:
    """Read the profile in what benchmark_model or benchmark_litert_model printed or wrote.

    That may be all of its stdout (or stderr, of the CompiledModel tool) or a file of mode
    stdout or csv; mode proto prints a text without a file, which is read too. Times are per
    run of the model, all calls in it together. `invoke_us` and `threads` stay None.

    Returns: None where there is no profile in it.

    Raises: UnreadableOutput where a table is cut off or cannot be read, where there is a
    profile of preparation only, and where there is more than one.
    """
    parts = read_parts(text)
    if not parts:
        return parse_debug_text(text)
    layouts = {part.table.layout for part in parts}
    if len(layouts) != 1:
        raise UnreadableOutput("a profile is printed in two layouts at once")
    layout = layouts.pop()
    complete = _DROPPED not in text
    notes = [] if complete else [DROPPED_NOTE]
    # A terminal gives the tabs of the classic tool as blanks; its heading tells it.
    if layout is Layout.BLANKS and _CLASSIC not in text:
        runs = _compiled_runs(text, parts, notes)
        tables = [_compiled_table(part, runs, notes) for part in parts]
        source = ProfileSource.LITERT_SUMMARY
    else:
        runs = _runs([part for part in parts if not part.init])
        tables = [_classic_table(part, parts, notes) for part in parts]
        source = ProfileSource.CSV if layout is Layout.COMMAS else ProfileSource.STDOUT
    both = [(part.init, table) for part, table in zip(parts, tables, strict=True) if table.rows]
    regular = tuple(table for init, table in both if not init)
    if not regular:
        raise UnreadableOutput("the profile has no ops of measured runs")
    return OpProfile(
        source,
        regular=regular,
        init=tuple(table for init, table in both if init),
        runs=runs,
        notes=tuple(dict.fromkeys(notes)),
        complete=complete,
    )


# --- The classic tool ----------------------------------------------------------------------


def _classic_table(part: Part, parts: list[Part], notes: list[str]) -> OpTable:
    where, rows = place(part), part.table.rows
    notes += [f"{where}: {note}" for note in contradictions(part)]
    line = _timings(part)
    total_us = (line.curr if line.avg is None else line.avg) if line.count else None
    # The tool sorts by a text that is wrong once it calls more often than it has rows,
    # and it counts the calls of all subgraphs as one.
    alone = sum(other.init == part.init for other in parts) == 1
    ordered = alone and sum(row.called for row in rows) <= len(rows)
    if not ordered and not part.init:
        notes.append(f"{where}: the tool does not tell the order of execution")
    runs = _runs([other for other in parts if other.init == part.init])
    if runs and line.count != runs:
        notes.append(
            f"{where}: it ran in {line.count} of {counted(runs, 'run')}; times are of those"
        )
    found, uneven, merged = [], [], []
    for order, row in enumerate(rows):
        subject = classic_subject(row.type, row.name)
        time = per_run(
            row.avg,
            row.called,
            row.percent,
            None if total_us is None else float(total_us),
            fixed=part.table.layout is not Layout.COMMAS,
            exact=line.count == 1,
        )
        if time.uneven or row.called == 0:
            uneven.append(row.type)
        if subject.kind is OpKind.DELEGATE_OP and row.called > 1 and part.subgraph == 0:
            merged.append(row.type)
        once = row.called == 1 and not time.uneven
        found.append(
            OpRow(
                subject.kind,
                subject.type,
                row.name,
                time.us,
                first_us=_first_us(row) if once else None,
                times_called=float(row.called) if row.called and not time.uneven else None,
                node=subject.node,
                # Of ops the tool does not measure it, and prints a zero.
                mem_kib=_finite(row.mem) if subject.kind is OpKind.PHASE else None,
                order=order if ordered else None,
            )
        )
    if merged:
        notes.append(f"{where}: {_merged_note(len(merged))}")
    if uneven:
        notes.append(f"{where}: not called equally often in every run: {listed(uneven)}")
    return OpTable(tuple(found), part.subgraph, part.name, part.inside)


def _first_us(row: PrintedRow) -> float | None:
    """Of the first run; None where the tool printed no number."""
    first_ms = float(row.first)
    return round(first_ms * 1e3, 4) if math.isfinite(first_ms) else None


def _merged_note(rows: int) -> str:
    """Of rows of a delegate's ops that were called more than once in a run."""
    verb = "is" if rows == 1 else "are each"
    return (
        f"{counted(rows, 'row')} {verb} the sum of several ops of one name, of different "
        "partitions of the delegate"
    )


def _finite(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise UnreadableOutput(f"a number of a profile is none: {word[:40]!r}")
    return number


def _timings(part: Part) -> CountLine:
    line = None if part.timings is None else parse_count_line(part.timings)
    if line is None or not math.isfinite(line.avg or 0):
        raise UnreadableOutput(f"a profile's timings cannot be read: {str(part.timings)[:200]!r}")
    return line


def _runs(parts: list[Part]) -> int | None:
    main = [part for part in parts if not part.inside and part.subgraph == 0]
    return _timings(main[0]).count or None if main else None


# --- The CompiledModel tool ----------------------------------------------------------------


def _compiled_runs(text: str, parts: list[Part], notes: list[str]) -> int | None:
    """Of warm-up and measurement, both of which it profiles."""
    said = [int(found[1]) for found in _COMPILED_RUNS.finditer(text)]
    if said:
        notes.append("times are of warm-up and measured runs together")
        return sum(said) or None
    calls = [row.called for part in parts for row in part.table.rows]
    least = min(calls, default=0)
    if not least or any(count % least for count in calls):
        notes.append("the number of runs is not told, so that no time per run is known")
        return None
    notes.append("the number of runs is taken from the op that was called least")
    return least


def _compiled_table(part: Part, runs: int | None, notes: list[str]) -> OpTable:
    notes += contradictions(part)
    line = _COMPILED_TOTAL.fullmatch(part.timings or "")
    if line is None:
        raise UnreadableOutput(f"a profile's timings cannot be read: {str(part.timings)[:200]!r}")
    total_us = None if line[2] is None or runs is None else int(line[2]) / runs
    found, merged = [], 0
    for order, row in enumerate(part.table.rows):
        subject = compiled_subject(row.type, row.name)
        if subject is None:
            raise UnreadableOutput(f"an op's name in a profile is unknown: {row.name[:200]!r}")
        calls = None if runs is None else row.called / runs
        merged += subject.kind is OpKind.DELEGATE_OP and calls is not None and calls > 1
        time = per_run(row.avg, calls, row.percent, total_us, fixed=True)
        if time.uneven:
            notes.append(f"{row.type} {row.name}: its time per call contradicts its share")
        found.append(
            OpRow(
                subject.kind,
                subject.type,
                row.name,
                time.us,
                first_us=_first_us(row) if calls == 1 else None,
                times_called=calls,
                node=subject.node,
                order=order,
            )
        )
    if merged:
        notes.append(_merged_note(merged))
    return OpTable(tuple(found), part.subgraph, part.name, part.inside)
