"""What invoke_loop.py printed -> Measurement, or UnreadableOutput.

The document's every field is required, typed and bounded, and nothing else may stand in
it: a number that cannot be placed is not used. bench.runners.invoke_loop writes it.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.delegation.judge import judge
from bench.delegation.model import Delegation
from bench.digest import digest
from bench.errors import UnreadableOutput
from bench.format import counted
from bench.records import HostLoad, Measurement
from bench.stats import STATS_VERSION

MIN_SAMPLES_FOR_P90 = 64

Count = Annotated[int, Field(ge=0, lt=2**63)]
Positive = Annotated[int, Field(ge=1, lt=2**63)]
Duration = Annotated[float, Field(ge=0, lt=1e15)]
_Samples = Annotated[list[Positive], Field(min_length=1)]
Text = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Strict(BaseModel):
    """Every field required and typed, nothing else allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class OfLaunch(Strict):
    """What every document says of its launch."""

    delegate: Text
    threads: Positive


_Any = TypeVar("_Any", bound=OfLaunch)


class Runtime(Strict):
    """What a launch ran in."""

    name: Text
    version: Text
    python: Text
    numpy: Text
    machine: str


class _Tensor(Strict):
    name: str
    shape: list[Count]
    dtype: Text


class Inputs(Strict):
    """What the model was fed."""

    source: Literal["holdout", "seeded-draw"]
    seed: Count
    sha256: Sha256
    tensors: list[_Tensor]


class Nodes(Strict):
    """What bench.runners.invoke_loop.node_evidence found."""

    total: Count
    delegated: Count
    partitions: Count
    outside: dict[str, Positive]


class _Timer(Strict):
    cost_ns: Duration
    resolution_ns: Positive


class _Warmup(Strict):
    samples_ns: _Samples
    invokes: Positive
    wall_ns: Positive
    cut: Count
    steady: bool

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if not max(self.cut + 1, len(self.samples_ns)) <= self.invokes:
            raise ValueError("cut and samples_ns do not go with invokes")
        return self


class _Measured(Strict):
    samples_ns: _Samples
    made: Positive
    invokes_per_sample: Positive
    wall_ns: Positive
    cpu_ns: Count

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if len(self.samples_ns) > self.made:
            raise ValueError("more samples_ns than were made")
        return self


class _Load(Strict):
    wall_ns: Positive
    process_cpu_ns: Count
    busy_ns: Count | None
    steal_ns: Count | None


class _Clock(Strict):
    non_positive: Count
    went_back: bool

    @model_validator(mode="after")
    def _can_be_trusted(self) -> Self:
        if self.non_positive or self.went_back:
            raise ValueError("the device's clock went backwards or stood still; nothing is certain")
        return self


class Timed(OfLaunch):
    """What every document of a timed launch holds (invoke_loop.run_loop fills most of it)."""

    # First, so that a broken clock is named before the samples it broke.
    clock: _Clock
    model_sha256: Sha256
    runtime: Runtime
    inputs: Inputs
    load_us: Duration
    allocate_us: Duration
    first_inference_us: Annotated[float, Field(gt=0, lt=1e15)]
    input_copy_us: Duration
    output_copy_us: Duration
    baseline_rss_kib: Positive | None
    peak_rss_kib: Positive | None
    timer: _Timer
    warmup: _Warmup
    measured: _Measured
    load: _Load


class _Document(Timed):
    format: Literal["edgebench-invoke-loop/1"]
    nodes: Nodes | None
    nodes_problem: str


def parse(stdout: bytes, *, delegate: str, threads: int, log: str = "") -> Measurement:
    """Read the document of one launch.

    Args:
        stdout: what the script printed, whole.
        delegate, threads: what the launch was asked for; the document must say the same.
        log: what the runtime wrote to stderr, as evidence of the delegate.

    Raises:
        UnreadableOutput: naming the first thing that is missing, unknown or impossible.
    """
    document = document_of(_Document, stdout, "invoke_loop's document", delegate, threads)
    delegation = delegation_of(delegate, document.nodes, document.nodes_problem, log)
    return measurement_of(document, delegation)


