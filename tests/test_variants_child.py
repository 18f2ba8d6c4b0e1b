"""Worker processes report, crash, hang and are ended; none is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.variants.child import ChildJob, Message, run_children

WORKER = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
from bench.variants.child import Reporter
reporter = Reporter()
job = json.loads(Path(sys.argv[1]).read_text())
reporter.send(pid=os.getpid(), name=job["name"])
print("noise of a library")
match job["do"]:
    case "abort": os.abort()
    case "exit": sys.exit(3)
    case "hang":
        child = subprocess.Popen(["sleep", "600"])
        reporter.send(pid=child.pid, name=job["name"])
        time.sleep(600)
    case "fork":
        pid = os.fork()
        if pid == 0:
            time.sleep(600)
        reporter.send(pid=pid, name=job["name"])
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ChildJob]:
    (tmp_path / "worker_of_test.py").write_text(WORKER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(do: str, name: str = "n", timeout_s: float = 60.0) -> ChildJob:
        folder = tmp_path / name
        folder.mkdir()
        what = {"do": do, "name": name}
        return ChildJob("worker_of_test", what, folder, folder / "log", timeout_s, {})

    return make


def gone(pids: list[int]) -> bool:
    """Whether all are dead soon: a killed process takes a moment to disappear."""
    for _ in range(200):
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_reports_arrive_and_noise_goes_to_the_log(job: Callable[..., ChildJob]) -> None:
    heard: list[tuple[int, Any]] = []
    jobs = [job("end", "a"), job("end", "b"), job("end", "c")]
    ends = run_children(jobs, at_most=2, on_message=lambda i, m: heard.append((i, m["name"])))
    assert sorted(heard) == [(0, "a"), (1, "b"), (2, "c")]
    assert [end.exit_code for end in ends] == [0, 0, 0]
    assert "noise of a library" in jobs[0].log.read_text()


def test_crash_and_exit_code_are_told_apart(job: Callable[..., ChildJob]) -> None:
    jobs = [job("abort", "a"), job("exit", "b")]
    crash, plain = run_children(jobs, at_most=2, on_message=lambda i, m: None)
    assert crash.explain() == "was ended by SIGABRT"
    assert plain.explain() == "ended with exit code 3"


def test_a_hanging_worker_and_its_children_are_ended(job: Callable[..., ChildJob]) -> None:
    pids: list[int] = []
    (end,) = run_children(
        [job("hang", timeout_s=5.0)], at_most=1, on_message=lambda i, m: pids.append(m["pid"])
    )
    assert end.timed_out
    assert "did not finish" in end.explain()
    assert len(pids) == 2
    assert gone(pids)


def test_ctrl_c_ends_all_workers(job: Callable[..., ChildJob]) -> None:
    pids: list[int] = []

    def interrupt(index: int, message: Message) -> None:
        pids.append(int(message["pid"]))
        if len(pids) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_children([job("hang", "a"), job("hang", "b")], at_most=2, on_message=interrupt)
    assert os.getpid() not in pids
    assert gone(pids)


CONTROLLER = """
import sys
from pathlib import Path
from bench.variants.child import ChildJob, run_children
folder = Path(sys.argv[1])
jobs = []
for name in "ab":
    (folder / name).mkdir()
    what = {"do": "hang", "name": name}
    jobs.append(ChildJob("worker_of_test", what, folder / name, folder / name / "log", 600, {}))
run_children(jobs, at_most=2, on_message=lambda i, m: print(m["pid"], flush=True))
"""


def test_workers_of_a_killed_controller_end_with_their_children(
    job: Callable[..., ChildJob], tmp_path: Path
) -> None:
    search = os.pathsep.join([str(Path(bench.__file__).parents[1]), os.environ["PYTHONPATH"]])
    controller = subprocess.Popen(
        [sys.executable, "-P", "-c", CONTROLLER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": search},
    )
    assert controller.stdout is not None
    pids = [int(controller.stdout.readline()) for _ in range(4)]
    assert all(alive(pid) for pid in pids)
    controller.kill()
    controller.communicate()
    assert gone(pids)


def test_a_fork_that_a_worker_leaves_is_not_waited_for(job: Callable[..., ChildJob]) -> None:
    pids: list[int] = []
    (end,) = run_children(
        [job("fork")], at_most=1, on_message=lambda i, m: pids.append(int(m["pid"]))
    )
    assert end.exit_code == 0
    assert len(pids) == 2
    assert gone(pids)
