"""Devices side by side: a thread each, and nothing beside those that take up this machine."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bench.errors import EdgebenchError, StoreError
from bench.session import Stopped
from devices.errors import DeviceError

_LOOK_EVERY_S = 0.2


class Job(Protocol):
    """What is to be done on one device."""

    @property
    def name(self) -> str: ...

    @property
    def takes_controller(self) -> bool:
        """Whether it needs the processor of this machine for itself."""
        ...

    def run(self) -> None: ...

    def interrupt(self) -> None:
        """End `run` soon, from another thread; it raises Stopped."""
        ...


@dataclass(frozen=True, slots=True)
class DeviceProblem:
    """Why a device did not do all that it should."""

    device: str
    message: str


@dataclass(slots=True)
class _Running:
    job: Job
    thread: threading.Thread | None = None
    problem: DeviceProblem | None = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        # A daemon, so that a device which never answers cannot keep the process alive.
        self.thread = threading.Thread(target=self._work, name=self.job.name, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        try:
            self.job.run()
        except Stopped:
            pass
        except StoreError as error:
            self.error = error
        except (DeviceError, EdgebenchError) as error:
            self.problem = DeviceProblem(self.job.name, str(error))
        except BaseException as error:
            self.error = error
        finally:
            self.done.set()


def carry_out_jobs(jobs: Sequence[Job]) -> tuple[DeviceProblem, ...]:
    """Run all jobs: first those that leave this machine alone, side by side; then the
    others, one after another.

    A device that fails does not disturb the others.

    Returns: what went wrong, in the order of the jobs.
    Raises: KeyboardInterrupt, StoreError and whatever is nobody's fault but ours, each after
    all other jobs were interrupted and have ended.
    """
    waves = [[job for job in jobs if not job.takes_controller]]
    waves += [[job] for job in jobs if job.takes_controller]
    problems: dict[str, DeviceProblem] = {}
    for wave in waves:
        for running in _side_by_side(wave):
            if running.problem is not None:
                problems[running.job.name] = running.problem
    return tuple(problems[job.name] for job in jobs if job.name in problems)


def _side_by_side(jobs: Sequence[Job]) -> list[_Running]:
    all_running = [_Running(job) for job in jobs]
    try:
        for running in all_running:
            running.start()
        _wait(all_running)
    except BaseException:
        _interrupt(all_running)
        raise
    return all_running


def _wait(all_running: Sequence[_Running]) -> None:
    for running in all_running:
        while not running.done.wait(_LOOK_EVERY_S):
            _raise_error(all_running)
    _raise_error(all_running)


def _raise_error(all_running: Sequence[_Running]) -> None:
    for running in all_running:
        if running.error is not None:
            raise running.error


def _interrupt(all_running: Sequence[_Running]) -> None:
    """End what still runs, all at the same time, and wait for it."""
    open_ones = [running for running in all_running if not running.done.is_set()]
    enders = [threading.Thread(target=r.job.interrupt, daemon=True) for r in open_ones]
    for ender in enders:
        ender.start()
    for running in open_ones:
        running.done.wait()
