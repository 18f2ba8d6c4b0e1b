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
    ("Model is not fully accelerated", "delegate"),
    ("Some ops are not accelerated", "delegate"),
    ("failed to invoke", "invoke"),
    ("Failed to invoke", "invoke"),
    ("Run failed", "invoke"),
    ("Profile is not implemented", "invoke"),
    ("Failed to parse flag", "flag"),
    ("Invalid gpu-precision", "flag"),
    ("is not supported. Supported values are", "flag"),
    ("Wrong input", "inputs"),
    ("Input tensor", "inputs"),
    ("input_layer", "inputs"),
    ("It should be", "inputs"),
    ("Inputs mismatch", "inputs"),
    ("Any unknown sizes in the shapes", "inputs"),
    ("Incorrect size string", "inputs"),
    ("any delimiter", "inputs"),
    ("more than one delimiter", "inputs"),
    ("PrepareInputData", "inputs"),
    ("Signature key is specified, but", "signature"),
    ("Signature not specified", "signature"),
    ('Signature "', "signature"),
    ("specify the name of your TF Lite input file", "usage"),
    ("unresolved custom op", "load"),
    ("Select TensorFlow op", "load"),
    ("Didn't find op for builtin", "load"),
    ("Op builtin_code out of range", "load"),
    ("Failed to allocate", "allocate"),
    ("failed to prepare", "allocate"),
    ("Could not open", "load"),
    ("Model file not found", "load"),
    ("model identifier", "load"),
    ("not a valid Flatbuffer", "load"),
    ("mmap of size", "load"),
    ("Mmap of", "load"),
    ("Failed to load model", "load"),
    ("Failed to mmap model", "load"),
    ("Failed to initialize model loader", "load"),
    ("Failed to initialize the interpreter", "load"),
    ("Failed to construct interpreter", "load"),
)


def reason(said: Iterable[str]) -> tuple[str, str] | None:
    """(kind, the line that says it) of lines without their level; None if no line fits."""
    lines = list(said)
    for word, kind in _REASONS:
        for line in lines:
            if word in line:
                return kind, line
    return None
