"""The classes of every variant as a table and a confusion matrix, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench import format as fmt
from reports.model import ClassReport, ClassRow

# Shades of the matrix, by share of the images of a class; 0 is none.
_SHADES = 8


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """A count; `shade` 0 to 8; `right` where answer and label are the same."""

    text: str
    shade: int
    right: bool


@dataclass(frozen=True, slots=True)
class ClassesView:
    """One variant.

    Attributes:
        title: whose classes, by which kernels; summary: how it fares as a whole, or "".
        rows: class, images, recall, change of recall in points, precision.
        remark: what the rows leave out, or "".
        matrix: lines of the matrix with the class in front; () where there is none.
        confusions: class, answer, count, count by fp32.
    """

    title: str
    summary: str
    rows: tuple[tuple[str, ...], ...]
    remark: str
    matrix: tuple[tuple[str, tuple[MatrixCell, ...]], ...]
    confusions: tuple[tuple[str, ...], ...]


CLASS_HEADS = ("class", "images", "recall", "points", "precision")
CONFUSION_HEADS = ("class", "taken for", "images", "by the reference")


def classes_view(found: ClassReport, *, several_models: bool = False) -> ClassesView:
    """Formats the classes of one variant."""
    model = f"{fmt.visible(found.model)} · " if several_models else ""
    remark = ""
    if found.left_out:
        shown = len(found.rows)
        remark = f"The {shown} classes that lost most, of {shown + found.left_out} that occur."
    return ClassesView(
        title=f"{model}{fmt.visible(found.variant)} ({fmt.visible(found.kernels)})",
        summary=_summary(found),
        rows=tuple(map(_row, found.rows)),
        remark=remark,
        matrix=tuple((str(label), _line(label, line)) for label, line in enumerate(found.matrix)),
        confusions=tuple(
            (
                str(c.label),
                str(c.predicted),
                str(c.count),
                fmt.ABSENT if c.before is None else str(c.before),
            )
            for c in found.confusions
        ),
    )


def _summary(found: ClassReport) -> str:
    parts = [fmt.visible(found.verdict)] if found.verdict else []
    if found.agreeing is not None:
        share = fmt.percent(found.agreeing / found.images, 1)
        differing = found.images - found.agreeing
        parts.append(f"answers as fp32 on {share} of the images, {differing} differ")
    return "; ".join(parts)


def _row(row: ClassRow) -> tuple[str, ...]:
    return (
        str(row.label),
        str(row.images),
        fmt.percent(row.recall, 1),
        fmt.points(None if row.recall_change is None else 100 * row.recall_change),
        fmt.percent(row.precision, 1),
    )


def _line(label: int, counts: Sequence[int]) -> tuple[MatrixCell, ...]:
    total = sum(counts)
    return tuple(
        MatrixCell(
            str(count) if count else "·",
            # The least mistake is visible: shades are rounded up.
            -(-count * _SHADES // total) if total else 0,
            answer == label,
        )
        for answer, count in enumerate(counts)
    )
