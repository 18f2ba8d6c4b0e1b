"""What every control of a device's state shares: read, journal, write, read back, put back."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from devices.deadline import Deadline
from devices.errors import CommandNotFound, TransferError
from devices.journal import Change, Journal
from devices.remote import quote
from devices.transport import CommandResult, Transport

_POLL_S = 0.1
# Magisk asks the owner of a phone and waits for about ten seconds.
_ROOT_S = 20.0

_END = b"edgebench-controls end\n"

# $1: a directory. $2: pattern of names in it. Then names of files below each.
# One line per file there is: directory, file, its first line.
_READ_FILES = r"""
root=$1 pattern=$2
shift 2
for directory in "$root"/$pattern; do
    for file; do
        line=
        { IFS= read -r line < "$directory/$file"; } 2> /dev/null || [ -n "$line" ] || continue
        printf '%s %s %s\n' "${directory##*/}" "$file" "$line"
    done
done
echo 'edgebench-controls end'
"""

# $1: a file. $2: its new content.
_WRITE_FILE = 'LC_ALL=C; export LC_ALL; printf "%s\\n" "$2" > "$1"'

# How to become root without anybody typing a password: a word for each way that works.
_FIND_ROOT = r"""
if [ "$(id -u)" = 0 ]; then echo root
elif command -v getprop > /dev/null 2>&1; then
    if [ "$(su 0 id -u 2> /dev/null)" = 0 ]; then echo su-0
    elif [ "$(su -c 'id -u' 2> /dev/null)" = 0 ]; then echo su-c
    else echo none
    fi
elif [ "$(sudo -n id -u 2> /dev/null)" = 0 ]; then echo sudo
else echo none
fi
echo 'edgebench-controls end'
"""

Outcome = Literal["applied", "already", "refused", "unsupported"]


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the kernel shows what can be controlled; tests have their own."""

    cpufreq: str = "/sys/devices/system/cpu/cpufreq"
    thermal: str = "/sys/class/thermal"


@dataclass(frozen=True, slots=True)
class ControlResult:
    """What became of one wanted control.

    Attributes:
        name, wanted: as the plan has them, without the "!" of a required one.
        before, after: the state, as found and as read back; None where it was not read.
        outcome: "applied" (and read back), "already" (nothing had to be changed),
            "refused" (the device did not let us) or "unsupported" (it has no such thing).
        reason: why, where it was not applied; else what is to be known about it, or None.
        argv_prefix: words before the program of every launch.
    """

    name: str
    wanted: str
    before: str | None
    after: str | None
    outcome: Outcome
    reason: str | None = None
    argv_prefix: tuple[str, ...] = ()


class NotPossible(Exception):
    """A control cannot be had on this device."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


class Hands:
    """One visit to a device: commands and kernel files, as root where that is needed.

    Args:
        transport: the way to the device.
        over_network: True where the link itself hangs on what may be switched off.
        hold_s: for how long a written value is waited for until it is read back.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        deadline: Deadline,
        over_network: bool,
        paths: Paths,
        hold_s: float,
    ) -> None:
        self._transport = transport
        self.deadline = deadline
        self.over_network = over_network
        self.paths = paths
        self.hold_s = hold_s
        self._root: str | None = None

    def run(self, argv: Sequence[str]) -> CommandResult | None:
        """Run a command; None where there is no such program."""
        try:
            return self._transport.run(argv, deadline=self.deadline)
        except CommandNotFound:
            return None

    def said(self, argv: Sequence[str]) -> str:
        """Why a command failed, one line; "" where it did not."""
        result = self.run(argv)
        if result is None:
            return f"there is no {argv[0]}"
        return "" if result.exit_code == 0 else _why(result)

    def ask(self, script: str, *arguments: str) -> list[str]:
        """The lines that a script answers, whose last command says that it is the end.

        Raises: CommandFailed, TransferError (the answer was cut off), and what
        Transport.run raises.
        """
        argv = ["sh", "-c", script, "edgebench", *arguments]
        result = self._transport.run(argv, deadline=self.deadline).check()
        if not result.stdout.endswith(_END):
            raise TransferError(
                "an answer about a control did not arrive whole",
                device=result.device,
                stderr=result.stderr,
            )
        return result.stdout[: -len(_END)].decode("utf-8", "replace").splitlines()

    def read_files(self, root: str, pattern: str, *files: str) -> dict[str, dict[str, str]]:
        """First lines of kernel files: directory -> file -> content; what is not there is not."""
        found: dict[str, dict[str, str]] = {}
        for line in self.ask(_READ_FILES, root, pattern, *files):
            directory, file, content = line.split(" ", 2)
            found.setdefault(directory, {})[file] = content.strip()
        return found

    def write_file(self, path: str, value: str) -> str:
        """Write a kernel file, as root where it must be; why not, or "" if the kernel took it."""
        argv = ["sh", "-c", _WRITE_FILE, "edgebench", path, value]
        why = self.said(argv)
        if not why:
            return ""
        as_root = self._as_root(argv)
        if as_root is None:
            return why
        return self.said(as_root)

    def root(self) -> str:
        """The way to root without a password: "root", "su-0", "su-c", "sudo", or "none".

        Raises: as `ask`.
        """
        if self._root is None:
            self._root = self._find_root()
        return self._root

    def _as_root(self, argv: Sequence[str]) -> list[str] | None:
        """The argv as root; None where we are root already or cannot be."""
        match self.root():
            case "sudo":
                return ["sudo", "-n", *argv]
            case "su-0":
                return ["su", "0", *argv]
            case "su-c":
                return ["su", "-c", " ".join(map(quote, argv))]
        return None

    def _find_root(self) -> str:
        deadline, self.deadline = self.deadline, self.deadline.at_most(_ROOT_S)
        try:
            return self.ask(_FIND_ROOT)[-1]
        finally:
            self.deadline = deadline


