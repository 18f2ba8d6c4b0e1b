"""Rebuilds a Keras 3 model in tf_keras, the only Keras that quantization-aware training
accepts. Imported by worker processes only."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from bench.format import first_line

# Settings that Keras 3 layers have and tf_keras layers do not, or that say nothing
# once the weights are copied.
_DROPPED = frozenset(
    {
        "dtype",
        "lora_rank",
        "lora_alpha",
        "module",
        "optional",
        "quantization_config",
        "registered_name",
        "renorm",
        "renorm_clipping",
        "renorm_momentum",
        "synchronized",
    }
)


class CannotRebuild(Exception):
    """A layer has no like in tf_keras, or the rebuilt model gives other answers."""


def rebuild(model: Any) -> Any:
    """The same layers, wiring and weights as a tf_keras functional model.

    Args:
        model: a Keras 3 Sequential or functional model; each layer used once.

    Raises: CannotRebuild naming the layer.
    """
    made: dict[int, Any] = {}
    for layer in model.layers:
        name = f"{layer.name} ({type(layer).__name__})"
        if len(layer._inbound_nodes) > 1 and type(layer).__name__ != "InputLayer":
            # A Sequential's own call is a second node of the same tensors.
            node_outputs = {id(t) for n in layer._inbound_nodes for t in n.output_tensors}
            if len(node_outputs) > 1:
                raise CannotRebuild(f"layer {name} is used more than once")
        try:
            _rebuild_layer(layer, made)
        except Exception as error:
            raise CannotRebuild(f"layer {name}: {first_line(error)}") from error
    return tf_keras.Model(
        [made[id(tensor)] for tensor in model.inputs],
        [made[id(tensor)] for tensor in model.outputs],
    )


def difference(first: Any, second: Any, x: NDArray[Any]) -> float:
    """Largest absolute difference of two models' outputs on x (N, ...)."""
    a = np.asarray(first(x, training=False))
    b = np.asarray(second(x, training=False))
    return float(np.max(np.abs(a - b)))


def _rebuild_layer(layer: Any, made: dict[int, Any]) -> None:
    kind = type(layer).__name__
    if kind == "InputLayer":
        made[id(layer.output)] = tf_keras.Input(
            batch_shape=layer.batch_shape, name=layer.name, dtype=layer.dtype
        )
        return
    config = {
        key: _plain(value)
        for key, value in layer.get_config().items()
        if key not in _DROPPED and not key.endswith(("_initializer", "_constraint"))
    }
    maker = getattr(tf_keras.layers, kind, None)
    if maker is None:
        raise CannotRebuild("tf_keras has no such layer")
    twin = maker.from_config(config)

    def translate(value: Any) -> Any:
        return made.get(id(value), value)

    arguments = layer._inbound_nodes[0].arguments
    args = tf.nest.map_structure(translate, arguments.args)
    kwargs = {
        key: tf.nest.map_structure(translate, value)
        for key, value in arguments.kwargs.items()
        if value is not None and key != "training"
    }
    made[id(layer.output)] = twin(*args, **kwargs)
    if weights := layer.get_weights():
        twin.set_weights(weights)


def _plain(value: Any) -> Any:
    """Keras 3 writes nested objects with their module; tf_keras wants class and config."""
    if isinstance(value, dict):
        if {"class_name", "config", "module"} <= value.keys():
            return {"class_name": value["class_name"], "config": _plain(value["config"])}
        return {key: _plain(item) for key, item in value.items()}
    return value
