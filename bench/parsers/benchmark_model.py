"""What benchmark_model printed -> typed facts, or UnreadableOutput.

The classic tool prints its own text to stdout and the runtime's log to stderr; versions
before TensorFlow 2.4 print both to stderr, and without a level in front; the APK writes
both to logcat (see bench/parsers/logcat.py). A line that begins like a known one and goes on
differently is never guessed at. Format: LiteRT, tflite/tools/benchmark/benchmark_model.cc
and benchmark_tflite_model.cc.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from bench.errors import UnreadableOutput
from bench.parsers.benchmark_proto import RuntimeGraph
from bench.parsers.count_line import CountLine, parse_count_line
from bench.parsers.interpreter_state import parse_states
from bench.parsers.runtime_log import RuntimeLog, parse_log
from bench.parsers.summary_line import is_summary_line, parse_summary_line

Extent = Literal["completely", "partially", "not"]

_PREFIX = re.compile(r"(?:(INFO|WARN|WARNING|ERROR|FATAL|VERBOSE): )?(.*)")
_NUMBER = r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
_INIT = re.compile(rf"Initialized session in {_NUMBER}ms\.?")
_APPLIED = re.compile(
    r"(?:Explicitly a|A)pplied (\S+) delegate, and the model graph will be "
    r"(completely|partially) executed (?:by|w/) the delegate(?: w/ (\d{1,9}) delegate kernels)?\.?"
)
_NOT_APPLIED = re.compile(
    r"Though (\S+) delegate is explicitly applied, "
    r"the model graph will not be executed by the delegate\.?"
)
# TensorFlow 1.14 says no more of a delegate than that it was applied.
_CREATED = re.compile(r"(?:(\S+) delegate created|Applied (\S+) delegate)\.")
_ACCELERATOR = re.compile(r"NNAPI accelerator name ?: ?\[(.*)\]", re.IGNORECASE)
# The second is of the performance-options tool, a line for each flag.
_UNCONSUMED = re.compile(
    r"(?:Unconsumed cmdline flags|WARNING: unrecognized commandline flag): (.+)"
)
# Lines of old versions have no level; these are warnings.
_WARNING = re.compile(
    r"\S+ acceleration is unsupported on this platform\."
    r"|The GPU delegate compile options are only supported on .*"
    r"|Could not create \S+ delegate: .*|`--use_nnapi=true` must be set for .*"
    r"|Tensor # \d+ is named .* but flags call it .*"
)
_ACCELERATORS = re.compile(r"NNAPI accelerators available: \[(.*)\]")
_PEAK = re.compile(rf"Overall peak memory footprint \(MB\) via periodic monitoring: {_NUMBER}")


@dataclass(frozen=True, slots=True)
class Applied:
    """What the tool said after it had applied a delegate that a flag asked for.

    kernels: delegate nodes of a "partially"; None where the wording has none.
    """

    delegate: str
    extent: Extent
    kernels: int | None


@dataclass(frozen=True, slots=True)
class ToolText:
    """The tool's own text of one run; what it did not get to is None or ().

    Attributes:
        unconsumed: flags that nobody read, with their values.
        created: delegates that the tool named as created; it names only the first of several.
        applied: in the order in which they were applied.
        warnings: text of lines at WARN, without the one on unconsumed flags.
        accelerators: names of NNAPI's.
        init_us: loading, delegates and allocation together.
        warmup, measured: the two count lines, in us; None if the run ended before.
        peak_mb: peak resident memory in MiB, of the whole process.
        accelerator: of NNAPI, that was asked for; "" if none was.
        graphs: the interpreter's own lists of nodes, where it was told to print them; more
            than one where they changed between the first run and the last.
    """

    unconsumed: tuple[str, ...]
    created: tuple[str, ...]
    applied: tuple[Applied, ...]
    warnings: tuple[str, ...]
    accelerators: tuple[str, ...]
    init_us: float | None
    warmup: CountLine | None
    measured: CountLine | None
    peak_mb: float | None
    accelerator: str = ""
    graphs: tuple[RuntimeGraph, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """Both streams of one run."""

    text: ToolText
    log: RuntimeLog


def parse_classic(stdout: bytes, stderr: bytes) -> ToolOutput:
    """Read a run of the classic tool, whole or broken off.

    Raises: UnreadableOutput where it is no output of the tool, holds a line that cannot be
    placed, or contradicts itself.
    """
    out, log = decode(stdout), decode(stderr)
    both = not _has_started(out) and _has_started(log)
    text = parse_text(log if both else out)
    # Before TensorFlow 2.4 the two stand in one stream.
    return ToolOutput(text, parse_log(f"{out}\n{log}" if both else log))


def decode(data: bytes) -> str:
    """Text with plain newlines; what is no UTF-8 is marked."""
    return data.decode("utf-8", "replace").replace("\r\n", "\n")


def parse_text(text: str, *, has_summary: bool = True) -> ToolText:
    """Read the tool's own text.

    Args:
        has_summary: whether this dialect ends with a line of timings, without which a
            measured count line is not whole.

    Raises: UnreadableOutput.
    """
    if not _has_started(text):
        raise UnreadableOutput("this is no output of benchmark_model: no line says STARTING!")
    lines = [_split(line) for line in text.split("\n")]
    bodies = [body for _, body in lines]
    if bodies[-1].startswith("count="):
        raise UnreadableOutput("benchmark_model's output is cut off in a count line")
    counts = [_count_line(body) for body in bodies if body.startswith("count=")]
    if len(counts) > 2:
        raise UnreadableOutput(f"benchmark_model printed {len(counts)} count lines, not 2")
    for count in counts:
        check_count(count)
    init_ms = _one(_INIT, bodies, "Initialized session in")
    peak = _one(_PEAK, bodies, "Overall peak memory footprint")
    found = ToolText(
        unconsumed=tuple(_unconsumed(bodies)),
        created=tuple(m[1] or m[2] for body in bodies if (m := _CREATED.fullmatch(body))),
        applied=tuple(_applied(bodies)),
        warnings=tuple(
            body
            for level, body in lines
            if (level == "WARN" and not _UNCONSUMED.match(body))
            or (not level and _WARNING.fullmatch(body))
        ),
        accelerators=tuple(_accelerators(bodies)),
        init_us=None if init_ms is None else float(init_ms[1]) * 1e3,
        warmup=counts[0] if counts else None,
        measured=counts[1] if len(counts) == 2 else None,
        peak_mb=None if peak is None else float(peak[1]),
        accelerator=next((m[1] for b in bodies if (m := _ACCELERATOR.fullmatch(b))), ""),
        graphs=parse_states(bodies),
    )
    if not all(math.isfinite(value or 0) for value in (found.init_us, found.peak_mb)):
        raise UnreadableOutput("benchmark_model printed a number beyond all bounds")
    _check_summary(found, bodies, has_summary)
    return found


def check_count(line: CountLine) -> None:
    """Raises: UnreadableOutput where the figures of a count line cannot be of one series."""
    if line.count == 0:
        if any((line.p5, line.median, line.p95)):
            raise UnreadableOutput(f"a count line contradicts itself: {line}")
        return
    low, high = least(line), greatest(line)
    inner = [v for v in (line.first, line.curr, line.p5, line.median, line.p95) if v is not None]
    ordered = [v for v in (low, line.p5, line.median, line.p95, high) if v is not None]
    mean = average(line)
    slack = sixth_digit(mean)
    whole = low >= 0 and ordered == sorted(ordered) and all(low <= value <= high for value in inner)
    whole = whole and (line.std or 0) >= 0
    if not whole or not low - slack <= mean <= high + slack:
        raise UnreadableOutput(f"a count line contradicts itself: {line}")


def sixth_digit(value: float) -> float:
    """How far off a positive value may be that is printed with six digits, as the tool does.

    A little more than half a step of the sixth, for what a float32 on the way may lose.
    """
    return 0.6 * 10.0 ** (math.floor(math.log10(value)) - 5) if value > 0 else 0.0


def average(line: CountLine) -> float:
    """Mean in us; a line of equal samples prints none."""
    return float(line.avg if line.avg is not None else _only(line))


def least(line: CountLine) -> int:
    """Smallest sample in us."""
    return line.min if line.min is not None else _only(line)


def greatest(line: CountLine) -> int:
    """Largest sample in us."""
    return line.max if line.max is not None else _only(line)


def first(line: CountLine) -> int | None:
    """First sample in us; None where there was none."""
    return line.first if line.first is not None else line.curr


def _count_line(body: str) -> CountLine:
    line = parse_count_line(body)
    if line is None:
        raise UnreadableOutput(f"benchmark_model's line cannot be read: {body[:200]!r}")
    return line


def _only(line: CountLine) -> int:
    if line.curr is None:
        raise UnreadableOutput(f"a count line has no figures: {line}")
    return line.curr


def _has_started(text: str) -> bool:
    return any(_split(line)[1] == "STARTING!" for line in text.split("\n"))


def _split(line: str) -> tuple[str, str]:
    """(level, rest); the level is "" where the line has none."""
    match = _PREFIX.fullmatch(line.rstrip())
    return (match[1] or "", match[2]) if match else ("", line)


def _one(pattern: re.Pattern[str], bodies: Iterable[str], start: str) -> re.Match[str] | None:
    """The one line of a kind; None where there is none."""
    found = [body for body in bodies if body.startswith(start)]
    if not found:
        return None
    match = pattern.fullmatch(found[0])
    if match is None or len(found) > 1:
        raise UnreadableOutput(f"benchmark_model's line cannot be read: {found[-1][:200]!r}")
    return match


def _unconsumed(bodies: Iterable[str]) -> Iterator[str]:
    for body in bodies:
        if (match := _UNCONSUMED.fullmatch(body)) is not None:
            yield from re.split(r" (?=--)", match[1])


def _accelerators(bodies: Iterable[str]) -> Iterator[str]:
    for body in bodies:
        if (match := _ACCELERATORS.fullmatch(body)) is not None:
            yield from (name for part in match[1].split(",") if (name := part.strip()))


def _applied(bodies: Iterable[str]) -> Iterator[Applied]:
    for body in bodies:
        if (match := _APPLIED.fullmatch(body)) is not None:
            extent: Extent = "completely" if match[2] == "completely" else "partially"
            yield Applied(match[1], extent, None if match[3] is None else int(match[3]))
        elif (match := _NOT_APPLIED.fullmatch(body)) is not None:
            yield Applied(match[1], "not", 0)
        elif "pplied" in body and "delegate" in body and "the model graph" in body:
            raise UnreadableOutput(f"benchmark_model's line cannot be read: {body[:200]!r}")


def _check_summary(text: ToolText, bodies: list[str], has_summary: bool) -> None:
    """The last line repeats what was printed before: nothing of it may have changed."""
    sums = [parse_summary_line(body) for body in bodies if is_summary_line(body)]
    if not sums:
        if has_summary and text.measured is not None:
            raise UnreadableOutput("benchmark_model's output ends before its summary")
        return
    warmup, measured = text.warmup, text.measured
    if warmup is None or measured is None or text.init_us is None:
        raise UnreadableOutput("benchmark_model's output has a summary, and lacks what it sums up")
    for line in sums:
        pairs = [
            (line.init_us, text.init_us),
            (line.warmup_us, mean_or_zero(warmup)),
            (line.inference_us, mean_or_zero(measured)),
        ]
        if line.first_us is not None:
            pairs.append((line.first_us, float(first(warmup) or 0)))
        if any(abs(said - seen) > sixth_digit(seen) for said, seen in pairs):
            raise UnreadableOutput("benchmark_model's summary contradicts the lines before it")


def mean_or_zero(line: CountLine) -> float:
    """Mean in us as the summary has it, which is 0 of no runs."""
    return average(line) if line.count else 0.0
