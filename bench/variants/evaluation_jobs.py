"""Runs the processes that evaluate, two side by side, and collects what they answered."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError
from bench.events import Emit, StageAdvanced
from bench.metrics import Metric, Statistics
from bench.records import Failure, Json, VariantRecord
from bench.variants.child import ChildExit, ChildJob, Message, run_children
from bench.variants.judging import Head

_AT_MOST = 2


@dataclass(frozen=True, slots=True)
class Pair:
    """A variant by a set of kernels."""

    number: int
    variant: VariantRecord
    kernels: str
    head: Head | Failure

    @property
    def label(self) -> str:
        return f"{self.variant.variant} · {self.kernels}"


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What became of a pair."""

    statistics: Statistics | None = None
    predictions: NDArray[np.int32] | None = None
    runtime: Json = field(default_factory=dict)
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What all evaluations on one holdout have in common.

    Attributes:
        root: directory of the user's function.
        out: directory that the variants' paths are relative to.
        samples: number of them in the holdout.
        done: number of a pair -> samples that it has judged.
    """

    holdout: Path
    metric: Metric
    root: Path
    out: Path
    scratch: Path
    timeout_s: float
    samples: int
    emit: Emit
    done: dict[int, int] = field(default_factory=dict)

    def outputs(self, pair: Pair) -> Path:
        """Where its raw outputs lie, if the metric needs them."""
        return self.scratch / f"outputs-{pair.number}"

    def run(
        self, pairs: Sequence[Pair], references: Mapping[str, Path] | None = None
    ) -> dict[int, Result]:
        """Number of a pair -> what became of it.

        Args:
            references: kernels -> raw outputs that cosine compares with.
        """
        results = {p.number: Result(failure=p.head) for p in pairs if isinstance(p.head, Failure)}
        for pair in pairs:
            if pair.number in results:
                self._advance(pair, self.samples)
        todo = [pair for pair in pairs if pair.number not in results]
        # A batch is our own idea: where one ends the process, it must not cost the answer.
        for batched in (True, False):
            again = []
            for pair, (end, said) in zip(
                todo, self._children(todo, references, batched=batched), strict=True
            ):
                if batched and end.exit_code < 0 and not end.timed_out:
                    again.append(pair)
                    continue
                results[pair.number] = self._result(pair, end, said)
            todo = again
        return results

    def _children(
        self, pairs: Sequence[Pair], references: Mapping[str, Path] | None, *, batched: bool
    ) -> list[tuple[ChildExit, Message | None]]:
        said: dict[int, Message] = {}

        def on_message(index: int, message: Message) -> None:
            if "done" in message:
                self._advance(pairs[index], message["done"])
            elif "user_error" in message:
                raise UserError(message["user_error"])
            else:
                said[index] = message

        jobs = [self._job(pair, references, batched=batched) for pair in pairs]
        ends = run_children(
            jobs,
            at_most=_AT_MOST,
            on_message=on_message,
            on_exit=lambda index, _: self._advance(pairs[index], self.samples),
        )
        return [(end, said.get(index)) for index, end in enumerate(ends)]

    def _job(self, pair: Pair, references: Mapping[str, Path] | None, *, batched: bool) -> ChildJob:
        assert isinstance(pair.head, Head)
        folder = self.outputs(pair)
        if not batched:
            shutil.rmtree(folder, ignore_errors=True)
        job = {
            "task": "evaluate",
            "name": pair.variant.variant,
            "model": str((self.out / str(pair.variant.path)).resolve()),
            "kernels": pair.kernels,
            "holdout": str(self.holdout),
            "metric": asdict(self.metric),
            "root": str(self.root),
            "classes": pair.head.map_classes,
            "classifies": pair.head.classifies,
            "batched": batched,
            "answers": str(self._answers(pair)),
            "outputs": str(folder),
            "reference": None if references is None else str(references[pair.kernels]),
        }
        return ChildJob(
            "bench.variants.evaluate_worker",
            job,
            self.scratch,
            self._log(pair),
            self.timeout_s,
            {},
        )

    def _result(self, pair: Pair, end: ChildExit, said: Message | None) -> Result:
        failure = _failure(end, said, pair.kernels, self._log(pair))
        if failure is not None or said is None:
            return Result(failure=failure)
        with np.load(self._answers(pair), allow_pickle=False) as answers:
            return Result(
                statistics=answers["statistics"],
                predictions=answers.get("predictions"),
                runtime=said["runtime"],
            )

    def _answers(self, pair: Pair) -> Path:
        return self.scratch / f"answers-{pair.number}.npz"

    def _log(self, pair: Pair) -> Path:
        return self.scratch / f"{pair.number}.log"

    def _advance(self, pair: Pair, done: int) -> None:
        self.done[pair.number] = done
        self.emit(StageAdvanced("evaluate", sum(self.done.values()), pair.label))


def _failure(end: ChildExit, message: Message | None, kernel: str, log: Path) -> Failure | None:
    text = log.read_text(encoding="utf-8", errors="replace")[-4000:] if log.exists() else ""
    name = "plain kernels" if kernel == "none" else kernel
    if end.timed_out:
        return Failure("timeout", f"evaluation on {name} {end.explain()}", text)
    if message is not None and "failed" in message:
        return Failure("evaluate", f"evaluation on {name}: {message['failed']}", text)
    if end.exit_code != 0 or message is None:
        return Failure("crash", f"evaluation on {name} {end.explain()}", text)
    return None
