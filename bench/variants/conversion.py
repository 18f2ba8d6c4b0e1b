"""Runs the worker processes that make variants, and hears what became of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.config import ModelConfig
from bench.errors import UserError
from bench.records import Failure, Json
from bench.variants.child import ChildExit, ChildJob, Message, run_children
from bench.variants.packages import install_hint, missing_packages
from bench.variants.recipe import RECIPES
from bench.variants.wanted import Maker, Wanted

# No accelerator takes part in making a variant: other hardware, other bytes.
WORKER_ENV: Mapping[str, str] = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
_QAT_ENV: Mapping[str, str] = {**WORKER_ENV, "TF_USE_LEGACY_KERAS": "1"}
_WORKER = "bench.variants.worker"
_QUANTIZER = "bench.variants.quantize_worker"
# Name of the log, and of the task where TensorFlow does it.
_LOGS: Mapping[Maker, str] = {
    "converter": "convert",
    "training": "qat",
    "quantizer": "quantize",
    "compiler": "edgetpu",
}
_AT_MOST = 2
_TIMEOUT_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Made:
    """A .tflite that a worker wrote, and what it says about the making."""

    path: Path
    facts: Json


@dataclass(slots=True)
class _Job:
    """A worker process, and the variants that it makes.

    Attributes:
        at_work: the variant that it has begun last.
    """

    child: ChildJob
    variants: list[str]
    at_work: str | None = None


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

    def run(self, planned: Sequence[Wanted]) -> None:
        """Make what of it is to be made; `results` then holds each.

        Raises: UserError where a worker finds the user's files wrong.
        """
        wanted = [w for w in planned if w.to_make]
        for maker in {w.maker for w in wanted}:
            # What earlier runs made has its log still.
            (self.folder / f"{_LOGS[maker]}.log").unlink(missing_ok=True)
        from_tflite = [w for w in wanted if w.maker == "quantizer"]
        # Training takes longest and starts first.
        first = [
            *self._tensorflow_jobs("training", wanted),
            *self._tensorflow_jobs("converter", wanted),
        ]
        ready = {w.variant: base for w in from_tflite if (base := w.base or _kept_fp32(planned))}
        self._run([*first, *self._quantizer_jobs(ready)])
        self._run(self._quantizer_jobs(self._on_made_fp32(from_tflite, ready)))

    def _on_made_fp32(self, wanted: Sequence[Wanted], ready: Mapping[str, Path]) -> dict[str, Path]:
        """What had to wait for fp32 -> the fp32; without one they fail as it did."""
        waiting = [w.variant for w in wanted if w.variant not in ready]
        fp32 = self.results.get("fp32")
        if isinstance(fp32, Made):
            return dict.fromkeys(waiting, fp32.path)
        for variant in waiting:
            assert fp32 is not None
            # An op that has no kernel has none in this variant either.
            why = "" if fp32.kind == "unsupported" else "needs fp32, which was not made: "
            self.results[variant] = Failure(fp32.kind, why + fp32.message, fp32.log)
        return {}

    def _tensorflow_jobs(self, maker: Maker, wanted: Sequence[Wanted]) -> list[_Job]:
        variants = [w.variant for w in wanted if w.maker == maker]
        name = _LOGS[maker]
        if not variants or self._lacks(variants, of_tflite=False):
            return []
        self.advance("loading TensorFlow")
        job: dict[str, Any] = {
            "task": name,
            "source": self._path(self.model.source),
            "signature": self.model.signature,
            "seed": self.seed,
        }
        if maker == "training":
            job["train"] = self._path(self.model.train)
            job["qat"] = self.model.qat.model_dump(mode="json")
            return [self._job(name, _WORKER, job, _QAT_ENV, variants)]
        calibrated = any(RECIPES[v].needs_calibration for v in variants)
        job["variants"] = variants
        job["calibration"] = self._path(self.model.calibration) if calibrated else None
        job["holdout"] = self._path(self.model.holdout)
        return [self._job(name, _WORKER, job, WORKER_ENV, variants)]

    def _quantizer_jobs(self, bases: Mapping[str, Path]) -> list[_Job]:
        """One job for each float .tflite that variants start from."""
        if not bases or self._lacks(list(bases), of_tflite=True):
            return []
        jobs = []
        for base in dict.fromkeys(bases.values()):
            variants = [variant for variant, of in bases.items() if of == base]
            steps: list[dict[str, Any]] = [
                {
                    "name": variant,
                    "recipe": variant,
                    "calibration": self._path(self.model.calibration)
                    if RECIPES[variant].needs_calibration
                    else None,
                    "ranges": None,
                    "float_ops": [],
                    "seed": self.seed,
                }
                for variant in variants
            ]
            job = {"task": "quantize", "source": str(base.resolve()), "jobs": steps}
            jobs.append(self._job("quantize", _QUANTIZER, job, WORKER_ENV, variants))
        return jobs

    def _lacks(self, variants: Sequence[str], *, of_tflite: bool) -> bool:
        """Whether a package is missing; the variants have failed for it then."""
        missing = missing_packages(variants, of_tflite=of_tflite)
        if missing:
            hint = install_hint("quantize" if of_tflite else "convert")
            failure = Failure("prerequisite", f"not installed: {', '.join(missing)}; {hint}")
            self.results |= dict.fromkeys(variants, failure)
        return bool(missing)

    def _job(
        self,
        name: str,
        module: str,
        job: Mapping[str, Any],
        env: Mapping[str, str],
        variants: list[str],
    ) -> _Job:
        folder = self.scratch / f"{name}-{variants[0]}"
        folder.mkdir()
        child = ChildJob(
            module,
            {**job, "folder": str(folder)},
            folder,
            self.folder / f"{name}.log",
            _TIMEOUT_S,
            env,
        )
        return _Job(child, variants)

    def _run(self, jobs: Sequence[_Job]) -> None:
        if not jobs:
            return

        def on_message(index: int, message: Message) -> None:
            self._heard(jobs[index], message)

        left: list[_Job] = []

        def on_exit(index: int, end: ChildExit) -> None:
            job = jobs[index]
            lost = [variant for variant in job.variants if variant not in self.results]
            if job.at_work in lost:
                # The others were not begun, and it is not their fault.
                lost, others = [job.at_work], [v for v in lost if v != job.at_work]
                if others:
                    left.append(_rest(job, others))
            for variant in lost:
                why = f"the conversion process {end.explain()}"
                self._failed(variant, "crash", why, end.log)

        run_children(
            [job.child for job in jobs], at_most=_AT_MOST, on_message=on_message, on_exit=on_exit
        )
        self._run(left)

    def _heard(self, job: _Job, message: Message) -> None:
        log = job.child.log
        if "user_error" in message:
            more = f"; full text in {log}" if message.get("in_log") else ""
            raise UserError(f"{message['user_error']}{more}")
        if "missing" in message:
            of_tflite = job.child.module == _QUANTIZER
            hint = install_hint("quantize" if of_tflite else "convert")
            why = f"not installed: {message['missing']}; {hint}"
            for variant in job.variants:
                self.results[variant] = Failure("prerequisite", why, self._name(log))
        elif "progress" in message:
            job.at_work = message.get("variant", job.at_work)
            self.advance(str(message["progress"]))
        elif "failed" in message:
            self._failed(str(message["failed"]), str(message["kind"]), str(message["message"]), log)
        elif "made" in message:
            variant = str(message["made"])
            self.results[variant] = Made(
                job.child.folder / str(message["file"]),
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
        # Nothing was tried where something was missing, so that a log has no more to say.
        more = "" if kind == "prerequisite" else f"; full text in {name}"
        self.results[variant] = Failure(kind, why + more, name)

    def _name(self, log: Path) -> str:
        return log.relative_to(self.out).as_posix()

    def _path(self, relative: str | None) -> str | None:
        return None if relative is None else str((self.root / relative).resolve())


def _rest(job: _Job, variants: list[str]) -> _Job:
    """The same job for what of it was not begun, in a folder beside its own."""
    child = job.child
    folder = child.folder.with_name(f"{child.folder.name}-{variants[0]}")
    folder.mkdir()
    work = {**child.job, "folder": str(folder)}
    if "jobs" in work:
        work["jobs"] = [step for step in work["jobs"] if step["name"] in variants]
    else:
        work["variants"] = variants
    return _Job(replace(child, job=work, folder=folder), variants)


def _kept_fp32(planned: Sequence[Wanted]) -> Path | None:
    for wanted in planned:
        if wanted.variant == "fp32" and wanted.kept is not None and wanted.imported is None:
            return wanted.kept.path
    return None
