"""What one source has to say: its evidence, and the numbers that it knows exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.delegation.model import Coverage, Evidence, EvidenceSource, Refusal


@dataclass(frozen=True, slots=True)
class Counts:
    """Nodes of the main subgraph; what the source does not know is None or {}."""

    delegated_nodes: int | None = None
    total_nodes: int | None = None
    partitions: int | None = None
    fallback_ops: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one collector found; a collector that found nothing gives none.

    Attributes:
        evidence: of one source, the line that speaks for the verdict first.
        counts: None where the source has no numbers.
        unsupported, accelerators, outside_time: as in Delegation.
    """

    evidence: tuple[Evidence, ...]
    counts: Counts | None = None
    unsupported: tuple[Refusal, ...] = ()
    accelerators: tuple[str, ...] = ()
    outside_time: float | None = None


def lines(source: EvidenceSource, says: Coverage | None, *texts: str) -> tuple[Evidence, ...]:
    """Evidence of one source: the first line says the verdict, the others explain it."""
    return tuple(Evidence(source, text, None if n else says) for n, text in enumerate(texts))
