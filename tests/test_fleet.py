"""Devices side by side, and one that fails among them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import ClassVar

import pytest

from bench.errors import EdgebenchError, StoreError
from bench.fleet import DeviceProblem, carry_out_jobs
from bench.session import Stopped
from devices.errors import DeviceOffline


class FakeJob:
    """A job that does what it is told; who is at work at the same time is noted."""

    at_work: ClassVar[set[str]] = set()

    def __init__(
        self, name: str, work: Callable[[FakeJob], None], *, takes_controller: bool = False
    ) -> None:
        self.name = name
        self.takes_controller = takes_controller
        self.work = work
        self.stop = threading.Event()
        self.beside: set[str] = set()

    def run(self) -> None:
        FakeJob.at_work.add(self.name)
        try:
            self.work(self)
            self.beside |= FakeJob.at_work
        finally:
            FakeJob.at_work.discard(self.name)

    def interrupt(self) -> None:
        self.stop.set()

    def until_stopped(self) -> None:
        assert self.stop.wait(30)
        raise Stopped("stopped")


@pytest.fixture(autouse=True)
def nobody_at_work() -> None:
    FakeJob.at_work = set()


def test_jobs_run_side_by_side() -> None:
    barrier = threading.Barrier(8, timeout=30)
    jobs = [FakeJob(f"phone{n}", lambda job: barrier.wait() and None) for n in range(8)]
    assert carry_out_jobs(jobs) == ()


def test_nothing_runs_beside_a_job_that_takes_this_machine() -> None:
    def work(job: FakeJob) -> None:
        time.sleep(0.02)
        job.beside |= FakeJob.at_work

    jobs = [
        FakeJob("local", work, takes_controller=True),
        FakeJob("phone", work),
        FakeJob("emulator", work, takes_controller=True),
    ]
    assert carry_out_jobs(jobs) == ()
    assert [job.beside for job in jobs] == [{"local"}, {"phone"}, {"emulator"}]


def test_a_device_that_fails_leaves_the_others_alone() -> None:
    done: list[str] = []

    def fail(job: FakeJob) -> None:
        raise DeviceOffline("gone", device=job.name)

    def refuse(job: FakeJob) -> None:
        raise EdgebenchError("has no runtime")

    def work(job: FakeJob) -> None:
        time.sleep(0.05)
        done.append(job.name)

    jobs = [
        FakeJob("a", fail),
        FakeJob("b", work),
        FakeJob("local", work, takes_controller=True),
        FakeJob("c", refuse),
    ]
    assert carry_out_jobs(jobs) == (
        DeviceProblem("a", "a: gone"),
        DeviceProblem("c", "has no runtime"),
    )
    assert done == ["b", "local"]


@pytest.mark.parametrize("error", [StoreError("the disk is full"), ZeroDivisionError("a bug")])
def test_what_is_no_devices_fault_ends_all_of_them(error: Exception) -> None:
    def fail(job: FakeJob) -> None:
        raise error

    jobs = [FakeJob("a", fail), FakeJob("b", FakeJob.until_stopped)]
    later = FakeJob("local", lambda job: pytest.fail("was begun"), takes_controller=True)
    with pytest.raises(type(error)):
        carry_out_jobs([*jobs, later])
    assert FakeJob.at_work == set()


def test_ctrl_c_interrupts_every_job_and_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [FakeJob(name, FakeJob.until_stopped) for name in ("a", "b")]

    def interrupted(event: threading.Event, timeout: float | None = None) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.fleet._wait", lambda running: interrupted(threading.Event()))
    with pytest.raises(KeyboardInterrupt):
        carry_out_jobs(jobs)
    assert all(job.stop.is_set() for job in jobs)
    assert FakeJob.at_work == set()
