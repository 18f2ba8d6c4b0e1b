"""Nested facts as pairs of text, for every medium."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench import format as fmt


def flatten(values: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Nested facts as (dotted name, text) pairs, in the order they stand in."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            pairs.extend(flatten(value, f"{name}."))
        elif value is None:
            pairs.append((fmt.visible(name), fmt.ABSENT))
        elif isinstance(value, str):
            pairs.append((fmt.visible(name), fmt.visible(value)))
        else:
            text = json.dumps(value, ensure_ascii=False, default=str)
            pairs.append((fmt.visible(name), fmt.visible(text)))
    return tuple(pairs)
