"""What qemu is given to boot a board: initramfs, device tree and command line."""

from __future__ import annotations

import hashlib
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devices.emulated.board_image import DEVICE, BoardImage, find_tool
from devices.errors import Unsupported
from devices.remote import quote

_STEP_S = 60


@dataclass(frozen=True, slots=True)
class BoardModel:
    """A kind of Raspberry Pi, as far as it is imitated.

    Attributes:
        name: as the device tree has it.
        cpu: qemu's name for the same core.
        compatible: of the device tree, the chip last.
        revision: of the board, in /proc/cpuinfo.
        min_khz, max_khz: of its processor.
    """

    number: int
    name: str
    cpu: str
    compatible: tuple[str, ...]
    revision: str
    min_khz: int
    max_khz: int


MODELS: Mapping[int, BoardModel] = {
    model.number: model
    for model in (
        BoardModel(
            4,
            "Raspberry Pi 4 Model B Rev 1.4",
            "cortex-a72",
            ("raspberrypi,4-model-b", "brcm,bcm2711"),
            "c03114",
            600_000,
            1_800_000,
        ),
        BoardModel(
            5,
            "Raspberry Pi 5 Model B Rev 1.0",
            "cortex-a76",
            ("raspberrypi,5-model-b", "brcm,bcm2712"),
            "c04170",
            1_500_000,
            2_400_000,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Machine:
    """What qemu emulates.

    Attributes:
        icount: one nanosecond of the guest per instruction, on its one CPU: times repeat.
    """

    model: BoardModel
    cpus: int
    memory_mib: int
    icount: bool


def settings(machine: Machine, host_name: str) -> str:
    """What the start-up script of the board reads, as shell."""
    model = machine.model
    values = {
        "PI": str(model.number),
        "MODEL": model.name,
        "REVISION": model.revision,
        "SERIAL": serial_of(host_name),
        "MIN_KHZ": str(model.min_khz),
        "MAX_KHZ": str(model.max_khz),
        "HOST_NAME": host_name,
    }
    return "".join(f"{name}={quote(value)}\n" for name, value in values.items())


def serial_of(host_name: str) -> str:
    """A serial number of its own for each name: 16 hex digits, as on a Pi."""
    return hashlib.sha256(f"edgebench emulated board {host_name}".encode()).hexdigest()[:16]


def write_initramfs(target: Path, image: BoardImage, seed: Mapping[str, bytes]) -> None:
    """The initramfs of the image, and what this board alone has, in /seed."""
    entries: list[tuple[str, int, bytes]] = [
        (name, stat.S_IFDIR | 0o755, b"")
        for name in ("bin", "dev", "modules", "proc", "disk", "seed", "sys")
    ]
    entries.append(("bin/busybox", stat.S_IFREG | 0o755, _of(image, "busybox")))
    entries.append(("init", stat.S_IFREG | 0o755, _of(image, "init")))
    for path in sorted((image.initramfs / "modules").iterdir()):
        entries.append((f"modules/{path.name}", stat.S_IFREG | 0o644, path.read_bytes()))
    entries += [(f"seed/{name}", stat.S_IFREG | 0o600, data) for name, data in seed.items()]
    target.write_bytes(_cpio(entries))


def write_device_tree(target: Path, machine: Machine, host_name: str) -> None:
    """qemu's own device tree with the names of a Pi. Raises: Unsupported."""
    _run([*_qemu(machine, dump=target)])
    values = {
        "model": (machine.model.name,),
        "compatible": machine.model.compatible,
        "serial-number": (serial_of(host_name),),
    }
    for name, texts in values.items():
        _run([find_tool("fdtput"), "-t", "s", str(target), "/", name, *texts])


def command_line(machine: Machine, image: BoardImage, home: Path, port: int) -> list[str]:
    """The argv of qemu for a board whose files lie in `home`.

    The guest reaches no network; its SSH server is reached at the port of this machine.
    What the guest has written is in the disk file even where qemu is killed.
    """
    network = f"user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"
    command = [
        *_qemu(machine),
        *("-kernel", str(image.kernel), "-initrd", str(home / "initramfs")),
        *("-dtb", str(home / "device_tree")),
        *("-append", "console=ttyAMA0 quiet panic=-1"),
        *(
            "-blockdev",
            f"driver=file,node-name=disk0,filename={_escaped(home / 'disk')},"
            "cache.direct=off,cache.no-flush=on",
        ),
        *("-device", "virtio-blk-device,drive=disk0"),
        *("-netdev", network, "-device", "virtio-net-device,netdev=net0"),
        *("-serial", f"file:{_escaped(home / 'console')}", "-monitor", "none"),
    ]
    if machine.icount:
        command += ["-icount", "shift=0"]
    return command


def _qemu(machine: Machine, dump: Path | None = None) -> list[str]:
    kind = f"virt,dumpdtb={_escaped(dump)}" if dump else "virt"
    threads = "single" if machine.icount else "multi"
    return [
        find_tool("qemu-system-aarch64"),
        *("-machine", kind, "-cpu", machine.model.cpu, "-accel", f"tcg,thread={threads}"),
        *("-smp", str(machine.cpus), "-m", f"{machine.memory_mib}M"),
        *("-nodefaults", "-no-user-config", "-display", "none"),
    ]


def _escaped(path: Path) -> str:
    """A path among qemu's options, where a comma ends it."""
    return str(path).replace(",", ",,")


def _of(image: BoardImage, name: str) -> bytes:
    return (image.initramfs / name).read_bytes()


def _cpio(entries: Sequence[tuple[str, int, bytes]]) -> bytes:
    """An archive as the kernel unpacks it (its driver-api/early-userspace/buffer-format)."""
    parts = []
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]
    return b"".join(parts)


def _run(argv: Sequence[str]) -> None:
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_STEP_S, check=False
    )
    if done.returncode != 0:
        raise Unsupported(
            "the emulated board cannot be started",
            device=DEVICE,
            argv=argv,
            exit_code=done.returncode,
            stderr=done.stderr,
        )
