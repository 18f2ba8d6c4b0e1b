"""What litert_loop.py printed -> Measurement, Profiled or Answers, or UnreadableOutput.

Every field is required, typed and bounded, and nothing else may stand in a document, as in
those of invoke_loop. bench.runners.litert_loop writes them.
"""

from __future__ import annotations

import dataclasses
from itertools import groupby
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from bench.delegation.compiled import judge_compiled_model
from bench.delegation.model import Delegation
from bench.errors import UnreadableOutput
from bench.ops.model import OpKind, OpProfile, OpRow, OpTable, ProfileSource
from bench.parsers.answers import Answered, answers_of
from bench.parsers.invoke_loop import (
    Count,
    Duration,
    Inputs,
    OfLaunch,
    Positive,
    Runtime,
    Sha256,
    Strict,
    Timed,
    document_of,
    measurement_of,
)
from bench.records import Measurement
from bench.runners.base import Answers, Profiled

# Beyond this the ops of a profile do not explain its time.
_UNEXPLAINED = 0.05
_WHOLE_US = "times are whole microseconds, cut off"
_OVERHEAD = "the profiler slows every run down, short ones many times over"

_Format = Literal["edgebench-litert-loop/1"]


class _Told(Strict):
    nodes: Positive
    fully: bool
    without_cpu: bool
    messages: str


class _Sync(Strict):
    run_us: Duration
    read_us: Duration
    reread_us: Duration


class _Row(Strict):
    kind: Literal["op", "delegate", "delegate-op"]
    tag: str
    index: Count
    subgraph: Count
    calls: Annotated[float, Field(gt=0, lt=1e9)]
    mean_us: Duration
    first_us: Duration
    min_us: Duration
    max_us: Duration
    std_us: Duration

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        # A mean of equal numbers may miss them by the last bit.
        slack = 1e-9 * self.max_us
        inside = self.min_us <= min(self.mean_us + slack, self.first_us)
        if not (inside and max(self.mean_us - slack, self.first_us) <= self.max_us):
            raise ValueError("times are not between their smallest and largest")
        return self


class _Profile(Strict):
    runs: Positive
    invoke_us: Duration
    in_order: bool
    rows: list[_Row]


class _Timing(Timed):
    format: _Format
    purpose: Literal["timing"]
    told: _Told
    sync: _Sync | None
    profile: _Profile | None
    profile_problem: str


class _Profiling(OfLaunch):
    format: _Format
    purpose: Literal["profile"]
    model_sha256: Sha256
    runtime: Runtime
    inputs: Inputs
    told: _Told
    profile: _Profile


class _Answered(Answered):
    format: _Format
    purpose: Literal["numerics"]
    told: _Told


def parse(stdout: bytes, *, delegate: str, threads: int, log: str = "") -> Measurement:
    """Read the document of a timing launch.

    Args:
        stdout: what the script printed, whole.
        delegate, threads: what the launch was asked for; the document must say the same.
        log: what the runtime wrote to stderr, as evidence of the delegate.

    Raises: UnreadableOutput naming the first thing that is missing, unknown or impossible.
    """
    document = document_of(_Timing, stdout, "litert's document", delegate, threads)
    accelerator = delegate in ("gpu", "npu")
    if accelerator == (document.sync is None):
        raise UnreadableOutput("litert's document: sync goes with accelerators, and only them")
    profile = None
    if document.profile is not None:
        # Of one run, made to see who runs which node and not how fast.
        profile = _profile(document.profile, threads, timed=False)
    delegation = _judged(document.told, delegate, log, profile)
    measurement = measurement_of(document, delegation)
    runtime: dict[str, Any] = dict(measurement.runtime)
    if document.sync is not None:
        how = "benchmark-mode" if delegate == "gpu" else "run"
        runtime[f"{delegate}_sync"] = {"how": how, **document.sync.model_dump()}
    if document.profile_problem:
        runtime["nodes_problem"] = document.profile_problem
    return dataclasses.replace(measurement, runtime=runtime)


def parse_profile(stdout: bytes, *, delegate: str, threads: int, log: str = "") -> Profiled:
    """Read the document of a profiling launch; see `parse`."""
    document = document_of(_Profiling, stdout, "litert's document", delegate, threads)
    profile = _profile(document.profile, threads, timed=True)
    if not profile.regular:
        raise UnreadableOutput("litert's document: the profiler told no op")
    return Profiled(profile, _judged(document.told, delegate, log, profile))


def parse_answered(
    stdout: bytes, archive: bytes | None, *, delegate: str, threads: int, log: str = ""
) -> Answers:
    """Read the document of a numerics launch and its answers.npz (None: not there); see `parse`."""
    document = document_of(_Answered, stdout, "litert's document", delegate, threads)
    return answers_of(document, archive, _judged(document.told, delegate, log, None))


def _judged(told: _Told, delegate: str, log: str, profile: OpProfile | None) -> Delegation:
    return judge_compiled_model(
        delegate,
        fully_accelerated=told.fully,
        non_cpu_fully=told.without_cpu,
        messages=told.messages,
        log=log,
        total_nodes=told.nodes,
        profile=profile,
    )


def _profile(profile: _Profile, threads: int, *, timed: bool) -> OpProfile:
    rows = [
        (row.subgraph, _op_row(row, place if profile.in_order else None, timed))
        for place, row in enumerate(profile.rows)
    ]
    by_subgraph = sorted(rows, key=lambda pair: pair[0])
    tables = tuple(
        OpTable(tuple(row for _, row in pairs), subgraph=subgraph)
        for subgraph, pairs in groupby(by_subgraph, key=lambda pair: pair[0])
    )
    return OpProfile(
        ProfileSource.C_API,
        tables,
        runs=profile.runs,
        invoke_us=profile.invoke_us if timed else None,
        threads=threads,
        notes=tuple(_notes(profile, threads)) if timed else (),
    )


def _op_row(row: _Row, order: int | None, timed: bool) -> OpRow:
    exact = row.kind == "op"
    return OpRow(
        OpKind(row.kind),
        type=row.tag,
        name="" if exact else f"Delegate/{row.tag}:{row.index}",
        avg_us=row.mean_us if timed else None,
        first_us=row.first_us if timed else None,
        min_us=row.min_us if timed else None,
        max_us=row.max_us if timed else None,
        std_us=row.std_us if timed else None,
        times_called=row.calls,
        node=row.index if exact else None,
        order=order,
    )


def _notes(profile: _Profile, threads: int) -> list[str]:
    notes = [_WHOLE_US, _OVERHEAD]
    if threads > 1 and any(row.kind == "op" for row in profile.rows):
        notes.append("ops outside XNNPACK ran on one thread, as always in CompiledModel")
    if not profile.in_order:
        notes.append(
            "runs differ in what happens or run other subgraphs: rows of one name and index are "
            "merged, over partitions too, and stand in no order"
        )
    if any(row.subgraph for row in profile.rows):
        notes.append("times of other subgraphs are part of the op that runs them")
    total = sum(row.mean_us for row in profile.rows if row.subgraph == 0)
    # What is cut off of each row may be missing from the sum.
    slack = _UNEXPLAINED * profile.invoke_us + len(profile.rows)
    if abs(profile.invoke_us - total) > slack:
        notes.append(
            f"the ops of a run come to {100 * total / profile.invoke_us:.0f} % of its time"
        )
    return notes
