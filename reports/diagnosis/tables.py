"""The rows of a diagnosis's tables, as text."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from bench import format as fmt
from bench.diagnose.layers import Layer, Range, Weights, short_name
from bench.diagnose.outcome import Diagnosis, Latency, Treatment, Verdict
from reports.render.cell import Tone

_NEGLIGIBLE = 1e-4
_TONES = {
    Verdict.RESTORES: Tone.GOOD,
    Verdict.HELPS: Tone.WARN,
    Verdict.WORSE: Tone.BAD,
    Verdict.FAILED: Tone.BAD,
    Verdict.NO_HELP: Tone.PLAIN,
    Verdict.NOT_APPLICABLE: Tone.QUIET,
    Verdict.REFERENCE: Tone.QUIET,
}


@dataclass(frozen=True, slots=True)
class TreatmentRow:
    """One row of the table of remedies; every field is text."""

    title: str
    needs: str
    tool: str
    accuracy: str
    accuracy_interval: str
    change: str
    change_interval: str
    size: str
    p50: str
    p50_interval: str
    p50_remark: str
    verdict: str
    tone: Tone
    reason: str
    recommended: bool


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One row of the table of layers; every field but the flags is text."""

    position: str
    op: str
    name: str
    full_name: str
    shape: str
    dtype: str
    snr: str
    channel_snr: str
    rmse: str
    bits: str
    spread: str
    outliers: str
    dead: str
    clipped: str
    calibration: str
    holdout: str
    representable: str
    first_fall: bool
    culprit: bool


@dataclass(frozen=True, slots=True)
class WeightsRow:
    """One row of the table of weights; every field is text."""

    position: str
    op: str
    name: str
    scheme: str
    output_spread: str
    input_spread: str
    outliers: str
    dead: str
    bits: str


def treatment_row(row: Treatment, diagnosis: Diagnosis) -> TreatmentRow:
    share = diagnosis.metric.is_share
    change = row.against_fp32
    latency = row.latency
    # Launches that other load has spoilt say nothing about each other's spread.
    around = None if latency is None or latency.taints else latency.interval_us
    recommended = row.key == diagnosis.recommended
    return TreatmentRow(
        title=fmt.visible(row.title),
        needs=row.needs,
        tool=fmt.visible(row.tool),
        accuracy=fmt.score(row.accuracy, share=share),
        accuracy_interval=""
        if row.interval is None
        else fmt.score_interval(row.interval, share=share),
        change=fmt.score_change(None if change is None else change.difference, share=share),
        change_interval=""
        if change is None or change.interval is None
        else fmt.score_change_interval(change.interval, share=share),
        size=fmt.size(row.size_bytes),
        p50=fmt.duration(None if latency is None else latency.p50_us),
        p50_interval=""
        if latency is None or around is None
        else fmt.duration_interval(latency.p50_us, around),
        p50_remark=_remark(latency),
        verdict="" if row.verdict is Verdict.REFERENCE else row.verdict.value,
        tone=_TONES[row.verdict],
        reason=fmt.visible(row.reason),
        recommended=recommended,
    )


def _remark(latency: Latency | None) -> str:
    """What to say of a latency that is not an undisturbed one with a 95 % interval."""
    if latency is None:
        return ""
    if latency.taints:
        return "disturbed"
    return "" if latency.interval_us is None else fmt.confidence_remark(latency.interval_us)


def layer_row(layer: Layer, diagnosis: Diagnosis, culprits: Set[int]) -> LayerRow:
    unknown = layer.variant_name is None
    return LayerRow(
        position=str(layer.position),
        op=fmt.visible(layer.op),
        name=fmt.visible(short_name(layer.name)),
        full_name=fmt.visible(layer.name),
        shape=" × ".join(map(str, layer.shape)),
        dtype="unknown" if layer.dtype is None else layer.dtype.lower(),
        snr="same" if layer.identical else one_decimal(layer.snr_db),
        channel_snr="same" if layer.identical else one_decimal(layer.channel_snr_db),
        rmse=fmt.ABSENT if layer.rmse_steps is None else f"{layer.rmse_steps:.2f}",
        bits=one_decimal(layer.effective_bits),
        spread=_times(layer.spread),
        outliers=", ".join(f"{o.channel} ({o.ratio:.0f}×)" for o in layer.outliers[:8]),
        dead=str(layer.dead_channels),
        clipped=fmt.percent(layer.clipped_share, 1) if not unknown else fmt.ABSENT,
        calibration=_range(layer.calibration),
        holdout=_range(layer.holdout),
        representable=_range(layer.representable),
        first_fall=diagnosis.loss_shown and layer.position == diagnosis.first_fall,
        culprit=layer.position in culprits,
    )


def weights_row(weights: Weights) -> WeightsRow:
    return WeightsRow(
        position=str(weights.position),
        op=fmt.visible(weights.op),
        name=fmt.visible(short_name(weights.name)),
        scheme=weights.scheme,
        output_spread=_times(weights.output_spread),
        input_spread=_times(weights.input_spread),
        outliers=", ".join(f"{o.channel} ({o.ratio:.0f}×)" for o in weights.outliers[:8]),
        dead=str(weights.dead_channels),
        bits=one_decimal(weights.effective_bits),
    )


def one_decimal(value: float | None) -> str:
    return fmt.ABSENT if value is None else f"{value:.1f}".replace("-", "−")


def _times(value: float | None) -> str:
    return fmt.ABSENT if value is None else fmt.ratio(value)


def _range(limits: Range | None) -> str:
    if limits is None:
        return fmt.ABSENT
    # What is nothing against the other end reads as 0, as it does to the quantiser.
    least = _NEGLIGIBLE * max(map(abs, limits))
    low, high = ((f"{end:.3g}" if abs(end) > least else "0").replace("-", "−") for end in limits)
    return f"[{low}, {high}]"
