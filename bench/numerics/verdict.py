"""Numerics -> a verdict, by stated thresholds for each kind of arithmetic.

Where the thresholds come from stands in docs/numerics.md; nothing here is taken from a plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.format import counted, percent
from bench.identity import DelegateSpec
from bench.numerics.model import Numerics, NumericsVerdict, NumericsWord, OutputNumbers


@dataclass(frozen=True, slots=True)
class Limits:
    """What one kind of arithmetic may do to an answer.

    "error" is the rms of the differences over the signal: the smaller of the rms and of half
    the range of the reference's values, so that a constant offset hides nothing.

    Attributes:
        arithmetic: for people.
        ok_error, ok_max: OK up to both, the latter of the largest difference over the range.
        wrong_error, wrong_max: WRONG above either; None where single elements may jump.
        ok_ulps: OK as well up to so many units in the last place of the largest value.
        epsilon: relative size of such a unit; 0 where it plays no part.
        ok_steps: of a quantised output, OK as well up to so many of its steps.
    """

    arithmetic: str
    ok_error: float
    ok_max: float
    wrong_error: float
    wrong_max: float | None
    epsilon: float = 0.0
    ok_ulps: int = 16
    ok_steps: int = 2


FLOAT32 = Limits("float32", 1e-3, 1e-2, 0.1, 0.5, epsilon=2.0**-23)
FLOAT16 = Limits("float16", 2e-2, 5e-2, 0.3, 0.5, epsilon=2.0**-10)
DYNAMIC = Limits("int8 weights and activations quantised on the way", 5e-2, 0.1, 0.7, None)
INTEGER = Limits("integer", 0.1, 0.2, 0.7, None)

# Whole numbers that stand for themselves (classes, indices, masks): shares that may differ.
OK_DIFFERING = 0.01
WRONG_DIFFERING = 0.5
# Top-1 answers that may differ where all values are within the limits: near-ties.
OK_DISAGREEING = 0.01
WRONG_AGREEMENT = 0.5
LEAST_FOR_WRONG = 4

_QUANTISED = ("int8", "int8-uint8-io", "int8-float-io", "int8-qat", "int8-edgetpu", "int16x8")
_DYNAMIC = ("dynamic", "dynamic-int4")
# What computes in float16 unless told otherwise, or does not say.
_HALF = ("gpu", "npu", "external", "edgetpu", "hexagon")
_SINGLE_OPTIONS = {
    "precision": "fp32",
    "gpu-precision": "fp32",
    "gpu_precision_loss_allowed": "false",
}
_HALF_OPTIONS = ("xnnpack_force_fp16", "nnapi_allow_fp16", "allow_fp16")
_ORDER = (NumericsWord.OK, NumericsWord.UNKNOWN, NumericsWord.DIFFERS, NumericsWord.WRONG)


def limits_of(variant: str, delegate: DelegateSpec) -> Limits:
    """By which limits a variant on a delegate is judged."""
    if variant in _QUANTISED:
        return INTEGER
    if variant in _DYNAMIC:
        return DYNAMIC
    options = dict(delegate.options)
    if any(options.get(name) == "true" for name in _HALF_OPTIONS):
        return FLOAT16
    if any(options.get(name) == value for name, value in _SINGLE_OPTIONS.items()):
        return FLOAT32
    return FLOAT16 if delegate.name in _HALF else FLOAT32


def judge_numerics(numerics: Numerics, *, variant: str, delegate: DelegateSpec) -> NumericsVerdict:
    """OK, DIFFERS, WRONG or UNKNOWN, with its reasons: that of the worst output."""
    if not numerics.outputs:
        return NumericsVerdict(NumericsWord.UNKNOWN, ("the model has no outputs",))
    limits = limits_of(variant, delegate)
    found = [_judge(output, limits, numerics) for output in numerics.outputs]
    word = max((word for word, _ in found), key=_ORDER.index)
    if word is NumericsWord.OK and all(output.same_for_all for output in numerics.outputs):
        same = "every sample gets the same answer, so that whoever ignores the input would pass"
        return NumericsVerdict(NumericsWord.UNKNOWN, (same,))
    reasons = [
        f"{output.name}: {reason}" if len(found) > 1 else reason
        for output, (each, reason) in zip(numerics.outputs, found, strict=True)
        if each is word
    ]
    if (accuracy := numerics.accuracy) is not None:
        by = (
            ""
            if accuracy.reference_value is None
            else f", {accuracy.reference_value:.4g} with plain kernels"
        )
        reasons.append(
            f"{accuracy.metric} on the device {accuracy.value:.4g}{by}; "
            f"{accuracy.samples} of {counted(accuracy.of, 'sample')}"
        )
    return NumericsVerdict(word, tuple(reasons))


def _judge(output: OutputNumbers, limits: Limits, numerics: Numerics) -> tuple[NumericsWord, str]:
    if output.spoilt:
        which = f"{output.nan} NaN and {output.inf} infinite"
        return (
            NumericsWord.WRONG,
            f"{which} numbers, {output.spoilt} of them where the reference has a finite one",
        )
    if output.max_abs is None or output.rms is None or output.reference_max_abs is None:
        return NumericsWord.UNKNOWN, "nothing that is finite in both could be compared"
    if output.reference_nonfinite > output.nan + output.inf:
        return (
            NumericsWord.DIFFERS,
            f"the reference has {counted(output.reference_nonfinite, 'number')} that are not "
            f"finite, the device {output.nan + output.inf}",
        )
    if output.max_abs == 0:
        return NumericsWord.OK, "equal to the reference"
    if output.scale is None and np.dtype(output.dtype).kind in "iub":
        return _whole_numbers(output)
    word, reason = _values(output, INTEGER if output.scale is not None else limits)
    return _with_top1(word, reason, output, numerics)


def _whole_numbers(output: OutputNumbers) -> tuple[NumericsWord, str]:
    share = 1.0 if output.differing is None else output.differing
    reason = f"{percent(share)} of its whole numbers are others"
    if share > WRONG_DIFFERING:
        return NumericsWord.WRONG, reason
    return (NumericsWord.OK if share <= OK_DIFFERING else NumericsWord.DIFFERS), reason


def _values(output: OutputNumbers, limits: Limits) -> tuple[NumericsWord, str]:
    assert output.max_abs is not None
    assert output.rms is not None
    largest, spread = output.reference_max_abs or 0.0, output.reference_range or 0.0
    if output.scale is not None:
        steps = output.max_abs / output.scale
        if steps <= limits.ok_steps + 1e-6:
            return NumericsWord.OK, f"within {counted(round(steps), 'step')} of the output's scale"
    elif output.max_abs <= limits.ok_ulps * limits.epsilon * largest:
        return (
            NumericsWord.OK,
            f"within {limits.ok_ulps} units in the last place of {limits.arithmetic}",
        )
    signal = min(output.reference_rms or 0.0, spread / 2) if spread else output.reference_rms or 0.0
    if signal == 0:
        return NumericsWord.UNKNOWN, "the reference is zero throughout: there is no scale"
    error, jump = output.rms / signal, output.max_abs / (spread or largest)
    figures = f"error {error:.2g} of the signal, at most {jump:.2g} of the range"
    if output.scale is not None:
        figures += f" ({round(output.max_abs / output.scale)} steps)"
    if error > limits.wrong_error or (limits.wrong_max is not None and jump > limits.wrong_max):
        return NumericsWord.WRONG, f"{figures}: no rounding of {limits.arithmetic} explains that"
    if error <= limits.ok_error and jump <= limits.ok_max:
        return NumericsWord.OK, f"{figures}, within {limits.arithmetic}"
    return (
        NumericsWord.DIFFERS,
        f"{figures}; {limits.arithmetic} is expected to keep {limits.ok_error:g} and "
        f"{limits.ok_max:g}",
    )


def _with_top1(
    word: NumericsWord, reason: str, output: OutputNumbers, numerics: Numerics
) -> tuple[NumericsWord, str]:
    """Other classes count where the inputs are real: on a draw all classes are nearly tied."""
    agreement = output.top1_agreement
    if agreement is None or agreement == 1:
        return word, reason
    others = round((1 - agreement) * numerics.samples)
    reason = f"{reason}; another class for {others} of {counted(numerics.samples, 'sample')}"
    if numerics.inputs != "holdout":
        return word, reason
    if word is NumericsWord.OK and others > max(1, OK_DISAGREEING * numerics.samples):
        return NumericsWord.DIFFERS, reason
    many = numerics.samples >= LEAST_FOR_WRONG and agreement < WRONG_AGREEMENT
    if word is NumericsWord.DIFFERS and many:
        return NumericsWord.WRONG, reason
    return word, reason
