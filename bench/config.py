"""What a plan may say: the strict, frozen shape of edgebench.toml with its defaults."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

# In the order of every table. What each one is stands in bench.variants.recipe.
Variant = Literal[
    "fp32",
    "fp16",
    "dynamic",
    "dynamic-int4",
    "weight-int8",
    "int8",
    "int8-uint8-io",
    "int8-float-io",
    "int8-qat",
    "int16x8",
    "int8-edgetpu",
    "select-tf-ops",
]
Delegate = Literal["none", "xnnpack", "gpu", "nnapi", "npu", "edgetpu", "hexagon", "external"]
RunnerKind = Literal[
    "invoke_loop", "litert", "benchmark_model", "benchmark_litert", "benchmark_app"
]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
# What a plan measures unless it names variants itself.
MAIN_VARIANTS: tuple[Variant, ...] = ("fp32", "fp16", "dynamic", "int8", "int8-qat")
DELEGATES: tuple[Delegate, ...] = get_args(Delegate)
RUNNERS: tuple[RunnerKind, ...] = get_args(RunnerKind)
METRICS = ("top1", "topk", "mean_iou", "mae", "rmse", "cosine")
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f/\\]+$")]


_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_function(text: str) -> bool:
    """Whether a setting names the user's own code, as "package.module:function"."""
    return _FUNCTION.fullmatch(text) is not None


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class QatConfig(_Frozen):
    """Quantization-aware training of the variant int8-qat.

    Attributes:
        epochs, batch_size, learning_rate: of the fine-tuning (Adam).
        loss: Keras name of the loss.
    """

    epochs: int = Field(default=10, ge=1, le=10_000)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    loss: str = "sparse_categorical_crossentropy"


_Pixels = Annotated[int, Field(ge=1, le=4096)]


class ImagesConfig(_Frozen):
    """How the pixels of an image directory become the model's input.

    x = (pixel - mean) / std per channel, pixel in 0..255, after a resize to the model's
    height and width. There is no default: another scaling than in training is the
    commonest cause of a bad int8 model.

    Attributes:
        mean, std: one value, or one per channel, in the order of `channels`.
        channels: order of the channels, "rgb", "bgr" or "gray".
        size: height and width, where the model's file does not tell them.
    """

    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]
    channels: Literal["rgb", "bgr", "gray"] = "rgb"
    size: tuple[_Pixels, _Pixels] | None = None

    @model_validator(mode="after")
    def _scales_every_channel(self) -> Self:
        count = 1 if self.channels == "gray" else 3
        for key, value in (("mean", self.mean), ("std", self.std)):
            values = value if isinstance(value, tuple) else (value,)
            if len(values) not in (1, count):
                raise ValueError(
                    f"{key} has {len(values)} values, channels = {self.channels!r} takes "
                    f"{'1' if count == 1 else f'1 or {count}'}"
                )
            if key == "std" and 0 in values:
                raise ValueError("std divides, and may not be 0")
        return self


class MetricConfig(_Frozen):
    """What "accuracy" means for a model.

    Attributes:
        name: top1, topk, mean_iou, mae, rmse, cosine (to the answers of fp32), or
            "module:function" with f(outputs (N, ...), y (N, ...)) -> (N,) one score each.
        k: of topk.
        higher_is_better: of a "module:function"; the others know.
    """

    name: str = "top1"
    k: int = Field(default=5, ge=2)
    higher_is_better: bool = True

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.name not in METRICS and not is_function(self.name):
            raise ValueError(
                f"{self.name!r} is no metric (known: {', '.join(METRICS)}, or module:function)"
            )
        return self


class ModelConfig(_Frozen):
    """One model: a source to make variants of, or files that exist already.

    Attributes:
        name: how it is called in every table.
        source: .keras, .h5, SavedModel directory or an fp32 .tflite, relative to the
            plan's directory.
        signature: of a SavedModel with several; None takes `serving_default`, or the only one.
        files: variant -> existing .tflite.
        calibration: .npz with `x` (N, ...), a directory of images (needs `images`) or
            "module:function", for what is calibrated.
        holdout: .npz with `x` (N, ...) and `y` (N, ...), or "module:function" that
            returns (x, y), for accuracy and inputs.
        train: the same, for int8-qat.
        images: how pixels become input, where `calibration` is a directory.
        metric: by which answers are judged.
    """

    name: Name
    source: str | None = None
    signature: str | None = None
    files: dict[Variant, str] = Field(default_factory=dict)
    calibration: str | None = None
    holdout: str | None = None
    train: str | None = None
    images: ImagesConfig | None = None
    metric: MetricConfig = MetricConfig()
    qat: QatConfig = QatConfig()

    @model_validator(mode="after")
    def _has_something_to_measure(self) -> Self:
        for key in ("source", "signature", "calibration", "holdout", "train"):
            if getattr(self, key) == "":
                raise ValueError(f"{key} is empty; leave it out, or say where it lies")
        if self.source is None and not self.files:
            raise ValueError("needs `source` (a Keras model or SavedModel) or `files`")
        return self


