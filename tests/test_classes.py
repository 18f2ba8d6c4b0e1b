"""Per-class tables and confusions, against counting by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from analysis import answers, evaluation
from hypothesis import given
from hypothesis import strategies as st

from bench.records import EvaluationRecord
from reports.classes import MAX_MATRIX, MAX_ROWS, class_report


def record(labels: list[int], predictions: list[int]) -> EvaluationRecord:
    made = evaluation("int8", answers(1, 1), "xnnpack")
    return replace(
        made, labels=np.array(labels, np.int32), predictions=np.array(predictions, np.int32)
    )


def test_a_small_table_by_hand() -> None:
    labels = [0, 0, 0, 1, 1, 2]
    found = class_report(record(labels, [0, 1, 1, 1, 3, 2]), record(labels, [0, 0, 0, 1, 3, 1]))
    assert found is not None
    assert found.classes == 4
    assert found.matrix == ((1, 2, 0, 0), (0, 1, 0, 1), (0, 0, 1, 0), (0, 0, 0, 0))
    rows = {row.label: row for row in found.rows}
    assert list(rows) == [0, 1, 2, 3]
    assert (rows[0].images, rows[0].recall, rows[0].precision) == (3, 1 / 3, 1.0)
    assert rows[0].recall_change == -2 / 3
    assert rows[1].precision == 1 / 3
    assert rows[2].recall_change == 1.0
    assert (rows[3].images, rows[3].recall, rows[3].recall_change) == (0, None, None)
    first = found.confusions[0]
    assert (first.label, first.predicted, first.count, first.before) == (0, 1, 2, 0)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=200))
def test_everything_adds_up_and_nothing_grows_without_bound(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = (list(values) for values in zip(*pairs, strict=True))
    found = class_report(record(labels, predictions), None)
    assert found is not None
    occurring = set(labels) | set(predictions)
    assert len(found.rows) == min(len(occurring), MAX_ROWS)
    assert len(found.rows) + found.left_out == len(occurring)
    assert len(found.confusions) <= MAX_ROWS
    assert bool(found.matrix) == (found.classes <= MAX_MATRIX)
    for row in found.rows:
        assert row.images == labels.count(row.label)
        right = sum(a == b == row.label for a, b in pairs)
        assert row.recall == (right / row.images if row.images else None)
        assert row.recall_change is None
    for one in found.confusions:
        assert one.count == pairs.count((one.label, one.predicted)) > 0
        assert one.before is None
    if found.matrix:
        assert sum(map(sum, found.matrix)) == len(pairs)


def test_of_many_classes_those_that_lost_most_are_shown() -> None:
    labels = list(range(50)) * 2
    good = list(labels)
    bad = [0 if label in (17, 42) else label for label in labels]
    found = class_report(record(labels, bad), record(labels, good))
    assert found is not None
    assert {17, 42} <= {row.label for row in found.rows}
    assert [row.label for row in found.rows] == sorted(row.label for row in found.rows)


def test_without_labels_there_is_no_table() -> None:
    assert class_report(replace(record([0], [0]), labels=None), None) is None
    assert class_report(replace(record([0], [0]), predictions=None), None) is None
