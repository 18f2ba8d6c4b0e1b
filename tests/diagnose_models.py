"""Models and diagnoses for the tests of a diagnosis, made without TensorFlow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from models import GraphBuilder
from numpy.typing import NDArray

from bench.accuracy import Loss, LossVerdict, PairedChange
from bench.diagnose.culprits import first_fall
from bench.diagnose.findings import findings, with_support
from bench.diagnose.layers import Analysis, Layer, Outlier, Weights
from bench.diagnose.outcome import Diagnosis, Latency, Treatment, Verdict
from bench.metrics import Metric
from bench.stats import Interval

RELU = schema.ActivationFunctionType.RELU
RELU6 = schema.ActivationFunctionType.RELU6
CLASSES = 6
SIZE = 6
# Channels that `cliff_model` makes wide.
WIDE = (2, 5)


def conv_options(activation: int) -> Any:
    """Of CONV_2D: SAME padding, stride 1."""
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.SAME
    options.strideH = options.strideW = 1
    options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = activation
    return options


def _depthwise_options(activation: int, multiplier: int) -> Any:
    options = schema.DepthwiseConv2DOptionsT()
    options.padding = schema.Padding.SAME
    options.strideH = options.strideW = 1
    options.dilationHFactor = options.dilationWFactor = 1
    options.depthMultiplier = multiplier
    options.fusedActivationFunction = activation
    return options


def cliff_model(
    scale: float = 1.0,
    *,
    activation: int = RELU,
    multiplier: int = 1,
    dead: int | None = None,
    two_takers: bool = False,
    shared_weights: bool = False,
    seed: int = 3,
) -> bytes:
    """conv 1 to 8 -> depthwise -> 1x1 conv to 8 -> 1x1 conv to 8 -> mean -> dense -> softmax.

    (1, 6, 6, 1) -> (1, 6). Channels WIDE of the first convolution are `scale` times as wide,
    which the depthwise one takes back. dead: output channel of the first one without weights.
    two_takers adds an op that takes what the first one gives; shared_weights lets the two
    1x1 convolutions use one constant.
    """
    g = GraphBuilder(seed=seed)
    wide = np.ones(8, np.float32)
    wide[list(WIDE)] = scale
    inner = 8 * multiplier
    x = g.tensor((1, SIZE, SIZE, 1), name="input")
    first = np.abs(g.weights((8, 3, 3, 1), 0.3)) * wide[:, None, None, None]
    bias = g.weights((8,), 0.05) * wide
    if dead is not None:
        first[dead] = 0
        bias[dead] = 0
    w = g.tensor((8, 3, 3, 1), data=first, name="stem/w")
    b = g.tensor((8,), data=bias)
    stem = g.tensor((1, SIZE, SIZE, 8), name="model/stem/Conv2D")
    g.op(schema.BuiltinOperator.CONV_2D, (x, w, b), (stem,), conv_options(activation))
    taken = g.weights((1, 3, 3, inner), 0.4) / np.repeat(wide, multiplier)
    w = g.tensor((1, 3, 3, inner), data=taken, name="dw/w")
    b = g.tensor((inner,), data=g.weights((inner,), 0.05))
    dw = g.tensor((1, SIZE, SIZE, inner), name="model/dw/depthwise")
    g.op(
        schema.BuiltinOperator.DEPTHWISE_CONV_2D,
        (stem, w, b),
        (dw,),
        _depthwise_options(activation, multiplier),
    )
    y, channels = dw, inner
    point = g.tensor((8, 1, 1, inner), data=g.weights((8, 1, 1, inner), 0.4), name="pw/w")
    for name in ("pw1", "pw2"):
        if channels != inner or not shared_weights:
            point = g.tensor((8, 1, 1, channels), data=g.weights((8, 1, 1, channels), 0.4))
        b = g.tensor((8,), data=g.weights((8,), 0.05))
        out = g.tensor((1, SIZE, SIZE, 8), name=f"model/{name}/Conv2D")
        g.op(schema.BuiltinOperator.CONV_2D, (y, point, b), (out,), conv_options(activation))
        y, channels = out, 8
    axes = g.tensor((2,), np.int32, data=np.array([1, 2]))
    pooled = g.tensor((1, 8), name="model/pool/Mean")
    g.op(schema.BuiltinOperator.MEAN, (y, axes), (pooled,), schema.ReducerOptionsT())
    w = g.tensor((CLASSES, 8), data=g.weights((CLASSES, 8), 2.0))
    b = g.tensor((CLASSES,), data=g.weights((CLASSES,), 0.05))
    logits = g.tensor((1, CLASSES), name="model/logits/MatMul")
    g.op(
        schema.BuiltinOperator.FULLY_CONNECTED,
        (pooled, w, b),
        (logits,),
        schema.FullyConnectedOptionsT(),
    )
    outputs = [g.softmax(logits, CLASSES)]
    if two_takers:
        again = g.tensor((1, SIZE, SIZE, 8), name="again")
        g.op(schema.BuiltinOperator.ABS, (stem,), (again,), schema.AbsOptionsT())
        outputs.append(again)
    return g.build((x,), outputs)


def images(count: int, seed: int = 0) -> NDArray[np.float32]:
    """(count, 6, 6, 1) in 0..1."""
    return np.random.default_rng(seed).random((count, SIZE, SIZE, 1), dtype=np.float32)


def layer(position: int, snr: float | None = 40.0, **changes: Any) -> Layer:
    """A healthy int8 layer of 16 channels in a chain, with changes."""
    healthy = Layer(
        position=position,
        op="INPUT" if position == 0 else "CONV_2D",
        op_index=None if position == 0 else position - 1,
        name=f"model/layer{position}/Conv2D",
        variant_name=f"model/layer{position}/Conv2D",
        shape=(1, 8, 8, 16),
        upstream=() if position == 0 else (position - 1,),
        feeds_weights=True,
        dtype="INT8",
        snr_db=snr,
        channel_snr_db=snr,
        identical=False,
        rmse_steps=0.4,
        calibration=(0.0, 4.0),
        holdout=(0.0, 4.0),
        representable=(0.0, 4.0),
        clipped_share=0.0,
        channel_widths=(4.0,) * 16,
        dead_channels=0,
        spread=1.0,
        outliers=(),
        effective_bits=8.0,
    )
    return replace(healthy, **changes)


def starved(position: int, snr: float = 5.0, bits: float = 1.0) -> Layer:
    """A layer of whose 16 channels one, number 3, is 128 times as wide as the others."""
    return layer(
        position,
        snr,
        channel_widths=tuple(512.0 if c == 3 else 4.0 for c in range(16)),
        holdout=(0.0, 512.0),
        calibration=(0.0, 512.0),
        representable=(0.0, 512.0),
        spread=128.0,
        outliers=(Outlier(3, 128.0),),
        effective_bits=bits,
    )


def analysis(*layers: Layer, **changes: Any) -> Analysis:
    made = Analysis("order", layers, (), (), samples=64, calibration_samples=64)
    return replace(made, **changes)


def change(points: float, half: float = 1.0) -> PairedChange:
    around = Interval((points - half) / 100, (points + half) / 100, 0.95, "paired")
    return PairedChange(points / 100, around, 0.0001)


def treatment(key: str, accuracy: float | None, verdict: Verdict, **changes: Any) -> Treatment:
    made = Treatment(
        key=key,
        title=key,
        needs="calibration",
        tool="ai-edge-quantizer",
        verdict=verdict,
        accuracy=accuracy,
        interval=None
        if accuracy is None
        else Interval(max(0, accuracy - 0.01), min(1, accuracy + 0.01), 0.95, "wilson"),
        against_fp32=None if accuracy is None else change(100 * accuracy - 98),
        size_bytes=40_000,
        latency=latency(3.0),
        path=f"diagnosis/m/{key}.tflite",
        sha256="0" * 64,
    )
    return replace(made, **changes)


def latency(p50_us: float, **changes: Any) -> Latency:
    around = Interval(p50_us * 0.98, p50_us * 1.02, 0.95, "order-statistic")
    return replace(Latency(p50_us, around, 6, "xnnpack, 1 thread, 6 rounds"), **changes)


def diagnosis(**changes: Any) -> Diagnosis:
    """Outlier channels in layers 1 and 3; equalisation restores, a remedy is not tried."""
    layers = analysis(
        layer(0, 55.0),
        starved(1, 7.0),
        layer(2, 5.0),
        starved(3, 3.0, 1.5),
        layer(4, None, variant_name=None, dtype=None, representable=None, clipped_share=None),
        weights=(
            Weights(1, "CONV_2D", "w", "per-channel", 1.0, 90.0, 1.5, (Outlier(3, 90.0),), 1, None),
        ),
        float_ops=(),
    )
    rows = (
        treatment("fp32", 0.98, Verdict.REFERENCE, against_fp32=None, size_bytes=80_000),
        treatment("int8", 0.73, Verdict.REFERENCE, title="int8 as it is"),
        treatment("equalised", 0.977, Verdict.RESTORES),
        treatment("int16x8", 0.98, Verdict.RESTORES, latency=latency(120.0)),
        treatment("recalibrated", 0.70, Verdict.NO_HELP, latency=latency(3.1, taints=("load",))),
        treatment(
            "int8-qat",
            None,
            Verdict.NOT_APPLICABLE,
            reason="needs `train`",
            latency=None,
            size_bytes=None,
            path=None,
        ),
    )
    verdicts = {row.key: row.verdict for row in rows}
    made = Diagnosis(
        project="p",
        model="m",
        variant="int8",
        metric=Metric(),
        holdout="holdout.npz",
        samples=719,
        kernels="xnnpack",
        loss=change(-25),
        judgement=LossVerdict(Loss.WORSE, "worse by 24.0 to 26.0 points"),
        allowed_loss=0.0294,
        analysis=layers,
        first_fall=first_fall(layers),
        findings=tuple(with_support(f, verdicts) for f in findings(layers)),
        treatments=rows,
        recommended="equalised",
        advice=("Take it.",),
        plan_line='files.int8 = "out/diagnosis/m/equalised.tflite"',
        remarks=("A remark.",),
        provenance={"seed": 0},
    )
    return replace(made, **changes)
