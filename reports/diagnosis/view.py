"""A diagnosis as words and cells: what the terminal and the page both show."""

from __future__ import annotations

from dataclasses import dataclass

from bench import format as fmt
from bench.accuracy import Loss, PairedChange
from bench.diagnose.layers import short_name
from bench.diagnose.outcome import Diagnosis, Finding, FindingKind, Verdict
from bench.diagnose.remedies import REMEDIES
from bench.metrics import Metric
from reports.diagnosis.tables import (
    LayerRow,
    TreatmentRow,
    WeightsRow,
    layer_row,
    one_decimal,
    treatment_row,
    weights_row,
)

_KINDS = {
    FindingKind.NOT_COMPARABLE: "Layers cannot be compared",
    FindingKind.UNDER_RANGE: "Calibrated too narrowly",
    FindingKind.OVER_RANGE: "Calibrated too widely",
    FindingKind.CLIPPED: "Values cut off",
    FindingKind.OUTLIER_CHANNELS: "Outlier channels",
    FindingKind.PER_TENSOR_WEIGHTS: "One scale for all weights of a layer",
    FindingKind.FLOAT_ISLAND: "Float islands",
    FindingKind.NONE_FOUND: "Nothing stands out",
}


@dataclass(frozen=True, slots=True)
class FindingView:
    """One finding; `support` says what the remedies say to it."""

    heading: str
    summary: str
    evidence: tuple[str, ...]
    support: str


@dataclass(frozen=True, slots=True)
class DiagnosisView:
    """Everything to show; the tables in the order of the diagnosis."""

    title: str
    subject: str
    loss: str
    loss_shown: bool
    fall: str
    findings: tuple[FindingView, ...]
    treatments: tuple[TreatmentRow, ...]
    tried: bool
    accuracy_title: str
    change_title: str
    layers: tuple[LayerRow, ...]
    weights: tuple[WeightsRow, ...]
    advice_headline: str
    advice: tuple[str, ...]
    plan_line: str
    remarks: tuple[str, ...]
    latency_how: str


def view(diagnosis: Diagnosis) -> DiagnosisView:
    """The diagnosis as text.

    Raises: ValueError for a number that cannot be shown.
    """
    metric = diagnosis.metric
    culprits = {
        i
        for finding in diagnosis.findings
        if finding.kind is not FindingKind.NOT_COMPARABLE
        for i in finding.layers
    }
    return DiagnosisView(
        title=f"{fmt.visible(diagnosis.model)}: why {diagnosis.variant} lost accuracy"
        if diagnosis.loss_shown
        else f"{fmt.visible(diagnosis.model)}: {diagnosis.variant} against fp32",
        subject=f"{diagnosis.samples} samples of {fmt.visible(diagnosis.holdout)}, "
        f"{metric.title}, kernels {diagnosis.kernels}",
        loss=_loss(diagnosis),
        loss_shown=diagnosis.loss_shown,
        fall=_fall(diagnosis),
        findings=tuple(_finding(finding) for finding in diagnosis.findings),
        treatments=tuple(treatment_row(row, diagnosis) for row in diagnosis.treatments),
        tried=len(diagnosis.treatments) > 2,
        accuracy_title=metric.title,
        change_title="points vs fp32" if metric.is_share else "change vs fp32",
        layers=tuple(layer_row(layer, diagnosis, culprits) for layer in diagnosis.analysis.layers),
        weights=tuple(weights_row(weights) for weights in diagnosis.analysis.weights),
        advice_headline=_headline(diagnosis),
        advice=tuple(map(fmt.visible, diagnosis.advice)),
        plan_line=fmt.visible(diagnosis.plan_line or ""),
        remarks=tuple(map(fmt.visible, diagnosis.remarks)),
        latency_how=_how_timed(diagnosis),
    )


