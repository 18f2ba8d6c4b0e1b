"""Stand-in of the benchmark APK: TEST DOUBLE, which only an emulated phone can install."""

from __future__ import annotations

import zipfile
from pathlib import Path

PACKAGE = "org.tensorflow.lite.benchmark"


def write_app(path: Path, *, abi: str, version_code: int = 1, signer: str = "edgebench") -> Path:
    """Write one; what an emulated phone's `pm` reads stands before and behind the archive.

    Raises: OSError.
    """
    path.write_text(f"{PACKAGE} {version_code}\n")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo("AndroidManifest.xml"), "simulated")
        archive.writestr(zipfile.ZipInfo(f"lib/{abi}/libtensorflowlite_benchmark.so"), "simulated")
        archive.comment = f"\nsigned by {signer}\n".encode()
    return path
