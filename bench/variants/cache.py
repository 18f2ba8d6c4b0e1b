"""Names variants by what determines their bytes, and keeps them with their provenance."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from bench.records import Json

# TensorFlow comes under two names; only one of them is installed.
_CONVERTER: Mapping[str, tuple[str, ...]] = {
    "tensorflow": ("tensorflow-cpu", "tensorflow"),
    "keras": ("keras",),
    "tf-keras": ("tf-keras",),
    "numpy": ("numpy",),
}
_TRAINING: Mapping[str, tuple[str, ...]] = {
    "tensorflow-model-optimization": ("tensorflow-model-optimization",),
}
# The runtime takes part: it runs the float model for the ranges.
_QUANTIZER: Mapping[str, tuple[str, ...]] = {
    "ai-edge-quantizer": ("ai-edge-quantizer",),
    "ai-edge-litert": ("ai-edge-litert",),
    "numpy": ("numpy",),
}

# How the names begin of what is not finished: files that a killed process left.
TEMPORARY = ".tmp-"


@dataclass(frozen=True, slots=True)
class Kept:
    """A variant in the cache."""

    path: Path
    sha256: str
    size_bytes: int
    provenance: Json


def tool_versions(*, converter: bool, training: bool, quantizer: bool) -> dict[str, str | None]:
    """Version of each package that takes part in making a variant; None if not installed."""
    tools = {
        **(_CONVERTER if converter else {}),
        **(_TRAINING if training else {}),
        **(_QUANTIZER if quantizer else {}),
    }
    return {tool: _version(names) for tool, names in tools.items()}


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_sha256(path: Path) -> str:
    """Hex sha256 of a file, or of a directory's sorted relative names and contents."""
    if path.is_file():
        return file_sha256(path)
    digest = hashlib.sha256()
    for name, file in sorted((f.relative_to(path).as_posix(), f) for f in _files(path)):
        digest.update(f"{name}\0{file_sha256(file)}\n".encode())
    return digest.hexdigest()


def folder_of(out: Path, model: str) -> Path:
    """Directory of one model's variants; the name made safe for every file system."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", model)
    return out / "variants" / ("_" + safe if safe.startswith(".") else safe)


def look_up(folder: Path, variant: str, key: str) -> Kept | None:
    """What was kept under this key, if it is whole and unchanged since."""
    path = folder / f"{variant}-{key[:12]}.tflite"
    try:
        provenance = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        data = path.read_bytes()
    except (OSError, ValueError, RecursionError):
        return None
    digest = hashlib.sha256(data).hexdigest()
    if not isinstance(provenance, dict) or provenance.get("key") != key:
        return None
    if provenance.get("sha256") != digest:
        return None
    # Measured again: what is cheap to know need not be believed.
    facts = {**provenance, "zip_bytes": zip_bytes(data), "cached": True}
    return Kept(path, digest, len(data), facts)


# What the number is, for whoever reads it in a table.
ZIPPED = (
    "zipped: deflated at level 9, as a download or an .ipa holds it. Android's Gradle plugin "
    "(from 4.1) packs .tflite files uncompressed: in an .apk they take their full size."
)


def zip_bytes(data: bytes) -> int:
    """Bytes of a file in a zip that compresses it: deflate, level 9, without zip headers."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return len(deflate.compress(data)) + len(deflate.flush())


def keep(folder: Path, variant: str, key: str, data: bytes, provenance: Json) -> Kept:
    """Write a variant and its provenance; each file appears whole or not at all.

    One process at a time may keep files in a folder; see bench.variants.scratch.
    """
    path = folder / f"{variant}-{key[:12]}.tflite"
    digest = hashlib.sha256(data).hexdigest()
    full = {**provenance, "key": key, "sha256": digest, "zip_bytes": zip_bytes(data)}
    _write(path, data)
    text = json.dumps(full, indent=2, sort_keys=True) + "\n"
    # The second file makes the first one valid.
    _write(path.with_suffix(".json"), text.encode("utf-8"))
    return Kept(path, digest, len(data), {**full, "cached": False})


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(f"{TEMPORARY}{path.name}")
    try:
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _files(path: Path) -> Iterable[Path]:
    return (file for file in path.rglob("*") if file.is_file())


def _version(names: tuple[str, ...]) -> str | None:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None
