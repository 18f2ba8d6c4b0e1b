"""A per-op profile of one launch, whatever tool made it.

Profiling slows a run down: nothing here is ever reported as latency.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OpKind(StrEnum):
    """What a row stands for.

    OP: an op of the model that the runtime itself ran. DELEGATE: a delegate's node as a whole.
    DELEGATE_OP: a step within a delegate (an XNNPACK operator). PHASE: a part of preparation
    (AllocateTensors), no op.
    """

    OP = "op"
    DELEGATE = "delegate"
    DELEGATE_OP = "delegate-op"
    PHASE = "phase"


class ProfileSource(StrEnum):
    """What a profile was read from."""

    STDOUT = "stdout"
    CSV = "csv"
    PROTO = "proto"
    LITERT_SUMMARY = "litert-summary"
    C_API = "litert-c-api"


@dataclass(frozen=True, slots=True)
class OpRow:
    """One row of a profile.

    Attributes:
        kind: see OpKind.
        type: of the op or operator as the tool prints it, without "Delegate/": "CONV_2D",
            "Convolution (NHWC, F32) IGEMM".
        name: as the tool prints it: "[out]:7", "Delegate/...:3"; "" if none.
        avg_us: mean time per run of the model, of all its calls in it (of C_API: over the
            calmer half of the runs).
        first_us, min_us, max_us, std_us: None where the tool does not tell them.
        times_called: per run of the model; above 1 where rows were merged or in loops.
        node: index of the model's node in its subgraph where the tool tells it exactly.
        mem_kib: None where not told.
        order: place in the order of execution; None where the tool does not tell it.
    """

    kind: OpKind
    type: str
    name: str
    avg_us: float | None
    first_us: float | None = None
    min_us: float | None = None
    max_us: float | None = None
    std_us: float | None = None
    times_called: float | None = None
    node: int | None = None
    mem_kib: float | None = None
    order: int | None = None


@dataclass(frozen=True, slots=True)
class OpTable:
    """The rows of one subgraph, or of what a delegate reports of its inside.

    Attributes:
        subgraph: index; 0 is the main one.
        name: of the subgraph or delegate; "" if not told.
        inside_delegate: rows that a delegate reports beside those of the subgraphs, whose
            time is part of theirs.
    """

    rows: tuple[OpRow, ...]
    subgraph: int = 0
    name: str = ""
    inside_delegate: bool = False


@dataclass(frozen=True, slots=True)
class OpProfile:
    """A whole profile.

    Attributes:
        regular: of the measured runs, in the tool's order.
        init: of preparation.
        runs: of the model that were profiled; None if not told.
        invoke_us: time of one run of the model while profiled (mean, over the same runs),
            to hold the sum of the ops against; None if not told.
        threads: of the runtime; None if not told.
        notes: what must be known to read it ("rows of several partitions were merged").
        complete: False where the tool says that it dropped rows for lack of room.
    """

    source: ProfileSource
    regular: tuple[OpTable, ...]
    init: tuple[OpTable, ...] = ()
    runs: int | None = None
    invoke_us: float | None = None
    threads: int | None = None
    notes: tuple[str, ...] = ()
    complete: bool = True
