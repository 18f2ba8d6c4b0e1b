"""Evidence of benchmark_model's own words, of flags that it did not read, and of its silence."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bench.delegation.finding import Counts, Finding, lines
from bench.delegation.model import Coverage, EvidenceSource
from bench.delegation.names import applied, asked_by_flag, is_meant, is_named_in, is_own
from bench.parsers.benchmark_model import Applied, ToolOutput

_REFUSES = re.compile(
    r"is unsupported on this platform|[Cc]ould not create|must be set for the provided"
)
_NO_FALLBACK = re.compile(r"Disallowed CPU fallback detected")
_EXTENTS = {
    "completely": (Coverage.FULL, "the model graph will be completely executed by it"),
    "partially": (Coverage.PARTIAL, "the model graph will be partially executed by it"),
    "not": (Coverage.NONE, "the model graph will not be executed by it"),
}


def from_tool(requested: str, output: ToolOutput, *, compiled: bool) -> Iterator[Finding]:
    """What the tool says, or does not say, of the delegate that was asked for.

    compiled: of the CompiledModel tool, whose own text never names a delegate.
    """
    if requested == "none":
        yield _plain(output, compiled)
        return
    said = applied(requested, output.text)
    if said is not None:
        yield _said(said)
    refusing = refusals(requested, output)
    if refusing and said is None:
        yield Finding(lines(EvidenceSource.TOOL, Coverage.NONE, *refusing))
    if made(requested, output) and any(map(_NO_FALLBACK.search, output.log.errors)):
        # All nodes in two pieces are refused too.
        line = "The tool ended because the delegate did not take all nodes in one piece."
        yield Finding(lines(EvidenceSource.TOOL, None, line))
    # What the runtime applies by itself is not asked for: no flag and no silence proves a thing.
    if requested in ("xnnpack", "flex"):
        return
    flag = unread_flag(requested, output)
    if flag:
        line = f"The tool does not know {flag} and ignored it."
        yield Finding(lines(EvidenceSource.FLAG, Coverage.NONE, line))
    # Before the session is ready nothing is missing yet.
    silent = output.text.init_us is not None and not (said or refusing or flag)
    if silent and (missing := _missing(requested, output, compiled)):
        yield Finding(lines(EvidenceSource.ABSENCE, Coverage.NONE, missing))


def refusals(requested: str, output: ToolOutput) -> list[str]:
    """Warnings by which the tool says that it makes no such delegate."""
    return [
        line
        for line in output.text.warnings
        if _REFUSES.search(line) and is_named_in(requested, line)
    ]


def unread_flag(requested: str, output: ToolOutput) -> str:
    """The flag that asked for the delegate and that nobody read, or ""."""
    wanted = {"edgetpu": ("external", "nnapi")}.get(requested, (requested,))
    return next((f for f in output.text.unconsumed if asked_by_flag(f) in wanted), "")


def made(requested: str, output: ToolOutput) -> bool:
    """Whether the tool says that it made the delegate, of whatever use it was."""
    return applied(requested, output.text) is not None or any(
        is_meant(requested, name) for name in output.text.created
    )


def registered(requested: str, output: ToolOutput) -> bool:
    """Whether the CompiledModel runtime has registered and loaded such an accelerator."""
    known = any(is_own(requested, name) for name in output.log.accelerators)
    return known and requested.upper() not in output.log.not_loaded


def _said(said: Applied) -> Finding:
    verdict, words = _EXTENTS[said.extent]
    return Finding(
        lines(EvidenceSource.TOOL, verdict, f"The tool says of {said.delegate}: {words}."),
        Counts(partitions=1 if verdict is Coverage.FULL else said.kernels),
    )


def _missing(requested: str, output: ToolOutput, compiled: bool) -> str:
    """The line that a delegate leaves when it is made, and that is not there; or ""."""
    if compiled:
        if registered(requested, output):
            return ""
        return f"The log names no {requested.upper()} accelerator, as it does where one is loaded."
    if made(requested, output):
        return ""
    return f"The tool says nowhere that it made {requested}'s delegate, as it does where it did."


def _plain(output: ToolOutput, compiled: bool) -> Finding:
    """Of a run for which --use_xnnpack=false was consumed."""
    at_work = [item.delegate for item in output.log.replaced if item.nodes]
    at_work += [item.delegate for item in output.text.applied if item.extent != "not"]
    if compiled or at_work or output.log.created:
        line = "Plain kernels were asked for, and the log names a delegate."
        return Finding(lines(EvidenceSource.LOG, Coverage.UNKNOWN, line))
    line = "XNNPACK was switched off, and the log names no delegate."
    return Finding(lines(EvidenceSource.TOOL, Coverage.NONE, line))
