"""What `edgebench devices` says of one device, before it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from devices.lease import LeaseState
from devices.roll_call import Spotted
from devices.survey import Seen


@dataclass(frozen=True, slots=True)
class Row:
    """One device; None is what nobody knows.

    Attributes:
        recorded: whether it stands in the inventory.
        simulated: an emulator, whose numbers never count as real.
        state: "free", "in use", "no answer", "unauthorized", "unclear", "not asked", or
            adb's word for what is wrong.
        problem: what to do, or why it did not answer; one line.
        model, soc, system: of its facts, else of those that were stored.
        facts_stored: whether they are stored ones.
        temperature_c: of the processor.
        lease: None where free or not asked.
    """

    name: str
    kind: str
    address: str
    labels: tuple[str, ...]
    recorded: bool
    simulated: bool
    state: str
    problem: str | None
    model: str | None
    soc: str | None
    system: str | None
    facts_stored: bool
    temperature_c: float | None
    battery_percent: int | None
    charging: bool | None
    lease: LeaseState | None

    def to_json(self) -> dict[str, Any]:
        """Field names as keys; of a lease all but what proves to be its owner."""
        value = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**value, "labels": list(self.labels), "lease": _lease_json(self.lease)}


def row_of(spotted: Spotted, seen: Seen | None, stored: Mapping[str, Any] | None) -> Row:
    """Args: seen: None where it was not asked. stored: its facts as last read."""
    entry = spotted.entry
    read = seen.facts.to_json() if seen and seen.facts else None
    facts = read or stored or {}
    state = seen.state if seen else None
    return Row(
        name=entry.name,
        kind=entry.kind,
        address=entry.address,
        labels=entry.labels,
        recorded=spotted.recorded,
        simulated=entry.simulated,
        state=_state(spotted, seen),
        problem=spotted.advice or (seen.problem if seen else None),
        model=_model(facts) or (spotted.model and spotted.model.replace("_", " ")),
        soc=_soc(facts),
        system=_system(facts),
        facts_stored=read is None and bool(facts),
        temperature_c=state.temperature_c if state else None,
        battery_percent=state.battery_percent if state else None,
        charging=state.charging if state else None,
        lease=seen.lease if seen else None,
    )


def _state(spotted: Spotted, seen: Seen | None) -> str:
    if not spotted.usable:
        return str(spotted.state)
    if seen is None:
        return "not asked"
    if not seen.reached:
        return "unauthorized" if seen.refused else "no answer"
    if seen.in_use:
        return "in use"
    # Whether it is free is known only where its lease could be looked at.
    return "unclear" if seen.problem and seen.state is None else "free"


def _model(facts: Mapping[str, Any]) -> str | None:
    android = facts.get("android")
    if isinstance(android, dict):
        maker, model = _text(android, "manufacturer"), _text(android, "model")
        if maker and model and not model.casefold().startswith(maker.casefold()):
            return f"{maker} {model}"
        return model or maker
    return _text(facts, "board") or _text(facts, "cpu_model")


def _soc(facts: Mapping[str, Any]) -> str | None:
    soc = _text(facts, "soc")
    # Boards have the device tree's "vendor,chip".
    return soc.rpartition(",")[2] if soc and facts.get("kind") == "linux" else soc


def _system(facts: Mapping[str, Any]) -> str | None:
    android = facts.get("android")
    if isinstance(android, dict):
        release = _text(android, "release")
        return f"Android {release}" if release else "Android"
    system = _text(facts, "os")
    return system.replace("GNU/Linux ", "") if system else None


def _text(facts: Mapping[str, Any], key: str) -> str | None:
    """A value of stored facts, which anybody may have edited."""
    value = facts.get(key)
    return value if isinstance(value, str) and value else None


def _lease_json(lease: LeaseState | None) -> dict[str, Any] | None:
    if lease is None:
        return None
    owner = lease.owner and {
        name: getattr(lease.owner, name) for name in ("user", "host", "pid", "purpose")
    }
    return {
        "owner": owner,
        "live": lease.live,
        "held_s": lease.held_s,
        "left_s": lease.left_s,
        "pending": [asdict(entry) for entry in lease.pending],
    }
