"""A device behind each kind of link, and everything that can be done to both of them.

A fault is a method of the rig; it strikes at once and heals by itself after a while, or
when `settle` is called.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from devices.connect import connect
from devices.deadline import Deadline
from devices.device import Device
from devices.emulated.adbd_faults import Faults, Trigger
from devices.emulated.container import UNPRIVILEGED
from devices.emulated.phone import EmulatedPhone
from devices.inventory import DeviceEntry
from devices.journal import parse_journal
from devices.ssh import SshTransport
from devices.ssh_config import SshAddress
from tests.adb_phones import PrivateServer
from tests.reliability import TIMEOUT_S, Lab, Ran, lay_out, parse_ran
from tests.sshd import NOBODY, Proxy, start_sshd

ROOT = Path(__file__).parents[1]
FULL = "its disk is full"
MOMENT_S = 0.7
SHORT_S = 3.0
LONG_S = TIMEOUT_S + 2.0
SLEEP_S = 0.4
_SLOW_BYTES_PER_S = 40_000
_DATA = "/data/local/tmp"
# Of a push of a model of some hundred bytes, and of the answer that brings a launch.
_IN_A_PUSH, _IN_AN_ANSWER = 300, 400


class Way(Protocol):
    """How a controller reaches the device; can be pickled."""

    def device(self) -> Device: ...


@dataclass(frozen=True, slots=True)
class PhoneWay:
    entry: DeviceEntry

    def device(self) -> Device:
        return connect(self.entry)


@dataclass(frozen=True, slots=True)
class BoardWay:
    address: SshAddress
    home: Path

    def device(self) -> Device:
        return Device(
            name="device",
            kind="linux",
            transport=SshTransport(self.address, "device", secrets=NOBODY),
            workdir=str(self.home / "edgebench"),
            python=None,
            resources=frozenset(),
            simulated=True,
            by_network=True,
            lease_place=str(self.home / ".edgebench"),
        )


class Rig(Protocol):
    """One device with its faults.

    Attributes:
        way: to the device.
    """

    @property
    def way(self) -> Way: ...

    def lab(self, folder: Path) -> Lab: ...

    def sleep(self, seconds: float) -> None:
        """How long every program takes from now on."""
        ...

    def strike(self, fault: str, moment: str) -> None:
        """Have a fault of its table strike at this moment."""
        ...

    def settle(self) -> None:
        """No fault any more, and nothing to come."""
        ...

    def ran(self) -> Ran: ...

    def dirt(self) -> list[str]:
        """What lies or runs on the device and should not; [] where it is as it was found."""
        ...

    def prepare(self, fault: str) -> None:
        """What a fault needs before the run begins."""
        ...

    def wipe(self) -> None:
        """As if nobody had been here."""
        ...

    def stop(self) -> None: ...


class _Later:
    """What is to be done after a while, or at once when nobody can wait for it."""

    def __init__(self) -> None:
        self._waiting: list[tuple[threading.Timer, Callable[[], None]]] = []

    def add(self, seconds: float, work: Callable[[], object]) -> None:
        once = threading.Lock()

        def do() -> None:
            if once.acquire(blocking=False):
                work()

        timer = threading.Timer(seconds, do)
        self._waiting.append((timer, do))
        timer.start()

    def now(self) -> None:
        while self._waiting:
            timer, do = self._waiting.pop()
            timer.cancel()
            do()
            timer.join()


class PhoneRig:
    """An emulated phone behind an adb server of its own."""

    controls = 'stay_awake = "on"'

    def __init__(self, folder: Path) -> None:
        """Raises: Unsupported where this machine makes no phones."""
        self._folder = folder
        self._later = _Later()
        self._small = False
        self._server = PrivateServer(folder / "adb")
        self._server.start()
        self.phone = EmulatedPhone("android-13", "device")
        try:
            self.phone.start()
        except BaseException:
            self.stop()
            raise
        self.phone.state.set_heat(None)
        self.sleep(SLEEP_S)
        self._quiet = len(self.phone.container.pids())

    @property
    def way(self) -> PhoneWay:
        return PhoneWay(
            DeviceEntry(
                name="device",
                kind="android",
                serial=self.phone.address,
                adb_host="127.0.0.1",
                adb_port=self._server.port,
                simulated=True,
            )
        )

    def strike(self, fault: str, moment: str) -> None:
        PHONE_FAULTS[fault](self, moment)

    def lab(self, folder: Path) -> Lab:
        ran, standin = f"{_DATA}/ran", "/emulated/standin.json"
        lay_out(folder, ran=ran, standin=standin, python=sys.executable, root=ROOT)
        return Lab(folder, folder / "store.db", android=True, controls=self.controls)

    def sleep(self, seconds: float) -> None:
        self.phone.state.set_standin(replace(self.phone.state.standin, sleep_s=seconds))

    def settle(self) -> None:
        self._later.now()
        self._change(**{name: getattr(Faults(), name) for name in Faults.__slots__})
        self._server.wait_for(self.phone.address, "device", None)

    def ran(self) -> Ran:
        return parse_ran(self._inside(["cat", f"{_DATA}/ran"]))

    def dirt(self) -> list[str]:
        found = _wait_for(
            lambda: len(self.phone.container.pids()) <= self._quiet, "processes run on the phone"
        )
        if self.phone.state.setting("global", "stay_on_while_plugged_in") != "0":
            found.append("a control was not put back")
        files = self._inside(["find", _DATA, "-type", "f"]).split()
        run = self._inside(["sh", "-c", f"ls -A {_DATA}; ls -A {_DATA}/edgebench/runs"]).split()
        if unknown := set(run) - {"edgebench", ".edgebench", "ran"}:
            found.append(f"left on the phone: {sorted(unknown)}")
        contents = {path: self._read(path) for path in files if path != f"{_DATA}/ran"}
        return found + _dirt_of_files(contents, f"{_DATA}/edgebench", f"{_DATA}/.edgebench")

    def prepare(self, fault: str) -> None:
        if fault == FULL:
            # A small disk of its own for it to be full.
            self._as_root(f"mount -t tmpfs -o size=1m,mode=1777 small {_DATA}")
            self._small = True

    def leave(self, name: str) -> None:
        """A file of ours that should not be there."""
        self._inside(["sh", "-c", f"echo left > {_DATA}/{name}"])

    def wipe(self) -> None:
        if self._small:
            self._as_root(f"umount -l {_DATA}")
            self._small = False
        self._inside(["sh", "-c", f"rm -rf {_DATA}/* {_DATA}/.[!.]*"])
        self.phone.state.put_setting("global", "stay_on_while_plugged_in", "0")

    def stop(self) -> None:
        self.phone.stop()
        self._server.kill()

    def _change(self, **changes: object) -> None:
        self.phone.faults(**changes)

    def for_a_while(self, seconds: float, **changes: object) -> None:
        self._change(**changes)
        before = {name: getattr(Faults(), name) for name in changes}
        self._later.add(seconds, lambda: self._change(**before))

    def _drop(self, moment: str) -> None:
        if moment in ("push", "pull"):
            self._change(trigger=_in_transfer("drop", moment))
        else:
            self.for_a_while(MOMENT_S, unplugged=True)

    def _gone(self, moment: str) -> None:
        self.for_a_while(LONG_S, unplugged=True)

    def _freeze_link(self, moment: str) -> None:
        if moment in ("push", "pull"):
            self._change(trigger=_in_transfer("freeze", moment))
            self._later.add(LONG_S, lambda: self._change(frozen=False))
        else:
            self.for_a_while(LONG_S, frozen=True)

    def _freeze(self, moment: str) -> None:
        self.phone.freeze()
        self._later.add(SHORT_S, self.phone.thaw)

    def _kill_server(self, moment: str) -> None:
        self._server.kill()
        self._later.add(1.0, self._server.start)

    def _fill(self, moment: str) -> None:
        self._as_root(f"cat /dev/zero > {_DATA}/filler 2> /dev/null")
        self._later.add(SHORT_S, lambda: self._as_root(f"rm -f {_DATA}/filler"))

    def _as_root(self, line: str) -> None:
        enter = self.phone.container.inside(["sh", "-c", line])
        command = [word for word in enter if word not in UNPRIVILEGED]
        subprocess.run(command, timeout=60, check=False)

    def _noise(self, moment: str) -> None:
        self._change(
            no_shell_v2=True,
            crlf=True,
            noise_before="WARNING: linker: unused DT entry\r\n",
            noise_after="\r\nKilled\r\n",
        )

    def _kill_program(self, moment: str) -> None:
        if moment in ("run", "start"):
            self._kill("./benchmark_model")
        else:
            self._change(trigger=Trigger("kill", "shell", "to_host", 1))

    def _kill_all(self, moment: str) -> None:
        for pid in self.phone.container.pids()[1:]:
            with suppress(OSError):
                if "/runs/" in str(Path(f"/proc/{pid}/cwd").readlink()):
                    os.kill(pid, signal.SIGKILL)

    def _kill(self, word: str) -> None:
        for pid in self.phone.container.pids()[1:]:
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if words[1:2] == [word.encode()]:
                    os.kill(pid, signal.SIGKILL)

    def _cut(self, moment: str) -> None:
        self.phone.power_cut()
        self._later.add(SHORT_S, self.phone.boot)

    def _inside(self, argv: list[str]) -> str:
        return self._raw(argv).decode("utf-8", "replace")

    def _read(self, path: str) -> bytes:
        return self._raw(["cat", path])

    def _raw(self, argv: list[str]) -> bytes:
        command = self.phone.container.inside(argv)
        return subprocess.run(command, capture_output=True, timeout=60, check=False).stdout


class BoardRig:
    """A directory of this machine behind a real OpenSSH server and a link that can be spoilt."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._later = _Later()
        self._sshd = start_sshd(folder / "sshd")
        self._proxy = Proxy(self._sshd.port)
        self._away = threading.Event()
        self.sleep(SLEEP_S)

    @property
    def way(self) -> BoardWay:
        return BoardWay(self._sshd.at(self._proxy.port), self._home)

    @property
    def _home(self) -> Path:
        home = self._folder / "board"
        home.mkdir(exist_ok=True)
        return home

    def strike(self, fault: str, moment: str) -> None:
        BOARD_FAULTS[fault](self, moment)

    def lab(self, folder: Path) -> Lab:
        ran, standin = self._folder / "ran", self._folder / "standin.json"
        lay_out(folder, ran=str(ran), standin=str(standin), python=sys.executable, root=ROOT)
        return Lab(folder, folder / "store.db", android=False)

    def sleep(self, seconds: float) -> None:
        (self._folder / "standin.json").write_text(f'{{"sleep_s": {seconds}}}')

    def settle(self) -> None:
        self._later.now()
        self._proxy.bytes_per_s = None
        self._proxy.thaw()

    def ran(self) -> Ran:
        path = self._folder / "ran"
        return parse_ran(path.read_text() if path.exists() else "")

    def dirt(self) -> list[str]:
        found = _wait_for(lambda: not self._processes(), "processes run on the board")
        contents = {str(p): p.read_bytes() for p in self._home.rglob("*") if p.is_file()}
        runs = self._home / "edgebench" / "runs"
        if runs.exists() and (left := [p.name for p in runs.iterdir()]):
            found.append(f"left on the board: {left}")
        place = str(self._home / ".edgebench")
        return found + _dirt_of_files(contents, str(self._home / "edgebench"), place)

    def prepare(self, fault: str) -> None:
        pass

    def wipe(self) -> None:
        subprocess.run(["rm", "-rf", str(self._home), str(self._folder / "ran")], check=True)

    def stop(self) -> None:
        self._later.now()
        self._proxy.close()
        self._sshd.stop()

    def _processes(self) -> list[int]:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if str((entry / "cwd").readlink()).startswith(str(self._home)):
                    found.append(int(entry.name))
        return found

    def _drop(self, moment: str) -> None:
        if moment == "push":
            self._proxy.after(_IN_A_PUSH, "up", "drop")
        elif moment == "pull":
            self._proxy.after(_IN_AN_ANSWER, "down", "drop")
        else:
            self._proxy.drop()

    def _gone(self, moment: str) -> None:
        self._away.set()
        self._later.add(LONG_S, self._away.clear)
        threading.Thread(target=self._keep_away, daemon=True).start()
        self._proxy.drop()

    def _keep_away(self) -> None:
        while self._away.is_set():
            self._proxy.drop()
            time.sleep(0.02)

    def _freeze_link(self, moment: str) -> None:
        if moment == "push":
            self._proxy.after(_IN_A_PUSH, "up", "freeze")
        elif moment == "pull":
            self._proxy.after(_IN_AN_ANSWER, "down", "freeze")
        else:
            self._proxy.freeze()
        self._later.add(LONG_S, self._proxy.thaw)

    def _freeze(self, moment: str) -> None:
        pids = self._all_children()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        self._later.add(SHORT_S, lambda: self._signal(pids, signal.SIGCONT))

    def _refuse(self, moment: str) -> None:
        keys = self._folder / "sshd" / "authorized_keys"
        before = keys.read_text()
        keys.write_text("")
        self._later.add(SHORT_S, lambda: keys.write_text(before))
        self._kill_children(moment)

    def _kill_children(self, moment: str) -> None:
        self._signal(self._all_children(), signal.SIGKILL)

    def _restart_server(self, seconds: float) -> None:
        self._sshd.kill()
        self._later.add(seconds, self._sshd.start)

    def _slow(self, moment: str) -> None:
        self._proxy.bytes_per_s = _SLOW_BYTES_PER_S

    def _kill_program(self, moment: str) -> None:
        for pid in self._processes():
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if words[1:2] == [b"./benchmark_model"]:
                    os.kill(pid, signal.SIGKILL)

    def _kill_all(self, moment: str) -> None:
        self._signal(self._processes(), signal.SIGKILL)

    def _all_children(self) -> list[int]:
        """The processes of the server that serve connections, theirs included."""
        found = list(self._sshd.children())
        for pid in found:
            with suppress(OSError):
                text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
                found += [
                    child
                    for child in map(int, text.split())
                    if b"sshd" in Path(f"/proc/{child}/cmdline").read_bytes()
                ]
        return found

    @staticmethod
    def _signal(pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _in_transfer(action: str, moment: str) -> Trigger:
    if moment == "push":
        return Trigger(action, "sync:", "to_device", _IN_A_PUSH)
    return Trigger(action, "shell", "to_host", _IN_AN_ANSWER)


def _wait_for(true: Callable[[], bool], what: str) -> list[str]:
    deadline = Deadline(8.0)
    while not true():
        if deadline.expired():
            return [what]
        time.sleep(0.05)
    return []


def _dirt_of_files(contents: Mapping[str, bytes], workdir: str, place: str) -> list[str]:
    """What is wrong with the files of a device: path -> content."""
    found = []
    owners: list[bytes] = []
    for path, content in contents.items():
        name = path.rpartition("/")[2]
        if path == f"{workdir}/blobs/{name}":
            if hashlib.sha256(content).hexdigest() != name:
                found.append(f"a blob is not what its name says: {name}")
        elif path.startswith(f"{place}/lease.") and name == "owner":
            owners.append(content)
        elif path.startswith(f"{place}/lease.") and name == "journal":
            if pending := parse_journal(content):
                found.append(f"not put back: {pending}")
        else:
            found.append(f"left on the device: {path}")
    if len(owners) != 1:
        found.append(f"{len(owners)} leases")
    elif owners[0].split()[3] != b"0":
        found.append("the lease was not released")
    return found


# Name of a fault -> what strikes, given the moment.
PHONE_FAULTS: Mapping[str, Callable[[PhoneRig, str], None]] = {
    "the link drops for a moment": PhoneRig._drop,
    "the link is gone for longer than a launch may take": PhoneRig._gone,
    "the link freezes for longer than a launch may take": PhoneRig._freeze_link,
    "the phone freezes": PhoneRig._freeze,
    "the phone is offline": lambda rig, _: rig.for_a_while(SHORT_S, offline=True),
    "the phone is unauthorized": lambda rig, _: rig.for_a_while(SHORT_S, unauthorized=True),
    "the adb server is killed and restarted": PhoneRig._kill_server,
    FULL: PhoneRig._fill,
    "pushes arrive corrupt": lambda rig, _: rig.for_a_while(MOMENT_S, corrupt_push=True),
    "pushes arrive short": lambda rig, _: rig.for_a_while(MOMENT_S, short_push=True),
    "it comes back without shell_v2": lambda rig, _: rig._change(no_shell_v2=True),
    "CRLF and noise around every answer": PhoneRig._noise,
    "lmkd kills the program or command": PhoneRig._kill_program,
    "lmkd kills all of a launch": PhoneRig._kill_all,
    "the link is slow": lambda rig, _: rig._change(bytes_per_s=_SLOW_BYTES_PER_S),
    "it reboots": lambda rig, _: rig.phone.reboot(),
    "its power is cut": PhoneRig._cut,
}
BOARD_FAULTS: Mapping[str, Callable[[BoardRig, str], None]] = {
    "the link drops for a moment": BoardRig._drop,
    "the link is gone for longer than a launch may take": BoardRig._gone,
    "the link freezes for longer than a launch may take": BoardRig._freeze_link,
    "the server's processes freeze": BoardRig._freeze,
    "the port is closed": lambda rig, _: rig._restart_server(SHORT_S),
    "the key is not accepted": BoardRig._refuse,
    "the server's processes are killed": BoardRig._kill_children,
    "the server is killed and restarted": lambda rig, _: rig._restart_server(1.0),
    "the system kills the program": BoardRig._kill_program,
    "the system kills all of a launch": BoardRig._kill_all,
    "the link is slow": BoardRig._slow,
}
