"""Which classes a classifier finds and mistakes, and what changed against the reference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.records import EvaluationRecord
from reports.model import ClassReport, ClassRow, Confusion

# A matrix of more classes is wider than a page, and a table of more longer than anyone reads.
MAX_MATRIX = 20
MAX_ROWS = 20

_Counts = NDArray[np.int64]


def class_report(
    record: EvaluationRecord, reference: EvaluationRecord | None
) -> ClassReport | None:
    """The classes of an evaluation; None if it kept no labels and answers.

    Args:
        reference: evaluation of the reference on the same samples; None for itself, or
            where there is none to compare with.
    """
    labels, answers = record.labels, record.predictions
    if labels is None or answers is None or labels.shape != answers.shape or not len(labels):
        return None
    before = None if reference is None else reference.predictions
    if before is not None and before.shape != answers.shape:
        before = None
    known = [labels, answers] if before is None else [labels, answers, before]
    classes = 1 + max(int(values.max()) for values in known)
    if min(int(values.min()) for values in known) < 0:
        return None
    rows = _rows(labels, answers, before, classes)
    shown = rows
    if len(rows) > MAX_ROWS:
        worst = sorted(rows, key=_how_bad)[:MAX_ROWS]
        shown = tuple(sorted(worst, key=lambda row: row.label))
    return ClassReport(
        model=record.model,
        variant=record.variant,
        kernels=record.kernels,
        classes=classes,
        rows=shown,
        left_out=len(rows) - len(shown),
        matrix=_matrix(labels, answers, classes) if classes <= MAX_MATRIX else (),
        confusions=_confusions(labels, answers, before, classes),
        images=len(labels),
        agreeing=None if before is None else int(np.count_nonzero(answers == before)),
    )


def _rows(
    labels: NDArray[np.int32],
    answers: NDArray[np.int32],
    before: NDArray[np.int32] | None,
    classes: int,
) -> tuple[ClassRow, ...]:
    """One per class that occurs among labels or answers."""
    images = np.bincount(labels, minlength=classes)
    given = np.bincount(answers, minlength=classes)
    found = np.bincount(labels[labels == answers], minlength=classes)
    earlier = None
    if before is not None:
        earlier = np.bincount(labels[labels == before], minlength=classes)
    rows = []
    for label in np.flatnonzero(images + given):
        n = int(images[label])
        rows.append(
            ClassRow(
                label=int(label),
                images=n,
                recall=found[label] / n if n else None,
                precision=found[label] / given[label] if given[label] else None,
                recall_change=(found[label] - earlier[label]) / n
                if n and earlier is not None
                else None,
            )
        )
    return tuple(rows)


def _how_bad(row: ClassRow) -> tuple[float, float]:
    """Sorts what lost most first, then what is found least."""
    lost = 0.0 if row.recall_change is None else row.recall_change
    return lost, 1.0 if row.recall is None else row.recall


def _matrix(
    labels: NDArray[np.int32], answers: NDArray[np.int32], classes: int
) -> tuple[tuple[int, ...], ...]:
    counts: _Counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, answers), 1)
    return tuple(tuple(int(n) for n in line) for line in counts)


def _confusions(
    labels: NDArray[np.int32],
    answers: NDArray[np.int32],
    before: NDArray[np.int32] | None,
    classes: int,
) -> tuple[Confusion, ...]:
    """The commonest mistakes. By pair of label and answer, as a matrix of many classes
    would hold mostly zeros."""
    mistakes = _pairs(labels, answers, classes)
    earlier = None if before is None else _pairs(labels, before, classes)
    order = sorted(mistakes, key=lambda pair: (-mistakes[pair], pair))[:MAX_ROWS]
    return tuple(
        Confusion(*pair, mistakes[pair], None if earlier is None else earlier.get(pair, 0))
        for pair in order
    )


def _pairs(
    labels: NDArray[np.int32], answers: NDArray[np.int32], classes: int
) -> dict[tuple[int, int], int]:
    wrong = labels != answers
    keys = labels[wrong].astype(np.int64) * classes + answers[wrong]
    values, counts = np.unique(keys, return_counts=True)
    return {
        (int(key) // classes, int(key) % classes): int(count)
        for key, count in zip(values, counts, strict=True)
    }
