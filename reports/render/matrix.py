"""Device by delegate: the verdict, and the speed-up against the same device's processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench import format as fmt
from bench.delegation.model import Coverage
from bench.stats import RatioVerdict
from reports.model import Comparison, Row
from reports.render.delegates import SUSPECT, WRONG, delegate_text
from reports.render.evidence import anchor

LEGEND = (
    "Each number is the speed-up against the processor of the same device (XNNPACK, or the plain "
    "kernels where XNNPACK was not measured) at equal variant, threads and runner: the median of "
    "the per-round ratios with its 95 % interval; above 1 is faster. The case that others are held "
    "against shows its p50. FULL, PARTIAL, NONE and UNKNOWN: what the delegate really took. "
    "SUSPECT: as fast as the processor, so that it may be the processor. WRONG: the answers are "
    "not those of the plain kernels, and the speed counts for nothing."
)


@dataclass(frozen=True, slots=True)
class MatrixEntry:
    """One case in a cell; its word says all that its shade does.

    Attributes:
        label: what tells it from the others in its cell, "2 threads"; "" if it is alone.
        number: the speed-up, "3.21×"; p50 of the case that others are held against; or "–".
        word: the verdict, with what doubts it: "FULL", "PARTIAL, SUSPECT", "WRONG answers".
        detail: the interval, or why there is no number; may be "".
        shade: "full", "partial", "none", "unknown", "wrong", "plain" or "absent".
        anchor: of its evidence lines.
        verdict: what `number` shows; None where it shows no speed-up.
    """

    label: str
    number: str
    word: str
    detail: str
    shade: str
    anchor: str
    verdict: RatioVerdict | None = None

    @property
    def text(self) -> str:
        """All of it on one line."""
        head = f"{self.label}: " if self.label else ""
        number = "" if self.number == fmt.ABSENT else f"{self.number} "
        return f"{head}{number}{self.word}"


@dataclass(frozen=True, slots=True)
class MatrixLine:
    """One variant on one device: a cell per delegate, () where the plan has no such case."""

    variant: str
    device: str
    cells: tuple[tuple[MatrixEntry, ...], ...]


@dataclass(frozen=True, slots=True)
class MatrixView:
    """The matrix of one model; lines of a variant stand together."""

    title: str
    delegates: tuple[str, ...]
    lines: tuple[MatrixLine, ...]


def matrices(comparison: Comparison) -> tuple[MatrixView, ...]:
    """One matrix per model that was measured with two delegates or more.

    Raises:
        ValueError: a number in the comparison cannot be shown.
    """
    models = dict.fromkeys(row.case.model for row in comparison.rows)
    made = []
    for model in models:
        rows = [(n, r) for n, r in enumerate(comparison.rows, start=1) if r.case.model == model]
        delegates = tuple(dict.fromkeys(delegate_text(row) for _, row in rows))
        if len(delegates) > 1:
            all_simulated = all(row.simulated for _, row in rows)
            mark = "SIMULATED: " if all_simulated else ""
            title = fmt.visible(f"{mark}{model}: devices by delegates")
            made.append(
                MatrixView(title, delegates, _lines(rows, delegates, mark=not all_simulated))
            )
    return tuple(made)


def _lines(
    rows: Sequence[tuple[int, Row]], delegates: Sequence[str], *, mark: bool
) -> tuple[MatrixLine, ...]:
    """mark: whether simulated devices are marked one by one."""
    groups: dict[tuple[str, str], list[tuple[int, Row]]] = {}
    for variant in dict.fromkeys(row.case.variant for _, row in rows):
        for number, row in rows:
            if row.case.variant == variant:
                groups.setdefault((variant, row.case.device), []).append((number, row))
    lines = []
    for (variant, device), group in groups.items():
        simulated = ", simulated" if mark and group[0][1].simulated else ""
        cells = []
        for delegate in delegates:
            here = [(n, row) for n, row in group if delegate_text(row) == delegate]
            cells.append(tuple(_entry(n, row, [r for _, r in here]) for n, row in here))
        place = fmt.visible(f"{device}{simulated}")
        lines.append(MatrixLine(fmt.visible(variant), place, tuple(cells)))
    return tuple(lines)


def _entry(number: int, row: Row, beside: Sequence[Row]) -> MatrixEntry:
    shown, detail = _number(row)
    word, shade = _word(row)
    against = None if row.p50_us is None else row.against_cpu
    return MatrixEntry(
        _label(row, beside),
        shown,
        word,
        fmt.visible(detail),
        shade,
        anchor(number),
        None if against is None else against.verdict,
    )


def _label(row: Row, beside: Sequence[Row]) -> str:
    case, parts = row.case, []
    if len({other.case.threads for other in beside}) > 1:
        parts.append(fmt.threads(case.threads))
    if len({other.case.runner for other in beside}) > 1:
        parts.append(case.runner)
    if len({other.case.input_shapes for other in beside}) > 1:
        parts.append(" ".join(f"{name} {list(shape)}" for name, shape in case.input_shapes))
    return fmt.visible(", ".join(parts))


def _number(row: Row) -> tuple[str, str]:
    """The number and what stands below it."""
    against = row.against_cpu
    if row.p50_us is None or against is None:
        return fmt.ABSENT, ""
    if against.is_reference:
        return fmt.duration(row.p50_us), ""
    verdict = against.verdict
    if verdict is None:
        return fmt.ABSENT, ""
    return fmt.ratio(verdict.ratio), " ".join(fmt.ratio_details(verdict))


def _word(row: Row) -> tuple[str, str]:
    """The words of a case and the shade that goes with them; the worst decides."""
    if row.not_applicable is not None:
        return "N/A", "absent"
    found = row.delegation
    if row.is_wrong:
        return (WRONG if found is None else f"{found.verdict}, {WRONG}"), "wrong"
    if found is None:
        return ("FAILED" if row.failure else Coverage.UNKNOWN), "absent"
    if found.requested == "none" and found.as_requested:
        return "plain kernels", "plain"
    word = f"{found.verdict}, not plain" if found.requested == "none" else str(found.verdict)
    if row.is_suspect and found.as_requested:
        return f"{word}, {SUSPECT}", "unknown"
    return (f"{word}, no number" if row.p50_us is None else word), found.verdict.lower()
