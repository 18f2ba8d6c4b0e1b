"""Hundreds of mixed calls over ssh and adb from several threads, with faults at random.

Whatever happens, a call tells the whole truth or raises in time, and nothing stays behind.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from devices.deadline import Deadline
from devices.emulated.adbd_faults import Faults, Trigger
from devices.errors import CommandFailed, DeviceError, DeviceTimeout, TransientDeviceError
from devices.ssh import SshTransport
from devices.transport import Transport
from tests.adb_phones import ServedPhone
from tests.sshd import Proxy

pytest_plugins = ("tests.ssh_fixtures", "tests.adb_fixtures")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

THREADS, CALLS = 5, 250
LATE_S = 2.0  # of which a second is in the contract, the other for a busy machine
SIZE = 400_000


@dataclass
class Soak:
    """Calls of several threads over one transport, and what each came to.

    Attributes:
        token: what the command lines hold by which left ones are known.
        endless: the end of a script that does not end by itself.
    """

    transport: Transport
    directory: Path
    token: str
    endless: str
    late: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)

    def work(self, seed: int) -> None:
        draw = random.Random(seed)
        for number in range(CALLS // THREADS):
            name = draw.choice(["stdin", "push", "pull", "stream", "half", "sleep", "pair"])
            deadline = Deadline(draw.uniform(1, 4))
            started = time.monotonic()
            try:
                getattr(self, name)(draw, f"{seed}-{number}", deadline)
                end = "whole"
            except (TransientDeviceError, CommandFailed) as error:
                # A link that is lost before the login shell has begun may look like its failure.
                end = type(error).__name__
            except DeviceError as error:
                end = f"{type(error).__name__}: {error.message}"
                self.wrong.append(f"{name}: {end}")
            took = time.monotonic() - started
            if took > deadline.seconds + LATE_S:
                self.late.append(f"{name} took {took:.1f} s of {deadline.seconds:.1f} s: {end}")
            self.ends[f"{name} {end}"] += 1

    def check(self, name: str, holds: bool) -> None:
        if not holds:
            self.wrong.append(f"{name}: not what was sent")

    def stdin(self, draw: random.Random, call: str, deadline: Deadline) -> None:
        content = draw.randbytes(draw.randrange(SIZE))
        result = self.transport.run(["cat"], deadline=deadline, stdin=content)
        self.check("stdin", (result.exit_code, result.stdout) == (0, content))

    def push(self, draw: random.Random, call: str, deadline: Deadline) -> None:
        source, target = self.directory / f"{call}.source", self.directory / "there" / call
        source.write_bytes(draw.randbytes(draw.randrange(SIZE)))
        self.transport.push(source, str(target), deadline=deadline)
        self.check("push", target.read_bytes() == source.read_bytes())

    def pull(self, draw: random.Random, call: str, deadline: Deadline) -> None:
        source, target = self.directory / f"{call}.source", self.directory / "back" / call
        source.write_bytes(draw.randbytes(draw.randrange(SIZE)))
        self.transport.pull(str(source), target, deadline=deadline)
        self.check("pull", target.read_bytes() == source.read_bytes())

    def stream(self, draw: random.Random, call: str, deadline: Deadline) -> None:
        count = draw.randrange(2000)
        lines = list(self.transport.stream(["seq", str(count)], deadline=deadline))
        self.check("stream", lines == [b"%d" % number for number in range(1, count + 1)])

    def half(self, draw: random.Random, call: str, deadline: Deadline) -> None:
        """A stream that its reader leaves."""
        script = f": {self.token}; while :; do echo line; sleep 0.02; done"
        stream = self.transport.stream(["sh", "-c", script], deadline=deadline)
        for _ in range(draw.randrange(1, 5)):
            self.check("half", next(stream) == b"line")
        stream.close()  # type: ignore[attr-defined]

    def sleep(self, draw: random.Random, call: str, deadline: Deadline) -> None:
        """What only its deadline ends."""
        script = f'trap "" TERM; : {self.token}; {self.endless}'
        with pytest.raises((DeviceTimeout, TransientDeviceError)):
            self.transport.run(["sh", "-c", script], deadline=deadline)

    def pair(self, draw: random.Random, call: str, deadline: Deadline) -> None:
        """A command that a second thread ends."""
        file = self.directory / f"{call}.pid"
        script = f': {self.token}; echo $$ > "$1.new"; mv "$1.new" "$1"; {self.endless}'

        def end() -> None:
            while not file.exists() and not deadline.expired():
                time.sleep(0.01)
            if file.exists():
                with suppress(TransientDeviceError):
                    argv = ["kill", "-KILL", file.read_text().strip()]
                    self.transport.run(argv, deadline=deadline)

        ender = threading.Thread(target=end)
        ender.start()
        try:
            argv = ["sh", "-c", script, "sh", str(file)]
            result = self.transport.run(argv, deadline=deadline)
            self.check("pair", result.exit_code == -9)
        finally:
            ender.join()

    def left(self) -> list[str]:
        """Command lines that still run."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                line = path.read_bytes()
                if self.token.encode() in line:
                    found.append(line.replace(b"\0", b" ").decode(errors="replace"))
        return found


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def settled(holds: Callable[[], bool]) -> bool:
    for _ in range(600):
        if holds():
            return True
        time.sleep(0.05)
    return False


