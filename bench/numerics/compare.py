"""Answers of a device and answers of the reference -> Numerics."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import UnreadableOutput
from bench.numerics.accuracy import device_accuracy
from bench.numerics.figures import Tensor, figures
from bench.numerics.model import Numerics
from bench.numerics.reference import NumericsFiles
from bench.parsers.answers import read_arrays
from bench.runners.base import Answers


def numerics_of(answers: Answers, files: NumericsFiles) -> Numerics:
    """Hold the answers of a launch against the reference.

    Raises: UnreadableOutput where they do not fit it (other outputs, other sizes), or where
    the reference can no longer be read.
    """
    reference = _reference(files)
    device = [
        Tensor(values, pair)
        for values, pair in zip(answers.outputs, answers.quantization, strict=True)
    ]
    _check(answers.names, device, reference, files.count)
    pairs = [
        (_by_sample(_shaped_like(wanted, given), files.batch), _by_sample(wanted, files.batch))
        for given, wanted in zip(device, reference, strict=True)
    ]
    return Numerics(
        outputs=tuple(
            figures(name, given, wanted)
            for name, (given, wanted) in zip(answers.names, pairs, strict=True)
        ),
        samples=files.count * files.batch,
        inputs=files.inputs,
        inputs_sha256=files.inputs_sha256,
        reference=files.described,
        accuracy=None
        if files.judging is None
        else device_accuracy(
            [given for given, _ in pairs], [wanted for _, wanted in pairs], files.judging
        ),
    )


def _reference(files: NumericsFiles) -> list[Tensor]:
    """The reference's answers.

    Raises: UnreadableOutput where the file is gone, or is no longer what was written.
    """
    try:
        content = files.reference.read_bytes()
    except OSError as error:
        why = error.strerror or "unreadable"
        raise UnreadableOutput(f"the reference {files.reference.name}: {why}") from error
    arrays = read_arrays(content, len(files.quantization), files.count)
    return [Tensor(values, pair) for values, pair in zip(arrays, files.quantization, strict=True)]


def _check(
    names: Sequence[str], device: Sequence[Tensor], reference: Sequence[Tensor], count: int
) -> None:
    if len(device) != len(reference):
        raise UnreadableOutput(
            f"the device gave {len(device)} outputs, the reference {len(reference)}"
        )
    for name, given, wanted in zip(names, device, reference, strict=True):
        if len(given.values) != count:
            raise UnreadableOutput(
                f"output {name}: the device answered {len(given.values)} samples of {count}"
            )
        # The shape may differ by ones: a file of raw bytes has none.
        if given.values[0].size != wanted.values[0].size:
            raise UnreadableOutput(
                f"output {name}: the device gave {given.values[0].size} numbers per sample, the "
                f"reference {wanted.values[0].size}"
            )


def _shaped_like(reference: Tensor, device: Tensor) -> Tensor:
    return Tensor(device.values.reshape(reference.values.shape), device.quantization)


def _by_sample(tensor: Tensor, batch: int) -> Tensor:
    """(items, batch, ...) as (samples, ...); what has no batch dimension stays as it is."""
    values = tensor.values
    if values.ndim < 2 or values.shape[1] != batch:
        return tensor
    return Tensor(values.reshape(-1, *values.shape[2:]), tensor.quantization)
