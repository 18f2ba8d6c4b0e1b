"""Runs, cases, variants and evaluations to rows and back, without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from bench.errors import StoreError
from bench.identity import Case
from bench.records import (
    RECORD_VERSION,
    EvaluationRecord,
    Failure,
    PlannedCase,
    RunRecord,
    RunStatus,
    VariantRecord,
)
from bench.store import schema
from bench.store.checks import checked, failure_columns, failure_of
from bench.store.codec import pack_array, unpack_array

Row: TypeAlias = Mapping[Any, Any]

_CLASS = "<i4"
_FLAG = "|b1"
_NUMBER = "<f8"


def run_row(run: RunRecord) -> dict[str, Any]:
    """The row of table run."""
    names = [c.name for c in schema.run.c if c.name != "record_version"]
    values = {name: getattr(run, name) for name in names}
    return checked(schema.run, {"record_version": RECORD_VERSION, **values})


def run_of(row: Row) -> RunRecord:
    """The record of a row of table run.

    Raises:
        StoreError: written with newer records.
    """
    if row["record_version"] > RECORD_VERSION:
        raise StoreError(f"run {row['run_id']} was written by a newer edgebench: upgrade it")
    values = {name: row[name] for name in row if name not in ("record_version", "status")}
    return RunRecord(status=RunStatus(row["status"]), **values)


def case_row(case: Case) -> dict[str, Any]:
    """The row of table case."""
    values: dict[str, Any] = {
        "case_id": case.case_id,
        "spec": case.to_json(),
        "project": case.project,
        "model": case.model,
        "variant": case.variant,
        "delegate": case.delegate.name,
        "threads": case.threads,
        "runner": case.runner,
        "device": case.device,
    }
    return checked(schema.case, values)


def case_of(row: Row) -> Case:
    """The case of a row of table case.

    Raises:
        StoreError: it is not the one that its id names.
    """
    case = Case.from_json(row["spec"])
    if case.case_id != row["case_id"]:
        raise StoreError(f"case {row['case_id']} is damaged: its content has another id")
    return case


def planned_case_row(planned: PlannedCase, position: int) -> dict[str, Any]:
    """The row of table planned_case."""
    values = {
        "run_id": planned.run_id,
        "case_id": planned.case.case_id,
        "position": position,
        "reason": planned.reason,
    }
    return checked(schema.planned_case, values)


def planned_case_of(row: Row) -> PlannedCase:
    """The record of a row of planned_case joined with case.spec.

    Raises:
        StoreError: the case is not the one that its id names.
    """
    return PlannedCase(row["run_id"], case_of(row), row["reason"])


def variant_row(record: VariantRecord, position: int) -> dict[str, Any]:
    """The row of table variant."""
    names = ("run_id", "model", "variant", "path", "sha256", "size_bytes", "provenance")
    values = {name: getattr(record, name) for name in names}
    values |= {"position": position, **failure_columns(record.failure)}
    return checked(schema.variant, values)


def variant_of(row: Row) -> VariantRecord:
    """The record of a row of table variant."""
    names = ("run_id", "model", "variant", "path", "sha256", "size_bytes", "provenance")
    return VariantRecord(**{name: row[name] for name in names}, failure=failure_of(row))


_EVALUATION = (
    "run_id",
    "model",
    "variant",
    "kernels",
    "metric",
    "k",
    "higher_is_better",
    "value",
    "holdout_sha256",
    "runtime",
)


def evaluation_row(record: EvaluationRecord, position: int) -> dict[str, Any]:
    """The row of table evaluation; arrays packed, the statistics row after row."""
    values = {name: getattr(record, name) for name in _EVALUATION}
    statistics = record.statistics
    if statistics is not None and (statistics.ndim != 2 or statistics.shape[1] == 0):
        raise StoreError(f"statistics of shape {statistics.shape} are not one row per sample")
    values |= {
        "position": position,
        "predictions": (
            None if record.predictions is None else pack_array(record.predictions, _CLASS)
        ),
        "labels": None if record.labels is None else pack_array(record.labels, _CLASS),
        "statistics": None if statistics is None else pack_array(statistics.reshape(-1), _NUMBER),
        "statistics_width": None if statistics is None else statistics.shape[1],
        **failure_columns(record.failure),
    }
    return checked(schema.evaluation, values)


def evaluation_of(row: Row) -> EvaluationRecord:
    """The record of a row of table evaluation."""
    predictions, labels = row["predictions"], row["labels"]
    return EvaluationRecord(
        **{name: row[name] for name in _EVALUATION},
        predictions=None if predictions is None else unpack_array(predictions, _CLASS),
        statistics=_statistics_of(row),
        labels=None if labels is None else unpack_array(labels, _CLASS),
        failure=failure_of(row),
    )


def _statistics_of(row: Row) -> np.ndarray[Any, Any] | None:
    if row["correct"] is not None:
        # Written before there were other metrics than top-1.
        return unpack_array(row["correct"], _FLAG).astype(np.float64)[:, None]
    if row["statistics"] is None:
        return None
    values, width = unpack_array(row["statistics"], _NUMBER), row["statistics_width"]
    if not width or len(values) % width:
        raise StoreError(f"stored statistics are damaged: {len(values)} values in rows of {width}")
    return values.reshape(-1, width)


# What makes adding something again harmless: the same content, or the same failure.
def same_variant(stored: VariantRecord, new: VariantRecord) -> bool:
    """Whether a variant made again is the file that was measured before."""
    return (stored.sha256, _kind(stored.failure)) == (new.sha256, _kind(new.failure))


def same_evaluation(stored: EvaluationRecord, new: EvaluationRecord) -> bool:
    """Whether an evaluation made again gave the same answers."""
    return (
        (stored.value, stored.holdout_sha256, _kind(stored.failure))
        == (new.value, new.holdout_sha256, _kind(new.failure))
        and _same_array(stored.predictions, new.predictions)
        and _same_array(stored.statistics, new.statistics)
    )


def _kind(failure: Failure | None) -> str | None:
    return None if failure is None else failure.kind


def _same_array(a: np.ndarray[Any, Any] | None, b: np.ndarray[Any, Any] | None) -> bool:
    return np.array_equal(a, b) if a is not None and b is not None else a is b
