"""What both programs do alike: model in memory, warm-up, measured runs, and their figures."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devices.emulated.standin.build import Build
from devices.emulated.standin.figures import average, count_line, number
from devices.emulated.standin.flags import Flags
from devices.emulated.standin.log import Log
from devices.emulated.standin.loop import Limits, timed_runs

# What a stand-in that only sleeps prints of every run.
_PRETENDED_US = 1000


class Failed(Exception):
    """The tool ends with status 1; what it had to say is said."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Samples of both series, in us, and whether every run was well."""

    warmup_us: Sequence[int]
    samples_us: Sequence[int]
    well: bool


def peak_rss_kib() -> int:
    """Of this process so far, which is what the tool takes for its footprint."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(log: Log, flags: Flags, build: Build, invoke: Callable[[], bool]) -> Figures:
    """Warm up, measure, and print a count line for each."""
    dry = flags.on("dry_run")
    max_s = flags.decimal("max_secs")
    warm = Limits(flags.integer("warmup_runs"), flags.decimal("warmup_min_secs"), max_s)
    main = Limits(flags.integer("num_runs"), flags.decimal("min_secs"), max_s)
    if dry:
        warm = main = Limits(0, -1.0, max_s)
    if build.sleep_s is not None:
        return _sleep(log, build.sleep_s, warm, main)
    with build.at_work():
        warmup, well = _series(log, flags, warm, invoke)
        if not well:
            return Figures(warmup, (), False)
        if build.killed_by is not None:
            log.info(_running(main))
            os.kill(os.getpid(), signal.Signals(build.killed_by))
        samples, well = _series(log, flags, main, invoke)
    return Figures(warmup, samples, well)


def throughput_mib_s(input_bytes: int, samples_us: Sequence[int]) -> float:
    """Bytes of the inputs by time; 0 where no time passed."""
    mean = average(samples_us)
    return input_bytes / (1 << 20) / (mean / 1e6) if mean else 0.0


def _series(
    log: Log, flags: Flags, limits: Limits, invoke: Callable[[], bool]
) -> tuple[list[int], bool]:
    log.info(_running(limits))
    samples, well = timed_runs(
        invoke,
        limits,
        delay_s=flags.decimal("run_delay"),
        per_s=flags.decimal("run_frequency"),
    )
    log.info(f"{count_line(samples)}\n")
    return samples, well


def _sleep(log: Log, seconds: float, warm: Limits, main: Limits) -> Figures:
    time.sleep(seconds)
    found: list[list[int]] = []
    for limits in (warm, main):
        log.info(_running(limits))
        found.append([_PRETENDED_US] * max(1, limits.runs))
        log.info(f"{count_line(found[-1])}\n")
    return Figures(found[0], found[1], True)


def _running(limits: Limits) -> str:
    return (
        f"Running benchmark for at least {limits.runs} iterations and at least"
        f" {number(limits.min_s)} seconds but terminate if exceeding"
        f" {number(limits.max_s)} seconds."
    )
