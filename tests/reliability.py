"""One run of the real pipeline on one device, and the moment of it at which a fault strikes.

What runs is bench.run.carry_out with a real store. The tool is the stand-in that sleeps,
behind a script that writes down on the device which launch began and which ended: against
that the store is held afterwards.
"""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import device_run, link, session
from bench.fleet import DeviceProblem
from bench.plan import Plan, resolve
from bench.planfile import parse_plan
from bench.records import LaunchRecord, Outcome, RunData, RunStatus
from bench.run import carry_out, start_run
from bench.runners.choose import runner_for
from bench.store import Store, open_store
from devices import launch, launch_sh, lease_sh
from devices.deadline import Deadline
from devices.device import Device, local_device
from devices.facts import read_facts
from devices.inventory import DeviceEntry, Inventory
from devices.transport import CommandResult, Progress, Transport, no_progress
from tests.models import float_model, write_model

CASES, ROUNDS = 2, 2
TIMEOUT_S = 8.0
# The launch that is struck: the sentinel is the first, so that one of the plan is stored.
_STRUCK = 3
# Into the sleep of the stand-in, behind the conditions that are read before it.
_UNDER_WAY_S = 0.25

PLAN = """
project = "reliability"
[[model]]
name = "m"
files = {{ fp32 = "m.tflite" }}
[measure]
devices = ["device"]
runners = ["benchmark_model"]
threads = [1]
rounds = {rounds}
timeout_s = {timeout_s:g}
away_s = {away_s:g}
profile = "off"
numerics = "off"
controls = {{ {controls} }}
"""

TOOL = """#!/bin/sh
# Writes down what really ran; the rest is the stand-in's.
unset LD_PRELOAD
export EDGEBENCH_PYTHON='{python}' EDGEBENCH_STANDIN='{standin}' PYTHONPATH='{root}'
export PYTHONDONTWRITEBYTECODE=1
echo "begin ${{PWD##*/}}" >> '{ran}'
"$EDGEBENCH_PYTHON" -P -m devices.emulated.standin.classic "$0" "$@"
code=$?
echo "end ${{PWD##*/}} $code" >> '{ran}'
exit "$code"
"""


@dataclass(frozen=True, slots=True)
class Lab:
    """What one controller needs; can be pickled.

    Attributes:
        folder: of plan, model and tool; store: file of the store.
        android: or a Linux board.
        controls: wanted by the plan, as TOML; away_s: of the plan.
    """

    folder: Path
    store: Path
    android: bool
    controls: str = ""
    away_s: float = 60.0

    @property
    def tool(self) -> Path:
        return self.folder / "tool"

    def plan(self) -> Plan:
        text = PLAN.format(
            rounds=ROUNDS, timeout_s=TIMEOUT_S, away_s=self.away_s, controls=self.controls
        )
        entry = DeviceEntry(
            name="device",
            kind="android" if self.android else "linux",
            serial="of the rig" if self.android else None,
            host=None if self.android else "of the rig",
            simulated=True,
        )
        config = parse_plan(tomllib.loads(text), where="the lab")
        return resolve(config, self.folder, Inventory((entry,)))


def lay_out(folder: Path, *, ran: str, standin: str, python: str, root: Path) -> None:
    """Model and tool of a lab.

    Args:
        ran: file on the device for what really ran; standin: file there with its Build.
    """
    write_model(folder / "m.tflite", float_model())
    tool = folder / "tool"
    tool.write_text(TOOL.format(ran=ran, standin=standin, python=python, root=root))
    tool.chmod(0o755)


# Moments