def delegation_of(delegate: str, nodes: Nodes | None, problem: str, log: str) -> Delegation:
    """The verdict by the nodes of a document; problem: why it has none."""
    return judge(
        delegate,
        total_nodes=nodes.total if nodes else None,
        delegated_nodes=nodes.delegated if nodes else None,
        partitions=nodes.partitions if nodes else None,
        fallback_ops=nodes.outside if nodes else {},
        problem=problem,
        log=log,
    )


def p90_reason(count: int, invokes_per_sample: int) -> str | None:
    """Why a launch of so many samples has no p90 and p95, or None if it has (METHOD 1)."""
    if invokes_per_sample > 1:
        return f"batched: a sample is the mean of {invokes_per_sample} invokes"
    if count < MIN_SAMPLES_FOR_P90:
        return f"only {counted(count, 'sample')}; p90 needs {MIN_SAMPLES_FOR_P90}"
    return None


def document_of(kind: type[_Any], stdout: bytes, what: str, delegate: str, threads: int) -> _Any:
    """The document that a script printed, called `what` where it is not as it must be.

    Raises: UnreadableOutput; also where it is of another delegate or number of threads than
    the launch was.
    """
    try:
        document = kind.model_validate_json(stdout)
    except ValidationError as error:
        raise UnreadableOutput(f"{what}: {_first_problem(error)}") from error
    if (document.delegate, document.threads) != (delegate, threads):
        raise UnreadableOutput(
            f"{what} is of delegate {document.delegate}, {document.threads} threads; the launch "
            f"was of {delegate}, {threads} threads"
        )
    return document


def _first_problem(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in details["loc"])
    return f"{where}: {details['msg']}" if where else details["msg"]


def measurement_of(document: Timed, delegation: Delegation) -> Measurement:
    """The figures of a timed launch; microseconds of its samples in whole ns."""
    measured, warmup = document.measured, document.warmup
    samples = np.array(measured.samples_ns, dtype=np.int64)
    reason = p90_reason(len(samples), measured.invokes_per_sample)
    p50, p90, p95 = (float(value) / 1e3 for value in np.percentile(samples, (50, 90, 95)))
    invokes = measured.made * measured.invokes_per_sample
    return Measurement(
        samples_ns=samples,
        warmup_ns=np.array(warmup.samples_ns, dtype=np.int64),
        count=len(samples),
        stats_version=STATS_VERSION,
        invokes_per_sample=measured.invokes_per_sample,
        p50_us=p50,
        p90_us=None if reason else p90,
        p95_us=None if reason else p95,
        p90_reason=reason,
        mean_us=float(samples.mean()) / 1e3,
        min_us=float(samples.min()) / 1e3,
        max_us=float(samples.max()) / 1e3,
        first_inference_us=document.first_inference_us,
        load_us=document.load_us,
        allocate_us=document.allocate_us,
        input_copy_us=document.input_copy_us,
        output_copy_us=document.output_copy_us,
        cpu_us_per_invoke=measured.cpu_ns / invokes / 1e3,
        timer_cost_ns=document.timer.cost_ns,
        steady=warmup.steady,
        warmup_s=warmup.wall_ns / 1e9,
        warmup_cut=warmup.cut,
        peak_rss_kib=document.peak_rss_kib,
        load=HostLoad(**document.load.model_dump()),
        delegation=delegation,
        runtime={
            **document.runtime.model_dump(),
            "model_sha256": document.model_sha256,
            "baseline_rss_kib": document.baseline_rss_kib,
            "clock_resolution_ns": document.timer.resolution_ns,
            "warmup_invokes": warmup.invokes,
            "measured_invokes": invokes,
        },
        inputs=document.inputs.model_dump(),
        digest=digest(samples),
    )
