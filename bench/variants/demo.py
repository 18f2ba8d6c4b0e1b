"""The quickstart's model and data: digits, trained in a worker process."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from bench.config import QatConfig
from bench.errors import EdgebenchError, UserError
from bench.events import Emit, StageAdvanced, StageFinished, StageStarted
from bench.variants.child import ChildJob, Message, run_children
from bench.variants.make import WORKER_ENV, install_hint

# One gentle pass is enough for a model that was trained to the end.
DEMO_QAT = QatConfig(epochs=1, batch_size=32, learning_rate=1e-4)
DEMO_EPOCHS = 3
DEMO_EXPECTED_S = 20.0
_FILES = ("digits.keras", "train.npz", "calibration.npz", "holdout.npz")
_TIMEOUT_S = 1800.0


def make_demo(directory: Path, emit: Emit, seed: int = 0) -> None:
    """Train the demo model into a directory, unless the same is there already.

    Writes digits.keras, train.npz, calibration.npz (200 samples of train), holdout.npz,
    demo.json (accuracy of the float model, counts, seconds) and demo.log.

    Raises: UserError if TensorFlow or scikit-learn is missing, EdgebenchError if training
    fails.
    """
    directory.mkdir(parents=True, exist_ok=True)
    facts_path = directory / "demo.json"
    if _is_there(facts_path, seed):
        return
    emit(
        StageStarted("train", "Training the digits model", DEMO_EPOCHS, expected_s=DEMO_EXPECTED_S)
    )
    facts: dict[str, object] = {}
    problem: list[UserError] = []

    def on_message(index: int, message: Message) -> None:
        if "progress" in message:
            done = int(message["progress"])
            emit(StageAdvanced("train", done, f"epoch {done} of {DEMO_EPOCHS}"))
        elif "made" in message:
            facts.update(message["facts"])
        elif "missing" in message:
            what = "scikit-learn" if message["missing"] == "sklearn" else message["missing"]
            problem.append(UserError(f"{what} is not installed; {install_hint('quickstart')}"))

    log = directory / "demo.log"
    with tempfile.TemporaryDirectory(dir=directory, prefix=".tmp-") as scratch:
        job = ChildJob(
            "bench.variants.worker",
            {"task": "demo", "folder": scratch, "seed": seed},
            Path(scratch),
            log,
            _TIMEOUT_S,
            WORKER_ENV,
        )
        (end,) = run_children([job], at_most=1, on_message=on_message)
        if problem:
            raise problem[0]
        if not facts:
            raise EdgebenchError(f"training the demo model {end.explain()}; see {log}")
        for name in _FILES:
            (Path(scratch) / name).replace(directory / name)
        fresh = Path(scratch) / "demo.json"
        fresh.write_text(json.dumps({**facts, "seed": seed}, indent=2) + "\n", encoding="utf-8")
        # Last of all: its presence says that the others are whole.
        fresh.replace(facts_path)
    emit(StageFinished("train", f"float accuracy {facts['accuracy']:.2%}"))


def _is_there(facts_path: Path, seed: int) -> bool:
    try:
        known = json.loads(facts_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return known.get("seed") == seed and all((facts_path.parent / name).exists() for name in _FILES)
