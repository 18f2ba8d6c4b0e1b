"""The fixed case that tells a machine that changed from a model that did."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from records import launch, measurement

from bench.config import RUNNERS
from bench.errors import UserError
from bench.identity import Case
from bench.plan import resolve
from bench.planfile import parse_plan
from bench.records import LaunchRecord
from bench.runners.delegates import delegates_of
from bench.sentinel import (
    EVERY_S,
    MODEL,
    MODEL_SHA256,
    SentinelWatch,
    judge,
    sentinel_case,
)
from bench.slots import CaseFiles

SENTINEL = sentinel_case("local", "invoke_loop")


def sentinel_launch(
    p50_us: float, run: str = "now", *, version: str = "2.3.0", host: str = "a", **changes: Any
) -> LaunchRecord:
    measured = measurement(p50_us, runtime={"name": "ai_edge_litert", "version": version})
    environment = {"device": {"hostname": host, "cpu_model": "x"}}
    record = launch(SENTINEL, measured=measured, environment=environment, **changes)
    return replace(record, run_id=run)


def history(values_us: Sequence[float], **changes: Any) -> list[LaunchRecord]:
    return [sentinel_launch(value, f"run{i}", **changes) for i, value in enumerate(values_us)]


USUAL = [700.0, 703.0, 698.0, 705.0, 701.0, 699.0]


def test_the_model_is_the_pinned_one() -> None:
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() == MODEL_SHA256


@pytest.mark.parametrize("runner", RUNNERS)
def test_every_runner_has_the_delegate_of_its_sentinel(runner: str) -> None:
    asked = sentinel_case("board", runner).delegate
    assert asked.name in delegates_of(runner)
    assert asked.name == ("xnnpack" if runner == "benchmark_litert" else "none")


def test_its_case_id_stays_what_it_was() -> None:
    """The history hangs on it."""
    assert SENTINEL.is_sentinel
    assert SENTINEL.case_id == "88d82cc051f20f2984822a797022ea3e8876f256a4518dd3c9cc9d5bf02a9924"


@pytest.mark.parametrize(
    ("now_us", "normal"),
    [(702.0, True), (720.0, True), (722.5, False), (680.0, True), (670.0, False), (900.0, False)],
)
def test_out_of_the_ordinary_is_three_spreads_and_three_percent(
    now_us: float, normal: bool
) -> None:
    assert judge([sentinel_launch(now_us)], history(USUAL)).normal is normal


def test_on_a_noisy_machine_three_percent_are_nothing() -> None:
    noisy = [650.0, 700.0, 760.0, 690.0, 720.0, 640.0]
    assert judge([sentinel_launch(780.0)], history(noisy)).normal is True
    assert judge([sentinel_launch(1000.0)], history(noisy)).normal is False


def test_what_is_out_of_the_ordinary_is_said_with_figures() -> None:
    sentence = judge([sentinel_launch(840.0)], history([700.0] * 6)).sentence
    assert "840 µs" in sentence
    assert "700 µs" in sentence
    assert "20 % slower" in sentence


def test_without_a_history_nothing_is_judged() -> None:
    verdict = judge([sentinel_launch(700.0)], history(USUAL[:4]))
    assert verdict.normal is None
    assert "there are 4" in verdict.sentence


def test_other_units_and_other_runtimes_are_no_history() -> None:
    others = history(USUAL, version="2.2.0") + history(USUAL, host="b")
    assert judge([sentinel_launch(700.0)], others).normal is None


def test_a_run_counts_once_however_long_it_was() -> None:
    one_long_run = [sentinel_launch(700.0, "run0", index=i) for i in range(20)]
    assert judge([sentinel_launch(700.0)], one_long_run).normal is None


def test_tainted_launches_vouch_for_nothing() -> None:
    spoilt = sentinel_launch(700.0, taints=("other load",))
    assert judge([spoilt], history(USUAL)).normal is None
    assert judge([sentinel_launch(700.0)], history(USUAL, taints=("steal",))).normal is None


class FakeSession:
    def __init__(self) -> None:
        self.made: list[tuple[Case, int]] = []

    def launch(
        self, case: Case, files: CaseFiles, *, index: int, position: int, attempt: int
    ) -> LaunchRecord:
        assert files.model_sha256 == MODEL_SHA256
        self.made.append((case, index))
        return sentinel_launch(700.0, index=index)

    def forget(self, identifier: str) -> None:
        assert identifier == sentinel_launch(700.0, index=self.made[-1][1]).launch_id


def test_it_is_taken_again_after_ten_minutes_and_goes_on_counting_after_a_resume() -> None:
    session, kept, now = FakeSession(), [], [0.0]
    watch = SentinelWatch(session, SENTINEL, kept.append, taken=3, clock=lambda: now[0])
    watch.take()
    for now[0] in (1.0, EVERY_S - 1, EVERY_S, EVERY_S + 1, 2 * EVERY_S):
        watch.take_if_due()
    assert [index for _, index in session.made] == [3, 4, 5]
    assert len(kept) == 3


def test_its_name_is_not_free(tmp_path: Any) -> None:
    (tmp_path / "m.keras").touch()
    model = {"name": "edgebench sentinel", "source": "m.keras"}
    with pytest.raises(UserError, match="another name"):
        resolve(parse_plan({"project": "p", "model": [model]}, where="x"), tmp_path)
