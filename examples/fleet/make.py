"""Trains a small classifier without TensorFlow and writes it as an fp32 .tflite.

    python examples/fleet/make.py

The images are ten drawn patterns under noise. Two layers are fitted with numpy, and the
file is written with the schema that the LiteRT runtime brings along; edgebench makes the
other variants of it (ai-edge-quantizer).

Writes into build/ beside this file: patterns.tflite, calibration.npz and holdout.npz. Needs
edgebench[quantize]; takes a few seconds.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# Threads only wait for each other in matrices as small as these.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

SEED = 5
SIDE, CLASSES, HIDDEN = 16, 10, 128
NOISE = 1.6
STEPS, BATCH, RATE = 400, 128, 0.2

Array = np.ndarray[Any, Any]


def draw(rng: np.random.Generator, patterns: Array, count: int) -> tuple[Array, Array]:
    """Images (count, SIDE * SIDE), float32, and which pattern is in each."""
    y = rng.integers(0, CLASSES, count)
    x = patterns[y] + NOISE * rng.standard_normal((count, SIDE * SIDE))
    return x.astype(np.float32), y


def fit(rng: np.random.Generator, patterns: Array) -> list[tuple[Array, Array]]:
    """Weights (out, in) and biases of two layers, by gradient descent on cross-entropy."""
    shapes = ((HIDDEN, SIDE * SIDE), (CLASSES, HIDDEN))
    (w1, b1), (w2, b2) = (
        (rng.standard_normal(shape) * np.sqrt(2 / shape[1]), np.zeros(shape[0])) for shape in shapes
    )
    for _ in range(STEPS):
        x, y = draw(rng, patterns, BATCH)
        hidden = np.maximum(x @ w1.T + b1, 0)
        scores = hidden @ w2.T + b2
        share = np.exp(scores - scores.max(axis=1, keepdims=True))
        error = share / share.sum(axis=1, keepdims=True)
        error[np.arange(BATCH), y] -= 1
        error *= RATE / BATCH
        back = (error @ w2) * (hidden > 0)
        w2 -= error.T @ hidden
        b2 -= error.sum(axis=0)
        w1 -= back.T @ x
        b1 -= back.sum(axis=0)
    return [(w.astype(np.float32), b.astype(np.float32)) for w, b in ((w1, b1), (w2, b2))]


class Writer:
    """A .tflite of float32 tensors, op by op."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.graph = schema.SubGraphT()
        self.model.version = 3
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, name: str, shape: tuple[int, ...], data: Array | None = None) -> int:
        """Add a tensor, a constant where it has data; returns its number."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape = name.encode(), list(shape)
        tensor.type = schema.TensorType.FLOAT32
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def op(self, code: int, inputs: list[int], output: int, kind: int, options: Any) -> None:
        """Add a node; `kind` is the number of its options in the schema."""
        made = schema.OperatorCodeT()
        made.builtinCode = made.deprecatedBuiltinCode = code
        made.version = 1
        self.model.operatorCodes.append(made)
        node = schema.OperatorT()
        node.opcodeIndex = len(self.model.operatorCodes) - 1
        node.inputs, node.outputs = inputs, [output]
        node.builtinOptionsType, node.builtinOptions = kind, options
        self.graph.operators.append(node)

    def file(self, inputs: list[int], outputs: list[int]) -> bytes:
        """The whole model."""
        self.graph.inputs, self.graph.outputs, self.graph.name = inputs, outputs, b"main"
        self.model.subgraphs = [self.graph]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def write(layers: list[tuple[Array, Array]]) -> bytes:
    """FULLY_CONNECTED with ReLU, FULLY_CONNECTED, SOFTMAX."""
    writer = Writer()
    image = at = writer.tensor("image", (1, SIDE * SIDE))
    for number, (w, b) in enumerate(layers):
        inputs = [
            at,
            writer.tensor(f"weights_{number}", w.shape, w),
            writer.tensor(f"bias_{number}", b.shape, b),
        ]
        at = writer.tensor(f"dense_{number}", (1, w.shape[0]))
        dense = schema.FullyConnectedOptionsT()
        dense.fusedActivationFunction = (
            schema.ActivationFunctionType.RELU
            if number == 0
            else schema.ActivationFunctionType.NONE
        )
        writer.op(
            schema.BuiltinOperator.FULLY_CONNECTED,
            inputs,
            at,
            schema.BuiltinOptions.FullyConnectedOptions,
            dense,
        )
    shares = writer.tensor("shares", (1, CLASSES))
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    kind = schema.BuiltinOptions.SoftmaxOptions
    writer.op(schema.BuiltinOperator.SOFTMAX, [at], shares, kind, softmax)
    return writer.file([image], [shares])


def main() -> None:
    folder = Path(__file__).parent / "build"
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(SEED)
    patterns = (rng.random((CLASSES, SIDE * SIDE)) < 0.15).astype(np.float64)
    layers = fit(rng, patterns)
    (folder / "patterns.tflite").write_bytes(write(layers))
    x, _ = draw(rng, patterns, 200)
    np.savez(folder / "calibration.npz", x=x)
    x, y = draw(rng, patterns, 1000)
    np.savez(folder / "holdout.npz", x=x, y=y)
    (w1, b1), (w2, b2) = layers
    answers = (np.maximum(x @ w1.T + b1, 0) @ w2.T + b2).argmax(axis=1)
    print(f"accuracy of the float model: {np.mean(answers == y):.2%}")


if __name__ == "__main__":
    main()
