"""Rounds of launches on one device: random order, repeats of tainted ones, resume, precision."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bench.events import Emit, Note, StageAdvanced, StageFinished, StageStarted
from bench.headline import headline
from bench.identity import Case
from bench.plan import round_order
from bench.records import LaunchRecord, Outcome
from bench.slots import CaseFiles
from bench.stats import PrecisionCheck, precision_reached

MAX_REPEATS = 2
# A case that failed in each of its first rounds is broken, not unlucky: more
# launches would cost minutes of timeouts and say nothing new.
HOPELESS_AFTER = 2
MIN_ROUNDS_FOR_PRECISION = 7


class Launches(Protocol):
    """What the scheduler needs of a session."""

    def launch(
        self, case: Case, files: CaseFiles, *, index: int, position: int, attempt: int
    ) -> LaunchRecord: ...

    def forget(self, identifier: str) -> None: ...


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """How often and how exactly (METHOD sections 4 to 6).

    Attributes:
        rounds: at least this many; precision, max_rounds: see bench.config.
        seed: of the order within rounds.
        launch_s: seconds that one launch takes, estimated.
    """

    rounds: int
    precision: float | None
    max_rounds: int
    seed: int
    launch_s: float


@dataclass(slots=True)
class _Progress:
    """Launches so far, and what that says about the time left."""

    emit: Emit
    stage: str
    policy: RunPolicy
    done: int = 0
    timed: int = 0
    spent_s: float = 0.0
    clock: Callable[[], float] = time.monotonic

    def left_s(self, remaining: int) -> float:
        # The estimate counts as a few launches, so that one slow one does not rule it.
        # Repeats count to the launch that they repeat: more of them will come.
        per_launch = (self.spent_s + 5 * self.policy.launch_s) / (self.timed + 5)
        return remaining * per_launch


@dataclass(slots=True)
class _Ledger:
    """What is known of each case while rounds go on."""

    records: dict[str, list[LaunchRecord]] = field(default_factory=dict)

    def add(self, record: LaunchRecord) -> None:
        self.records.setdefault(record.case_id, []).append(record)

    def of_round(self, case: Case, index: int) -> list[LaunchRecord]:
        return [r for r in self.records.get(case.case_id, []) if r.index == index]

    def hopeless(self, case: Case) -> bool:
        records = self.records.get(case.case_id, [])
        rounds = {r.index for r in records}
        return len(rounds) >= HOPELESS_AFTER and all(r.measurement is None for r in records)

    def precision(self, case: Case, wanted: float) -> PrecisionCheck:
        """Whether the last usable launches of all rounds are precise enough."""
        by_round = {
            r.index: r.measurement
            for r in self.records.get(case.case_id, [])
            if r.usable and r.measurement is not None
        }
        if not by_round:
            return precision_reached((), wanted)
        found = headline([by_round[index] for index in sorted(by_round)])
        return precision_reached(found.values_us, wanted, resolution=found.resolution_us)


def measure(
    cases: Sequence[Case],
    files: Mapping[str, CaseFiles],
    session: Launches,
    policy: RunPolicy,
    *,
    done: Iterable[LaunchRecord],
    keep: Callable[[LaunchRecord], None],
    emit: Emit,
    stage: str = "measure",
    title: str = "Measuring",
) -> None:
    """Launch every case once per round until there are enough rounds.

    Args:
        cases: what to measure on this device.
        files: case_id -> files of the case.
        done: launches that are in the store already (resume); they are not made again.
        keep: stores one launch for good before the next begins.

    Raises: KeyboardInterrupt from the session, and whatever `keep` raises; every
    launch kept until then stays.
    """
    ledger = _Ledger()
    for record in sorted(done, key=lambda r: (r.index, r.attempt)):
        ledger.add(record)
    progress = _Progress(emit, stage, policy)
    total = len(cases) * policy.rounds
    made_already = sum(bool(ledger.of_round(c, i)) for c in cases for i in range(policy.rounds))
    emit(StageStarted(stage, title, total, (total - made_already) * policy.launch_s))
    for index in range(policy.max_rounds if policy.precision else policy.rounds):
        given_up = [c for c in cases if ledger.hopeless(c)]
        active = [c for c in cases if c not in given_up and _wanted(c, index, ledger, policy)]
        if not active:
            break
        if index < policy.rounds:
            progress.done += len(given_up)
        _one_round(index, active, files, session, policy, ledger, keep, progress, len(cases))
    _say_what_was_missed(cases, ledger, policy, emit)
    made = sum(len(records) for records in ledger.records.values())
    emit(StageFinished(stage, f"{made} launches"))


def _wanted(case: Case, index: int, ledger: _Ledger, policy: RunPolicy) -> bool:
    if index < policy.rounds or policy.precision is None or index < MIN_ROUNDS_FOR_PRECISION:
        return True
    return not ledger.precision(case, policy.precision).reached


def _one_round(
    index: int,
    cases: Sequence[Case],
    files: Mapping[str, CaseFiles],
    session: Launches,
    policy: RunPolicy,
    ledger: _Ledger,
    keep: Callable[[LaunchRecord], None],
    progress: _Progress,
    case_count: int,
) -> None:
    order = round_order(cases, lambda c: c.case_id, seed=policy.seed, index=index)
    for attempt in range(1 + MAX_REPEATS):
        for position, case in enumerate(order):
            before = ledger.of_round(case, index)
            if len(before) != attempt or (before and not _repeat(before[-1])):
                # Made already, before an interruption, or needs no repeat.
                if attempt == 0 and before:
                    progress.done += 1
                continue
            began = progress.clock()
            record = session.launch(
                case, files[case.case_id], index=index, position=position, attempt=attempt
            )
            keep(record)
            session.forget(record.launch_id)
            ledger.add(record)
            progress.spent_s += progress.clock() - began
            if attempt == 0:
                progress.timed += 1
                progress.done += 1
            _tell(case, record, index, progress, case_count)


def _repeat(record: LaunchRecord) -> bool:
    """Only what the conditions spoilt is repeated; a benchmark that failed, failed."""
    return bool(record.taints) or record.outcome is Outcome.DEVICE_FAILED


def _tell(
    case: Case, record: LaunchRecord, index: int, progress: _Progress, case_count: int
) -> None:
    name = _name(case)
    if record.failure is not None:
        said = f"{case.device}: {name}, round {index + 1}: {record.failure.message}"
        progress.emit(Note(said, level="warning"))
    remaining = max(0, case_count * progress.policy.rounds - progress.done)
    again = " (repeated)" if record.attempt else ""
    celsius = (record.conditions.get("after") or {}).get("temperature_c")
    # In front, because the end of a line is what a narrow terminal cuts off.
    heat = "" if celsius is None else f"{celsius:.0f} °C, "
    progress.emit(
        StageAdvanced(
            progress.stage,
            progress.done,
            f"{heat}round {index + 1}: {name}{again}",
            progress.left_s(remaining),
        )
    )


def _name(case: Case) -> str:
    return f"{case.model} · {case.label}"


def _say_what_was_missed(
    cases: Sequence[Case], ledger: _Ledger, policy: RunPolicy, emit: Emit
) -> None:
    for case in cases:
        name = f"{case.device}: {_name(case)}"
        if ledger.hopeless(case):
            made = len(ledger.records[case.case_id])
            emit(
                Note(
                    f"{name}: failed {made} times out of {made}; not launched again",
                    level="warning",
                )
            )
        elif policy.precision is not None:
            verdict = ledger.precision(case, policy.precision)
            if not verdict.reached:
                emit(Note(f"{name}: precision {verdict.reason}", level="warning"))
