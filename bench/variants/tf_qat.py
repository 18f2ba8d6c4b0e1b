"""Quantization-aware training with tfmot. Imported by a worker process of its own,
started with TF_USE_LEGACY_KERAS=1, because importing tfmot switches Keras for the
whole process."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from numpy.typing import NDArray
from tensorflow_model_optimization.python.core.quantization.keras import default_8bit

from bench.errors import UserError
from bench.format import first_line
from bench.variants.arrays import Samples
from bench.variants.keras_rebuild import CannotRebuild, difference, is_model, needs_rebuild, rebuild
from bench.variants.tf_source import Source, keras_source

# Outputs of the rebuilt model may differ by float rounding only; the layers here gave
# 1e-6 and less, a wrong layer gives 1e-1.
MAX_REBUILD_DIFFERENCE = 1e-3
_COMPARED = 32

_LEAVE_OUT = "replace the layer, or leave int8-qat out"
_UNSUPPORTED = re.compile(r"Layer (\S+):<class '[\w.]*\.(\w+)'> is not supported")

# Layers that become one int8 op and that tfmot's own list lacks: quantising what they
# give is all they need.
_BY_OUTPUT = (
    tf_keras.layers.Multiply,
    tf_keras.layers.Subtract,
    tf_keras.layers.Maximum,
    tf_keras.layers.Minimum,
)

# By class name, in either Keras: what tfmot's list has, what it merges, and what the
# rebuilding turns into such layers. It lists Conv2DTranspose, but what it makes of one
# cannot be saved.
_TFMOT = default_8bit.default_8bit_quantize_registry.Default8BitQuantizeRegistry()
_LAYERS = frozenset(
    {
        *(kind.__name__ for kind in _TFMOT._layer_quantize_map),
        *(kind.__name__ for kind in _BY_OUTPUT),
        *("InputLayer", "BatchNormalization", "SeparableConv2D"),
        *("Rescaling", "Normalization"),
    }
) - {"Conv2DTranspose"}
_MOST_NAMED = 5

_Losses = tf_keras.losses
# Losses that take logits as well, but have to be told so.
_CLASSIFICATION = {
    "sparse_categorical_crossentropy": _Losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": _Losses.CategoricalCrossentropy,
    "binary_crossentropy": _Losses.BinaryCrossentropy,
}


class CannotTrain(Exception):
    """Quantization-aware training is not possible for this model; one line says why.

    Attributes:
        kind: of the Failure: "unsupported" where a layer stands in the way, else "convert".
    """

    def __init__(self, message: str, kind: str = "convert") -> None:
        super().__init__(message)
        self.kind = kind


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
    samples: Samples,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    loss: str,
    on_epoch: Callable[[int], None],
) -> Trained:
    """Fine-tune a quantised copy of the model.

    Args:
        source: of kind "keras3" (rebuilt first) or "tf_keras".
        samples: x (N, ...) that fit the model, and y as the loss takes it.
        loss: Keras name.
        on_epoch: told the number of finished epochs.

    Raises:
        CannotTrain: in one line.
        UserError: the loss is unknown, or y does not fit it.
    """
    outputs = source.model.outputs
    if len(outputs) != 1:
        raise CannotTrain(
            f"the model has {len(outputs)} outputs, and one loss trains one; leave int8-qat out"
        )
    x, y = samples.x, samples.y
    assert y is not None
    _check_loss(loss, samples, tuple(outputs[0].shape)[1:])
    _check_layers(source.model)
    facts: dict[str, Any] = {"rebuilt": False}
    model = source.model
    try:
        if source.kind == "keras3" or source.shape[0] > 0 or needs_rebuild(model):
            first = x[: max(_COMPARED, source.batch)]
            model, facts["rebuild_max_difference"] = _rebuilt(source, first)
            facts["rebuilt"] = True
    except CannotRebuild as error:
        raise CannotTrain(
            f"cannot be rebuilt in tf_keras for tfmot: {error}; {_LEAVE_OUT}", "unsupported"
        ) from error
    logits = loss in _CLASSIFICATION and not _probabilities(
        np.asarray(model(x[:_COMPARED], training=False)), summed=loss != "binary_crossentropy"
    )
    facts["from_logits"] = logits
    quantised = _quantised(model)
    quantised.compile(
        optimizer=tf_keras.optimizers.Adam(learning_rate),
        # The name alone would take logits for probabilities and train towards nonsense.
        loss=_CLASSIFICATION[loss](from_logits=True) if logits else loss,
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
    trained = keras_source("tf_keras", quantised, source.model.name)
    return Trained(_with_batch_of(source, trained), facts)


def _check_loss(loss: str, samples: Samples, output: tuple[int | None, ...]) -> None:
    try:
        tf_keras.losses.get(loss)
    except ValueError:
        raise UserError(
            f"qat.loss: tf_keras has no loss {loss}; give the name of one, e.g. "
            "sparse_categorical_crossentropy"
        ) from None
    assert samples.y is not None
    given = samples.y.shape[1:]
    # Some losses would stretch y to the output's shape and train towards nonsense.
    if not loss.startswith("sparse_") and (
        len(given) != len(output)
        or any(n is not None and n != g for n, g in zip(output, given, strict=True))
    ):
        shape = ", ".join(["N", *("any" if n is None else str(n) for n in output)])
        raise UserError(
            f"train {samples.name}: `y` has shape {samples.y.shape}, {loss} takes the shape that "
            f"the model gives, ({shape}); save y in that shape, or set qat.loss"
        )


def _check_layers(model: Any) -> None:
    """Name every layer that no rebuilding helps, before any work is done."""
    lost = [f"{layer.name} ({kind})" for layer, kind in _kinds(model) if kind not in _LAYERS]
    if lost:
        more = f" and {len(lost) - _MOST_NAMED} more" if len(lost) > _MOST_NAMED else ""
        raise CannotTrain(
            f"tfmot cannot quantise {'layer' if len(lost) == 1 else 'layers'} "
            f"{', '.join(lost[:_MOST_NAMED])}{more}; {_LEAVE_OUT}",
            "unsupported",
        )


def _kinds(model: Any) -> list[tuple[Any, str]]:
    found = []
    for layer in model.layers:
        found += _kinds(layer) if is_model(layer) else [(layer, type(layer).__name__)]
    return found


def _rebuilt(source: Source, x: NDArray[Any]) -> tuple[Any, float]:
    x = x[: len(x) - len(x) % source.batch]
    if not len(x):
        raise CannotTrain(f"fewer training samples than the model's batch of {source.batch}")
    twin = rebuild(source.model)
    off = max(
        difference(source.model, twin, tf.constant(x[start : start + _step(source)]))
        for start in range(0, len(x), _step(source))
    )
    # Written so that a NaN fails as well.
    if not off <= MAX_REBUILD_DIFFERENCE:
        raise CannotTrain(
            f"the model rebuilt in tf_keras differs by {off:.2g} (at most "
            f"{MAX_REBUILD_DIFFERENCE:g} allowed): a layer behaves differently there"
        )
    return twin, off


def _step(source: Source) -> int:
    """How many samples the model takes at once."""
    return source.shape[0] if source.shape[0] > 0 else _COMPARED


def _quantised(model: Any) -> Any:
    """The model with fake quantisation wherever int8 will round.

    Raises: CannotTrain naming each layer that tfmot cannot quantise. Left in float it
    would make a model that computes in float there, which no int8-qat variant does.
    """
    api = tfmot.quantization.keras

    def annotate(layer: Any) -> Any:
        if not isinstance(layer, _BY_OUTPUT):
            return layer
        config = default_8bit.default_8bit_quantize_configs.Default8BitOutputQuantizeConfig()
        return api.quantize_annotate_layer(layer, config)

    try:
        if any(isinstance(layer, _BY_OUTPUT) for layer in model.layers):
            model = tf_keras.models.clone_model(model, clone_function=annotate)
        with api.quantize_scope():
            return api.quantize_apply(api.quantize_annotate_model(model))
    except Exception as error:
        if found := _UNSUPPORTED.search(str(error)):
            hint = (
                " that follows no convolution, with which it could be merged"
                if found[2] == "BatchNormalization"
                else ""
            )
            raise CannotTrain(
                f"tfmot cannot quantise layer {found[1]} ({found[2]}){hint}; {_LEAVE_OUT}",
                "unsupported",
            ) from error
        raise CannotTrain(
            f"tfmot cannot quantise this model: {first_line(error)}; leave int8-qat out"
        ) from error


def _probabilities(outputs: NDArray[Any], *, summed: bool) -> bool:
    """Whether outputs are shares in 0..1, of one whole if they are summed up."""
    shares = (outputs >= 0).all() and (outputs <= 1 + 1e-3).all()
    return bool(shares and (not summed or np.allclose(outputs.sum(axis=-1), 1, atol=1e-3)))


def _with_batch_of(source: Source, trained: Source) -> Source:
    """Training takes any batch; what is converted takes the batch of the source."""
    return replace(trained, shape=(source.shape[0], *trained.shape[1:]))