class Control(ABC):
    """Something of a device that a plan may want in a certain state.

    Attributes:
        name: as plans have it.
        kinds: kinds of devices that may have it.
        takes: what values it takes, in words.
    """

    name: ClassVar[str]
    kinds: ClassVar[frozenset[str]]
    takes: ClassVar[str]

    @abstractmethod
    def accepts(self, value: str) -> bool:
        """Whether a plan may ask for this value."""

    @abstractmethod
    def apply(self, hands: Hands, value: str, journal: Journal) -> ControlResult:
        """Have the device in that state, or raise NotPossible with nothing changed."""


class StateControl(Control):
    """A state of the device that is read, written, and put back.

    A state is a mapping from target to value: one frequency policy or setting each.

    Attributes:
        lasting: whether a restart of the device leaves it changed.
        rests_at: None where it can be read; else what it is put back to.
        failure: what it means that the device did not do it.
    """

    lasting: ClassVar[bool] = False
    rests_at: ClassVar[str | None] = None
    failure: ClassVar[Outcome] = "refused"

    @abstractmethod
    def read(self, hands: Hands) -> Mapping[str, str]:
        """The state now. Raises NotPossible where the device has none."""

    @abstractmethod
    def goal(self, hands: Hands, value: str, now: Mapping[str, str]) -> Mapping[str, str]:
        """The state that a value of a plan means here. Raises NotPossible."""

    @abstractmethod
    def write(self, hands: Hands, target: str, value: str) -> str:
        """Change one target; why that was refused, or ""."""

    def same(self, wanted: str, read: str | None) -> bool:
        """Whether a value read back is the one wanted."""
        return wanted == read

    def apply(self, hands: Hands, value: str, journal: Journal) -> ControlResult:
        now = self.read(hands)
        goal = self.goal(hands, value, now)
        changes = [
            Change(self.name, target, now[target], wanted)
            for target, wanted in goal.items()
            if self.rests_at is not None or not self.same(wanted, now[target])
        ]
        if not changes:
            state = as_text(now)
            return ControlResult(self.name, value, state, state, "already")
        entries = journal.record(changes, deadline=hands.deadline)
        why = self._write_all(hands, {change.target: change.wanted for change in changes})
        if why:
            before = {change.target: change.previous for change in reversed(changes)}
            if self.rests_at is not None or not self._write_all(hands, before):
                journal.settle(entries, deadline=hands.deadline)
            raise NotPossible(self.failure, why)
        if self.rests_at is not None:
            reason = f"cannot be read; it is put back to {self.rests_at}"
            return ControlResult(self.name, value, None, None, "applied", reason)
        after = self.read(hands)
        return ControlResult(self.name, value, as_text(now), as_text(after), "applied")

    def put_back(self, hands: Hands, target: str, previous: str) -> str:
        """Have one target as it was found; why that cannot be, or ""."""
        if self.rests_at is None:
            now = self.read(hands)
            if target not in now:
                return f"{target} is not there any more"
            if self.same(previous, now[target]):
                return ""
        return self._write_all(hands, {target: previous})

    def _write_all(self, hands: Hands, values: Mapping[str, str]) -> str:
        """Write values and read back until they hold; why they do not, or ""."""
        problems = {target: self.write(hands, target, value) for target, value in values.items()}
        if self.rests_at is not None:
            return next(filter(None, problems.values()), "")
        patience = hands.deadline.at_most(hands.hold_s)
        while True:
            now = self.read(hands)
            wrong = [t for t, value in values.items() if not self.same(value, now.get(t))]
            if not wrong:
                return ""
            if patience.expired() or any(problems[target] for target in wrong):
                target = wrong[0]
                told = f"{target} reads {now.get(target)} after {values[target]} was written"
                return problems[target] or told
            time.sleep(_POLL_S)


def as_text(state: Mapping[str, str]) -> str:
    """A state in few words: one value where all targets have the same."""
    values = set(state.values())
    if len(values) == 1:
        return values.pop()
    return " ".join(f"{target}={value}" for target, value in state.items())


def _why(result: CommandResult) -> str:
    """The last thing that a failed command said, else its exit code."""
    for stream in (result.stderr, result.stdout):
        if lines := stream.decode("utf-8", "replace").strip().splitlines():
            return lines[-1]
    return f"exit code {result.exit_code}"