def change_text(change: PairedChange, metric: Metric) -> str:
    """ "−31.99 points [−35.43, −28.37]"."""
    unit = " points" if metric.is_share else ""
    text = f"{fmt.score_change(change.difference, share=metric.is_share)}{unit}"
    if change.interval is None:
        return f"{text} (too few samples for an interval)"
    return f"{text} {fmt.score_change_interval(change.interval, share=metric.is_share)}"


def _loss(diagnosis: Diagnosis) -> str:
    text = change_text(diagnosis.loss, diagnosis.metric)
    p = f"p {'< 0.001' if diagnosis.loss.p_value < 0.001 else f'= {diagnosis.loss.p_value:.3f}'}"
    verdict = "a loss is shown" if diagnosis.loss_shown else diagnosis.judgement.text
    return f"{diagnosis.variant} against fp32: {text}, {p}: {verdict}."


def _fall(diagnosis: Diagnosis) -> str:
    if any(finding.kind is FindingKind.NOT_COMPARABLE for finding in diagnosis.findings):
        return ""
    if diagnosis.first_fall is None:
        return "The error grows evenly: it falls nowhere first."
    layer = diagnosis.analysis.layers[diagnosis.first_fall]
    after = next(
        (
            other
            for other in diagnosis.analysis.layers
            if layer.position in other.upstream and other.snr_db is not None
        ),
        None,
    )
    text = (
        f"The error first appears at layer {layer.position}, {fmt.visible(layer.op)} "
        f"{fmt.visible(short_name(layer.name))}: the median channel's SNR there is "
        f"{one_decimal(layer.channel_snr_db)} dB"
    )
    if after is not None and layer.snr_db is not None:
        text += (
            f" (the whole tensor's {one_decimal(layer.snr_db)} dB, and "
            f"{one_decimal(after.snr_db)} dB right after, at layer {after.position})"
        )
    return f"{text}."


def _how_timed(diagnosis: Diagnosis) -> str:
    timed = [row.latency for row in diagnosis.treatments if row.latency is not None]
    if not timed:
        return ""
    taints = sorted({taint for latency in timed for taint in latency.taints})
    how = f"{timed[0].how}, on this machine"
    if not taints:
        return how
    more = f" and {len(taints) - 1} more" if len(taints) > 1 else ""
    return f"{how}; disturbed, so that it decides nothing: {fmt.visible(taints[0])}{more}"


def _finding(finding: Finding) -> FindingView:
    titles = {remedy.key: remedy.title for remedy in REMEDIES}

    def names(keys: tuple[str, ...]) -> str:
        return ", ".join(titles.get(key, key) for key in keys)

    support = ""
    if finding.supported_by:
        support = f"Borne out: accuracy comes back with {names(finding.supported_by)}."
    elif finding.contradicted_by:
        support = (
            f"Not borne out: {names(finding.contradicted_by)} treated it and nothing came back; it "
            "need not be the cause."
        )
    return FindingView(
        _KINDS[finding.kind],
        fmt.visible(finding.summary),
        tuple(map(fmt.visible, finding.evidence)),
        support,
    )


def _headline(diagnosis: Diagnosis) -> str:
    if diagnosis.judgement.loss is Loss.UNCLEAR:
        return "Too few samples to tell"
    if not diagnosis.loss_shown:
        return "No loss shown"
    chosen = next((r for r in diagnosis.treatments if r.key == diagnosis.recommended), None)
    if chosen is not None:
        share = diagnosis.metric.is_share
        return (
            f"{fmt.visible(chosen.title[:1].upper() + chosen.title[1:])} brings it back: "
            f"{fmt.score(diagnosis.untreated.accuracy, share=share)} to "
            f"{fmt.score(chosen.accuracy, share=share)}"
        )
    if any(row.verdict is Verdict.NOT_APPLICABLE for row in diagnosis.treatments) and not any(
        row.accuracy is not None for row in diagnosis.treatments[2:]
    ):
        return "No remedy could be made"
    if len(diagnosis.treatments) > 2:
        return "No remedy is shown to bring it back"
    return "No remedy was tried"
