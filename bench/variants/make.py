"""Makes every variant of a model, proves each to be what it claims, and says why not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.config import ModelConfig
from bench.errors import UnreadableOutput, UserError
from bench.events import Emit, Note, StageAdvanced, StageFinished, StageStarted
from bench.records import Failure, Json, VariantRecord
from bench.variants.cache import Kept, folder_of, keep
from bench.variants.conversion import Conversion, Made
from bench.variants.inspect import contradictions, read_model
from bench.variants.planning import Wanted, plan_variants
from bench.variants.scratch import scratch_in
from bench.variants.verify import verify_files


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
    folder = folder_of(out, model.name)
    with scratch_in(folder) as scratch:
        planned = plan_variants(model, variants, root=root, folder=folder, seed=seed)
        emit(StageStarted("convert", f"Making the variants of {model.name}", len(planned)))
        decided = sum(w.kept is not None or w.failure is not None for w in planned)

        def advance(label: str) -> None:
            emit(StageAdvanced("convert", decided + len(conversion.results), label))

        conversion = Conversion(model, root, out, folder, scratch, seed, advance)
        conversion.run([w.variant for w in planned if not (w.kept or w.failure or w.imported)])
        candidates = [_candidate(w, conversion.results.get(w.variant), emit) for w in planned]
        advance("running each once")
        candidates = _prove(candidates, folder, scratch)
    records = tuple(_record(candidate, model.name, out, run_id) for candidate in candidates)
    failed = sum(record.failure is not None for record in records)
    cached = sum(w.kept is not None for w in planned)
    emit(
        StageFinished(
            "convert",
            f"{len(records) - failed} of {len(records)} variants"
            + (f", {cached} unchanged since last time" if cached else ""),
        )
    )
    for record in records:
        if record.failure is not None:
            emit(Note(f"{record.variant}: {record.failure.message}", "warning"))
    return records


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What became of one variant: a kept file, a failure, or content still to be proved."""

    wanted: Wanted
    provenance: Json
    kept: Kept | None = None
    failure: Failure | None = None
    path: Path | None = None
    data: bytes = b""


def _candidate(wanted: Wanted, result: Made | Failure | None, emit: Emit) -> _Candidate:
    if wanted.kept is not None:
        return _Candidate(wanted, wanted.kept.provenance, kept=wanted.kept)
    if wanted.imported is not None:
        return _read_import(wanted, wanted.imported, emit)
    failure = wanted.failure or (result if isinstance(result, Failure) else None)
    if failure is not None:
        return _Candidate(wanted, wanted.provenance, failure=failure)
    assert isinstance(result, Made)
    provenance = {**wanted.provenance, **result.facts}
    data = result.path.read_bytes()
    try:
        facts = read_model(data)
    except UnreadableOutput as error:
        return _Candidate(
            wanted, provenance, failure=Failure("verify", f"the converter wrote {error}")
        )
    if wrong := contradictions(wanted.variant, facts):
        why = f"not {wanted.variant}: {'; '.join(wrong)}"
        return _Candidate(wanted, provenance, failure=Failure("verify", why))
    return _Candidate(
        wanted, {**provenance, "inspect": facts.to_json()}, path=result.path, data=data
    )


def _read_import(wanted: Wanted, path: Path, emit: Emit) -> _Candidate:
    """A user's own file: it is what it is, but a name that it contradicts is told."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != wanted.provenance["source"]["sha256"]:
        # Kept under the key of the old content, the new would be taken for it ever after.
        raise UserError(f"files.{wanted.variant}: {path.name} changed meanwhile; start again")
    try:
        facts = read_model(data)
    except UnreadableOutput as error:
        raise UserError(
            f"files.{wanted.variant}: {path.name} is {error}; give a whole .tflite"
        ) from error
    wrong = contradictions(wanted.variant, facts)
    for line in wrong:
        emit(Note(f"{path.name} given as {wanted.variant}: {line}", "warning"))
    provenance = {**wanted.provenance, "warnings": list(wrong), "inspect": facts.to_json()}
    return _Candidate(wanted, provenance, path=path, data=data)


def _prove(candidates: Sequence[_Candidate], folder: Path, scratch: Path) -> list[_Candidate]:
    """Run what is to be proved once, and keep what runs."""
    files = {c.wanted.variant: c.path for c in candidates if c.path is not None}
    if not files:
        return list(candidates)
    log = folder / "verify.log"
    log.unlink(missing_ok=True)
    proofs = verify_files(files, scratch, log)
    proved = []
    for candidate in candidates:
        variant, key = candidate.wanted.variant, candidate.wanted.key
        proof = proofs.get(variant)
        if isinstance(proof, Failure):
            candidate = replace(candidate, failure=proof)
        elif proof is not None and key is not None:
            provenance = {**candidate.provenance, "verified": dict(proof)}
            try:
                kept = keep(folder, variant, key, candidate.data, provenance)
            except OSError as error:
                raise UserError(f"{folder}: cannot be written: {error.strerror}") from error
            candidate = replace(candidate, kept=kept, provenance=kept.provenance)
        proved.append(candidate)
    return proved


def _record(candidate: _Candidate, model: str, out: Path, run_id: str) -> VariantRecord:
    kept = candidate.kept
    return VariantRecord(
        run_id=run_id,
        model=model,
        variant=candidate.wanted.variant,
        path=None if kept is None else kept.path.relative_to(out).as_posix(),
        sha256=None if kept is None else kept.sha256,
        size_bytes=None if kept is None else kept.size_bytes,
        provenance=candidate.provenance,
        failure=candidate.failure,
    )
