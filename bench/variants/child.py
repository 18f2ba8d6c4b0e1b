"""Runs worker processes, a few at a time, and never leaves one behind."""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench
from bench.errors import UserError
from bench.format import first_line

_POLL_S = 0.5
# For what a worker wrote last, where something outside its group holds stdout open.
_DRAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class ChildJob:
    """One worker process.

    Attributes:
        module: what `python -P -m` runs; its one argument is the job's file.
        job: plain JSON, what it is to do.
        folder: an existing directory for the job's file.
        log: file that takes everything it writes to stderr.
        timeout_s: it is killed after this long.
        env: added to the environment.
    """

    module: str
    job: Mapping[str, Any]
    folder: Path
    log: Path
    timeout_s: float
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ChildExit:
    """How a worker ended. exit_code is negative for minus the signal."""

    exit_code: int
    timed_out: bool
    duration_s: float
    log: Path

    def explain(self) -> str:
        """What happened, in a few words."""
        if self.timed_out:
            return f"did not finish within {self.duration_s:.0f} s"
        if self.exit_code < 0:
            try:
                name = signal.Signals(-self.exit_code).name
            except ValueError:
                name = f"signal {-self.exit_code}"
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            return f"was ended by {name}{hint}"
        return f"ended with exit code {self.exit_code}"


Message = Mapping[str, Any]


def run_children(
    jobs: Sequence[ChildJob],
    *,
    at_most: int,
    on_message: Callable[[int, Message], None],
    on_exit: Callable[[int, ChildExit], None] = lambda index, end: None,
) -> tuple[ChildExit, ...]:
    """Run all jobs, at most `at_most` side by side, and say how each ended.

    A worker reports by JSON objects, one per line of stdout; on_message and on_exit
    get the job's index and are called in this thread. Whatever is raised here, Ctrl-C
    included, ends the workers and their children first.
    """
    lines: queue.Queue[tuple[int, Message | None]] = queue.Queue()
    waiting = list(range(len(jobs)))
    running: dict[int, _Running] = {}
    late: set[int] = set()
    ends: dict[int, ChildExit] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_most:
                index = waiting.pop(0)
                running[index] = _start(index, jobs[index], lines)
            for index, child in running.items():
                if index not in late and time.monotonic() - child.started > jobs[index].timeout_s:
                    late.add(index)
                    _kill(child.process)
            try:
                index, message = lines.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if message is not None:
                on_message(index, message)
                continue
            child = running.pop(index)
            code = _let_go(child)
            ends[index] = ChildExit(
                code, index in late, time.monotonic() - child.started, jobs[index].log
            )
            on_exit(index, ends[index])
    finally:
        for child in running.values():
            _kill(child.process)
        for child in running.values():
            _let_go(child)
    return tuple(ends[index] for index in range(len(jobs)))


@dataclass(frozen=True, slots=True)
class _Running:
    """A worker, the thread that waits for its end, and when it was started (monotonic s)."""

    process: subprocess.Popen[bytes]
    watcher: threading.Thread
    started: float


def _start(index: int, job: ChildJob, lines: queue.Queue[tuple[int, Message | None]]) -> _Running:
    path = job.folder / f"job-{index}.json"
    path.write_text(json.dumps(job.job), encoding="utf-8")
    # -P keeps the user's folder, where a `bench` of theirs may lie, off the path; the
    # package's own place has to be named then, since it need not be installed.
    home = str(Path(bench.__file__).resolve().parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    search = os.pathsep.join([home, inherited]) if inherited else home
    with job.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", job.module, str(path)],
            # Held open as long as this process lives: its end is how the worker learns
            # that nobody waits for it any more.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": search, **job.env},
            start_new_session=True,
        )
    watcher = threading.Thread(target=_watch, args=(index, process, lines), daemon=True)
    watcher.start()
    return _Running(process, watcher, time.monotonic())


def _watch(
    index: int,
    process: subprocess.Popen[bytes],
    lines: queue.Queue[tuple[int, Message | None]],
) -> None:
    """Put what the worker reports into the queue, and None when all of it is over."""
    pump = threading.Thread(target=_pump, args=(index, process, lines), daemon=True)
    pump.start()
    # Not reaped yet, so that its number still names its group. What user code left in
    # the group would hold stdout open for as long as it lives.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    _kill(process)
    pump.join(_DRAIN_S)
    lines.put((index, None))


def _pump(
    index: int,
    process: subprocess.Popen[bytes],
    lines: queue.Queue[tuple[int, Message | None]],
) -> None:
    assert process.stdout is not None
    with process.stdout as stdout:
        for line in stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict):
                lines.put((index, message))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a worker that was not waited for yet, and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _let_go(child: _Running) -> int:
    """The exit code of a worker that has ended or been killed."""
    # Whoever waits for the process first takes its number away from the watcher.
    child.watcher.join()
    code = child.process.wait()
    if child.process.stdin is not None:
        child.process.stdin.close()
    return code


class Reporter:
    """The worker's end: keeps stdout for reports, and sends all other output to stderr.

    Native libraries write to file descriptor 1 as they like; what they write there
    must not get between the reports. A worker with a Reporter ends, with its children,
    when its parent is gone, even if that was killed.
    """

    def __init__(self) -> None:
        self._stream = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        # Where native code crashes, the log says at least where it was called from.
        faulthandler.enable()
        # Elsewhere than stdin, which a library may read or close.
        leash = os.dup(0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        threading.Thread(target=_end_with_parent, args=(leash,), daemon=True).start()

    def send(self, **message: Any) -> None:
        """Send one report: plain JSON values."""
        self._stream.write((json.dumps(message) + "\n").encode("utf-8"))
        self._stream.flush()


# What a worker does with its job.
Task = Callable[[Mapping[str, Any], Reporter], None]


def serve(argv: Sequence[str], tasks: Mapping[str, Task]) -> int:
    """Do the one job that a worker was started for; 0 whenever what there is to say was sent.

    Sends `user_error` (with `in_log` where the log has more) or `missing` (a package)
    where the task raises.

    Args:
        argv: as run_children starts the worker. tasks: by the job's `task`.
    """
    reporter = Reporter()
    job = json.loads(Path(argv[1]).read_text(encoding="utf-8"))
    try:
        tasks[job["task"]](job, reporter)
    except UserError as error:
        # What a library said is behind it; a finding of our own says all there is.
        caused = error.__cause__ is not None
        if caused:
            log_traceback()
        reporter.send(user_error=str(error), in_log=caused)
    except ModuleNotFoundError as error:
        log_traceback()
        reporter.send(missing=str(error.name))
    except OSError as error:
        # Whatever is read has an error of its own.
        log_traceback()
        why = error.strerror or first_line(error)
        reporter.send(user_error=f"{job['folder']}: cannot be written: {why}")
    return 0


def log_traceback() -> None:
    """Write the exception at hand to the log; what is to be reported outlives a full disk."""
    with suppress(OSError):
        traceback.print_exc()


def _end_with_parent(leash: int) -> None:
    os.read(leash, 1)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    # Not started by run_children: the group is somebody else's.
    os._exit(1)
