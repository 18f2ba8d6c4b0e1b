"""Rounds: everything once per round in random order, repeats, resume, precision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from records import case, launch

from bench.events import Event, Note, StageAdvanced, StageFinished, StageStarted
from bench.identity import Case
from bench.records import LaunchRecord, Outcome
from bench.scheduler import RunPolicy, measure
from bench.slots import CaseFiles

CASES = [case(variant) for variant in ("fp32", "fp16", "dynamic", "int8")]
FILES = {c.case_id: CaseFiles(Path("m.tflite"), "0" * 64, None) for c in CASES}

Behaviour = Callable[[Case, int, int], LaunchRecord]


class FakeSession:
    """A device on which every launch does what `behave` says."""

    def __init__(self, behave: Behaviour | None = None) -> None:
        self.behave = behave or (lambda c, i, a: launch(c, index=i, attempt=a))
        self.made: list[LaunchRecord] = []

    def launch(
        self, which: Case, files: CaseFiles, *, index: int, position: int, attempt: int
    ) -> LaunchRecord:
        record = self.behave(which, index, attempt)
        self.made.append(record)
        return record

    def forget(self, identifier: str) -> None:
        assert identifier == self.made[-1].launch_id


def policy(rounds: int = 6, precision: float | None = None, max_rounds: int = 30) -> RunPolicy:
    return RunPolicy(rounds, precision, max_rounds, seed=0, launch_s=2.0)


def run(
    session: FakeSession,
    *,
    how: RunPolicy | None = None,
    done: Sequence[LaunchRecord] = (),
    stop_after: int | None = None,
) -> tuple[list[LaunchRecord], list[Event]]:
    kept: list[LaunchRecord] = []
    events: list[Event] = []

    def keep(record: LaunchRecord) -> None:
        kept.append(record)
        if stop_after is not None and len(kept) == stop_after:
            raise KeyboardInterrupt

    measure(CASES, FILES, session, how or policy(), done=done, keep=keep, emit=events.append)
    return kept, events


def test_every_case_once_per_round_and_rounds_one_after_another() -> None:
    kept, _ = run(FakeSession())
    assert Counter((r.case_id, r.index) for r in kept) == {
        (c.case_id, i): 1 for c in CASES for i in range(6)
    }
    assert [r.index for r in kept] == sorted(r.index for r in kept)


def test_orders_differ_between_rounds() -> None:
    kept, _ = run(FakeSession())
    orders = {tuple(r.case_id for r in kept if r.index == i) for i in range(6)}
    assert len(orders) > 1


def test_a_launch_is_kept_before_the_next_begins() -> None:
    session = FakeSession()
    with pytest.raises(KeyboardInterrupt):
        run(session, stop_after=3)
    assert len(session.made) == 3


def test_resume_makes_what_is_missing_and_nothing_twice() -> None:
    session = FakeSession()
    whole, _ = run(FakeSession())
    for cut in (0, 1, 5, 13, 24):
        session = FakeSession()
        kept, _ = run(session, done=whole[:cut])
        assert [r.launch_id for r in kept] == [r.launch_id for r in whole[cut:]]


def test_a_tainted_launch_is_repeated_in_its_round_at_most_twice() -> None:
    def behave(c: Case, index: int, attempt: int) -> LaunchRecord:
        always = c is CASES[0] and index == 1
        once = c is CASES[1] and index == 2 and attempt == 0
        taints = ("other load 40 % of a core",) if always or once else ()
        return launch(c, index=index, attempt=attempt, taints=taints)

    kept, _ = run(FakeSession(behave))
    attempts = Counter((r.case_id, r.index) for r in kept)
    assert attempts[CASES[0].case_id, 1] == 3
    assert attempts[CASES[1].case_id, 2] == 2
    assert sum(attempts.values()) == 24 + 2 + 1
    assert [r.index for r in kept] == sorted(r.index for r in kept)


def test_resume_goes_on_with_the_repeats_of_an_interrupted_round() -> None:
    def behave(c: Case, index: int, attempt: int) -> LaunchRecord:
        return launch(c, index=index, attempt=attempt, taints=("steal",) if c is CASES[0] else ())

    whole, _ = run(FakeSession(behave), how=policy(rounds=2))
    for cut in range(len(whole)):
        kept, _ = run(FakeSession(behave), how=policy(rounds=2), done=whole[:cut])
        assert [r.launch_id for r in kept] == [r.launch_id for r in whole[cut:]]


def test_a_crash_is_not_repeated_and_stops_no_other_case() -> None:
    def behave(c: Case, index: int, attempt: int) -> LaunchRecord:
        crash = c is CASES[2] and index == 3
        return launch(
            c, index=index, attempt=attempt, outcome=Outcome.CRASHED if crash else Outcome.OK
        )

    kept, events = run(FakeSession(behave))
    assert len(kept) == 24
    assert any(isinstance(e, Note) and "SIGABRT" in e.message for e in events)


def test_a_case_that_always_fails_is_given_up_and_said() -> None:
    def behave(c: Case, index: int, attempt: int) -> LaunchRecord:
        broken = c is CASES[2]
        return launch(
            c, index=index, attempt=attempt, outcome=Outcome.TIMED_OUT if broken else Outcome.OK
        )

    kept, events = run(FakeSession(behave))
    assert sum(r.case_id == CASES[2].case_id for r in kept) == 2
    assert sum(r.case_id != CASES[2].case_id for r in kept) == 18
    assert any(isinstance(e, Note) and "not launched again" in e.message for e in events)


def test_precision_adds_whole_rounds_only_for_cases_that_need_them() -> None:
    def behave(c: Case, index: int, attempt: int) -> LaunchRecord:
        noisy = c is CASES[0]
        p50 = 1000.0 * (1 + 0.2 * ((index * 7919) % 10 / 10 - 0.5)) if noisy else 1000.0 + index
        return launch(c, index=index, attempt=attempt, p50_us=p50)

    kept, events = run(FakeSession(behave), how=policy(precision=0.02, max_rounds=12))
    rounds = Counter(r.case_id for r in kept)
    assert rounds[CASES[0].case_id] == 12
    assert all(rounds[c.case_id] == 7 for c in CASES[1:])
    assert any(isinstance(e, Note) and "not reached" in e.message for e in events)


def test_progress_begins_with_an_estimate_and_ends_at_the_total() -> None:
    _, events = run(FakeSession())
    assert events[0] == StageStarted("measure", "Measuring", 24, 48.0)
    advances = [e for e in events if isinstance(e, StageAdvanced)]
    assert [e.done for e in advances] == list(range(1, 25))
    assert advances[-1].left_s == 0
    assert isinstance(events[-1], StageFinished)
