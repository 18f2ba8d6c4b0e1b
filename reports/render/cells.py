"""One case as formatted cells, the same for every medium."""

from __future__ import annotations

from dataclasses import dataclass

from bench import format as fmt
from bench.records import Source
from bench.stability import StabilityWord
from bench.stats import Change
from reports.model import GateStatus, Row
from reports.render.cell import Cell, Tone
from reports.render.delegates import (
    as_wrong,
    delegate_cell,
    delegation_cell,
    flags,
    numerics_cell,
)
from reports.render.latencies import (
    energy_cell,
    first_inference_cell,
    p50_cell,
    p90_cell,
    p95_cell,
    source_cell,
)
from reports.render.notes import NoteBook

# Stands beside the name of a variant that holds any.
TF_OPS = "TensorFlow ops"

_WORST_FIRST = (GateStatus.FAIL, GateStatus.UNKNOWN, GateStatus.UNSURE, GateStatus.PASS)


@dataclass(frozen=True, slots=True)
class RowView:
    """One case, cell by cell; `row` is what it was made of."""

    row: Row
    variant: Cell
    delegate: Cell
    threads: Cell
    size: Cell
    accuracy: Cell
    change: Cell
    p50: Cell
    p90: Cell
    p95: Cell
    source: Cell
    speedup: Cell
    first_inference: Cell
    peak_rss: Cell
    energy: Cell
    delegation: Cell
    numerics: Cell
    gates: Cell
    stability: Cell
    launches: Cell


def caveat(row: Row) -> str:
    """What must stand beside the case's name in a picture: "NOISY", "tool-mean"; or ""."""
    words = []
    if row.p50_source is Source.TOOL_MEAN:
        words.append(row.p50_source.value)
    words += flags(row)
    if row.stability.word is not StabilityWord.STABLE:
        words.append(row.stability.word.value)
    return ", ".join(words)


def group_title(row: Row) -> str:
    """What the cases of one table have in common: "digits on local (invoke_loop)".

    Whoever shows it marks what is simulated in front of all else.
    """
    case = row.case
    shapes = ", ".join(f"{name} {list(shape)}" for name, shape in case.input_shapes)
    text = f"{case.model} on {case.device} ({case.runner})"
    return fmt.visible(f"{text}, inputs {shapes}" if shapes else text)


def row_view(row: Row, book: NoteBook) -> RowView:
    """Formats a case; what needs explaining goes into the book.

    Raises:
        ValueError: a number in it is negative where it cannot be, or not finite.
    """
    case = row.case
    # In the order of the columns, so that footnotes are numbered from left to right.
    variant = _variant(row, book)
    size = Cell(fmt.size(row.size_bytes), sort=_number(row.size_bytes))
    accuracy = _accuracy(row, book)
    p50 = as_wrong(row, p50_cell(row, book))
    p90, p95 = p90_cell(row, book), p95_cell(row, book)
    return RowView(
        row=row,
        variant=variant,
        delegate=delegate_cell(row),
        threads=Cell(str(case.threads), sort=case.threads),
        size=size,
        accuracy=accuracy,
        change=_accuracy_change(row),
        p50=p50,
        p90=p90,
        p95=p95,
        source=source_cell(row),
        speedup=as_wrong(row, _speedup(row, book)),
        first_inference=first_inference_cell(row),
        peak_rss=Cell(fmt.memory(row.peak_rss_kib), sort=_number(row.peak_rss_kib)),
        energy=energy_cell(row),
        delegation=delegation_cell(row, book),
        numerics=numerics_cell(row, book),
        gates=_gates(row, book),
        stability=_stability(row, book),
        launches=Cell(
            f"{row.launches_used} of {row.launches_made}",
            sort=row.launches_used,
            tone=Tone.PLAIN if row.launches_used == row.launches_made else Tone.WARN,
        ),
    )


def _number(value: int | None) -> float | None:
    return None if value is None else float(value)


def _variant(row: Row, book: NoteBook) -> Cell:
    notes = tuple(n for text in row.warnings for n in book.add(row, f"how it was made: {text}"))
    flag = (TF_OPS,) if row.tf_ops else ()
    tone = Tone.WARN if row.tf_ops else Tone.PLAIN
    return Cell(fmt.visible(row.case.variant), flag, notes, tone=tone)


def _never_ran(row: Row) -> bool:
    """Whether the verdict alone says why there is nothing: not in the plan, or no file to run."""
    return row.launches_made == 0 and (row.failure or row.not_applicable) is not None


