"""What `edgebench convert` shows: sizes, accuracy, failures, warnings; as tables and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench import format as fmt
from bench.accuracy import PairedChange, paired_change, value_interval
from bench.cli.text import printable
from bench.config import ModelConfig
from bench.metrics import Metric, metric_named
from bench.records import EvaluationRecord, VariantRecord
from bench.stats import Interval
from bench.variants.cache import folder_of

REFERENCE = "fp32"


@dataclass(frozen=True, slots=True)
class Conversion:
    """What became of one model.

    Attributes:
        out: directory that the records' paths are relative to.
        evaluations: by `kernels`; () without a holdout.
    """

    model: ModelConfig
    out: Path
    records: tuple[VariantRecord, ...]
    evaluations: tuple[EvaluationRecord, ...]
    kernels: str

    @property
    def metric(self) -> Metric:
        asked = self.model.metric
        return metric_named(asked.name, asked.k, asked.higher_is_better)

    def evaluation(self, variant: str) -> EvaluationRecord | None:
        return next((e for e in self.evaluations if e.variant == variant), None)

    @property
    def reference(self) -> EvaluationRecord | None:
        found = self.evaluation(REFERENCE)
        return None if found is None or found.statistics is None else found


def failures(made: Conversion) -> tuple[str, ...]:
    """What could not be made or judged, one line each; what is merely kept is no failure."""
    variants_of: dict[str, list[str]] = {}
    for record in made.records:
        if record.failure is not None and record.path is None:
            variants_of.setdefault(record.failure.message, []).append(record.variant)
    for evaluation in made.evaluations:
        if evaluation.failure is not None:
            variants_of.setdefault(evaluation.failure.message, []).append(evaluation.variant)
    # What befell the process that makes them befell them all.
    return tuple(f"{', '.join(names)}: {why}" for why, names in variants_of.items())


def show(conversions: list[Conversion], console: Console) -> None:
    """Print the tables, then what there is to say, then where the files lie."""
    for made in conversions:
        console.print(Text(printable(made.model.name), style="bold"))
        console.print(_sizes(made))
        if made.evaluations:
            console.print()
            console.print(_accuracies(made))
        for line in failures(made):
            _say(console, line, "red")
        for line in _warnings(made):
            _say(console, line, "yellow")
        folder = folder_of(made.out, made.model.name)
        _say(console, f"Files, each with its provenance (.json), in {folder}", "")


def to_json(project: str, conversions: list[Conversion]) -> dict[str, Any]:
    """The same for machines."""
    return {
        "project": project,
        "models": [
            {
                "name": made.model.name,
                "out": str(made.out),
                "metric": made.metric.name if made.evaluations else None,
                "kernels": made.kernels if made.evaluations else None,
                "variants": [_variant_json(made, record) for record in made.records],
            }
            for made in conversions
        ],
    }


def _sizes(made: Conversion) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("variant", "how", "in / out"):
        table.add_column(name, no_wrap=True)
    for name in ("bytes", "of fp32", "zipped"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    base = _reference_size(made)
    for record in made.records:
        ratio = record.size_bytes / base if base and record.size_bytes is not None else None
        table.add_row(
            record.variant,
            str(record.provenance.get("how", fmt.ABSENT)),
            _borders(record),
            _count(record.size_bytes),
            fmt.percent(ratio, 1),
            _count(record.zip_bytes),
            Text(*_state(record)),
        )
    return table


def _accuracies(made: Conversion) -> Table:
    samples = next((len(e.statistics) for e in made.evaluations if e.statistics is not None), 0)
    table = Table(
        title=Text(f"{made.metric.title} on {samples} samples, {made.kernels} kernels, 95 %"),
        title_justify="left",
        title_style="",
        box=None,
        pad_edge=False,
    )
    table.add_column("variant", no_wrap=True)
    for name in (made.metric.title, "interval", f"vs {REFERENCE}", "interval", "agrees"):
        table.add_column(name, justify="right")
    for evaluation in made.evaluations:
        change = _change(made, evaluation)
        around = _around(made.metric, evaluation)
        table.add_row(
            evaluation.variant,
            _value(made.metric, evaluation.value),
            _interval(made.metric, around),
            _difference(made.metric, None if change is None else change.difference),
            _interval(made.metric, None if change is None else change.interval),
            fmt.percent(_agreement(made, evaluation), 1),
        )
    return table


def _warnings(made: Conversion) -> Iterator[str]:
    """What is kept and of no use here, and what the converter said."""
    for record in made.records:
        if record.failure is not None and record.path is not None:
            yield f"{record.variant}: {record.failure.message}"
        for line in record.provenance.get("converter_warnings", ()):
            yield f"{record.variant}: the converter says: {line}"


def _say(console: Console, line: str, style: str) -> None:
    console.print(Text(printable(line), style=style), soft_wrap=True)


def _state(record: VariantRecord) -> tuple[str, str]:
    if record.path is None:
        return "FAILED", "red"
    state = "unchanged" if record.provenance.get("cached") else "new"
    if record.failure is not None:
        return f"{state}, {record.failure.kind}", "yellow"
    return state, "dim" if state == "unchanged" else "green"


def _borders(record: VariantRecord) -> str:
    facts = record.provenance.get("inspect")
    if not isinstance(facts, Mapping):
        return fmt.ABSENT
    ends = [sorted({str(t["dtype"]).lower() for t in facts[key]}) for key in ("inputs", "outputs")]
    given, taken = (", ".join(end) for end in ends)
    return given if given == taken else f"{given} / {taken}"


def _reference_size(made: Conversion) -> int | None:
    return next((r.size_bytes for r in made.records if r.variant == REFERENCE), None)


def _count(size_bytes: int | None) -> str:
    return fmt.ABSENT if size_bytes is None else f"{size_bytes:,}"


def _around(metric: Metric, evaluation: EvaluationRecord) -> Interval | None:
    if evaluation.statistics is None:
        return None
    return value_interval(metric, evaluation.statistics)


def _change(made: Conversion, evaluation: EvaluationRecord) -> PairedChange | None:
    reference = made.reference
    if reference is None or reference is evaluation or evaluation.statistics is None:
        return None
    assert reference.statistics is not None
    return paired_change(made.metric, evaluation.statistics, reference.statistics)


def _agreement(made: Conversion, evaluation: EvaluationRecord) -> float | None:
    """Share of samples that get the same class as by fp32."""
    reference = made.reference
    if reference is None or reference is evaluation:
        return None
    if evaluation.predictions is None or reference.predictions is None:
        return None
    return float(np.mean(evaluation.predictions == reference.predictions))


def _value(metric: Metric, value: float | None) -> str:
    if value is None:
        return fmt.ABSENT
    return fmt.percent(value) if metric.is_share else f"{value:.4g}"


def _difference(metric: Metric, difference: float | None) -> str:
    if difference is None:
        return fmt.ABSENT
    return fmt.points(100 * difference) if metric.is_share else f"{difference:+.3g}"


def _interval(metric: Metric, interval: Interval | None) -> str:
    if interval is None:
        return fmt.ABSENT
    scale = 100 if metric.is_share else 1
    return fmt.bounds(
        Interval(scale * interval.low, scale * interval.high, interval.confidence, interval.kind)
    )


def _variant_json(made: Conversion, record: VariantRecord) -> dict[str, Any]:
    evaluation = made.evaluation(record.variant)
    change = None if evaluation is None else _change(made, evaluation)
    around = None if evaluation is None else _around(made.metric, evaluation)
    base = _reference_size(made)
    failed = record.failure or (evaluation.failure if evaluation is not None else None)
    return {
        "variant": record.variant,
        "path": record.path,
        "sha256": record.sha256,
        "size_bytes": record.size_bytes,
        "zip_bytes": record.zip_bytes,
        "size_ratio": record.size_bytes / base if base and record.size_bytes else None,
        "unchanged": bool(record.provenance.get("cached")),
        "value": None if evaluation is None else evaluation.value,
        "value_interval": _pair(around),
        "change": None if change is None else change.difference,
        "change_interval": None if change is None else _pair(change.interval),
        "p_value": None if change is None else change.p_value,
        "agreement": None if evaluation is None else _agreement(made, evaluation),
        "failure": None if failed is None else {"kind": failed.kind, "message": failed.message},
        "provenance": dict(record.provenance),
    }


def _pair(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