class DelegateConfig(_Frozen):
    """A delegate with options of its own; its bare name is the same without any.

    Attributes:
        options: of the runner that measures it (docs/delegates.md); "path" and "options" of
            an external one.
    """

    name: Delegate
    options: dict[str, str] = Field(default_factory=dict)


class MeasureConfig(_Frozen):
    """What is measured and how often (METHOD sections 1, 2, 4 and 5).

    Attributes:
        devices: names of the inventory, or selectors ("label=ci", "soc=...", "all").
        runners: None for what each device's kind is measured with: invoke_loop where
            there is a Python runtime, benchmark_model elsewhere. Runners are never mixed in
            one series.
        controls: wanted state of every device while it is measured (devices.controls),
            over what the inventory says; "require" of a value is spelled "performance!".
        away_s: how long a device that is out of reach is waited for before its queue is
            given up; everybody else goes on.
        delegates: names, or {name = ..., options = {...}}; the same one may be there with
            several options.
        profile, numerics: "once": after the timed launches, one that profiles each op, and
            one whose answers are held against the plain kernels' on this machine.
        numerics_samples: inputs of a numerics launch, the first of the holdout, or drawn.
        device_accuracy: samples of the holdout that each case answers on its device, for the
            accuracy there; "all", or 0 for none.
        start_c, cool_s: no launch starts hotter than this (None: within 3 degrees of the
            case's first launch), and how long to wait for it at most.
        precision: with it, rounds are added until the half width of each case's
            p50 interval is at most this share (0.02 is 2 %), or max_rounds is reached.
    """

    variants: tuple[Variant, ...] | None = None
    delegates: tuple[Delegate | DelegateConfig, ...] = ("none", "xnnpack")
    threads: tuple[Annotated[int, Field(ge=1, le=256)], ...] = (1, 2)
    devices: tuple[Name, ...] = ("local",)
    runners: tuple[RunnerKind, ...] | None = None
    controls: dict[str, str] = Field(default_factory=dict)
    away_s: float = Field(default=300.0, ge=0)
    start_c: float | None = Field(default=None, gt=0, lt=120)
    cool_s: float = Field(default=300.0, ge=0)
    rounds: int = Field(default=6, ge=1, le=1000)
    precision: float | None = Field(default=None, gt=0, lt=1)
    max_rounds: int = Field(default=30, ge=1, le=1000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    timeout_s: float = Field(default=120.0, gt=0)
    profile: Literal["once", "off"] = "once"
    numerics: Literal["once", "off"] = "once"
    numerics_samples: int = Field(default=8, ge=1, le=10_000)
    device_accuracy: Annotated[int, Field(ge=0)] | Literal["all"] = 0

    @property
    def delegate_configs(self) -> tuple[DelegateConfig, ...]:
        """`delegates` with every bare name spelled out."""
        return tuple(
            item if isinstance(item, DelegateConfig) else DelegateConfig(name=item)
            for item in self.delegates
        )


class DeviceGates(_Frozen):
    """Limits for the cases of the devices that `device` selects ("*" is all)."""

    device: Name = "*"
    p50_us_max: float | None = Field(default=None, gt=0)
    p90_us_max: float | None = Field(default=None, gt=0)
    p95_us_max: float | None = Field(default=None, gt=0)
    size_bytes_max: int | None = Field(default=None, gt=0)
    peak_rss_kib_max: int | None = Field(default=None, gt=0)


class GatesConfig(_Frozen):
    """What a variant must keep to be recommended.

    Attributes:
        accuracy_ratio_min: accuracy divided by that of fp32.
        accuracy_drop_max_points: percentage points below fp32.
        device: further limits by device.
    """

    accuracy_ratio_min: float = Field(default=0.97, ge=0, le=1)
    accuracy_drop_max_points: float = Field(default=3.0, ge=0, le=100)
    device: tuple[DeviceGates, ...] = ()


class AnalysisConfig(_Frozen):
    """How numbers are compared; part of the plan's hash.

    Attributes:
        delta: smallest relative change that counts.
    """

    delta: float = Field(default=0.02, gt=0, lt=1)


class PlanConfig(_Frozen):
    """A whole edgebench.toml.

    Attributes:
        out: directory for variants and reports, relative to the plan's directory.
    """

    project: Name
    out: str = "edgebench-out"
    model: tuple[ModelConfig, ...] = Field(min_length=1)
    measure: MeasureConfig = MeasureConfig()
    gates: GatesConfig = GatesConfig()
    analysis: AnalysisConfig = AnalysisConfig()
