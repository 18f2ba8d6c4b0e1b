"""Compares the value ranges of sets of samples, because a wrongly scaled one ruins int8.

Under-range is what kills: calibrated on values 16 times too small, or on dark images, an
int8 model clips all that it meets later, while a set that is too wide costs resolution
only. One class, noise in the right range or inverted images calibrate well, so nothing
here looks at more than the range and its spread.

Ranges are quantiles (0.1 and 99.9 %), so that a few outliers say nothing of the scaling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from bench.format import counted, percent
from bench.samples.spread import Spread, spreads
from bench.tflite.values import real_range
from bench.variants.arrays import Samples

# The advice for post-training quantisation; accuracy does not grow beyond it.
ADVISED_MIN, ADVISED_MAX = 100, 500

_SPREAD = 4.0
# Min/max calibration gives the whole range to an outlier; up to some 16 times it is harmless.
_OUTLIER = 32.0
_UNUSED = 0.75


class _Limits(NamedTuple):
    """Shares of the reference's width: what may be missing at one end, what may lie beyond
    it, and how narrow a range may be."""

    missing: float
    beyond: float
    narrow: float


_ALL_VALUES = _Limits(0.25, 0.5, 0.6)
# One channel of a few photographs may honestly be darker than of many.
_ONE_CHANNEL = _Limits(0.5, 1.0, 0.2)


class QuantisedInput(Protocol):
    """What is asked of a model's input; scale None if it is not quantised."""

    @property
    def dtype(self) -> str: ...
    @property
    def scale(self) -> float | None: ...
    @property
    def zero_point(self) -> int | None: ...


def compare_samples(
    calibration: Samples | None, holdout: Samples | None, train: Samples | None
) -> tuple[str, ...]:
    """What is odd about the ranges of these sets, one sentence each; () if nothing is.

    The training set, where there is one, is what the others are held against. Token ids
    and other wide integers have no scaling and are left alone.
    """
    found: list[str] = []
    given = {"calibration": calibration, "holdout": holdout, "train": train}
    scaled = {role: s for role, s in given.items() if s is not None and _is_scaled(s.x)}
    sets = {role: spreads(samples.x) for role, samples in scaled.items()}
    called = {role: f"{role} {samples.name}" for role, samples in scaled.items()}
    for role in ("calibration", "holdout"):
        if role in sets and "train" in sets:
            found += _against(called[role], sets[role], "the training set", sets["train"])
    if not found and "calibration" in sets and "holdout" in sets:
        found += _against(
            called["calibration"], sets["calibration"], "the holdout", sets["holdout"]
        )
    if not found and "calibration" in sets:
        found += _constant(called["calibration"], sets["calibration"][0])
    return tuple(found)


def compare_with_input(inputs: Sequence[QuantisedInput], holdout: Samples) -> tuple[str, ...]:
    """Whether the holdout fits what a quantised model's input can represent.

    Says nothing of float inputs, and of models with several, whose holdout is not one array.
    """
    if len(inputs) != 1 or not _is_scaled(holdout.x):
        return ()
    (given,) = inputs
    if given.scale is None or given.dtype not in ("INT8", "UINT8", "INT16"):
        return ()
    held = real_range(given.dtype, given.scale, given.zero_point or 0)
    if held is None:
        return ()
    low, high = held
    values = spreads(holdout.x)[0]
    text = (
        f"the model's {given.dtype.lower()} input represents {_number(low)} to {_number(high)}, "
        f"the holdout spans {_number(values.low)} to {_number(values.high)}"
    )
    beyond = max(low - values.low, values.high - high)
    half_step = given.scale / 2
    if beyond > max(_ALL_VALUES.missing * values.width, half_step):
        share = values.share_outside(low - half_step, high + half_step)
        return (
            f"{text}: {percent(share, 1)} of its values are clipped; calibrate with samples "
            "scaled like the holdout",
        )
    used = max(0.0, min(values.high, high) - max(values.low, low)) / (high - low)
    # 16 bits have steps to spare.
    if given.dtype != "INT16" and 1 - used > _UNUSED:
        return (
            f"{text}: {percent(1 - used, 1)} of the range, and with it of the "
            "256 steps, is unused; calibrate with samples scaled like the holdout",
        )
    return ()