class Watched:
    """A transport that says when the call of a moment begins, once.

    Args:
        moment: push, start, run, pull or between, all of the launch that is struck; or
            lease, controls, release, removed, which are named after what was just done.
        strike: called when it is there.
    """

    def __init__(self, transport: Transport, moment: str, strike: Callable[[], None]) -> None:
        self._transport = transport
        self._moment: str | None = moment
        self._strike = strike
        self._starts = 0
        self._pushes = 0

    @property
    def device(self) -> str:
        return self._transport.device

    def run(
        self, argv: Sequence[str], *, deadline: Deadline, stdin: bytes | None = None
    ) -> CommandResult:
        script = argv[2] if len(argv) > 2 else ""
        self._starts += script == launch_sh.START
        struck = self._starts == _STRUCK
        if struck and script == launch_sh.START:
            self._at("start")
        elif struck and script == launch_sh.WAIT and self._moment == "run":
            self._moment = None
            threading.Timer(_UNDER_WAY_S, self._strike).start()
        elif struck and script == launch_sh.FETCH:
            self._at("pull")
        elif struck and script == lease_sh.RENEW:
            self._at("between")
        result = self._transport.run(argv, deadline=deadline, stdin=stdin)
        if script == lease_sh.ACQUIRE:
            self._at("lease")
        elif script == lease_sh.APPEND:
            self._at("journal")
        elif script == lease_sh.RELEASE:
            self._at("release")
        elif script == launch_sh.WAIT and not self._starts:
            self._at("recovery")
        elif struck and script == launch_sh.START:
            self._at("started")
        elif "settings" in argv[:1] and "put" in argv:
            self._at("change")
        return result

    def push(
        self,
        source: Path,
        target: str,
        *,
        deadline: Deadline,
        mode: int = 0o644,
        on_progress: Progress = no_progress,
    ) -> None:
        self._pushes += 1
        if self._pushes == 2:
            self._at("push")
        self._transport.push(source, target, deadline=deadline, mode=mode, on_progress=on_progress)
        if self._pushes == 2:
            self._at("pushed")

    def pull(self, source: str, target: Path, *, deadline: Deadline) -> None:
        self._transport.pull(source, target, deadline=deadline)

    def stream(self, argv: Sequence[str], *, deadline: Deadline) -> Iterator[bytes]:
        return self._transport.stream(argv, deadline=deadline)

    def _at(self, moment: str) -> None:
        if self._moment == moment:
            self._moment = None
            self._strike()


class WatchedStore:
    """A store that says when the launch that is struck is about to be stored, or just was."""

    def __init__(self, store: Store, moment: str, strike: Callable[[], None]) -> None:
        self._store = store
        self._moment = moment
        self._strike = strike
        self._kept = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def add_launch(self, record: LaunchRecord) -> None:
        self._kept += 1
        if self._kept == _STRUCK and self._moment == "collected":
            self._strike()
        self._store.add_launch(record)
        if self._kept == _STRUCK and self._moment == "stored":
            self._strike()


# Runs


@contextmanager
def hurried() -> Iterator[None]:
    """Patience cut to what a test has; the ways that are taken are the same."""
    shorter: tuple[tuple[Any, str, float], ...] = (
        (launch, "_SLICE_S", 2),
        (launch, "_ANSWER_S", 4.0),
        (launch, "_FETCH_S", 6.0),
        (launch, "_RECONNECT_S", 0.3),
        (session, "HOUSEKEEPING_S", 6.0),
        (link, "_LOOK_EVERY_S", 0.3),
        (link, "_ANSWER_S", 4.0),
        (device_run, "STEP_S", 10.0),
        (device_run, "_PUSH_BASE_S", 10.0),
    )
    before = [(module, name, getattr(module, name)) for module, name, _ in shorter]
    for module, name, value in shorter:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def measure(
    lab: Lab,
    device: Device,
    *,
    moment: str = "",
    strike: Callable[[], None] = lambda: None,
) -> tuple[DeviceProblem, ...]:
    """Begin the run of a lab, or go on with it where its store has one.

    Raises: what bench.run.carry_out raises.
    """
    plan = lab.plan()
    watched = replace(device, transport=Watched(device.transport, moment, strike))
    with open_store(lab.store, write=True) as store:
        runs = store.runs()
        if runs:
            run_id = runs[0].run_id
            store.reopen_run(run_id)
        else:
            host = read_facts(local_device().transport, deadline=Deadline(30))
            run_id = start_run(plan, store, host, simulated=True)
        return carry_out(
            plan,
            WatchedStore(store, moment, strike),  # type: ignore[arg-type]
            run_id,
            {device.name: watched},
            runner_for=lambda kind, d, facts: runner_for(kind, d, facts, tool=lab.tool),
            emit=lambda event: None,
        )


def stored(lab: Lab) -> RunData:
    """The one run of a lab."""
    with open_store(lab.store, write=False) as store:
        (run,) = store.runs()
        return store.load(run.run_id)


# What has to be true afterwards


