"""Speed-up of every case against fp32, tested as the matrix that it is (METHOD section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.matrix import judge_pairs
from bench.stability import StabilityWord
from bench.stats import RatioVerdict
from reports.measured import MeasuredCase, why_not_as_requested

REFERENCE = "fp32"


@dataclass(frozen=True, slots=True)
class Speedup:
    """A speed-up or why there is none; both None for fp32 itself."""

    verdict: RatioVerdict | None
    reason: str | None


def speedups(cases: Sequence[MeasuredCase], *, delta: float) -> Mapping[str, Speedup]:
    """case_id -> speed-up against fp32 at equal model, delegate, threads, runner and device."""
    by_id = {item.case.case_id: item for item in cases}
    found: dict[str, Speedup] = {}
    pairs: dict[str, tuple[Mapping[int, float], Mapping[int, float]]] = {}
    resolutions: dict[str, float] = {}
    for item in cases:
        key = item.case.case_id
        if item.case.variant == REFERENCE:
            found[key] = Speedup(None, None)
            continue
        reference = by_id.get(replace(item.case, variant=REFERENCE).case_id)
        reason = why_not_compared(item, reference)
        if reason is not None or reference is None:
            found[key] = Speedup(None, reason)
        else:
            pairs[key] = (reference.p50_by_round, item.p50_by_round)
            resolutions[key] = reference.resolution + item.resolution
    verdicts: dict[str, RatioVerdict] = {}
    # The cells of a matrix lend each other their spread: an emulator's is no phone's.
    for simulated in (False, True):
        own = {key: pair for key, pair in pairs.items() if by_id[key].simulated is simulated}
        verdicts |= judge_pairs(own, delta=delta, resolutions=resolutions)
    for key in pairs:
        verdict = verdicts.get(key)
        reason = None if verdict else f"no common round with {REFERENCE}"
        found[key] = Speedup(verdict, reason)
    return found


def why_not_compared(item: MeasuredCase, reference: MeasuredCase | None) -> str | None:
    """Why the two may not be compared, or None if they may."""
    if reference is None:
        return f"{REFERENCE} is not in the plan with this delegate and these threads"
    for who, one in (("", item), (f"{REFERENCE}: ", reference)):
        if one.planned.reason is not None:
            return f"{who}not applicable: {one.planned.reason}"
        if not one.used:
            return f"{who}{one.failure or 'not measured'}"
        wrong = why_not_as_requested(one.delegation)
        if wrong is not None:
            return f"{who}{wrong}"
        if one.stability.word is StabilityWord.INVALID:
            return f"{who}INVALID: {one.stability.reasons[0]}"
        if one.headline is not None and not one.headline.is_p50:
            return f"{who}the tool tells no p50"
        if len(one.batches) > 1:
            return f"{who}its launches differ in invokes per sample"
    if item.quantity != reference.quantity:
        return f"its p50 is {item.quantity}, that of {REFERENCE} {reference.quantity}"
    return None
