"""The line that sums a run of benchmark_model up -> SummaryLine.

Formats: LiteRT, tflite/tools/benchmark/benchmark_model.cc; before TensorFlow 2.1 "Average
inference timings"; the app of TensorFlow 1.x prints nothing but this line.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from bench.errors import UnreadableOutput

_WHOLE = r"(\d{1,19})"
_REAL = r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
_NEW = re.compile(
    rf"Inference timings in us: Init: {_WHOLE}, First inference: {_WHOLE}, "
    rf"Warmup \(avg\): {_REAL}, Inference \(avg\): {_REAL}"
)
_OLD = re.compile(
    rf"Average inference timings in us: Warmup: {_REAL}, Init: {_WHOLE}, "
    # The app goes on with its memory, in the same line.
    rf"(?:no stats|Inference): {_REAL}(?:Overall max resident .*)?"
)
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """In us, as printed: a part without runs is 0. first_us is None in the old format."""

    init_us: int
    first_us: int | None
    warmup_us: float
    inference_us: float


def is_summary_line(body: str) -> bool:
    """Whether a line, without its level, begins like one."""
    return body.startswith(("Inference timings in us", "Average inference timings in us"))


def parse_summary_line(body: str) -> SummaryLine:
    """Read one line, without its level. Raises: UnreadableOutput."""
    if (new := _NEW.fullmatch(body)) is not None:
        line = SummaryLine(int(new[1]), int(new[2]), float(new[3]), float(new[4]))
    elif (old := _OLD.fullmatch(body)) is not None:
        line = SummaryLine(int(old[2]), None, float(old[1]), float(old[3]))
    else:
        raise UnreadableOutput(f"benchmark_model's line cannot be read: {body[:_SHOWN]!r}")
    if not (math.isfinite(line.warmup_us) and math.isfinite(line.inference_us)):
        raise UnreadableOutput("benchmark_model printed a number beyond all bounds")
    return line
