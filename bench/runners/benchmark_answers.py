"""NUMERICS with the classic benchmark_model: one start of the tool for each sample.

The tool writes the raw bytes of all outputs, one after another, of its last run
(--output_filepath; LiteRT, tflite/tools/benchmark/benchmark_tflite_model.cc).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.delegation.judge import judge_tool
from bench.delegation.model import Delegation
from bench.errors import UnreadableOutput
from bench.format import counted
from bench.parsers.benchmark_model import decode
from bench.parsers.benchmark_proto import parse_runtime_info
from bench.records import Failure, Outcome
from bench.runners.base import Answers, LaunchFiles, LaunchSpec, RawOutput
from bench.runners.benchmark_judging import (
    NoResult,
    exit_code,
    failed,
    judged,
    log_tail,
    without_measurement,
)
from bench.runners.benchmark_reading import NODES_FILE, nodes_flags
from bench.runners.raw_inputs import RawSamples
from bench.tflite.facts import TensorFacts
from bench.tflite.values import NUMPY_DTYPES

SCRIPT = Path(__file__).with_name("answers.sh")
_OUTPUT = "output.bin"
# A device sends 32 MiB of one file.
_FILE_BYTES = 16 << 20
_MARK = re.compile(rb"^edgebench-answer (\d{1,9})\r?\n", re.MULTILINE)
# Exit codes of the script itself.
_SCRIPT_FAILURES = {
    71: (Outcome.DEVICE_FAILED, "the inputs cannot be read on the device, or it is full"),
    73: (Outcome.DEVICE_FAILED, "the answers cannot be written on the device: it is full"),
}
_NO_OUTPUT = 72


def answers_files(
    argv: Sequence[str], tool: Mapping[str, Path], samples: RawSamples
) -> LaunchFiles:
    """What a launch needs that starts `argv` once per sample; tool: its file and the model."""
    per_file = _per_file(samples)
    words = (
        *argv,
        # One run and no other: what a model keeps from run to run is as at the start.
        "--warmup_runs=0",
        "--warmup_min_secs=0",
        "--num_runs=1",
        "--min_secs=0",
        f"--output_filepath={_OUTPUT}",
        *nodes_flags(compiled=False),
        *samples.flags,
    )
    return LaunchFiles(
        argv=(
            "sh",
            SCRIPT.name,
            str(samples.count),
            str(per_file),
            *map(str, samples.item_bytes),
            "--",
            *words,
        ),
        files={**tool, **samples.files, SCRIPT.name: SCRIPT},
        texts={},
        env={},
        results=(NODES_FILE, *_answer_files(samples)),
    )


def answers_of(
    spec: LaunchSpec, output: RawOutput, samples: RawSamples, *, kind: str
) -> tuple[Outcome, Answers | None, Failure | None]:
    """Judge every start of the tool, and read the outputs; kind: of the runner."""
    log = log_tail(output)
    code = exit_code(output.exit_code)
    if code in _SCRIPT_FAILURES:
        outcome, message = _SCRIPT_FAILURES[code]
        return failed(outcome, "answers", message, log)
    starts = _starts(output)
    if not starts or len(starts) > samples.count:
        message = f"the script that starts the tool ended with exit code {code}"
        return failed(Outcome.UNREADABLE, "unreadable", message, log)
    delegation: Delegation | None = None
    for number, start in enumerate(starts):
        problem = _judge(spec, start, kind=kind)
        if isinstance(problem, tuple):
            outcome, _, failure = problem
            if number:
                message = f"sample {number}: {failure.message}"
                failure = dataclasses.replace(failure, message=message)
            return outcome, None, failure
        delegation = delegation or problem
        if problem != delegation:
            message = f"the delegate took another part for sample {number} than for the first"
            return failed(Outcome.UNREADABLE, "delegate", message, log)
    if code == _NO_OUTPUT:
        message = "the tool ended with success and wrote no outputs"
        return failed(Outcome.UNREADABLE, "answers", message, log)
    if len(starts) < samples.count:
        message = f"only {len(starts)} of {counted(samples.count, 'sample')} were answered"
        return failed(Outcome.UNREADABLE, "answers", message, log)
    try:
        outputs = _outputs(output.files, samples)
    except UnreadableOutput as error:
        return failed(Outcome.UNREADABLE, "answers", str(error), log)
    facts = samples.outputs
    found = Answers(
        outputs=outputs,
        names=tuple(tensor.name for tensor in facts),
        quantization=tuple(_quantization(tensor) for tensor in facts),
        delegation=delegation,
    )
    return Outcome.OK, found, None


def _judge(spec: LaunchSpec, start: RawOutput, *, kind: str) -> Delegation | NoResult:
    name = spec.case.delegate.name
    found = judged(name, start, kind=kind)
    if isinstance(found, tuple):
        return found
    if problem := without_measurement(found, log_tail(start), warmup=False):
        return problem
    nodes = start.files.get(NODES_FILE)
    try:
        graph = None if nodes is None else parse_runtime_info(nodes)
    except UnreadableOutput as error:
        return failed(Outcome.UNREADABLE, "unreadable", str(error), log_tail(start))
    return judge_tool(name, found, graph, compiled=False)


def _starts(output: RawOutput) -> list[RawOutput]:
    """Each start of the tool; [] where the script's marks are not all there."""
    stdouts, stderrs = _split(output.stdout), _split(output.stderr)
    if stdouts is None or stderrs is None or len(stdouts) != len(stderrs):
        return []
    pairs = list(zip(stdouts, stderrs, strict=True))
    # The script ended with its last one; the list of nodes is the last one's too, and
    # holds for all, which are told apart by what they print.
    codes = [0] * (len(pairs) - 1) + [0 if output.exit_code == _NO_OUTPUT else output.exit_code]
    return [
        RawOutput(code, stdout, stderr, output.files)
        for code, (stdout, stderr) in zip(codes, pairs, strict=True)
    ]


