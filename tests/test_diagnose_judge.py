"""When a loss is shown, what a remedy did, and which one is recommended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from diagnose_models import change, diagnosis, latency, treatment
from hypothesis import given
from hypothesis import strategies as st

from bench.accuracy import Loss, LossVerdict, PairedChange, allowed_loss
from bench.config import GatesConfig
from bench.diagnose.advice import advise, plan_line, recommend
from bench.diagnose.judge import judge
from bench.diagnose.outcome import Treatment, Verdict
from bench.metrics import Metric

TOP1, MAE = Metric(), Metric("mae", higher_is_better=False)


def test_the_stricter_gate_counts() -> None:
    assert allowed_loss(TOP1, 0.98, GatesConfig()) == pytest.approx(0.0294)
    strict = GatesConfig(accuracy_drop_max_points=1.0)
    assert allowed_loss(TOP1, 0.98, strict) == pytest.approx(0.01)


def test_points_are_no_unit_of_an_error() -> None:
    gates = GatesConfig(accuracy_ratio_min=0.8, accuracy_drop_max_points=0.1)
    assert allowed_loss(MAE, 2.0, gates) == pytest.approx(0.5)
    assert allowed_loss(MAE, 2.0, GatesConfig(accuracy_ratio_min=0.0)) == float("inf")


@pytest.mark.parametrize(
    ("against_fp32", "against_baseline", "verdict"),
    [
        (change(-0.2, 1.0), change(24, 3), Verdict.RESTORES),
        (change(-2.5, 1.0), change(22, 3), Verdict.HELPS),
        (change(-20, 3.0), change(5, 4), Verdict.HELPS),
        (change(-24, 3.0), change(1, 3), Verdict.NO_HELP),
        (change(-30, 3.0), change(-5, 3), Verdict.WORSE),
        # Within the gates, but not shown to be better than untreated.
        (change(-0.2, 1.0), change(0.5, 1), Verdict.NO_HELP),
        (PairedChange(0.0, None, 1.0), change(24, 3), Verdict.NO_HELP),
        # Interval and test do not agree at the edge: then nothing is shown.
        (change(-0.2, 1.0), replace(change(2, 1.9), p_value=0.06), Verdict.NO_HELP),
    ],
)
def test_verdicts(
    against_fp32: PairedChange, against_baseline: PairedChange, verdict: Verdict
) -> None:
    assert judge(TOP1, against_fp32, against_baseline, 719, 0.03) is verdict


@given(st.floats(-40, 40), st.floats(0.1, 5), st.floats(-40, 40), st.floats(0.1, 5))
def test_less_is_better_mirrors_more_is_better(a: float, b: float, c: float, d: float) -> None:
    mirrored = judge(MAE, change(-a, b), change(-c, d), 719, 0.03)
    assert judge(TOP1, change(a, b), change(c, d), 719, 0.03) is mirrored


def advice_on(
    rows: Sequence[Treatment], loss: Loss = Loss.WORSE
) -> tuple[Treatment | None, tuple[str, ...]]:
    return advise(
        rows,
        (),
        metric=TOP1,
        variant="int8",
        judgement=LossVerdict(loss, ""),
        allowed=0.0294,
        tried=True,
    )


def test_of_equally_fast_ones_training_comes_last_then_size_decides() -> None:
    rows = [
        treatment("int8-qat", 0.98, Verdict.RESTORES, size_bytes=30_000, latency=latency(2.99)),
        treatment("selective", 0.97, Verdict.RESTORES, size_bytes=50_000, latency=latency(3.02)),
        treatment("equalised", 0.97, Verdict.RESTORES, size_bytes=40_000, latency=latency(3.01)),
        treatment("recalibrated", 0.99, Verdict.HELPS, size_bytes=10_000),
    ]
    chosen = recommend(rows)
    assert chosen is not None
    assert chosen.key == "equalised"


def test_what_is_shown_to_be_slower_is_not_chosen_for_its_size() -> None:
    rows = [
        treatment("int16x8", 0.98, Verdict.RESTORES, size_bytes=10, latency=latency(120.0)),
        treatment("int8-qat", 0.98, Verdict.RESTORES),
    ]
    chosen = recommend(rows)
    assert chosen is not None
    assert chosen.key == "int8-qat"


@pytest.mark.parametrize("spoilt", [None, latency(3.0, taints=("other load",))])
def test_latency_that_is_missing_or_disturbed_decides_nothing(spoilt: object) -> None:
    rows = [
        treatment("int16x8", 0.98, Verdict.RESTORES, size_bytes=10, latency=latency(120.0)),
        treatment("equalised", 0.98, Verdict.RESTORES, latency=spoilt),
    ]
    chosen, advice = advice_on(rows)
    assert chosen is not None
    assert chosen.key == "int16x8"
    assert "plays no part" in " ".join(advice)


def test_what_is_as_good_as_measured_but_not_as_shown_asks_for_more_samples() -> None:
    rows = [
        treatment("equalised", 0.97, Verdict.HELPS),
        treatment("selective", 0.90, Verdict.HELPS),
    ]
    chosen, advice = advice_on(rows)
    assert chosen is None
    assert "come back" not in advice[0]
    (near,) = [line for line in advice if "more samples" in line]
    assert "With equalised the loss" in near
    assert "2.9 points" in near


def test_an_unclear_loss_asks_for_more_samples() -> None:
    chosen, advice = advice_on((), loss=Loss.UNCLEAR)
    assert chosen is None
    assert "cannot be told" in advice[0]
    assert "more samples" in advice[0]


def test_no_remedy_is_recommended_where_none_restores() -> None:
    rows = [treatment("equalised", 0.9, Verdict.HELPS), treatment("x", 0.7, Verdict.NO_HELP)]
    chosen, advice = advice_on(rows)
    assert chosen is None
    assert "equalised" in " ".join(advice)


def test_without_a_loss_nothing_is_advised() -> None:
    chosen, advice = advice_on((), loss=Loss.NONE_SHOWN)
    assert chosen is None
    assert "needs no remedy" in advice[0]


def test_the_line_for_the_plan_is_toml_that_names_the_file() -> None:
    import tomllib

    row = treatment("selective", 0.97, Verdict.RESTORES, path='diagnosis/a"b\\c/selective.tflite')
    document = tomllib.loads(plan_line(row, "out/"))
    assert document["files"]["int8"] == 'out/diagnosis/a"b\\c/selective.tflite'
    row = diagnosis().treatments[3]
    assert plan_line(row, "out").startswith("files.int16x8 = ")
