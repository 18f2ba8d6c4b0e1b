"""A tree of processes with its own root directory, process numbers, clock and host name.

An emulated phone runs in one. Linux namespaces make it (unshare(1)), so what runs in it
sees /data/local/tmp, its own /proc, /sys and uptime, and processors that are idle, while
the host's directories are there read-only and nothing is written outside of the
container's home. It is no security boundary.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from devices.deadline import Deadline
from devices.errors import DeviceTimeout, Unsupported

# What it sees of the processors: nobody else is at work on them. With the host's own
# figures, whatever runs beside it would be taken for other load on the device.
_CPUS = len(os.sched_getaffinity(0))
_IDLE = "".join(f"cpu{n} 0 0 0 0 0 0 0 0 0 0\n" for n in (" ", *range(_CPUS))) + (
    "ctxt 0\nbtime 0\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n"
)

# Directory of the home -> where it is mounted, with what options.
MOUNTS = {
    "tmp": ("/tmp", "rw"),  # noqa: S108 - of the container, not of the host
    "var_tmp": ("/var/tmp", "rw"),  # noqa: S108
    "data": ("/data/local/tmp", "rw"),
    "sdcard": ("/sdcard", "noexec"),
    "system": ("/system/bin", "ro"),
    "sys": ("/sys", "rw"),
    "state": ("/emulated", "rw"),
}
_READY = "edgebench: the container is set up"

# A process of the container that has this in front of it is root by number, and by
# nothing else: it cannot write what has no mode bit for its owner.
UNPRIVILEGED = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")

# $1: an empty directory to build the root in. $2: host name. Then mounts as source,
# target and options ..., "--", and the command. Its first process is a shell that
# reaps orphans; it ends, and the whole tree with it, when the command has ended or when
# nobody holds the other end of its stdin any more.
_SET_UP = r"""
set -e
root=$1 name=$2
shift 2
mount -t tmpfs -o mode=755,size=1m edgebench "$root"
for dir in /bin /sbin /lib /lib32 /lib64 /libx32; do
    [ ! -h "$dir" ] || ln -s "$(readlink "$dir")" "$root$dir"
done
mkdir "$root/proc"
mount -t proc proc "$root/proc"
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p "$root$2"; else [ -e "$root$2" ] || : > "$root$2"; fi
    mount --rbind "$1" "$root$2"
    [ "$3" = rw ] || mount -o "remount,bind,$3" "$root$2" 2> /dev/null || :
    shift 3
done
shift
hostname "$name"
mount -o remount,bind,ro "$root"
echo 'edgebench: the container is set up' >&2
exec chroot "$root" /bin/sh -c '
    cd /
    exec 3<&0
    "$@" < /dev/null 3<&- &
    command=$!
    { read -r _ <&3; kill -KILL "$command"; } &
    exec 3<&-
    wait "$command"
