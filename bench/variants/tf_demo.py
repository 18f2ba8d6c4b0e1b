"""Trains the demo's digits model. Imported by a worker process only."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

# 96 pixels and these widths put one fp32 inference by XNNPACK on one x86-64 core at
# 0.6 ms (3.2 ms by the plain kernels): long enough that a table shows the model and
# not the cost of a call, short enough for a measurement of minutes.
SIZE = 96
STEM = 32
BLOCKS = ((128, 1), (448, 2), (448, 1), (448, 1))
BATCH = 32
LEARNING_RATE = 3e-3
CALIBRATION_SAMPLES = 200


def train_demo(
    folder: Path, seed: int, epochs: int, on_epoch: Callable[[int], None]
) -> dict[str, Any]:
    """Write digits.keras, train.npz, calibration.npz and holdout.npz; returns facts.

    Images are scikit-learn's digits (8x8, 0..16), divided by 16 and enlarged; 60 % are
    for training, 40 % held out, stratified.
    """
    started = time.monotonic()
    digits = load_digits()
    x = enlarge((digits.images / 16.0).astype(np.float32), SIZE)
    y = digits.target.astype(np.int64)
    x_train, x_holdout, y_train, y_holdout = train_test_split(
        x, y, test_size=0.4, random_state=seed, stratify=y
    )
    steps = epochs * -(-len(x_train) // BATCH)
    model = build(dense=True)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)),
        "sparse_categorical_crossentropy",
    )
    model.fit(
        x_train,
        y_train,
        epochs=epochs,
        batch_size=BATCH,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: on_epoch(e + 1))],
    )
    final = build(dense=False)
    final.set_weights(
        [w.reshape(v.shape) for w, v in zip(model.get_weights(), final.get_weights(), strict=True)]
    )
    answers = np.argmax(final.predict(x_holdout, batch_size=64, verbose=0), axis=-1)
    final.save(folder / "digits.keras")
    np.savez(folder / "train.npz", x=x_train, y=y_train)
    np.savez(folder / "calibration.npz", x=x_train[:CALIBRATION_SAMPLES])
    np.savez(folder / "holdout.npz", x=x_holdout, y=y_holdout)
    return {
        "accuracy": float(np.mean(answers == y_holdout)),
        "train_samples": len(x_train),
        "holdout_samples": len(x_holdout),
        "parameters": int(final.count_params()),
        "seconds": round(time.monotonic() - started, 3),
    }


def build(*, dense: bool) -> Any:
    """A small MobileNet: strided stem, then depthwise-separable blocks.

    Args:
        dense: pointwise convolutions as Dense layers over the channels: the same
            arithmetic and weights, but gradients through matrix products, which
            TensorFlow computes faster on a CPU.
    """
    layers = keras.layers

    def normed(h: Any) -> Any:
        return layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(h))

    image = layers.Input((SIZE, SIZE, 1), name="image")
    h = normed(layers.Conv2D(STEM, 5, strides=4, padding="same", use_bias=False)(image))
    for width, stride in BLOCKS:
        h = normed(layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(h))
        pointwise = (
            layers.Dense(width, use_bias=False)
            if dense
            else layers.Conv2D(width, 1, use_bias=False)
        )
        h = normed(pointwise(h))
    h = layers.GlobalAveragePooling2D()(h)
    return keras.Model(image, layers.Dense(10, activation="softmax", name="scores")(h))


def enlarge(images: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(N, H, W) to (N, size, size, 1), bilinear, pixel centres aligned."""
    n, height, width = images.shape
    rows = _weights(height, size)
    columns = _weights(width, size)
    out = np.einsum("ih,nhw,jw->nij", rows, images, columns, optimize=True)
    return np.ascontiguousarray(out.reshape(n, size, size, 1), dtype=np.float32)


def _weights(old: int, new: int) -> NDArray[np.float32]:
    """(new, old) matrix of linear interpolation."""
    at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    low = np.minimum(at.astype(np.int64), old - 2)
    matrix = np.zeros((new, old), np.float32)
    matrix[np.arange(new), low] = 1 - (at - low)
    matrix[np.arange(new), low + 1] = at - low
    return matrix
