"""What a point was measured with, and what of it is another than before, first suspect first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bench.points import Point
from bench.records import Json, RunRecord
from reports.history.model import ProvenanceChange
from reports.history.words import short
from reports.provenance import mapping

# What may explain a step, the likeliest first. The delegation is drawn with them, and is an
# effect of one: it explains nothing by itself.
MODEL, RUNTIME, RUNNER = "model", "runtime", "runner"
DELEGATION = "delegation"
START, SPOILT = "start temperature", "spoilt launches"
_POLICY = "run policy"
_ORDER = (
    MODEL,
    RUNTIME,
    RUNNER,
    "GPU driver",
    "OS build",
    "kernel",
    "controls",
    "device unit",
    _POLICY,
    "edgebench",
    "processor",
    "board",
    "libc",
)
# Starting that much hotter or cooler is worth a word (METHOD section 4 says so of pairs).
_DEGREES = 3.0
# Of a plan's measure, what says how long, how often and how cool.
_OF_PLAN = ("rounds", "precision", "max_rounds", "start_c", "cool_s")
_SHA_DIGITS = 12

Known: TypeAlias = tuple[str, ...]
_Policy: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Of an environment: what -> text, and its limits."""

    facts: Mapping[str, str]
    limits: _Policy


class Provenances:
    """Tells points apart by what they were measured with.

    Args:
        environments: facts by environment_id, as the launches' records have them.
        runs: by run_id.
    """

    def __init__(
        self, environments: Mapping[str, Mapping[str, Any]], runs: Mapping[str, RunRecord]
    ) -> None:
        self._places = {key: _place(facts) for key, facts in environments.items()}
        self._runs = {key: (run.edgebench_version, _plan_policy(run)) for key, run in runs.items()}
        self._known: dict[tuple[object, ...], tuple[ProvenanceChange, ...]] = {}

    def between(self, before: Point, after: Point) -> tuple[ProvenanceChange, ...]:
        """What of the one is another in the other, causes only, the likeliest first; of an
        environment only where both have one."""
        mine, theirs = self._key(before), self._key(after)
        if mine == theirs:
            return ()
        # Points of many series were measured with the same.
        key = (mine, theirs)
        if key not in self._known:
            self._known[key] = self._differences(before, after)
        return self._known[key]

    def across(self, before: Point, after: Point) -> tuple[ProvenanceChange, ...]:
        """`between` for a step: also how warm the device was, where that differs."""
        return (*self.between(before, after), *warmer(before.start_c, after.start_c))

    def along(
        self, points: Sequence[Point]
    ) -> tuple[tuple[int, tuple[ProvenanceChange, ...]], ...]:
        """(position, what changed there, the delegation last) of a series; points of which
        nothing is known are looked past."""
        found = []
        last: Point | None = None
        for position, point in enumerate(points):
            if point.environment_id is None and point.model_sha256 is None:
                continue
            if last is not None and (
                changed := (*self.between(last, point), *_other_delegation(last, point))
            ):
                found.append((position, changed))
            last = point
        return tuple(found)

    def _key(self, point: Point) -> tuple[object, ...]:
        return (
            point.environment_id,
            self._runs.get(point.run_id),
            point.model_sha256,
            point.runtime,
        )

    def _differences(self, before: Point, after: Point) -> tuple[ProvenanceChange, ...]:
        old, new = (self._places.get(p.environment_id or "") for p in (before, after))
        both = old is not None and new is not None
        mine, theirs = self._facts(old, before), self._facts(new, after)
        if old is not None and new is not None:
            mine[_POLICY], theirs[_POLICY] = _only_differing(
                self._policy(old, before), self._policy(new, after)
            )
        changed = []
        for what in _ORDER:
            then, now = mine.get(what, ""), theirs.get(what, "")
            if then != now and (both or (then and now)):
                changed.append(ProvenanceChange(what, then, now))
        return tuple(changed)

    def _facts(self, place: _Place | None, point: Point) -> dict[str, str]:
        version, _ = self._runs.get(point.run_id, ("", ()))
        return {
            **(place.facts if place is not None else {}),
            MODEL: (point.model_sha256 or "")[:_SHA_DIGITS],
            RUNTIME: point.runtime,
            "edgebench": version,
        }

    def _policy(self, place: _Place, point: Point) -> _Policy:
        _, plan = self._runs.get(point.run_id, ("", ()))
        return (*place.limits, *plan)


