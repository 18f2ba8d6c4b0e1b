"""From two models and samples to what is known of every layer; no I/O of its own."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.diagnose.activations import (
    Array,
    Difference,
    bits,
    differences,
    float_ranges,
    is_quantised,
    representable,
    step,
)
from bench.diagnose.align import align
from bench.diagnose.layers import INPUT, Analysis, Layer, Range
from bench.diagnose.weights import CHANNEL_AXES, weights_of
from bench.diagnose.widths import effective_bits, median_live, outliers, spread
from bench.tflite.facts import computes_in_float
from bench.tflite.graph import CONVERSIONS, Graph, Tensor, parse_model


def analyse(
    fp32: bytes,
    variant: bytes,
    holdout: NDArray[np.float32],
    calibration: NDArray[np.float32] | None,
    advance: Callable[[str, int], None] = lambda what, done: None,
) -> Analysis:
    """Compare every layer of a variant with the float model's on the same samples.

    Args:
        holdout, calibration: (N, ...) real values that fit the models' one input.
        advance: told what is being done, and after how many samples.

    Raises: UnreadableOutput for a damaged file; RuntimeError or ValueError, the runtime's
    own, where a model does not run.
    """
    ours, theirs = parse_model(fp32).main, parse_model(variant).main
    alignment = align(ours, theirs)
    places = _places(ours)
    positions = {tensor: position for position, (tensor, _) in enumerate(places)}
    tensors = list(positions)
    pairs = {a: b for a, b in alignment.tensors.items() if _has_values(theirs.tensors[b])}
    sums = differences(
        fp32, variant, theirs, tensors, pairs, holdout, lambda n: advance("layers", n)
    )
    ranges = (
        float_ranges(fp32, tensors, calibration, lambda n: advance("calibration ranges", n))
        if calibration is not None
        else {}
    )
    layers = tuple(
        _layer(
            ours,
            position,
            ours.tensors[tensor],
            op_index,
            theirs.tensors[pairs[tensor]] if tensor in pairs else None,
            sums.get(tensor),
            ranges.get(tensor),
            positions,
        )
        for position, (tensor, op_index) in enumerate(places)
    )
    return Analysis(
        alignment=alignment.how,
        layers=layers,
        weights=weights_of(ours, theirs, alignment, positions),
        float_ops=tuple(
            theirs.tensors[op.outputs[0]].name
            for op in theirs.ops
            if op.outputs and op.name not in CONVERSIONS and computes_in_float(theirs, op)
        ),
        samples=len(holdout),
        calibration_samples=0 if calibration is None else len(calibration),
    )


def _places(graph: Graph) -> list[tuple[int, int | None]]:
    """Float tensors in order of execution, each with the op that gives it."""
    places: list[tuple[int, int | None]] = [
        (index, None) for index in graph.inputs if graph.tensors[index].dtype == "FLOAT32"
    ]
    for op in graph.ops:
        if op.name in CONVERSIONS:
            continue
        places += [
            (index, op.index) for index in op.outputs if graph.tensors[index].dtype == "FLOAT32"
        ]
    return places


def _has_values(tensor: Tensor) -> bool:
    return is_quantised(tensor) or tensor.dtype == "FLOAT32"


def _layer(
    graph: Graph,
    position: int,
    tensor: Tensor,
    op_index: int | None,
    counterpart: Tensor | None,
    sums: Difference | None,
    calibration: Range | None,
    positions: dict[int, int],
) -> Layer:
    op = None if op_index is None else graph.ops[op_index]
    widths = np.zeros(0) if sums is None else sums.range.widths
    held = None if counterpart is None else representable(counterpart)
    noisy = counterpart is not None and sums is not None
    identical = noisy and sums is not None and not sums.noise.any()
    return Layer(
        position=position,
        op=INPUT if op is None else op.name,
        op_index=op_index,
        name=tensor.name,
        variant_name=None if counterpart is None else counterpart.name,
        shape=tensor.shape,
        upstream=() if op is None else tuple(positions[i] for i in op.inputs if i in positions),
        feeds_weights=any(
            tensor.index in taker.inputs and taker.name in CHANNEL_AXES for taker in graph.ops
        ),
        dtype=None if counterpart is None else counterpart.dtype,
        snr_db=_snr(sums.signal.sum(), sums.noise.sum()) if noisy and sums is not None else None,
        channel_snr_db=_channel_snr(sums) if noisy and sums is not None else None,
        identical=identical,
        rmse_steps=_rmse_steps(sums, counterpart),
        calibration=calibration,
        holdout=None if sums is None else sums.range.limits,
        representable=held,
        clipped_share=None if held is None or sums is None else sums.clipped / sums.count,
        channel_widths=tuple(float(width) for width in widths),
        dead_channels=int(np.count_nonzero(widths == 0)),
        spread=spread(widths),
        outliers=outliers(widths),
        effective_bits=(
            None
            if held is None or counterpart is None
            else effective_bits(median_live(widths), held[1] - held[0], bits(counterpart))
        ),
    )


def _snr(signal: float, noise: float) -> float | None:
    """10 log10 of the ratio; None where it has no finite value."""
    if signal <= 0 or noise <= 0:
        return None
    return 10 * math.log10(signal / noise)


def _channel_snr(sums: Difference) -> float | None:
    """SNR of the median channel that carries a signal; one without noise counts as best."""
    live = sums.signal > 0
    if not live.any() or not sums.noise.any():
        return None
    with np.errstate(divide="ignore"):
        ratios: Array = sums.signal[live] / sums.noise[live]
    middle = float(np.quantile(ratios, 0.5, method="lower"))
    return 10 * math.log10(middle) if 0 < middle < math.inf else None


def _rmse_steps(sums: Difference | None, counterpart: Tensor | None) -> float | None:
    if sums is None or counterpart is None or not is_quantised(counterpart) or not sums.count:
        return None
    return math.sqrt(float(sums.noise.sum()) / sums.count) / step(counterpart)
