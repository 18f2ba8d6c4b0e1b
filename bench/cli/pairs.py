"""Two sides of a stored comparison, as `compare`, `run --against` and `history --confirm` show
them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UnreadableOutput, UserError
from bench.identity import Case, named_before
from bench.kept_files import KeptFiles
from bench.records import RunData, RunRecord
from bench.run_names import run_named
from bench.store import Store
from bench.tflite.graph import TfliteModel, parse_model
from reports.pairs.compare import Series, compare_sides, side_cases
from reports.pairs.model import Pairs, Side
from reports.pairs.sides import (
    SideCase,
    SideSpec,
    chosen,
    differing,
    narrowed,
    parse_side,
)

if TYPE_CHECKING:
    from bench.points import Point

# How much of a run's id names it.
_ID = 13


def pairs_of(store: Store, a: str, b: str | None, project: str | None) -> Pairs:
    """Hold B against A, each as a person names it; without B the two sides of an A/B run.

    Raises: UserError where a name means nothing, or both mean the same; StoreError.
    """
    first, second = narrowed(parse_side(a), parse_side(a if b is None else b))
    ours = _load(store, first, project)
    theirs = ours if first.run == second.run else _load(store, second, project)
    if ours.run.run_id == theirs.run.run_id:
        theirs = ours
    cases_a: Sequence[SideCase] = side_cases(ours)
    cases_b: Sequence[SideCase] = cases_a if theirs is ours else side_cases(theirs)
    notes: list[str] = []
    apart = differing(first, second)
    old = [case for case in cases_b if case.measured.case.is_before]
    if theirs is ours and not apart:
        if not old:
            raise UserError(
                f"A and B are the same cases of run {ours.run.run_id[:_ID]}; give two runs, or"
                " what of the run is held against what (variant=int8 variant=fp32)"
            )
        cases_a, cases_b = old, _without_old(cases_b)
    elif theirs is not ours and (again := _measured_again(old, ours.run)):
        notes.append(
            f"Run {theirs.run.run_id[:_ID]} measured the files of run {ours.run.run_id[:_ID]} again"
            " beside its own: the rounds are common, and A is what it measured of them."
        )
        cases_a, cases_b = again, _without_old(cases_b)
    elif not _asks_for_old(first, second):
        cases_a, cases_b = _without_old(cases_a), _without_old(cases_b)
    return _compared(
        store,
        (first, chosen(cases_a, first.filters)),
        (second, chosen(cases_b, second.filters)),
        apart,
        notes,
    )


def pairs_of_run(store: Store, run_id: str) -> Pairs:
    """Today's models against the old ones of one A/B run.

    Raises: UserError where it is none; StoreError.
    """
    return pairs_of(store, run_id, None, None)


def _load(store: Store, side: SideSpec, project: str | None) -> RunData:
    run = run_named(store, side.run or "latest", project)
    if run.pruned_utc is not None:
        raise UserError(
            f"run {run.run_id[:_ID]} was pruned and has no launches any more; `edgebench history`"
            " shows what was kept of it"
        )
    return store.load(run.run_id)


def _without_old(cases: Sequence[SideCase]) -> list[SideCase]:
    return [case for case in cases if not case.measured.case.is_before]


def _measured_again(old: Sequence[SideCase], run: RunRecord) -> list[SideCase]:
    """Of the old sides of an A/B run, those that are of this run."""
    return [
        case for case in old if case.measured.case.model == named_before(case.model, run.run_id)
    ]


def _asks_for_old(*sides: SideSpec) -> bool:
    """Whether the old ones of an A/B run are meant: by their name, or by their runtime."""
    return any("runtime" in s.filters or " @ " in s.filters.get("model", "") for s in sides)


def _compared(
    store: Store,
    a: tuple[SideSpec, Sequence[SideCase]],
    b: tuple[SideSpec, Sequence[SideCase]],
    apart: tuple[str, ...],
    notes: Sequence[str],
) -> Pairs:
    if not a[1] or not b[1]:
        raise UserError("one of the two runs has no case at all; nothing can be compared")
    plan = b[1][0].plan
    return compare_sides(
        (_side(*a, apart), a[1]),
        (_side(*b, apart), b[1]),
        differing=apart,
        delta=plan.analysis.delta,
        gates=plan.gates,
        series=Series(
            points=lambda ids: _points(store, ids), environments=lambda ids: store.environments(ids)
        ),
        model_of=ModelFiles(KeptFiles()),
        notes=notes,
    )


def _points(store: Store, ids: Sequence[str]) -> list[Point]:
    return store.points(case_ids=ids)


def _side(spec: SideSpec, cases: Sequence[SideCase], apart: Sequence[str]) -> Side:
    run = cases[0].data.run
    old = {case.measured.case.model for case in cases if case.measured.case.is_before}
    label = ", ".join(
        f"{key} {spec.filters[key]}" if key == "threads" else spec.filters[key]
        for key in apart
        if key in spec.filters
    )
    filters = ",".join(f"{key}={value}" for key, value in spec.filters.items())
    what = f"run {run.run_id[:_ID]} of {run.started_utc:%Y-%m-%d %H:%M} UTC, project {run.project}"
    if filters:
        what += f", {filters}"
    if len(old) == len({case.measured.case.model for case in cases}):
        what += f": {', '.join(sorted(old))}"
        label = label or f"the old files ({', '.join(sorted(old))})"
    return Side(label or f"run {run.run_id[:_ID]}", what, run.run_id, run.project, run.started_utc)


class ModelFiles:
    """The .tflite that a case was measured with, from what is kept or where it was made.

    Each file is read once.
    """

    def __init__(self, kept: KeptFiles) -> None:
        self._kept = kept
        self._read: dict[str, TfliteModel | None] = {}

    def __call__(self, data: RunData, case: Case) -> TfliteModel | None:
        for variant in data.variants:
            if (variant.model, variant.variant) == (case.model, case.variant):
                if variant.sha256 is None:
                    return None
                if variant.sha256 not in self._read:
                    place = place_of_variant(data.run, variant.path)
                    self._read[variant.sha256] = self._parsed(variant.sha256, place)
                return self._read[variant.sha256]
        return None

    def _parsed(self, sha256: str, place: Path | None) -> TfliteModel | None:
        for path in (self._kept.find(sha256), place):
            if path is None:
                continue
            try:
                content = path.read_bytes()
                if hashlib.sha256(content).hexdigest() == sha256:
                    return parse_model(content)
            except (OSError, UnreadableOutput):
                continue
        return None


def place_of_variant(run: RunRecord, path: str | None) -> Path | None:
    """Where a variant's file of a run lay on the machine that measured it."""
    plan: Mapping[str, object] = run.plan
    return None if path is None else Path(run.root) / str(plan.get("out", ".")) / path
