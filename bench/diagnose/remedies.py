"""The remedies: what each one is, what it needs, and how it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.config import ModelConfig
from bench.diagnose.culprits import culprits
from bench.diagnose.layers import Analysis
from bench.diagnose.making import QuantiserJob

QUANTISER = "ai-edge-quantizer"
TRAINER = "TensorFlow, training"
# What bench.variants.quantize_worker calls int8 with some ops left in float.
SELECTIVE_RECIPE = "int8-selective"
# Metrics whose labels are not what the training loop knows.
_NO_CLASSES = ("mean_iou", "mae", "rmse")


@dataclass(frozen=True, slots=True)
class Remedy:
    """One thing that can be done about a loss.

    Attributes:
        key: short and stable, fit for a file name.
        title, needs: for people.
        variant: what the result claims to be, a variant of bench.config; also where its
            file goes in a plan.
        training: whether it takes the training loop.
    """

    key: str
    title: str
    needs: str
    variant: str
    training: bool = False


REQUANTISED = Remedy("requantised", "made anew, unchanged", "calibration", "int8")
RECALIBRATED = Remedy("recalibrated", "recalibrated on train", "train (x only)", "int8")
EQUALISED = Remedy("equalised", "cross-layer equalisation", "calibration", "int8")
SELECTIVE = Remedy("selective", "culprit ops float", "calibration", "int8")
INT16X8 = Remedy("int16x8", "16 bit activations", "calibration", "int16x8")
QAT = Remedy(
    "int8-qat", "quantization-aware training", "train, Keras model, time", "int8-qat", training=True
)

# In the order of the table.
REMEDIES: tuple[Remedy, ...] = (
    REQUANTISED,
    RECALIBRATED,
    EQUALISED,
    SELECTIVE,
    INT16X8,
    QAT,
)


def why_not(remedy: Remedy, model: ModelConfig, variant: str) -> str | None:
    """Why a remedy cannot even be tried with what the user gave; None if it can."""
    if remedy is RECALIBRATED and model.train is None:
        return (
            "needs `train`: samples drawn from the holdout would judge themselves, and the "
            "calibration samples are what is in doubt"
        )
    if remedy is QAT:
        if variant == QAT.variant:
            return "is what was diagnosed"
        if model.train is None:
            return "needs `train` (.npz with x and y)"
        if model.source is None and QAT.variant not in model.files:
            return "needs `source`, a Keras model"
        if model.metric.name in _NO_CLASSES and QAT.variant not in model.files:
            return (
                f"is trained on one class label per sample, which {model.metric.name} does not "
                "judge; train it yourself and give files.int8-qat"
            )
        return None
    if remedy.variant == variant == INT16X8.variant:
        return "is what was diagnosed"
    if remedy is not RECALIBRATED and model.calibration is None:
        return "needs `calibration` (.npz with x)"
    return None


def quantiser_jobs(
    remedies: Sequence[Remedy], model: ModelConfig, fp32: Path, equalised: Path | None
) -> list[QuantiserJob]:
    """The jobs for the remedies that ai-edge-quantizer makes at once."""
    jobs = []
    for remedy in remedies:
        if remedy in (REQUANTISED, INT16X8):
            jobs.append(_job(remedy, fp32, model.calibration))
        elif remedy is RECALIBRATED:
            jobs.append(_job(remedy, fp32, model.train))
        elif remedy is EQUALISED and equalised is not None:
            jobs.append(_job(remedy, equalised, model.calibration))
    return jobs


def _job(remedy: Remedy, source: Path, samples: str | None) -> QuantiserJob:
    assert samples is not None
    return QuantiserJob(remedy.key, remedy.variant, source, Path(samples))


def selective_sets(analysis: Analysis) -> tuple[tuple[str, ...], ...]:
    """Growing sets of ops to leave in float, by the names of their output tensors.

    For each culprit layer both the op that gives it and those that take it: with one side
    alone in float it would still be quantised between them. 2, 4, 8, ... ops, at most half
    of the model's; beyond that it is no int8 model any more. () if no layer stands out.
    """
    layers = analysis.layers
    ops = [layer for layer in layers if layer.op_index is not None]
    chosen: dict[int, str] = {}
    for position in culprits(analysis):
        takers = [layer for layer in ops if position in layer.upstream]
        for layer in (layers[position], *takers):
            if layer.op_index is not None:
                chosen.setdefault(layer.op_index, layer.name)
    most = len({layer.op_index for layer in ops}) // 2
    names = list(chosen.values())[:most]
    sizes = [size for size in (2**k for k in range(1, 12)) if size < len(names)]
    return tuple(tuple(names[:size]) for size in (*sizes, len(names)) if names)
