"""What is known of every layer of a float model and its integer variant, as plain values.

Ratios of powers are in dB: 10 log10. Real values are in the unit of the float tensor. A
number that could not be measured is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Range = tuple[float, float]

INPUT = "INPUT"
# What TensorFlow calls the op that holds the weights of a fused layer.
_WEIGHT_OPS = ("Conv2D", "convolution", "depthwise", "MatMul", "conv2d_transpose")


@dataclass(frozen=True, slots=True)
class Outlier:
    """A channel that is far wider than the others: its index, and width / median width."""

    channel: int
    ratio: float


@dataclass(frozen=True, slots=True)
class Layer:
    """One activation: an input of the model, or what one op gives, on the same samples.

    Attributes:
        position: in order of execution, from 0; inputs of the model come first.
        op: builtin name, or "INPUT".
        op_index: of the op in the float graph; None for an input.
        name: of the tensor in the float model.
        variant_name: of its counterpart in the variant; None if there is none.
        shape: of the float tensor.
        upstream: positions of the layers that it is computed from.
        feeds_weights: whether an op with weights takes it.
        dtype: of the counterpart, "INT8", "FLOAT32", ...; None if there is none.
        snr_db: power of the float values / power of (variant's - float), cumulative: what
            was lost upstream is in it. None without a counterpart, or if identical.
        channel_snr_db: the same by channel (last dimension), of the median channel: a wide
            channel's power does not hide what the others lost.
        identical: the variant gives the very same values.
        rmse_steps: root mean square of the difference / step of the counterpart; cumulative
            too, so not comparable with a layer's own rounding (0.29 of a step).
        calibration: least and greatest float value on the calibration samples.
        holdout: the same on the holdout samples.
        representable: what the counterpart can hold; None if it is float.
        clipped_share: of the float values on the holdout, outside of it by over one step.
        channel_widths: width of every channel's range on the holdout, zero included.
        dead_channels: those of width 0.
        spread: width of the widest channel / of the median live one; None if all are dead.
        outliers: channels at least OUTLIER_RATIO as wide as the median live one, widest
            first.
        effective_bits: log2 of the number of steps that the median live channel's width
            takes up of the counterpart's; None if that is float.
    """

    position: int
    op: str
    op_index: int | None
    name: str
    variant_name: str | None
    shape: tuple[int, ...]
    upstream: tuple[int, ...]
    feeds_weights: bool
    dtype: str | None
    snr_db: float | None
    channel_snr_db: float | None
    identical: bool
    rmse_steps: float | None
    calibration: Range | None
    holdout: Range | None
    representable: Range | None
    clipped_share: float | None
    channel_widths: tuple[float, ...]
    dead_channels: int
    spread: float | None
    outliers: tuple[Outlier, ...]
    effective_bits: float | None


@dataclass(frozen=True, slots=True)
class Weights:
    """The constant weights of one op.

    Attributes:
        position: of the layer that the op gives.
        scheme: in the variant: "per-channel", "per-tensor", "float", or "unknown".
        cosine: between these weights and the variant's, as real values; None if unknown.
        output_spread: greatest |w| of the widest output channel / of the median live one.
        input_spread: the same by input channel; None for a depthwise convolution.
        outliers: output channels, widest first.
        dead_channels: output channels whose weights are all 0.
        effective_bits: log2 of the steps that the median output channel takes up of the
            whole tensor's; None unless the scheme is "per-tensor".
    """

    position: int
    op: str
    name: str
    scheme: str
    cosine: float | None
    output_spread: float | None
    input_spread: float | None
    outliers: tuple[Outlier, ...]
    dead_channels: int
    effective_bits: float | None


@dataclass(frozen=True, slots=True)
class Analysis:
    """All layers of one float model and one variant.

    Attributes:
        alignment: how counterparts were found: "order" (the same ops one by one) or
            "names" (output tensors of the same name and shape).
        layers: in order of execution.
        weights: of the ops that have them.
        float_ops: ops of the variant that compute in float, by the name of their output.
        samples: of the holdout; calibration_samples: of the calibration.
        trained_on: samples of the whole holdout that are in the training set, too; None
            where that is not known.
    """

    alignment: str
    layers: tuple[Layer, ...]
    weights: tuple[Weights, ...]
    float_ops: tuple[str, ...]
    samples: int
    calibration_samples: int
    trained_on: int | None = None

    @property
    def unaligned(self) -> tuple[Layer, ...]:
        """Layers without a counterpart: nothing is known of their error."""
        return tuple(layer for layer in self.layers if layer.variant_name is None)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Analysis:
        return cls(
            alignment=str(value["alignment"]),
            layers=tuple(map(_layer, value["layers"])),
            weights=tuple(map(_weights, value["weights"])),
            float_ops=tuple(value["float_ops"]),
            samples=int(value["samples"]),
            calibration_samples=int(value["calibration_samples"]),
            trained_on=None if value["trained_on"] is None else int(value["trained_on"]),
        )


def _layer(value: Mapping[str, Any]) -> Layer:
    ranges = {
        key: None if value[key] is None else (float(value[key][0]), float(value[key][1]))
        for key in ("calibration", "holdout", "representable")
    }
    return Layer(
        **{
            **value,
            **ranges,
            "shape": tuple(value["shape"]),
            "upstream": tuple(value["upstream"]),
            "channel_widths": tuple(value["channel_widths"]),
            "outliers": _outliers(value),
        }
    )


def _weights(value: Mapping[str, Any]) -> Weights:
    return Weights(**{**value, "outliers": _outliers(value)})


def _outliers(value: Mapping[str, Any]) -> tuple[Outlier, ...]:
    return tuple(Outlier(int(o["channel"]), float(o["ratio"])) for o in value["outliers"])


def short_name(name: str) -> str:
    """The layer that a tensor comes from: converters join the names of what they fused.

    "model/b1_pwr/Relu;model/b1_pwbn/FusedBatchNormV3;model/b1_pw/Conv2D1" is "b1_pw", the
    layer that holds the weights; without any, the last two parts of the last name.
    """
    fused = [part for part in name.split(";") if part] or [name]
    for part in fused:
        above, _, last = part.rpartition("/")
        if above and last.rstrip("0123456789_").startswith(_WEIGHT_OPS):
            return above.rpartition("/")[2]
    return "/".join(fused[-1].split("/")[-2:])
