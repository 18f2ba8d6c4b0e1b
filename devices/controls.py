"""The controls there are, applied before a run and put back after it.

Whatever is changed is in the journal of the lease before, so that it is put back also by
another controller after a crash. What is put back is what was read, not a default.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from devices.controls_android import (
    Airplane,
    Animations,
    Background,
    FixedPerformance,
    Screen,
    StayAwake,
    TfliteTrace,
)
from devices.controls_base import (
    Control,
    ControlResult,
    Hands,
    NotPossible,
    Paths,
    StateControl,
)
from devices.controls_cpu import Cores, Fan, Governor, MaxFrequency, MinFrequency
from devices.deadline import Deadline
from devices.errors import StableDeviceError, Unsupported
from devices.journal import Entry, Journal
from devices.transport import Transport

__all__ = [
    "CONTROLS",
    "ControlResult",
    "Paths",
    "RestoreResult",
    "apply_controls",
    "check_controls",
    "restore",
    "trace_ops",
]

_KERNEL = Paths()
_HOLD_S = 3.0

# In the order in which they are applied: a governor sets limits anew, and raising max_khz
# first makes room for min_khz.
CONTROLS: Mapping[str, Control] = {
    control.name: control
    for control in (
        StayAwake(),
        Screen(),
        Animations(),
        Airplane(),
        FixedPerformance(),
        Background(),
        Fan(),
        Governor(),
        MaxFrequency(),
        MinFrequency(),
        Cores(),
    )
}
# No plan may ask for it: timed launches would be slower.
_TRACE = TfliteTrace()
_KNOWN: Mapping[str, Control] = {**CONTROLS, _TRACE.name: _TRACE}


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What became of one thing to put back.

    Attributes:
        name: of the control; target: what of the device.
        value: what was found there before us.
        restored: False leaves it in the journal, for the next owner of the lease.
        reason: why not, or None.
    """

    name: str
    target: str
    value: str
    restored: bool
    reason: str | None = None


def check_controls(wanted: Mapping[str, str]) -> None:
    """Raise ValueError for a control that there is not, or a value that it never takes.

    A "!" at the end of a value makes it required.
    """
    for name, text in wanted.items():
        control = CONTROLS.get(name)
        if control is None:
            close = difflib.get_close_matches(name, CONTROLS, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(CONTROLS)}"
            raise ValueError(f"there is no control {name!r}; {hint}")
        value, _ = _split(text)
        if not control.accepts(value):
            raise ValueError(f"{name} takes {control.takes}, not {text!r}")


def apply_controls(
    transport: Transport,
    kind: str,
    over_network: bool,
    wanted: Mapping[str, str],
    journal: Journal,
    *,
    deadline: Deadline,
    paths: Paths = _KERNEL,
    hold_s: float = _HOLD_S,
) -> tuple[ControlResult, ...]:
    """Have a device in the wanted state, as far as it lets us.

    Args:
        kind: of the device, "linux" or "android".
        over_network: True where the link is a network that a control could switch off.
        wanted: name of a control -> value, with "!" where it is required.
        journal: of our lease.
        paths: where the kernel's files are.
        hold_s: for how long a written value is waited for until it is read back.

    Returns: one result per wanted control; one that was refused or is unsupported says why.
    Raises: ValueError as check_controls, Unsupported where a required one cannot be had
    (then all are put back), LeaseLost, and what Transport.run raises: then call `restore`.
    """
    check_controls(wanted)
    hands = Hands(
        transport, deadline=deadline, over_network=over_network, paths=paths, hold_s=hold_s
    )
    results = []
    for name, control in CONTROLS.items():
        if name not in wanted:
            continue
        value, required = _split(wanted[name])
        try:
            if kind not in control.kinds:
                raise NotPossible("unsupported", f"there is no such thing on {kind} devices")
            results.append(control.apply(hands, value, journal))
        except NotPossible as problem:
            if required:
                left = sum(not item.restored for item in _restore(hands, journal))
                note = f"; {left} changes could not be put back" if left else ""
                raise Unsupported(
                    f"{name} = {value} is required, but: {problem.reason}{note}",
                    device=transport.device,
                ) from None
            results.append(ControlResult(name, value, None, None, problem.outcome, problem.reason))
    return tuple(results)


def trace_ops(
    transport: Transport, journal: Journal, *, deadline: Deadline, hold_s: float = _HOLD_S
) -> ControlResult:
    """Have TFLite on an Android name its ops in system traces, until `restore`.

    That is `debug.tflite.trace`. Arguments, result and errors as of `apply_controls`.
    """
    hands = Hands(transport, deadline=deadline, over_network=False, paths=_KERNEL, hold_s=hold_s)
    try:
        return _TRACE.apply(hands, "on", journal)
    except NotPossible as problem:
        return ControlResult(_TRACE.name, "on", None, None, problem.outcome, problem.reason)


def restore(
    transport: Transport,
    journal: Journal,
    *,
    deadline: Deadline,
    over_network: bool = False,
    paths: Paths = _KERNEL,
    hold_s: float = _HOLD_S,
) -> tuple[RestoreResult, ...]:
    """Put back everything in the journal, last change first; may be called again and again.

    What cannot be put back stays in the journal and is reported, not raised.
    Arguments and errors as of `apply_controls`.
    """
    hands = Hands(
        transport, deadline=deadline, over_network=over_network, paths=paths, hold_s=hold_s
    )
    return _restore(hands, journal)


def _restore(hands: Hands, journal: Journal) -> tuple[RestoreResult, ...]:
    # Of several changes of one thing, the first has the value that was found.
    groups: dict[tuple[str, str], list[Entry]] = {}
    void: list[Entry] = []
    for entry in journal.pending(deadline=hands.deadline):
        control = _KNOWN.get(entry.control)
        restarted = entry.boot != journal.boot
        if restarted and isinstance(control, StateControl) and not control.lasting:
            void.append(entry)  # the restart itself put it back
        else:
            groups.setdefault((entry.control, entry.target), []).append(entry)
    results, done = [], void
    for (name, target), entries in reversed(groups.items()):
        why = _put_back(hands, name, target, entries[0].previous)
        results.append(RestoreResult(name, target, entries[0].previous, not why, why or None))
        if not why:
            done += entries
    journal.settle(done, deadline=hands.deadline)
    return tuple(results)


def _put_back(hands: Hands, name: str, target: str, previous: str) -> str:
    control = _KNOWN.get(name)
    if not isinstance(control, StateControl):
        return "this version of edgebench does not know it"
    try:
        return control.put_back(hands, target, previous)
    except NotPossible as problem:
        return problem.reason
    except StableDeviceError as error:
        return error.message


def _split(text: str) -> tuple[str, bool]:
    return text.removesuffix("!"), text.endswith("!")
