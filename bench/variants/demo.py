"""The quickstart's model and data: digits, trained in a worker process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.config import QatConfig
from bench.errors import EdgebenchError, UserError
from bench.events import Emit, Note, StageAdvanced, StageFinished, StageStarted
from bench.variants.child import ChildJob, Message, run_children
from bench.variants.conversion import WORKER_ENV
from bench.variants.packages import install_hint
from bench.variants.scratch import scratch_in

# One gentle pass is enough for a model that was trained to the end.
DEMO_QAT = QatConfig(epochs=1, batch_size=32, learning_rate=1e-4)
DEMO_EXPECTED_S = 20.0
_EPOCHS = 3
_FILES = ("digits.keras", "train.npz", "calibration.npz", "holdout.npz")
_TIMEOUT_S = 1800.0


def make_demo(directory: Path, emit: Emit, seed: int = 0) -> None:
    """Train the demo model into a directory, unless the same is there already.

    Writes digits.keras, train.npz, calibration.npz (200 samples of train), holdout.npz,
    demo.json (accuracy of the float model, counts, seconds) and demo.log.

    Raises: UserError if TensorFlow or scikit-learn is missing, EdgebenchError if training
    fails.
    """
    facts_path = directory / "demo.json"
    with scratch_in(directory) as scratch:
        if _is_there(facts_path, seed):
            return
        emit(
            StageStarted("train", "Training the digits model", _EPOCHS, expected_s=DEMO_EXPECTED_S)
        )
        try:
            facts = _train(scratch, directory / "demo.log", seed, emit)
        except KeyboardInterrupt:
            emit(
                Note(
                    "Interrupted while training, nothing was measured yet; the same command "
                    "starts again",
                    "warning",
                )
            )
            raise
        # So that facts which are there speak of files which are.
        facts_path.unlink(missing_ok=True)
        for name in _FILES:
            (scratch / name).replace(directory / name)
        fresh = scratch / facts_path.name
        fresh.write_text(
            json.dumps({**facts, "seed": seed, "epochs": _EPOCHS}, indent=2) + "\n",
            encoding="utf-8",
        )
        # Last of all: its presence says that the others are whole.
        fresh.replace(facts_path)
    emit(StageFinished("train", f"float accuracy {facts['accuracy']:.2%}"))


def _train(folder: Path, log: Path, seed: int, emit: Emit) -> dict[str, Any]:
    """Have a worker write the demo's files into a folder; returns its facts."""
    facts: dict[str, Any] = {}
    missing: list[str] = []

    def on_message(index: int, message: Message) -> None:
        if "progress" in message:
            done = int(message["progress"])
            emit(StageAdvanced("train", done, f"epoch {done} of {_EPOCHS}"))
        elif "made" in message:
            facts.update(message["facts"])
        elif "missing" in message:
            missing.append(
                "scikit-learn" if message["missing"] == "sklearn" else message["missing"]
            )

    log.unlink(missing_ok=True)
    job = ChildJob(
        "bench.variants.worker",
        {"task": "demo", "folder": str(folder), "seed": seed, "epochs": _EPOCHS},
        folder,
        log,
        _TIMEOUT_S,
        WORKER_ENV,
    )
    (end,) = run_children([job], at_most=1, on_message=on_message)
    if missing:
        raise UserError(f"{missing[0]} is not installed; {install_hint('quickstart')}")
    if not facts:
        raise EdgebenchError(f"training the demo model {end.explain()}; see {log}")
    return facts


def _is_there(facts_path: Path, seed: int) -> bool:
    try:
        known = json.loads(facts_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    same = (known.get("seed"), known.get("epochs")) == (seed, _EPOCHS)
    return same and all((facts_path.parent / name).exists() for name in _FILES)
