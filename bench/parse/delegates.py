"""Which delegates a run was asked for or took by itself, each with its verdict."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.delegation.judge import judge_tool
from bench.delegation.model import Coverage, Delegation, Evidence
from bench.delegation.names import applied, asked_by_flag, created_as, is_own, known
from bench.ops.model import OpProfile
from bench.parse.lines import COMPILED_LINE
from bench.parse.model import ParsedDelegation
from bench.parsers.benchmark_model import ToolOutput
from bench.parsers.benchmark_proto import RuntimeGraph
from bench.parsers.runtime_log import RuntimeLog

# Titles under which the tool prints the flags that are set: "Use gpu: [1]".
_USE = re.compile(r"(?:[A-Z]+: )?Use (?:legacy )?(\w+) ?: \[1\]")
_EXTERNAL = re.compile(r"(?:[A-Z]+: )?External delegate path ?: \[.+\]")
_STABLE = re.compile(r"(?:[A-Z]+: )?(?:Delegate|Stable delegate) settings file[\w ]*: \[.+\]", re.I)
_ACCELERATOR_ONLY = re.compile(r"`--use_nnapi=true` must be set for the provided NNAPI accel")
# Only the CompiledModel tool that was asked for an NPU says where it looks for it.
_NPU = re.compile(r"(?:[A-Z]+: )?\[benchmark_litert_model\.cc:\d+\] dispatch_library_path:")
# Since LiteRT 2.2 it registers only what it was asked for, each in a file of its own.
_GPU = re.compile(r"(?:[A-Z]+: )?\[gpu_registry\.cc:\d+\] ")
_MAX_ACCELERATORS = 32
_UNHEARD_OF = "a name of no delegate"


def delegations(
    lines: Sequence[str],
    output: ToolOutput,
    graph: RuntimeGraph | None,
    profile: OpProfile | None,
    *,
    compiled: bool,
    option: str | None,
) -> tuple[ParsedDelegation, ...]:
    """One per delegate, those that were asked for first.

    Args:
        lines: of both streams, without the levels of a logcat.
        compiled: of the CompiledModel tool.
        option: name of the run in the performance-options tool.
    """
    if graph is None:
        graph = next(iter(output.text.graphs), None)
    asked = dict.fromkeys(_asked(lines, output, compiled=compiled, option=option))
    took = [name for name in dict.fromkeys(_took(output, graph)) if name not in asked]
    if "external" in asked:
        # What an external library calls its delegate is its own affair.
        took = [name for name in took if name in ("xnnpack", "flex")]
    found = []
    for name in (*asked, *took):
        delegation = judge_tool(name, output, graph, compiled=compiled, profile=profile)
        found.append(_parsed(delegation, output, graph, explicit=name in asked))
    return tuple(found)


def _asked(
    lines: Sequence[str], output: ToolOutput, *, compiled: bool, option: str | None
) -> list[str]:
    own = compiled and any(map(COMPILED_LINE.match, lines))
    names = [name for flag in output.text.unconsumed if (name := asked_by_flag(flag))]
    for line in lines:
        if (use := _USE.fullmatch(line)) is not None:
            name = use[1].lower()
            names += [name] if name in known() else []
        elif _EXTERNAL.fullmatch(line):
            names.append("external")
        elif _STABLE.fullmatch(line):
            names.append("stable")
        elif _ACCELERATOR_ONLY.search(line):
            names.append("nnapi")
        elif own and _NPU.match(line):
            names.append("npu")
        elif own and _GPU.match(line):
            names.append("gpu")
    for item in output.text.applied:
        names += [name for name in known() if applied(name, output.text) is item][:1]
    names += [name.lower() for name in output.text.created if name.lower() in known()]
    if option is not None:
        names += [name for name in known() if option.startswith(name)]
        names += ["hexagon"] if option.startswith("dsp") else []
        names += ["xnnpack"] if "(xnnpack" in option else []
    return names


def _took(output: ToolOutput, graph: RuntimeGraph | None) -> list[str]:
    """Names by what the runtime's log and node list tell of delegates at work."""
    names = [name for word in output.log.created if (name := created_as(word))]
    names += ["gpu"] if output.log.adapter or output.log.gpu_nodes else []
    own = [item.delegate for item in output.log.replaced]
    own += [node.delegate for node in graph.nodes if node.delegate] if graph else []
    for name in own:
        # Of some that can be asked for nobody knows what they call themselves.
        known_names = (n for n in _told() if is_own(n, name) and not is_own(n, _UNHEARD_OF))
        names.append(next(known_names, "external"))
    return [name for name in names if name in _told()]


def _told() -> tuple[str, ...]:
    """Names of delegates that can be told: those that can be asked for, and Flex."""
    return (*known(), "flex")


def _parsed(
    found: Delegation,
    output: ToolOutput,
    graph: RuntimeGraph | None,
    *,
    explicit: bool,
) -> ParsedDelegation:
    name = found.requested
    given_up = found.verdict is Coverage.NONE and found.delegated_nodes is None
    said = applied(name, output.text)
    kernels = said.kernels if said is not None else None
    if said is not None and said.extent == "completely":
        kernels = 1
    if kernels is None and graph is not None:
        kernels = found.partitions
    return ParsedDelegation(
        requested=name,
        explicit=explicit,
        verdict=str(found.verdict),
        delegated_nodes=found.delegated_nodes,
        total_nodes=found.total_nodes,
        partitions=None if given_up else _partitions(name, output.log) or found.partitions,
        kernels=kernels,
        fallback_ops=dict(found.fallback_ops),
        unsupported=refusals(found),
        accelerators=found.accelerators[:_MAX_ACCELERATORS],
        evidence=as_json(found.evidence),
    )


def refusals(found: Delegation) -> tuple[dict[str, str | None], ...]:
    """What was refused, as plain values; a reason that is not told is None."""
    return tuple({"op": item.op, "reason": item.reason or None} for item in found.unsupported)


def as_json(evidence: Sequence[Evidence]) -> tuple[dict[str, str | None], ...]:
    """The evidence as plain values."""
    return tuple(
        {
            "source": str(item.source),
            "says": None if item.says is None else str(item.says),
            "text": item.text,
        }
        for item in evidence
    )


def _partitions(name: str, log: RuntimeLog) -> int | None:
    """As the log counts them: in its last line on the main subgraph."""
    counted = [
        item.parts
        for item in log.replaced
        if item.subgraph == 0 and item.parts is not None and is_own(name, item.delegate)
    ]
    return counted[-1] if counted else None
