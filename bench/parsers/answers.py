"""What a numerics launch left -> Answers, or UnreadableOutput.

The document is that of bench.runners.invoke_answers (litert_loop's is read in
bench.parsers.litert_loop), every field required, typed and bounded; the outputs are in an
.npz beside it. Both must tell of the same samples.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.delegation.model import Delegation
from bench.errors import UnreadableOutput
from bench.parsers.invoke_loop import (
    Nodes,
    OfLaunch,
    Positive,
    Runtime,
    Sha256,
    Strict,
    delegation_of,
    document_of,
)
from bench.runners.base import Answers


class _Output(Strict):
    name: str
    quantization: tuple[float, int] | None


class Answered(OfLaunch):
    """What every document of a numerics launch holds."""

    model_sha256: Sha256
    runtime: Runtime
    samples: Positive
    inputs_sha256: Sha256
    outputs: list[_Output]


class _Document(Answered):
    format: Literal["edgebench-answers/1"]
    nodes: Nodes | None
    nodes_problem: str


def parse_answers(
    stdout: bytes, archive: bytes | None, *, delegate: str, threads: int, log: str = ""
) -> Answers:
    """Read what one launch of invoke_answers.py left.

    Args:
        stdout: what the script printed, whole.
        archive: content of its answers.npz, None where it wrote none.
        delegate, threads: what the launch was asked for; the document must say the same.
        log: what the runtime wrote to stderr, as evidence of the delegate.

    Raises: UnreadableOutput naming the first thing that is missing, unknown or impossible.
    """
    document = document_of(_Document, stdout, "the document of the answers", delegate, threads)
    delegation = delegation_of(delegate, document.nodes, document.nodes_problem, log)
    return answers_of(document, archive, delegation)


def answers_of(document: Answered, archive: bytes | None, delegation: Delegation) -> Answers:
    """The answers of a launch; archive: see parse_answers.

    Raises: UnreadableOutput where the archive is not there, or is not as the document says.
    """
    if archive is None:
        raise UnreadableOutput("the launch ended well and left no answers.npz")
    outputs = read_arrays(archive, len(document.outputs), document.samples)
    quantization = tuple(output.quantization for output in document.outputs)
    _check_quantization(outputs, quantization)
    return Answers(
        outputs=outputs,
        names=tuple(output.name for output in document.outputs),
        quantization=quantization,
        delegation=delegation,
    )


def read_arrays(archive: bytes, outputs: int, samples: int) -> tuple[NDArray[Any], ...]:
    """The arrays arr_0 ... of an .npz, each (samples, ...) numbers.

    Raises: UnreadableOutput where it is cut off, or holds anything else.
    """
    try:
        with np.load(io.BytesIO(archive), allow_pickle=False) as held:
            names = [f"arr_{i}" for i in range(outputs)]
            if not isinstance(held, np.lib.npyio.NpzFile) or sorted(held.files) != sorted(names):
                raise UnreadableOutput(f"answers.npz does not hold {outputs} outputs")
            arrays = tuple(held[name] for name in names)
    except UnreadableOutput:
        raise
    # Broken bytes make zip and numpy raise nearly everything, NotImplementedError included.
    except Exception as error:
        raise UnreadableOutput(f"answers.npz is no archive of arrays: {error}") from error
    for index, values in enumerate(arrays):
        if values.dtype.kind not in "biuf":
            raise UnreadableOutput(f"answers.npz: output {index} is {values.dtype}, not numbers")
        if values.ndim == 0 or len(values) != samples:
            raise UnreadableOutput(
                f"answers.npz: output {index} has shape {values.shape} for {samples} samples"
            )
    return arrays


def _check_quantization(
    outputs: Sequence[NDArray[Any]], quantization: Sequence[tuple[float, int] | None]
) -> None:
    """Raise UnreadableOutput for a scale that is not positive, or not of integers."""
    for values, pair in zip(outputs, quantization, strict=True):
        if pair is not None and (values.dtype.kind not in "iu" or not pair[0] > 0):
            raise UnreadableOutput(
                f"the answers have {values.dtype} with a scale of {pair[0]}, which cannot be"
            )
