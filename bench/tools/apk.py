"""Which phones an APK with native code is for.

Format: an APK is a ZIP archive with AndroidManifest.xml and lib/<abi>/*.so.
"""

from __future__ import annotations

import zipfile
from pathlib import Path


def apk_misfit(path: Path, abi: str) -> str | None:
    """Why a file is no app for phones of that ABI, or None."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return "not an APK"
    if "AndroidManifest.xml" not in names:
        return "an archive, but not an APK"
    abis = sorted({part[1] for name in names if (part := name.split("/"))[0] == "lib" and part[2:]})
    if abi not in abis:
        return f"it is built for {', '.join(abis) or 'no ABI'}, not for {abi}"
    return None
