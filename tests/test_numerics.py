"""Figures of how far answers lie apart, and the verdict on them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.identity import DelegateSpec
from bench.numerics import figures as figures_module
from bench.numerics.figures import Tensor, figures
from bench.numerics.model import Numerics, NumericsVerdict, NumericsWord, OutputNumbers
from bench.numerics.verdict import (
    DYNAMIC,
    FLOAT16,
    FLOAT32,
    INTEGER,
    judge_numerics,
    limits_of,
)

OK, DIFFERS = NumericsWord.OK, NumericsWord.DIFFERS
WRONG, UNKNOWN = NumericsWord.WRONG, NumericsWord.UNKNOWN
CPU = DelegateSpec("xnnpack")
GPU = DelegateSpec("gpu")

FLOATS = st.floats(-(2.0**100), 2.0**100, width=32)
ANSWERS = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 7)), elements=FLOATS)


def compare(
    device: Any, reference: Any, scale: float | None = None, reference_scale: float | None = None
) -> OutputNumbers:
    other = reference_scale if reference_scale is not None else scale
    return figures(
        "y",
        Tensor(np.asarray(device), None if scale is None else (scale, 0)),
        Tensor(np.asarray(reference), None if other is None else (other, 0)),
    )


def judge(
    *outputs: OutputNumbers,
    variant: str = "fp32",
    delegate: DelegateSpec = CPU,
    samples: int = 8,
    inputs: str = "holdout",
) -> NumericsVerdict:
    numerics = Numerics(tuple(outputs), samples, inputs, "0" * 64, "plain kernels")
    return judge_numerics(numerics, variant=variant, delegate=delegate)


def word_of(device: Any, reference: Any, **options: Any) -> NumericsWord:
    scale = options.pop("scale", None)
    return judge(compare(device, reference, scale), samples=len(device), **options).word


def noisy(error: float, n: int = 8, seed: int = 0) -> tuple[Any, Any]:
    """A reference of ordinary numbers, and answers off by that share of their rms."""
    rng = np.random.default_rng(seed)
    reference = rng.standard_normal((n, 1000))
    reference /= np.sqrt(np.square(reference).mean())
    noise = rng.standard_normal((n, 1000))
    return reference + error * noise, reference


# --- figures -------------------------------------------------------------------------------


def test_figures_by_hand() -> None:
    found = compare([[1.0, 2.0], [3.0, -4.0]], [[1.0, 2.5], [3.0, -4.0]])
    assert (found.elements, found.dtype, found.scale) == (2, "float64", None)
    assert found.reference_range == 7
    assert found.reference_max_abs == 4
    assert found.max_abs == 0.5
    assert found.rms == pytest.approx(0.25)
    assert found.reference_rms == pytest.approx(math.sqrt(32.25 / 4))
    assert found.max_rel == pytest.approx(0.2)
    assert found.snr_db == pytest.approx(10 * math.log10(32.25 / 0.25))
    assert found.cosine == pytest.approx(31 / math.sqrt(30 * 32.25))
    assert (found.top1_agreement, found.differing) == (1, 0.25)


@given(ANSWERS)
def test_equal_arrays_have_no_difference(values: Any) -> None:
    found = compare(values, values)
    assert (found.max_abs, found.rms, found.differing) == (0, 0, 0)
    assert found.snr_db is None
    assert found.cosine in (None, 1)
    assert found.top1_agreement in (None, 1)
    same = len(values) > 1 and bool((values == values[:1]).all())
    assert found.same_for_all is same
    assert judge(found, samples=len(values)).word is (UNKNOWN if same else OK)


def test_a_reference_that_never_changes_proves_nothing_by_itself() -> None:
    constant = compare([[1.0, 2.0]] * 4, [[1.0, 2.0]] * 4)
    varied = compare([[1.0], [2.0], [3.0], [4.0]], [[1.0], [2.0], [3.0], [4.0]])
    verdict = judge(constant, samples=4)
    assert verdict.word is UNKNOWN
    assert "ignores the input" in verdict.reasons[0]
    # Beside an output that moves it is as good as any other, and wrong is wrong.
    assert judge(constant, varied, samples=4).word is OK
    assert judge(compare([[9.0, -9.0]] * 4, [[1.0, 2.0]] * 4), samples=4).word is WRONG


@given(st.data())
def test_figures_do_not_depend_on_which_is_which_nor_on_the_order(data: st.DataObject) -> None:
    a = data.draw(ANSWERS)
    b = data.draw(hnp.arrays(np.float32, a.shape, elements=FLOATS))
    one, other = compare(a, b), compare(b, a)
    for name in ("max_abs", "rms", "differing", "top1_agreement"):
        assert getattr(one, name) == pytest.approx(getattr(other, name)), name
    if one.cosine is not None and other.cosine is not None:
        assert one.cosine == pytest.approx(other.cosine, abs=1e-9)
    order = np.random.default_rng(0).permutation(len(a))
    mixed = compare(a[order], b[order])
    for field in dataclasses.fields(one):
        mine, theirs = getattr(one, field.name), getattr(mixed, field.name)
        assert mine == theirs or mine == pytest.approx(theirs, rel=1e-9, abs=1e-12), field.name


@given(ANSWERS, st.integers(1, 9))
def test_blocks_change_nothing(values: Any, block: int) -> None:
    other = values[::-1].copy()
    whole = compare(values, other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures_module, "BLOCK_ELEMENTS", block)
        blocks = compare(values, other)
    for field in dataclasses.fields(whole):
        mine, theirs = getattr(whole, field.name), getattr(blocks, field.name)
        assert mine == theirs or mine == pytest.approx(theirs, rel=1e-9), field.name


@given(
    hnp.arrays(np.float64, (3, 4), elements=st.floats(allow_nan=True, allow_infinity=True)),
    hnp.arrays(np.float64, (3, 4), elements=st.floats(allow_nan=True, allow_infinity=True)),
)
def test_every_figure_is_a_number_whatever_the_answers(a: Any, b: Any) -> None:
    found = compare(a, b)
    for field in dataclasses.fields(found):
        value = getattr(found, field.name)
        assert value is None or isinstance(value, str) or math.isfinite(value), field.name
    assert found.nan == np.isnan(a).sum()
    assert found.inf == np.isinf(a).sum()
    assert found.spoilt == (~np.isfinite(a) & np.isfinite(b)).sum()
    judge(found, samples=3)


def test_quantised_answers_are_compared_by_what_they_stand_for() -> None:
    steps = np.array([[0, 10, -20]], np.int8)
    found = compare(steps, steps * 2, scale=0.5, reference_scale=0.25)
    assert (found.max_abs, found.reference_max_abs, found.scale) == (0, 10, 0.5)


def test_an_image_has_no_top1_and_a_single_number_neither() -> None:
    assert compare(np.zeros((2, 4, 4)), np.zeros((2, 4, 4))).top1_agreement is None
    assert compare(np.zeros((2, 1)), np.zeros((2, 1))).top1_agreement is None
    assert compare(np.eye(4)[:2], np.eye(4)[1:3]).top1_agreement == 0


def test_extremes_neither_overflow_nor_vanish() -> None:
    huge = compare([[1e308, -1e308]], [[-1e308, 1e308]])
    assert huge.max_abs == pytest.approx(1.797e308, rel=1e-3)
    assert huge.cosine == pytest.approx(-1)
    tiny = compare([[1e-300, 2e-300]], [[1e-300, 1e-300]])
    assert tiny.snr_db == pytest.approx(10 * math.log10(2))


# --- verdict: which limits -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "delegate", "limits"),
    [
        ("fp32", DelegateSpec("none"), FLOAT32),
        ("fp16", CPU, FLOAT32),
        ("weight-int8", CPU, FLOAT32),
        ("fp32", GPU, FLOAT16),
        ("fp32", DelegateSpec("gpu", (("precision", "fp32"),)), FLOAT32),
        ("fp32", DelegateSpec("gpu", (("precision", "fp16"),)), FLOAT16),
        ("fp32", DelegateSpec("gpu", (("gpu_precision_loss_allowed", "false"),)), FLOAT32),
        ("fp32", DelegateSpec("gpu", (("gpu-precision", "fp32"),)), FLOAT32),
        ("fp32", DelegateSpec("xnnpack", (("xnnpack_force_fp16", "true"),)), FLOAT16),
        ("fp32", DelegateSpec("xnnpack", (("xnnpack_force_fp16", "false"),)), FLOAT32),
        ("fp32", DelegateSpec("nnapi"), FLOAT32),
        ("fp32", DelegateSpec("nnapi", (("nnapi_allow_fp16", "true"),)), FLOAT16),
        ("fp32", DelegateSpec("npu"), FLOAT16),
        ("int8", CPU, INTEGER),
        ("int8-float-io", GPU, INTEGER),
        ("int16x8", CPU, INTEGER),
        ("dynamic", CPU, DYNAMIC),
        ("dynamic-int4", GPU, DYNAMIC),
    ],
)
def test_which_arithmetic(variant: str, delegate: DelegateSpec, limits: Any) -> None:
    assert limits_of(variant, delegate) is limits


# --- verdict: how far ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "options", "word"),
    [
        # Measured here: XNNPACK against plain kernels, see docs/numerics.md.
        (5e-6, {}, OK),
        (3e-3, {}, DIFFERS),
        (0.15, {}, WRONG),
        (5e-4, {"delegate": GPU}, OK),
        (3e-3, {"delegate": GPU}, OK),
        (0.04, {"delegate": GPU}, DIFFERS),
        (0.4, {"delegate": GPU}, WRONG),
        (1e-2, {"variant": "dynamic"}, OK),
        (0.2, {"variant": "dynamic"}, DIFFERS),
        (0.06, {"variant": "int8-float-io"}, OK),
        (0.25, {"variant": "int8-float-io"}, DIFFERS),
        (1.0, {"variant": "int8-float-io"}, WRONG),
    ],
)
def test_noise_of_a_size(error: float, options: dict[str, Any], word: NumericsWord) -> None:
    device, reference = noisy(error)
    assert word_of(device, reference, inputs="seeded-draw", **options) is word


@pytest.mark.parametrize("delegate", [CPU, GPU])
@given(values=hnp.arrays(np.float32, (2, 50), elements=st.floats(-1e3, 1e3, width=32)))
def test_one_large_value_with_the_wrong_sign_is_wrong(delegate: DelegateSpec, values: Any) -> None:
    reference = values.copy()
    reference[0, 0] = 2e3
    device = reference.copy()
    device[0, 0] = -2e3
    assert word_of(device, reference, delegate=delegate) is WRONG


@given(st.integers(0, 2**32), st.sampled_from(["fp32", "int8", "dynamic"]))
def test_answers_that_have_nothing_to_do_with_the_question_are_wrong(
    seed: int, variant: str
) -> None:
    rng = np.random.default_rng(seed)
    reference = rng.standard_normal((8, 100))
    for device in (
        rng.standard_normal((8, 100)),
        -reference,
        np.zeros_like(reference),
        np.full_like(reference, 5.0),
        reference.view(np.int64).astype(np.float64) / 2**52,
    ):
        assert word_of(device, reference, variant=variant, delegate=GPU) is WRONG


@given(st.floats(-1e5, 1e5), st.integers(0, 100))
def test_a_constant_offset_hides_nothing(offset: float, seed: int) -> None:
    reference = np.random.default_rng(seed).standard_normal((8, 100)) + offset
    assert word_of(np.full_like(reference, offset), reference) is WRONG


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_none_is_wrong(bad: float) -> None:
    reference = np.ones((4, 9))
    device = reference.copy()
    device[2, 3] = bad
    verdict = judge(compare(device, reference), variant="int8")
    assert verdict.word is WRONG
    assert "1 of them where the reference has a finite one" in verdict.reasons[0]


def test_what_is_infinite_in_both_is_no_fault() -> None:
    reference = np.random.default_rng(0).standard_normal((4, 9))
    reference[1, 1] = np.inf
    assert word_of(reference, reference) is OK
    device = reference.copy()
    device[1, 1] = 3.0
    assert word_of(device, reference) is DIFFERS
    nothing = np.full((2, 3), np.nan)
    assert word_of(nothing, nothing) is UNKNOWN


def test_a_reference_of_zeros_gives_no_scale() -> None:
    assert word_of(np.full((2, 3), 1e-9), np.zeros((2, 3))) is UNKNOWN
    assert word_of(np.zeros((1, 3)), np.zeros((1, 3))) is OK


def test_rounding_beside_a_large_offset_is_rounding() -> None:
    rng = np.random.default_rng(0)
    reference = (1000 + rng.random((8, 100)) * 1e-3).astype(np.float32)
    device = np.nextafter(reference, np.float32(np.inf))
    assert word_of(device, reference) is OK


# --- verdict: whole numbers ----------------------------------------------------------------


@pytest.mark.parametrize(("steps", "word"), [(1, OK), (2, OK), (60, DIFFERS)])
def test_steps_of_the_output(steps: int, word: NumericsWord) -> None:
    rng = np.random.default_rng(0)
    reference = rng.integers(-60, 60, (8, 100)).astype(np.int8)
    device = reference.copy()
    device[:, ::10] += np.int8(steps)
    drawn: dict[str, Any] = {"variant": "int8", "inputs": "seeded-draw"}
    assert word_of(device, reference, scale=1 / 256, **drawn) is word


def test_one_step_is_ok_however_few_steps_there_are() -> None:
    reference = np.array([[0, 1, 0, 1], [1, 0, 1, 0]] * 2, np.int8)
    device = 1 - reference
    assert word_of(device, reference, scale=0.1, variant="int8", inputs="seeded-draw") is OK


@pytest.mark.parametrize(("share", "word"), [(0.005, OK), (0.2, DIFFERS), (0.7, WRONG)])
def test_classes_of_pixels_are_counted_not_subtracted(share: float, word: NumericsWord) -> None:
    reference = np.random.default_rng(0).integers(0, 20, (1, 40, 50))
    device = reference.copy().reshape(-1)
    device[: int(share * device.size)] += 1
    assert word_of(device.reshape(1, 40, 50), reference, delegate=GPU) is word


# --- verdict: classes ----------------------------------------------------------------------


def classified(flips: int, samples: int, tie: float) -> tuple[Any, Any]:
    """Scores with a clear winner, and in `flips` samples two that are nearly tied."""
    reference = np.zeros((samples, 10))
    reference[:, 3] = 1.0
    device = reference.copy()
    for index in range(flips):
        reference[index, 4], device[index, 4] = 1 - tie / 2, 1 + tie / 2
    return device, reference


@pytest.mark.parametrize(
    ("flips", "samples", "inputs", "word"),
    [
        (1, 8, "holdout", OK),
        (2, 8, "holdout", DIFFERS),
        (2, 8, "seeded-draw", OK),
        (9, 1000, "holdout", OK),
        (12, 1000, "holdout", DIFFERS),
    ],
)
def test_near_ties_count_by_how_many(
    flips: int, samples: int, inputs: str, word: NumericsWord
) -> None:
    device, reference = classified(flips, samples, 1e-5)
    verdict = judge(compare(device, reference), samples=samples, inputs=inputs)
    assert verdict.word is word
    assert f"another class for {flips} of {samples} samples" in verdict.reasons[0]


def test_other_classes_for_most_of_real_samples_are_wrong() -> None:
    device, reference = classified(6, 8, 0.5)
    found = compare(device, reference)
    assert judge(found, variant="int8", inputs="seeded-draw").word is DIFFERS
    assert judge(found, variant="int8").word is WRONG
    few = dataclasses.replace(found, top1_agreement=0.75)
    assert judge(few, variant="int8").word is DIFFERS


# --- verdict: of a whole model -------------------------------------------------------------


def test_the_worst_output_decides_and_is_named() -> None:
    good = compare(*noisy(1e-7))
    bad = dataclasses.replace(compare(*noisy(1.5)), name="boxes")
    verdict = judge(good, bad)
    assert verdict.word is WRONG
    assert all(reason.startswith("boxes: ") for reason in verdict.reasons)
    assert judge(good, good).word is OK


def test_a_model_without_outputs_is_not_judged() -> None:
    assert judge().word is UNKNOWN


def test_floormod_in_half_precision_differs_and_is_not_wrong() -> None:
    """0.129 of 0.478 on a GPU in float16, where float16 itself gives as much: values next to
    a jump of the function fall on its other side, and the rest is right."""
    reference = np.random.default_rng(0).random((8, 1000)) * 0.478
    device = reference * (1 + 2.0**-11)
    device[:, ::50] = (device[:, ::50] + 0.129) % 0.478
    assert word_of(device[:, 1:50], reference[:, 1:50], delegate=GPU) is OK
    near = np.abs(device - reference) < 0.2
    assert word_of(np.where(near, device, reference), reference, delegate=GPU) is DIFFERS


def test_bitcast_as_another_number_is_wrong_in_any_arithmetic() -> None:
    reference = np.random.default_rng(0).random((8, 64)).astype(np.float32)
    device = reference.view(np.int32).astype(np.float32)
    exact = DelegateSpec("gpu", (("precision", "fp32"),))
    for delegate in (GPU, exact, CPU):
        assert word_of(device, reference, delegate=delegate) is WRONG
