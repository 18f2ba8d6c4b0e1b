"""Run edge_measure.py in a process of its own, and read what it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from bench.agent.edge_config import Target
else:
    from edge_config import Target

_LONGEST_S = 120.0


class Failed(Exception):
    """A measurement failed: one line, which becomes a sample without a latency."""


class Stopped(Exception):
    """The agent was told to stop while it measured."""


def in_child(
    target: Target,
    stop: threading.Event,
    look: Callable[[], None],
    period_s: float,
    *,
    allocate_only: bool = False,
) -> dict[str, Any]:
    """What edge_measure.py prints of one model; `look` is called every `period_s` meanwhile.

    Raises: Failed, Stopped.
    """
    script = Path(__file__).with_name("edge_measure.py")
    spec = {
        "model": str(target.path.absolute()),
        "delegate": target.delegate,
        "threads": target.threads,
        "allocate_only": allocate_only,
    }
    # Beside a program run as `-m` or imported, invoke_loop.py lies elsewhere.
    command = ["-m", "bench.agent.edge_measure"] if __package__ else [str(script)]
    # In memory: there may be no disk to write to.
    with os.fdopen(os.memfd_create("errors"), "w+b") as errors:
        child = subprocess.Popen(
            [sys.executable, *command, "/dev/stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        try:
            output = _watched(child, json.dumps(spec).encode("ascii"), stop, look, period_s)
        finally:
            child.kill()
            child.wait()
        errors.seek(0)
        log = errors.read()[-2000:].decode("utf-8", "replace")
    return _document(output, child.returncode, log)


def _watched(
    child: subprocess.Popen[bytes],
    spec: bytes,
    stop: threading.Event,
    look: Callable[[], None],
    period_s: float,
) -> bytes:
    end = time.monotonic() + _LONGEST_S
    given: bytes | None = spec
    while True:
        try:
            return child.communicate(given, timeout=period_s)[0]
        except subprocess.TimeoutExpired:
            given = None
        if stop.is_set():
            raise Stopped
        if time.monotonic() > end:
            raise Failed(f"timeout: no figure within {_LONGEST_S:g} s")
        look()


def _document(output: bytes, status: int, log: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(output)
    except ValueError:
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        lines = [line for line in log.splitlines() if line.strip()] or ["it said nothing"]
        raise Failed(f"crashed: the measuring process ended by {how}: {lines[-1]}") from None
    if "failure" in document:
        failure = document["failure"]
        raise Failed(f"{failure['kind']}: {failure['message']}")
    return document
