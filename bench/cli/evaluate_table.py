"""What `edgebench evaluate` says: a table, the classes, and the same as JSON and JUnit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench import format as fmt
from bench.accuracy import Loss
from bench.cli.console import text_for
from bench.config import GatesConfig
from bench.metrics import Metric
from bench.records import EvaluationRecord, VariantRecord
from reports.accuracies import Judged, judge_all, metric_of_record
from reports.export.json import accuracy_to_json, classes_to_json, gate_to_json
from reports.export.junit import Judgement
from reports.gates import accuracy_gates
from reports.model import Accuracy, GateResult, GateStatus
from reports.render.classes import CLASS_HEADS, CONFUSION_HEADS, classes_view

SCHEMA = "edgebench-evaluation/1"
_CONFUSIONS = 10
_STYLES = {Loss.WORSE: "bold red", Loss.UNCLEAR: "yellow"}
_WORST_FIRST = (GateStatus.FAIL, GateStatus.UNKNOWN, GateStatus.UNSURE, GateStatus.PASS)
_VERDICT_WIDTH = 18
_GATE_STYLES = {GateStatus.FAIL: "bold red", GateStatus.PASS: "green"}


@dataclass(frozen=True)
class Evaluated:
    """One model, or the files of one command line.

    Attributes:
        project: of the plan; for JUnit.
        reference: the variant that changes are against; None if there is none.
    """

    project: str
    model: str
    variants: tuple[VariantRecord, ...]
    evaluations: tuple[EvaluationRecord, ...]
    gates: GatesConfig
    reference: str | None

    @cached_property
    def judged(self) -> tuple[tuple[EvaluationRecord, Judged, tuple[GateResult, ...]], ...]:
        """Every evaluation with its accuracy and its gates; no gates without a reference."""
        name = self.reference or ""
        found = judge_all(self.evaluations, self.gates, reference=name)
        lines = []
        for record in self.evaluations:
            one = found[record.model, record.variant, record.kernels]
            gates: tuple[GateResult, ...] = ()
            if self.reference is not None:
                gates = accuracy_gates(
                    one.accuracy,
                    one.reason,
                    self.gates,
                    is_reference=record.variant == self.reference and one.accuracy is not None,
                    reference=name,
                )
            lines.append((record, one, gates))
        return tuple(lines)

    @property
    def metric(self) -> Metric:
        """By what it was judged."""
        return metric_of_record(self.evaluations[0]) if self.evaluations else Metric()


def gate_failed(found: Evaluated) -> bool:
    """Whether any gate says FAIL."""
    return any(gate.status is GateStatus.FAIL for _, _, gates in found.judged for gate in gates)


def failed(found: Evaluated) -> bool:
    """Whether something was not made or not evaluated."""
    return any(v.failure is not None for v in found.variants) or any(
        record.failure is not None for record in found.evaluations
    )


def judgements(found: Evaluated) -> Iterator[Judgement]:
    """For JUnit: the gates of every evaluation, and what is missing."""
    for variant in found.variants:
        if variant.failure is not None:
            yield Judgement(found.model, variant.variant, (), variant.failure.message)
    for record, _, gates in found.judged:
        missing = None if record.failure is None else record.failure.message
        yield Judgement(found.model, f"{record.variant} · {record.kernels}", gates, missing)


def to_json(found: Sequence[Evaluated], *, per_class: bool) -> dict[str, Any]:
    """Plain JSON values; nothing rounded, absent is null."""
    return {"schema": SCHEMA, "models": [_model_json(one, per_class) for one in found]}


def _model_json(found: Evaluated, per_class: bool) -> dict[str, Any]:
    results = []
    for record, one, gates in found.judged:
        line = {
            "variant": record.variant,
            "kernels": record.kernels,
            "failure": None if record.failure is None else record.failure.message,
            **accuracy_to_json(one.accuracy),
            "accuracy_reason": one.reason,
            "gates": [gate_to_json(gate) for gate in gates],
            "holdout_sha256": record.holdout_sha256,
            "runtime": dict(record.runtime),
        }
        if per_class:
            line["classes"] = None if one.classes is None else classes_to_json(one.classes)
        results.append(line)
    return {
        "model": found.model,
        "reference": found.reference,
        "not_made": {v.variant: v.failure.message for v in found.variants if v.failure is not None},
        "results": results,
    }


def show(found: Sequence[Evaluated], console: Console, *, per_class: bool) -> None:
    """Print the tables."""
    for number, one in enumerate(found):
        if number:
            console.print()
        if len(found) > 1:
            console.print(text_for(console, one.model, "bold"))
        for table in _tables(one, console):
            console.print(table)
        for line, style in _remarks(one):
            console.print(text_for(console, line, style))
        if per_class:
            for part in _class_tables(one, console):
                console.print(part)


def _tables(found: Evaluated, console: Console) -> Iterator[Table]:
    if not found.judged:
        return
    metric = found.metric
    against = found.reference is not None and len(found.judged) > 1
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    change = "points" if metric.is_share else "change"
    heads = ["variant\nkernels", f"{metric.title}\n[95 %]"]
    # Only classifiers give the same answer or another one.
    same = any(one.accuracy and one.accuracy.agreeing is not None for _, one, _ in found.judged)
    if against:
        heads += [f"{change}\n[95 %]\np", *(["same\nanswers"] if same else []), "verdict\ngates"]
    for head in heads:
        words = head.startswith(("variant", "verdict"))
        table.add_column(
            _stack([(line, "") for line in head.split("\n")], console),
            justify="left" if words else "right",
            no_wrap=not words,
            overflow="fold",
            min_width=_VERDICT_WIDTH if head.startswith("verdict") else None,
        )
    judged = found.judged
    for (record, one, gates), following in zip(judged, (*judged[1:], None), strict=True):
        cells = _cells(record, one, gates, metric, found.reference)
        if not same:
            del cells[_SAME]
        table.add_row(
            *(_stack(lines, console) for lines in cells[: len(heads)]),
            end_section=following is not None and following[0].variant != record.variant,
        )
    yield table


_Styled = tuple[str, str]
# A cell: lines, one below the other.
_Lines = list[_Styled]
# Where _cells has the share of same answers.
_SAME = 3


def _cells(
    record: EvaluationRecord,
    one: Judged,
    gates: Sequence[GateResult],
    metric: Metric,
    reference: str | None,
) -> list[_Lines]:
    name: _Lines = [(record.variant, ""), (record.kernels, "dim")]
    absent: _Lines = [(fmt.ABSENT, "dim")]
    accuracy = one.accuracy
    if accuracy is None:
        return [name, absent, absent, absent, [("failed, see below", "bold red")]]
    share = metric.is_share
    value: _Lines = [(fmt.score(accuracy.value, share=share), "")]
    if accuracy.interval is not None:
        value.append((fmt.score_interval(accuracy.interval, share=share), "dim"))
    if record.variant == reference:
        return [name, value, [], [], [("the reference", "dim")]]
    return [name, value, *_change_cells(accuracy, gates, share=share)]


def _change_cells(
    accuracy: Accuracy, gates: Sequence[GateResult], *, share: bool
) -> tuple[_Lines, _Lines, _Lines]:
    """The change, the share of same answers, and the verdict with the gates."""
    change: _Lines = [(fmt.score_change(accuracy.change, share=share), "")]
    if accuracy.change_interval is not None:
        change.append((fmt.score_change_interval(accuracy.change_interval, share=share), "dim"))
    if accuracy.p_value is not None:
        change.append((_p_value(accuracy.p_value), "dim"))
    same: _Lines = [(fmt.ABSENT, "dim")]
    if accuracy.agreeing is not None:
        differing = accuracy.images - accuracy.agreeing
        share_of_same = accuracy.agreeing / accuracy.images
        same = [(fmt.percent(share_of_same, 1), ""), (f"{differing} differ", "dim")]
    verdict: _Lines = [(fmt.ABSENT, "dim")]
    if accuracy.verdict is not None:
        verdict = [(accuracy.verdict.text, _STYLES.get(accuracy.verdict.loss, "green"))]
    worst = min((gate.status for gate in gates), key=_WORST_FIRST.index, default=None)
    if worst is not None:
        verdict.append((f"gates {worst}", _GATE_STYLES.get(worst, "yellow")))
    return change, same, verdict


def _stack(lines: Sequence[_Styled], console: Console) -> Text:
    return Text("\n").join(text_for(console, text, style) for text, style in lines)


def _p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _remarks(found: Evaluated) -> Iterator[_Styled]:
    for variant in found.variants:
        if variant.failure is not None:
            yield f"{variant.variant}: {variant.failure.message}", "yellow"
    said: dict[str, list[str]] = {}
    for record, one, gates in found.judged:
        where = f"{record.variant} · {record.kernels}"
        if record.failure is not None:
            said.setdefault(record.failure.message, []).append(where)
        elif one.reason is not None and found.reference is not None:
            said.setdefault(one.reason, []).append(where)
        for gate in gates:
            if gate.status is not GateStatus.PASS and gate.reason != one.reason:
                said.setdefault(f"{gate.status} {gate.name}: {gate.reason}", []).append(where)
    for text, places in said.items():
        yield f"{', '.join(places)}: {text}", ""
    counts = {one.accuracy.images for _, one, _ in found.judged if one.accuracy is not None}
    for count in counts:
        yield f"{fmt.counted(count, 'sample')}, all of the holdout{_how(found)}.", "dim"


def _how(found: Evaluated) -> str:
    text = ""
    if found.reference is not None and len(found.judged) > 1:
        text += f"; changes are against {found.reference}, paired on the same samples"
    if not found.metric.higher_is_better:
        text += f"; less {found.metric.title} is better"
    return text


def _class_tables(found: Evaluated, console: Console) -> Iterator[Table | Text]:
    shown = False
    for _, one, _ in found.judged:
        if one.classes is None:
            continue
        shown = True
        view = classes_view(one.classes)
        yield Text("")
        yield _table(f"Classes: {view.title}", CLASS_HEADS, view.rows, console)
        if view.remark:
            yield text_for(console, view.remark, "dim")
        if view.confusions:
            rows = view.confusions[:_CONFUSIONS]
            yield _table("Commonest mistakes", CONFUSION_HEADS, rows, console)
    if not shown:
        yield text_for(console, "There are no classes: the answers are no scores per class.", "dim")


def _table(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], console: Console
) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        title=text_for(console, title, "bold"),
        title_justify="left",
    )
    for head in heads:
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(*(text_for(console, text, "") for text in row))
    return table
