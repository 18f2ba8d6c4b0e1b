"""Speed-ups against fp32 and against the CPU, tested as matrices (METHOD section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.identity import DelegateSpec
from bench.matrix import judge_pairs
from bench.stability import StabilityWord
from bench.stats import RatioVerdict
from reports.delegate_model import AgainstCpu
from reports.delegations import misfiled, why_not_as_requested
from reports.measured import MeasuredCase

REFERENCE = "fp32"
# Delegates that compute on the processor; the first of them is what others are held against.
ON_CPU = ("xnnpack", "none")


@dataclass(frozen=True, slots=True)
class Speedup:
    """A speed-up or why there is none; both None for fp32 itself."""

    verdict: RatioVerdict | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class CpuPair:
    """A case held against one on the processor of its device, at equal runner and threads.

    Attributes:
        evidence: the same ratio, also where it is unknown what the delegate took: it tells
            something of the delegate, and nothing of the speed under its name.
    """

    against: AgainstCpu
    evidence: RatioVerdict | None


def speedups(cases: Sequence[MeasuredCase], *, delta: float) -> Mapping[str, Speedup]:
    """case_id -> speed-up against fp32 at equal model, delegate, threads, runner and device."""
    by_id = {item.case.case_id: item for item in cases}
    found: dict[str, Speedup] = {}
    pairs: list[tuple[MeasuredCase, MeasuredCase]] = []
    for item in cases:
        key = item.case.case_id
        if item.case.variant == REFERENCE:
            found[key] = Speedup(None, None)
            continue
        reference = by_id.get(replace(item.case, variant=REFERENCE).case_id)
        reason = (
            f"{REFERENCE} is not in the plan with this delegate and these threads"
            if reference is None
            else why_not_compared(item, reference, REFERENCE)
        )
        if reason is not None or reference is None:
            found[key] = Speedup(None, reason)
        else:
            pairs.append((reference, item))
    verdicts = _judged(pairs, delta)
    for _, item in pairs:
        verdict = verdicts.get(item.case.case_id)
        reason = None if verdict else f"no common round with {REFERENCE}"
        found[item.case.case_id] = Speedup(verdict, reason)
    return found


def against_cpu(cases: Sequence[MeasuredCase], *, delta: float) -> Mapping[str, CpuPair]:
    """case_id -> speed-up against XNNPACK, else the plain kernels, all else being equal."""
    groups: dict[str, list[MeasuredCase]] = {}
    for item in cases:
        place = replace(item.case, delegate=DelegateSpec("none")).case_id
        groups.setdefault(place, []).append(item)
    reasons: dict[str, str | None] = {}
    pairs: list[tuple[MeasuredCase, MeasuredCase]] = []
    cpus: dict[str, MeasuredCase | None] = {}
    for group in groups.values():
        cpu = _cpu_of(group)
        for item in group:
            key = item.case.case_id
            cpus[key] = cpu
            if cpu is None:
                reasons[key] = "the plan has no case on this device's processor like it"
            elif item is not cpu:
                name = cpu.case.delegate.name
                reasons[key] = why_not_compared(item, cpu, name)
                if why_not_compared(item, cpu, name, if_unknown=True) is None:
                    pairs.append((cpu, item))
    verdicts = _judged(pairs, delta)
    found: dict[str, CpuPair] = {}
    for item in cases:
        key = item.case.case_id
        cpu, reason, verdict = cpus[key], reasons.get(key), verdicts.get(key)
        if cpu is item:
            found[key] = CpuPair(AgainstCpu(None, None, None), None)
            continue
        if cpu is not None and reason is None and verdict is None:
            reason = f"no common round with {cpu.case.delegate.name}"
        delegate = None if cpu is None else cpu.case.delegate
        against = AgainstCpu(delegate, verdict if reason is None else None, reason)
        found[key] = CpuPair(against, verdict)
    return found


def _cpu_of(group: Sequence[MeasuredCase]) -> MeasuredCase | None:
    """The case that stands for the processor: one that others can be held against, if any."""
    known = [item for item in group if item.case.delegate.name in ON_CPU]
    return min(
        known,
        key=lambda item: (
            why_not_compared(item, item, "") is not None,
            ON_CPU.index(item.case.delegate.name),
            len(item.case.delegate.options),
        ),
        default=None,
    )


def _judged(
    pairs: Sequence[tuple[MeasuredCase, MeasuredCase]], delta: float
) -> dict[str, RatioVerdict]:
    """case_id of the second -> verdict on the first divided by it."""
    verdicts: dict[str, RatioVerdict] = {}
    # The cells of a matrix lend each other their spread: an emulator's is no phone's.
    for simulated in (False, True):
        own = {b.case.case_id: (a, b) for a, b in pairs if b.simulated is simulated}
        verdicts |= judge_pairs(
            {key: (a.p50_by_round, b.p50_by_round) for key, (a, b) in own.items()},
            delta=delta,
            resolutions={key: a.resolution + b.resolution for key, (a, b) in own.items()},
        )
    return verdicts


def why_not_compared(
    item: MeasuredCase, reference: MeasuredCase, name: str, *, if_unknown: bool = False
) -> str | None:
    """Why the two may not be compared, or None if they may.

    Args:
        name: of the reference, for the words.
        if_unknown: whether they may where it is unknown what the delegate of `item` took.
    """
    for who, one in (("", item), (f"{name}: ", reference)):
        if one.planned.reason is not None:
            return f"{who}not applicable: {one.planned.reason}"
        if not one.used:
            return f"{who}{one.failure or 'not measured'}"
        wrong = why_not_as_requested(one.delegation)
        if wrong is not None and (one is reference or not if_unknown or misfiled(one.delegation)):
            return f"{who}{wrong}"
        if one is reference and one.checked.is_wrong:
            return f"{who}its answers are WRONG"
        if one.stability.word is StabilityWord.INVALID:
            return f"{who}INVALID: {one.stability.reasons[0]}"
        if one.headline is not None and not one.headline.is_p50:
            return f"{who}the tool tells no p50"
        if len(one.batches) > 1:
            return f"{who}its launches differ in invokes per sample"
    if item.quantity != reference.quantity:
        return f"its p50 is {item.quantity}, that of {name} {reference.quantity}"
    return None
