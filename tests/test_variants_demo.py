"""The quickstart's demo: made once, whole or not at all; no TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bench.errors import EdgebenchError, UserError
from bench.events import Event, Note, StageAdvanced, silent
from bench.variants import demo
from bench.variants.child import ChildExit, ChildJob, Message
from bench.variants.demo import make_demo

FILES = {"digits.keras", "train.npz", "calibration.npz", "holdout.npz"}
Heard = Callable[[int, Message], None]


class Worker:
    """In place of the process that trains."""

    def __init__(self, message: Message | None, exit_code: int = 0) -> None:
        self.message, self.exit_code = message, exit_code
        self.started = 0

    def __call__(
        self, jobs: Sequence[ChildJob], *, at_most: int, on_message: Heard
    ) -> tuple[ChildExit, ...]:
        self.started += 1
        (job,) = jobs
        for done in range(job.job["epochs"]):
            on_message(0, {"progress": done + 1})
        for name in FILES:
            (job.folder / name).write_text(f"{name} {self.started}")
        if self.message is not None:
            on_message(0, self.message)
        return (ChildExit(self.exit_code, False, 1.0, job.log),)


TRAINED = {"made": "demo", "facts": {"accuracy": 0.987}}


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Worker]:
    def use(message: Message | None, exit_code: int = 0) -> Worker:
        worker = Worker(message, exit_code)
        monkeypatch.setattr(demo, "run_children", worker)
        return worker

    return use


def test_it_is_made_once(tmp_path: Path, train: Callable[..., Worker]) -> None:
    worker = train(TRAINED)
    events: list[Event] = []
    make_demo(tmp_path, events.append)
    assert {p.name for p in tmp_path.iterdir()} == FILES | {"demo.json"}
    assert json.loads((tmp_path / "demo.json").read_text())["accuracy"] == 0.987
    assert [e.done for e in events if isinstance(e, StageAdvanced)] == [1, 2, 3]
    make_demo(tmp_path, silent)
    assert worker.started == 1


def test_another_seed_or_a_missing_file_makes_it_again(
    tmp_path: Path, train: Callable[..., Worker]
) -> None:
    worker = train(TRAINED)
    make_demo(tmp_path, silent)
    make_demo(tmp_path, silent, seed=1)
    assert worker.started == 2
    (tmp_path / "holdout.npz").unlink()
    make_demo(tmp_path, silent, seed=1)
    assert worker.started == 3


def test_an_interruption_says_how_to_go_on_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run_children", interrupt)
    events: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path, events.append)
    (note,) = [e for e in events if isinstance(e, Note)]
    assert "the same command starts again" in note.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("package", "words"),
    [("sklearn", "scikit-learn is not installed"), ("keras", "keras is not installed")],
)
def test_a_missing_package_is_named_with_its_remedy(
    tmp_path: Path, train: Callable[..., Worker], package: str, words: str
) -> None:
    train({"missing": package})
    with pytest.raises(UserError, match=rf"{words}.*pip install 'edgebench\[quickstart\]'"):
        make_demo(tmp_path, silent)


def test_training_that_fails_leaves_no_half_demo(
    tmp_path: Path, train: Callable[..., Worker]
) -> None:
    train(None, exit_code=-9)
    with pytest.raises(EdgebenchError, match=r"was ended by SIGKILL .*demo\.log"):
        make_demo(tmp_path, silent)
    assert list(tmp_path.iterdir()) == []
