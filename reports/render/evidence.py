"""Every line of evidence on one case: what its delegate took, what it cost, its answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench import format as fmt
from bench.delegation.model import Delegation
from bench.numerics.model import Numerics
from reports.answers import worst
from reports.checked import NOT_MADE
from reports.model import Comparison, Row
from reports.render.delegates import delegate_text
from reports.render.forecasts import forecast_text
from reports.render.notes import place_text


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """The evidence on one case; text without control characters, not escaped for a medium.

    Attributes:
        anchor: names it within a page.
        lines: (what, text) pairs, the verdict first; `what` of a piece of evidence is where
            it comes from.
    """

    anchor: str
    title: str
    lines: tuple[tuple[str, str], ...]


def anchor(number: int) -> str:
    """The anchor of a comparison's row, counted from 1."""
    return f"evidence-{number}"


def evidence(comparison: Comparison) -> tuple[EvidenceView, ...]:
    """The evidence on every case, in the order of the rows.

    Raises:
        ValueError: a number in the comparison cannot be shown.
    """
    return tuple(
        EvidenceView(
            anchor(number),
            fmt.visible(
                f"{row.case.model} · {row.case.variant} · {delegate_text(row)} ·"
                f" {fmt.threads(row.case.threads)} on {place_text(row)} ({row.case.runner})"
            ),
            tuple((fmt.visible(what), fmt.visible(text)) for what, text in _lines(row)),
        )
        for number, row in enumerate(comparison.rows, start=1)
    )


def _lines(row: Row) -> Iterator[tuple[str, str]]:
    if row.not_applicable is not None:
        yield "not applicable", row.not_applicable
        return
    if row.failure is not None:
        yield "no number", row.failure
    if row.delegation is None:
        yield "verdict", "no launch tells what the delegate took"
    else:
        yield from _delegation(row.delegation)
    if row.forecast is not None:
        yield "forecast", forecast_text(row.forecast)
    if row.profile is not None:
        share = fmt.percent(row.profile.top_share, 0)
        yield "most time", f"{row.profile.top_op}, {share} of the time of all ops"
    elif row.profile_reason is not None:
        yield "profile", row.profile_reason
    if row.against_cpu is not None and not row.against_cpu.is_reference:
        yield "against the CPU", _against_cpu(row)
    if row.numerics is not None:
        yield "answers", "; ".join((row.numerics.word.value, *row.numerics.reasons))
    elif row.numerics_reason is not None:
        why = "" if row.numerics_reason == NOT_MADE else f": {row.numerics_reason}"
        yield "answers", f"not checked{why}"
    if row.answers is not None:
        yield "in figures", figures(row.answers)


def _delegation(found: Delegation) -> Iterator[tuple[str, str]]:
    nodes = ""
    if found.delegated_nodes is not None and found.total_nodes is not None:
        nodes = f": {found.delegated_nodes} of {fmt.counted(found.total_nodes, 'node')}"
        if found.partitions:
            nodes += f" in {fmt.counted(found.partitions, 'partition')}"
    plain = found.requested == "none" and found.as_requested
    yield "verdict", "plain kernels only" if plain else f"{found.requested} {found.verdict}{nodes}"
    if found.suspicion:
        yield "SUSPECT", found.suspicion
    if found.accelerators:
        yield "computed by", ", ".join(found.accelerators)
    for item in found.evidence:
        says = "" if item.says is None or item.says is found.verdict else f" (says {item.says})"
        yield item.source.value, f"{item.text}{says}"
    for refusal in found.unsupported:
        count = "" if refusal.nodes is None else f" ({fmt.counted(refusal.nodes, 'node')})"
        yield "refused", f"{refusal.op}{count}: {refusal.reason or 'no reason is told'}"
    if found.fallback_ops:
        ops = ", ".join(f"{count} {op}" for op, count in found.fallback_ops.items())
        yield "stayed outside", ops
    if found.outside_time is not None:
        yield "time outside", f"{fmt.percent(found.outside_time, 1)} of the time of all ops"


def _against_cpu(row: Row) -> str:
    against = row.against_cpu
    assert against is not None
    verdict = against.verdict
    if verdict is None or against.delegate is None:
        return f"not compared: {against.reason or 'no reason was recorded'}"
    interval = "" if verdict.interval is None else f" {fmt.bounds(verdict.interval)}"
    return f"{fmt.ratio(verdict.ratio)}{interval} {against.delegate.name}, {verdict.change.lower()}"


def figures(found: Numerics) -> str:
    """The figures of a numerics launch in one line, of several outputs the worst."""
    of = worst(found)
    parts = [
        f"max abs {difference(of.max_abs)}",
        f"max rel {difference(of.max_rel)}",
        f"cosine {cosine(of.cosine)}",
        f"SNR {snr(of.snr_db, of.max_abs)}",
        f"top-1 as the reference {fmt.percent(of.top1_agreement, 1)}",
        f"{of.nonfinite} NaN or infinite",
        f"{fmt.counted(found.samples, 'sample')} ({found.inputs})",
        f"reference: {found.reference}",
    ]
    if len(found.outputs) > 1:
        parts.insert(0, f"worst of {len(found.outputs)} outputs")
    return ", ".join(parts)


def difference(value: float | None) -> str:
    """An error in the unit of the output, three digits."""
    return fmt.ABSENT if value is None else f"{value:.3g}"


def cosine(value: float | None) -> str:
    """A cosine, never rounded up to 1."""
    if value is None:
        return fmt.ABSENT
    return f"{value:.6f}" if value == 1 or value < 0.9999995 else "0.999999+"


def snr(value: float | None, max_abs: float | None) -> str:
    """A signal to noise ratio in dB; "equal" where nothing differs."""
    if value is None:
        return "equal" if max_abs == 0 else fmt.ABSENT
    return f"{value:.1f} dB"