def _split(stream: bytes) -> list[bytes] | None:
    _, *parts = _MARK.split(stream)
    numbers, texts = parts[::2], parts[1::2]
    if [decode(number) for number in numbers] != [str(k) for k in range(len(numbers))]:
        return None
    return texts


def _outputs(files: Mapping[str, bytes], samples: RawSamples) -> tuple[NDArray[Any], ...]:
    """Raises: UnreadableOutput where the bytes are not those of the model's outputs."""
    content = b"".join(files.get(name, b"") for name in _answer_files(samples))
    sizes = [_bytes(tensor) for tensor in samples.outputs]
    if len(content) != samples.count * sum(sizes):
        raise UnreadableOutput(
            f"the outputs of {counted(samples.count, 'sample')} have {len(content)} bytes, and "
            f"the model's file says {samples.count} x {sum(sizes)}: it leaves a shape open"
        )
    rows = np.frombuffer(content, np.uint8).reshape(samples.count, sum(sizes))
    found, begin = [], 0
    for tensor, size in zip(samples.outputs, sizes, strict=True):
        part = np.ascontiguousarray(rows[:, begin : begin + size])
        values = part.view(NUMPY_DTYPES[tensor.dtype])
        found.append(values.reshape(samples.count, *tensor.shape))
        begin += size
    return tuple(found)


def _answer_files(samples: RawSamples) -> tuple[str, ...]:
    number = -(-samples.count // _per_file(samples))
    return tuple(f"answers_{k}.bin" for k in range(number))


def _per_file(samples: RawSamples) -> int:
    return max(1, _FILE_BYTES // max(1, sum(map(_bytes, samples.outputs))))


def _bytes(tensor: TensorFacts) -> int:
    return (
        int(np.prod(tensor.shape, dtype=np.int64)) * np.dtype(NUMPY_DTYPES[tensor.dtype]).itemsize
    )


def _quantization(tensor: TensorFacts) -> tuple[float, int] | None:
    if not tensor.scale or tensor.zero_point is None:
        return None
    return tensor.scale, tensor.zero_point
