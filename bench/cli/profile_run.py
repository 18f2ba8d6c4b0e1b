"""Profiles of a stored run's cases, for `edgebench profile`."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.cli.profile_subjects import Subject, mapped
from bench.errors import UnreadableOutput, UserError
from bench.headline import headline
from bench.identity import Case
from bench.records import CheckRecord, Outcome, Purpose, RunData
from bench.tflite.graph import TfliteModel, parse_model

_MOST_NAMED = 12
_LEAST_ID, _SHOWN_ID = 6, 12


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which cases of a run are meant; None is any. case: the beginning of a case's id."""

    case: str | None = None
    model: str | None = None
    variant: str | None = None
    delegate: str | None = None
    threads: int | None = None
    device: str | None = None

    def matches(self, case: Case) -> bool:
        return (
            case.case_id.startswith(self.case or "")
            and self.model in (None, case.model)
            and self.variant in (None, case.variant)
            and self.delegate in (None, case.delegate.name)
            and self.threads in (None, case.threads)
            and self.device in (None, case.device)
        )


def cases_of(data: RunData, wanted: Wanted, purpose: Purpose) -> list[tuple[Case, CheckRecord]]:
    """The cases that have what a purpose gives, each with its last good launch.

    Raises: UserError where none matches, or none of them has it; it says why.
    """
    cases = [p.case for p in data.cases if p.reason is None and not p.case.is_sentinel]
    chosen = [case for case in cases if wanted.matches(case)]
    if not chosen:
        named = "; ".join(case_title(case) for case in cases[:_MOST_NAMED])
        raise UserError(f"no case of run {data.run.run_id} is meant by that; it has {named}")
    checks = [check for check in data.checks if check.purpose is purpose]
    good = {check.case_id: check for check in checks if check.outcome is Outcome.OK}
    found = [(case, good[case.case_id]) for case in chosen if case.case_id in good]
    if found:
        return found
    ids = {case.case_id for case in chosen}
    failed = [c.failure.message for c in checks if c.case_id in ids and c.failure is not None]
    why = failed[0] if failed else _how_to_get(purpose)
    raise UserError(f"run {data.run.run_id} has no {purpose.value} of that: {why}")


def _how_to_get(purpose: Purpose) -> str:
    if purpose is Purpose.TRACE:
        return "it was not measured with --trace, which is for Android"
    return (
        "none was made, as for a case that could not be measured; else measure again with"
        ' measure.profile = "once" in the plan'
    )


def one_of(found: Sequence[tuple[Case, CheckRecord]]) -> tuple[Case, CheckRecord]:
    """Raises: UserError where several cases are meant; it names them."""
    if len(found) > 1:
        raise UserError(
            f"{len(found)} cases are meant: {_with_ids(found[:_MOST_NAMED])}; choose one by"
            " --model, --variant, --delegate, --threads, --device or --case"
        )
    return found[0]


def other_case(data: RunData, case: Case, against: str) -> tuple[Case, CheckRecord]:
    """The case that a word names beside another: its variant, delegate, device or model where
    that alone differs, or the beginning of its id.

    Raises: UserError where there is none, where there are several, or none that was profiled.
    """
    cases = [p.case for p in data.cases if p.reason is None and not p.case.is_sentinel]
    twins = [twin for twin in cases if _differs_by(case, twin, against)]
    if not twins and len(against) >= _LEAST_ID:
        twins = [twin for twin in cases if twin.case_id.startswith(against) and twin != case]
    if not twins:
        words = sorted({word for c in cases for word in (c.variant, c.delegate.name)})
        raise UserError(
            f"--against {against}: no other case of the run differs from {case_title(case)} by"
            f" that alone (it has {', '.join(words)})"
        )
    found = [
        pair
        for twin in twins
        for pair in cases_of(data, Wanted(case=twin.case_id), Purpose.PROFILE)
    ]
    if len(found) > 1:
        raise UserError(
            f"--against {against}: several cases are meant: {_with_ids(found)}; give an id"
        )
    return found[0]


def _with_ids(found: Sequence[tuple[Case, CheckRecord]]) -> str:
    return "; ".join(f"{case_title(case)} ({case.case_id[:_SHOWN_ID]})" for case, _ in found)


def _differs_by(case: Case, other: Case, word: str) -> bool:
    # The runner is no choice of the user: it follows from delegate and device.
    pairs = (
        (case.variant, other.variant),
        (case.delegate.name, other.delegate.name),
        (case.device, other.device),
        (case.model, other.model),
    )
    changed = [theirs for ours, theirs in pairs if ours != theirs]
    return case.threads == other.threads and changed == [word]


def subject_of(data: RunData, case: Case, check: CheckRecord) -> Subject:
    """The profile of one case of a run."""
    if check.profile is None:
        raise UserError(f"{case_title(case)}: its profile was not kept")
    model, note = _file_of(data, case, check)
    mapping = mapped(check.profile, model, case_title(case))
    if note:
        mapping = dataclasses.replace(mapping, notes=(*mapping.notes, note))
    return Subject(
        label=case.variant,
        title=case_title(case),
        about={"run_id": data.run.run_id, "case_id": case.case_id, "case": case.to_json()},
        profile=check.profile,
        model=model,
        mapping=mapping,
        delegation=check.delegation,
        p50_us=_p50_us(data, case),
        case=case,
    )


def case_title(case: Case) -> str:
    """A case for people: "digits · int8 · xnnpack · 1 thread on local by litert"."""
    return f"{case.model} · {case.label} on {case.device} by {case.runner}"


def _file_of(data: RunData, case: Case, check: CheckRecord) -> tuple[TfliteModel | None, str]:
    """The variant that was profiled, or why it is not at hand."""
    record = next(
        (v for v in data.variants if (v.model, v.variant) == (case.model, case.variant)), None
    )
    if record is None or record.path is None:
        return None, "The run does not tell the variant's file, so that rows have no nodes."
    path = Path(data.run.root) / str(data.run.plan.get("out", ".")) / record.path
    measured = check.environment.get("model_sha256", record.sha256)
    try:
        content = path.read_bytes()
    except OSError as error:
        return None, f"Rows have no nodes: {path} cannot be read ({error.strerror})."
    if hashlib.sha256(content).hexdigest() != measured:
        return None, f"Rows have no nodes: {path} is not the file any more that was profiled."
    try:
        return parse_model(content), ""
    except UnreadableOutput as error:
        return None, f"Rows have no nodes: {path} is {error}."


def _p50_us(data: RunData, case: Case) -> float | None:
    measured = [
        launch.measurement
        for launch in data.launches
        if launch.case_id == case.case_id and launch.usable and launch.measurement is not None
    ]
    if not measured:
        return None
    found = headline(measured)
    return float(np.median(found.values_us)) if found.is_median else None
