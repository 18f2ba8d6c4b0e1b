"""One verdict on what a delegate really took, from the evidence that a launch left."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from bench.delegation.device import from_accelerators, from_adapter
from bench.delegation.finding import Finding, lines
from bench.delegation.fuse import as_finding, fuse
from bench.delegation.log import from_log
from bench.delegation.model import Delegation, EvidenceSource
from bench.delegation.nodes import from_graph, from_numbers
from bench.delegation.profile import from_profile
from bench.delegation.tool import from_tool, made, refusals, registered, unread_flag
from bench.ops.model import OpProfile
from bench.parsers.benchmark_model import ToolOutput
from bench.parsers.benchmark_proto import RuntimeGraph

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
        line = f"No node list: {problem or 'the runtime did not list its nodes'}."
        return fuse(requested, [Finding(lines(EvidenceSource.ABSENCE, None, line))])
    found = [
        from_numbers(
            requested,
            total_nodes=total_nodes,
            delegated_nodes=delegated_nodes,
            partitions=partitions,
            fallback_ops=fallback_ops,
            # The loop ends where it cannot load the delegate that was asked for.
            created=True,
        )
    ]
    name = _NAMED_IN_LOG.get(requested)
    if delegated_nodes and name and name in log:
        line = f"The runtime's log names the {name}."
        found.append(Finding(lines(EvidenceSource.LOG, None, line)))
    return fuse(requested, found)


def judge_tool(
    requested: str,
    output: ToolOutput,
    graph: RuntimeGraph | None,
    *,
    compiled: bool,
    profile: OpProfile | None = None,
) -> Delegation:
    """Judge a run of benchmark_model by all that it left.

    Args:
        requested: name of the delegate that was asked for; "none" for plain kernels.
        graph: the tool's list of nodes in a file, None where it writes none; what it prints
            of them is in the output.
        compiled: of the CompiledModel tool, which says nothing of nodes in its text.
        profile: of the same run, where ops were profiled.

    Returns: UNKNOWN where there is no evidence, or where it contradicts itself. What
    computes on the processor under an accelerator's name is NONE.
    """
    verdict = fuse(requested, list(_of_tool(requested, output, graph, compiled)))
    if profile is None:
        return verdict
    if output.log.dropped_rows:
        profile = dataclasses.replace(profile, complete=False)
    return with_profile(verdict, profile)


def why_not_created(requested: str, output: ToolOutput, *, compiled: bool) -> str | None:
    """Why a run of benchmark_model has no delegate of that name, or None where it has.

    Without it the tool goes on, on the processor, and ends with success.
    compiled: of the CompiledModel tool.
    """
    if requested == "none" or (compiled and requested == "xnnpack"):
        return None
    if compiled:
        if registered(requested, output):
            return None
        return f"the tool found no {requested.upper()} accelerator on this device"
    if made(requested, output):
        return None
    if said := refusals(requested, output):
        return said[0]
    if flag := unread_flag(requested, output):
        return f"the tool does not know {flag} and ignored it"
    return f"the tool made no {requested} delegate, and does not say why"


def with_profile(delegation: Delegation, profile: OpProfile) -> Delegation:
    """Add what an op profile shows: the time outside, and whether it bears the verdict out.

    The profile may be of a launch of its own, with the same model, delegate and options.
    """
    found = from_profile(delegation.requested, profile, delegation.total_nodes)
    if found is None:
        return delegation
    fused = fuse(delegation.requested, [as_finding(delegation), found])
    return dataclasses.replace(fused, suspicion=delegation.suspicion)


def _of_tool(
    requested: str, output: ToolOutput, graph: RuntimeGraph | None, compiled: bool
) -> Iterator[Finding]:
    created = made(requested, output)
    for nodes in dict.fromkeys((graph, *output.text.graphs)):
        if nodes is not None:
            yield from_graph(requested, nodes, created=created)
    yield from from_log(requested, output.log)
    yield from from_tool(requested, output, compiled=compiled)
    yield from from_adapter(requested, output.log)
    yield from from_accelerators(requested, output.text)
