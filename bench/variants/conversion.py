"""Runs the worker processes that convert and train, and hears what became of each variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.config import ModelConfig
from bench.errors import UserError
from bench.records import Failure, Json
from bench.variants.child import ChildExit, ChildJob, Message, run_children
from bench.variants.packages import install_hint, missing_packages
from bench.variants.recipe import RECIPES

# No accelerator takes part in making a variant: other hardware, other bytes.
WORKER_ENV: Mapping[str, str] = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
_QAT_ENV: Mapping[str, str] = {**WORKER_ENV, "TF_USE_LEGACY_KERAS": "1"}
_WORKER = "bench.variants.worker"
_AT_MOST = 2
_TIMEOUT_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Made:
    """A .tflite that a worker wrote, and what it says about the making."""

    path: Path
    facts: Json


@dataclass(slots=True)
class Conversion:
    """Makes variants of one model.

    Attributes:
        root: directory that the paths in `model` are relative to.
        out: directory that logs are named relative to.
        folder: for the logs. scratch: for everything else.
        seed: of the choice of calibration samples and of training.
        advance: told what happens; `results` grows meanwhile.
        results: variant -> what became of it, so far.
    """

    model: ModelConfig
    root: Path
    out: Path
    folder: Path
    scratch: Path
    seed: int
    advance: Callable[[str], None]
    results: dict[str, Made | Failure] = field(default_factory=dict)

    def run(self, variants: Sequence[str]) -> None:
        """Make them all; `results` then holds each.

        Raises: UserError where a worker finds the user's files wrong.
        """
        if not variants:
            return
        self.advance("loading TensorFlow")
        if missing := missing_packages(variants):
            why = f"not installed: {', '.join(missing)}; {install_hint()}"
            self.results |= {v: Failure("prerequisite", why) for v in variants}
            return
        groups = [
            group
            # Training takes longest and starts first.
            for group in (
                [v for v in variants if RECIPES[v].needs_training],
                [v for v in variants if not RECIPES[v].needs_training],
            )
            if group
        ]
        jobs = [self._job(group) for group in groups]

        def on_message(index: int, message: Message) -> None:
            self._heard(jobs[index], groups[index], message)

        def on_exit(index: int, end: ChildExit) -> None:
            for variant in groups[index]:
                if variant not in self.results:
                    why = f"the conversion process {end.explain()}"
                    self._failed(variant, "crash", why, end.log)

        run_children(jobs, at_most=_AT_MOST, on_message=on_message, on_exit=on_exit)

    def _job(self, group: list[str]) -> ChildJob:
        training = RECIPES[group[0]].needs_training
        name = "qat" if training else "convert"
        folder = self.scratch / name
        folder.mkdir()
        job: dict[str, Any] = {
            "task": name,
            "source": self._path(self.model.source),
            "seed": self.seed,
            "folder": str(folder),
        }
        if training:
            job["train"] = self._path(self.model.train)
            job["qat"] = self.model.qat.model_dump(mode="json")
        else:
            job["variants"] = group
            job["calibration"] = self._path(self.model.calibration) if "int8" in group else None
            job["holdout"] = self._path(self.model.holdout)
        log = self.folder / f"{name}.log"
        log.unlink(missing_ok=True)
        return ChildJob(_WORKER, job, folder, log, _TIMEOUT_S, _QAT_ENV if training else WORKER_ENV)

    def _heard(self, job: ChildJob, group: Sequence[str], message: Message) -> None:
        if "user_error" in message:
            raise UserError(str(message["user_error"]))
        if "missing" in message:
            why = f"not installed: {message['missing']}; {install_hint()}"
            for variant in group:
                self.results[variant] = Failure("prerequisite", why, self._name(job.log))
        elif "progress" in message:
            self.advance(str(message["progress"]))
        elif "failed" in message:
            self._failed(
                str(message["failed"]), str(message["kind"]), str(message["message"]), job.log
            )
        elif "made" in message:
            variant = str(message["made"])
            self.results[variant] = Made(
                job.folder / str(message["file"]),
                {
                    "seconds": message["seconds"],
                    "converter_warnings": message["warnings"],
                    "facts": message["facts"],
                    "made_utc": datetime.now(UTC).isoformat(timespec="seconds"),
                },
            )
            self.advance(f"{variant} made")

    def _failed(self, variant: str, kind: str, why: str, log: Path) -> None:
        name = self._name(log)
        self.results[variant] = Failure(kind, f"{why}; full text in {name}", name)

    def _name(self, log: Path) -> str:
        return log.relative_to(self.out).as_posix()

    def _path(self, relative: str | None) -> str | None:
        return None if relative is None else str((self.root / relative).resolve())
