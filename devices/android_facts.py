"""What Android's properties and services say of a phone that stays the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# NNAPI came with API level 27 (Android 8.1) and is deprecated from 35 (Android 15) on.
_NNAPI_SINCE, _NNAPI_DEPRECATED = 27, 35


@dataclass(frozen=True, slots=True)
class AndroidFacts:
    """None or () is "it does not tell".

    Attributes:
        manufacturer, model: as sold.
        sdk: API level. release: Android's version, "13".
        abis: of programs that it runs, its favourite first.
        gles: vendor, renderer and version of the GL driver, as SurfaceFlinger has it.
        egl, vulkan: names of the drivers that the system loads.
        opencl: the OpenCL library that was seen; None does not prove that there is none.
        nnapi: whether the API is there. Its accelerators only the tool can tell.
    """

    manufacturer: str | None
    model: str | None
    sdk: int | None
    release: str | None
    abis: tuple[str, ...]
    gles: str | None
    egl: str | None
    vulkan: str | None
    opencl: str | None
    nnapi: Literal["missing", "present", "deprecated"] | None


def read_android(sections: Mapping[str, str]) -> AndroidFacts:
    """Of the facts script's sections, which bear the properties' names."""
    sdk_text = sections.get("ro.build.version.sdk", "")
    sdk = int(sdk_text) if re.fullmatch(r"[0-9]{1,4}", sdk_text) else None
    gles = re.search(r"GLES:\s*(.+)", sections.get("gles", ""))
    nnapi: Literal["missing", "present", "deprecated"] | None = None
    if sdk is not None:
        nnapi = "missing" if sdk < _NNAPI_SINCE else "present"
        nnapi = "deprecated" if sdk >= _NNAPI_DEPRECATED else nnapi
    return AndroidFacts(
        manufacturer=sections.get("ro.product.manufacturer") or None,
        model=sections.get("ro.product.model") or None,
        sdk=sdk,
        release=sections.get("ro.build.version.release") or None,
        abis=tuple(filter(None, sections.get("ro.product.cpu.abilist", "").split(","))),
        gles=gles[1].strip() if gles else None,
        egl=sections.get("ro.hardware.egl") or None,
        vulkan=sections.get("ro.hardware.vulkan") or None,
        opencl=sections.get("opencl") or None,
        nnapi=nnapi,
    )


def soc_of(sections: Mapping[str, str]) -> str | None:
    """Maker and name of the chip (Android 12), else the platform's or the hardware's name."""
    maker, model = sections.get("ro.soc.manufacturer", ""), sections.get("ro.soc.model", "")
    if model and model != "unknown":
        return f"{maker} {model}".strip() if maker != "unknown" else model
    return sections.get("ro.board.platform") or sections.get("ro.hardware") or None
