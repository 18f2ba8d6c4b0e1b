"""Wheels of the tests' own, and wheels made again from what is installed here."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, str] | None = None,
    *,
    tag: str = "py3-none-any",
    needs: Sequence[str] = (),
) -> Path:
    """A wheel that pip takes for one."""
    dist = name.replace("-", "_")
    path = folder / f"{dist}-{version}-{tag}.whl"
    info = f"{dist}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
    content = {
        **(files or {f"{dist}/__init__.py": ""}),
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n",
    }
    record = "".join(f"{name},{_hash(text)},{len(text)}\n" for name, text in content.items())
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**content, f"{info}/RECORD": record}.items():
            # A date of its own, so that the same wheel is always the same bytes.
            archive.writestr(zipfile.ZipInfo(file), text)
    return path


def make_runtime(folder: Path, version: str = "2.0.0", module: str = "Interpreter = 1\n") -> None:
    """An ai-edge-litert and a numpy that can be imported and no more."""
    make_wheel(
        folder,
        "ai-edge-litert",
        version,
        {"ai_edge_litert/__init__.py": "", "ai_edge_litert/interpreter.py": module},
        needs=["numpy>=1.23.2"],
    )
    make_wheel(folder, "numpy", "1.99.0", {"numpy/__init__.py": "__version__ = '1.99.0'\n"})


def pack_installed(folder: Path, name: str) -> Path:
    """A wheel of a package of this Python, without what its installer added."""
    found = importlib.metadata.distribution(name)
    tags = [
        line.split(": ")[1]
        for line in (found.read_text("WHEEL") or "").splitlines()
        if line.startswith("Tag: ")
    ]
    path = folder / f"{name.replace('-', '_')}-{found.version}-{tags[-1]}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in found.files or ():
            if ".." not in file.parts and file.suffix != ".pyc" and file.locate().is_file():
                archive.write(str(file.locate()), str(file))
    return path


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
