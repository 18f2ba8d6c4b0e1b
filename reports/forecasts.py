"""What was forecast of a case's delegate, from the provenance of its variant, and the check."""

from __future__ import annotations

from bench.delegation.model import Delegation
from bench.forecast.check import check
from bench.forecast.forecast import forecast_for
from bench.forecast.stored import forecasts_of
from bench.identity import Case
from bench.records import VariantRecord
from reports.delegate_model import ForecastSeen


def forecast_seen(
    case: Case, variant: VariantRecord | None, delegation: Delegation | None
) -> ForecastSeen | None:
    """The forecast of a case held against its measurement; None where no list is of it."""
    if variant is None:
        return None
    found = forecast_for(forecasts_of(variant.provenance), case.delegate.name, case.runner)
    return None if found is None else ForecastSeen(found, check(found, delegation))
