"""The process that may import TensorFlow: `python -P -m bench.variants.worker JOB.json`.

The job is a JSON object with `task`:

- "convert": `source`, `signature` (or null), `variants`, `calibration` and `holdout` (or
  null), `seed`, `folder`;
- "qat": `source`, `train`, `qat` (the settings), `seed`, `folder`;
- "demo": `folder`, `seed`, `epochs`.

Reports, one JSON object per line of stdout: `ready` (the input's shape and dtype, the
batch), `progress`, `made` (variant, file, seconds, warnings, facts), `failed` (variant,
kind, message), `user_error` (with `in_log` where the log has more) and `missing` (a
package); the last two end the process.
Everything else it has to say goes to stderr, which is the log.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from bench.errors import UserError
from bench.metrics import Labels
from bench.variants.arrays import Samples, check_fits, choose, load_samples
from bench.variants.child import Reporter, log_traceback, serve
from bench.variants.recipe import MAX_CALIBRATION_SAMPLES, RECIPES, training_labels

if TYPE_CHECKING:
    from bench.variants.tf_source import Source


def _convert(job: Mapping[str, Any], reporter: Reporter) -> None:
    # Read before TensorFlow is imported: a bad file is answered at once.
    calibration = _samples(job["calibration"], "calibration", "none")
    holdout = _samples(job["holdout"], "holdout", "none")
    _make_deterministic(job["seed"])
    from bench.variants.tf_convert import convert
    from bench.variants.tf_errors import CannotConvert
    from bench.variants.tf_source import load_source, save_fixed

    source = load_source(Path(job["source"]), job.get("signature"))
    x: NDArray[Any] | None = None
    dropped: tuple[str, ...] = ()
    if calibration is not None:
        check_fits(calibration, source.shape, source.dtype)
        x, dropped = _in_batches(calibration, source.batch, job["seed"])
    if holdout is not None:
        check_fits(holdout, source.shape, source.dtype)
    reporter.send(
        ready=True,
        kind=source.kind,
        shape=source.shape,
        dtype=source.dtype,
        batch=source.batch,
    )
    folder = Path(job["folder"])
    saved = folder / "saved_model"
    hopeless, exported = None, True
    try:
        save_fixed(source, saved)
    except CannotConvert as error:
        hopeless, exported = error, False
    facts: dict[str, Any] = {"source_kind": source.kind, "batch": source.batch}
    if source.signature is not None:
        facts["signature"] = source.signature
    for variant in job["variants"]:
        recipe = RECIPES[variant]
        started = time.monotonic()
        # Whoever listens then knows which variant was at work if this process dies.
        reporter.send(progress=f"{variant}, converting", variant=variant)
        try:
            if hopeless is not None and not (recipe.flex and exported):
                raise hopeless
            data, said = convert(
                saved,
                variant,
                x if recipe.needs_calibration else None,
                batch=source.batch,
                layers=source.layers,
            )
        except CannotConvert as error:
            log_traceback()
            if error.every_variant and not recipe.flex:
                hopeless = error
            reporter.send(failed=variant, kind=error.kind, message=str(error))
            continue
        own = dict(facts)
        if recipe.needs_calibration and x is not None:
            own["calibration_samples"] = len(x)
            said = (*dropped, *said)
        _made(reporter, folder, variant, data, said, started, own)


def _in_batches(
    calibration: Samples, batch: int, seed: int
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The samples to calibrate with, a multiple of batch, and what was left out."""
    count = len(calibration.x)
    if count < batch:
        raise UserError(
            f"calibration {calibration.name}: has {count} samples, and the model takes them in "
            f"batches of {batch}; give at least {batch}"
        )
    chosen = choose(count, max(MAX_CALIBRATION_SAMPLES, batch), seed)
    rest = len(chosen) % batch
    if not rest:
        return calibration.x[chosen], ()
    return calibration.x[chosen[:-rest]], (
        f"the model takes batches of {batch}: the last {rest} of {len(chosen)} calibration "
        "samples fill none and were left out",
    )


def _qat(job: Mapping[str, Any], reporter: Reporter) -> None:
    settings = job["qat"]
    samples = _samples(job["train"], "train", training_labels(settings["loss"]))
    assert samples is not None
    started = time.monotonic()
    _make_deterministic(job["seed"])
    from bench.variants.tf_convert import convert
    from bench.variants.tf_errors import CannotConvert
    from bench.variants.tf_qat import CannotTrain, train
    from bench.variants.tf_source import load_source, save_fixed

    source = load_source(Path(job["source"]))
    if source.kind == "saved_model":
        reporter.send(
            failed="int8-qat",
            kind="prerequisite",
            message="quantization-aware training needs layers, and in a SavedModel the layers "
            "are gone; give the .keras file as `source`",
        )
        return
    check_fits(samples, source.shape, source.dtype, _class_count(source, settings["loss"]))
    epochs = settings["epochs"]
    try:
        trained = train(
            source,
            samples,
            **settings,
            on_epoch=lambda done: reporter.send(progress=f"int8-qat, epoch {done} of {epochs}"),
        )
        saved = Path(job["folder"]) / "saved_model"
        save_fixed(trained.source, saved)
        data, said = convert(
            saved, "int8-qat", None, batch=source.batch, layers=trained.source.layers
        )
    except (CannotTrain, CannotConvert) as error:
        log_traceback()
        reporter.send(failed="int8-qat", kind=error.kind, message=str(error))
        return
    facts = {"source_kind": source.kind, "batch": source.batch, **trained.facts}
    _made(reporter, Path(job["folder"]), "int8-qat", data, said, started, facts)


def _demo(job: Mapping[str, Any], reporter: Reporter) -> None:
    _make_deterministic(job["seed"])
    from bench.variants.tf_demo import train_demo

    folder = Path(job["folder"])
    facts = train_demo(
        folder,
        job["seed"],
        job["epochs"],
        on_epoch=lambda done: reporter.send(progress=done),
    )
    reporter.send(made="demo", facts=facts)


def _samples(path: str | None, role: str, labels: Labels) -> Samples | None:
    return None if path is None else load_samples(Path(path), role, labels)


def _class_count(source: Source, loss: str) -> int | None:
    """How many classes labels may name; None where they name none."""
    if training_labels(loss) != "classes":
        return None
    return int(source.model.outputs[0].shape[-1])


def _make_deterministic(seed: int) -> None:
    """Same seed, same bytes; where a kernel has no deterministic form it raises."""
    import tensorflow as tf

    # Keras takes 32 bits; the rule that shortens the seed must never change.
    tf.keras.utils.set_random_seed(seed % 2**32)
    tf.config.experimental.enable_op_determinism()


def _made(
    reporter: Reporter,
    folder: Path,
    variant: str,
    data: bytes,
    said: tuple[str, ...],
    started: float,
    facts: Mapping[str, Any],
) -> None:
    path = folder / f"{variant}.tflite"
    path.write_bytes(data)
    reporter.send(
        made=variant,
        file=path.name,
        seconds=round(time.monotonic() - started, 3),
        warnings=list(said),
        facts=dict(facts),
    )


if __name__ == "__main__":
    sys.exit(serve(sys.argv, {"convert": _convert, "qat": _qat, "demo": _demo}))
