"""Where in a model the error comes from, and whether its layers can be compared at all."""

from __future__ import annotations

from collections.abc import Sequence

from bench.diagnose.layers import Analysis, Layer, Weights

# Measured on healthy int8 models: 25 to 45 dB in every layer, also cumulatively.
_GOOD_DB = 40.0
_FALLEN_DB = 25.0
_FALL_DB = 6.0
# An ordinary channel with this many bits has lost at least three of eight.
FEW_BITS = 5.0
# More wide channels than this share are no outliers but the rule.
_MAX_OUTLIER_SHARE = 0.25
# Measured: weights that were only quantised keep 0.99 and more, per tensor too, and after ten
# epochs of training with quantisation 0.98. Two of 16 channels scaled a hundredfold leave 0.2
# to 0.4 of it, another training of the same layers at most 0.75.
_SAME_WEIGHTS = 0.9
_MOST_OTHERS = 0.25


def comparable(analysis: Analysis) -> bool:
    """Whether the layers of the two models stand for each other: enough have a counterpart,
    and the weights of most are the same, quantisation aside."""
    known = [weights for weights in analysis.weights if weights.cosine is not None]
    if len(other_weights(analysis)) > _MOST_OTHERS * len(known):
        return False
    computed, paired = paired_layers(analysis)
    return paired >= computed / 2


def other_weights(analysis: Analysis) -> tuple[Weights, ...]:
    """Weights that are not those of the float model, quantised."""
    return tuple(
        weights
        for weights in analysis.weights
        if weights.cosine is not None and weights.cosine < _SAME_WEIGHTS
    )


def paired_layers(analysis: Analysis) -> tuple[int, int]:
    """Number of layers that ops give, and of those of them that have a counterpart."""
    computed = [layer for layer in analysis.layers if layer.op_index is not None]
    return len(computed), sum(layer.variant_name is not None for layer in computed)


def first_fall(analysis: Analysis) -> int | None:
    """Position of the layer in which the error first appears, or None if none stands out.

    A layer's fall is the SNR of its median channel below that of its noisiest input
    (GOOD_DB at most: above it noise is no concern). The first layer, in order of
    execution, whose fall is at least half the greatest one, at least FALL_DB, and leaves
    less than FALLEN_DB. By channel, since a wide channel's power hides at its own layer
    what the others have lost there: the SNR of the whole tensor falls one layer later.
    """
    if not comparable(analysis):
        return None
    layers = analysis.layers
    falls = {layer.position: _fall(layer, layers) for layer in layers}
    greatest = max((fall for fall in falls.values() if fall is not None), default=0.0)
    for layer in layers:
        fall = falls[layer.position]
        if fall is not None and fall >= max(_FALL_DB, greatest / 2):
            assert layer.channel_snr_db is not None
            if layer.channel_snr_db < _FALLEN_DB:
                return layer.position
    return None


def _fall(layer: Layer, layers: Sequence[Layer]) -> float | None:
    if layer.channel_snr_db is None:
        return None
    above = [layers[i].channel_snr_db for i in layer.upstream]
    known = [min(_GOOD_DB, snr) for snr in above if snr is not None]
    return min(known, default=_GOOD_DB) - layer.channel_snr_db


def culprits(analysis: Analysis) -> tuple[int, ...]:
    """Positions of the layers to treat first: those with outlier channels, worst and
    earliest first, then those with the greatest fall; () where layers cannot be compared."""
    if not comparable(analysis):
        return ()
    layers = analysis.layers
    starved = sorted(
        (layer for layer in layers if has_outliers(layer)),
        key=lambda layer: (round(layer.effective_bits or 0.0), layer.position),
    )
    fallen = sorted(
        (layer for layer in layers if (_fall(layer, layers) or 0.0) >= _FALL_DB / 2),
        key=lambda layer: (-(_fall(layer, layers) or 0.0), layer.position),
    )
    return tuple(dict.fromkeys(layer.position for layer in (*starved, *fallen)))


def has_outliers(layer: Layer) -> bool:
    """Whether a few wide channels leave the others of a layer too few steps."""
    return (
        layer.effective_bits is not None
        and layer.effective_bits <= FEW_BITS
        and layer.feeds_weights
        and 0 < len(layer.outliers) <= _MAX_OUTLIER_SHARE * len(layer.channel_widths)
    )
