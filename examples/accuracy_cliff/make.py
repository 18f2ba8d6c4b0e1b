"""Trains a digits model whose int8 variant loses a quarter of its answers.

    python examples/accuracy_cliff/make.py

A small MobileNet with ReLU. After training, two channels at each of four junctions are
scaled up by SCALE and scaled down again in the layer that takes them: the float model
answers as before, but each of these tensors now has two channels a hundred times as wide
as the others, and one int8 scale has to serve them all. Nagel et al. (2019, arXiv
1906.04721) describe such unequal channels in trained MobileNets; these are larger.

Writes into build/ beside this file: cliff.keras, train.npz (1078 images), calibration.npz
(200 of them) and holdout.npz (the other 719). Needs edgebench[quickstart]; takes about
20 seconds.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 3
EPOCHS = 40
BATCH = 64
SCALE = 102.0
WIDE_CHANNELS = 2
CHANNEL_SEED = 3
# Batch normalisation that gives the channels, and the convolution that takes them.
JUNCTIONS = (
    ("stem_bn", "b1_dw"),
    ("b1_pw_bn", "b2_dw"),
    ("b2_pw_bn", "b3_dw"),
    ("b3_pw_bn", "b4_dw"),
)


def build() -> Any:
    """A stem and four depthwise-separable blocks."""
    layers = keras.layers

    def normed(h: Any, name: str) -> Any:
        h = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(h)
        return layers.ReLU(name=f"{name}_relu")(h)

    image = layers.Input((8, 8, 1), name="image")
    h = layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(image)
    h = normed(h, "stem")
    for number, (width, stride) in enumerate(((32, 1), (64, 2), (64, 1), (128, 2)), start=1):
        dw, pw = f"b{number}_dw", f"b{number}_pw"
        depthwise = layers.DepthwiseConv2D(
            3, strides=stride, padding="same", use_bias=False, name=dw
        )
        h = normed(depthwise(h), dw)
        h = normed(layers.Conv2D(width, 1, use_bias=False, name=pw)(h), pw)
    h = layers.GlobalAveragePooling2D(name="pool")(h)
    return keras.Model(image, layers.Dense(10, activation="softmax", name="scores")(h))


def widen(model: Any) -> None:
    """Scale channels up at each junction and down again behind it; ReLU lets both pass."""
    generator = np.random.default_rng(CHANNEL_SEED)
    for giver, taker in JUNCTIONS:
        gamma, beta, mean, variance = model.get_layer(giver).get_weights()
        (kernel,) = model.get_layer(taker).get_weights()
        wide = generator.choice(len(gamma), WIDE_CHANNELS, replace=False)
        gamma[wide] *= SCALE
        beta[wide] *= SCALE
        kernel[:, :, wide, :] /= SCALE
        model.get_layer(giver).set_weights([gamma, beta, mean, variance])
        model.get_layer(taker).set_weights([kernel])


def main() -> None:
    digits = load_digits()
    x = (digits.images / 16.0).astype(np.float32)[..., None]
    y = digits.target.astype(np.int64)
    x_train, x_holdout, y_train, y_holdout = train_test_split(
        x, y, test_size=0.4, random_state=0, stratify=y
    )
    keras.utils.set_random_seed(SEED)
    model = build()
    steps = EPOCHS * -(-len(x_train) // BATCH)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        "sparse_categorical_crossentropy",
    )
    model.fit(x_train, y_train, batch_size=BATCH, epochs=EPOCHS, verbose=0)

    def accuracy() -> float:
        answers = np.argmax(model.predict(x_holdout, verbose=0), axis=-1)
        return float(np.mean(answers == y_holdout))

    print(f"accuracy of the float model as trained: {accuracy():.2%}")
    widen(model)
    print(f"and with wide channels: {accuracy():.2%}")
    folder = Path(__file__).parent / "build"
    folder.mkdir(exist_ok=True)
    model.save(folder / "cliff.keras")
    np.savez(folder / "train.npz", x=x_train, y=y_train)
    np.savez(folder / "calibration.npz", x=x_train[:200])
    np.savez(folder / "holdout.npz", x=x_holdout, y=y_holdout)


if __name__ == "__main__":
    main()
