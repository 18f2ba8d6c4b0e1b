"""What is known of a delegate's work in one case: evidence, refusals, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Coverage(StrEnum):
    """How much of the model the delegate that was asked for really took."""

    FULL = "FULL"
    PARTIAL = "PARTIAL"
    NONE = "NONE"
    UNKNOWN = "UNKNOWN"


class EvidenceSource(StrEnum):
    """Where a piece of evidence comes from; the earlier, the more it is believed.

    NODES: the runtime's own list of nodes. MESSAGES: counts in its error messages ("49
    operations will run on the GPU"). RUNTIME: its answer when asked (is_fully_accelerated).
    PROFILE: rows of an op profile. LOG: its log. TOOL: benchmark_model's own words. ABSENCE:
    a line that must be there and is not. FLAG: an option that nobody read. DEVICE: what
    computed, such as a rasteriser on the processor. LATENCY: as fast as without it.
    RECORD: of a store written before sources were kept, or what launches of one case say
    against each other.
    """

    NODES = "nodes"
    MESSAGES = "messages"
    RUNTIME = "runtime"
    PROFILE = "profile"
    LOG = "log"
    TOOL = "tool"
    ABSENCE = "absence"
    FLAG = "flag"
    DEVICE = "device"
    LATENCY = "latency"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation.

    Attributes:
        says: the verdict that it alone would give; None where it gives none.
        text: one line for people; the line itself where it is a line of a log.
    """

    source: EvidenceSource
    text: str
    says: Coverage | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An op that the delegate left, and why, as the runtime says it.

    Attributes:
        op: its name, e.g. "CAST".
        reason: "" where it is not told.
        nodes: how many nodes of it; None where that is not told.
    """

    op: str
    reason: str
    nodes: int | None = None


@dataclass(frozen=True, slots=True)
class Delegation:
    """Evidence of what the delegate took, and the verdict drawn from it.

    Attributes:
        requested: name of the delegate that was asked for.
        verdict: coverage by that delegate; for "none" asked for, NONE is right.
        delegated_nodes, total_nodes, partitions: of the main subgraph; None if unknown.
        fallback_ops: op name -> number of nodes that stayed outside.
        evidence: all of it, also what contradicts the verdict: what overrules the rest (the
            processor under an accelerator's name), then the strongest first, and last what
            says no verdict.
        unsupported: ops that the runtime says the delegate refused.
        accelerators: what computed, by name, where it is told: NNAPI's, a graphics adapter.
        outside_time: share (0..1) of the time of all ops that was spent outside the
            delegate, from an op profile; None without one.
        suspicion: why the verdict is doubted although nothing contradicts it outright
            (as fast as without the delegate); "" if it is not.
    """

    requested: str
    verdict: Coverage
    delegated_nodes: int | None = None
    total_nodes: int | None = None
    partitions: int | None = None
    fallback_ops: Mapping[str, int] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    unsupported: tuple[Refusal, ...] = ()
    accelerators: tuple[str, ...] = ()
    outside_time: float | None = None
    suspicion: str = ""

    @property
    def as_requested(self) -> bool:
        """False where the number would stand under the wrong delegate's name."""
        if self.requested == "none":
            return self.verdict is Coverage.NONE
        return self.verdict in (Coverage.FULL, Coverage.PARTIAL)
