"""Trains a tiny MobileNet on scikit-learn's digits: python examples/digits/make.py

Writes into build/ beside this file: digits.keras, train.npz (1078 images), calibration.npz
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

SEED = 1
EPOCHS = 40
BATCH = 64


def build() -> Any:
    """19,786 parameters: a stem and four depthwise-separable blocks, ReLU6 throughout."""
    layers = keras.layers

    def normed(h: Any) -> Any:
        return layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(h))

    image = layers.Input((8, 8, 1), name="image")
    h = normed(layers.Conv2D(16, 3, padding="same", use_bias=False)(image))
    for width, stride in ((32, 1), (64, 2), (64, 1), (128, 2)):
        h = normed(layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(h))
        h = normed(layers.Conv2D(width, 1, use_bias=False)(h))
    h = layers.GlobalAveragePooling2D()(h)
    return keras.Model(image, layers.Dense(10, activation="softmax", name="scores")(h))


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
    build_folder = Path(__file__).parent / "build"
    build_folder.mkdir(exist_ok=True)
    model.save(build_folder / "digits.keras")
    np.savez(build_folder / "train.npz", x=x_train, y=y_train)
    np.savez(build_folder / "calibration.npz", x=x_train[:200])
    np.savez(build_folder / "holdout.npz", x=x_holdout, y=y_holdout)
    answers = np.argmax(model.predict(x_holdout, verbose=0), axis=-1)
    print(f"accuracy of the float model: {np.mean(answers == y_holdout):.2%}")


if __name__ == "__main__":
    main()
