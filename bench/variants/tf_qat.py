"""Quantization-aware training with tfmot. Imported by a worker process of its own,
started with TF_USE_LEGACY_KERAS=1, because importing tfmot switches Keras for the
whole process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from numpy.typing import NDArray

from bench.format import first_line
from bench.variants.keras_rebuild import CannotRebuild, difference, rebuild
from bench.variants.tf_source import Source, keras_source

# Outputs of the rebuilt model may differ by float rounding only; the layers here gave
# 1e-6 and less, a wrong layer gives 1e-1.
MAX_REBUILD_DIFFERENCE = 1e-3
_COMPARED = 32


class CannotTrain(Exception):
    """Quantization-aware training is not possible for this model; one line says why."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model with fake quantisation.

    Attributes:
        source: for tf_source.save_fixed.
        facts: rebuild difference, loss per epoch, whether outputs are logits.
    """

    source: Source
    facts: dict[str, Any]


def train(
    source: Source,
    x: NDArray[Any],
    y: NDArray[np.int64],
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    loss: str,
    on_epoch: Callable[[int], None],
) -> Trained:
    """Fine-tune a quantised copy of the model on (x, y).

    Args:
        source: of kind "keras3" (rebuilt first) or "tf_keras".
        on_epoch: told the number of finished epochs.

    Raises: CannotTrain in one line.
    """
    facts: dict[str, Any] = {"rebuilt": source.kind == "keras3"}
    model = source.model
    if source.kind == "keras3":
        model, facts["rebuild_max_difference"] = _rebuilt(source.model, x[:_COMPARED])
    logits = loss == "sparse_categorical_crossentropy" and not _probabilities(
        np.asarray(model(x[:_COMPARED], training=False))
    )
    facts["from_logits"] = logits
    try:
        quantised = tfmot.quantization.keras.quantize_model(model)
    except Exception as error:
        raise CannotTrain(
            f"tfmot cannot quantise this model: {first_line(error)}; leave int8-qat out, or "
            "replace the layer"
        ) from error
    quantised.compile(
        optimizer=tf_keras.optimizers.Adam(learning_rate),
        # The name alone would take logits for probabilities and train towards nonsense.
        loss=tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True) if logits else loss,
    )
    history = quantised.fit(
        x,
        y,
        epochs=epochs,
        batch_size=batch_size,
        verbose=0,
        callbacks=[
            tf_keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: on_epoch(epoch + 1))
        ],
    )
    losses = [float(value) for value in history.history["loss"]]
    if not np.isfinite(losses).all():
        raise CannotTrain("training diverged (the loss is not finite); lower qat.learning_rate")
    facts["loss_per_epoch"] = losses
    return Trained(keras_source("tf_keras", quantised, source.model.name), facts)


def _rebuilt(model: Any, x: NDArray[Any]) -> tuple[Any, float]:
    try:
        twin = rebuild(model)
        off = difference(model, twin, tf.constant(x))
    except CannotRebuild as error:
        raise CannotTrain(f"cannot be rebuilt in tf_keras for tfmot: {error}") from error
    # Written so that a NaN fails as well.
    if not off <= MAX_REBUILD_DIFFERENCE:
        raise CannotTrain(
            f"the model rebuilt in tf_keras differs by {off:.2g} (at most "
            f"{MAX_REBUILD_DIFFERENCE:g} allowed): a layer behaves differently there"
        )
    return twin, off


def _probabilities(outputs: NDArray[Any]) -> bool:
    return bool((outputs >= 0).all() and np.allclose(outputs.sum(axis=-1), 1, atol=1e-3))
