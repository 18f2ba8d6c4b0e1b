"""Which part of a graph a delegate takes: XNNPACK's as it is, a GPU's and an NPU's made up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

XNNPACK = "TfLiteXNNPackDelegate"
GPU = "TfLiteGpuDelegateV2"
NNAPI = "TfLiteNnapiDelegate"


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the graph as the file has it."""

    index: int
    op: str
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()


class Graph(Protocol):
    """What is known of a graph.

    Attributes:
        nodes: of the graph as the file has it.
        kernels: the nodes of each partition that XNNPACK runs, by index.
    """

    nodes: tuple[Node, ...]
    kernels: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an execution plan: one node, or the nodes that a delegate's kernel replaces."""

    nodes: tuple[int, ...]
    delegate: str | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a plan when a delegate was applied.

    Attributes:
        plan: afterwards.
        before: steps of the plan before.
        taken: nodes that the delegate took.
        kernels: its kernels.
        partitions: of both kinds, as the runtime counts them.
    """

    plan: tuple[Step, ...]
    before: int
    taken: int
    kernels: int
    partitions: int

    def replacing_line(self, delegate: str) -> str:
        """What the runtime says about it, at severity VERBOSE."""
        return (
            f"Replacing {self.taken} out of {self.before} node(s) with delegate ({delegate})"
            f" node, yielding {self.partitions} partitions for subgraph 0 (main)."
        )


def first_plan(nodes: Sequence[Node]) -> tuple[Step, ...]:
    """Every node for itself."""
    return tuple(Step((node.index,)) for node in nodes)


def apply(
    plan: Sequence[Step], delegate: str, accepted: Collection[int], *, largest_only: bool = False
) -> Applied:
    """Let a delegate take what it accepts of what no delegate has yet.

    Neighbours in the plan become one kernel. The real partitioning looks at the edges
    of the graph, so it can find fewer and larger ones.

    Args:
        accepted: indices of nodes.
        largest_only: one kernel at most, as the GPU delegate has it by default.
    """
    groups: list[tuple[bool, list[Step]]] = []
    for step in plan:
        fits = step.delegate is None and set(step.nodes) <= set(accepted)
        if groups and groups[-1][0] == fits:
            groups[-1][1].append(step)
        else:
            groups.append((fits, [step]))
    taken = [steps for fits, steps in groups if fits]
    if largest_only and taken:
        taken = [max(taken, key=len)]
    after: list[Step] = []
    partitions = 0
    for _, steps in groups:
        if any(steps is chosen for chosen in taken):
            after.append(Step(tuple(n for step in steps for n in step.nodes), delegate))
            partitions += 1
        else:
            partitions += not (after and after[-1].delegate is None)
            after += steps
    return Applied(tuple(after), len(plan), sum(map(len, taken)), len(taken), partitions)


def xnnpack(graph: Graph, plan: Sequence[Step]) -> Applied:
    """Apply XNNPACK to what is left; to the whole graph it does what it really did."""
    if not any(step.delegate for step in plan):
        return _real_xnnpack(graph)
    return apply(plan, XNNPACK, {index for kernel in graph.kernels for index in kernel})


def gpu(graph: Graph, plan: Sequence[Step], unsupported: Mapping[str, str]) -> Applied:
    """Apply the simulated GPU delegate."""
    accepted = {node.index for node in graph.nodes if node.op not in unsupported}
    return apply(plan, GPU, accepted, largest_only=True)


def refusals(graph: Graph, applied: Applied, unsupported: Mapping[str, str]) -> str:
    """What the GPU delegate says about ops that it refuses; "" where it took all."""
    names = sorted({node.op for node in graph.nodes} & set(unsupported))
    if not names:
        return ""
    rest = applied.before - applied.taken
    if applied.taken:
        end = (
            f"{applied.taken} operations will run on the GPU, and the remaining {rest}"
            " operations will run on the CPU."
        )
    else:
        end = f"No operations will run on the GPU, and all {rest} operations will run on the CPU."
    reasons = "\n".join(f"{name}: {unsupported[name]}" for name in names)
    return f"Following operations are not supported by GPU delegate:\n{reasons}\n{end}"


def explicit_line(name: str, applied: Applied) -> str:
    """What the tool says about a delegate that a flag asked for."""
    if not applied.kernels:
        return (
            f"Though {name} delegate is explicitly applied, the model graph will not be"
            " executed by the delegate."
        )
    part = f"Explicitly applied {name} delegate, and the model graph will be"
    if complete(applied):
        return f"{part} completely executed by the delegate."
    return f"{part} partially executed by the delegate w/ {applied.kernels} delegate kernels."


def complete(applied: Applied) -> bool:
    """Whether one kernel of a delegate is all that is left of the plan."""
    return len(applied.plan) == 1 and applied.plan[0].delegate is not None


def _real_xnnpack(graph: Graph) -> Applied:
    kernel_of = {index: kernel for kernel in graph.kernels for index in kernel}
    plan: list[Step] = []
    partitions = 0
    for node in graph.nodes:
        kernel = kernel_of.get(node.index)
        if kernel is None:
            partitions += not (plan and plan[-1].delegate is None)
            plan.append(Step((node.index,)))
        elif node.index == kernel[0]:
            partitions += 1
            plan.append(Step(kernel, XNNPACK))
    return Applied(tuple(plan), len(graph.nodes), len(kernel_of), len(graph.kernels), partitions)
