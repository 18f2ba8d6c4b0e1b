"""What benchmark_litert_model (CompiledModel API) printed -> typed facts, or UnreadableOutput.

It shares loop and count lines with the classic tool, on stdout, and prints its own summary
through the runtime's log on stderr, in ms with two decimals. Format: LiteRT,
litert/tools/benchmark_litert_model.h.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping

from bench.errors import UnreadableOutput
from bench.parsers.benchmark_model import (
    ToolOutput,
    average,
    decode,
    first,
    greatest,
    least,
    parse_text,
)
from bench.parsers.count_line import CountLine
from bench.parsers.runtime_log import parse_log

RESULTS = "========== BENCHMARK RESULTS =========="
_LINE = re.compile(r"INFO: \[benchmark_litert_model\.h:\d+\] ([A-Z][A-Za-z ()]*?): +(.+)")
_PEAK = re.compile(r"INFO: \[benchmark_litert_model\.h:\d+\] Peak memory: +(\d+\.\d\d) MB")
_VALUE = re.compile(r"(\d+\.\d\d)(?: ms)?(?: \((\d+) runs\))?")
# Half of the last printed digit, and what the float32 in between may lose.
_ROUNDING_US = 5.1
_FLOAT32 = 1e-6
_COMPARED = (
    "Model initialization",
    "Warmup (first)",
    "Warmup (avg)",
    "Inference (avg)",
    "Inference (min)",
    "Inference (max)",
)


def parse_compiled(stdout: bytes, stderr: bytes) -> ToolOutput:
    """Read a run of the CompiledModel tool, whole or broken off.

    Raises: UnreadableOutput where it is no output of the tool, holds a line that cannot be
    placed, or where its summary contradicts its count lines.
    """
    text = parse_text(decode(stdout), has_summary=False)
    log = decode(stderr)
    if text.measured is not None and text.measured.count:
        _check(_summary(log), text.init_us, text.warmup, text.measured)
    peaks = [m for line in log.split("\n") if (m := _PEAK.fullmatch(line.rstrip()))]
    if text.peak_mb is None and len(peaks) == 1:
        text = dataclasses.replace(text, peak_mb=float(peaks[0][1]))
    return ToolOutput(text, parse_log(log))


def _summary(log: str) -> Mapping[str, tuple[float, int | None]]:
    """Label -> (value as printed, number of runs), of the summary."""
    if RESULTS not in log:
        raise UnreadableOutput("benchmark_litert_model's output ends before its summary")
    found: dict[str, tuple[float, int | None]] = {}
    for line in log.partition(RESULTS)[2].split("\n"):
        match = _LINE.fullmatch(line.rstrip())
        if match is None or match[1] not in _COMPARED:
            continue
        value = _VALUE.fullmatch(match[2])
        if value is None or match[1] in found:
            raise UnreadableOutput(f"benchmark_litert_model's line cannot be read: {line[:200]!r}")
        found[match[1]] = float(value[1]), None if value[2] is None else int(value[2])
    return found


def _check(
    summary: Mapping[str, tuple[float, int | None]],
    init_us: float | None,
    warmup: CountLine | None,
    measured: CountLine,
) -> None:
    """Every figure of the summary must be the rounded one of stdout."""
    missing = [label for label in _COMPARED if label not in summary]
    if missing or warmup is None or init_us is None:
        what = f"its line {missing[0]!r}" if missing else "its session or its warm-up"
        raise UnreadableOutput(f"benchmark_litert_model's output lacks {what}")
    seen_us: tuple[float, ...] = (
        init_us,
        float(first(warmup) or 0),
        average(warmup) if warmup.count else 0.0,
        average(measured),
        float(least(measured)),
        float(greatest(measured)),
    )
    for label, seen in zip(_COMPARED, seen_us, strict=True):
        said_ms, runs = summary[label]
        of = {"Warmup (avg)": warmup.count, "Inference (avg)": measured.count}.get(label)
        close = math.isclose(said_ms * 1e3, seen, abs_tol=_ROUNDING_US, rel_tol=_FLOAT32)
        if not close or runs != of:
            raise UnreadableOutput(
                f"benchmark_litert_model's {label!r} contradicts its count lines"
            )
