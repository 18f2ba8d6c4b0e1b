"""What the TensorFlow Lite converter refuses, in one line: which op, of which layer, and
what to do. Knows no TensorFlow: it reads the errors that the converter raised.

A ConverterError carries `errors`, each with `operator.name` ("tf.Erf"), `error_code` and
`location.call`, of which the first names the node by its scopes, as in
"model/block/erf/Erf@__inference_serve_12"; its text buries all that in a page of MLIR.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from bench.format import first_line

# Values of ConverterErrorData.ErrorCode, tensorflow/compiler/mlir/lite/metrics.
_NEEDS_FLEX_OPS = 1
_NEEDS_CUSTOM_OPS = 2

_NO_INTEGER_KERNEL = re.compile(r"Quantization (?:to (\S+) )?not yet supported for op: '(\w+)'")
# What Keras calls a model that got no name; it says nothing about the place.
_MODEL_SCOPE = re.compile(r"(functional|model|sequential)(_\d+)*")
# An activation without a kernel may stand behind every layer of a deep model.
_MOST_PLACES = 8
_SHAPELESS_LIST = "requires element_shape to be static"


class CannotConvert(Exception):
    """The converter refused; the message is one line.

    Attributes:
        kind: of the Failure: "unsupported" where an op stands in the way, else "convert".
        every_variant: whether it stands in the way of every variant of built-in ops.
    """

    def __init__(self, message: str, kind: str = "convert", *, every_variant: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.every_variant = every_variant


def explain(error: Exception, variant: str, layers: Sequence[str]) -> CannotConvert:
    """Turn what the converter raised while it made a variant into one line.

    Args:
        layers: names of the model's layers; () where the source has none.
    """
    entries = list(getattr(error, "errors", ()))
    flex = _ops(entries, _NEEDS_FLEX_OPS, layers)
    lost = _ops(entries, _NEEDS_CUSTOM_OPS, layers)
    if flex or lost:
        return CannotConvert(_no_kernel(flex, lost), "unsupported", every_variant=True)
    if _SHAPELESS_LIST in str(error):
        where = _places((_node(entry) for entry in entries), layers)
        return CannotConvert(
            f"{where} runs in a loop over a sequence whose length, or the batch, is not fixed; "
            "build the layer with unroll=True, or export a SavedModel from a function whose "
            "input_signature fixes every dimension",
            "unsupported",
            every_variant=True,
        )
    if found := _NO_INTEGER_KERNEL.search(str(error)):
        return CannotConvert(
            f"{found[2]} has a float kernel, but the converter has no {found[1] or 'int8'} one "
            f"for it, so {variant} cannot be made; replace the layer, or leave {variant} out",
            "unsupported",
        )
    return CannotConvert(f"{type(error).__name__}: {first_line(error)}")


def loops(nodes: Sequence[str], variant: str, layers: Sequence[str]) -> CannotConvert:
    """Why a model with loops is not calibrated: the converter crashes (TensorFlow 2.21).

    Args:
        nodes: names of the While nodes.
    """
    return CannotConvert(
        f"{_places(nodes, layers)} runs in a loop (WHILE), which the converter cannot calibrate "
        f"for {variant}; build the layer with unroll=True, or leave the calibrated variants out",
        "unsupported",
    )


def place(node: str, layers: Sequence[str]) -> str:
    """The layer that a node's name says, or its scope where no layer is known by that
    name; "" if it says neither.

    >>> place("functional_1/erf_1/Erf@__inference_serve_12", ["input", "erf"])
    'layer erf'
    >>> place("encoder/attention/Erf", [])
    'scope encoder/attention'
    """
    scopes = node.split("@", 1)[0].split("/")[:-1]
    for scope in reversed(scopes):
        # Keras 3 numbers a scope that it enters once more: layer erf becomes erf_1.
        for name in (scope, re.sub(r"_\d+$", "", scope)):
            if name in layers:
                return f"layer {name}"
    if scopes and _MODEL_SCOPE.fullmatch(scopes[0]):
        del scopes[0]
    return f"scope {'/'.join(scopes)}" if scopes else ""


def _no_kernel(flex: Sequence[str], lost: Sequence[str]) -> str:
    parts = []
    if flex:
        parts.append(f"TFLite has no kernel for {', '.join(flex)}")
    if lost:
        also = "it has none either" if flex else "TFLite has no kernel"
        parts.append(f"{also} for {', '.join(lost)}, nor can TensorFlow's own stand in")
    if lost:
        return "; ".join(parts) + "; replace the layer"
    return "; ".join(parts) + (
        "; replace the layer, or add the variant select-tf-ops, which keeps TensorFlow's own "
        "ops and needs a runtime that has them"
    )


def _ops(entries: Sequence[Any], code: int, layers: Sequence[str]) -> tuple[str, ...]:
    """Each op with the places it comes from: "Erf (layer erf)"."""
    nodes: dict[str, list[str]] = {}
    for entry in entries:
        if entry.error_code == code and entry.operator.name:
            op = entry.operator.name.removeprefix("tf.")
            nodes.setdefault(op, []).append(_node(entry))
    found = []
    for op, names in sorted(nodes.items()):
        where = _places(names, layers, otherwise="")
        found.append(f"{op} ({where})" if where else op)
    return tuple(found)


def _node(entry: Any) -> str:
    return str(entry.location.call[0].name) if entry.location.call else ""


def _places(nodes: Iterable[str], layers: Sequence[str], otherwise: str = "the model") -> str:
    places = sorted({place(node, layers) for node in nodes} - {""})
    more = len(places) - _MOST_PLACES
    if more > 0:
        places[_MOST_PLACES:] = [f"{more} more"]
    return ", ".join(places) or otherwise
