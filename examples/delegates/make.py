"""MobileNetV2 as Keras has it, with random weights, and inputs for it; downloads nothing.

Random weights say nothing of accuracy, and enough of where the ops run and whether the
answers stay the same: the holdout's labels are the answers of the float model itself. The
batch normalisations are set to the statistics of the inputs, since with Keras's own the
activations die out on the way and every input gets the same answer.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from numpy.typing import NDArray

BUILD = Path(__file__).parent / "build"


def images(count: int) -> NDArray[np.float32]:
    """Patches of a few colours: noise alone looks the same to every convolution."""
    rng = np.random.default_rng(0)
    coarse = rng.random((count, 7, 7, 3), dtype=np.float32)
    return np.clip(coarse.repeat(32, axis=1).repeat(32, axis=2), 0, 1)


def main() -> None:
    """Write the model, a calibration set and a holdout into build/."""
    BUILD.mkdir(exist_ok=True)
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None)
    x = images(164)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(x[:64], training=True)
    model.save(BUILD / "mobilenet_v2.keras")
    np.savez(BUILD / "calibration.npz", x=x[:100])
    held = x[100:]
    np.savez(BUILD / "holdout.npz", x=held, y=model.predict(held, verbose=0).argmax(axis=1))
    print(f"wrote {BUILD}")


if __name__ == "__main__":
    main()
