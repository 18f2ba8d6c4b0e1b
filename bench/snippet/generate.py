"""Writes the code that feeds and reads a model, from one template per language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from bench.format import size, threads, to_ascii
from bench.snippet.io import ITEM_BYTES, comment, describe
from bench.tflite.values import TfliteModel


@dataclass(frozen=True, slots=True)
class Settings:
    """How the model is to run.

    Attributes:
        delegate: "none" (plain kernels) or "xnnpack".
        threads: number of threads.
        origin: where that comes from, one line for people.
    """

    delegate: str
    threads: int
    origin: str


def snippet(
    model: TfliteModel, *, name: str, sha256: str, language: str, settings: Settings
) -> str:
    """The code, one file, ending with a newline.

    The rule is that of evaluation: q = clip(round_half_even(x / scale) + zero_point), in
    float32, and real = (q - zero_point) * scale.

    Args:
        name: of the model's file; with sha256 it says in a comment what the code is for.
        language: one of bench.snippet.LANGUAGES.

    Raises: UserError for a model that cannot run, or whose inputs or outputs no plain
    buffer can hold.
    """
    io = describe(model, name)
    about = [
        f"{comment(name)}, {size(model.size_bytes)}, sha256 {sha256}",
        *(one.about for one in (*io.inputs, *io.outputs)),
        f"{settings.delegate}, {threads(settings.threads)}: {_sentence(settings.origin)}",
    ]
    if io.custom_ops:
        about.append(f"Custom ops, to be registered with the runtime: {', '.join(io.custom_ops)}")
    return _template(language).render(
        about=about,
        inputs=io.inputs,
        outputs=io.outputs,
        constants=any(one.quantised or one.open_axes for one in (*io.inputs, *io.outputs)),
        dynamic=io.dynamic,
        threads=settings.threads,
        xnnpack=settings.delegate == "xnnpack",
        bytes=ITEM_BYTES,
    )


@cache
def _template(language: str) -> Template:
    text = files("bench.snippet").joinpath(f"templates/{language}.j2").read_text("utf-8")
    return _ENVIRONMENT.from_string(text)


def _sentence(text: str) -> str:
    """Our own words, with names in them, fit for a comment."""
    return re.sub(r"[^A-Za-z0-9_.:;()+=,/ -]", "_", to_ascii(text))


# Code is no HTML; what strangers named reaches it through bench.snippet.io.comment only.
_ENVIRONMENT = Environment(  # noqa: S701
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
)
