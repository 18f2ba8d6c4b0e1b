"""A Vulkan driver that computes on the processor, where this machine has one: SwiftShader.

Browsers bring it along: Debian's chromium, and the one that playwright downloads.
"""

from __future__ import annotations

from pathlib import Path

_FOLDERS = ("/usr/lib/chromium", "/usr/lib/chromium-browser", "/opt/google/chrome")
_DRIVER, _LOADER = "vk_swiftshader_icd.json", "libvulkan.so.1"


def swiftshader() -> dict[str, str] | None:
    """Environment in which a process finds it, or None where there is none."""
    downloaded = Path.home().glob(".cache/ms-playwright/chromium-*/chrome-linux*")
    for folder in (*map(Path, _FOLDERS), *sorted(downloaded)):
        if (folder / _DRIVER).is_file() and (folder / _LOADER).is_file():
            return {
                "VK_ICD_FILENAMES": str(folder / _DRIVER),
                "LD_LIBRARY_PATH": str(folder),
            }
    return None
