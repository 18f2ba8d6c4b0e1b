"""A text of benchmark_model whose beginning is missing -> what it can still be trusted with.

What people paste, or grep from a logcat, often begins in the middle or is the last line only.
Figures are then known where the line that sums up says which part they are of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.errors import UnreadableOutput
from bench.parse.lines import body
from bench.parse.model import Figures, FigureSource
from bench.parsers.benchmark_model import check_count, mean_or_zero, sixth_digit
from bench.parsers.count_line import CountLine, parse_count_line
from bench.parsers.summary_line import SummaryLine, is_summary_line, parse_summary_line

NOTE = "the beginning of the text is missing: what was asked for may have stood there"


@dataclass(frozen=True, slots=True)
class Tail:
    """What is left of a run.

    Attributes:
        lines: the lines without those of figures.
        warmup, measured: the count lines, where it is certain of which part they are.
        summary: the line that sums up; None without one.
    """

    lines: tuple[str, ...]
    warmup: CountLine | None
    measured: CountLine | None
    summary: SummaryLine | None

    def latency(self, source: FigureSource) -> Figures | None:
        """Of the measured runs by the line that sums up, where there is no count line."""
        return None if self.summary is None else _mean(self.summary.inference_us, None, source)

    def warm(self, source: FigureSource) -> Figures | None:
        """Of the warm-up, likewise."""
        if self.summary is None:
            return None
        return _mean(self.summary.warmup_us, self.summary.first_us, source)


def tail_of(lines: Sequence[str]) -> Tail:
    """Raises: UnreadableOutput where lines of figures cannot be read or are of several runs."""
    figures = [body(line) for line in lines if body(line).startswith("count=")]
    sums = [parse_summary_line(body(line)) for line in lines if is_summary_line(body(line))]
    if len(sums) > 1 or len(figures) > 2:
        raise UnreadableOutput("figures of more than one run stand together")
    counts = [_count(line) for line in figures]
    summary = sums[0] if sums else None
    rest = tuple(
        line for line in lines if body(line) not in figures and not is_summary_line(body(line))
    )
    if len(counts) == 2:
        warmup, measured = counts[0], counts[1]
        if summary is not None and not (
            _is(warmup, summary.warmup_us) and _is(measured, summary.inference_us)
        ):
            raise UnreadableOutput("benchmark_model's summary contradicts the lines before it")
        return Tail(rest, warmup, measured, summary)
    # One alone is of the part whose mean it has.
    if counts and summary is not None and _is(counts[0], summary.inference_us):
        return Tail(rest, None, counts[0], summary)
    return Tail(rest, None, None, summary)


def _count(line: str) -> CountLine:
    found = parse_count_line(line)
    if found is None:
        raise UnreadableOutput(f"benchmark_model's line cannot be read: {line[:200]!r}")
    check_count(found)
    return found


def _is(line: CountLine, mean_us: float) -> bool:
    seen = mean_or_zero(line)
    return abs(seen - mean_us) <= sixth_digit(seen)


def _mean(mean_us: float, first_us: int | None, source: FigureSource) -> Figures | None:
    """None for 0, which a part without runs has too."""
    if not mean_us:
        return None
    return Figures(
        count=None,
        first=first_us,
        min=None,
        max=None,
        avg=mean_us,
        std=None,
        p5=None,
        p50=None,
        p90=None,
        p95=None,
        source=source,
        resolution_us=1.0,
    )
