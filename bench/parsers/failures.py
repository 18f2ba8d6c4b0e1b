"""What a benchmark tool or its runtime said at ERROR -> the kind of failure.

Wordings: LiteRT, tflite/tools/benchmark/*.cc, tflite/core/**, litert/tools/*.cc.
"""

from __future__ import annotations

from collections.abc import Iterable

# Part of the reason -> kind of failure; the first that fits, whatever line it is in.
_REASONS = (
    ("Disallowed CPU fallback", "delegate"),
    ("Requesting full delegation", "delegate"),
    ("Failed to apply", "delegate"),
    ("failed to invoke", "invoke"),
    ("Run failed", "invoke"),
    ("Profile is not implemented", "invoke"),
    ("Failed to parse flag", "flag"),
    ("Invalid gpu-precision", "flag"),
    ("is not supported. Supported values are", "flag"),
    ("Wrong input", "inputs"),
    ("Input tensor", "inputs"),
    ("input_layer", "inputs"),
    ("It should be", "inputs"),
    ("Signature not specified", "signature"),
    ("specify the name of your TF Lite input file", "usage"),
    ("unresolved custom op", "load"),
    ("Select TensorFlow op", "load"),
    ("Failed to allocate", "allocate"),
    ("failed to prepare", "allocate"),
    ("Could not open", "load"),
    ("Model file not found", "load"),
    ("model identifier", "load"),
    ("not a valid Flatbuffer", "load"),
    ("mmap of size", "load"),
    ("Mmap of", "load"),
    ("Failed to load model", "load"),
)


def reason(said: Iterable[str]) -> tuple[str, str] | None:
    """(kind, the line that says it) of lines without their level; None if no line fits."""
    lines = list(said)
    for word, kind in _REASONS:
        for line in lines:
            if word in line:
                return kind, line
    return None
