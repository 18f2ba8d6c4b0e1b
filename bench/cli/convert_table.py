"""What `edgebench convert` shows: sizes, accuracy, failures, warnings; as tables and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import format as fmt
from bench.cli.console import text_for
from bench.config import GatesConfig, ModelConfig
from bench.metrics import Metric, metric_named
from bench.records import EvaluationRecord, VariantRecord
from bench.stats import Interval
from bench.variants.cache import ZIPPED, folder_of
from reports.accuracies import REFERENCE, judge_all
from reports.model import Accuracy
from reports.provenance import texts, tf_ops_of, warnings_of
from reports.render.cells import TF_OPS

SCHEMA = "edgebench-conversion/1"


@dataclass(frozen=True)
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

    @cached_property
    def accuracies(self) -> Mapping[str, Accuracy]:
        """By variant, with the change against fp32; without those that have none."""
        # No verdict is shown, so that any gates do.
        found = judge_all(self.evaluations, GatesConfig())
        return {
            variant: one.accuracy
            for (_, variant, _), one in found.items()
            if one.accuracy is not None
        }


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
        _say(console, made.model.name, "bold")
        console.print(_sizes(made, console))
        console.print(text_for(console, ZIPPED, "dim"))
        if made.evaluations:
            console.print()
            console.print(_accuracies(made, console))
        for line in failures(made):
            _say(console, line, "red")
        for line in _warnings(made):
            _say(console, line, "yellow")
        folder = folder_of(made.out, made.model.name)
        _say(console, f"Files, each with its provenance (.json), in {folder}", "")


def to_json(project: str, conversions: list[Conversion]) -> dict[str, Any]:
    """The same for machines."""
    return {
        "schema": SCHEMA,
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


def _accuracy_title(made: Conversion, samples: int) -> str:
    less = "" if made.metric.higher_is_better else "; less is better"
    count = fmt.counted(samples, "sample")
    return f"{made.metric.title} on {count}, {made.kernels} kernels, 95 %{less}"


def _sizes(made: Conversion, console: Console) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("variant", "how", "in / out"):
        table.add_column(name, no_wrap=True)
    for name in ("bytes", "of fp32", "zipped"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    base = _reference_size(made)
    for record in made.records:
        ratio = record.size_bytes / base if base and record.size_bytes is not None else None
        cells = (
            record.variant,
            str(record.provenance.get("how", fmt.ABSENT)),
            _borders(record),
            _count(record.size_bytes),
            fmt.percent(ratio, 1),
            _count(record.zip_bytes),
        )
        state, style = _state(record)
        table.add_row(*(text_for(console, cell) for cell in cells), text_for(console, state, style))
    return table


def _accuracies(made: Conversion, console: Console) -> Table:
    samples = next((len(e.statistics) for e in made.evaluations if e.statistics is not None), 0)
    table = Table(
        title=text_for(console, _accuracy_title(made, samples)),
        title_justify="left",
        title_style="",
        box=None,
        pad_edge=False,
    )
    table.add_column("variant", no_wrap=True)
    same = {e.variant: _agreement(made.accuracies.get(e.variant)) for e in made.evaluations}
    # Only classifiers give the same answer or another one.
    with_answers = any(share is not None for share in same.values())
    heads = [made.metric.title, "interval", f"vs {REFERENCE}", "interval"]
    for name in (*heads, "agrees") if with_answers else heads:
        table.add_column(text_for(console, name), justify="right")
    for evaluation in made.evaluations:
        cells = [evaluation.variant, *_accuracy_cells(made, evaluation)]
        if with_answers:
            cells.append(fmt.percent(same[evaluation.variant], 1))
        table.add_row(*(text_for(console, cell) for cell in cells))
    return table


def _accuracy_cells(made: Conversion, evaluation: EvaluationRecord) -> Iterator[str]:
    """The value and its change, each with its interval."""
    share = made.metric.is_share
    accuracy = made.accuracies.get(evaluation.variant)
    around = None if accuracy is None else accuracy.interval
    yield fmt.score(evaluation.value, share=share)
    yield fmt.ABSENT if around is None else fmt.score_interval(around, share=share)
    yield fmt.score_change(None if accuracy is None else accuracy.change, share=share)
    interval = None if accuracy is None else accuracy.change_interval
    yield fmt.ABSENT if interval is None else fmt.score_change_interval(interval, share=share)


def _warnings(made: Conversion) -> Iterator[str]:
    """What is kept and of no use here, and what the converter said."""
    for record in made.records:
        if record.failure is not None and record.path is not None:
            yield f"{record.variant}: {record.failure.message}"
    of_each = {record.variant: _said_of(record) for record in made.records}
    for line in dict.fromkeys(line for lines in of_each.values() for line in lines):
        names = [variant for variant, lines in of_each.items() if line in lines]
        yield f"{', '.join(names)}: {line}"


def _said_of(record: VariantRecord) -> tuple[str, ...]:
    """What is odd about how it was made, and what the converter said."""
    said = texts(record.provenance, "converter_warnings")
    return (*warnings_of(record), *(f"the converter says: {line}" for line in said))


def _say(console: Console, line: str, style: str) -> None:
    console.print(text_for(console, line, style), soft_wrap=True)


def _state(record: VariantRecord) -> tuple[str, str]:
    if record.path is None:
        return "FAILED", "red"
    state = "unchanged" if record.provenance.get("cached") else "new"
    if record.failure is not None:
        return f"{state}, {TF_OPS if tf_ops_of(record) else record.failure.kind}", "yellow"
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


def _agreement(accuracy: Accuracy | None) -> float | None:
    """Share of samples that get the same class as by fp32."""
    if accuracy is None or accuracy.agreeing is None:
        return None
    return accuracy.agreeing / accuracy.images


def _variant_json(made: Conversion, record: VariantRecord) -> dict[str, Any]:
    evaluation = made.evaluation(record.variant)
    accuracy = made.accuracies.get(record.variant)
    base = _reference_size(made)
    failed = record.failure or (evaluation.failure if evaluation is not None else None)
    return {
        "variant": record.variant,
        "path": record.path,
        "sha256": record.sha256,
        "size_bytes": record.size_bytes,
        "zip_bytes": record.zip_bytes,
        "size_ratio": record.size_bytes / base if base and record.size_bytes else None,
        "tf_ops": list(tf_ops_of(record)),
        "warnings": list(warnings_of(record)),
        "unchanged": bool(record.provenance.get("cached")),
        "value": None if evaluation is None else evaluation.value,
        "value_interval": None if accuracy is None else _pair(accuracy.interval),
        "change": None if accuracy is None else accuracy.change,
        "change_interval": None if accuracy is None else _pair(accuracy.change_interval),
        "p_value": None if accuracy is None else accuracy.p_value,
        "agreement": _agreement(accuracy),
        "failure": None if failed is None else {"kind": failed.kind, "message": failed.message},
        "provenance": dict(record.provenance),
    }


def _pair(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
