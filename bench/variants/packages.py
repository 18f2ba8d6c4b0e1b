"""Which packages making variants needs, and the command that installs them."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from bench.variants.recipe import RECIPES


def install_hint(extra: str = "convert") -> str:
    """The command that mends a missing package."""
    return f"install it with: pip install 'edgebench[{extra}]'"


def missing_packages(variants: Sequence[str], *, of_tflite: bool = False) -> tuple[str, ...]:
    """Packages that making these variants needs and that are not installed.

    Args:
        of_tflite: made of an fp32 .tflite, so that TensorFlow plays no part.
    """
    needed: list[str] = []
    if not of_tflite:
        needed += ["tensorflow", "tf_keras"]
    if any(RECIPES[v].needs_training for v in variants):
        needed.append("tensorflow_model_optimization")
    if of_tflite or any(RECIPES[v].by_quantizer for v in variants):
        needed.append("ai_edge_quantizer")
    return tuple(name for name in needed if importlib.util.find_spec(name) is None)
