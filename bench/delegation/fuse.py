"""Many pieces of evidence -> one verdict. Nothing is averaged, and nothing is left out.

What measured the run itself (node list, messages, runtime, profile, log) outranks what a tool
says of it, and that outranks a missing line or an unread flag. Where two sources disagree on
whether the delegate ran at all, or two measured ones on how much, nobody knows: UNKNOWN.
What computed (a rasteriser on the processor) overrules what took the nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.delegation.finding import Counts, Finding
from bench.delegation.model import Coverage, Delegation, Evidence, EvidenceSource

_RANK = {source: rank for rank, source in enumerate(EvidenceSource)}
_MEASURED = frozenset(
    {
        EvidenceSource.NODES,
        EvidenceSource.MESSAGES,
        EvidenceSource.RUNTIME,
        EvidenceSource.PROFILE,
        EvidenceSource.LOG,
        EvidenceSource.RECORD,
    }
)
_TOOK = (Coverage.FULL, Coverage.PARTIAL)


def fuse(requested: str, findings: Sequence[Finding]) -> Delegation:
    """Draw one verdict; UNKNOWN without evidence.

    Args:
        requested: name of the delegate that was asked for; "none" for plain kernels.
        findings: of all sources, in any order.
    """
    ranked = sorted(findings, key=_rank)
    items = [item for found in ranked for item in found.evidence]
    evidence = _ordered([*items, *_unequal(ranked)])
    if not evidence:
        line = "Nothing says what the delegate took."
        evidence = (Evidence(EvidenceSource.ABSENCE, line),)
    verdict = _verdict(evidence)
    processor = any(_overrules(item) and item.says is Coverage.NONE for item in evidence)
    counts = Counts() if processor else _counts(ranked)
    return Delegation(
        requested,
        verdict,
        counts.delegated_nodes,
        counts.total_nodes,
        counts.partitions,
        dict(counts.fallback_ops),
        evidence,
        tuple(dict.fromkeys(refusal for found in ranked for refusal in found.unsupported)),
        tuple(dict.fromkeys(name for found in ranked for name in found.accelerators)),
        next((f.outside_time for f in ranked if f.outside_time is not None), None),
    )


def as_finding(delegation: Delegation) -> Finding:
    """A verdict drawn before, to be fused with what has come to light since."""
    evidence = delegation.evidence
    if delegation.verdict is not Coverage.UNKNOWN and not any(item.says for item in evidence):
        line = f"Recorded as {delegation.verdict}."
        evidence = (*evidence, Evidence(EvidenceSource.RECORD, line, delegation.verdict))
    return Finding(
        evidence,
        Counts(
            delegation.delegated_nodes,
            delegation.total_nodes,
            delegation.partitions,
            delegation.fallback_ops,
        ),
        delegation.unsupported,
        delegation.accelerators,
        delegation.outside_time,
    )


def _rank(finding: Finding) -> int:
    return min((_RANK[item.source] for item in finding.evidence), default=len(_RANK))


def _ordered(items: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """What overrules the rest, then by rank; sources that say no verdict last."""
    speaking = {item.source for item in items if item.says is not None}
    unique = dict.fromkeys(items)
    return tuple(
        sorted(
            unique,
            key=lambda i: (not _overrules(i), i.source not in speaking, _RANK[i.source]),
        )
    )


def _overrules(item: Evidence) -> bool:
    return item.source is EvidenceSource.DEVICE and item.says is not None


def _verdict(evidence: Sequence[Evidence]) -> Coverage:
    if any(_overrules(item) and item.says is Coverage.NONE for item in evidence):
        return Coverage.NONE
    saying = [
        item
        for item in evidence
        if item.says is not None and item.source is not EvidenceSource.LATENCY
    ]
    agreed = _agreed([item for item in saying if not _overrules(item)])
    return Coverage.UNKNOWN if agreed in _TOOK and any(map(_overrules, saying)) else agreed


def _agreed(saying: Sequence[Evidence]) -> Coverage:
    """What all of it comes to; the strongest is first."""
    words = {item.says for item in saying}
    if len(words) == 1:
        return saying[0].says or Coverage.UNKNOWN
    if words == {Coverage.FULL, Coverage.PARTIAL}:
        # A tool says "partially" of everything in two partitions; no source that saw less
        # than the strongest can know of more.
        measured = {item.says for item in saying if item.source in _MEASURED}
        return Coverage.FULL if measured == {Coverage.FULL} else Coverage.UNKNOWN
    return Coverage.UNKNOWN


def _counts(ranked: Sequence[Finding]) -> Counts:
    """The numbers of the strongest that has any, completed where the others agree."""
    known = [found.counts for found in ranked if found.counts is not None]
    first = next((c for c in known if c.delegated_nodes is not None), Counts())
    agreeing = [c for c in known if c.delegated_nodes in (None, first.delegated_nodes)]
    totals = (c.total_nodes for c in (first, *agreeing) if c.total_nodes is not None)
    partitions = (c.partitions for c in agreeing if c.partitions is not None)
    fallback = (c.fallback_ops for c in agreeing if c.fallback_ops)
    return Counts(
        first.delegated_nodes, next(totals, None), next(partitions, None), next(fallback, {})
    )


def _unequal(ranked: Sequence[Finding]) -> tuple[Evidence, ...]:
    """Two sources that count the same nodes and come to different numbers."""
    counted = [
        (found.evidence[0].source, found.counts)
        for found in ranked
        if found.evidence and found.counts is not None and found.counts.total_nodes is not None
    ]
    for source, counts in counted[1:]:
        first_source, first = counted[0]
        if counts.total_nodes != first.total_nodes or None in (
            counts.delegated_nodes,
            first.delegated_nodes,
        ):
            continue
        if counts.delegated_nodes != first.delegated_nodes:
            text = (
                f"The {first_source} say {first.delegated_nodes}, the {source} "
                f"{counts.delegated_nodes} of {first.total_nodes} nodes."
            )
            return (Evidence(source, text, Coverage.UNKNOWN),)
    return ()