def advise_count(samples: int) -> str | None:
    """What to say of the number of calibration samples; None if it is enough."""
    if samples >= ADVISED_MIN:
        return None
    return (
        f"{counted(samples, 'calibration sample')}: {ADVISED_MIN} to {ADVISED_MAX} are advised, "
        "since values beyond those seen in calibration are clipped"
    )


def _is_scaled(x: NDArray[Any]) -> bool:
    """Floats and 8-bit pixels; wider integers are ids, booleans are flags."""
    return x.size > 0 and (x.dtype.kind == "f" or (x.dtype.kind in "iu" and x.itemsize == 1))


def _against(
    name: str, ours: tuple[Spread, ...], other: str, theirs: tuple[Spread, ...]
) -> list[str]:
    """All values first; single channels only where those fit."""
    if found := _constant(name, ours[0]):
        return found
    if theirs[0].width == 0:
        return []
    if sentence := _compare(name, ours[0], other, theirs[0], _ALL_VALUES):
        return [sentence]
    if len(ours) != len(theirs):
        return []
    sentences = [
        _compare(f"channel {channel} of {name}", a, other, b, _ONE_CHANNEL)
        for channel, (a, b) in enumerate(zip(ours[1:], theirs[1:], strict=True))
        if b.width > 0
    ]
    return [sentence for sentence in sentences if sentence]


def _constant(name: str, ours: Spread) -> list[str]:
    if ours.minimum != ours.maximum:
        return []
    return [
        f"every value of {name} is {_number(ours.minimum)}: it says nothing about the ranges "
        "that the model meets; give real samples, scaled as in training"
    ]


def _compare(name: str, ours: Spread, other: str, theirs: Spread, limits: _Limits) -> str | None:
    """One sentence if the ranges differ by more than sets of the same scaling do."""
    lacks = max(ours.low - theirs.low, theirs.high - ours.high) / theirs.width
    beyond = max(theirs.low - ours.low, ours.high - theirs.high) / theirs.width
    wide = ours.width / theirs.width
    ranges = (
        f"{name} spans {_number(ours.low)} to {_number(ours.high)}, {other} "
        f"{_number(theirs.low)} to {_number(theirs.high)}"
    )
    if lacks > limits.missing or wide < limits.narrow:
        share = theirs.share_outside(ours.low, ours.high)
        return (
            f"{ranges}: {_looks(wide)}; {percent(share, 1)} of the values of {other} lie "
            "outside; scale both as in training"
        )
    if beyond > limits.beyond:
        return f"{ranges}: {_looks(wide)}; scale both as in training"
    if ours.std * _SPREAD < theirs.std or theirs.std * _SPREAD < ours.std:
        return (
            f"{ranges}, but {name} has a standard deviation of {_number(ours.std)}, {other} "
            f"{_number(theirs.std)}: as if scaled otherwise, with a few outliers; look at both"
        )
    out = max(theirs.low - ours.minimum, ours.maximum - theirs.high) / theirs.width
    if out > _OUTLIER:
        farthest = max(ours.minimum, ours.maximum, key=abs)
        return (
            f"{ranges}, but {name} has outliers up to {_number(farthest)}, to which an int8 "
            "range would be given; remove them"
        )
    return None


_SAY = " (0..1 against -1..1, say)"


def _looks(wide: float) -> str:
    """What a range looks like that is `wide` times as wide as it should be."""
    if wide == 0:
        return "as if almost empty"
    if wide < 1 / 8:
        return f"1/{1 / wide:.0f} as wide, as if scaled twice"
    if wide < 0.75:
        return f"{wide:.2g} times as wide, as if dark, or scaled otherwise{_SAY}"
    if wide > 8:
        return f"{wide:.0f} times as wide, as if not scaled at all"
    return f"{wide:.2g} times as wide, as if scaled otherwise{_SAY}"


def _number(value: float) -> str:
    return f"{value:.4g}"
