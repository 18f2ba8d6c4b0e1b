"""Rebuilds a model of either Keras as one flat functional model of tf_keras, the only
kind that quantization-aware training accepts. Imported by worker processes only."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from bench.format import first_line

# Settings of a Keras 3 layer that tf_keras calls otherwise.
_RENAMED: Mapping[str, Mapping[str, str]] = {"LeakyReLU": {"negative_slope": "alpha"}}

# What `x + y` and the like of two tensors are in a functional model of Keras 3.
_MERGES: Mapping[str, str] = {"Add": "Add", "Multiply": "Multiply", "Subtract": "Subtract"}


# Layers that compute x * scale + offset by channel.
_AFFINE = frozenset({"Rescaling", "Normalization"})


# tfmot would take it apart too, but gives the parts names that other layers may have.
_SEPARABLE = "SeparableConv2D"


class CannotRebuild(Exception):
    """A layer has no like in tf_keras, or the rebuilt model gives other answers."""


def rebuild(model: Any) -> Any:
    """The same layers, wiring and weights as a flat tf_keras functional model.

    Models within the model are dissolved, a layer without weights that is used several
    times becomes several, a fixed batch size becomes a free one, a separable convolution
    becomes the two that it is made of, and Rescaling and Normalization of images become
    depthwise convolutions, which can be quantised.

    Args:
        model: a Sequential or functional model of Keras 3 or tf_keras.

    Raises: CannotRebuild naming the layer.
    """
    inputs = [
        tf_keras.Input(tuple(tensor.shape)[1:], name=_input_name(tensor), dtype=_dtype(tensor))
        for tensor in model.inputs
    ]
    outputs = _Rebuilder().walk(model, inputs)
    return tf_keras.Model(inputs, outputs)


def difference(first: Any, second: Any, x: NDArray[Any]) -> float:
    """Largest absolute difference of two models' outputs on x (N, ...)."""
    pairs = zip(_outputs(first, x), _outputs(second, x), strict=True)
    return max(float(np.max(np.abs(a - b))) for a, b in pairs)


def needs_rebuild(model: Any) -> bool:
    """Whether a tf_keras model is not yet what this module makes of it."""
    layers = [_layer(node) for node in _nodes(model)]
    return len(set(map(id, layers))) < len(layers) or any(
        is_model(layer) or type(layer).__name__ in {*_AFFINE, _SEPARABLE} for layer in layers
    )


def is_model(layer: Any) -> bool:
    """Whether a layer is a model with layers of its own."""
    return hasattr(layer, "layers") and hasattr(layer, "inputs")


