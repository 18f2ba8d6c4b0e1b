"""Colours of all charts, and how each variant looks: a colour and which half of it is filled."""

from __future__ import annotations

from typing import Literal, TypeAlias

Fill: TypeAlias = Literal["full", "left", "right", "bottom", "top", "none"]

# Stands for the page's text colour until the chart is written, and is none of the others.
INK = "#3a3b3c"

# Half are Okabe and Ito's. The others were searched for: any two differ by at least 17 in
# CIELAB to eyes of every colour vision, and each has a contrast of at least 1.7 to both
# grounds of a page. They fill half of a mark, so that colour is never all that tells.
_LOOKS: dict[str, tuple[str, Fill]] = {
    "fp32": ("#555566", "full"),
    "fp16": ("#56b4e9", "full"),
    "dynamic": ("#009e73", "full"),
    "dynamic-int4": ("#99cc88", "left"),
    "weight-int8": ("#cccc00", "right"),
    "int8": ("#d55e00", "full"),
    "int8-uint8-io": ("#884422", "left"),
    "int8-float-io": ("#bb55ff", "right"),
    "int8-qat": ("#cc79a7", "full"),
    "int16x8": ("#0072b2", "full"),
    "int8-edgetpu": ("#4422aa", "left"),
    "select-tf-ops": ("#8800ff", "bottom"),
}
_OTHER: tuple[str, Fill] = ("#e69f00", "top")


def colour(variant: str) -> str:
    """As "#rrggbb"."""
    return _LOOKS.get(variant, _OTHER)[0]


def fill(variant: str) -> Fill:
    """Which part of its mark is filled."""
    return _LOOKS.get(variant, _OTHER)[1]
