"""Which temperature sensor sits where, and which of its readings can be true."""

from __future__ import annotations

import math
import re
from typing import Literal

Place = Literal["soc", "skin", "battery"]

# Names that kernels give them. acpitz is left out: on many boards it is a constant. A GPU,
# modem or charger sensor is none of the three. Battery and skin come first: vendors name
# skin sensors after what they lie over ("cpu-skin").
_PLACES: tuple[tuple[Place, re.Pattern[str]], ...] = (
    ("battery", re.compile(r"^(mtkts|mtk-)?batt(ery|_therm|_temp)?$", re.IGNORECASE)),
    ("skin", re.compile(r"skin", re.IGNORECASE)),
    (
        "soc",
        re.compile(
            r"cpu|soc|pkg_temp|tctl|^(big|mid|little)\b|coretemp|k10temp|zenpower", re.IGNORECASE
        ),
    ),
)
# Outside of it a sensor is off (0), unplugged (-274) or counts in another unit.
_PLAUSIBLE_C = (1.0, 150.0)


def place_of(name: str) -> Place | None:
    """Where the sensor of that name sits; None where it is none of the three or not known."""
    return next((place for place, pattern in _PLACES if pattern.search(name)), None)


def celsius(reading: str, per_degree: int) -> float | None:
    """A sensor's whole number as degrees; None where it is no number or cannot be true.

    Args:
        per_degree: 1000 for thermal zones and hwmon, 10 for power supplies and batteries.
    """
    if not re.fullmatch(r"-?[0-9]{1,9}", reading):
        return None
    return plausible_c(int(reading) / per_degree)


def plausible_c(degrees: float) -> float | None:
    """The temperature itself, or None where no running device can have it."""
    low, high = _PLAUSIBLE_C
    return degrees if math.isfinite(degrees) and low <= degrees <= high else None
