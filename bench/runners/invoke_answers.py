"""Answer samples with one model in this process: the numerics launch of the invoke loop.

A program of its own like invoke_loop.py, which lies beside it on the device and which it
builds on: same runtimes, same numpy, Python 3.9. `python invoke_answers.py spec.json` feeds
each item of the spec's `samples` by itself, writes every output to answers.npz (arr_0,
arr_1, ... in the model's order, (samples, *output)) and prints the document that
bench.parsers.answers reads. Exit status 3: {"failure": ...} as from invoke_loop.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or __package__:
    from bench.runners import invoke_loop as loop
else:
    import invoke_loop as loop

FORMAT = "edgebench-answers/1"
RESULT = "answers.npz"
# What a launch may bring back is 32 MiB (devices.launch), and zip adds to it.
MOST_BYTES = 30 * 1024 * 1024

Array = Any


def load_items(name: str, details: list[dict[str, Any]]) -> list[Array]:
    """One array per input, (samples, *item), each item as large as the input."""
    with np.load(name, allow_pickle=False) as archive:
        names = [f"arr_{i}" for i in range(len(details))]
        if sorted(archive.files) != sorted(names):
            found = ", ".join(archive.files) or "nothing"
            raise loop.Failed("inputs", f"the file has {found}; the model needs {names}")
        arrays = [archive[name] for name in names]
    counts = {len(values) for values in arrays}
    if len(counts) != 1 or 0 in counts:
        raise loop.Failed("inputs", f"the inputs have {sorted(counts)} items, not the same number")
    for values, detail in zip(arrays, details):  # noqa: B905  (strict= needs Python 3.10)
        wanted = tuple(int(d) for d in detail["shape"])
        if values[0].size != int(np.prod(wanted)):
            raise loop.Failed(
                "inputs",
                f"input {detail['name']} takes shape {wanted}, an item has {values.shape[1:]}",
            )
        loop.check_array(values[0].reshape(wanted), detail)
    return arrays


class Collector:
    """Outputs of one sample after the other, each output in one array."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.arrays: list[Array] = []

    def put(self, index: int, outputs: list[Array]) -> None:
        """Take the outputs of sample `index`; Failed where they cannot be kept."""
        if odd := [y.dtype for y in outputs if y.dtype.kind not in "biuf"]:
            raise loop.Failed("outputs", f"an output is {odd[0]}, and only numbers are compared")
        if not self.arrays:
            total = self._count * sum(values.nbytes for values in outputs)
            if total > MOST_BYTES:
                raise loop.Failed(
                    "too-large",
                    f"the answers to {self._count} samples are {total / 1e6:.0f} MB, and a launch "
                    f"brings back {MOST_BYTES / 1e6:.0f} MB; ask for fewer "
                    "(measure.numerics_samples, measure.device_accuracy)",
                )
            self.arrays = [np.empty((self._count, *y.shape), y.dtype) for y in outputs]
        if [y.shape for y in outputs] != [kept.shape[1:] for kept in self.arrays]:
            raise loop.Failed("outputs", f"an output changes its shape at sample {index}")
        for kept, values in zip(self.arrays, outputs):  # noqa: B905
            kept[index] = values


def answer_items(
    items: list[Array],
    details: list[dict[str, Any]],
    feed: Callable[[list[Array]], list[Array]],
) -> tuple[list[Array], str]:
    """Return (one array per output, sha256 of the inputs' bytes as they were given).

    `feed` gets one item as the inputs' own type and shape and returns copies of the outputs.
    """
    digest, collector = hashlib.sha256(), Collector(len(items[0]))
    for index in range(len(items[0])):
        with loop.stage("inputs"):
            tensors = [
                loop.to_tensor(values[index].reshape([int(d) for d in detail["shape"]]), detail)
                for values, detail in zip(items, details)  # noqa: B905
            ]
        for tensor in tensors:
            digest.update(tensor.tobytes())
        with loop.stage("invoke"):
            outputs = feed(tensors)
        collector.put(index, outputs)
    return collector.arrays, digest.hexdigest()


def describe(details: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Name and quantisation of each output, for the document."""
    described = []
    for detail in details:
        scale, zero_point = detail["quantization"]
        quantised = scale and np.dtype(detail["dtype"]).kind in "iu"
        described.append(
            {
                "name": str(detail["name"]),
                "quantization": [float(scale), int(zero_point)] if quantised else None,
            }
        )
    return described


def answer(spec: dict[str, Any], result: str = RESULT) -> dict[str, Any]:
    """Answer what the spec describes, write `result`; return the document, or raise Failed."""
    name, version, interpreter_type, resolvers = loop.import_runtime()
    interpreter, _, _, evidence = loop.build(spec, interpreter_type, resolvers)
    inputs = interpreter.get_input_details()

    def feed(tensors: list[Array]) -> list[Array]:
        # What a model keeps between invokes would make an answer depend on the one before.
        interpreter.reset_all_variables()
        for tensor, detail in zip(tensors, inputs):  # noqa: B905
            interpreter.set_tensor(detail["index"], tensor)
        interpreter.invoke()
        return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]

    with loop.stage("inputs"):
        items = load_items(spec["samples"], inputs)
    arrays, inputs_sha256 = answer_items(items, inputs, feed)
    with loop.stage("outputs"):
        np.savez(result, *arrays)
    return {
        "format": FORMAT,
        **loop.provenance(spec, name, version),
        "samples": len(items[0]),
        "inputs_sha256": inputs_sha256,
        "outputs": describe(interpreter.get_output_details()),
        **evidence,
    }


if __name__ == "__main__":
    sys.exit(loop.main(sys.argv[1], answer))
