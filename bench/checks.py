"""Launches beside the timed ones: one per case and purpose, after all timing of a device.

A profile or a trace slows its launch down and heats the device: neither may come between
rounds. A launch that the device failed is repeated; one that failed by itself has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from bench.config import MeasureConfig
from bench.events import Emit, Note, StageAdvanced, StageFinished, StageStarted
from bench.identity import Case
from bench.plan import round_order
from bench.records import CheckRecord, Outcome, Purpose
from bench.slots import CHECKS, CaseFiles, CheckSlot

MAX_REPEATS = 2
# Title of the stage, and what one launch is called.
_WORDS = {
    Purpose.PROFILE: ("Profiling on {}", "profile"),
    Purpose.NUMERICS: ("Checking answers on {}", "answers"),
    Purpose.TRACE: ("Tracing on {}", "trace"),
}


class Checks(Protocol):
    """What is needed of a session."""

    def check(self, slot: CheckSlot, files: CaseFiles) -> CheckRecord: ...

    def forget(self, identifier: str) -> None: ...


def purposes_of(config: MeasureConfig, *, trace: bool) -> tuple[Purpose, ...]:
    """What a plan wants of each case beside its timed launches, in the order of making.

    Args:
        trace: whether a system trace was asked for, which is no matter of a plan.
    """
    wanted = {
        Purpose.PROFILE: config.profile == "once",
        Purpose.NUMERICS: config.numerics == "once",
        Purpose.TRACE: trace,
    }
    return tuple(purpose for purpose in CHECKS if wanted[purpose])


def check_cases(
    purpose: Purpose,
    cases: Sequence[Case],
    files: Mapping[str, CaseFiles],
    session: Checks,
    *,
    device: str,
    seed: int,
    launch_s: float,
    done: Iterable[CheckRecord],
    keep: Callable[[CheckRecord], None],
    emit: Emit,
) -> None:
    """Launch every case once for a purpose, in a random order.

    Args:
        cases: those that ran when they were timed.
        files: case_id -> files of the case.
        launch_s: seconds that one launch takes, estimated.
        done: what is in the store already (resume); it is not made again.
        keep: stores one record for good before the next launch begins.

    Raises: what Session.check and `keep` raise; what was kept until then stays.
    """
    made: dict[str, list[CheckRecord]] = {case.case_id: [] for case in cases}
    for record in sorted(done, key=lambda r: r.attempt):
        if record.purpose is purpose and record.case_id in made:
            made[record.case_id].append(record)
    title, what = _WORDS[purpose]
    stage = f"{purpose}:{device}"
    finished = sum(map(bool, made.values()))
    left_s = (len(cases) - finished) * launch_s
    emit(StageStarted(stage, title.format(device), len(cases), left_s))
    # A round of its own, before the first timed one as far as the draw is concerned.
    order = round_order(cases, lambda c: c.case_id, seed=seed, index=-1 - CHECKS.index(purpose))
    for attempt in range(1 + MAX_REPEATS):
        for case in order:
            before = made[case.case_id]
            if len(before) != attempt or (before and not _repeat(before[-1])):
                continue
            record = session.check(CheckSlot(case, purpose, attempt), files[case.case_id])
            keep(record)
            if record.outcome is not Outcome.NOT_MADE:
                session.forget(record.launch_id)
            before.append(record)
            finished += attempt == 0
            name = f"{case.model} · {case.label}"
            if record.failure is not None:
                level = "info" if record.outcome is Outcome.NOT_MADE else "warning"
                emit(Note(f"{device}: {name}: no {what}: {record.failure.message}", level))
            left_s = (len(cases) - finished) * launch_s
            emit(StageAdvanced(stage, finished, f"{what}: {name}", left_s))
    emit(
        StageFinished(stage, f"{sum(_sound(records) for records in made.values())} of {len(cases)}")
    )


def _repeat(record: CheckRecord) -> bool:
    return record.outcome is Outcome.DEVICE_FAILED


def _sound(records: Sequence[CheckRecord]) -> bool:
    return any(record.outcome is Outcome.OK for record in records)
