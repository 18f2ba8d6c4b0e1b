"""Examine one device: is a true measurement possible on it, and if not, what to repair."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from devices.controls_base import Hands, Paths
from devices.deadline import Deadline
from devices.device import Device
from devices.doctor_finding import Finding
from devices.doctor_probe import RUNTIME, SCRIPT, Probe, UnreadableProbe, parse_probe
from devices.doctor_setup import (
    judge_clock,
    judge_controls,
    judge_gpu,
    judge_lease,
    judge_link,
    judge_place,
    judge_runtime,
    judge_simulated,
)
from devices.doctor_state import judge_clocks, judge_heat, judge_power
from devices.errors import DeviceError, TransferError
from devices.facts import Facts, read_facts
from devices.inventory import DeviceEntry
from devices.lease import look
from devices.survey import in_words
from devices.telemetry import snapshot

_SENT_BYTES = 1 << 20
_CLEAN_UP_S = 5.0


def examine(
    device: Device,
    entry: DeviceEntry,
    find_tool: Callable[[Facts], str | None],
    deadline: Deadline,
) -> tuple[Finding, ...]:
    """What is well, doubtful and broken. Nothing stays changed on the device.

    One that is in use is left alone: the examination would be in its owner's figures.

    Args:
        find_tool: the benchmark_model that would measure on it, in words; None without one.

    Raises nothing: a device that does not answer is a finding.
    """
    found: list[Finding] = []
    try:
        for finding in _examine(device, entry, find_tool, deadline):
            found.append(finding)
    except DeviceError as error:
        found.append(Finding("reach", "failure", in_words(error)))
    return tuple(found)


def _examine(
    device: Device,
    entry: DeviceEntry,
    find_tool: Callable[[Facts], str | None],
    deadline: Deadline,
) -> Iterator[Finding]:
    transport = device.transport
    transport.run(["true"], deadline=deadline)  # makes the connection
    began = time.monotonic()
    transport.run(["true"], deadline=deadline)
    round_trip_s = time.monotonic() - began
    lease = look(transport, device.lease_place, deadline=deadline)
    yield judge_lease(lease)
    if lease is not None and lease.live:
        return
    facts = read_facts(transport, deadline)
    if finding := judge_simulated(entry, facts):
        yield finding
    state = snapshot(transport, deadline)
    probe, here_s = _probe(device, deadline)
    yield from judge_place(device.workdir, probe)
    yield judge_runtime(entry.kind, device.python, probe, find_tool(facts))
    if finding := judge_gpu(facts):
        yield finding
    yield from judge_power(state)
    yield from judge_heat(state)
    yield from judge_clocks(facts, state)
    yield judge_clock(probe.epoch_s, here_s)
    hands = Hands(transport, deadline=deadline, over_network=False, paths=Paths(), hold_s=0.0)
    yield judge_controls(entry.controls, hands.root())
    if not probe.place_problem and entry.kind != "local":
        yield judge_link(round_trip_s, _SENT_BYTES, _push_s(device, deadline))


def _probe(device: Device, deadline: Deadline) -> tuple[Probe, float]:
    """The probe, and this machine's clock in the middle of it, s since 1970."""
    argv = ["sh", "-c", SCRIPT, "edgebench", device.workdir, device.python or "", RUNTIME]
    began = time.time()
    result = device.transport.run(argv, deadline=deadline).check()
    try:
        # Its clock is read first, so the beginning is nearer than the end.
        return parse_probe(result.text), began
    except UnreadableProbe as error:
        raise TransferError(str(error), device=device.name, stderr=result.stderr) from error


def _push_s(device: Device, deadline: Deadline) -> float:
    """Seconds that a file takes to the device; it is removed again."""
    transport = device.transport
    target = f"{device.workdir}/.doctor-{os.getpid()}"
    there = transport.run(["test", "-d", device.workdir], deadline=deadline).exit_code == 0
    with tempfile.TemporaryDirectory(prefix="edgebench-doctor-") as folder:
        source = Path(folder, "bytes")
        source.write_bytes(os.urandom(_SENT_BYTES))  # nothing that a link could compress
        began = time.monotonic()
        try:
            transport.push(source, target, deadline=deadline)
            return time.monotonic() - began
        finally:
            with suppress(DeviceError):
                transport.run(["rm", "-f", target], deadline=Deadline(_CLEAN_UP_S))
                if not there:
                    transport.run(["rmdir", device.workdir], deadline=Deadline(_CLEAN_UP_S))
