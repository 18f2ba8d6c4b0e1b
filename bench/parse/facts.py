"""The text of one run -> its facts; the C++ tools, and the log of any program with a runtime."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from bench.parse.delegates import delegations
from bench.parse.failure import failure_of
from bench.parse.figures import of_count_line, of_summary
from bench.parse.lines import (
    COMPILED_LINE,
    INITIALIZED,
    START,
    body,
    is_compiled_help,
    is_stdout,
)
from bench.parse.model import Figures, FigureSource, ParsedFailure, ParsedRun
from bench.parse.ops import op_rows, profile_text_of, read_profile
from bench.parse.piece import Part, Piece
from bench.parse.python_tool import python_facts
from bench.parse.tail import NOTE, Tail, tail_of
from bench.parsers.benchmark_litert import RESULTS, parse_compiled
from bench.parsers.benchmark_model import ToolOutput, ToolText, first, parse_text
from bench.parsers.runtime_log import parse_log
from bench.parsers.summary_line import is_summary_line

_ENVIRONMENT = re.compile(r"(?:[A-Z]+: )?\[(?:environment|accelerator_registry|cpu_registry)\.cc:")
_CLASSIC = re.compile(
    r"(?:[A-Z]+: )?(?:Graph: \[|Loaded model |resolved reporter"
    r"|(?:Average i|I)nference timings in us: )"
)
_AFTER_PARAMETERS = re.compile(r"(?:INFO: )?(?:The input model file size|Initialized session in )")
_PROFILED = re.compile(r"(?:INFO: )?Enable op profiling ?: \[1\]")
_RESULTS_END = re.compile(r"(?:INFO: )?\[benchmark_litert_model\.h:\d+\] =+")
_NUMBER = r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
_MEMORY = re.compile(
    rf"(?:Memory footprint delta from the start of the tool|Peak memory footprint) \(MB\): "
    rf"init={_NUMBER} overall={_NUMBER}"
)
_MEMORY_LINES = {
    "init_mb": re.compile(rf"\[benchmark_litert_model\.h:\d+\] Init footprint: +{_NUMBER} MB"),
    "overall_mb": re.compile(
        rf"\[benchmark_litert_model\.h:\d+\] Overall footprint: +{_NUMBER} MB"
    ),
    "rss_mb": re.compile(r"- VmRSS +: (\d+) MB"),
    "rss_anon_mb": re.compile(r"\+ RssAnnon +: (\d+) MB"),
    "rss_file_shmem_mb": re.compile(r"\+ RssFile \+ RssShmem +: (\d+) MB"),
}


def facts_of(piece: Piece) -> ParsedRun:
    """What one piece tells.

    Raises: UnreadableOutput where a line begins like one of a tool and cannot be read, or
    where figures contradict each other.
    """
    if piece.parts & {Part.PYTHON_LOG, Part.PYTHON_RESULTS}:
        return python_facts(piece)
    lines = [line.rstrip() for line in piece.lines]
    started = bool(piece.parts & {Part.START, Part.TAIL})
    tail = tail_of(lines) if Part.TAIL in piece.parts else None
    compiled = _is_compiled(lines, whole=tail is None)
    text = "\n".join([START, *(line for line in lines if body(line) != START), ""])
    cut = _cut_in_results(lines)
    if tail is not None:
        said = parse_text("\n".join([START, *tail.lines, ""]), has_summary=False)
        said = dataclasses.replace(said, warmup=tail.warmup, measured=tail.measured)
    elif not started:
        said = parse_text(_without_counts(lines), has_summary=False)
    elif compiled and RESULTS in text and not cut:
        said = parse_compiled(text.encode(), text.encode()).text
    else:
        said = parse_text(text, has_summary=False)
    log = parse_log("\n".join(line for line in lines if not is_stdout(line)))
    output = ToolOutput(said, log)
    profile_text = profile_text_of(lines)
    profiled = (
        profile_text is not None
        or piece.profile is not None
        or any(map(_PROFILED.fullmatch, lines))
    )
    source = FigureSource.TOOL_PROFILED if profiled else FigureSource.TOOL
    latency = of_count_line(output.text.measured, source)
    # The classic tool's profiler sleeps while it warms up.
    warmup = of_count_line(output.text.warmup, source if compiled else FigureSource.TOOL)
    if tail is not None:
        latency = latency or tail.latency(source)
        warmup = warmup or tail.warm(source if compiled else FigureSource.TOOL)
    if not started:
        latency = of_summary(lines, "Inference", source, logged=True)
        warmup = of_summary(lines, "Warmup", source, logged=True)
    failure = _failure(piece, lines, output.text, tail, latency, compiled=compiled, cut=cut)
    if failure is not None and failure.kind not in ("cut-off", "no-measurement"):
        latency = None
        warmup = None if failure.kind == "invoke" else warmup
    profile, problem = (piece.profile, None) if piece.profile else read_profile(profile_text)
    notes = [] if profile is None else list(profile.notes)
    option = _option(piece, lines)
    if tail is not None:
        notes.append(NOTE)
    if profiled and latency is not None:
        notes.append("measured while an op profiler ran: its times are not the model's latency")
    notes += [f"the tool warns: {w}" for w in output.text.warnings if "but flags call it" in w]
    if piece.several:
        notes.append("one of several runs of a process: a log apart from its text is left out")
    return ParsedRun(
        runner=_runner(piece, compiled=compiled),
        files=tuple(dict.fromkeys(piece.files)),
        option=option,
        latency_us=latency,
        warmup_us=warmup,
        init_us=_init_us(output.text, tail, lines),
        first_inference_us=_first_us(output.text, warmup),
        memory=_memory(lines, output.text),
        delegations=delegations(
            lines, output, piece.graph, profile, compiled=compiled, option=option
        ),
        ops=None if profile is None else tuple(op_rows(profile)),
        failure=failure or problem,
        notes=tuple(notes),
    )


def _runner(piece: Piece, *, compiled: bool) -> str:
    if not piece.parts & {Part.START, Part.TAIL} and piece.profile is None:
        own = any(map(COMPILED_LINE.match, piece.lines))
        return "benchmark_litert" if own else "runtime"
    if piece.android:
        return "benchmark_app"
    return "benchmark_litert" if compiled else "benchmark_model"


def _is_compiled(lines: Sequence[str], *, whole: bool) -> bool:
    if any(_CLASSIC.match(line) for line in lines):
        return False
    return any(
        COMPILED_LINE.match(line)
        or is_compiled_help(line)
        or _ENVIRONMENT.match(line)
        or (whole and _AFTER_PARAMETERS.match(line))
        for line in lines
    )


def _without_counts(lines: Sequence[str]) -> str:
    """Of a text in which no tool starts, no figures are a tool's own."""
    return "\n".join([START, *(x for x in lines if not body(x).startswith(("count=", START))), ""])


