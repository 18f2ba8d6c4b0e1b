"""Makes every variant of a model, proves each to be what it claims, and says why not."""

from __future__ import annotations

import importlib.util
import platform
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.config import ModelConfig
from bench.errors import UnreadableOutput, UserError
from bench.events import Emit, Note, StageAdvanced, StageFinished, StageStarted
from bench.identity import sha256_of
from bench.records import Failure, VariantRecord
from bench.variants.arrays import Samples, load_samples
from bench.variants.cache import (
    Kept,
    content_sha256,
    file_sha256,
    folder_of,
    keep,
    look_up,
    tool_versions,
)
from bench.variants.child import ChildExit, ChildJob, Message, run_children
from bench.variants.inspect import ModelFacts, contradictions, read_model
from bench.variants.recipe import MAX_CALIBRATION_SAMPLES, RECIPE_VERSION, RECIPES
from bench.variants.source import check_source
from bench.variants.verify import verify_files

# No accelerator takes part in making a variant: other hardware, other bytes.
WORKER_ENV: Mapping[str, str] = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
_QAT_ENV: Mapping[str, str] = {**WORKER_ENV, "TF_USE_LEGACY_KERAS": "1"}
_WORKER = "bench.variants.worker"
_AT_MOST = 2
_TIMEOUT_S = 24 * 3600.0


def install_hint(extra: str = "convert") -> str:
    """The command that mends a missing package."""
    return f"install it with: pip install 'edgebench[{extra}]'"


def missing_packages(variants: Sequence[str]) -> tuple[str, ...]:
    """Packages that making these variants needs and that are not installed."""
    needed = ["tensorflow", "tf_keras"]
    if "int8-qat" in variants:
        needed.append("tensorflow_model_optimization")
    return tuple(name for name in needed if importlib.util.find_spec(name) is None)


def make_variants(
    model: ModelConfig,
    variants: Sequence[str],
    *,
    root: Path,
    out: Path,
    seed: int,
    run_id: str,
    emit: Emit,
) -> tuple[VariantRecord, ...]:
    """Make or import the variants of one model; one record each, in the order asked for.

    Args:
        root: directory that the paths in `model` are relative to.
        out: the plan's output directory; files lie in `<out>/variants/<model>/` and
            the records' paths are relative to `out`.
        seed: of the choice of calibration samples and of training.

    A variant that could not be made or is not what it claims has a Failure of kind
    "prerequisite", "convert", "verify" or "crash", and stops no other.

    Raises: UserError where the user's files are wrong: they concern every variant.
    """
    return _Making(model, root, out, seed, run_id, emit).records(variants)