def soak(
    transport: Transport,
    directory: Path,
    spoil: Callable[[random.Random], None],
    endless: str = "sleep 1000; sleep 1000",
) -> Soak:
    """Do all the calls while `spoil` does one fault after the other."""
    made = Soak(transport, directory, f"soak-{os.urandom(8).hex()}", endless)
    over = threading.Event()

    def spoil_on() -> None:
        draw = random.Random(0)
        while not over.wait(draw.uniform(0.05, 0.6)):
            spoil(draw)

    spoiler = threading.Thread(target=spoil_on)
    spoiler.start()
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(made.work, range(THREADS)))
    finally:
        over.set()
        spoiler.join()
    return made


def judge(made: Soak, threads: int, files: int) -> None:
    """Everything in time, nothing false, nothing left."""
    assert made.wrong == []
    assert made.late == []
    assert sum(made.ends.values()) == CALLS // THREADS * THREADS
    whole = sum(count for end, count in made.ends.items() if end.endswith(" whole"))
    assert whole > CALLS // 4, "the faults leave too little to be tested"
    assert settled(lambda: not made.left()), made.left()
    assert settled(lambda: threading.active_count() <= threads), threading.enumerate()
    assert settled(lambda: open_files() <= files)
    assert not list(made.directory.glob("back/.edgebench-*"))


def test_ssh(far_board: SshTransport, proxy: Proxy, tmp_path: Path) -> None:
    def spoil(draw: random.Random) -> None:
        what = draw.choice(["drop", "freeze", "later", "slow", "nothing"])
        if what == "drop":
            proxy.drop()
        elif what == "freeze":
            proxy.freeze()
            time.sleep(draw.uniform(0.1, 3))
            proxy.thaw()
        elif what == "later":
            proxy.after(draw.randrange(SIZE), draw.choice(["up", "down"]), "drop")
        elif what == "slow":
            proxy.bytes_per_s = 500_000
            time.sleep(0.5)
            proxy.bytes_per_s = None

    threads, files = threading.active_count(), open_files()
    made = soak(far_board, tmp_path, spoil)
    proxy.thaw()
    far_board.run(["true"], deadline=Deadline(60))  # ends what was left behind
    assert settled(lambda: not made.left()), made.left()
    far_board.close()
    proxy.drop()
    judge(made, threads, files)


@pytest.mark.parametrize("old", [False, True])
def test_adb(phones: Callable[..., ServedPhone], tmp_path: Path, old: bool) -> None:
    threads, files = threading.active_count(), open_files()
    phone = phones(faults=Faults(no_shell_v2=old))
    transport = phone.transport
    transport.run(["true"], deadline=Deadline(60))

    def spoil(draw: random.Random) -> None:
        what = draw.choice(["drop", "freeze", "unplug", "slow", "nothing"])
        service = draw.choice(["sync", "exec" if old else "shell"])
        if what == "drop":
            moment = draw.choice(["open", "to_host", "to_device"])
            size = draw.choice([0, 100, draw.randrange(SIZE)])
            phone.faults(trigger=Trigger("drop", service, moment, size))
        elif what == "freeze":
            phone.faults(frozen=True)
            time.sleep(draw.uniform(0.1, 3))
            phone.faults(frozen=False)
        elif what == "unplug":
            phone.faults(unplugged=True)
            time.sleep(0.5)
            phone.faults(unplugged=False)
        elif what == "slow":
            phone.faults(bytes_per_s=2_000_000)
            time.sleep(0.5)
            phone.faults(bytes_per_s=None)

    # Over adb nothing ends what writes nothing where the phone is away for longer than the
    # clean-up takes: adbd hangs up on the shell alone.
    made = soak(transport, tmp_path, spoil, "while :; do echo; sleep 0.05; done")
    phone.faults(trigger=None)
    transport.run(["true"], deadline=Deadline(60))
    phone.stop()  # the threads of the phone itself are not those of the transport
    judge(made, threads, files)
