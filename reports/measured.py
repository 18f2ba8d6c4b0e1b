"""The launches of one planned case, gathered and judged: what every table row starts from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import median

from bench.config import PlanConfig
from bench.delegation.model import Delegation
from bench.headline import Headline, headline
from bench.identity import Case
from bench.records import (
    CheckRecord,
    LaunchRecord,
    Measurement,
    Outcome,
    PlannedCase,
    RunData,
    VariantRecord,
)
from bench.stability import Stability, StabilityWord, judge_stability, used_launches
from reports.checked import Checked, checked_case
from reports.conditions import simulated_devices
from reports.delegations import (
    delegation_of,
    misfiled,
    why_not_as_requested,
    without_foreign_profile,
)


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredCase:
    """One planned case and what was measured of it.

    Attributes:
        planned: the case as the run planned it.
        launches: all of it, failed and tainted ones and repeats included.
        used: the one that counts of each round, in order of rounds.
        foreign: launches left out because they measured another file than the variant's.
        stability: the verdict on them.
        failure: why there is no number at all, or None.
        simulated: whether its device is an emulator.
        checked: what its profiling and its numerics launch found, where it is its delegate's.
        delegation: what its delegate took, by every launch of it; None without any.
        headline: p50 of the used launches, or their means where the tool tells no p50.
    """

    planned: PlannedCase
    launches: tuple[LaunchRecord, ...]
    used: tuple[LaunchRecord, ...]
    foreign: int
    stability: Stability
    failure: str | None
    simulated: bool
    checked: Checked
    delegation: Delegation | None
    headline: Headline | None = field(init=False)

    def __post_init__(self) -> None:
        found = headline(self.measurements) if self.measurements else None
        object.__setattr__(self, "headline", found)

    @property
    def case(self) -> Case:
        return self.planned.case

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """Of the used launches, in order of rounds, whatever they are worth."""
        return tuple(item.measurement for item in self.used if item.measurement is not None)

    @property
    def p50_by_round(self) -> dict[int, float]:
        """Round -> p50 in us of its used launch; {} where there is no p50."""
        found = self.headline
        if found is None or not found.is_p50:
            return {}
        return {x.index: us for x, us in zip(self.used, found.values_us, strict=True)}

    @property
    def resolution(self) -> float:
        """Smallest step of its p50 as a share of it; 0 where there is none."""
        found = self.headline
        middle = 0.0 if found is None else median(found.values_us)
        return found.resolution_us / middle if found is not None and middle > 0 else 0.0

    @property
    def batches(self) -> frozenset[int]:
        """Invokes per sample of the used launches: {1} unless batched."""
        return frozenset(m.invokes_per_sample for m in self.measurements)

    @property
    def quantity(self) -> str:
        """What its p50 is the p50 of; cases that differ in it are never compared."""
        found = self.headline
        if found is not None and not found.is_median:
            return "a tool's mean"
        return "a median of single invokes" if self.batches <= {1} else "a median of batches"


def measured_cases(data: RunData, plan: PlanConfig) -> tuple[MeasuredCase, ...]:
    """Every planned case but the sentinels, in the order of the plan, with its launches."""
    by_case: dict[str, list[LaunchRecord]] = defaultdict(list)
    for launch in data.launches:
        by_case[launch.case_id].append(launch)
    checks: dict[str, list[CheckRecord]] = defaultdict(list)
    for check in data.checks:
        checks[check.case_id].append(check)
    variants = {(item.model, item.variant): item for item in data.variants}
    simulated = simulated_devices(data)
    away = _away(data)
    cases = []
    for planned in data.cases:
        if planned.case.is_sentinel:
            continue
        variant = variants.get((planned.case.model, planned.case.variant))
        made = by_case[planned.case.case_id]
        own = tuple(item for item in made if _measures(item.environment, variant))
        checked = checked_case(
            planned.case,
            [c for c in checks[planned.case.case_id] if _measures(c.environment, variant)],
            plan.measure,
        )
        checked = without_foreign_profile(planned.case.runner, own, checked)
        case = MeasuredCase(
            planned=planned,
            launches=own,
            used=used_launches(own),
            foreign=len(made) - len(own),
            stability=_stability(planned, own, plan),
            failure=_failure(
                planned,
                own,
                len(made) - len(own),
                variant,
                away.get(planned.case.device, f"the run is {data.run.status.value}"),
            ),
            simulated=planned.case.device in simulated,
            checked=checked,
            delegation=delegation_of(planned.case.delegate.name, own, checked),
        )
        if misfiled(case.delegation):
            # Whoever reads a table or an export by the delegate's name would take the
            # number for that delegate's: it stays in the store and out of every report.
            why = why_not_as_requested(case.delegation)
            failure = f"{why}: what was measured is not {wanted(case)}"
            case = replace(case, failure=failure, checked=case.checked.of_another(failure))
        cases.append(case)
    return tuple(cases)


def _away(data: RunData) -> dict[str, str]:
    """Devices whose last launch found them gone, and how that looked."""
    device_of = {planned.case.case_id: planned.case.device for planned in data.cases}
    last: dict[str, LaunchRecord] = {}
    for launch in sorted(data.launches, key=lambda item: item.started_utc):
        last[device_of[launch.case_id]] = launch
    return {
        device: f"the device stayed away ({launch.failure.message})"
        for device, launch in last.items()
        if launch.outcome is Outcome.DEVICE_FAILED and launch.failure is not None
    }


def wanted(case: MeasuredCase) -> str:
    """What the case should have measured: "xnnpack" or "the plain kernels"."""
    name = case.case.delegate.name
    return "the plain kernels" if name == "none" else name


def _measures(environment: Mapping[str, object], variant: VariantRecord | None) -> bool:
    """False only where both hashes are known and differ, as when a resume found a new file."""
    measured = environment.get("model_sha256")
    made = None if variant is None else variant.sha256
    return measured is None or made is None or measured == made


def _stability(
    planned: PlannedCase, launches: tuple[LaunchRecord, ...], plan: PlanConfig
) -> Stability:
    if planned.reason is not None:
        return Stability(StabilityWord.INVALID, (f"not applicable: {planned.reason}",))
    return judge_stability(
        launches,
        planned_rounds=plan.measure.rounds,
        precision=plan.measure.precision,
    )


def _failure(
    planned: PlannedCase,
    launches: tuple[LaunchRecord, ...],
    foreign: int,
    variant: VariantRecord | None,
    otherwise: str,
) -> str | None:
    if planned.reason is not None or used_launches(launches):
        return None
    if not launches:
        if variant is not None and variant.failure is not None:
            # Without the variant's name: what befell all of them is one note, not one each.
            what = "not made" if variant.path is None else "cannot run"
            return f"{what}: {variant.failure.message}"
        if foreign:
            return f"all {foreign} launches measured another file than the variant's"
        return f"not measured: {otherwise}"
    taints = Counter(taint for item in launches for taint in item.taints)
    if taints and any(item.outcome is Outcome.OK for item in launches):
        return f"no clean launch in {len(launches)}; {taints.most_common(1)[0][0]}"
    reasons = Counter(
        (item.outcome.value, item.failure.message if item.failure else "no reason recorded")
        for item in launches
    )
    (outcome, message), count = reasons.most_common(1)[0]
    return f"{outcome} in {count} of {len(launches)} launches: {message}"