@dataclass(slots=True)
class _Rebuilder:
    """Keeps account of the layers that were rebuilt, and of the names that are taken."""

    done: set[int] = field(default_factory=set)
    names: set[str] = field(default_factory=set)

    def walk(self, model: Any, tensors: list[Any]) -> list[Any]:
        """Call the twins of a model's layers on the twins of its inputs."""
        made = {id(old): new for old, new in zip(model.inputs, tensors, strict=True)}

        def translate(value: Any) -> Any:
            return made.get(id(value), value)

        for node in _nodes(model):
            layer = _layer(node)
            args, kwargs, results = _call_of(node)
            args = tf.nest.map_structure(translate, args)
            kwargs = {
                key: tf.nest.map_structure(translate, value)
                for key, value in kwargs.items()
                if value is not None and key != "training"
            }
            if is_model(layer):
                new = self.walk(layer, _tensors(args, kwargs))
            else:
                try:
                    new = tf.nest.flatten(self._call(layer, args, kwargs))
                except Exception as error:
                    kind = type(layer).__name__
                    raise CannotRebuild(
                        f"layer {layer.name} ({kind}): {first_line(error)}"
                    ) from error
            made |= {id(old): twin for old, twin in zip(results, new, strict=True)}
        return [made[id(tensor)] for tensor in model.outputs]

    def _call(self, layer: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if not hasattr(layer, "get_weights"):
            return self._merge(layer, _tensors(args, kwargs))
        weights = layer.get_weights()
        # tfmot wires up a model by the names of its layers, and takes one that is used
        # twice for used once: another model, without a word.
        if weights and id(layer) in self.done:
            raise CannotRebuild("is used more than once, which tfmot cannot train")
        self.done.add(id(layer))
        kind = type(layer).__name__
        if kind in _AFFINE:
            (x,) = _tensors(args, kwargs)
            return _depthwise(layer, self._name(layer.name), x)
        if kind == _SEPARABLE:
            (x,) = _tensors(args, kwargs)
            names = self._name(f"{layer.name}_depthwise"), self._name(layer.name)
            return _apart(layer, names, x)
        twin = _twin(layer, self._name(layer.name))
        new = twin(*args, **kwargs)
        if weights:
            twin.set_weights(weights)
        return new

    def _merge(self, operation: Any, tensors: list[Any]) -> Any:
        kind = _MERGES.get(type(operation).__name__)
        if kind is None or len(tensors) != 2 or tensors[0].shape != tensors[1].shape:
            raise CannotRebuild("an operation, not a layer; use the layer that does the same")
        return getattr(tf_keras.layers, kind)(name=self._name(operation.name))(tensors)

    def _name(self, wanted: str) -> str:
        """A name of its own, as tf_keras demands of the layers of one model."""
        name, count = wanted, 1
        while name in self.names:
            name, count = f"{wanted}_{count}", count + 1
        self.names.add(name)
        return name


def _nodes(model: Any) -> Iterator[Any]:
    """The calls that make up a functional model, inputs first; those of its inputs not."""
    graph = getattr(model, "_functional", None) or model
    if not hasattr(graph, "_nodes_by_depth"):
        raise CannotRebuild(
            f"{model.name} ({type(model).__name__}) computes in code of its own, not by layers "
            "that are wired up; only Sequential and functional models can be rebuilt"
        )
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if not node.is_input:
                yield node


def _layer(node: Any) -> Any:
    return node.operation if hasattr(node, "operation") else node.layer


def _call_of(node: Any) -> tuple[Any, dict[str, Any], list[Any]]:
    """Arguments and results of one call, in whichever Keras."""
    if hasattr(node, "arguments"):
        return node.arguments.args, node.arguments.kwargs, list(node.output_tensors)
    return node.call_args, node.call_kwargs, tf.nest.flatten(node.outputs)


def _tensors(args: Any, kwargs: Mapping[str, Any]) -> list[Any]:
    return [value for value in tf.nest.flatten((args, kwargs)) if tf.is_tensor(value)]


def _twin(layer: Any, name: str) -> Any:
    kind = type(layer).__name__
    config = layer.get_config()
    if isinstance(layer, tf_keras.layers.Layer):
        return type(layer).from_config({**config, "name": name})
    maker = getattr(tf_keras.layers, kind, None)
    if maker is None:
        raise CannotRebuild("tf_keras has no such layer")
    known, defaults = _parameters(maker), _parameters(type(layer))
    kept = {}
    for key, value in config.items():
        # Of no more use once the weights are copied, or written otherwise in tf_keras.
        if key in ("dtype", "name") or key.endswith(("_initializer", "_constraint")):
            continue
        key = _RENAMED.get(kind, {}).get(key, key)
        if key in known or key in ("trainable",):
            kept[key] = _plain(value)
        elif value is not None and value != defaults.get(key, value):
            raise CannotRebuild(f"tf_keras has no setting {key} there")
    return maker.from_config({**kept, "name": name})


def _depthwise(layer: Any, name: str, x: Any) -> Any:
    """The same x * scale + offset by channel as a 1x1 convolution of x."""
    channels = x.shape[-1]
    if len(x.shape) != 4 or channels is None:
        raise CannotRebuild("only that of images (N, H, W, C) can be quantised")
    # What it does to 0 and 1 says what it is, in whichever of its settings that stands.
    ends = np.stack([np.zeros(channels, np.float32), np.ones(channels, np.float32)])
    offset, top = np.asarray(layer(tf.constant(ends.reshape(2, 1, 1, channels)))).reshape(2, -1)
    twin = tf_keras.layers.DepthwiseConv2D(1, name=name, trainable=False)
    new = twin(x)
    twin.set_weights([(top - offset).reshape(1, 1, channels, 1), offset])
    return new


def _apart(layer: Any, names: tuple[str, str], x: Any) -> Any:
    """A separable convolution of x as a depthwise and a pointwise one."""
    config = layer.get_config()
    same = ("kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate")
    depthwise = tf_keras.layers.DepthwiseConv2D(
        **{key: config[key] for key in same}, use_bias=False, name=names[0]
    )
    pointwise = tf_keras.layers.Conv2D(
        config["filters"],
        1,
        activation=_plain(config["activation"]),
        use_bias=config["use_bias"],
        name=names[1],
    )
    new = pointwise(depthwise(x))
    first, *rest = layer.get_weights()
    depthwise.set_weights([first])
    pointwise.set_weights(rest)
    return new


def _parameters(kind: type) -> dict[str, Any]:
    """Name -> default of what a layer's constructor and those of its bases take."""
    found: dict[str, Any] = {}
    for base in kind.__mro__:
        if "__init__" in vars(base):
            for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items():
                found.setdefault(name, parameter.default)
    return found


def _plain(value: Any) -> Any:
    """Keras 3 writes nested objects with their module; tf_keras wants class and config."""
    if isinstance(value, dict):
        if {"class_name", "config", "module"} <= value.keys():
            return {"class_name": value["class_name"], "config": _plain(value["config"])}
        return {key: _plain(item) for key, item in value.items()}
    return value


def _outputs(model: Any, x: NDArray[Any]) -> list[NDArray[Any]]:
    return [np.asarray(output) for output in tf.nest.flatten(model(x, training=False))]


def _input_name(tensor: Any) -> str:
    return str(tensor.name).split(":", maxsplit=1)[0]


def _dtype(tensor: Any) -> str:
    return tensor.dtype if isinstance(tensor.dtype, str) else str(tensor.dtype.name)
