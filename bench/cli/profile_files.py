"""Profiles in files, and of a .tflite on this machine, for `edgebench profile`."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from pathlib import Path

from bench.cli.common import parse_tflite
from bench.cli.profile_subjects import Subject, mapped
from bench.errors import UnreadableOutput, UserError
from bench.format import counted
from bench.identity import Case, DelegateSpec
from bench.ops.model import OpProfile
from bench.tflite.graph import parse_model


def subject_of_file(path: Path, model: Path | None) -> Subject:
    """The profile in a file that benchmark_model or the LiteRT benchmark wrote or printed.

    Raises: UserError where there is none in it, or `model` is not what was profiled.
    """
    # Late: the parsers are not needed for what is stored.
    from bench.parsers.op_profile import parse_profile_text
    from bench.parsers.op_proto import parse_profile_proto

    content = _content(path)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    profile: OpProfile | None = None
    try:
        profile = parse_profile_text(text) if text else None
        if profile is None and not _is_text(content):
            profile = parse_profile_proto(content)
    except UnreadableOutput as error:
        raise UserError(f"{path}: {error}") from error
    if profile is None:
        raise UserError(
            f"{path}: no op profile in it; benchmark_model writes one with"
            " --enable_op_profiling=true"
        )
    graphs = None if model is None else parse_tflite(model, parse_model)[1]
    mapping = mapped(profile, graphs, str(model))
    about = {"file": str(path), "model": None if model is None else str(model)}
    return Subject(str(path), str(path), about, profile, graphs, mapping)


def subject_of_model(
    path: Path, delegate: str, threads: int, tell: Callable[[str], object]
) -> Subject:
    """The profile of a .tflite, made here and now.

    Raises: UserError, DeviceError: as bench.ops.live.profile_file.
    """
    from bench.ops.live import profile_file
    from devices.device import local_device

    content, graphs = parse_tflite(path, parse_model)
    tell(f"Profiling {path.name} with delegate {delegate}...")
    profiled = profile_file(path, delegate, threads, local_device())
    # Where the runtime changed the graph, rows name nodes that are not in the file.
    mapping = mapped(profiled.profile, graphs, str(path))
    case = Case("profile", str(path), path.stem, DelegateSpec(delegate), threads, "litert", "local")
    return Subject(
        label=path.stem,
        title=f"{path.name} · {delegate} · {counted(threads, 'thread')}, on this machine",
        about={
            "file": str(path),
            "model_sha256": hashlib.sha256(content).hexdigest(),
            "delegate": delegate,
            "threads": threads,
        },
        profile=profiled.profile,
        model=graphs,
        mapping=mapping,
        delegation=profiled.delegation,
        case=case,
    )


def _content(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise UserError(f"{path}: no regular file")
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; give a .tflite, a profile's file or the id of a run"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _is_text(content: bytes) -> bool:
    """Whether there is nothing in it that only a binary file has; a proto's tags are."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c in "\n\r\t" for c in text)
