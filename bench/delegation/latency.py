"""A doubt that only times can raise: as fast as on the processor of the same device."""

from __future__ import annotations

import dataclasses

from bench.delegation.model import Coverage, Delegation, Evidence, EvidenceSource
from bench.stats import Change, RatioVerdict

# What is itself the processor is as fast as the processor.
_PROCESSOR = ("none", "xnnpack", "ynnpack")


def with_latency(delegation: Delegation, ratio: RatioVerdict) -> Delegation:
    """Suspect an accelerator that is as fast as the processor of the same device.

    Args:
        ratio: of the case to the CPU case of the same device, model, variant and run
            (METHOD section 4). Only SAME raises the suspicion: UNCLEAR proves nothing.

    Returns: the verdict unchanged. Times say that something fell back, never what.
    """
    accelerated = delegation.requested not in _PROCESSOR
    doubted = accelerated and delegation.verdict is not Coverage.NONE
    if not doubted or ratio.change is not Change.SAME or delegation.suspicion:
        return delegation
    text = (
        f"As fast as on the processor of the same device (ratio {ratio.ratio:.3f} over "
        f"{ratio.rounds} common rounds): it may have run there."
    )
    return dataclasses.replace(
        delegation,
        suspicion=text,
        evidence=(*delegation.evidence, Evidence(EvidenceSource.LATENCY, text)),
    )
