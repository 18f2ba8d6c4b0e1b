"""The text of one run of the wheel's benchmark_litert_model.py -> its facts.

It measures with CompiledModel.run and never reads an output. On a GPU that call returns
before the work is done, so that its times are no latency (FigureSource.TOOL_ASYNC), and its
"Fully accelerated: True" counts the processor in where that is among the accelerators.
Format: ai_edge_litert/tools/benchmark_litert_model.py of ai-edge-litert 2.3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.delegation.compiled import judge_compiled_model
from bench.parse.delegates import as_json, refusals
from bench.parse.failure import MOST_SHOWN, failure_of
from bench.parse.figures import of_summary
from bench.parse.lines import INITIALIZED, PYTHON_LOG, PYTHON_RESULTS
from bench.parse.model import FigureSource, ParsedDelegation, ParsedFailure, ParsedRun
from bench.parse.piece import Part, Piece
from bench.parsers.failures import reason
from bench.parsers.runtime_log import RuntimeLog, parse_log

_ACCELERATORS = re.compile(r"Accelerators: +(.*)")
_FULLY = re.compile(r"(?:.*: )?Fully accelerated: +(True|False)")
_GPU_AT_WORK = re.compile(
    r"Selected adapter: |Created a WebGPU environment|Initializing \S+-based API|Initialized Open"
)
_END = re.compile(r"=+")


def python_facts(piece: Piece) -> ParsedRun:
    """What one piece of the Python tool tells."""
    lines = [line.strip() for line in piece.lines]
    messages = [(m[1], m[2]) for line in lines if (m := PYTHON_LOG.match(line)) is not None]
    asked = _asked(messages)
    log = parse_log("\n".join(lines))
    asynchronous = "gpu" in asked and "GPU" not in log.not_loaded and _on_gpu(lines)
    source = FigureSource.TOOL_ASYNC if asynchronous else FigureSource.TOOL
    notes = []
    if asynchronous:
        notes.append(
            "the tool does not wait for the GPU: its times are those of handing over the work"
        )
    if Part.PYTHON_LOG not in piece.parts:
        notes.append("without the tool's log (stderr) nothing says what computed, nor if it waited")
    latency = of_summary(lines, "Inference", source, logged=False)
    warmup = of_summary(lines, "Warmup", source, logged=False)
    init = next((m for line in lines if (m := INITIALIZED.fullmatch(line)) is not None), None)
    return ParsedRun(
        runner="benchmark_litert_python",
        files=tuple(dict.fromkeys(piece.files)),
        option=None,
        latency_us=latency,
        warmup_us=warmup,
        init_us=None if init is None else round(float(init[1]) * 1e3, 3),
        first_inference_us=None if warmup is None else warmup.first,
        memory=None,
        delegations=tuple(_delegation(name, lines, log, asked) for name in asked),
        ops=None,
        failure=_failure(lines, messages, measured=latency is not None),
        notes=tuple(notes),
    )


def _asked(messages: Sequence[tuple[str, str]]) -> list[str]:
    """By accelerator: the processor's is XNNPACK."""
    names = {"GPU": "gpu", "NPU": "npu", "CPU": "xnnpack"}
    for _, message in messages:
        if (match := _ACCELERATORS.fullmatch(message)) is not None:
            words = [word.strip() for word in match[1].split("|")]
            return [names[word] for word in words if word in names]
    return []


def _on_gpu(lines: Sequence[str]) -> bool:
    return any(_GPU_AT_WORK.search(line) for line in lines)


def _delegation(
    name: str, lines: Sequence[str], log: RuntimeLog, asked: Sequence[str]
) -> ParsedDelegation:
    said = next((m[1] for line in lines if (m := _FULLY.fullmatch(line)) is not None), None)
    fully = None if said is None else said == "True"
    alone = list(asked) == [name]
    found = judge_compiled_model(
        name,
        # With the processor beside an accelerator it tells of both together.
        fully_accelerated=fully if alone or name != "xnnpack" else None,
        non_cpu_fully=fully if alone and name != "xnnpack" else None,
        log="\n".join(lines),
    )
    adapter = (log.adapter,) if name == "gpu" and log.adapter else ()
    return ParsedDelegation(
        requested=name,
        explicit=alone or name != "xnnpack",
        verdict=str(found.verdict),
        delegated_nodes=found.delegated_nodes,
        total_nodes=found.total_nodes,
        partitions=found.partitions,
        kernels=None,
        fallback_ops=dict(found.fallback_ops),
        unsupported=refusals(found),
        accelerators=found.accelerators or adapter,
        evidence=as_json(found.evidence),
    )


def _failure(
    lines: Sequence[str], messages: Sequence[tuple[str, str]], *, measured: bool
) -> ParsedFailure | None:
    if measured:
        results = next((k for k, line in enumerate(lines) if line == PYTHON_RESULTS), 0)
        # Below the title, and below the figures.
        ended = sum(_END.fullmatch(line) is not None for line in lines[results:]) > 1
        return None if ended else ParsedFailure("cut-off", "the text ends within the results")
    errors = [text for level, text in messages if level in ("ERROR", "CRITICAL")]
    raised = [line for line in lines if line.startswith(("RuntimeError: ", "ValueError: "))]
    if said := errors or raised:
        kind, message = reason(said) or ("tool", said[-1])
        return ParsedFailure(kind, message[:MOST_SHOWN])
    return failure_of(
        [x for x in lines if "compiler_plugin" not in x], measured=False, ended=False, runs=None
    )
