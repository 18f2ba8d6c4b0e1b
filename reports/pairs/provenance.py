"""What else differs between two cases: causes to name, not reasons to refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.records import LaunchRecord
from reports.history.model import ProvenanceChange
from reports.history.provenance import facts_of, warmer
from reports.measured import MeasuredCase
from reports.pairs.sides import SideCase
from reports.provenance import mapping

_SHORT_SHA256 = 12
# What goes with a dimension that was asked to differ, and is no news then.
_IMPLIED = {
    "model": ("model",),
    "variant": ("model",),
    "runtime": ("runtime",),
    "device": ("device unit", "processor", "kernel", "board"),
}
# Judged by itself: what differs in it is not compared.
_CONTROLS = "controls"


def changes(
    a: SideCase, b: SideCase, differing: Sequence[str] = ()
) -> tuple[ProvenanceChange, ...]:
    """What differs, the likeliest causes first: model, runtime, runner, system, conditions.

    Args:
        differing: dimensions that were asked to differ; what goes with them is left out.
    """
    ours, theirs = _facts(a), _facts(b)
    implied = {what for dimension in differing for what in _IMPLIED.get(dimension, ())}
    found = [
        ProvenanceChange(what, ours.get(what, ""), theirs.get(what, ""))
        for what in dict.fromkeys((*ours, *theirs))
        if what not in implied and ours.get(what, "") != theirs.get(what, "")
    ]
    return (*found, *warmer(_start_c(a.measured), _start_c(b.measured)))


def other_controls(a: SideCase, b: SideCase) -> str | None:
    """How the state that was kept while measuring differs, one line; None where it does not.

    On one device what was wanted and what became of it, on two only what was wanted: the
    names of governors are those of a kernel.
    """
    whole = a.measured.case.device == b.measured.case.device
    ours, theirs = _controls(a.measured.used, whole), _controls(b.measured.used, whole)
    if ours == theirs:
        return None
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    return "; ".join(
        f"{name} {ours.get(name, 'not set')} in A, {theirs.get(name, 'not set')} in B"
        for name in names
    )


def _start_c(case: MeasuredCase) -> float | None:
    """Median temperature before its used launches, in degrees Celsius; None without any."""
    found = [mapping(x.conditions, "before").get("temperature_c") for x in case.used]
    known = [c for c in found if isinstance(c, int | float) and not isinstance(c, bool)]
    return float(np.median(known)) if known else None


def _facts(case: SideCase) -> dict[str, str]:
    """What -> text, of its last used launch; "" where it was not recorded."""
    if not case.measured.used:
        return {}
    launch = case.measured.used[-1]
    runtime = {} if launch.measurement is None else launch.measurement.runtime
    sha256 = launch.environment.get("model_sha256") or case.row.model_sha256 or ""
    facts = {
        "model": str(sha256)[:_SHORT_SHA256],
        "runtime": " ".join(str(runtime[key]) for key in ("name", "version") if key in runtime),
        **facts_of(launch.environment),
        "Python": str(runtime.get("python", "")),
        "edgebench": case.data.run.edgebench_version,
    }
    del facts[_CONTROLS]
    return facts


def _controls(launches: Sequence[LaunchRecord], whole: bool) -> dict[str, str]:
    """Control -> what was wanted, and with `whole` what became of it."""
    found = {}
    for launch in launches:
        given = launch.environment.get("controls")
        for control in given if isinstance(given, list | tuple) else ():
            if isinstance(control, Mapping):
                wanted = str(control.get("wanted", ""))
                found[str(control.get("name"))] = _became(control) if whole else wanted
    return found


def _became(control: Mapping[str, Any]) -> str:
    # "already" and "applied" leave the device in the same state.
    outcome = control.get("outcome")
    held = outcome in ("applied", "already")
    return f"{control.get('wanted')}{'' if held else f' ({outcome})'}"