@dataclass(frozen=True, slots=True)
class Ran:
    """What the device wrote down of the programs that really ran.

    Attributes:
        begun: launch ids, in order; ended: those that came to their own end.
        ended_twice: those that did so more than once.
    """

    begun: tuple[str, ...]
    ended: frozenset[str]
    ended_twice: frozenset[str] = frozenset()


def parse_ran(text: str) -> Ran:
    lines = [line.split() for line in text.splitlines()]
    assert all(line[0] in ("begin", "end") for line in lines), text
    ends = [line[1] for line in lines if line[0] == "end"]
    return Ran(
        tuple(line[1] for line in lines if line[0] == "begin"),
        frozenset(ends),
        frozenset(identifier for identifier in ends if ends.count(identifier) > 1),
    )


def problems_of(
    data: RunData,
    ran: Ran,
    *,
    crashes: int = 0,
    unwritten: frozenset[str] = frozenset(),
    ended_by_us: bool = False,
) -> list[str]:
    """What is wrong with a run that was completed; nothing is as it should be.

    Args:
        crashes: how many programs were killed on the device.
        unwritten: launches whose output a full disk cut off, so that they are made again.
        ended_by_us: whether Ctrl-C ended a launch, which then is made again.
    """
    found = []
    if data.run.status is not RunStatus.FINISHED:
        found.append(f"the run is {data.run.status}")
    records = {record.launch_id: record for record in data.launches}
    if len(records) != len(data.launches):
        found.append("a launch is stored twice")
    answered = {i for i, r in records.items() if r.measurement is not None}
    crashed = {i for i, r in records.items() if r.outcome is Outcome.CRASHED}
    again = {i for i in ran.begun if ran.begun.count(i) > 1} - unwritten
    if twice := again & ran.ended_twice if ended_by_us else again:
        found.append(f"{len(twice)} launches ran twice")
    if lost := ran.ended - answered - unwritten:
        why = sorted({f.message for i in lost if i in records and (f := records[i].failure)})
        found.append(f"{len(lost)} launches that ended on the device are lost: {'; '.join(why)}")
    if invented := answered - ran.ended:
        found.append(f"{len(invented)} results of launches that did not end")
    if len(crashed) != crashes:
        found.append(f"{len(crashed)} crashes are stored, {crashes} happened")
    planned = [p.case.case_id for p in data.cases if p.case.model == "m"]
    if len(planned) != CASES:
        found.append(f"{len(planned)} cases are planned")
    for case_id in planned:
        for index in range(ROUNDS):
            of_slot = sorted(
                (r for r in data.launches if (r.case_id, r.index) == (case_id, index)),
                key=lambda r: r.attempt,
            )
            found += _of_slot(of_slot)
    return found


def _of_slot(records: Sequence[LaunchRecord]) -> Iterator[str]:
    """One case in one round: launched again only after what was the device's fault."""
    if [r.attempt for r in records] != list(range(len(records))) or not records:
        yield f"attempts are {[r.attempt for r in records]}"
        return
    *earlier, last = records
    for record in earlier:
        if record.outcome is not Outcome.DEVICE_FAILED and not record.taints:
            yield f"launched again although the outcome was {record.outcome}"
    if last.outcome not in (Outcome.OK, Outcome.CRASHED):
        why = last.failure.message if last.failure else ""
        yield f"the last of {len(records)} launches: {last.outcome}: {why}"


def told(data: RunData, problems: Sequence[Sequence[str]]) -> str:
    """What became of a run, in a few words."""
    said = []
    launches = [r for r in data.launches if r.outcome is not Outcome.OK]
    links = [r for r in data.launches if r.conditions.get("link") and r.measurement is not None]
    if problems:
        times = "once" if len(problems) == 1 else f"{len(problems)} times"
        said.append(f"resumed {times}")
    else:
        said.append("the run went on")
    if links:
        said.append(f"{len(links)} collected after the link was back")
    for outcome in dict.fromkeys(r.outcome for r in launches):
        of_it = [r for r in launches if r.outcome == outcome]
        word = {
            Outcome.DEVICE_FAILED: "repeated, its first try on record",
            Outcome.CRASHED: "a crash",
        }
        said.append(f"{len(of_it)} launch {word.get(outcome, outcome)}")
    return "; ".join(said)
