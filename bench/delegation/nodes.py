"""Evidence of the runtime's own node list: as numbers, or as benchmark_model writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bench.delegation.finding import Counts, Finding, lines
from bench.delegation.model import Coverage, EvidenceSource
from bench.delegation.names import is_applied_unasked, is_own
from bench.format import counted
from bench.parsers.benchmark_proto import RuntimeGraph

# The op that the Edge TPU's compiler puts in the place of what it compiled.
EDGETPU_OP = "edgetpu-custom-op"


def from_numbers(
    requested: str,
    *,
    total_nodes: int,
    delegated_nodes: int,
    partitions: int,
    fallback_ops: Mapping[str, int],
    created: bool,
) -> Finding:
    """Judge how many nodes of the main subgraph partitions replaced.

    Args:
        fallback_ops: op name -> nodes outside every partition.
        created: whether the delegate is known to have been made. Nodes that were compiled
            for it beforehand count as its own only then.
    """
    compiled = fallback_ops.get(EDGETPU_OP, 0) if requested == "edgetpu" and created else 0
    if compiled > 0:
        fallback_ops = {op: n for op, n in fallback_ops.items() if op != EDGETPU_OP}
        delegated_nodes, partitions = delegated_nodes + compiled, partitions + compiled
    taken = (
        f"A delegate took {delegated_nodes} of {counted(total_nodes, 'node')} "
        f"in {counted(partitions, 'partition')}."
    )
    reason = _contradiction(total_nodes, delegated_nodes, partitions, fallback_ops)
    if reason:
        return Finding(
            lines(
                EvidenceSource.NODES,
                Coverage.UNKNOWN,
                taken,
                f"The node list contradicts itself: {reason}.",
            ),
            Counts(delegated_nodes, total_nodes, partitions, dict(fallback_ops)),
        )
    verdict = Coverage.PARTIAL
    if delegated_nodes == 0:
        verdict = Coverage.NONE
        taken = f"No delegate replaced any of the {counted(total_nodes, 'node')}."
    elif delegated_nodes == total_nodes:
        verdict = Coverage.FULL
    texts = [taken]
    # Where nothing was asked of a delegate, nothing fell back from it.
    fell_back = {} if requested == "none" and delegated_nodes == 0 else dict(fallback_ops)
    if compiled > 0:
        texts.append(f"{counted(compiled, 'node')} of it compiled for the Edge TPU beforehand.")
    if fell_back:
        listed = ", ".join(f"{op} x{n}" for op, n in sorted(fell_back.items()))
        texts.append(f"Outside it: {listed}.")
    if requested == "none" and delegated_nodes:
        texts.append("Plain kernels were asked for, but a delegate is at work.")
    return Finding(
        lines(EvidenceSource.NODES, verdict, *texts),
        Counts(delegated_nodes, total_nodes, partitions, fell_back),
    )


def from_graph(requested: str, graph: RuntimeGraph, *, created: bool) -> Finding:
    """Judge benchmark_model's list of nodes; created: as in from_numbers."""
    ops = {node.node_id: node for node in graph.nodes if not node.delegate}
    delegates = {node.node_id: node for node in graph.nodes if node.delegate}
    runs = set(graph.execution_plan)
    taken = [k for number in runs & set(delegates) for k in delegates[number].replaces]
    broken = (
        len(ops) + len(delegates) != len(graph.nodes)
        or len(runs) != len(graph.execution_plan)
        or not runs <= set(ops) | set(delegates)
        or len(set(taken)) != len(taken)
        or not set(taken) <= set(ops)
        or any(ops[k].delegated_to not in runs for k in taken)
        or any(ops[k].delegated_to is not None for k in runs & set(ops))
    )
    if broken:
        reason = "The tool's node list contradicts itself."
        return Finding(lines(EvidenceSource.NODES, Coverage.UNKNOWN, reason))
    # For plain kernels every delegate counts: none may be at work.
    mine = {
        number
        for number in runs & set(delegates)
        if requested == "none" or is_own(requested, delegates[number].delegate)
    }
    strange = {
        delegates[number].delegate
        for number in runs & set(delegates) - mine
        if not is_applied_unasked(delegates[number].delegate)
    }
    if strange and not mine:
        reason = f"Delegates at work that edgebench does not know: {', '.join(sorted(strange))}."
        return Finding(lines(EvidenceSource.NODES, Coverage.UNKNOWN, reason))
    inside = {k for number in mine for k in delegates[number].replaces}
    # Nodes that neither run nor were taken have been folded away.
    outside = Counter(ops[k].name for k in (runs & set(ops)) | (set(taken) - inside))
    found = from_numbers(
        requested,
        total_nodes=len(inside) + outside.total(),
        delegated_nodes=len(inside),
        partitions=len(mine),
        fallback_ops=outside,
        created=created,
    )
    names = sorted({delegates[number].delegate for number in runs & set(delegates)})
    line = f"The tool's node list names {', '.join(names) or 'no delegate'}."
    return Finding((*found.evidence, *lines(EvidenceSource.NODES, None, line)), found.counts)


def _contradiction(total: int, delegated: int, partitions: int, outside: Mapping[str, int]) -> str:
    """What is impossible about these numbers, or ""."""
    if min(total, delegated, partitions, *outside.values(), 0) < 0:
        return "a number is negative"
    if total == 0:
        return "the model has no nodes"
    if sum(outside.values()) != total - delegated:
        return f"{sum(outside.values())} nodes are named as outside"
    if (partitions == 0) != (delegated == 0) or partitions > delegated:
        return "partitions and delegated nodes do not go together"
    return ""
