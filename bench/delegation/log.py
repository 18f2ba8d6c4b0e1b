"""Evidence of the runtime's log: nodes replaced, what delegates say of ops, what failed.

Wordings: see bench/parsers/runtime_log.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.delegation.finding import Counts, Finding, lines
from bench.delegation.model import Coverage, EvidenceSource, Refusal
from bench.delegation.names import created_as, is_meant, is_own
from bench.format import counted
from bench.parsers.runtime_log import Replaced, RuntimeLog

_MAX_REASONS = 20
_NOT_LOADED = {"gpu": "GPU", "npu": "NPU"}


def from_log(requested: str, log: RuntimeLog) -> Iterator[Finding]:
    """What the log says of the delegate that was asked for; nothing for plain kernels."""
    if requested == "none":
        return
    failed = [
        f"{name} could not be applied." for name in log.not_applied if is_meant(requested, name)
    ]
    undone = bool(failed) or (log.restored and requested != "xnnpack")
    if requested == "gpu" and log.gpu_nodes is not None:
        yield _messages(log.gpu_nodes, undone)
    if (refused := _refused(requested, log)) is not None:
        yield refused
    if (found := _replacing(requested, log.replaced, undone)) is not None:
        yield found
    if log.restored and requested != "xnnpack":
        failed.append("A delegate failed, and the runtime gave all nodes back to the processor.")
    if _NOT_LOADED.get(requested) in log.not_loaded:
        failed.append(f"The runtime could not load the {requested.upper()} accelerator.")
    if requested in ("nnapi", "edgetpu"):
        failed += log.nnapi_missing
    if failed:
        yield Finding(lines(EvidenceSource.LOG, Coverage.NONE, *failed))
    if requested in map(created_as, log.created):
        line = f"The log says that {requested} was made; that alone proves no node."
        yield Finding(lines(EvidenceSource.LOG, None, line))


def _coverage(nodes: int, total: int) -> Coverage:
    if nodes == 0:
        return Coverage.NONE
    if nodes > total:
        return Coverage.UNKNOWN
    return Coverage.FULL if nodes == total else Coverage.PARTIAL


def _messages(gpu_nodes: tuple[int, int], undone: bool) -> Finding:
    """Of the line that the GPU delegate writes when it has chosen its nodes."""
    nodes, total = gpu_nodes[0], sum(gpu_nodes)
    line = f"The GPU delegate says that it runs {nodes} of {counted(total, 'node')}."
    if undone or total == 0:
        return Finding(lines(EvidenceSource.MESSAGES, None, line))
    partitions = 0 if nodes == 0 else None
    return Finding(
        lines(EvidenceSource.MESSAGES, _coverage(nodes, total), line),
        Counts(nodes, total, partitions),
    )


def _refused(requested: str, log: RuntimeLog) -> Finding | None:
    by_delegate = {
        "gpu": ("GPU", log.gpu_refused),
        "nnapi": ("NNAPI", log.nnapi_refused),
        "edgetpu": ("NNAPI", log.nnapi_refused),
    }
    name, refused = by_delegate.get(requested, ("", {}))
    if not refused:
        return None
    refusals = [Refusal(op, why) for op, reasons in sorted(refused.items()) for why in reasons]
    texts = [
        f"Refused by the {name} delegate: {item.op}" + (item.reason and f": {item.reason}")
        for item in refusals
    ]
    return Finding(
        lines(EvidenceSource.MESSAGES, None, *texts[:_MAX_REASONS]), unsupported=tuple(refusals)
    )


def _replacing(requested: str, replaced: tuple[Replaced, ...], undone: bool) -> Finding | None:
    main = [item for item in replaced if item.subgraph == 0]
    mine = [item for item in main if is_own(requested, item.delegate)]
    if not mine or len({item.nodes for item in mine}) != 1:
        return None
    nodes, partitions = mine[0].nodes, _partitions(mine)
    # The first line counts the nodes of the model, later ones those that are left.
    total = main[0].of
    if total is None and partitions == 1 and main[0] is mine[0]:
        total = nodes
    if total:
        line = f"The log says that {mine[0].delegate} took {nodes} of {counted(total, 'node')}."
        says = _coverage(nodes, total)
    else:
        line = (
            f"The log says that {mine[0].delegate} took {counted(nodes, 'node')}, not of how many."
        )
        # All nodes of a graph make one partition, so that others were left.
        says = Coverage.PARTIAL if nodes else Coverage.NONE
    return Finding(
        lines(EvidenceSource.LOG, None if undone else says, line),
        None if undone else Counts(nodes, total, partitions),
    )


def _partitions(mine: list[Replaced]) -> int | None:
    return next((item.partitions for item in mine if item.partitions is not None), None)
