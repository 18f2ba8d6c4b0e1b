"""Makes every variant of a model, proves each to be what it claims, and says why not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.config import ModelConfig
from bench.errors import UnreadableOutput, UserError
from bench.events import Emit, Note, StageAdvanced, StageFinished, StageStarted
from bench.forecast.forecast import forecasts
from bench.forecast.rules import load_rules
from bench.forecast.stored import KEY, to_json
from bench.records import Failure, Json, VariantRecord
from bench.samples import materialise
from bench.samples.ranges import compare_with_input
from bench.tflite.facts import ModelFacts, read_model
from bench.tflite.graph import parse_model
from bench.variants import inputs
from bench.variants.arrays import Samples
from bench.variants.cache import Kept, folder_of, keep
from bench.variants.contradictions import contradictions
from bench.variants.conversion import Conversion, Made
from bench.variants.edgetpu_compile import compile_variants
from bench.variants.planning import plan_variants
from bench.variants.recipe import RECIPES
from bench.variants.scratch import scratch_in
from bench.variants.verify import verify_files
from bench.variants.wanted import Wanted


class UnsupportedOps(UserError):
    """No variant could be made, since ops of the model have no TFLite kernel.

    Attributes:
        why: the same without the model's name.
    """

    def __init__(self, model: str, why: str) -> None:
        super().__init__(f"model {model}: {why}")
        self.why = why


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
    "prerequisite", "unsupported", "convert", "verify" or "crash", and stops no other. One
    with TensorFlow ops, which only select-tf-ops may hold, has a Failure of kind "flex"
    *and* a file: it is kept, and neither evaluated nor measured.

    Raises: UserError where the user's files are wrong, since they concern every variant;
    UnsupportedOps where nothing could be made because of the model's ops.
    """
    model = materialise(
        model, root=root, out=out, roles=inputs.roles(model, variants), emit=emit, seed=seed
    )
    folder = folder_of(out, model.name)
    with scratch_in(folder) as scratch:
        before = inputs.stamps(model, root)
        samples = inputs.load(model, variants, root)
        ranges = inputs.check(samples, emit)
        planned = plan_variants(model, variants, samples, root=root, folder=folder, seed=seed)
        emit(StageStarted("convert", f"Making the variants of {model.name}", len(planned)))
        decided = sum(not w.to_make for w in planned)

        def advance(label: str) -> None:
            emit(StageAdvanced("convert", decided + len(conversion.results), label))

        conversion = Conversion(model, root, out, folder, scratch, seed, advance)
        conversion.run(planned)
        conversion.results |= compile_variants(
            planned, conversion.results, scratch=scratch, folder=folder, out=out
        )
        if inputs.stamps(model, root) != before:
            # Kept under the key of the old content, the new would be taken for it ever after.
            raise UserError(f"files of model {model.name} changed meanwhile; start again")
        candidates = [_candidate(w, conversion.results.get(w.variant), emit) for w in planned]
        _refuse_unsupported(candidates, model.name, out)
        candidates = [_warned(c, ranges, samples.get("holdout"), emit) for c in candidates]
        if any(c.path is not None for c in candidates):
            advance("running each once")
        items = [one.x.shape[1:] for one in samples.values()]
        candidates = _prove(candidates, folder, scratch, items[0] if items else None)
    asked = [c for c in candidates if c.wanted.recorded]
    records = tuple(_record(candidate, model.name, out, run_id) for candidate in asked)
    emit(StageFinished("convert", _summary(asked)))
    for record in records:
        if record.failure is not None:
            emit(Note(f"{record.variant}: {record.failure.message}", "warning"))
    return records


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What became of one variant.

    Attributes:
        failure: why there is no file, or why one that was kept is of no use here.
        path, data: what is still to be proved and kept; None and b"" if nothing is.
        facts: of the content, where it could be read.
    """

    wanted: Wanted
    provenance: Json
    kept: Kept | None = None
    failure: Failure | None = None
    path: Path | None = None
    data: bytes = b""
    facts: ModelFacts | None = None


def _candidate(wanted: Wanted, result: Made | Failure | None, emit: Emit) -> _Candidate:
    if wanted.kept is not None:
        facts = read_model(wanted.kept.path.read_bytes())
        failure = _flex_failure(wanted.variant, facts)
        return _Candidate(
            wanted, wanted.kept.provenance, kept=wanted.kept, failure=failure, facts=facts
        )
    if wanted.imported is not None:
        return _read_import(wanted, wanted.imported, emit)
    failure = wanted.failure or (result if isinstance(result, Failure) else None)
    if failure is not None:
        return _Candidate(wanted, wanted.provenance, failure=failure)
    assert isinstance(result, Made)
    provenance = {**wanted.provenance, **result.facts}
    used = result.facts["facts"].get("calibration_samples")
    if used is not None:
        # A model of a fixed batch takes whole batches only.
        provenance["calibration"] = {**provenance["calibration"], "samples": used}
    data = result.path.read_bytes()
    try:
        facts = read_model(data)
    except UnreadableOutput as error:
        return _Candidate(
            wanted, provenance, failure=Failure("verify", f"the converter wrote {error}")
        )
    provenance = {**provenance, "inspect": facts.to_json()}
    if wrong := contradictions(wanted.variant, facts):
        why = f"converted ({len(data):,} bytes), but is not {wanted.variant}: {'; '.join(wrong)}"
        return _Candidate(wanted, provenance, failure=Failure("verify", why))
    failure = _flex_failure(wanted.variant, facts)
    if RECIPES[wanted.variant].flex and failure is None:
        emit(Note(f"{wanted.variant}: needs no TensorFlow op; it is what fp32 is"))
    return _Candidate(wanted, provenance, failure=failure, path=result.path, data=data, facts=facts)


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
    recipe = RECIPES[wanted.variant]
    if wrong and (recipe.compiled or (facts.flex_ops and not recipe.flex)):
        # Running it would say the same in other words, or under another delegate's name.
        return _Candidate(wanted, provenance, failure=Failure("verify", wrong[0]))
    failure = _flex_failure(wanted.variant, facts)
    return _Candidate(wanted, provenance, failure=failure, path=path, data=data, facts=facts)


def _flex_failure(variant: str, facts: ModelFacts) -> Failure | None:
    if not (RECIPES[variant].flex and facts.flex_ops):
        return None
    return Failure(
        "flex",
        f"needs TensorFlow ops {', '.join(facts.flex_ops)}, which no runtime here executes: "
        "kept, not evaluated, not measured",
    )


def _refuse_unsupported(candidates: Sequence[_Candidate], model: str, out: Path) -> None:
    """One error instead of the same failure for every variant."""
    failures = [c.failure for c in candidates if c.wanted.recorded]
    said = [f for f in failures if f is not None and f.kind == "unsupported"]
    if said and len(said) == len(failures):
        # A record names its log relative to `out`, which nobody shows beside an error.
        why, log = said[0].message, said[0].log
        raise UnsupportedOps(model, why.replace(log, str(out / log)) if log else why)


def _warned(
    candidate: _Candidate, ranges: Iterable[str], holdout: Samples | None, emit: Emit
) -> _Candidate:
    """With what is odd about its calibration in its provenance."""
    found: list[str] = []
    if candidate.facts is not None and holdout is not None and candidate.wanted.recorded:
        found += compare_with_input(candidate.facts.inputs, holdout)
    for line in found:
        emit(Note(f"{candidate.wanted.variant}: {line}", "warning"))
    provenance: dict[str, Any] = dict(candidate.provenance)
    calibrated = "calibration" in provenance
    if calibrated or found:
        # A finished file's calibration is known by nothing but what it did to the input.
        ours = () if candidate.wanted.imported is not None else ranges
        provenance["calibration"] = {
            **provenance.get("calibration", {}),
            "warnings": [*ours, *found] if calibrated else found,
        }
    return replace(candidate, provenance=provenance)


def _prove(
    candidates: Sequence[_Candidate], folder: Path, scratch: Path, item: Sequence[int] | None
) -> list[_Candidate]:
    """Run what is to be proved once, and keep what runs, or is known not to run here."""
    files = {
        c.wanted.variant: c.path
        for c in candidates
        if c.path is not None and c.failure is None and not RECIPES[c.wanted.variant].compiled
    }
    proofs: Mapping[str, Json | Failure] = {}
    if files:
        log = folder / "verify.log"
        log.unlink(missing_ok=True)
        proofs = verify_files(files, scratch, log, item=item)
    proved = []
    for candidate in candidates:
        variant, key = candidate.wanted.variant, candidate.wanted.key
        proof = proofs.get(variant)
        if isinstance(proof, Failure):
            candidate = replace(candidate, failure=proof)
        elif candidate.path is not None and key is not None:
            provenance = dict(candidate.provenance)
            if proof is not None:
                provenance["verified"] = dict(proof)
            elif RECIPES[variant].compiled:
                provenance["not_verified"] = "only an Edge TPU runs it"
            try:
                kept = keep(folder, variant, key, candidate.data, provenance)
            except OSError as error:
                raise UserError(f"{folder}: cannot be written: {error.strerror}") from error
            candidate = replace(candidate, kept=kept, provenance=kept.provenance)
        proved.append(candidate)
    return proved


def _summary(candidates: Sequence[_Candidate]) -> str:
    there = sum(c.kept is not None for c in candidates)
    unchanged = sum(c.wanted.kept is not None for c in candidates)
    if unchanged == len(candidates):
        all_of = "the variant is" if unchanged == 1 else f"all {unchanged} variants"
        return f"{all_of} unchanged since last time; nothing was made"
    more = f", {unchanged} unchanged since last time" if unchanged else ""
    return f"{there} of {len(candidates)} variants{more}"


def _record(candidate: _Candidate, model: str, out: Path, run_id: str) -> VariantRecord:
    kept, provenance = candidate.kept, candidate.provenance
    if kept is not None:
        # Not kept with the file: newer lists may say something else of it.
        found = forecasts(parse_model(kept.path.read_bytes()), load_rules())
        provenance = {**provenance, KEY: to_json(found)}
    return VariantRecord(
        run_id=run_id,
        model=model,
        variant=candidate.wanted.variant,
        path=None if kept is None else kept.path.relative_to(out).as_posix(),
        sha256=None if kept is None else kept.sha256,
        size_bytes=None if kept is None else kept.size_bytes,
        provenance=provenance,
        failure=candidate.failure,
    )
