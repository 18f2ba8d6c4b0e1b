"""The old side of an A/B: models of an earlier run, or files, beside today's in one run.

They become models of the plan, named by bench.identity.named_before, so that each round
holds both in random order (METHOD section 4).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.config import VARIANTS, ModelConfig, Variant
from bench.errors import UserError
from bench.identity import named_before
from bench.kept_files import WITH_BINARY, KeptFiles
from bench.plan import Plan
from bench.records import RunData, VariantRecord
from bench.tools.cache import ToolCache, sha256_of_file

# Those in `<out>/variants/MODEL` have 12 digits of their key in the name.
_KEYED = re.compile(r"(?P<variant>.+?)(?:-[0-9a-f]{12})?")
_MOST_NAME = 100
# It would be installed anew for every launch of either side.
_APP = "benchmark_app"


class FileIsGone(UserError):
    """What a run measured is nowhere on this machine any more."""


@dataclass(frozen=True, slots=True)
class OldSide:
    """What today's models are measured beside.

    Attributes:
        given: what means the same again on a command line: the run's id, or a path.
        run_id: of the run that it is, or in its place what names the files.
        files: (model, variant) -> the old .tflite.
        tools: (device, runner kind) -> the binary that measured it then.
        notes: what is missing of it, a sentence each.
    """

    given: str
    run_id: str
    files: Mapping[tuple[str, str], Path]
    tools: Mapping[tuple[str, str], Path]
    notes: tuple[str, ...]


def old_of_run(plan: Plan, data: RunData, kept: KeptFiles) -> OldSide:
    """The files and binaries that a run measured, of the models and variants of a plan.

    What the run did not measure is new, and a note says so.

    Raises: FileIsGone where a file that it measured is nowhere any more; UserError where it
    has none of them at all.
    """
    run = data.run
    known = {(v.model, v.variant): v for v in data.variants}
    files: dict[tuple[str, str], Path] = {}
    notes: list[str] = []
    for model, variant in _wanted(plan):
        record = known.get((model, variant))
        if record is None or not record.usable:
            why = "did not measure it" if record is None else "could not"
            notes.append(f"{model} {variant}: measured alone, since run {run.run_id[:13]} {why}")
        else:
            files[model, variant] = file_of(record, data, kept)
    if not files:
        raise UserError(
            f"--against {run.run_id[:13]}: that run has no model and variant of this plan; it has"
            f" {', '.join(f'{m} {v}' for m, v in known) or 'none at all'}"
        )
    tools, more = _tools_of(data, kept)
    return OldSide(run.run_id, run.run_id, files, tools, (*notes, *more))


def old_of_files(plan: Plan, path: Path) -> OldSide:
    """A .tflite, or a directory with one .tflite for each variant, by its name.

    A directory of several models has one of that name for each of them.

    Raises: UserError where nothing there is of the plan, or one name means two.
    """
    wanted = _wanted(plan)
    found = _in_directory(plan, path) if path.is_dir() else _one_file(plan, path)
    files = {key: place for key, place in found.items() if key in wanted}
    if not files:
        variants = ", ".join(dict.fromkeys(variant for _, variant in wanted))
        raise UserError(
            f"--against {path}: holds no .tflite of this plan; name each after its variant"
            f" (one of {variants}), such as {next(iter(wanted))[1]}.tflite"
        )
    try:
        digests = {key: sha256_of_file(place) for key, place in files.items()}
    except OSError as error:
        raise UserError(f"--against {path}: cannot be read: {error.strerror}") from None
    text = "".join(f"{model}\n{variant}\n{digests[model, variant]}\n" for model, variant in files)
    # Of a single file its own, so that it can be looked up.
    digest = hashlib.sha256(text.encode()).hexdigest()
    if len(digests) == 1:
        digest = next(iter(digests.values()))
    notes = tuple(
        f"{model} {variant}: measured alone, since {path} has no such file"
        for model, variant in wanted
        if (model, variant) not in files
    )
    return OldSide(str(path), f"{digest[:8]}-{digest[8:12]}", files, {}, notes)


def with_old(plan: Plan, old: OldSide) -> Plan:
    """The plan with a second model for each that has an old file, measured on the same input
    and judged on the same holdout.

    Raises: UserError where a name would become too long.
    """
    models: list[ModelConfig] = []
    variants = dict(plan.variants)
    for model in plan.config.model:
        models.append(model)
        own: list[Variant] = [v for v in plan.variants[model.name] if (model.name, v) in old.files]
        if not own:
            continue
        name = named_before(model.name, old.run_id)
        if len(name) > _MOST_NAME:
            raise UserError(f"model {model.name!r}: its name is too long for --against; shorten it")
        files = {v: str(old.files[model.name, v].absolute()) for v in own}
        # Finished files: what they were made of is known to their own run.
        made_of = dict.fromkeys(("source", "signature", "calibration", "train"))
        models.append(model.model_copy(update={"name": name, "files": files, **made_of}))
        variants[name] = tuple(own)
    config = plan.config.model_copy(update={"model": tuple(models)})
    return replace(plan, config=config, variants=variants)


def _wanted(plan: Plan) -> list[tuple[str, str]]:
    return [(model.name, v) for model in plan.config.model for v in plan.variants[model.name]]


def file_of(record: VariantRecord, data: RunData, kept: KeptFiles) -> Path:
    """A usable variant's file of a run: what is kept, or what lies where it lay, if it is still
    that; it is kept from then on.

    Raises: FileIsGone where it is neither; UserError where nothing can be kept.
    """
    assert record.path is not None
    assert record.sha256 is not None
    if (place := kept.find(record.sha256)) is not None:
        return place
    out = Path(data.run.root) / str(data.run.plan.get("out", "."))
    last = out / record.path
    try:
        if kept.keep(last, record.sha256, link=True):
            return kept.find(record.sha256) or last
    except OSError as error:
        raise UserError(f"{kept.root}: cannot be written: {error.strerror}") from None
    raise FileIsGone(
        f"{record.model} {record.variant} of run {data.run.run_id[:13]} (sha256"
        f" {record.sha256[:12]}...) is not kept on this machine any more; it lay at {last}. Give"
        " the file itself: --against OLD.tflite"
    )


def _tools_of(
    data: RunData, kept: KeptFiles
) -> tuple[dict[tuple[str, str], Path], tuple[str, ...]]:
    """(device, runner kind) -> the binary of its last launch, and which are not to be had."""
    cases = {planned.case.case_id: planned.case for planned in data.cases}
    last: dict[tuple[str, str], str] = {}
    for launch in data.launches:
        case, sha256 = cases[launch.case_id], launch.environment.get("runner_sha256")
        if case.runner in WITH_BINARY and isinstance(sha256, str):
            last[case.device, case.runner] = sha256
    found, missing = {}, []
    for (device, kind), sha256 in last.items():
        if kind == _APP:
            missing.append(f"{device}: today's {kind} measures both sides")
            continue
        place = kept.find(sha256) or _pinned(sha256)
        if place is None:
            missing.append(
                f"{device}: the {kind} of then (sha256 {sha256[:12]}...) is not kept; today's"
                " measures both sides"
            )
        else:
            found[device, kind] = place
    return found, tuple(missing)


def _pinned(sha256: str) -> Path | None:
    """A tool that is or was pinned; those stay where they are when another one is."""
    place = ToolCache().root / sha256
    try:
        return place if sha256_of_file(place) == sha256 else None
    except OSError:
        return None


def _one_file(plan: Plan, path: Path) -> dict[tuple[str, str], Path]:
    if path.suffix.lower() != ".tflite":
        raise UserError(
            f"--against {path}: neither a run nor a .tflite; give the beginning of a run's id,"
            " latest, baseline, release=NAME, or a file"
        )
    if not path.is_file():
        raise UserError(f"--against {path}: no such file")
    if len(plan.config.model) > 1:
        raise UserError(
            f"--against {path}: the plan has several models; give a directory with one of that"
            " name for each"
        )
    name = plan.config.model[0].name
    own = plan.variants[name]
    variant = own[0] if len(own) == 1 else _variant_of(path)
    return {} if variant is None else {(name, variant): path}


def _in_directory(plan: Plan, path: Path) -> dict[tuple[str, str], Path]:
    found: dict[tuple[str, str], Path] = {}
    for model in plan.config.model:
        folder = path / model.name
        if not folder.is_dir():
            if len(plan.config.model) > 1:
                continue
            folder = path
        for place in sorted(folder.glob("*.tflite")):
            variant = _variant_of(place)
            if variant is None:
                continue
            if (other := found.get((model.name, variant))) is not None:
                raise UserError(
                    f"--against {path}: {other.name} and {place.name} are both {variant}; keep one"
                )
            found[model.name, variant] = place
    return found


def _variant_of(path: Path) -> str | None:
    found = _KEYED.fullmatch(path.stem)
    name = None if found is None else found["variant"]
    return name if name in VARIANTS else None
