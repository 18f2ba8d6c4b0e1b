"""The text of one run, or what is there of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bench.ops.model import OpProfile
from bench.parsers.benchmark_proto import RuntimeGraph


class Part(StrEnum):
    """What of a run is there.

    TAIL: lines of the tool, but not its beginning. LOOSE: neither its beginning nor its results.
    """

    START = "start"
    TAIL = "tail"
    PYTHON_LOG = "python-log"
    PYTHON_RESULTS = "python-results"
    LOOSE = "loose"


@dataclass(slots=True)
class Piece:
    """The text of one run.

    Attributes:
        lines: of stdout and stderr, in no certain order between the two.
        android: of a logcat.
        several: one of several runs of one process.
        options: (name, figures) of all of them, of the performance-options tool.
        graph: of a runtime info file beside it.
        profile: of a file of its own.
        joined: what of other files has come to it; group: number of its file.
    """

    parts: set[Part]
    lines: list[str]
    files: list[str]
    android: bool = False
    several: bool = False
    options: tuple[tuple[str, str], ...] = ()
    graph: RuntimeGraph | None = None
    profile: OpProfile | None = None
    joined: set[str] = field(default_factory=set)
    group: int = 0
