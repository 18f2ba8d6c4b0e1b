"""The table of answers: each case's against the reference's, in figures and with a verdict."""

from __future__ import annotations

from dataclasses import dataclass

from bench import format as fmt
from bench.metrics import metric_named
from bench.numerics.model import DeviceAccuracy, NumericsWord
from reports.answers import worst
from reports.checked import NOT_ASKED, NOT_MADE
from reports.model import Comparison, Row
from reports.render.cell import Cell, Tone
from reports.render.delegates import NUMERICS_TONES, WRONG, delegate_text, flags
from reports.render.evidence import cosine, difference, snr
from reports.render.notes import place_text

HEADS = (
    "model",
    "variant",
    "device",
    "delegate",
    "threads",
    "answers",
    "max abs",
    "cosine",
    "SNR",
    "top-1 agrees",
    "NaN, inf",
    "samples",
    "on the device",
)
# From here on columns hold numbers.
FIRST_NUMBER = HEADS.index("max abs")
LEGEND = (
    "The same inputs through the plain kernels on the host and through each case; of several "
    "outputs the worst. max abs is in the unit of the output. WRONG: no rounding explains it."
)


@dataclass(frozen=True, slots=True)
class NumericsView:
    """The table of answers.

    Attributes:
        rows: cells under HEADS.
        missing: one sentence per reason why cases have none.
        inputs: what was fed, and what it was held against; a line each.
    """

    rows: tuple[tuple[Cell, ...], ...]
    missing: tuple[str, ...]
    inputs: tuple[str, ...]


def numerics_view(comparison: Comparison) -> NumericsView | None:
    """The table, or None where no case was checked and no check went wrong.

    Raises:
        ValueError: a number in the comparison cannot be shown.
    """
    several = len({row.case.runner for row in comparison.rows}) > 1
    possible = [row for row in comparison.rows if row.not_applicable is None]
    without: dict[str, list[Row]] = {}
    for row in possible:
        if row.answers is None:
            without.setdefault(row.numerics_reason or NOT_MADE, []).append(row)
    checked = [row for row in possible if row.answers is not None]
    if not checked and without.keys() <= {NOT_ASKED, NOT_MADE}:
        return None
    inputs = dict.fromkeys(
        f"{fmt.counted(r.answers.samples, 'sample')} ({r.answers.inputs}) against"
        f" {r.answers.reference}"
        for r in checked
        if r.answers is not None
    )
    return NumericsView(
        rows=tuple(_cells(row, several) for row in checked),
        missing=tuple(
            fmt.visible(f"Not checked ({_named(rows, several)}): {reason}.")
            for reason, rows in without.items()
        ),
        inputs=tuple(map(fmt.visible, inputs)),
    )


def _named(rows: list[Row], several: bool) -> str:
    if len(rows) > 3:
        return f"{len(rows)} cases"
    return "; ".join(f"{row.case.label} on {_where(row, several)}" for row in rows)


def _where(row: Row, several: bool) -> str:
    """The device, and the runner where a comparison has several."""
    return f"{place_text(row)} by {row.case.runner}" if several else place_text(row)


def _cells(row: Row, several: bool) -> tuple[Cell, ...]:
    case, found, judged = row.case, row.answers, row.numerics
    assert found is not None
    of = worst(found)
    word = NumericsWord.UNKNOWN if judged is None else judged.word
    doubts = tuple(flag for flag in flags(row) if flag != WRONG)
    return (
        *(Cell(fmt.visible(text)) for text in (case.model, case.variant, _where(row, several))),
        Cell(delegate_text(row), doubts, tone=Tone.BAD if doubts else Tone.PLAIN),
        Cell(str(case.threads)),
        Cell(word, tone=NUMERICS_TONES[word]),
        Cell(difference(of.max_abs)),
        Cell(cosine(of.cosine)),
        Cell(snr(of.snr_db, of.max_abs)),
        Cell(fmt.percent(of.top1_agreement, 1)),
        Cell(str(of.nonfinite), tone=Tone.BAD if of.nonfinite else Tone.PLAIN),
        Cell(str(found.samples)),
        _accuracy(found.accuracy),
    )


def _accuracy(found: DeviceAccuracy | None) -> Cell:
    if found is None:
        return Cell(fmt.ABSENT, tone=Tone.QUIET)
    metric = metric_named(found.metric, found.k)
    share = metric.is_share
    details = [f"{found.samples} of {found.of} samples"]
    if found.reference_value is not None:
        details.append(f"reference {fmt.score(found.reference_value, share=share)}")
    text = f"{fmt.visible(metric.title)} {fmt.score(found.value, share=share)}"
    return Cell(text, tuple(details))