def _accuracy(row: Row, book: NoteBook) -> Cell:
    accuracy = row.accuracy
    if accuracy is None and _never_ran(row):
        return Cell(fmt.ABSENT, tone=Tone.QUIET)
    if accuracy is None:
        reason = _of_any(row, row.accuracy_reason or "not measured")
        return Cell(fmt.ABSENT, notes=book.add(row, f"accuracy: {reason}"), tone=Tone.QUIET)
    share = accuracy.metric.is_share
    details: tuple[str, ...] = ()
    if accuracy.interval is not None:
        details = (fmt.score_interval(accuracy.interval, share=share),)
    # Where there is room for the bare change only, it must not pass for a loss or a gain.
    verdict = accuracy.verdict
    notes = () if verdict is None else book.add(row, f"{accuracy.metric.title}: {verdict.text}")
    return Cell(
        fmt.score(accuracy.value, share=share), details=details, notes=notes, sort=accuracy.value
    )


def _accuracy_change(row: Row) -> Cell:
    accuracy = row.accuracy
    if accuracy is None or accuracy.change is None:
        return Cell(fmt.ABSENT, tone=Tone.QUIET)
    share = accuracy.metric.is_share
    details: tuple[str, ...] = ()
    if accuracy.change_interval is not None:
        details = (fmt.score_change_interval(accuracy.change_interval, share=share),)
    return Cell(
        fmt.score_change(accuracy.change, share=share), details=details, sort=accuracy.change
    )


def _speedup(row: Row, book: NoteBook) -> Cell:
    verdict = row.speedup
    if verdict is None:
        unexplained = row.speedup_reason and not row.failure and not row.not_applicable
        notes = book.add(row, f"speed-up: {_in_short(row)}") if unexplained else ()
        return Cell(fmt.ABSENT, notes=notes, tone=Tone.QUIET)
    notes = ()
    if verdict.change is Change.UNCLEAR and verdict.missing:
        notes = book.add(row, f"speed-up unclear: {verdict.missing}")
    tone = Tone.PLAIN if verdict.change is Change.CHANGED else Tone.QUIET
    details = fmt.ratio_details(verdict)
    return Cell(fmt.ratio(verdict.ratio), details, notes, verdict.ratio, tone)


def _in_short(row: Row) -> str:
    """Why there is no speed-up; the figures of it stand with the case that they are of."""
    reason = row.speedup_reason or ""
    who, colon, rest = reason.rpartition(f"{StabilityWord.INVALID}: ")
    return f"{who}{StabilityWord.INVALID}" if colon and rest else reason


def _gates(row: Row, book: NoteBook) -> Cell:
    unknown = all(gate.status is GateStatus.UNKNOWN for gate in row.gates)
    if row.gates and unknown and _never_ran(row):
        return Cell(GateStatus.UNKNOWN, sort=_rank(GateStatus.UNKNOWN), tone=Tone.WARN)
    if not row.gates:
        return Cell(fmt.ABSENT, tone=Tone.QUIET)
    worst = min((gate.status for gate in row.gates), key=_WORST_FIRST.index)
    # Gates that are open for one reason share a footnote.
    names: dict[tuple[str, str], list[str]] = {}
    for gate in row.gates:
        if gate.status is not GateStatus.PASS:
            names.setdefault((gate.status, _of_any(row, gate.reason)), []).append(gate.name)
    notes: tuple[int, ...] = ()
    for (status, reason), those in names.items():
        notes += book.add(row, f"{status} {', '.join(those)}: {reason}")
    tone = {GateStatus.FAIL: Tone.BAD, GateStatus.PASS: Tone.GOOD}.get(worst, Tone.WARN)
    return Cell(worst, (), notes, _rank(worst), tone)


def _of_any(row: Row, reason: str) -> str:
    """A reason without the variant's name in front, so that all variants share a footnote."""
    return reason.removeprefix(f"{row.case.variant} was ")


def _rank(status: GateStatus) -> float:
    return float(_WORST_FIRST.index(status))


def _stability(row: Row, book: NoteBook) -> Cell:
    if row.not_applicable is not None:
        note = book.add(row, f"not applicable: {row.not_applicable}")
        return Cell("N/A", notes=note, sort=6.0, tone=Tone.QUIET)
    if row.failure is not None:
        note = book.add(row, f"FAILED: {row.failure}")
        return Cell("FAILED", notes=note, sort=5.0, tone=Tone.BAD)
    word = row.stability.word
    reasons = row.stability.reasons
    if word is not StabilityWord.STABLE and not reasons:
        reasons = ("no reason was recorded",)
    notes = book.add(row, f"{word}: {'; '.join(reasons)}") if reasons else ()
    tones = {StabilityWord.STABLE: Tone.GOOD, StabilityWord.NOISY: Tone.WARN}
    return Cell(word, (), notes, float(list(StabilityWord).index(word)), tones.get(word, Tone.BAD))
