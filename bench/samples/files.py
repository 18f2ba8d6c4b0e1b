"""Turns what a plan names as samples into .npz files, which is all that others read."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.config import ModelConfig, is_function
from bench.errors import UserError
from bench.events import Emit, Note, StageAdvanced, StageFinished, StageStarted
from bench.format import counted
from bench.samples.input_size import input_shape
from bench.variants.child import ChildJob, Message, run_children
from bench.variants.recipe import MAX_CALIBRATION_SAMPLES
from bench.variants.scratch import scratch_in

TIMEOUT_S = 3600.0


def materialise(
    model: ModelConfig,
    *,
    root: Path,
    out: Path,
    roles: Sequence[str],
    emit: Emit,
    seed: int = 0,
) -> ModelConfig:
    """The model with every named role that it has as the absolute path of an .npz.

    An .npz stays where it is, unread. A directory of images and what a "module:function"
    returns become `<out>/samples/<role>-<hash>.npz`, named by content; what they say while
    they are read goes to `<out>/samples/<role>.log`.

    Args:
        root: absolute directory that the paths in `model` start from, and where user
            code is imported from and runs.
        roles: of "calibration", "holdout", "train".
        seed: chooses the images where there are more than are calibrated with.

    Raises: UserError in one line for whatever is wrong with the user's samples.
    """
    made: dict[str, str] = {}
    for role in roles:
        named: str | None = getattr(model, role)
        if named is None:
            continue
        if is_function(named):
            job = {"task": "function", "spec": named, "root": str(root)}
            made[role] = str(
                _make(
                    role,
                    named,
                    job,
                    out / "samples",
                    emit,
                    unlabelled_is_wrong=_needs_labels(model, role),
                )
            )
        elif (root / named).is_dir():
            job = _images_job(model, role, named, root, seed)
            made[role] = str(_make(role, named, job, out / "samples", emit))
        else:
            made[role] = os.path.abspath(root / named)  # noqa: PTH100
    return model.model_copy(update=made)


def _images_job(model: ModelConfig, role: str, named: str, root: Path, seed: int) -> dict[str, Any]:
    where = f"{role} {named}"
    if role != "calibration":
        raise UserError(
            f"{where}: a directory has no labels; give an .npz with x and y, or a "
            "module:function that returns them"
        )
    images = model.images
    if images is None:
        raise UserError(
            f"{where}: a directory of images; say in the plan how pixels become input: "
            "images = { mean = 127.5, std = 127.5 } gives -1..1, { mean = 0, std = 255 } "
            "gives 0..1; there is no default, since a scaling other than in training ruins int8"
        )
    shape = input_shape(model, root)
    channels = 1 if images.channels == "gray" else 3
    if shape is not None and (len(shape) != 4 or shape[3] not in (channels, -1)):
        taken = "(" + ", ".join("any" if n < 0 else str(n) for n in shape) + ")"
        hint = "give an .npz or a module:function"
        if len(shape) == 4 and shape[3] in (1, 3):
            hint = f'write channels = "{"gray" if shape[3] == 1 else "rgb"}" into `images`'
        raise UserError(
            f"{where}: the model's input is {taken}, {images.channels} images are (N, height, "
            f"width, {channels}); {hint}"
        )
    size = images.size
    if size is None:
        if shape is None or min(shape[1:3]) < 1:
            raise UserError(
                f"{where}: the model's file does not tell the height and width of its input; "
                "write them into `images` of the plan, e.g. size = [224, 224]"
            )
        size = (shape[1], shape[2])
    return {
        "task": "images",
        "source": str(root / named),
        "images": images.model_dump(mode="json"),
        "size": list(size),
        "at_most": MAX_CALIBRATION_SAMPLES,
        "seed": seed,
    }


def _needs_labels(model: ModelConfig, role: str) -> bool:
    """Whether something is certain to ask for y; the user's own metric may not."""
    if role == "holdout":
        return model.metric.name != "cosine" and not is_function(model.metric.name)
    return role == "train"


def _make(
    role: str,
    named: str,
    job: Mapping[str, Any],
    folder: Path,
    emit: Emit,
    *,
    unlabelled_is_wrong: bool = False,
) -> Path:
    """Run one job in a process of its own; the .npz appears whole or not at all."""
    where = f"{role} {named}"
    stage = f"samples-{role}"
    heard: dict[str, Any] = {}
    total = 1

    def listen(_: int, message: Message) -> None:
        nonlocal total
        heard.update(message)
        if "total" in message:
            total = int(message["total"])
            emit(StageStarted(stage, f"{role} images", total))
        elif "progress" in message:
            emit(StageAdvanced(stage, int(message["progress"]), ""))

    with scratch_in(folder) as scratch:
        log = folder / f"{role}.log"
        log.unlink(missing_ok=True)
        file = scratch / "samples.npz"
        if job["task"] == "function":
            emit(StageStarted(stage, f"{role} samples of {named}", total))
        (end,) = run_children(
            [
                ChildJob(
                    module="bench.samples.worker",
                    job={
                        **job,
                        "role": role,
                        "named": named,
                        "where": where,
                        "file": str(file),
                    },
                    folder=scratch,
                    log=log,
                    timeout_s=TIMEOUT_S,
                    env={},
                )
            ],
            at_most=1,
            on_message=listen,
        )
        if "user_error" in heard:
            seen = f"; {log} has the traceback" if heard.get("in_log") else ""
            raise UserError(f"{heard['user_error']}{seen}")
        if "made" not in heard:
            said = f"; {log} has what it said" if log.stat().st_size else ""
            raise UserError(f"{where}: reading it {end.explain()}{said}")
        made = heard["made"]
        if unlabelled_is_wrong and not made["labelled"]:
            raise UserError(f"{where}: returned no labels; return (x, y) or yield pairs of them")
        path = folder / f"{role}-{made['sha256'][:12]}.npz"
        try:
            with file.open("rb") as written:
                os.fsync(written.fileno())
            # Whoever reads the same samples at this moment watches whether the file changes.
            if not (path.is_file() and filecmp.cmp(file, path, shallow=False)):
                file.replace(path)
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    emit(StageAdvanced(stage, total, ""))
    emit(StageFinished(stage, _summary(made)))
    for note in _notes(where, made):
        emit(Note(note))
    return path


def _summary(made: Mapping[str, Any]) -> str:
    shape = " x ".join(map(str, made["shape"])) or "one value"
    return f"{counted(made['count'], 'sample')} of {shape}"


def _notes(where: str, made: Mapping[str, Any]) -> list[str]:
    notes = []
    if made.get("of", 0) > made["count"]:
        notes.append(f"{where}: {made['count']} of {made['of']} images chosen by seed")
    if made.get("ignored"):
        notes.append(f"{where}: {counted(made['ignored'], 'other file')} ignored")
    return notes
