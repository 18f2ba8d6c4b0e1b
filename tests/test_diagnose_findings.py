"""From numbers to findings, and that nothing is named without them."""

from __future__ import annotations

import pytest
from diagnose_models import analysis, layer, starved

from bench.diagnose.culprits import culprits, first_fall
from bench.diagnose.findings import findings, with_support
from bench.diagnose.layers import Weights, short_name
from bench.diagnose.outcome import FindingKind, Verdict
from bench.diagnose.remedies import selective_sets


def kinds(*layers: object, **changes: object) -> list[FindingKind]:
    return [finding.kind for finding in findings(analysis(*layers, **changes))]  # type: ignore[arg-type]


def test_a_slow_decline_falls_nowhere() -> None:
    healthy = [layer(i, snr) for i, snr in enumerate((56.0, 43.0, 39.0, 36.0, 33.0, 30.0, 28.0))]
    assert first_fall(analysis(*healthy)) is None
    assert kinds(*healthy) == [FindingKind.NONE_FOUND]


def test_the_first_fall_is_where_the_error_comes_from_not_where_it_is_greatest() -> None:
    snrs: tuple[float, ...] = (56.0, 7.0, 5.0, 1.5, 0.5, -1.0, -0.5)
    assert first_fall(analysis(*(layer(i, snr) for i, snr in enumerate(snrs)))) == 1
    snrs = (56.0, 43.0, 39.0, 12.0, 11.0, 6.0)
    assert first_fall(analysis(*(layer(i, snr) for i, snr in enumerate(snrs)))) == 3


def test_a_clipped_input_is_where_it_falls() -> None:
    assert first_fall(analysis(layer(0, 4.0), layer(1, 3.0))) == 0


def test_a_branch_is_held_against_its_own_input() -> None:
    layers = [layer(0, 50.0), layer(1, 5.0), layer(2, 38.0, upstream=(0,)), layer(3, 4.0)]
    assert first_fall(analysis(*layers)) == 1


def test_layers_of_unknown_error_are_passed_over() -> None:
    assert first_fall(analysis(layer(0, None), layer(1, None))) is None


def test_outlier_channels_are_named_with_their_numbers() -> None:
    (found,) = findings(analysis(layer(0, 55.0), starved(1, 7.0), layer(2, 5.0)))
    assert found.kind is FindingKind.OUTLIER_CHANNELS
    assert found.layers == (1,)
    assert "channel 3 (128x) of 16" in found.evidence[0]
    assert "1.0 of 8 bits" in found.evidence[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"effective_bits": 6.5},
        {"feeds_weights": False},
        {"effective_bits": None, "representable": None},
    ],
    ids=["enough bits", "an output", "float"],
)
def test_wide_channels_that_cost_nothing_are_no_finding(changes: dict[str, object]) -> None:
    from dataclasses import replace

    assert kinds(layer(0), replace(starved(1, 35.0), **changes)) == [FindingKind.NONE_FOUND]  # type: ignore[arg-type]


def test_a_narrow_calibration_is_told_from_a_narrow_range() -> None:
    cut = {"holdout": (0.0, 1.0), "representable": (0.0, 0.3), "clipped_share": 0.4}
    narrow = layer(0, 4.0, calibration=(0.0, 0.3), **cut)
    assert kinds(narrow) == [FindingKind.UNDER_RANGE]
    assert kinds(layer(0, 4.0, calibration=(0.0, 1.0), **cut)) == [FindingKind.CLIPPED]
    assert kinds(layer(0, 4.0, calibration=None, **cut)) == [FindingKind.CLIPPED]
    rare = layer(0, 40.0, calibration=(0.0, 0.3), **{**cut, "clipped_share": 0.001})
    assert kinds(rare) == [FindingKind.NONE_FOUND]


def test_a_wide_calibration_shows_at_the_input() -> None:
    wide = layer(0, 8.0, holdout=(0.0, 1.0), representable=(0.0, 255.0), effective_bits=0.0)
    (found,) = findings(analysis(wide, layer(1)))
    assert found.kind is FindingKind.OVER_RANGE
    assert "255 times as wide" in found.evidence[0]


def test_one_inner_layer_with_reserve_is_nothing() -> None:
    layers = [layer(i) for i in range(8)]
    layers[3] = layer(3, holdout=(0.0, 1.0), representable=(0.0, 6.0))
    assert kinds(*layers) == [FindingKind.NONE_FOUND]


def test_one_scale_for_all_weights() -> None:
    weights = Weights(1, "CONV_2D", "w", "per-tensor", 1.0, 100.0, 1.0, (), 0, 1.4)
    assert kinds(layer(0), layer(1), weights=(weights,)) == [FindingKind.PER_TENSOR_WEIGHTS]


