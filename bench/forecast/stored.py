"""Forecasts beside the provenance of a variant: written where its file is, read anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench.forecast.model import Forecast

KEY = "forecasts"
_FORECASTS = TypeAdapter(tuple[Forecast, ...])


def to_json(found: Sequence[Forecast]) -> list[dict[str, Any]]:
    """Plain JSON values."""
    plain: list[dict[str, Any]] = _FORECASTS.dump_python(tuple(found), mode="json")
    return plain


def forecasts_of(provenance: Mapping[str, Any]) -> tuple[Forecast, ...]:
    """Those of a variant; () where none were stored, or in a form that nobody knows here."""
    try:
        return _FORECASTS.validate_python(provenance.get(KEY, ()))
    except ValidationError:
        return ()
