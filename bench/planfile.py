"""Read edgebench.toml: every mistake becomes one line that names the nearest right word."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bench.config import DELEGATES, RUNNERS, VARIANTS, DelegateConfig, PlanConfig
from bench.errors import UserError


def read_plan(path: Path) -> PlanConfig:
    """Read and check a plan file.

    Raises: UserError, one line, if the file is missing, is not UTF-8 TOML, or says
    something that no plan may say.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; `edgebench init` writes one to start from"
        ) from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a directory; give the path of the plan file in it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: is not TOML: {error}") from None
    return parse_plan(document, where=str(path))


def parse_plan(document: dict[str, Any], *, where: str) -> PlanConfig:
    """Check a plan given as plain values; `where` begins the message of a UserError."""
    try:
        # Through JSON, because strict pydantic takes a list for a tuple only there.
        return PlanConfig.model_validate_json(json.dumps(document, default=str))
    except ValidationError as error:
        raise UserError(
            f"{where}: {_explain(_foremost(error.errors(include_url=False)))}"
        ) from None


# What a key holds words of, and which there are.
_WORDS = {
    "delegates": ("delegate", DELEGATES),
    "runners": ("runner", RUNNERS),
    "variants": ("variant", VARIANTS),
    "files": ("variant", VARIANTS),
}


def _foremost(errors: Sequence[ErrorDetails]) -> ErrorDetails:
    """The mistake to tell of: in a delegate's table what is wrong in it, not that it is one."""
    first = errors[0]
    if isinstance(first.get("input"), dict) and first["type"] == "literal_error":
        return next((error for error in errors if _TABLE in error["loc"]), first)
    return first


def _explain(error: ErrorDetails) -> str:
    location = error["loc"]
    place = _dotted(location)
    given = error.get("input")
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"{place}: unknown key{_nearest(str(location[-1]), _keys_at(location[:-1]))}"
    if kind == "missing":
        return f"{place}: is missing"
    if kind == "json_invalid":
        # It was JSON of our making: only text that no UTF-8 can say is refused.
        return "a file's name is not UTF-8 text; rename it"
    if kind == "literal_error" or (kind == "invalid_key" and "files" in location):
        name = given if isinstance(given, str) else str(location[-1])
        words = next((_WORDS[part] for part in location if part in _WORDS), None)
        if words is None or (not isinstance(given, str) and kind != "invalid_key"):
            shown = given if isinstance(given, str) else json.dumps(given, default=str)[:60]
            return f"{place}: {shown!r} is none of {error['ctx']['expected']}"
        what, known = words
        return f"{place}: {name!r} is not a {what}{_nearest(name, known)}"
    if "device_accuracy" in location:
        return f'{place}: takes a number of samples or "all", not {json.dumps(given)[:60]}'
    if kind == "value_error":
        return f"{place}: {error['msg'].removeprefix('Value error, ')}"
    if kind == "string_pattern_mismatch":
        return f"{place}: a name holds no slash, backslash or control character: {given!r}"
    if kind in ("too_short", "string_too_short"):
        return f"{place}: is empty"
    shown = json.dumps(given, default=str)
    return f"{place}: {_lower_first(error['msg'])}, not {shown[:60]}"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


_TABLE = DelegateConfig.__name__
# They say which type of several was tried.
_NO_KEYS = ("[key]", "float", "constrained-int", _TABLE)


def _dotted(location: Sequence[int | str]) -> str:
    text = ""
    for part in location:
        if part in _NO_KEYS or str(part).startswith(("tuple[", "literal[")):
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "the plan"


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} (known: {', '.join(known)})"


def _keys_at(location: Sequence[int | str]) -> tuple[str, ...]:
    """Names of the fields that the plan has at a place."""
    model: type[BaseModel] = PlanConfig
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            found = _model_in(model.model_fields[part].annotation)
            if found is not None:
                model = found
    return tuple(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first pydantic model in a type such as tuple[ModelConfig, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _model_in(inner)) is not None:
            return found
    return None
