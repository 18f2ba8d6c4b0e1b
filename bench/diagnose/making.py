"""Starts the worker processes of a diagnosis: analysis, equalised weights, remedies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.diagnose.layers import Analysis
from bench.errors import EdgebenchError, UserError
from bench.records import Failure, Json
from bench.variants.child import ChildExit, ChildJob, Message, run_children
from bench.variants.conversion import WORKER_ENV
from bench.variants.packages import install_hint

_TIMEOUT_S = 3600.0
_AT_MOST = 2
# What is judged by all samples is the accuracy; layers are told apart by far fewer.
ANALYSIS_SAMPLES = 128
_PROOF_SAMPLES = 32

Advance = Callable[[str], None]


class CannotDiagnose(EdgebenchError):
    """Something that a diagnosis cannot do without could not be made; exit code 3."""


@dataclass(frozen=True, slots=True)
class Made:
    """A .tflite that a worker wrote, and what it says about the making."""

    path: Path
    facts: Json


@dataclass(frozen=True, slots=True)
class QuantiserJob:
    """One model for bench.variants.quantize_worker.

    Attributes:
        name: of the remedy. recipe: a variant, or "int8-selective".
        source: the float .tflite.
        calibration: .npz whose `x` it is calibrated with.
        float_ops: output tensors of the ops that stay float.
    """

    name: str
    recipe: str
    source: Path
    calibration: Path
    float_ops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where the workers of one diagnosis work.

    Attributes:
        scratch: for everything that is thrown away; on the file system of the results.
        seed: of every choice of samples.
    """

    scratch: Path
    seed: int
    advance: Advance = field(default=lambda label: None)

    def analyse(
        self,
        fp32: Path,
        variant: Path,
        holdout: Path,
        *,
        calibration: Path | None,
        train: Path | None,
    ) -> Analysis:
        """Compare the layers of two models, and the holdout with the training samples.

        Raises: CannotDiagnose if one does not run; UserError for a wrong .npz.
        """
        found = self.scratch / "analysis.json"
        said = self._run(
            "bench.diagnose.worker",
            "analyse",
            {
                "task": "analyse",
                "fp32": str(fp32),
                "variant": str(variant),
                "holdout": str(holdout),
                "calibration": None if calibration is None else str(calibration),
                "train": None if train is None else str(train),
                "samples": ANALYSIS_SAMPLES,
                "seed": self.seed,
                "analysis": str(found),
            },
        )
        if isinstance(said, Failure):
            raise CannotDiagnose(f"the layers could not be compared: {said.message}")
        return Analysis.from_json(json.loads(found.read_text(encoding="utf-8")))

    def equalise(self, fp32: Path, holdout: Path) -> Made | Failure:
        """Equalise a float model; a failure of kind "prerequisite" where nothing can be."""
        path = self.scratch / "equalised-fp32.tflite"
        said = self._run(
            "bench.diagnose.worker",
            "equalise",
            {
                "task": "equalise",
                "fp32": str(fp32),
                "holdout": str(holdout),
                "samples": _PROOF_SAMPLES,
                "seed": self.seed,
                "equalised": str(path),
            },
        )
        return said if isinstance(said, Failure) else Made(path, said)

    def quantise(self, jobs: Sequence[QuantiserJob]) -> dict[str, Made | Failure]:
        """Make int8 models by ai-edge-quantizer; one result for each job, by its name."""
        sources = list(dict.fromkeys(job.source for job in jobs))
        results: dict[str, Made | Failure] = {}
        children, batches = [], []
        for source in sources:
            batch = [job for job in jobs if job.source == source]
            folder = self.scratch / f"quantise-{batch[0].name}"
            folder.mkdir()
            document = {
                "task": "quantize",
                "source": str(source),
                "folder": str(folder),
                "jobs": [
                    {
                        "name": job.name,
                        "recipe": job.recipe,
                        "calibration": str(job.calibration),
                        "ranges": None,
                        "float_ops": list(job.float_ops),
                        "seed": self.seed,
                    }
                    for job in batch
                ],
            }
            batches.append((folder, batch))
            children.append(
                ChildJob(
                    "bench.variants.quantize_worker",
                    document,
                    folder,
                    folder / "log",
                    _TIMEOUT_S,
                    WORKER_ENV,
                )
            )

        def on_message(index: int, message: Message) -> None:
            folder, batch = batches[index]
            if "user_error" in message:
                raise UserError(str(message["user_error"]))
            if "missing" in message:
                hint = install_hint("quantize")
                why = Failure("prerequisite", f"not installed: {message['missing']}; {hint}")
                results.update({job.name: why for job in batch})
            elif "failed" in message:
                results[str(message["failed"])] = Failure(
                    str(message["kind"]), str(message["message"])
                )
            elif "made" in message:
                facts = {key: message[key] for key in ("seconds", "warnings", "facts")}
                results[str(message["made"])] = Made(folder / str(message["file"]), facts)
                self.advance(f"{message['made']} made")

        def on_exit(index: int, end: ChildExit) -> None:
            for job in batches[index][1]:
                if job.name not in results:
                    why = f"the quantising process {end.explain()}"
                    results[job.name] = Failure("crash", why, _tail(end.log))

        run_children(children, at_most=_AT_MOST, on_message=on_message, on_exit=on_exit)
        return results

    def _run(self, module: str, name: str, job: Mapping[str, Any]) -> Json | Failure:
        """One worker of this package: what it has done, or why not."""
        folder = self.scratch / name
        folder.mkdir()
        child = ChildJob(module, job, folder, folder / "log", _TIMEOUT_S, {})
        ends: list[Json | Failure] = []

        def on_message(index: int, message: Message) -> None:
            if "progress" in message:
                self.advance(str(message["progress"]))
            elif "user_error" in message:
                raise UserError(str(message["user_error"]))
            elif "refused" in message:
                ends.append(Failure("prerequisite", str(message["refused"])))
            elif "failed" in message:
                ends.append(Failure("verify", str(message["failed"]), _tail(child.log)))
            elif "done" in message:
                ends.append(message["done"])

        (end,) = run_children([child], at_most=1, on_message=on_message)
        if not ends:
            return Failure("crash", f"the process {end.explain()}", _tail(end.log))
        return ends[-1]


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-4000:] if log.exists() else ""
