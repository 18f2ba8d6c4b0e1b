"""The verdict on a run of LiteRT's CompiledModel API, from what it says when asked."""

from __future__ import annotations

from collections.abc import Iterator

from bench.delegation.device import from_adapter
from bench.delegation.finding import Counts, Finding, lines
from bench.delegation.fuse import fuse
from bench.delegation.log import from_log
from bench.delegation.model import Coverage, Delegation, EvidenceSource
from bench.delegation.names import is_own
from bench.delegation.profile import from_profile
from bench.ops.model import OpProfile
from bench.parsers.runtime_log import RuntimeLog, parse_log


def judge_compiled_model(
    requested: str,
    *,
    fully_accelerated: bool | None,
    non_cpu_fully: bool | None = None,
    messages: str = "",
    log: str = "",
    total_nodes: int | None = None,
    profile: OpProfile | None = None,
) -> Delegation:
    """Judge one run of a compiled model.

    Args:
        requested: "none", "xnnpack", "gpu" or "npu".
        fully_accelerated: is_fully_accelerated() of the model as it was measured; with the
            processor among its accelerators XNNPACK's part counts too. None if not asked.
        non_cpu_fully: LiteRtCompiledModelIsNonCpuFullyAccelerated, or whether compiling for
            the accelerator alone, without the processor, succeeded; None where not asked.
        messages: of LiteRtGetCompiledModelErrorMessages, "" if none.
        log: what the runtime wrote to stderr.
        total_nodes: of the main subgraph, from the file.
        profile: of a profiled launch, where there is one.

    Returns: UNKNOWN where nothing says what was taken. That the processor and the accelerator
    together took everything says nothing of the accelerator.
    """
    facts = parse_log(f"{messages}\n{log}")
    found = [*from_log(requested, facts), *from_adapter(requested, facts)]
    if profile is not None and (rows := from_profile(requested, profile, total_nodes)) is not None:
        found.append(rows)
    if (missing := _missing(requested, facts, fully_accelerated)) is not None:
        found.append(missing)
    claims_full = any(item.says is Coverage.FULL for one in found for item in one.evidence)
    asked = _asked(requested, fully_accelerated, non_cpu_fully, total_nodes, claims_full)
    return fuse(requested, [*found, *asked])


def _asked(
    requested: str,
    fully: bool | None,
    non_cpu_fully: bool | None,
    total_nodes: int | None,
    claims_full: bool,
) -> Iterator[Finding]:
    """What the runtime answers when asked."""
    mine = fully if requested in ("xnnpack", "none") else non_cpu_fully
    if mine is None:
        if fully is not None:
            line = (
                "The runtime's answer whether all is accelerated counts the processor's part too."
            )
            yield Finding(lines(EvidenceSource.RUNTIME, None, line))
        return
    if mine:
        line = f"The runtime says that {_named(requested)} took all nodes."
        counts = None if total_nodes is None else Counts(total_nodes, total_nodes)
        yield Finding(lines(EvidenceSource.RUNTIME, Coverage.FULL, line), counts)
        return
    line = f"The runtime says that {_named(requested)} did not take all nodes."
    says = Coverage.UNKNOWN if claims_full else None
    yield Finding(lines(EvidenceSource.RUNTIME, says, line))


def _named(requested: str) -> str:
    return "a delegate" if requested == "none" else requested


def _missing(requested: str, facts: RuntimeLog, fully: bool | None) -> Finding | None:
    """What the log must name and does not; a log that names no accelerator says nothing."""
    if not facts.accelerators:
        return None
    if requested == "none":
        if fully is not False or facts.created or any(item.nodes for item in facts.replaced):
            return None
        line = "The log names no delegate, as it does where one is made."
    elif requested == "xnnpack" or any(is_own(requested, name) for name in facts.accelerators):
        return None
    else:
        line = f"The log names no {requested.upper()} accelerator, as it does where one is loaded."
    return Finding(lines(EvidenceSource.ABSENCE, Coverage.NONE, line))
