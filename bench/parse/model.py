"""What `edgebench parse` says of one run; its fields are the keys of the JSON.

Every figure is null (None) where the text does not tell it. Times are in us.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class FigureSource(StrEnum):
    """What printed figures are worth.

    TOOL: printed by the tool, of runs it waited for. TOOL_PROFILED: printed by the tool, of
    runs that an op profiler slowed down; no latency of the model. TOOL_ASYNC: printed by the
    tool, which started work on an accelerator and did not wait for its end; no latency.
    """

    TOOL = "tool"
    TOOL_PROFILED = "tool-profiled"
    TOOL_ASYNC = "tool-async"


@dataclass(frozen=True, slots=True)
class Figures:
    """Times of the runs of one part, in us.

    Attributes:
        count: number of runs; None where only their mean is left.
        source: of all of them, see FigureSource.
        resolution_us: smallest step that is printed; a time of 0 is less than that.
        p90: interpolated between the printed percentiles, or None: no tool prints it.
        p90_source: "interpolated"; None without p90.
        p90_bounds: between which p90 lies for certain; None where that is not known.
    """

    count: int | None
    first: float | None
    min: float | None
    max: float | None
    avg: float | None
    std: float | None
    p5: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    source: FigureSource
    resolution_us: float
    p90_source: str | None = None
    p90_bounds: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ParsedDelegation:
    """A delegate that was asked for, or that the runtime applied by itself.

    Attributes:
        requested: xnnpack, gpu, nnapi, npu, hexagon, coreml, external, ...
        explicit: whether the text shows that it was asked for; False for the XNNPACK that
            the runtime takes by itself.
        verdict: FULL, PARTIAL, NONE or UNKNOWN.
        delegated_nodes, total_nodes: of the main subgraph.
        partitions: as the log counts them: parts of the graph after the delegate was
            applied, those that stayed outside included where it counts those too.
        kernels: delegate nodes.
        fallback_ops: op -> number of its nodes that stayed outside, where they are listed.
        unsupported: [{"op", "reason"}], as the runtime says it, an entry for each reason;
            None where it gives none.
        accelerators: what computed, where it is named.
        evidence: [{"source", "says", "text"}], the strongest first.
    """

    requested: str
    explicit: bool
    verdict: str
    delegated_nodes: int | None
    total_nodes: int | None
    partitions: int | None
    kernels: int | None
    fallback_ops: Mapping[str, int]
    unsupported: tuple[Mapping[str, str | None], ...]
    accelerators: tuple[str, ...]
    evidence: tuple[Mapping[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class ParsedOp:
    """One row of an op profile; times are of one run of the model.

    Attributes:
        kind: "op", "delegate" or "delegate-op" (a step inside a delegate).
        subgraph: index, 0 is the main one.
        inside_delegate: whether its time is part of another row's.
        node: index in its subgraph, where the tool tells it.
    """

    type: str
    name: str
    kind: str
    avg_us: float | None
    first_us: float | None
    min_us: float | None
    max_us: float | None
    times_called: float | None
    node: int | None
    subgraph: int
    inside_delegate: bool


@dataclass(frozen=True, slots=True)
class ParsedFailure:
    """Why there is no measurement, or why it is not to be relied on.

    kind: the same words as of a launch of `edgebench run`, and "usage" and "cut-off".
    """

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class ParsedRun:
    """One run.

    Attributes:
        runner: benchmark_model, benchmark_litert, benchmark_litert_python, benchmark_app (in
            a logcat), or runtime (the log of some other program).
        files: names of the files that it was found in.
        option: name of the options in a run of the performance-options tool.
        memory: in MiB: init_mb, overall_mb, peak_mb, rss_mb, rss_anon_mb,
            rss_file_shmem_mb; None where nothing was printed.
        ops: None without an op profile.
        notes: what must be known to read it.
    """

    runner: str
    files: tuple[str, ...]
    option: str | None
    latency_us: Figures | None
    warmup_us: Figures | None
    init_us: float | None
    first_inference_us: float | None
    memory: Mapping[str, float | None] | None
    delegations: tuple[ParsedDelegation, ...]
    ops: tuple[ParsedOp, ...] | None
    failure: ParsedFailure | None
    notes: tuple[str, ...] = field(default=())
