"""Decodes a directory of images into what a model takes: resized, ordered, scaled.

Decoders meet files of strangers: this runs in a process of its own (bench.samples.worker),
knows a few formats only, and asks for an image's size before it unpacks it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from bench.config import ImagesConfig
from bench.errors import UserError
from bench.format import first_line
from bench.variants.arrays import choose

# No format that Pillow hands to another program (EPS) or that is no still picture.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
MAX_PIXELS = 100_000_000


@dataclass(frozen=True, slots=True)
class Listing:
    """The images of a directory and all below it.

    Attributes:
        names: relative, sorted; those that were chosen.
        of: how many images there are.
        ignored: number of other files.
    """

    names: tuple[str, ...]
    of: int
    ignored: int


def list_images(folder: Path, where: str, *, at_most: int, seed: int) -> Listing:
    """What in a directory is an image, by its suffix.

    Raises: UserError if nothing is, or it cannot be read.
    """

    def give_up(error: OSError) -> None:
        raise UserError(f"{where}: cannot be read: {error.strerror} ({error.filename})")

    names: list[str] = []
    ignored = 0
    for place, _, files in os.walk(folder, onerror=give_up):
        for file in files:
            path = Path(place, file)
            if path.suffix.lower() in _SUFFIXES:
                names.append(path.relative_to(folder).as_posix())
            else:
                ignored += 1
    if not names:
        held = f"other files: {ignored}" if ignored else "it is empty"
        raise UserError(f"{where}: no image in it ({held}); give .png or .jpg files")
    names.sort()
    chosen = tuple(names[i] for i in choose(len(names), at_most, seed))
    return Listing(chosen, len(names), ignored)


def read_images(
    folder: Path, names: tuple[str, ...], images: ImagesConfig, size: tuple[int, int], where: str
) -> Iterator[NDArray[np.float32]]:
    """One (1, height, width, channels) array after the other.

    Bilinear, averaging over all pixels where an image shrinks; alpha is dropped, as
    training pipelines do, and EXIF rotation is applied.

    Args:
        size: height and width.

    Raises: UserError naming the file that is no image, is broken or too large.
    """
    for name in names:
        pixels = _pixels(folder / name, f"{where}: {name}", images.channels, size)
        yield scale(pixels, images)[None]


def scale(pixels: NDArray[np.uint8], images: ImagesConfig) -> NDArray[np.float32]:
    """(pixel - mean) / std, pixels (..., channels) in 0..255."""
    mean = np.asarray(images.mean, np.float32)
    std = np.asarray(images.std, np.float32)
    return ((pixels.astype(np.float32) - mean) / std).astype(np.float32)


def _pixels(path: Path, where: str, channels: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(height, width, 1 or 3)."""
    try:
        # A pipe would never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{where} is no regular file; remove it")
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(
                    f"{where} claims {image.width} x {image.height} pixels, more than "
                    f"{MAX_PIXELS // 1_000_000} million; shrink or remove it"
                )
            upright = ImageOps.exif_transpose(_in_8_bits(image, where))
        plain = upright.convert("L" if channels == "gray" else "RGB")
        height, width = size
        values = np.asarray(plain.resize((width, height), Image.Resampling.BILINEAR))
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise UserError(
            f"{where} claims more than {MAX_PIXELS // 1_000_000} million pixels; shrink or "
            "remove it"
        ) from None
    except UnidentifiedImageError:
        raise UserError(f"{where} is no image of a known format; remove it") from None
    # Decoders raise whatever the damage leads them to.
    except Exception as error:
        raise UserError(f"{where} cannot be read ({_reason(error)}); mend or remove it") from error
    if channels == "gray":
        return values[..., None]
    return values[..., ::-1] if channels == "bgr" else values


def _in_8_bits(image: Image.Image, where: str) -> Image.Image:
    """The image with 8 bits per channel: Pillow would clip those of 16."""
    wide = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if wide:
        exif = image.getexif()
        values = np.asarray(image).astype(np.float64) / 257
        narrow = Image.fromarray(np.clip(np.round(values), 0, 255).astype(np.uint8))
        # Orientation, which the new image would not know.
        narrow.info["exif"] = exif.tobytes()
        return narrow
    if image.mode in ("I", "F"):
        raise UserError(f"{where} has 32-bit pixels of unknown range; save it with 8 bits")
    image.load()
    return image


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return first_line(error)
