"""A variant that is needed: what names its content, and the same in the cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.identity import sha256_of
from bench.records import Failure, Json
from bench.variants.cache import Kept, look_up

Maker = Literal["converter", "training", "quantizer", "compiler"]
# Of a provenance: where something lay and what was said of it, not what it is.
_NO_CONTENT = ("name", "warnings")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One variant that is needed, and what is known of it before anything runs.

    Attributes:
        key: names what determines its bytes; None if it cannot be made.
        provenance: what it is made of.
        kept: the same in the cache, or None.
        imported: the user's finished file, or None.
        failure: why it cannot be made, or None.
        maker: who makes it, where it is to be made.
        base: the float .tflite that the quantizer starts from; None for the fp32 made here.
        recorded: False if nobody asked for it and others are made of it.
    """

    variant: str
    key: str | None
    provenance: Json
    kept: Kept | None = None
    imported: Path | None = None
    failure: Failure | None = None
    maker: Maker = "converter"
    base: Path | None = None
    recorded: bool = True

    @property
    def to_make(self) -> bool:
        return self.kept is None and self.imported is None and self.failure is None


def look_up_kept(folder: Path, variant: str, key: str, provenance: Json) -> Kept | None:
    """The variant in the cache that was made of just this; None if there is none."""
    kept = look_up(folder, variant, key)
    if kept is None:
        return None
    # A provenance that somebody edited no longer says what its file was made of.
    try:
        same = key_of({name: kept.provenance.get(name) for name in provenance}) == key
    except ValueError:
        return None
    return kept if same else None


def key_of(provenance: Json) -> str:
    """What determines the bytes, in a word."""
    return sha256_of(
        {
            key: {k: v for k, v in value.items() if k not in _NO_CONTENT}
            if key in ("source", "calibration", "train") and isinstance(value, Mapping)
            else value
            for key, value in provenance.items()
        }
    )
