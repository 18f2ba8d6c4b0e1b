"""From the numbers of every layer to what is wrong with a variant, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.diagnose.culprits import (
    FEW_BITS,
    comparable,
    first_fall,
    has_outliers,
    other_weights,
    paired_layers,
)
from bench.diagnose.layers import Analysis, Layer, short_name
from bench.diagnose.outcome import Finding, FindingKind, Verdict
from bench.diagnose.widths import OUTLIER_RATIO
from bench.format import counted

_CLIPPED_SHARE = 0.01
_NARROWER = 0.9
_OVER_RANGE = 4.0
_EVIDENCE = 5

# Remedies that treat a cause, by their keys.
TREATED_BY: dict[FindingKind, tuple[str, ...]] = {
    FindingKind.UNDER_RANGE: ("recalibrated",),
    FindingKind.OVER_RANGE: ("recalibrated",),
    FindingKind.CLIPPED: ("recalibrated", "requantised"),
    FindingKind.OUTLIER_CHANNELS: ("equalised", "selective", "int16x8", "int8-qat"),
    FindingKind.PER_TENSOR_WEIGHTS: ("requantised", "equalised"),
}


def findings(analysis: Analysis) -> tuple[Finding, ...]:
    """Everything that the numbers show, what concerns the first fall before the rest.

    NONE_FOUND and NOT_COMPARABLE stand alone. Whether a finding is the cause is for the
    remedies to show; see `with_support`.
    """
    island = float_islands(analysis)
    if not comparable(analysis):
        return _not_comparable(analysis), *island
    found = [
        finding
        for finding in (
            _under_range(analysis),
            _over_range(analysis),
            _clipped(analysis),
            _outlier_channels(analysis),
            _per_tensor_weights(analysis),
        )
        if finding is not None
    ]
    fall = first_fall(analysis)
    found.sort(key=lambda finding: fall not in finding.layers)
    if not found:
        text = "No number of any layer stands out: no cause is named."
        found = [Finding(FindingKind.NONE_FOUND, text, (), ())]
    return *found, *island


def with_support(finding: Finding, verdicts: Mapping[str, Verdict]) -> Finding:
    """The finding with the remedies that speak for and against it.

    Args:
        verdicts: key of a remedy that was measured -> what it did.
    """
    treated = [key for key in TREATED_BY.get(finding.kind, ()) if key in verdicts]
    helped = (Verdict.RESTORES, Verdict.HELPS)
    useless = (Verdict.NO_HELP, Verdict.WORSE)
    return replace(
        finding,
        supported_by=tuple(key for key in treated if verdicts[key] in helped),
        contradicted_by=tuple(key for key in treated if verdicts[key] in useless),
    )


def _not_comparable(analysis: Analysis) -> Finding:
    computed, paired = paired_layers(analysis)
    evidence: tuple[str, ...] = ()
    layers: list[Layer] = []
    if paired < computed / 2:
        why = (
            f"Only {paired} of {computed} layers of fp32 have a counterpart in the variant: it was "
            "made of another model, or converted otherwise."
        )
    else:
        other = other_weights(analysis)
        layers = [analysis.layers[weights.position] for weights in other]
        why = (
            f"The weights of {_layers(layers)} are not fp32's: the variant was made of another "
            "model, or rescaled or trained since."
        )
        evidence = tuple(
            f"{title(layer)}: cosine {weights.cosine:.2f} between the two sets of weights; it is "
            "1 where they were only quantised"
            for layer, weights in zip(layers, other, strict=True)
        )
    return Finding(
        FindingKind.NOT_COMPARABLE,
        f"{why} So layers cannot be compared, and no cause is named.",
        evidence,
        _positions(layers),
    )


def _outlier_channels(analysis: Analysis) -> Finding | None:
    hit = sorted(
        (layer for layer in analysis.layers if has_outliers(layer)),
        key=lambda layer: (round(layer.effective_bits or 0.0), layer.position),
    )
    if not hit:
        return None
    evidence = []
    for layer in hit:
        named = ", ".join(f"{o.channel} ({o.ratio:.0f}x)" for o in layer.outliers[:4])
        evidence.append(
            f"{title(layer)}: channel{'s' if len(layer.outliers) > 1 else ''} {named} of "
            f"{len(layer.channel_widths)} against the median one, which is left "
            f"{layer.effective_bits:.1f} of {_bits(layer)} bits"
        )
    return Finding(
        FindingKind.OUTLIER_CHANNELS,
        f"In {_layers(hit)} a few channels are at least {OUTLIER_RATIO:.0f} times as wide as the "
        "others and use up the one range that all channels share.",
        tuple(evidence),
        _positions(hit),
    )


def _under_range(analysis: Analysis) -> Finding | None:
    hit = [layer for layer in _clipping(analysis) if _calibrated_narrower(layer)]
    if not hit:
        return None
    return Finding(
        FindingKind.UNDER_RANGE,
        f"The calibration samples reach less far than the holdout does: in {_layers(hit)} values "
        "of the holdout are cut off.",
        tuple(
            f"{title(layer)}: calibration {_range(layer.calibration)}, holdout "
            f"{_range(layer.holdout)}, representable {_range(layer.representable)}; "
            f"{_share(layer.clipped_share)} of the values cut off"
            for layer in hit
        ),
        _positions(hit),
    )


def _clipped(analysis: Analysis) -> Finding | None:
    hit = [layer for layer in _clipping(analysis) if not _calibrated_narrower(layer)]
    if not hit:
        return None
    against = (
        "although the calibration samples given reach that far: it was calibrated with others, "
        "its tool cut the range, or training learned a narrower one"
        if analysis.calibration_samples
        else "and no calibration samples were given to compare with"
    )
    return Finding(
        FindingKind.CLIPPED,
        f"In {_layers(hit)} the variant cannot hold values that the holdout has, {against}.",
        tuple(
            f"{title(layer)}: holdout {_range(layer.holdout)}, representable "
            f"{_range(layer.representable)}; {_share(layer.clipped_share)} of the values cut off"
            for layer in hit
        ),
        _positions(hit),
    )


def _over_range(analysis: Analysis) -> Finding | None:
    hit = [
        layer
        for layer in analysis.layers
        if layer.representable is not None
        and layer.holdout is not None
        and _width(layer.representable) >= _OVER_RANGE * _width(layer.holdout) > 0
    ]
    # One layer with reserve is nothing; an input or a quarter of all layers is a scaling.
    at_input = any(not layer.upstream for layer in hit)
    if not hit or (not at_input and len(hit) < len(analysis.layers) / 4):
        return None
    return Finding(
        FindingKind.OVER_RANGE,
        f"The variant is made for values far greater than the holdout's: in {_layers(hit)} most "
        "of the range is never used.",
        tuple(
            f"{title(layer)}: holdout {_range(layer.holdout)}, representable "
            f"{_range(layer.representable)}, "
            f"{_width(layer.representable) / _width(layer.holdout):.0f} times as wide"
            for layer in hit
        ),
        _positions(hit),
    )


def _per_tensor_weights(analysis: Analysis) -> Finding | None:
    hit = [
        weights
        for weights in analysis.weights
        if weights.scheme == "per-tensor"
        and weights.effective_bits is not None
        and weights.effective_bits <= FEW_BITS
    ]
    if not hit:
        return None
    hit.sort(key=lambda weights: (round(weights.effective_bits or 0.0), weights.position))
    layers = [analysis.layers[weights.position] for weights in hit]
    return Finding(
        FindingKind.PER_TENSOR_WEIGHTS,
        f"The weights of {_layers(layers)} share one scale although their channels differ widely.",
        tuple(
            f"{title(layer)}: widest output channel {weights.output_spread:.0f} times the median "
            f"one, which is left {weights.effective_bits:.1f} of 8 bits"
            for layer, weights in zip(layers, hit, strict=True)
        ),
        _positions(layers),
    )


def float_islands(analysis: Analysis) -> tuple[Finding, ...]:
    """What computes in float although most does not: one finding, or none."""
    if not analysis.float_ops:
        return ()
    count = len(analysis.float_ops)
    text = (
        f"{count} op{'s' if count > 1 else ''} of the variant compute{'' if count > 1 else 's'} in "
        "float: no cause of a loss, but of time spent on converting back and forth."
    )
    return (Finding(FindingKind.FLOAT_ISLAND, text, analysis.float_ops[:_EVIDENCE], ()),)


def _clipping(analysis: Analysis) -> list[Layer]:
    return [layer for layer in analysis.layers if (layer.clipped_share or 0.0) >= _CLIPPED_SHARE]


def _calibrated_narrower(layer: Layer) -> bool:
    if layer.calibration is None or layer.holdout is None:
        return False
    return _width(layer.calibration) <= _NARROWER * _width(layer.holdout)


def title(layer: Layer) -> str:
    """A layer as people know it: its place, op and the clearest part of its name."""
    if not layer.upstream and layer.op_index is None:
        return f"input {layer.name}"
    return f"{layer.position} {layer.op} {short_name(layer.name)}"


def _layers(layers: Sequence[Layer]) -> str:
    return counted(len(layers), "layer")


def _positions(layers: Sequence[Layer]) -> tuple[int, ...]:
    return tuple(layer.position for layer in layers)


def _bits(layer: Layer) -> int:
    return 16 if layer.dtype == "INT16" else 8


def _width(limits: tuple[float, float] | None) -> float:
    return 0.0 if limits is None else max(limits[1], 0.0) - min(limits[0], 0.0)


def _range(limits: tuple[float, float] | None) -> str:
    return "unknown" if limits is None else f"[{limits[0]:.3g}, {limits[1]:.3g}]"


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f} %"
