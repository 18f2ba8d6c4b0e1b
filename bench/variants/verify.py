"""Proves that a .tflite loads, allocates and runs, each in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.records import Failure, Json
from bench.variants.child import ChildJob, Message, run_children

_AT_MOST = 2
_TIMEOUT_S = 600.0


def verify_files(
    files: Mapping[str, Path], scratch: Path, log: Path, *, item: Sequence[int] | None = None
) -> dict[str, Json | Failure]:
    """Run each model once on plain kernels, with a seeded input.

    Args:
        files: name -> .tflite; damaged ones may abort their process, not this one.
        scratch: directory for the job files.
        item: shape of one sample, for an input whose size is open.

    Returns: name -> runtime facts, or a Failure of kind "verify" or "crash".
    """
    names = list(files)
    folder = scratch / "verify"
    folder.mkdir()
    jobs = [
        ChildJob(
            "bench.variants.evaluate_worker",
            {"task": "verify", "model": str(files[name]), "kernels": "none", "item": item},
            folder,
            log,
            _TIMEOUT_S,
            {},
        )
        for name in names
    ]
    found: dict[str, Json | Failure] = {}

    def on_message(index: int, message: Message) -> None:
        name = names[index]
        if "failed" in message:
            size = f"{files[name].stat().st_size:,} bytes"
            why = f"is a whole model ({size}) but does not run: {message['failed']}"
            found[name] = Failure("verify", why, _tail(log))
        else:
            found[name] = message["runtime"]

    ends = run_children(jobs, at_most=_AT_MOST, on_message=on_message)
    for name, end in zip(names, ends, strict=True):
        if name not in found or end.exit_code != 0:
            why = f"is a whole model, but the process that ran it once {end.explain()}"
            found[name] = Failure("crash", why, _tail(log))
    return found


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-4000:]