def _cut_in_results(lines: Sequence[str]) -> bool:
    if RESULTS not in lines:
        return False
    return not any(map(_RESULTS_END.fullmatch, lines[lines.index(RESULTS) + 1 :]))


def _failure(
    piece: Piece,
    lines: Sequence[str],
    text: ToolText,
    tail: Tail | None,
    latency: Figures | None,
    *,
    compiled: bool,
    cut: bool,
) -> ParsedFailure | None:
    if not piece.parts & {Part.START, Part.TAIL}:
        if latency is not None or piece.profile is not None:
            return None
        if not any("Benchmarking failed." in line for line in lines):
            message = "no figures of a benchmark tool are in this text"
            return ParsedFailure("no-measurement", message)
    measured = text.measured is not None or latency is not None
    return failure_of(
        lines,
        measured=measured,
        ended=measured
        and (not cut if compiled else any(is_summary_line(body(line)) for line in lines)),
        runs=_runs(text, tail),
    )


def _runs(text: ToolText, tail: Tail | None) -> int | None:
    if text.measured is not None:
        return text.measured.count
    # A mean of 0 is of no runs, or of some that took no whole us.
    none = tail is not None and tail.summary is not None and not tail.summary.inference_us
    return 0 if none else None


def _init_us(text: ToolText, tail: Tail | None, lines: Sequence[str]) -> float | None:
    if text.init_us is not None:
        return round(text.init_us, 3)
    if tail is not None and tail.summary is not None:
        return tail.summary.init_us
    for line in lines:
        match = INITIALIZED.search(line)
        if match is not None and COMPILED_LINE.match(line):
            return round(float(match[1]) * 1e3, 3)
    return None


def _first_us(text: ToolText, warmup: Figures | None) -> float | None:
    if warmup is None:
        return None
    return warmup.first if text.warmup is None else first(text.warmup)


def _memory(lines: Sequence[str], text: ToolText) -> dict[str, float | None] | None:
    found: dict[str, float | None] = dict.fromkeys(
        ("init_mb", "overall_mb", "peak_mb", "rss_mb", "rss_anon_mb", "rss_file_shmem_mb")
    )
    found["peak_mb"] = text.peak_mb
    for line in lines:
        said = body(line)
        if (both := _MEMORY.fullmatch(said)) is not None:
            found["init_mb"], found["overall_mb"] = float(both[1]), float(both[2])
        for name, pattern in _MEMORY_LINES.items():
            if (match := pattern.fullmatch(said)) is not None:
                found[name] = float(match[1])
    return found if any(value is not None for value in found.values()) else None


def _option(piece: Piece, lines: Sequence[str]) -> str | None:
    """Name that the summary of all runs gives to the run with these figures."""
    if not piece.options:
        return None
    counts = [body(line) for line in lines if body(line).startswith("count=")]
    names = [name for name, figures in piece.options if figures in counts[1:2]]
    return names[0] if len(names) == 1 else None