class _Making:
    """The state of one call of make_variants."""

    def __init__(
        self, model: ModelConfig, root: Path, out: Path, seed: int, run_id: str, emit: Emit
    ) -> None:
        self.model, self.root, self.out = model, root, out
        self.seed, self.run_id, self.emit = seed, run_id, emit
        self.folder = folder_of(out, model.name)
        self.keys: dict[str, str] = {}
        self.provenance: dict[str, dict[str, Any]] = {}
        self.failures: dict[str, Failure] = {}
        self.kept: dict[str, Kept] = {}
        self.made: dict[str, Path] = {}
        self.total = 0

    def records(self, variants: Sequence[str]) -> tuple[VariantRecord, ...]:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.total = len(variants)
        self._plan(variants)
        self.emit(StageStarted("convert", f"Making the variants of {self.model.name}", self.total))
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".tmp-") as scratch:
            self._convert(
                [v for v in variants if v not in self.failures and v not in self.kept],
                Path(scratch),
            )
            self._prove(Path(scratch))
        records = tuple(self._record(variant) for variant in variants)
        cached = sum(bool(r.provenance.get("cached")) for r in records)
        failed = sum(r.failure is not None for r in records)
        self.emit(
            StageFinished(
                "convert",
                f"{len(records) - failed} of {len(records)} variants"
                + (f", {cached} unchanged since last time" if cached else ""),
            )
        )
        for record in records:
            if record.failure is not None:
                self.emit(Note(f"{record.variant}: {record.failure.message}", "warning"))
        return records

    def _plan(self, variants: Sequence[str]) -> None:
        """Check all input, then decide per variant: kept, imported, to be made or failed."""
        to_convert = [v for v in variants if v not in self.model.files]
        source_sha = None
        if self.model.source is not None and to_convert:
            source = self.root / self.model.source
            check_source(source)
            source_sha = content_sha256(source)
        arrays = {
            role: samples
            for role, path, wanted in (
                ("calibration", self.model.calibration, "int8" in to_convert),
                ("train", self.model.train, "int8-qat" in to_convert),
                ("holdout", self.model.holdout, True),
            )
            if path is not None and wanted
            for samples in [load_samples(self.root / path, role)]
        }
        for variant in variants:
            if variant in self.model.files:
                self._import(variant, self.root / self.model.files[variant])
            elif source_sha is None:
                self._fail(
                    variant, "prerequisite", f"no `source` to make it of and no `files.{variant}`"
                )
            else:
                self._describe(variant, source_sha, arrays)

    def _import(self, variant: str, path: Path) -> None:
        if not path.is_file():
            raise UserError(f"files.{variant}: there is no such file ({path}); correct the path")
        digest = file_sha256(path)
        self.provenance[variant] = {
            "how": "imported",
            "variant": variant,
            "source": {"name": path.name, "sha256": digest},
        }
        self._keyed(variant, path)

    def _describe(self, variant: str, source_sha: str, arrays: Mapping[str, Samples]) -> None:
        recipe = RECIPES[variant]
        provenance: dict[str, Any] = {
            "how": "trained" if recipe.needs_training else "converted",
            "recipe": recipe.summary,
            "recipe_version": RECIPE_VERSION,
            "variant": variant,
            "source": {"name": Path(str(self.model.source)).name, "sha256": source_sha},
            "batch": 1,
            "tools": tool_versions(),
            "machine": platform.machine(),
            "python": platform.python_version(),
        }
        for role, needed in (
            ("calibration", recipe.needs_calibration),
            ("train", recipe.needs_training),
        ):
            if not needed:
                continue
            samples = arrays.get(role)
            if samples is None:
                self._fail(
                    variant,
                    "prerequisite",
                    f"{variant} needs samples: name an .npz as `{role}` of model {self.model.name}",
                )
                return
            count = len(samples.x)
            provenance[role] = {
                "name": samples.name,
                "sha256": samples.sha256,
                "samples": min(count, MAX_CALIBRATION_SAMPLES) if role == "calibration" else count,
                "of": count,
            }
            provenance["seed"] = self.seed
        if recipe.needs_training:
            provenance["qat"] = self.model.qat.model_dump(mode="json")
        self.provenance[variant] = provenance
        self._keyed(variant, None)

    def _keyed(self, variant: str, imported: Path | None) -> None:
        # File names say where something lay, not what it is.
        determining = {
            key: {k: v for k, v in value.items() if k != "name"}
            if key in ("source", "calibration", "train")
            else value
            for key, value in self.provenance[variant].items()
        }
        key = self.keys[variant] = sha256_of(determining)
        kept = look_up(self.folder, variant, key)
        if kept is not None:
            self.kept[variant] = kept
        elif imported is not None:
            self.made[variant] = imported

    def _convert(self, variants: list[str], scratch: Path) -> None:
        """Run the workers; fills self.made and self.failures."""
        self._advance("unchanged variants" if self.kept else "loading TensorFlow")
        variants = [v for v in variants if v not in self.made]
        if not variants:
            return
        if missing := missing_packages(variants):
            for variant in variants:
                self._fail(
                    variant,
                    "prerequisite",
                    f"{', '.join(missing)} is not installed; {install_hint()}",
                )
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
        jobs = [self._job(group, scratch) for group in groups]

        def on_message(index: int, message: Message) -> None:
            self._heard(jobs[index], message)

        def on_exit(index: int, end: ChildExit) -> None:
            for variant in groups[index]:
                if variant not in self.made and variant not in self.failures:
                    self._fail(
                        variant,
                        "crash",
                        f"the conversion process {end.explain()}; {self._see(end.log)}",
                        log=end.log,
                    )

        run_children(jobs, at_most=_AT_MOST, on_message=on_message, on_exit=on_exit)

    def _job(self, group: list[str], scratch: Path) -> ChildJob:
        training = RECIPES[group[0]].needs_training
        name = "qat" if training else "convert"
        folder = scratch / name
        folder.mkdir()
        job: dict[str, Any] = {
            "task": name,
            "source": str(self._path(self.model.source)),
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

    def _heard(self, job: ChildJob, message: Message) -> None:
        if "user_error" in message:
            raise UserError(str(message["user_error"]))
        if "missing" in message:
            for variant in job.job.get("variants", ["int8-qat"]):
                self._fail(
                    variant,
                    "prerequisite",
                    f"{message['missing']} is not installed; {install_hint()}",
                    log=job.log,
                )
        elif "progress" in message:
            self._advance(str(message["progress"]))
        elif "failed" in message:
            self._fail(
                str(message["failed"]),
                str(message["kind"]),
                f"{message['message']}; {self._see(job.log)}",
                log=job.log,
            )
        elif "made" in message:
            variant = str(message["made"])
            self.provenance[variant] |= {
                "seconds": message["seconds"],
                "converter_warnings": message["warnings"],
                "facts": message["facts"],
                "made_utc": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            self.made[variant] = job.folder / str(message["file"])
            self._advance(f"{variant} made")

    def _prove(self, scratch: Path) -> None:
        """Read and run what was made; keep what is what it claims to be."""
        sound: dict[str, tuple[bytes, ModelFacts]] = {}
        for variant, path in self.made.items():
            data = path.read_bytes()
            try:
                facts = read_model(data)
            except UnreadableOutput as error:
                if variant in self.model.files:
                    raise UserError(
                        f"files.{variant}: {path.name} is {error}; give a whole .tflite"
                    ) from error
                self._fail(variant, "verify", f"the converter wrote {error}")
                continue
            wrong = contradictions(variant, facts)
            if variant in self.model.files:
                self.provenance[variant]["warnings"] = list(wrong)
                for line in wrong:
                    self.emit(Note(f"{path.name} given as {variant}: {line}", "warning"))
            elif wrong:
                self._fail(variant, "verify", f"not {variant}: {'; '.join(wrong)}")
                continue
            sound[variant] = (data, facts)
        log = self.folder / "verify.log"
        log.unlink(missing_ok=True)
        proofs = verify_files({v: self.made[v] for v in sound}, scratch, log)
        for variant, (data, facts) in sound.items():
            proof = proofs[variant]
            if isinstance(proof, Failure):
                self.failures[variant] = proof
                continue
            provenance = {
                **self.provenance[variant],
                "inspect": facts.to_json(),
                "verified": dict(proof),
            }
            self.kept[variant] = keep(self.folder, variant, self.keys[variant], data, provenance)

    def _record(self, variant: str) -> VariantRecord:
        kept = self.kept.get(variant)
        if kept is None:
            return VariantRecord(
                self.run_id,
                self.model.name,
                variant,
                None,
                None,
                None,
                self.provenance.get(variant, {}),
                self.failures[variant],
            )
        return VariantRecord(
            self.run_id,
            self.model.name,
            variant,
            kept.path.relative_to(self.out).as_posix(),
            kept.sha256,
            kept.size_bytes,
            kept.provenance,
        )

    def _fail(self, variant: str, kind: str, message: str, log: Path | None = None) -> None:
        where = "" if log is None else log.relative_to(self.out).as_posix()
        self.failures[variant] = Failure(kind, message, where)

    def _advance(self, label: str) -> None:
        done = len(self.kept) + len(self.made) + len(self.failures)
        self.emit(StageAdvanced("convert", min(done, self.total), label))

    def _see(self, log: Path) -> str:
        return f"full text in {log.relative_to(self.out).as_posix()}"

    def _path(self, relative: str | None) -> str | None:
        return None if relative is None else str((self.root / relative).resolve())
