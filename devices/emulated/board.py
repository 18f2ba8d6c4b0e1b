"""An emulated Raspberry Pi: a whole aarch64 Linux in qemu, reached over SSH.

Every number that comes from one is simulated.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import paramiko

from devices.deadline import Deadline
from devices.emulated.board_boot import (
    MODELS,
    Machine,
    command_line,
    settings,
    write_device_tree,
    write_initramfs,
)
from devices.emulated.board_image import BoardImage, board_image
from devices.errors import DeviceError, DeviceTimeout, Unsupported
from devices.ssh import SshTransport
from devices.ssh_config import SshAddress
from devices.ssh_login import Secrets

START_S = 300.0
_CALL_S = 60.0
_CLUSTER = "/sys/devices/system/cpu/cpufreq/policy0"

# $0 of it is not used. The board ends when whoever started it does, however that ends:
# nobody holds the other end of stdin any more.
_KEEPER = r"""
exec 3<&0
"$@" < /dev/null 3<&- &
board=$!
echo "$board"
exec 1>&-
{ read -r _ <&3; kill -KILL "$board" 2> /dev/null; } &
exec 3<&-
wait "$board"
"""


class EmulatedBoard:
    """One board; leaving the context switches it off and removes its files.

    It has two users: root, and pi, who may change nothing of the system. Both let in the
    key of the address.

    Args:
        model: 4 or 5, which Raspberry Pi.
        icount: give it a clock that counts instructions, so that a time that is measured
            on it repeats to the nanosecond or nearly so; it has one CPU then.
        wheels: what its board_image.PYTHON can import.
        name: its host name; letters, digits and "-".
        home: where its files lie, to keep them; by default a directory that goes with it.

    Attributes:
        home: there `console` is what the kernel says.
    """

    def __init__(
        self,
        model: int = 4,
        *,
        icount: bool = False,
        wheels: Sequence[str] = (),
        name: str = "edgebench-emulated-pi",
        home: Path | None = None,
    ) -> None:
        self.name = name
        self._machine = Machine(
            MODELS[model], cpus=1 if icount else 2, memory_mib=1024, icount=icount
        )
        self._wheels = tuple(wheels)
        self._temporary = None if home else tempfile.TemporaryDirectory(prefix="edgebench-board-")
        self.home = home or Path(str(self._temporary and self._temporary.name))
        self._image: BoardImage | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._port = 0
        self._hands: SshTransport | None = None

    @property
    def pid(self) -> int:
        """Of its qemu."""
        return self._pid

    @property
    def address(self) -> SshAddress:
        """Its SSH server, as root; the same after a reboot."""
        return self.address_of("root")

    def address_of(self, user: str) -> SshAddress:
        """Its SSH server, as "root" or "pi"."""
        return SshAddress(
            name=self.name,
            host="127.0.0.1",
            user=user,
            port=self._port,
            keys=(self.home / "id",),
            identities_only=True,
            known_hosts=(self.home / "known_hosts",),
            # Whatever else this machine does slows it down.
            connect_timeout_s=60,
        )

    def transport(self, user: str = "root") -> SshTransport:
        """A new connection to it; close it when done."""
        return SshTransport(self.address_of(user), self.name, secrets=Secrets(environ={}))

    def start(self) -> SshAddress:
        """Switch it on, wait for its SSH server, and return where that is.

        Raises: Unsupported (see board_image.board_image), DeviceTimeout.
        """
        self._image = image = board_image(self._wheels)
        self.home.mkdir(parents=True, exist_ok=True)
        # Holes stay holes: the image is mostly made of them.
        subprocess.run(
            ["cp", "--sparse=always", "--", image.disk, self.home / "disk"],  # noqa: S607
            check=True,
        )
        self._port = _free_port()
        keys = {name: paramiko.ECDSAKey.generate() for name in ("id", "host_key")}
        for name, key in keys.items():
            key.write_private_key_file(str(self.home / name))
        host, own = (f"{keys[n].get_name()} {keys[n].get_base64()}\n" for n in ("host_key", "id"))
        (self.home / "known_hosts").write_text(f"[127.0.0.1]:{self._port} {host}")
        seed = {
            "settings": settings(self._machine, self.name).encode(),
            "host_key": (self.home / "host_key").read_bytes(),
            "authorized_keys": own.encode(),
        }
        write_initramfs(self.home / "initramfs", image, seed)
        write_device_tree(self.home / "device_tree", self._machine, self.name)
        self.boot()
        return self.address

    def boot(self) -> None:
        """Switch it on again after a power cut, with the disk as it was left.

        Raises: Unsupported, DeviceTimeout.
        """
        if self._keeper is not None or self._image is None:
            raise RuntimeError("a board is started once, and booted after a power cut")
        command = command_line(self._machine, self._image, self.home, self._port)
        with (self.home / "qemu.log").open("wb") as log:
            self._keeper = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "edgebench", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._keeper.stdout is not None
        self._pid = int(self._keeper.stdout.readline())
        self._keeper.stdout.close()
        self._wait_for_banner()

    def set(
        self,
        *,
        temperature_c: float | None = None,
        khz: int | None = None,
        max_khz: int | None = None,
        throttled: int | None = None,
    ) -> None:
        """Change what it shows of itself, until it restarts; None leaves as it is.

        Args:
            temperature_c: of its one thermal zone.
            khz: the frequency it runs at; max_khz: the limit of it.
            throttled: bits of `vcgencmd get_throttled`.

        Raises: what Transport.run raises.
        """
        texts = {
            "/sys/class/thermal/thermal_zone0/temp": temperature_c
            and str(round(temperature_c * 1000)),
            f"{_CLUSTER}/scaling_cur_freq": khz and str(khz),
            f"{_CLUSTER}/scaling_max_freq": max_khz and str(max_khz),
            "/run/emulated/throttled": None if throttled is None else f"throttled={throttled:#x}",
        }
        words = [word for path, text in texts.items() if text for word in (path, text)]
        script = 'while [ $# -gt 0 ]; do echo "$2" > "$1" || exit; shift 2; done'
        self._own().run(["sh", "-c", script, "sh", *words], deadline=Deadline(_CALL_S)).check()

    def freeze(self) -> None:
        """Stop everything in it; links stay open and nothing answers."""
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let everything go on."""
        os.kill(self._pid, signal.SIGCONT)

    def power_cut(self) -> None:
        """Switch it off at once; what it had written to its disk stays."""
        if self._hands is not None:
            self._hands.close()
            self._hands = None
        if self._keeper is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            assert self._keeper.stdin is not None
            self._keeper.stdin.close()
            self._keeper.wait()
            self._keeper = None

    def reboot(self) -> None:
        """Have its system restart in good order, and wait until it is there again.

        Raises: DeviceTimeout, and what Transport.run raises.
        """
        before = self._boot_id()
        with suppress(DeviceError):
            self._own().run(["busybox", "reboot"], deadline=Deadline(_CALL_S))
        deadline = Deadline(START_S)
        while True:
            with suppress(DeviceError):
                self._wait_for_banner()
                if self._boot_id() != before:
                    return
            if deadline.expired():
                raise DeviceTimeout("the emulated board did not restart", device=self.name)
            time.sleep(0.2)

    def stop(self) -> None:
        """Switch it off; files that are nobody's to keep are removed."""
        self.power_cut()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> EmulatedBoard:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _own(self) -> SshTransport:
        if self._hands is None:
            self._hands = self.transport()
        return self._hands

    def _boot_id(self) -> str:
        argv = ["cat", "/proc/sys/kernel/random/boot_id"]
        return self._own().run(argv, deadline=Deadline(_CALL_S)).check().text.strip()

    def _wait_for_banner(self) -> None:
        """The port accepts before the board listens: only the banner says that it is up."""
        deadline = Deadline(START_S)
        while not deadline.expired():
            assert self._keeper is not None
            if self._keeper.poll() is not None:
                said = (self.home / "qemu.log").read_bytes()
                self.power_cut()
                raise Unsupported(
                    "qemu ended while the emulated board started", device=self.name, stderr=said
                )
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 5) as probe:
                probe.settimeout(5)
                if probe.recv(4) == b"SSH-":
                    return
            time.sleep(0.1)
        raise DeviceTimeout("the emulated board did not start", device=self.name)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
