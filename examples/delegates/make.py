"""MobileNetV2 as Keras has it, with random weights, and inputs for it; downloads nothing.

Random weights say nothing about accuracy, and everything about where the ops run and
whether a delegate gives the same answers.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

BUILD = Path(__file__).parent / "build"


def main() -> None:
    """Write the model, a calibration set and a holdout into build/."""
    BUILD.mkdir(exist_ok=True)
    keras.utils.set_random_seed(0)
    keras.applications.MobileNetV2(weights=None).save(BUILD / "mobilenet_v2.keras")
    rng = np.random.default_rng(0)
    x = rng.random((24, 224, 224, 3), dtype=np.float32)
    np.savez(BUILD / "calibration.npz", x=x[:16])
    np.savez(BUILD / "holdout.npz", x=x[16:], y=rng.integers(0, 1000, 8))
    print(f"wrote {BUILD}")


if __name__ == "__main__":
    main()
