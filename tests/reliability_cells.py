"""The fault matrix: every fault at every moment, and what must be true after each.

docs/reliability.md is written from these cells by scripts/reliability.
"""

from __future__ import annotations

import re
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.reliability import Lab, hurried, measure, problems_of, stored, told
from tests.reliability_controller import run_controller
from tests.reliability_links import FULL, Rig

MOMENTS = ("push", "run", "pull", "between")
KILLED, CTRL_C = "the controller is killed, then --resume", "Ctrl-C, then --resume"
_SIGNALS = {KILLED: signal.SIGKILL, CTRL_C: signal.SIGINT}
# Further moments at which a controller may die, in order: one of each resumed run.
DEATHS: tuple[tuple[str, ...], ...] = (
    ("lease",),
    ("journal",),
    ("change",),
    ("pushed",),
    ("start",),
    ("started",),
    ("collected",),
    ("stored",),
    ("release",),
    ("run", "lease"),
    ("run", "recovery"),
    ("run", "pull"),
    ("journal", "journal"),
    ("stored", "collected"),
)
COLUMNS = {"between": "between launches"}
TITLES = {
    "lease": "with the lease just taken",
    "journal": "with a change in the journal and not yet made",
    "change": "with a control just changed",
    "pushed": "with a file just pushed",
    "start": "before it starts a launch",
    "started": "with a launch just started",
    "run": "while a launch runs",
    "pull": "before it fetches a launch",
    "collected": "with a launch fetched and not yet stored",
    "stored": "with a launch stored and not yet removed",
    "recovery": "while it collects what a dead one left",
    "release": "with the lease just released",
}
_RESUMES = 3
KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of one fault at one moment.

    Attributes:
        what: happened, in words. outcome: KEPT, or what is wrong.
        took_s: from the start of the run to its end, resumes included.
    """

    fault: str
    moment: str
    what: str
    took_s: float
    outcome: str


def undisturbed(rig: Rig) -> Cell:
    """A run to which nothing happens."""
    return _cell(rig, "", "")


def strike(rig: Rig, fault: str, moment: str) -> Cell:
    """One cell of the matrix."""
    return _cell(rig, fault, moment)


def deaths(rig: Rig, moments: tuple[str, ...]) -> Cell:
    """A controller that is killed again and again, each time at the next of these moments."""
    with tempfile.TemporaryDirectory(prefix="edgebench-cell-") as name:
        lab = rig.lab(Path(name))
        began = time.monotonic()
        try:
            codes = [run_controller(lab, rig.way, m, signal.SIGKILL) for m in moments]
            said = [["killed"] for code in codes if code == -signal.SIGKILL]
            missed = [m for m, code in zip(moments, codes, strict=True) if code != -signal.SIGKILL]
            with hurried():
                said += _complete(rig, lab)
            cell = _judged(rig, lab, "the controller is killed", ", ".join(moments), said, began)
            if missed:
                outcome = f"never came to: {', '.join(missed)}"
                return Cell(cell.fault, cell.moment, cell.what, cell.took_s, outcome)
            return cell
        finally:
            rig.settle()
            rig.wipe()


def _cell(rig: Rig, fault: str, moment: str) -> Cell:
    with tempfile.TemporaryDirectory(prefix="edgebench-cell-") as name:
        lab = rig.lab(Path(name))
        rig.prepare(fault)
        began = time.monotonic()
        said: list[list[str]] = []
        struck: list[str] = []

        def strikes() -> None:
            struck.append(fault)
            rig.strike(fault, moment)

        try:
            with hurried():
                if number := _SIGNALS.get(fault):
                    code = run_controller(lab, rig.way, moment, number)
                    if code in (-signal.SIGKILL, 130):
                        struck.append(fault)
                    said.append([f"ended with {code}"])
                    said += _complete(rig, lab)
                else:
                    problems = measure(
                        lab, rig.way.device(), moment=moment if fault else "", strike=strikes
                    )
                    if problems:
                        said.append([p.message for p in problems])
                        rig.settle()
                        said += _complete(rig, lab)
            cell = _judged(rig, lab, fault, moment, said, began)
            if fault and not struck:
                return Cell(fault, moment, cell.what, cell.took_s, "never struck")
            return cell
        finally:
            rig.settle()
            rig.wipe()


# What edgebench says of a launch that it does not trust and makes again.
_CUT_OFF = re.compile(r"the disk was full when launch ([0-9a-f]{64}) ended")


def _complete(rig: Rig, lab: Lab) -> list[list[str]]:
    """Resume until nothing is missing; the problems on the way."""
    said = []
    for _ in range(_RESUMES):
        problems = measure(lab, rig.way.device())
        if not problems:
            return said
        said.append([p.message for p in problems])
    return said


def _judged(
    rig: Rig, lab: Lab, fault: str, moment: str, said: list[list[str]], began: float
) -> Cell:
    took_s = time.monotonic() - began
    rig.settle()
    data = stored(lab)
    crashes = int("the program" in fault and moment == "run")
    reasons = "; ".join(message for messages in said for message in messages)
    wrong = problems_of(
        data,
        rig.ran(),
        crashes=crashes,
        unwritten=frozenset(_CUT_OFF.findall(reasons)) if fault == FULL else frozenset(),
        ended_by_us=fault == CTRL_C and moment == "run",
    )
    wrong += rig.dirt()
    outcome = KEPT if not wrong else "; ".join(wrong) + (f" ({reasons})" if reasons else "")
    return Cell(fault, moment, told(data, said), took_s, outcome)


# The table


def table(cells: Sequence[Cell], plain_s: float | None) -> str:
    """One row per fault, one column per moment.

    Args:
        plain_s: what a run takes to which nothing happens; None where that is not known.
    """
    rows: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        rows.setdefault(cell.fault, {})[cell.moment] = cell
    moments = list(dict.fromkeys(cell.moment for cell in cells))
    lines = ["| fault | " + " | ".join(COLUMNS.get(m, m) for m in moments) + " |"]
    lines.append("|---" * (len(moments) + 1) + "|")
    for fault, found in rows.items():
        words = [_words(found[moment], plain_s) for moment in moments]
        lines.append(f"| {fault} | " + " | ".join(words) + " |")
    return "\n".join(lines)


def list_of_deaths(cells: Sequence[Cell], plain_s: float | None) -> str:
    """One row per death of a controller."""
    lines = ["| the controller is killed | what became of it |", "|---|---|"]
    for cell in cells:
        moments = ", then ".join(TITLES.get(m, m) for m in cell.moment.split(", "))
        lines.append(f"| {moments} | {_words(cell, plain_s)} |")
    return "\n".join(lines)


def _words(cell: Cell, plain_s: float | None) -> str:
    said = f"{cell.outcome}: {cell.what}"
    return said if plain_s is None else f"{said}; {max(0, round(cell.took_s - plain_s))} s lost"
