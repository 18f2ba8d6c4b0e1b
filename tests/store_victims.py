"""A process that forks writers of a store and kills each at the moment it is told.

One JSON line on stdin per victim: what to do, where, how many lines to wait for and how long
after them to kill; one JSON line on stdout: what the victim had acknowledged by then. Forked,
since two hundred interpreters would take longer than what they are killed in.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import store_records as make
from store_points import point

from bench.records import Artifact, EvaluationRecord, PlannedCase, Purpose, RunStatus, VariantRecord
from bench.store import Store, open_store
from bench.store.merge import copy_runs
from bench.store.prune import compact, prunable, prune_run, sweep_environments

LAUNCHES = 12
Acknowledge = Callable[[str], None]


def case_of(store: Store, run_id: str) -> PlannedCase:
    return make.planned(store.run(run_id))


def go_on(store: Store, run_id: str, said: Acknowledge) -> None:
    """Whatever of a run is missing, and its end."""
    case = case_of(store, run_id)
    store.add_variant(VariantRecord(run_id, "cnn", "fp32", "a", "1", 1, {}))
    right = np.ones((500, 1))
    store.add_evaluation(
        EvaluationRecord(run_id, "cnn", "fp32", "none", "top1", 1.0, None, right, "h", {})
    )
    done = {index for _, index, _ in store.launches_done(run_id)}
    for index in sorted(set(range(LAUNCHES)) - done):
        record = make.launch_record(case, index)
        store.add_launch(record)
        said(f"launch {run_id} {record.launch_id}")
    there = {check.purpose for check in store.load(run_id).checks}
    for purpose in (Purpose.PROFILE, Purpose.TRACE):
        if purpose not in there:
            trace = {"artifacts": (Artifact("trace", os.urandom(100_000)),)}
            check = make.check_record(case, purpose, **trace if purpose is Purpose.TRACE else {})
            store.add_check(check)
            said(f"check {run_id} {check.launch_id}")
    store.finish_run(run_id, RunStatus.FINISHED, make.START)
    said(f"end {run_id}")
    store.add_points(run_id, [point(case)])
    said(f"points {run_id}")


def write(place: str, said: Acknowledge) -> None:
    """Go on with the runs that are not finished, then with new ones, for ever."""
    with open_store(place, write=True) as store:
        said("open")
        while True:
            left = [run for run in store.runs() if run.status is RunStatus.RUNNING]
            if left:
                run_id = left[0].run_id
            else:
                run = make.run_record()
                run_id = run.run_id
                store.begin_run(run, [make.planned(run)])
                said(f"run {run_id}")
            go_on(store, run_id, said)


def copy(places: str, said: Acknowledge) -> None:
    """From the first place into the second."""
    source, target = places.split(" ")
    with open_store(source, write=False) as a, open_store(target, write=True) as b:
        said("open")
        copy_runs(a, b, tell=lambda done: said(f"copied {done.launches}"))
        said("end")


def prune(place: str, said: Acknowledge) -> None:
    """Every run."""
    with open_store(place, write=True) as store:
        said("open")
        for run in prunable(store, make.START.replace(year=2100)).runs:
            prune_run(store, run.run_id, make.START)
            said(f"pruned {run.run_id}")
        sweep_environments(store)
        compact(store, said)
        said("end")


DO = {"write": write, "copy": copy, "prune": prune}


def killed(do: str, place: str, wait_for: int, delay_s: float) -> dict[str, object]:
    read, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(read)
            DO[do](place, lambda line: void(os.write(write_end, f"{line}\n".encode())))
            code = 0
        finally:
            os._exit(code)
    os.close(write_end)
    with os.fdopen(read) as pipe:
        lines = [pipe.readline().strip() for _ in range(wait_for)]
        time.sleep(delay_s)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        lines += pipe.read().splitlines()
    code = None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return {"lines": [line for line in lines if line], "code": code}


def void(_: object) -> None:
    """Nothing."""


if __name__ == "__main__":
    for order in sys.stdin:
        sys.stdout.write(json.dumps(killed(*json.loads(order))) + "\n")
        sys.stdout.flush()
