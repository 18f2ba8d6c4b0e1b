"""Printed times -> Figures in us: from count lines, and from a summary in ms."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.errors import UnreadableOutput
from bench.interpolate import interpolate_p90
from bench.parse.model import Figures, FigureSource
from bench.parsers.benchmark_model import average, first, greatest, least
from bench.parsers.count_line import CountLine
from bench.parsers.invoke_loop import p90_reason

_WHOLE_US, _TWO_DECIMALS_US = 1.0, 10.0
# Below this whole us are too coarse for a percentile between others.
_COARSE_US = 100.0
# "Inference (avg):      4.02 ms (20 runs)"; the std of the C++ tool has no unit.
_SUMMARY = re.compile(
    r"(INFO: \[benchmark_litert_model\.h:\d+\] )?"
    r"(Inference|Warmup) \((\w+)\): +(\d+\.\d\d)(?: ms)?(?: \((\d+) runs\))?"
)


def of_count_line(line: CountLine | None, source: FigureSource) -> Figures | None:
    """None where there is no line, or where it is of no runs.

    Of runs that all took the same the tool prints one figure, which is then all of them.
    """
    if line is None or line.count == 0:
        return None
    value, bounds = _p90(line) if source is FigureSource.TOOL else (None, None)
    same = line.min is None
    return Figures(
        count=line.count,
        first=first(line),
        min=least(line),
        max=greatest(line),
        avg=average(line),
        std=0 if same else line.std,
        p5=line.p5,
        p50=line.median,
        p90=value,
        p95=line.p95,
        source=source,
        resolution_us=_WHOLE_US,
        p90_source=None if value is None else "interpolated",
        p90_bounds=bounds,
    )


def of_summary(
    lines: Sequence[str], part: str, source: FigureSource, *, logged: bool
) -> Figures | None:
    """Figures of a part ("Inference", "Warmup") of a summary in ms; None without its mean.

    logged: of the C++ tool, which prints it to its log.

    Raises: UnreadableOutput where two summaries are there.
    """
    found: dict[str, float] = {}
    count = 0
    for line in lines:
        match = _SUMMARY.fullmatch(line)
        if match is None or match[2] != part or bool(match[1]) != logged:
            continue
        if match[3] in found:
            raise UnreadableOutput(f"the results of more than one run stand together: {line!r}")
        found[match[3]] = round(float(match[4]) * 1e3, 3)
        count = int(match[5] or count)
    if "avg" not in found or not count:
        return None
    return Figures(
        count=count,
        first=found.get("first"),
        min=found.get("min"),
        max=found.get("max"),
        avg=found["avg"],
        std=found.get("std"),
        p5=found.get("p5"),
        p50=found.get("median"),
        p90=None,
        p95=found.get("p95"),
        source=source,
        resolution_us=_TWO_DECIMALS_US,
    )


def _p90(line: CountLine) -> tuple[float | None, tuple[float, float] | None]:
    if line.p5 is None or line.median is None or line.p95 is None:
        return None, None
    if average(line) < _COARSE_US or p90_reason(line.count, 1):
        return None, None
    estimate = interpolate_p90(line.p5, line.median, line.p95)
    value = None if estimate.value_us is None else round(estimate.value_us, 3)
    return value, estimate.bounds_us
