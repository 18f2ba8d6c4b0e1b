"""A fixed case in every run, by which a machine that changed is told from a model that did.

METHOD section 6: one pinned model, measured at the start, at the end and every ten
minutes, and held against the same case of earlier runs on the same unit. It judges the
run; it is never divided out of a number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.format import duration
from bench.identity import SENTINEL_MODEL, SENTINEL_PROJECT, Case, DelegateSpec
from bench.power import percent
from bench.records import LaunchRecord, Source
from bench.runners.delegates import delegates_of
from bench.scheduler import Launches
from bench.slots import CaseFiles

# Three 3x3 convolutions on 48x48 pixels, 0.7 ms on a core of 2025. It may never change:
# a new one would need a name of its own and begin without a history.
MODEL = Path(__file__).with_name("sentinel.tflite")
MODEL_SHA256 = "ffde48731c46e07f3af07689b4d96b3c942dfb4772462c4dcbfcc07adc596592"
EVERY_S = 600.0
MIN_EARLIER_RUNS = 5
MAX_SPREADS = 3.0
MAX_CHANGE = 0.03


def sentinel_case(device: str, runner: str) -> Case:
    """The sentinel of a device and runner kind: plain kernels where it has them, one thread."""
    return Case(
        project=SENTINEL_PROJECT,
        model=SENTINEL_MODEL,
        variant="fp32",
        delegate=DelegateSpec("none" if "none" in delegates_of(runner) else "xnnpack"),
        threads=1,
        runner=runner,
        device=device,
    )


def sentinel_files() -> CaseFiles:
    """Its files, the same on every device and in every run."""
    return CaseFiles(MODEL, MODEL_SHA256, None)


@dataclass(frozen=True, slots=True)
class SentinelVerdict:
    """Whether the machine was itself: None where nobody can tell yet; and one sentence."""

    normal: bool | None
    sentence: str


def judge(launches: Iterable[LaunchRecord], earlier: Iterable[LaunchRecord]) -> SentinelVerdict:
    """Hold the sentinel launches of a run against those of earlier runs.

    Args:
        launches: of this run and one device.
        earlier: of earlier runs; those of another unit or runtime are left out.

    Out of the ordinary is a median that differs from the median of the earlier runs by
    more than 3 robust standard deviations (1.4826 MAD) and more than 3 %.
    """
    usable = [point for item in launches if (point := _point(item)) is not None]
    if not usable:
        return SentinelVerdict(
            None, "No sentinel launch was clean: nobody vouches for the machine."
        )
    alike = usable[0][0]
    now_us = _median([p50 for point, p50 in usable if point == alike])
    by_run: dict[str, list[float]] = {}
    for item in earlier:
        known = _point(item)
        if known is not None and known[0] == alike:
            by_run.setdefault(item.run_id, []).append(known[1])
    history = [_median(values) for values in by_run.values()]
    if len(history) < MIN_EARLIER_RUNS:
        return SentinelVerdict(
            None,
            f"Sentinel: {duration(now_us)}. Whether that is this machine's ordinary speed can be"
            f" told after {MIN_EARLIER_RUNS} earlier runs; there are {len(history)}.",
        )
    usual_us = _median(history)
    spread_us = 1.4826 * _median([abs(value - usual_us) for value in history])
    change = now_us / usual_us - 1
    if abs(change) > MAX_CHANGE and abs(now_us - usual_us) > MAX_SPREADS * spread_us:
        return SentinelVerdict(
            False,
            f"The machine was not itself: its sentinel took {duration(now_us)}, usually"
            f" {duration(usual_us)} ({percent(abs(change))} {'slower' if change > 0 else 'faster'}"
            f" than in {len(history)} earlier runs). Do not compare this run with others.",
        )
    return SentinelVerdict(
        True,
        f"Sentinel: {duration(now_us)}, as in {len(history)} earlier runs"
        f" ({duration(usual_us)}): the machine was itself.",
    )


@dataclass(slots=True)
class SentinelWatch:
    """Takes the sentinel of one device when it is due.

    Attributes:
        session: measures; case: the sentinel of its device.
        keep: stores one launch for good.
        taken: launches made so far in this run, those before an interruption included.
    """

    session: Launches
    case: Case
    keep: Callable[[LaunchRecord], None]
    taken: int
    clock: Callable[[], float] = time.monotonic
    _last: float = field(default=float("-inf"))

    def take(self) -> None:
        """One sentinel launch, now."""
        record = self.session.launch(
            self.case, sentinel_files(), index=self.taken, position=0, attempt=0
        )
        self.keep(record)
        self.session.forget(record.launch_id)
        self.taken += 1
        self._last = self.clock()

    def take_if_due(self) -> None:
        if self.clock() - self._last >= EVERY_S:
            self.take()


def _point(item: LaunchRecord) -> tuple[tuple[object, ...], float] | None:
    """What must be equal for a comparison (runtime, unit, whether p50 is a mean), and p50 in
    us; None for a launch without a usable p50."""
    measured = item.measurement
    if not item.usable or measured is None or measured.p50_us is None:
        return None
    runtime = measured.runtime
    unit = item.environment.get("device", {})
    alike = (
        runtime.get("name"),
        runtime.get("version"),
        unit.get("hostname"),
        unit.get("cpu_model"),
        measured.p50_source is Source.TOOL_MEAN,
    )
    return alike, measured.p50_us


def _median(values: Sequence[float]) -> float:
    return float(np.median(np.asarray(values)))
