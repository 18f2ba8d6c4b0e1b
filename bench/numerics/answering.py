"""Plain kernels' answers to samples: made once, each in a process of its own, and kept."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bench.events import Emit, StageAdvanced, StageFinished, StageStarted
from bench.records import Failure
from bench.variants.cache import TEMPORARY, file_sha256
from bench.variants.child import ChildExit, ChildJob, Message, run_children

WORKER = "bench.numerics.worker"

_STAGE = "reference"
_AT_MOST = 2
_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Question:
    """What to answer, and where the answers are kept.

    Attributes:
        name: of the variant.
        samples: .npz of the items; `drawn` where they are to be drawn and written there.
        result: .npz of the answers, named by what they are made of.
        count: of items.
    """

    name: str
    model: Path
    samples: Path
    drawn: bool
    result: Path
    count: int


def kept(question: Question) -> Mapping[str, Any] | None:
    """The document (bench.runners.invoke_answers) of answers that are kept whole and unchanged.

    None where there are none.
    """
    try:
        facts = json.loads(question.result.with_suffix(".json").read_text(encoding="utf-8"))
        whole = facts["answers_sha256"] == file_sha256(question.result)
        if not whole or facts["samples_sha256"] != file_sha256(question.samples):
            return None
        document: Mapping[str, Any] = facts["document"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return document


def answer(
    model: str, questions: Sequence[Question], *, seed: int, folder: Path, emit: Emit
) -> dict[str, Failure]:
    """Have the plain kernels answer; name of a variant -> why it has no answers.

    Args:
        model: its name, for people.
        seed: of items that are drawn.
        folder: that the results lie in.
    """
    emit(StageStarted(_STAGE, f"Reference answers of {model}", len(questions)))
    said: dict[int, Message] = {}
    over: list[int] = []

    def on_message(index: int, message: Message) -> None:
        said[index] = message

    def on_exit(index: int, end: ChildExit) -> None:
        over.append(index)
        emit(StageAdvanced(_STAGE, len(over), questions[index].name))

    failures: dict[str, Failure] = {}
    with tempfile.TemporaryDirectory(dir=folder, prefix=TEMPORARY) as name:
        scratch = Path(name)
        ends = run_children(
            [_job(each, seed, scratch, index) for index, each in enumerate(questions)],
            at_most=_AT_MOST,
            on_message=on_message,
            on_exit=on_exit,
        )
        for index, (each, end) in enumerate(zip(questions, ends, strict=True)):
            document = said.get(index, {}).get("document")
            if document is not None and end.exit_code == 0:
                _keep(each, scratch / f"{index}.npz", scratch / f"drawn-{index}.npz", document)
            else:
                failures[each.name] = _failure(end, said.get(index, {}))
    emit(StageFinished(_STAGE, f"{len(questions) - len(failures)} of {len(questions)} variants"))
    return failures


def _job(question: Question, seed: int, scratch: Path, index: int) -> ChildJob:
    job = {
        "task": "reference",
        "folder": str(scratch),
        "model": str(question.model),
        "samples": None if question.drawn else str(question.samples),
        "drawn": str(scratch / f"drawn-{index}.npz"),
        "seed": seed,
        "count": question.count,
        "result": str(scratch / f"{index}.npz"),
    }
    return ChildJob(WORKER, job, scratch, scratch / f"{index}.log", _TIMEOUT_S, {})


def _keep(question: Question, answers: Path, drawn: Path, document: Mapping[str, Any]) -> None:
    """Each file appears whole; the last one makes the others valid."""
    if question.drawn:
        drawn.replace(question.samples)
    facts = {
        "document": document,
        "answers_sha256": file_sha256(answers),
        "samples_sha256": file_sha256(question.samples),
    }
    answers.replace(question.result)
    with written(question.result.with_suffix(".json")) as fresh:
        fresh.write(json.dumps(facts, indent=2).encode("utf-8"))


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name when it is whole."""
    fresh = path.with_name(f"{TEMPORARY}{path.name}")
    try:
        with fresh.open("wb") as file:
            yield file
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _failure(end: ChildExit, said: Message) -> Failure:
    log = end.log.read_text(encoding="utf-8", errors="replace")[-4000:] if end.log.exists() else ""
    why = said.get("failed") or said.get("user_error") or f"the process {end.explain()}"
    return Failure("reference", f"no reference answers by the plain kernels: {why}", log)
