"""One `count=` line of benchmark_model -> CountLine; which samples print such a line.

The format is that of the tool's StatWithPercentiles<int64_t> (stats_calculator.h): whole
microseconds, the mean with six significant digits, percentiles as the order statistic at
floor(n p / 100), the standard deviation cut to whole microseconds twice.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_INT = r"-?\d{1,19}"
_REAL = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_LINE = re.compile(
    rf"(?:INFO: )?count=(?P<count>\d{{1,19}})"
    rf"(?: first=(?P<first>{_INT}))?"
    rf"(?: curr=(?P<curr>{_INT})(?P<same>\(all same\))?)?"
    rf"(?: min=(?P<min>{_INT}) max=(?P<max>{_INT}) avg=(?P<avg>{_REAL}) std=(?P<std>{_INT}))?"
    rf"(?: p5=(?P<p5>{_INT}) median=(?P<median>{_INT}) p95=(?P<p95>{_INT}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class CountLine:
    """What one line says of the runs of one part (warm-up or measured), in us.

    None where the line does not say it: count=0 has no curr, runs that all took the same
    (one run too) have no first, min, max, avg and std, older tools no p5, median and p95.

    Attributes:
        count: number of runs.
        first, curr: the first and the last run.
        min, max, avg, std: std is of the population.
        p5, median, p95: 0 where count is 0.
    """

    count: int
    first: int | None
    curr: int | None
    min: int | None
    max: int | None
    avg: float | None
    std: int | None
    p5: int | None
    median: int | None
    p95: int | None


def parse_count_line(line: str) -> CountLine | None:
    """Read one line of stdout, without its end; None if it is no such line, or not whole.

    Only a line whose end was there may come in: cut inside its last number, it looks whole.
    """
    found = _LINE.fullmatch(line.rstrip("\r"))
    if found is None:
        return None
    text = found.groupdict()

    def whole(name: str) -> int | None:
        return None if text[name] is None else int(text[name])

    count = int(text["count"])
    full = text["min"] is not None
    # The three shapes that the tool prints; anything else is a line cut short.
    if (
        (text["curr"] is None) != (count == 0)
        or (text["first"] is not None) != full
        or full != (count > 0 and count > 1 and text["same"] is None)
        or (text["same"] is not None and count < 2)
        or (full and not math.isfinite(float(text["avg"])))
    ):
        return None
    return CountLine(
        count=count,
        first=whole("first"),
        curr=whole("curr"),
        min=whole("min"),
        max=whole("max"),
        avg=None if text["avg"] is None else float(text["avg"]),
        std=whole("std"),
        p5=whole("p5"),
        median=whole("median"),
        p95=whole("p95"),
    )


def differences(line: CountLine, samples_us: NDArray[np.int64]) -> tuple[str, ...]:
    """Names of what `line` says otherwise than the tool would of these runs in whole us."""
    printable = _printable(samples_us)
    if line.min is None and printable["min"] != printable["max"]:
        return ("min", "max")  # a line without them says that all runs took the same
    return tuple(
        name
        for name, values in printable.items()
        if getattr(line, name) is not None and getattr(line, name) not in values
    )


def _printable(us: NDArray[np.int64]) -> dict[str, tuple[float, ...]]:
    """Name -> what the tool prints for it; more than one where its arithmetic may round."""
    n = len(us)
    if n == 0:
        return dict.fromkeys(("count", "min", "max", "p5", "median", "p95"), (0,))
    ordered = np.sort(us)
    total = int(us.sum())
    mean = total / n
    return {
        "count": (n,),
        "first": (int(us[0]),),
        "curr": (int(us[-1]),),
        "min": (int(ordered[0]),),
        "max": (int(ordered[-1]),),
        "avg": (float(f"{mean:.6g}"),),
        "std": _deviations(us.astype(np.float64), mean),
        "p5": (int(ordered[n * 5 // 100]),),
        "median": (int(ordered[n * 50 // 100]),),
        "p95": (int(ordered[n * 95 // 100]),),
    }


def _deviations(us: NDArray[np.float64], mean: float) -> tuple[float, ...]:
    """The tool's std, as it comes out with and without rounding errors of its sums.

    Its variance, the difference of two sums, is cut to a whole number before the root. A
    compiler may fuse multiplication and subtraction, so the last digits differ by processor.
    """
    squares = float(np.add.accumulate(us * us)[-1])
    variance = squares / len(us) - mean * mean
    slack = 8 * math.ulp(squares / len(us))
    least, most = (math.isqrt(max(0, int(variance + sign * slack))) for sign in (-1, 1))
    return tuple(range(least, most + 1))
