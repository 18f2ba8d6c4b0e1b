"""Evidence of what computed: a processor that stands in for an accelerator, by its name."""

from __future__ import annotations

from collections.abc import Iterator

from bench.delegation.finding import Finding, lines
from bench.delegation.model import Coverage, EvidenceSource
from bench.delegation.names import is_meant
from bench.parsers.benchmark_model import ToolText
from bench.parsers.runtime_log import RuntimeLog

# The name of the Neural Networks API for its own code on the processor.
_NNAPI_CPU = "nnapi-reference"


def from_adapter(requested: str, log: RuntimeLog) -> Iterator[Finding]:
    """Of the graphics adapter that the log names."""
    if requested != "gpu" or not log.adapter:
        return
    if log.adapter_is_software:
        line = f"The GPU is a rasteriser on the processor: {log.adapter}."
        yield Finding(
            lines(EvidenceSource.DEVICE, Coverage.NONE, line), accelerators=(log.adapter,)
        )
    else:
        line = f"The GPU is {log.adapter}."
        yield Finding(lines(EvidenceSource.DEVICE, None, line), accelerators=(log.adapter,))


def from_accelerators(requested: str, text: ToolText) -> Iterator[Finding]:
    """Of NNAPI's accelerators.

    Before Android 10 NNAPI tells no accelerators, and computes by itself what none takes, so
    that nobody knows what computed.
    """
    if requested not in ("nnapi", "edgetpu"):
        return
    made = [item.delegate for item in text.applied] + list(text.created)
    if set(text.accelerators) == {_NNAPI_CPU} or text.accelerator == _NNAPI_CPU:
        line = f"NNAPI has no accelerator but {_NNAPI_CPU}, which is the processor."
        verdict: Coverage | None = Coverage.NONE
    elif text.accelerators:
        line = f"NNAPI has {', '.join(text.accelerators)}."
        verdict = None
    elif any(is_meant("nnapi", name) for name in made):
        line = "NNAPI names no accelerator, so that it may have computed on the processor."
        verdict = Coverage.UNKNOWN
    else:
        return
    yield Finding(lines(EvidenceSource.DEVICE, verdict, line), accelerators=text.accelerators)
