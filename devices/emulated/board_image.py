"""The system of the emulated board: made of Debian's packages, kept in a cache.

Packages are unpacked and never run, so nothing is emulated while it is made. What the
cache holds is named by what it is made of and is never changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from devices.errors import Unsupported

CACHE_VARIABLE = "EDGEBENCH_BOARD_CACHE"
DEVICE = "emulated-board"
# On the board: the environment that holds the wheels asked for.
PYTHON = "/opt/wheels/bin/python"

_FILES = Path(__file__).with_name("board_files")
_KERNEL = "linux-image-cloud-arm64"
_PACKAGES = (
    *("base-files", "base-passwd", "bash", "busybox-static", "coreutils", "dash", "findutils"),
    *("gawk", "grep", "gzip", "hostname", "iproute2", "libc-bin", "libstdc++6", "login", "mount"),
    *("openssh-server", "openssh-sftp-server", "procps", "python3", "python3-venv", "sed", "tar"),
    "util-linux",
)
# What these would do at their installation is done here or not needed at all.
_NOT_NEEDED = (
    *("adduser", "ca-certificates", "cpio", "debconf", "init-system-helpers", "initramfs-tools"),
    *("kmod", "linux-base", "lsb-base", "perl", "runit-helper", "sensible-utils", "ucf", "udev"),
    "usrmerge",
)
# The drivers of disk and network; what the kernel has built in is passed over.
_MODULES = ("virtio_mmio", "virtio_blk", "virtio_net")
_DISK_BYTES = 2 * 2**30
_STEP_S = 900
_TOOLS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "tar": "tar",
    "mke2fs": "e2fsprogs",
    "fdtput": "device-tree-compiler",
}
# Oldest glibc that wheels of today ask for; PEP 600 and its forerunners name them so.
_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")


@dataclass(frozen=True, slots=True)
class BoardImage:
    """Where the parts of a board lie; read-only.

    Attributes:
        kernel: for qemu's -kernel.
        initramfs: directory with what goes into the initramfs.
        disk: raw image of an ext4 file system, mostly holes; each board has its own copy.
    """

    kernel: Path
    initramfs: Path
    disk: Path


def find_tool(name: str) -> str:
    """Absolute path of a program that the board needs, also where users have no sbin.

    Raises: Unsupported, with the package to install.
    """
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        raise Unsupported(
            f"the emulated board needs {name} (Debian: {_TOOLS[name]})", device=DEVICE
        )
    return found


def board_image(wheels: Sequence[str] = ()) -> BoardImage:
    """The image with these wheels, from the cache or made now, which takes less than a minute.

    The cache is the directory that EDGEBENCH_BOARD_CACHE names, else one of the user's.

    Args:
        wheels: distributions as pip takes them ("numpy==2.2.6"), for aarch64 and the board's
            Python, to be found by PYTHON.

    Raises: Unsupported, where this machine is no Debian, lacks a program, or cannot fetch
    the packages.
    """
    for name in _TOOLS:
        find_tool(name)
    named = os.environ.get(CACHE_VARIABLE)
    cache = Path(named) if named else platformdirs.user_cache_path("edgebench") / "boards"
    sources = _sources()
    parts = [sources, *_PACKAGES, _KERNEL, "wheels", *sorted(wheels), Path(__file__).read_text()]
    parts += [path.read_text() for path in sorted(_FILES.iterdir()) if path.is_file()]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / key
    with _locked(cache / f"{key}.lock"):
        if not place.is_dir():
            with tempfile.TemporaryDirectory(prefix="new-", dir=cache) as scratch:
                _make(Path(scratch), sources, wheels)
                (Path(scratch) / "image").rename(place)
    return BoardImage(place / "vmlinuz", place / "initramfs", place / "disk")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Of two processes that want one image, one makes it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sources() -> str:
    """A sources.list of Debian's own archives among those that this machine uses."""
    fields = "$(ORIGIN) $(COMPONENT) $(SITE) $(RELEASE)"
    listed = _run(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"])
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    signed = f" signed-by={keyring}" if keyring.exists() else ""
    lines = {
        f"deb [arch=arm64{signed}] {site} {release} main\n"
        for origin, component, site, release in (
            line.split() for line in listed.splitlines() if line.count(" ") == 3
        )
        if (origin, component) == ("Debian", "main")
    }
    if not lines:
        raise Unsupported(
            "the emulated board is made of Debian's packages, and apt knows of none here:"
            " on Debian run apt-get update, on another system it cannot be made",
            device=DEVICE,
        )
    return "".join(sorted(lines))


def _make(scratch: Path, sources: str, wheels: Sequence[str]) -> None:
    image, root, kernel = (scratch / name for name in ("image", "root", "kernel"))
    for directory in (image, root, kernel):
        directory.mkdir()
    for name in ("bin", "sbin", "lib"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in _download(scratch / "apt", sources):
        into = kernel if package.name.startswith("linux-image-") else root
        _unpack(package, into)
    _set_up(root)
    if wheels:
        _add_wheels(root, wheels)
    shutil.copy(next((kernel / "boot").glob("vmlinuz-*")), image / "vmlinuz")
    _fill_initramfs(image / "initramfs", kernel, root)
    _make_disk(image / "disk", root)


def _download(apt: Path, sources: str) -> list[Path]:
    """Fetch the packages and all they depend on, past the host's own list of packages."""
    for name in ("lists/partial", "archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "sources.list").write_text(sources)
    (apt / "status").write_text(
        "".join(
            f"Package: {name}\nStatus: install ok installed\nVersion: 9999\n"
            "Maintainer: nobody\nArchitecture: all\nMulti-Arch: foreign\n"
            "Description: taken for installed\n\n"
            for name in _NOT_NEEDED
        )
    )
    options = {
        "Dir::State": apt,
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt,
        "Dir::Cache::archives": apt / "archives",
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Architecture": "arm64",
        "APT::Architectures::": "arm64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    command = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    _run([*command, "update"])
    _run([*command, "-y", "--download-only", "install", _KERNEL, *_PACKAGES])
    return sorted((apt / "archives").glob("*.deb"))


def _unpack(package: Path, into: Path) -> None:
    """Unpack a package. A link to a directory stays one; owners become whoever runs this."""
    with subprocess.Popen(
        [find_tool("dpkg-deb"), "--fsys-tarfile", package], stdout=subprocess.PIPE
    ) as archive:
        _run(
            [
                *("tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", str(into)),
                *(f"--exclude=./usr/share/{name}" for name in ("doc", "info", "locale", "man")),
            ],
            stdin=archive,
        )
    if archive.returncode != 0:
        raise Unsupported(f"{package.name} cannot be unpacked", device=DEVICE)


def _set_up(root: Path) -> None:
    """What the packages' own scripts would have done, and the files of a board."""
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    with (root / "etc/passwd").open("a") as file:
        file.write("sshd:*:102:65534::/run/sshd:/usr/sbin/nologin\n")
        file.write("pi:*:1000:1000::/home/pi:/bin/bash\n")
    with (root / "etc/group").open("a") as file:
        file.write("pi:*:1000:\n")
    for name in ("root", "home/pi", "run", "proc", "sys", "dev", "tmp", "var/tmp"):
        (root / name).mkdir(mode=0o755, parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    for name, target in (
        ("usr/bin/sh", "dash"),
        ("usr/bin/awk", "gawk"),
        ("usr/sbin/init", "/bin/busybox"),
    ):
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(target)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    for name, target, mode in (
        ("inittab", "etc/inittab", 0o644),
        ("start", "etc/board-start", 0o755),
        ("sshd_config", "etc/board-sshd", 0o644),
        ("vcgencmd", "usr/bin/vcgencmd", 0o755),
    ):
        shutil.copyfile(_FILES / name, root / target)
        (root / target).chmod(mode)


def _add_wheels(root: Path, wheels: Sequence[str]) -> None:
    """A virtual environment with these wheels, as `python3 -m venv` would lay it out."""
    version = next((root / "usr/lib").glob("python3.*")).name.removeprefix("python")
    venv = root / PYTHON.strip("/").removesuffix("/bin/python")
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python").symlink_to(f"/usr/bin/python{version}")
    (venv / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {version}\n"
    )
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-compile", "--only-binary=:all:", "--implementation=cp"]
    command += [f"--python-version={version}", *(f"--platform={p}_aarch64" for p in _PLATFORMS)]
    _run([*command, "--target", str(venv / f"lib/python{version}/site-packages"), *wheels])


def _fill_initramfs(target: Path, kernel: Path, root: Path) -> None:
    (target / "modules").mkdir(parents=True)
    loaded: dict[str, None] = {}

    def add(name: str) -> None:
        """A module behind those that it says it depends on."""
        for path in (kernel / "lib/modules").rglob(f"{name}.ko*"):
            content = path.read_bytes()
            plain = lzma.decompress(content) if path.suffix == ".xz" else content
            (target / "modules" / f"{name}.ko").write_bytes(plain)
            needed = re.search(rb"\0depends=([^\0]*)\0", plain)
            for other in needed[1].decode().split(",") if needed else ():
                if other and other not in loaded:
                    add(other)
            loaded[name] = None

    for name in _MODULES:
        add(name)
    (target / "modules/order").write_text("".join(f"{name}.ko\n" for name in loaded))
    shutil.copy(root / "usr/bin/busybox", target / "busybox")
    shutil.copy(_FILES / "initramfs_init", target / "init")


def _make_disk(disk: Path, root: Path) -> None:
    with disk.open("wb") as file:
        file.truncate(_DISK_BYTES)
    # Everything is the board's root's; whoever is not root here is so in a namespace.
    prefix = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
    _run([*prefix, find_tool("mke2fs"), "-q", "-t", "ext4", "-d", str(root), str(disk)])


def _run(argv: Sequence[str], stdin: subprocess.Popen[bytes] | None = None) -> str:
    """Stdout of a program of this machine. Raises: Unsupported where it fails."""
    try:
        done = subprocess.run(
            argv,
            stdin=stdin.stdout if stdin else subprocess.DEVNULL,
            capture_output=True,
            timeout=_STEP_S,
            check=False,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unsupported(f"the emulated board cannot be made: {error}", device=DEVICE) from error
    if done.returncode != 0:
        raise Unsupported(
            "the emulated board cannot be made",
            device=DEVICE,
            argv=argv,
            exit_code=done.returncode,
            stderr=done.stderr,
        )
    return done.stdout.decode("utf-8", "replace")
