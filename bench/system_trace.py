"""A trace of the whole Android system around one launch, by whatever runner (`run --trace`).

The launch is one like the timed ones, behind bench/system_trace.sh. TFLite names its ops in
the trace while `debug.tflite.trace` is 1 (devices.controls.trace_ops).
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from bench.format import first_line_of
from bench.records import Artifact
from bench.runners.base import LaunchFiles, RawOutput

SCRIPT = Path(__file__).with_suffix(".sh")
_LOG = "system_trace.log"
# What the script may leave; a trace of atrace is text, and begins with what traced it.
_TRACES = ("system.perfetto-trace", "system.atrace")
_MARGIN_S = 10


def cannot(kind: str) -> str | None:
    """Why there is no system trace on a kind of device, or None if there is."""
    if kind != "android":
        return "a system trace is taken of Android alone"
    return None


def around(files: LaunchFiles) -> LaunchFiles:
    """What a launch and the trace around it need; see `prefix`."""
    return replace(
        files,
        files={**files.files, SCRIPT.name: SCRIPT},
        results=(*files.results, *_TRACES, _LOG),
    )


def prefix(timeout_s: float) -> tuple[str, ...]:
    """Words in front of the argv of a launch that is ended after so many seconds."""
    return ("sh", SCRIPT.name, str(math.ceil(timeout_s) + _MARGIN_S))


def artifacts(output: RawOutput) -> tuple[Artifact, ...]:
    """The traces that a launch brought back."""
    return tuple(Artifact(name, content) for name in _TRACES if (content := output.files.get(name)))


def why_none(output: RawOutput) -> str:
    """Why there is no trace, one line."""
    said = output.files.get(_LOG, b"").decode("utf-8", "replace")
    return f"the tracer left nothing: {first_line_of(said, otherwise='it does not say why')}"
