"""One verdict on what a delegate really took, from the evidence that a launch left."""

from __future__ import annotations

from collections.abc import Mapping

from bench.records import Coverage, Delegation

_NAMED_IN_LOG = {"xnnpack": "XNNPACK delegate"}


def judge(
    requested: str,
    *,
    total_nodes: int | None,
    delegated_nodes: int | None,
    partitions: int | None,
    fallback_ops: Mapping[str, int],
    problem: str = "",
    log: str = "",
) -> Delegation:
    """Judge the node list of the main subgraph, as the runtime gave it after allocation.

    Args:
        requested: name of the delegate that was asked for; "none" for plain kernels.
        total_nodes: nodes of the model; None if the runtime did not list them.
        delegated_nodes: those that partitions replaced; None likewise.
        partitions: number of delegate nodes; None likewise.
        fallback_ops: op name -> nodes outside every partition.
        problem: why there is no node list, where there is none.
        log: what the runtime wrote; it can confirm the delegate's name, nothing else.

    Returns: UNKNOWN where there is no evidence, or where it contradicts itself. With
    "none" asked for, NONE is right; partitions found nevertheless are judged as coverage,
    so that `as_requested` is False.
    """
    if total_nodes is None or delegated_nodes is None or partitions is None:
        reason = problem or "the runtime did not list its nodes"
        return Delegation(requested, Coverage.UNKNOWN, evidence=(f"No node list: {reason}.",))
    taken = (
        f"A delegate took {delegated_nodes} of {_count(total_nodes, 'node')} "
        f"in {_count(partitions, 'partition')}."
    )
    contradiction = _contradiction(total_nodes, delegated_nodes, partitions, fallback_ops)
    if contradiction:
        evidence = (taken, f"The node list contradicts itself: {contradiction}.")
        return Delegation(
            requested,
            Coverage.UNKNOWN,
            delegated_nodes,
            total_nodes,
            partitions,
            dict(fallback_ops),
            evidence,
        )
    if delegated_nodes == 0:
        verdict = Coverage.NONE
        lines = [f"No delegate replaced any of the {_count(total_nodes, 'node')}."]
    else:
        verdict = Coverage.FULL if delegated_nodes == total_nodes else Coverage.PARTIAL
        lines = [taken]
    # Where nothing was asked of a delegate, nothing fell back from it.
    fell_back = {} if requested == "none" and delegated_nodes == 0 else dict(fallback_ops)
    if fell_back:
        listed = ", ".join(f"{op} x{n}" for op, n in sorted(fell_back.items()))
        lines.append(f"Outside it: {listed}.")
    name = _NAMED_IN_LOG.get(requested)
    if delegated_nodes and name and name in log:
        lines.append(f"The runtime's log names the {name}.")
    if requested == "none" and delegated_nodes:
        lines.append("Plain kernels were asked for, but a delegate is at work.")
    return Delegation(
        requested, verdict, delegated_nodes, total_nodes, partitions, fell_back, tuple(lines)
    )


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


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
