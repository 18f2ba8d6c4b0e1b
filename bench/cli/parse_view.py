"""Parsed runs as sections for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding

from bench.cli.console import text_for
from bench.format import ABSENT, duration
from bench.parse.model import Figures, FigureSource, ParsedDelegation, ParsedOp, ParsedRun

# A person reads this many; --json has them all.
_MOST = 10
_WORTH = {
    FigureSource.TOOL: "",
    FigureSource.TOOL_PROFILED: ", slowed by an op profiler",
    FigureSource.TOOL_ASYNC: ", without waiting for the accelerator",
}


def view(runs: Sequence[ParsedRun], console: Console) -> RenderableType:
    """One section per run."""
    parts: list[RenderableType] = []
    for number, run in enumerate(runs, 1):
        title = f"{number}. {run.runner}  {', '.join(run.files)}"
        parts.append(text_for(console, title, "bold"))
        body = Group(*(text_for(console, line) for line in _lines(run)))
        parts.append(Padding(body, (0, 0, 1, 2)))
    return Group(*parts)


def _lines(run: ParsedRun) -> Iterator[str]:
    if run.failure is not None:
        yield f"failed ({run.failure.kind}): {run.failure.message}"
    if run.option is not None:
        yield f"option: {run.option}"
    for name, figures in (("latency", run.latency_us), ("warm-up", run.warmup_us)):
        if figures is not None:
            yield f"{name}: {_figures(figures)}"
    yield f"init {_time(run.init_us, 0)}, first inference {_time(run.first_inference_us, 1)}"
    if run.memory is not None:
        known = (
            f"{key[:-3]} {value:g} MB" for key, value in run.memory.items() if value is not None
        )
        yield f"memory: {', '.join(known)}"
    for delegation in run.delegations:
        yield from _delegation(delegation)
    if run.ops is not None:
        yield from _ops(run.ops)
    for note in run.notes:
        yield f"note: {note}"


def _figures(figures: Figures) -> str:
    step = figures.resolution_us
    p90 = "" if figures.p90 is None else f", p90 ~{duration(figures.p90)}"
    return (
        f"p50 {_time(figures.p50, step)}{p90}, p95 {_time(figures.p95, step)}, mean "
        f"{_time(figures.avg, step)}, {_time(figures.min, step)} to {_time(figures.max, step)}, "
        f"{ABSENT if figures.count is None else figures.count} runs{_WORTH[figures.source]}"
    )


def _time(us: float | None, step: float) -> str:
    """A printed zero is less than the step of what is printed."""
    return f"< {duration(step)}" if us == 0 and step else duration(us)


def _delegation(found: ParsedDelegation) -> Iterator[str]:
    nodes = ""
    if found.delegated_nodes is not None:
        of = ABSENT if found.total_nodes is None else found.total_nodes
        nodes = f", {found.delegated_nodes} of {of} nodes"
    by_itself = "" if found.explicit else " (not asked for)"
    yield f"{found.requested}{by_itself}: {found.verdict}{nodes}"
    for item in found.evidence[:_MOST]:
        says = "" if item["says"] is None else f"{item['says']}: "
        yield f"  {item['source']}: {says}{item['text']}"
    for refusal in found.unsupported[:_MOST]:
        yield f"  refused {refusal['op']}: {refusal['reason'] or ABSENT}"


def _ops(ops: Sequence[ParsedOp]) -> Iterator[str]:
    known = sorted(
        (op for op in ops if op.avg_us is not None), key=lambda op: op.avg_us or 0, reverse=True
    )
    yield f"{len(ops)} ops; the slowest:"
    for op in known[:_MOST]:
        yield f"  {_time(op.avg_us, 1)}  {op.type}  {op.name}"
