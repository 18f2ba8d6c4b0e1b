"""The variants as a table says them: sizes, what is odd, and in a few words how each was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench import format as fmt
from bench.forecast.stored import KEY as FORECASTS
from reports.model import VariantSummary
from reports.provenance import mapping, texts
from reports.render.cells import TF_OPS
from reports.render.facts import flatten

# Of a converter's warnings, which may be hundreds; the facts below them hold all.
_MOST_WARNINGS = 5
# As many as name a file among all that one ever made.
_HASH_DIGITS = 12


@dataclass(frozen=True, slots=True)
class VariantView:
    """One variant, all of it text without control characters, not escaped for any medium.

    Attributes:
        flag: what must stand beside its name, or "".
        size, share, zipped: of the file; share is of fp32's.
        failure: "FAILED: ..." or "NOT RUN: ...", or "".
        warnings: what is odd about how it was made, and what the converter said.
        made: how it was made, a sentence a line.
        facts: the whole of its provenance as (dotted name, text).
    """

    model: str
    variant: str
    flag: str
    size: str
    share: str
    zipped: str
    sha256: str
    failure: str
    warnings: tuple[str, ...]
    made: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]


def variant_view(summary: VariantSummary) -> VariantView:
    """Formats a variant.

    Raises:
        ValueError: a number in it cannot be shown.
    """
    failure = ""
    if summary.failure is not None:
        word = "FAILED" if summary.size_bytes is None else "NOT RUN"
        failure = fmt.visible(f"{word}: {summary.failure}")
    return VariantView(
        model=fmt.visible(summary.model),
        variant=fmt.visible(summary.variant),
        flag=TF_OPS if summary.tf_ops else "",
        size=fmt.size(summary.size_bytes),
        share=fmt.percent(summary.size_ratio, 1),
        zipped=fmt.size(summary.zip_bytes),
        sha256=fmt.visible(summary.sha256 or ""),
        failure=failure,
        warnings=tuple(map(fmt.visible, _warnings(summary))),
        made=tuple(map(fmt.visible, _made(summary.provenance))),
        # What was forecast of it stands with the cases.
        facts=flatten({k: v for k, v in summary.provenance.items() if k != FORECASTS}),
    )


def _warnings(summary: VariantSummary) -> Iterator[str]:
    yield from summary.warnings
    said = texts(summary.provenance, "converter_warnings")
    yield from (f"the converter says: {text}" for text in said[:_MOST_WARNINGS])
    if len(said) > _MOST_WARNINGS:
        yield f"the converter says {len(said) - _MOST_WARNINGS} things more"


def _made(known: Mapping[str, Any]) -> Iterator[str]:
    """What a person asks first; a provenance that lacks it gives nothing."""
    if recipe := known.get("recipe"):
        yield str(recipe)
    if how := _how(known):
        yield how
    difference = mapping(known, "facts").get("rebuild_max_difference")
    if isinstance(difference, int | float):
        yield f"rebuilt layer by layer before training; answers differ by {difference:.2g} at most"
    if (inside := mapping(known, "inspect")) and (text := _inside(inside)):
        yield text
    tools = [f"{name} {version}" for name, version in mapping(known, "tools").items()]
    if tools:
        yield f"tools: {', '.join(tools)}"
    if known.get("cached"):
        yield "unchanged since an earlier run, not made again"


def _how(known: Mapping[str, Any]) -> str:
    """ "trained from a.keras on train.npz, 900 samples: epochs 10, learning rate 0.001, seed 0"."""
    source = _named(mapping(known, "source"))
    text = f"{known.get('how', 'made')} from {source}" if source else ""
    if qat := mapping(known, "qat"):
        settings = [f"{key.replace('_', ' ')} {value}" for key, value in qat.items()]
        if (seed := known.get("seed")) is not None:
            settings.append(f"seed {seed}")
        train = _samples(mapping(known, "train"))
        text += f"{f' on {train}' if train else ''}: {', '.join(settings)}"
    if samples := _samples(mapping(known, "calibration")):
        text += f", calibrated with {samples}" if text else f"calibrated with {samples}"
    return text


def _samples(held: Mapping[str, Any]) -> str:
    """ "train.npz (sha256 0123456789ab), 900 of 1000 samples"."""
    used, total = held.get("samples"), held.get("of")
    if used is None:
        return _named(held)
    count = f"{used} samples" if total in (None, used) else f"{used} of {total} samples"
    return ", ".join(filter(None, (_named(held), count)))


def _named(held: Mapping[str, Any]) -> str:
    """A file by its name and the beginning of its hash, as far as they are known."""
    name, sha256 = held.get("name"), held.get("sha256")
    digits = f"(sha256 {str(sha256)[:_HASH_DIGITS]})" if sha256 else ""
    return " ".join(filter(None, (str(name) if name else "", digits)))


def _inside(facts: Mapping[str, Any]) -> str:
    parts = []
    for key, words in (("inputs", "takes"), ("outputs", "gives")):
        ports = [port for port in facts.get(key) or () if isinstance(port, Mapping)]
        types = dict.fromkeys(str(port.get("dtype", "")).lower() for port in ports)
        if types:
            parts.append(f"{words} {', '.join(types)}")
    for key, words in (
        ("integer_ops", "in integers"),
        ("float_ops", "in float"),
        ("flex_ops", "TensorFlow's own"),
    ):
        ops = facts.get(key)
        count = sum(ops.values()) if isinstance(ops, Mapping) else len(ops or ())
        if count:
            parts.append(f"{fmt.counted(count, 'op')} {words}")
    return ", ".join(parts)
