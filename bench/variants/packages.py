"""Which packages making variants needs, and the command that installs them."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence


def install_hint(extra: str = "convert") -> str:
    """The command that mends a missing package."""
    return f"install it with: pip install 'edgebench[{extra}]'"


def missing_packages(variants: Sequence[str]) -> tuple[str, ...]:
    """Packages that making these variants needs and that are not installed."""
    needed = ["tensorflow", "tf_keras"]
    if "int8-qat" in variants:
        needed.append("tensorflow_model_optimization")
    return tuple(name for name in needed if importlib.util.find_spec(name) is None)
