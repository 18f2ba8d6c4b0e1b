"""One verdict on what a delegate really took, from the evidence that a launch left."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from bench.format import counted
from bench.parsers.benchmark_model import Applied, ToolOutput
from bench.parsers.benchmark_proto import RuntimeGraph
from bench.parsers.runtime_log import Replaced
from bench.records import Coverage, Delegation

_NAMED_IN_LOG = {"xnnpack": "XNNPACK delegate"}
# What benchmark_model calls them in its own text.
_TOOL_NAMES = {
    "xnnpack": {"XNNPACK"},
    "gpu": {"GPU"},
    "nnapi": {"NNAPI"},
    "hexagon": {"HEXAGON"},
    "external": {"EXTERNAL"},
    "edgetpu": {"EXTERNAL", "NNAPI"},
}
# How delegates name themselves in the runtime's log and node list; "external" may be any
# but XNNPACK.
_XNNPACK = re.compile(r"xnnpack", re.IGNORECASE)
_OWN_NAMES = {
    "xnnpack": _XNNPACK,
    "gpu": re.compile(r"gpu|opencl|vulkan|metal|ml_?drift", re.IGNORECASE),
    "nnapi": re.compile(r"nnapi", re.IGNORECASE),
    "npu": re.compile(r"npu|dispatch", re.IGNORECASE),
    "hexagon": re.compile(r"hexagon", re.IGNORECASE),
}
_NNAPI_CPU = "nnapi-reference"
_MAX_REASONS = 20


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
        f"A delegate took {delegated_nodes} of {counted(total_nodes, 'node')} "
        f"in {counted(partitions, 'partition')}."
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
        lines = [f"No delegate replaced any of the {counted(total_nodes, 'node')}."]
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


def why_not_created(requested: str, output: ToolOutput, *, compiled: bool) -> str | None:
    """Why a run of benchmark_model has no delegate of that name, or None where it has.

    Without it the tool goes on, on the processor, and ends with success.
    compiled: of the CompiledModel tool.
    """
    if requested == "none" or (compiled and requested == "xnnpack"):
        return None
    if compiled:
        known = any(_own(requested, name) for name in output.log.accelerators)
        if known and requested.upper() not in output.log.not_loaded:
            return None
        return f"the tool found no {requested.upper()} accelerator on this device"
    if _applied(requested, output.text.applied) is not None:
        return None
    names = _TOOL_NAMES.get(requested, set())
    said = [w for w in output.text.warnings if any(name in w.upper() for name in names)]
    return said[0] if said else f"the tool made no {requested} delegate, and does not say why"


def judge_tool(
    requested: str, output: ToolOutput, graph: RuntimeGraph | None, *, compiled: bool
) -> Delegation:
    """Judge a run of benchmark_model: the node list, else the log, else the tool's own text.

    Args:
        requested: name of the delegate that was asked for; "none" for plain kernels.
        graph: the tool's list of nodes, None where it writes none.
        compiled: of the CompiledModel tool, which says nothing of nodes in its text.

    Returns: UNKNOWN where there is no evidence, or where it contradicts itself. What
    computes on the processor under an accelerator's name is NONE.
    """
    if doubt := _processor_in_disguise(requested, output):
        return Delegation(requested, Coverage.NONE, evidence=(doubt,))
    said = _applied(requested, output.text.applied)
    if graph is not None:
        verdict = _from_graph(requested, graph)
    elif requested == "none":
        verdict = _plain(output, compiled)
    else:
        verdict = _from_log(requested, output.log.replaced, said)
    if said is not None and (reason := _dispute(said, verdict) or _hidden(output, said, verdict)):
        return dataclasses.replace(
            verdict, verdict=Coverage.UNKNOWN, evidence=(reason, *verdict.evidence)
        )
    reasons = [
        f"Refused by the GPU delegate: {op}: {reason}"
        for op, reason in sorted(output.log.gpu_refused.items())
    ]
    if requested != "gpu":
        reasons = []
    return dataclasses.replace(verdict, evidence=(*verdict.evidence, *reasons[:_MAX_REASONS]))


def _own(requested: str, name: str) -> bool:
    """Whether a delegate that calls itself so is the one that was asked for."""
    pattern = _OWN_NAMES.get(requested)
    return not _XNNPACK.search(name) if pattern is None else bool(pattern.search(name))


def _applied(requested: str, applied: Sequence[Applied]) -> Applied | None:
    names = _TOOL_NAMES.get(requested, set())
    return next((item for item in applied if item.delegate.upper() in names), None)


def _processor_in_disguise(requested: str, output: ToolOutput) -> str:
    if requested == "gpu" and output.log.adapter_is_software:
        return f"The GPU is a rasteriser on the processor: {output.log.adapter}."
    accelerators = output.text.accelerators
    if requested in ("nnapi", "edgetpu") and set(accelerators) == {_NNAPI_CPU}:
        return f"NNAPI has no accelerator but {_NNAPI_CPU}, which is the processor."
    return ""


def _from_graph(requested: str, graph: RuntimeGraph) -> Delegation:
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
        return Delegation(requested, Coverage.UNKNOWN, evidence=(reason,))
    # For plain kernels every delegate counts: none may be at work.
    mine = {
        number
        for number in runs & set(delegates)
        if requested == "none" or _own(requested, delegates[number].delegate)
    }
    strange = {
        delegates[number].delegate
        for number in runs & set(delegates) - mine
        if not _XNNPACK.search(delegates[number].delegate)
    }
    if strange and not mine:
        reason = f"Delegates at work that edgebench does not know: {', '.join(sorted(strange))}."
        return Delegation(requested, Coverage.UNKNOWN, evidence=(reason,))
    inside = {k for number in mine for k in delegates[number].replaces}
    # Nodes that neither run nor were taken have been folded away.
    outside = Counter(ops[k].name for k in (runs & set(ops)) | (set(taken) - inside))
    verdict = judge(
        requested,
        total_nodes=len(inside) + outside.total(),
        delegated_nodes=len(inside),
        partitions=len(mine),
        fallback_ops=outside,
    )
    names = sorted({delegates[number].delegate for number in runs & set(delegates)})
    line = f"The tool's node list names {', '.join(names) or 'no delegate'}."
    return dataclasses.replace(verdict, evidence=(*verdict.evidence, line))


def _plain(output: ToolOutput, compiled: bool) -> Delegation:
    """Of a run for which --use_xnnpack=false was consumed."""
    at_work = [item.delegate for item in output.log.replaced if item.nodes]
    at_work += [item.delegate for item in output.text.applied if item.extent != "not"]
    if compiled or at_work or output.log.created:
        line = "Plain kernels were asked for, and the log names a delegate."
        return Delegation("none", Coverage.UNKNOWN, evidence=(line,))
    line = "XNNPACK was switched off, and the log names no delegate."
    return Delegation("none", Coverage.NONE, evidence=(line,))


def _from_log(requested: str, replaced: Sequence[Replaced], said: Applied | None) -> Delegation:
    main = [item for item in replaced if item.subgraph == 0]
    mine = [item for item in main if _own(requested, item.delegate)]
    if mine and len({item.nodes for item in mine}) == 1 and main[0].of:
        # The first line counts the nodes of the model, later ones those that are left.
        total, nodes = main[0].of, mine[0].nodes
        partitions = next((item.partitions for item in mine if item.partitions is not None), None)
        if partitions is None and said is not None:
            partitions = said.kernels
        verdict = Coverage.NONE if not nodes else Coverage.PARTIAL
        if nodes >= total:
            verdict = Coverage.FULL if nodes == total else Coverage.UNKNOWN
        line = f"The log says that {mine[0].delegate} took {nodes} of {counted(total, 'node')}."
        return Delegation(requested, verdict, nodes, total, partitions, evidence=(line,))
    if said is None:
        line = "Neither a node list nor the log says what the delegate took."
        return Delegation(requested, Coverage.UNKNOWN, evidence=(line,))
    extent = {
        "completely": (Coverage.FULL, "the model graph will be completely executed by it"),
        "partially": (Coverage.PARTIAL, "the model graph will be partially executed by it"),
        "not": (Coverage.NONE, "the model graph will not be executed by it"),
    }
    verdict, words = extent[said.extent]
    partitions = 1 if verdict is Coverage.FULL else said.kernels
    line = f"The tool says of {said.delegate}: {words}."
    return Delegation(requested, verdict, partitions=partitions, evidence=(line,))


def _dispute(said: Applied, found: Delegation) -> str:
    """What the tool's own text says against a verdict, or ""."""
    if found.verdict is Coverage.UNKNOWN:
        return ""
    took = found.verdict is not Coverage.NONE
    disputed = took == (said.extent == "not") or (
        said.extent == "completely" and found.verdict is not Coverage.FULL
    )
    return f"The tool says of {said.delegate} that it executes {said.extent}." if disputed else ""


def _hidden(output: ToolOutput, said: Applied, found: Delegation) -> str:
    """What NNAPI took and nobody knows what computed it, or "".

    Before Android 10 it tells no accelerators, and computes by itself what none takes.
    """
    unknown = said.delegate.upper() == "NNAPI" and not output.text.accelerators
    if not unknown or found.verdict not in (Coverage.FULL, Coverage.PARTIAL):
        return ""
    return "NNAPI names no accelerator, so that it may have computed on the processor."
