"""Delegates as the flags ask for them, applied one after another, and every word about it."""

from __future__ import annotations

from devices.emulated.standin import delegates
from devices.emulated.standin.build import Build
from devices.emulated.standin.delegates import GPU, NNAPI, XNNPACK, Applied, Graph, Step
from devices.emulated.standin.flags import Flags
from devices.emulated.standin.log import Log
from devices.emulated.standin.measure import Failed

_BY_FLAG = {"use_gpu": GPU, "use_nnapi": NNAPI, "use_xnnpack": XNNPACK}
_NAMES = {GPU: "GPU", NNAPI: "NNAPI", XNNPACK: "XNNPACK"}


def apply_all(log: Log, flags: Flags, build: Build, graph: Graph) -> tuple[Step, ...]:
    """The execution plan in the end.

    Raises: Failed, after it was said why.
    """
    # In the order of the command line, as the tool has it.
    wanted = [_BY_FLAG[flag] for flag in flags.given if flag in _BY_FLAG and flags.on(flag)]
    _create(log, flags, build, wanted)
    plan = delegates.first_plan(graph.nodes)
    whole = flags.on("require_full_delegation")
    for delegate in wanted:
        applied = _apply(log, build, graph, plan, delegate)
        plan = applied.plan
        if whole and not delegates.complete(applied):
            _refuse(log)
        log.info(delegates.explicit_line(_NAMES[delegate], applied))
    if "use_xnnpack" not in flags.given:
        plan = _apply(log, build, graph, plan, XNNPACK).plan
    if whole and not wanted:
        # Nobody who asked for all has it from the XNNPACK that is there without asking.
        _refuse(log)
    return plan


def failing_node(build: Build, plan: tuple[Step, ...]) -> str | None:
    """The delegate of which every invoke fails, if it has a part in the plan."""
    return next(
        (
            step.delegate
            for step in plan
            if step.delegate and _NAMES[step.delegate] == build.failing_delegate
        ),
        None,
    )


def _create(log: Log, flags: Flags, build: Build, wanted: list[str]) -> None:
    accelerator = flags.text("nnapi_accelerator_name")
    if accelerator and NNAPI not in wanted:
        log.warn(
            f"`--use_nnapi=true` must be set for the provided NNAPI accelerator ({accelerator})"
            " to be used."
        )
    for delegate in wanted:
        if delegate != XNNPACK:  # the real runtime has said so for that one
            log.runtime(f"Created TensorFlow Lite delegate for {_NAMES[delegate]}.")
        known = build.nnapi_accelerators or ()
        if delegate == NNAPI and accelerator and accelerator not in known:
            log.error(
                f"Could not find the specified NNAPI accelerator: {accelerator}."
                f" Must be one of: {{{','.join(known)}}}."
            )
            log.error("Failed to apply NNAPI delegate.")
            raise Failed
    if wanted:
        log.info(f"{_NAMES[wanted[0]]} delegate created.")
    if len(wanted) > 1:
        log.info(f"Going to apply {len(wanted)} delegates one after another.")


def _apply(log: Log, build: Build, graph: Graph, plan: tuple[Step, ...], delegate: str) -> Applied:
    if delegate == GPU:
        unsupported = dict(build.gpu_unsupported or {})
        applied = delegates.gpu(graph, plan, unsupported)
        if said := delegates.refusals(graph, applied, unsupported):
            log.error(said)
        if applied.taken:
            log.runtime("Initialized OpenCL-based API.")
            log.runtime(f"Created {applied.kernels} GPU delegate kernels.")
    elif delegate == NNAPI:
        applied = delegates.apply(plan, NNAPI, {node.index for node in graph.nodes})
    else:
        applied = delegates.xnnpack(graph, plan)
    if applied.taken and build.android:
        log.runtime(applied.replacing_line(delegate), "VERBOSE")
    return applied


def _refuse(log: Log) -> None:
    log.error("Disallowed CPU fallback detected.")
    raise Failed