def unexplained(good: Point, bad: Point) -> str:
    """What is said where nothing that could be a cause differs between two points."""
    if None in (good.environment_id, bad.environment_id):
        return "What it was measured with is not recorded."
    return f"Nothing that is recorded changed since run {short(good.run_id)}."


def _other_delegation(before: Point, after: Point) -> tuple[ProvenanceChange, ...]:
    then, now = delegation_text(before), delegation_text(after)
    return (ProvenanceChange(DELEGATION, then, now),) if then and now and then != now else ()


def delegation_text(point: Point) -> str:
    """ "FULL 65/65", "PARTIAL", ""."""
    if point.coverage is None:
        return ""
    if point.delegated_nodes is None or point.total_nodes is None:
        return point.coverage
    return f"{point.coverage} {point.delegated_nodes}/{point.total_nodes}"


def warmer(before_c: float | None, after_c: float | None) -> tuple[ProvenanceChange, ...]:
    """The start temperature as a change, where it is one."""
    if before_c is None or after_c is None or abs(after_c - before_c) < _DEGREES:
        return ()
    return (ProvenanceChange(START, f"{before_c:.0f} °C", f"{after_c:.0f} °C"),)


def common(
    changes: Iterable[tuple[ProvenanceChange, ...]],
) -> tuple[ProvenanceChange, ...]:
    """Those that all of them have, in the order of the first."""
    each = list(changes)
    return tuple(one for one in (each[0] if each else ()) if all(one in other for other in each))


def in_words(changes: Sequence[ProvenanceChange], most: int = 4) -> str:
    """ "runtime (2.2 → 2.3), kernel (6.1 → 6.6) and 2 more"."""
    shown = [
        f"{one.what} ({one.before or 'not recorded'} → {one.after or 'not recorded'})"
        for one in changes[:most]
    ]
    left = len(changes) - most
    return ", ".join(shown) + (f" and {left} more" if left > 0 else "")


def facts_of(environment: Json) -> Mapping[str, str]:
    """What -> text, of a launch's environment; "" where it was not recorded."""
    return _place(environment).facts


def _place(environment: Json) -> _Place:
    device = mapping(environment, "device")
    cpu, count = device.get("cpu_model"), device.get("cpu_count")
    facts = {
        RUNNER: _runner(environment),
        "GPU driver": _driver(mapping(device, "android")),
        "OS build": _text(device.get("os")),
        "kernel": _text(device.get("kernel")),
        "controls": _controls(environment.get("controls")),
        "device unit": _text(device.get("unit"))[:8],
        "processor": f"{cpu} x {count}" if cpu and count else _text(cpu),
        "board": _text(device.get("board")),
        "libc": _text(device.get("libc")),
    }
    limits = mapping(environment, "limits")
    return _Place(facts, tuple(sorted((key, _text(value)) for key, value in limits.items())))


def _runner(environment: Json) -> str:
    """Version and sha256 of the program, and of what helps it."""
    words = [_text(environment.get("runner_version"))]
    words += [
        _text(environment.get(f"runner_{part}"))[:_SHA_DIGITS]
        for part in ("sha256", "script_sha256", "clock_sha256")
    ]
    return " ".join(filter(None, words))


def _driver(android: Json) -> str:
    parts = [_text(android.get("gles"))]
    parts += [
        f"{name} {value}"
        for name, key in (("Vulkan", "vulkan"), ("OpenCL", "opencl"))
        if (value := _text(android.get(key)))
    ]
    return ", ".join(filter(None, parts))


def _controls(value: object) -> str:
    """What was asked for and what became of it; a device as it was found has none."""
    found = value if isinstance(value, list | tuple) else ()
    texts = []
    for control in found:
        if not isinstance(control, Mapping):
            continue
        outcome = _text(control.get("outcome"))
        held = outcome in ("applied", "already")
        texts.append(
            f"{control.get('name')}={control.get('wanted')}{'' if held else f' ({outcome})'}"
        )
    return ", ".join(texts) or "none"


def _plan_policy(run: RunRecord) -> _Policy:
    measure = mapping(run.plan, "measure")
    return tuple((key, _text(measure[key])) for key in _OF_PLAN if key in measure)


def _only_differing(before: _Policy, after: _Policy) -> tuple[str, str]:
    mine, theirs = dict(before), dict(after)
    keys = [key for key in dict.fromkeys((*mine, *theirs)) if mine.get(key) != theirs.get(key)]

    def text(of: Mapping[str, str]) -> str:
        return ", ".join(f"{key} {of[key] or 'none'}" for key in keys if key in of)

    return text(mine), text(theirs)


def _text(value: object) -> str:
    return "" if value is None else str(value)