' edgebench "$@"
"""


class Container:
    """One such tree; what it writes lies in `home` and stays when it ends.

    Args:
        home: a directory of its own, with a directory for each key of MOUNTS.
        name: its host name, and the device's name in errors.

    Attributes:
        own_uptime: whether its uptime is its own or the host's; known once started.
    """

    def __init__(self, home: Path, name: str) -> None:
        self._home = home
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None
        self.own_uptime = False

    def start(
        self, argv: Sequence[str], *, boot_id: str, uptime_s: int, env: dict[str, str]
    ) -> None:
        """Start it with a command, at whose end it ends.

        Args:
            boot_id: what it reads in /proc/sys/kernel/random/boot_id.
            uptime_s: what it reads in /proc/uptime at first, where the kernel can do that.
            env: the whole environment.

        Raises: Unsupported (this machine does not allow it; the message says what is
        needed), DeviceTimeout.
        """
        if self._process is not None:
            raise RuntimeError("a container is started once until it is killed")
        prefix = _namespaces(self._name)
        self.own_uptime = "--time" in prefix
        clock = [f"--boottime={uptime_s - int(_uptime_s())}"] if self.own_uptime else []
        boot = self._home / "boot_id"
        boot.write_text(f"{boot_id}\n")
        root = self._home / "root"
        root.mkdir(exist_ok=True)
        log = self._home / "log"
        mounts: list[str] = []
        for directory, (target, options) in MOUNTS.items():
            mounts += [str(self._home / directory), target, options]
        mounts += [str(boot), "/proc/sys/kernel/random/boot_id", "rw", "/dev", "/dev", "rw"]
        stat = self._home / "proc_stat"
        stat.write_text(_IDLE)
        mounts += [str(stat), "/proc/stat", "rw"]
        for path in _host_directories():
            mounts += [path, path, "ro"]
        own = [str(root), self._name]
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [*prefix, *clock, "sh", "-c", _SET_UP, "edgebench", *own, *mounts, "--", *argv],
                stdin=subprocess.PIPE,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
                env=env,
            )
        self._wait_until_set_up(log)

    def alive(self) -> bool:
        """Whether its first process runs, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """What its setup and its command wrote to stdout and stderr since the last start."""
        return (self._home / "log").read_text("utf-8", "replace")

    def inside(self, argv: Sequence[str]) -> list[str]:
        """The argv that runs a command in the container, as its unprivileged user."""
        shared = ["--mount", "--pid", "--uts", *(["--time"] if self.own_uptime else [])]
        shared += ["--user", "--preserve-credentials"] if os.geteuid() != 0 else []
        enter = ["nsenter", f"--target={self._first()}", *shared, "--root", "--wd"]
        return [*enter, *UNPRIVILEGED, *argv]

    def pids(self) -> list[int]:
        """Numbers on the host of all its processes, the first one first."""
        first = self._first()
        space = Path(f"/proc/{first}/ns/pid").readlink()
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and (entry / "ns/pid").readlink() == space:
                    found.append(int(entry.name))
        return sorted(found, key=lambda pid: (pid != first, pid))

    def freeze(self) -> None:
        """Stop every process where it is; connections stay open and answer nothing."""
        stopped: set[int] = set()
        while fresh := set(self.pids()) - stopped:
            for pid in fresh:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            stopped |= fresh

    def thaw(self) -> None:
        """Let every process go on."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """End every process at once, as a power cut does; files stay. Raises DeviceTimeout."""
        if self._process is None:
            return
        # The first process of a tree takes all of it along; unshare only waits for it.
        with suppress(DeviceTimeout, ProcessLookupError):
            os.kill(self._first(), signal.SIGKILL)
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired as error:
            raise DeviceTimeout("a container did not end", device=self._name) from error
        finally:
            self._process.kill()
        self._process = None

    def _first(self) -> int:
        process = self._process
        if process is not None:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            with suppress(OSError):
                if words := children.read_text().split():
                    return int(words[0])
        raise DeviceTimeout("the container does not run", device=self._name)

    def _wait_until_set_up(self, log: Path) -> None:
        deadline = Deadline(30.0)
        while _READY not in (said := log.read_text("utf-8", "replace")):
            if not self.alive():
                self.kill()
                raise Unsupported(
                    "a container could not be set up on this machine",
                    device=self._name,
                    argv=["unshare"],
                    stderr=said.encode(),
                )
            if deadline.expired():
                self.kill()
                raise DeviceTimeout("a container was not set up in time", device=self._name)
            time.sleep(0.01)


def _refused(name: str, said: str) -> Unsupported:
    return Unsupported(
        "this machine does not let us make namespaces, which an emulated phone needs:"
        " run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1"
        " and kernel.apparmor_restrict_unprivileged_userns=0)",
        device=name,
        argv=["unshare"],
        stderr=said.encode(),
    )


@cache
def _namespaces(name: str) -> tuple[str, ...]:
    """The unshare command of this machine, without the clock where the kernel has no such one."""
    if missing := [
        tool for tool in ("unshare", "setpriv", "nsenter", "hostname") if not shutil.which(tool)
    ]:
        raise Unsupported(
            f"an emulated phone needs {' and '.join(missing)} (util-linux, hostname)", device=name
        )
    plain = ["unshare", "--mount", "--pid", "--fork", "--uts", "--kill-child"]
    if os.geteuid() != 0:
        plain += ["--user", "--map-root-user"]
    said = b""
    for command in ([*plain, "--time"], plain):
        trial = subprocess.run([*command, "true"], capture_output=True, timeout=30, check=False)
        if trial.returncode == 0:
            return tuple(command)
        said = trial.stderr
    raise _refused(name, said.decode("utf-8", "replace"))


def _host_directories() -> list[str]:
    """What programs, this Python and this package need of the host, shallow ones first."""
    system = ("/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
    python = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]))
    found: list[str] = []
    for path in (*system, *sorted(python, key=len)):
        inside = any(Path(path).is_relative_to(known) for known in found)
        if not inside and Path(path).is_dir() and not Path(path).is_symlink():
            found.append(path)
    return found


def _uptime_s() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])