def weights(position: int, cosine: float | None) -> Weights:
    return Weights(position, "CONV_2D", "w", "per-channel", cosine, 1.0, 1.0, (), 0, None)


def test_other_weights_than_those_of_fp32_are_said_and_explain_nothing() -> None:
    layers = [layer(0, 55.0), *(starved(i) for i in range(1, 5))]
    same = analysis(*layers, weights=tuple(weights(i, 0.999) for i in range(1, 5)))
    assert [f.kind for f in findings(same)] == [FindingKind.OUTLIER_CHANNELS]
    other = analysis(*layers, weights=(weights(1, 1.0), weights(2, 0.4), weights(3, 0.01)))
    (found,) = findings(other)
    assert found.kind is FindingKind.NOT_COMPARABLE
    assert found.layers == (2, 3)
    assert "cosine 0.40" in found.evidence[0]
    assert first_fall(other) is None
    assert culprits(other) == ()
    unknown = analysis(*layers, weights=(weights(1, None), weights(2, None)))
    assert [f.kind for f in findings(unknown)] == [FindingKind.OUTLIER_CHANNELS]


def test_layers_without_counterparts_explain_nothing() -> None:
    alone = {"variant_name": None, "dtype": None, "representable": None, "effective_bits": None}
    layers = [layer(0, 55.0), starved(1), *(layer(i, None, **alone) for i in (2, 3))]
    (found,) = findings(analysis(*layers))
    assert found.kind is FindingKind.NOT_COMPARABLE
    assert "Only 1 of 3 layers" in found.summary
    assert first_fall(analysis(*layers)) is None


def test_float_ops_stand_beside_and_never_for_a_cause() -> None:
    found = findings(analysis(layer(0), layer(1), float_ops=("angle",)))
    assert [f.kind for f in found] == [FindingKind.NONE_FOUND, FindingKind.FLOAT_ISLAND]
    assert "no cause of a loss" in found[1].summary


def test_what_concerns_the_first_fall_comes_first() -> None:
    cut = layer(
        3, 4.0, calibration=(0.0, 1.0), holdout=(0.0, 4.0), representable=(0.0, 1.0),
        clipped_share=0.1,
    )  # fmt: skip
    found = kinds(layer(0, 55.0), starved(1, 6.0), layer(2, 6.0), cut)
    assert found == [FindingKind.OUTLIER_CHANNELS, FindingKind.UNDER_RANGE]


def test_remedies_bear_a_finding_out_or_not() -> None:
    (found,) = findings(analysis(layer(0, 55.0), starved(1)))
    borne = with_support(found, {"equalised": Verdict.RESTORES, "recalibrated": Verdict.HELPS})
    assert borne.supported_by == ("equalised",)
    against = with_support(found, {"equalised": Verdict.NO_HELP, "int16x8": Verdict.WORSE})
    assert against.supported_by == ()
    assert against.contradicted_by == ("equalised", "int16x8")
    assert with_support(found, {"equalised": Verdict.NOT_APPLICABLE}).contradicted_by == ()


def test_culprits_are_the_starved_first_the_earliest_of_equals_first() -> None:
    layers = (layer(0, 55.0), starved(1, 7.0, 1.1), layer(2, 5.0), starved(3, 3.0, 0.9))
    assert culprits(analysis(*layers))[:2] == (1, 3)


def test_sets_to_leave_float_hold_both_sides_and_at_most_half() -> None:
    layers = [layer(0, 55.0), *(layer(i, 38.0) for i in range(1, 13))]
    for i in (1, 3, 5, 7):
        layers[i] = starved(i)
    sets = selective_sets(analysis(*layers))
    assert [len(names) for names in sets] == [2, 4, 6]
    assert sets[0] == (layers[1].name, layers[2].name)
    assert sets[1] == (*sets[0], layers[3].name, layers[4].name)
    assert selective_sets(analysis(layer(0), layer(1), layer(2))) == ()


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("model/pwr/Relu;model/pwbn/FusedBatchNormV3;model/pw/Conv2D1", "pw"),
        ("f_1/s_relu_1/Relu;f_1/s_bn_1/add_1;f_1/s_1/convolution;f_1/s_bn_1/batchnorm/sub1", "s_1"),
        ("model/pool/Mean", "pool/Mean"),
        ("StatefulPartitionedCall:0", "StatefulPartitionedCall:0"),
        ("MatMul", "MatMul"),
        (";;", ";;"),
        ("", ""),
    ],
)
def test_short_names(name: str, short: str) -> None:
    assert short_name(name) == short
