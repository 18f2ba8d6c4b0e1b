"""Short latency of each remedy on this machine, interleaved: enough to choose by.

The method of a run (fresh processes, rounds in random order) with shorter launches and
without repeats: a busy machine must not make a diagnosis take hours. What other load has
spoilt is marked instead, and decides nothing; where that is certain, the last rounds are
left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.diagnose.outcome import Latency
from bench.events import Emit, StageAdvanced, StageFinished, StageStarted
from bench.headline import headline
from bench.identity import Case, DelegateSpec, new_run_id
from bench.plan import RUNNER_KIND, round_order
from bench.records import LaunchRecord
from bench.runners.base import LaunchLimits
from bench.runners.loop import InvokeLoopRunner
from bench.session import Session
from bench.slots import CaseFiles
from bench.stats import MIN_LAUNCHES_FOR_INTERVAL, launch_interval
from devices.blobs import BlobStore
from devices.deadline import Deadline
from devices.device import Device
from devices.facts import read_facts
from devices.launch import Launcher

ROUNDS = 6
DELEGATE = "xnnpack"
THREADS = 1
LIMITS = LaunchLimits(
    warmup_min_s=0.15, warmup_max_s=2.0, measure_min_s=0.1, measure_max_s=2.0, timeout_s=60.0
)
_FACTS_S = 30.0
_STAGE = "latency"


def measure_all(
    files: Mapping[str, tuple[Path, str]],
    *,
    project: str,
    model: str,
    inputs: Path | None,
    device: Device,
    seed: int,
    emit: Emit,
) -> dict[str, Latency]:
    """p50 of each file; one that never ran is absent.

    Args:
        files: key -> (.tflite, sha256).
        inputs: .npz for the runner, or None for a seeded draw.

    Raises: DeviceError if the device cannot be reached; KeyboardInterrupt.
    """
    cases = {
        key: Case(project, model, key, DelegateSpec(DELEGATE), THREADS, RUNNER_KIND, device.name)
        for key in files
    }
    blobs = BlobStore(device.transport, device.workdir)
    session = Session(
        device=device,
        facts=read_facts(device.transport, deadline=Deadline(_FACTS_S)),
        runners={RUNNER_KIND: InvokeLoopRunner()},
        run_id=new_run_id(),
        seed=seed,
        limits=LIMITS,
        launcher=Launcher(device.transport, device.workdir, blobs),
    )
    emit(StageStarted(_STAGE, "Measuring the remedies", ROUNDS * len(files)))
    records: dict[str, list[LaunchRecord]] = {key: [] for key in files}
    for index in range(ROUNDS):
        order = round_order(list(files), str, seed=seed, index=index)
        for position, key in enumerate(order):
            case_files = CaseFiles(*files[key], inputs)
            record = session.launch(
                cases[key], case_files, index=index, position=position, attempt=0
            )
            session.forget(record.launch_id)
            records[key].append(record)
            done = index * len(files) + position + 1
            emit(StageAdvanced(_STAGE, done, f"round {index + 1}: {key}"))
        if any(_hopeless(launches) for launches in records.values()):
            break
    emit(StageFinished(_STAGE))
    found = {key: _summary(launches) for key, launches in records.items()}
    return {key: latency for key, latency in found.items() if latency is not None}


def _hopeless(launches: Sequence[LaunchRecord]) -> bool:
    """Whether too many launches are spoilt for the rest to decide anything, and those that
    there are make an interval: then further rounds are time lost."""
    most_clean = ROUNDS - sum(not record.usable for record in launches)
    return len(launches) >= MIN_LAUNCHES_FOR_INTERVAL > most_clean


def _summary(launches: Sequence[LaunchRecord]) -> Latency | None:
    """p50 over the clean launches, or over all where too few are clean."""
    ran = [r for r in launches if r.measurement is not None]
    clean = [r for r in ran if r.usable]
    spoilt = len(clean) < MIN_LAUNCHES_FOR_INTERVAL
    used = ran if spoilt else clean
    measured = [r.measurement for r in used if r.measurement is not None]
    if not measured or not (found := headline(measured)).is_median:
        return None
    return Latency(
        p50_us=float(np.median(found.values_us)),
        interval_us=launch_interval(found.values_us, resolution=found.resolution_us),
        launches=len(measured),
        how=f"{DELEGATE}, {THREADS} thread, {len(launches)} rounds of short launches",
        taints=tuple(sorted({taint for r in used for taint in r.taints})),
    )
