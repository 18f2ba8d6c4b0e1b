"""What a person calls a side, and which cases of a run it means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.config import PlanConfig
from bench.errors import UserError
from bench.identity import before
from bench.records import RunData
from reports.measured import MeasuredCase
from reports.model import Row

# In the order in which sides are named by them.
FILTERS = ("model", "variant", "delegate", "threads", "device", "runtime", "runner")
_KEY = f"(?:{'|'.join(FILTERS)})="
_SPEC = re.compile(rf"(?P<run>.*?)(?:(?:^|:)(?P<filters>{_KEY}.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SideSpec:
    """A side as it was asked for.

    Attributes:
        run: name of a run (bench.run_names); None for the other side's, or the newest.
        filters: dimension -> value, in the order of FILTERS.
    """

    run: str | None
    filters: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class SideCase:
    """One case of a side with all that was found of it.

    Attributes:
        data: the run that it is of; plan: the plan of that.
        row: as reports.compare has it.
    """

    data: RunData
    plan: PlanConfig
    measured: MeasuredCase
    row: Row

    @property
    def model(self) -> str:
        """Its name; of the old one of an A/B that of today's."""
        name = self.measured.case.model
        old = before(name)
        return name if old is None else old[0]


def parse_side(text: str) -> SideSpec:
    """ "0198a2", "latest~1", "variant=int8,threads=2" or "0198a2:variant=int8".

    Raises: UserError for a filter that is empty or stands there twice, and for nothing.
    """
    found = _SPEC.fullmatch(text)
    assert found is not None
    filters: dict[str, str] = {}
    for item in re.split(rf",(?={_KEY})", found["filters"] or ""):
        key, _, value = item.partition("=")
        if not item:
            continue
        if not value:
            raise UserError(f"{text!r}: {key}= is empty; say which {key}")
        if key in filters:
            raise UserError(f"{text!r}: names {key} twice; a side has one")
        filters[key] = value
    run = found["run"].removesuffix(":") or None
    if run is None and not filters:
        raise UserError("a side is empty: name a run, or what of a run (variant=int8)")
    if run is not None and "=" in run and not run.startswith("release="):
        raise UserError(f"{text!r}: unknown filter (known: {', '.join(FILTERS)})")
    return SideSpec(run, {key: filters[key] for key in FILTERS if key in filters})


def narrowed(a: SideSpec, b: SideSpec) -> tuple[SideSpec, SideSpec]:
    """Each with the filters that only the other names, and with its run where it names none."""
    return (
        replace(a, run=a.run or b.run, filters=_in_order({**b.filters, **a.filters})),
        replace(b, run=b.run or a.run, filters=_in_order({**a.filters, **b.filters})),
    )


def _in_order(filters: Mapping[str, str]) -> dict[str, str]:
    return {key: filters[key] for key in FILTERS if key in filters}


def differing(a: SideSpec, b: SideSpec) -> tuple[str, ...]:
    """Dimensions that two narrowed sides have different values of."""
    return tuple(key for key in FILTERS if a.filters.get(key) != b.filters.get(key))


def chosen(cases: Sequence[SideCase], filters: Mapping[str, str]) -> tuple[SideCase, ...]:
    """The cases that a side's filters mean.

    Raises: UserError where there is none; it says what there is.
    """
    found = tuple(case for case in cases if all(_is(case, k, v) for k, v in filters.items()))
    if found or not cases:
        return found
    asked = ",".join(f"{key}={value}" for key, value in filters.items())
    run_id = cases[0].data.run.run_id
    there = "; ".join(
        f"{key}: {', '.join(sorted({word for c in cases for word in _words(c, key)[:1]}))}"
        for key in filters
    )
    raise UserError(f"run {run_id[:13]} has no case with {asked}; it has {there}")


def _is(case: SideCase, key: str, value: str) -> bool:
    return value in _words(case, key)


def _words(case: SideCase, key: str) -> list[str]:
    """What a case answers to in a dimension, its usual name first."""
    of = case.measured.case
    if key == "delegate":
        return [of.delegate.name, of.delegate.label]
    if key == "runtime":
        runtimes = [m.runtime for m in case.measured.measurements]
        versions = [str(known.get("version")) for known in runtimes if known.get("version")]
        named = [f"{known.get('name')} {known.get('version')}" for known in runtimes]
        return [*dict.fromkeys(versions), *dict.fromkeys(named)]
    if key == "model":
        return [of.model, case.model]
    return [str(getattr(of, key))]


def matched(
    a: Sequence[SideCase], b: Sequence[SideCase], differing: Sequence[str]
) -> tuple[tuple[SideCase | None, SideCase | None], ...]:
    """Pairs in the order of B, then what only A has.

    Cases are paired by everything but `differing`, the project and the runner, and within
    that by the runner where they can be.

    Raises: UserError where several of one side could be meant by several of the other.
    """
    groups: dict[tuple[object, ...], tuple[list[SideCase], list[SideCase]]] = {}
    for case in b:
        groups.setdefault(_key(case, differing), ([], []))[1].append(case)
    for case in a:
        groups.setdefault(_key(case, differing), ([], []))[0].append(case)
    pairs: list[tuple[SideCase | None, SideCase | None]] = []
    for ours, theirs in groups.values():
        pairs += _within(ours, theirs)
    return tuple(pairs)


def _key(case: SideCase, differing: Sequence[str]) -> tuple[object, ...]:
    of = case.measured.case
    parts: dict[str, object] = {
        "model": case.model,
        "variant": of.variant,
        "delegate": of.delegate,
        "threads": of.threads,
        "device": of.device,
    }
    return (*(v for key, v in parts.items() if key not in differing), of.input_shapes)


def _within(a: list[SideCase], b: list[SideCase]) -> list[tuple[SideCase | None, SideCase | None]]:
    pairs: list[tuple[SideCase | None, SideCase | None]] = []
    left_a, left_b = [], []
    for runner in dict.fromkeys(case.measured.case.runner for case in (*b, *a)):
        ours = [case for case in a if case.measured.case.runner == runner]
        theirs = [case for case in b if case.measured.case.runner == runner]
        if not ours or not theirs:
            left_a += ours
            left_b += theirs
        else:
            pairs += _product(ours, theirs)
    if left_a and left_b:
        return pairs + _product(left_a, left_b)
    return pairs + [(case, None) for case in left_a] + [(None, case) for case in left_b]


def _product(a: list[SideCase], b: list[SideCase]) -> list[tuple[SideCase | None, SideCase | None]]:
    if len(a) > 1 and len(b) > 1:
        names = dict.fromkeys(case.measured.case.delegate.label for case in (*a, *b))
        raise UserError(
            f"{len(a)} cases of A and {len(b)} of B could be meant by each other "
            f"({', '.join(names)}); give more filters, a delegate with its options for one"
        )
    return [(one, other) for one in a for other in b]
