"""A controller of its own, which gives itself a signal at a moment of its run."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

from bench.run import Interrupted
from tests.reliability import Lab, hurried, measure
from tests.reliability_links import Way

ROOT = Path(__file__).parents[1]
_START = "from tests.reliability_controller import main; main()"


def run_controller(lab: Lab, way: Way, moment: str, number: signal.Signals) -> int:
    """Begin or resume the run of a lab in another process; its exit status, minus a signal.

    0 is a run without a problem, 3 one with, 130 an interrupted one.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", _START],
        input=pickle.dumps((lab, way, moment, number)),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 3, 130, -number), done.stderr.decode()
    return done.returncode


def main() -> None:
    lab, way, moment, number = pickle.loads(sys.stdin.buffer.read())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with hurried():
        try:
            problems = measure(
                lab, way.device(), moment=moment, strike=lambda: os.kill(os.getpid(), number)
            )
        except Interrupted:
            sys.exit(130)
    sys.exit(3 if problems else 0)
