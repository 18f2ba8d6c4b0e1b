"""The built library under a program that times as benchmark_model does, and under wrong clocks."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from bench.parsers.count_line import CountLine, parse_count_line
from bench.parsers.recorded_clock import Rebuilt, rebuild
from bench.runners.clock import CLOCK_OUT, library_for
from devices import launch
from tests.clock_recordings import line_of

TOOL = Path(__file__).parent / "clock_tool"
CLOCK = Path(__file__).parent.parent / "bench" / "runners" / "clock"
BUILD = Path(__file__).parent.parent / "scripts" / "build-clock"
MACHINE = os.uname().machine
LIBRARY = library_for(MACHINE, 64)
COMPILERS = {
    "x86_64": "x86_64-linux-gnu-gcc",
    "aarch64": "aarch64-linux-gnu-gcc",
    "armhf": "arm-linux-gnueabihf-gcc",
}

Compile = Callable[..., Path]


def test_a_full_recording_can_be_brought_back() -> None:
    capacity = re.search(
        r"#define CAPACITY \(1u << (\d+)\)", (CLOCK / "recorded_clock.c").read_text()
    )
    assert capacity is not None
    largest = 8 * 2 ** int(capacity[1]) + 4096
    assert largest <= launch._MOST_KIB * 1024


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    folder = tmp_path_factory.mktemp("clock")
    built: dict[tuple[str, ...], Path] = {}

    def compiled(source: str, *flags: str, compiler: str = "gcc") -> Path:
        needs(compiler)
        key = (compiler, source, *flags)
        if key not in built:
            built[key] = folder / f"{len(built)}"
            subprocess.run(
                [compiler, "-O2", *flags, "-o", built[key], TOOL / source, "-lm", "-pthread"],
                check=True,
            )
        return built[key]

    return compiled


class Ran:
    """One launch of the stand-in."""

    def __init__(self, done: subprocess.CompletedProcess[str], recording: Path) -> None:
        self.exit_code = done.returncode
        self.stderr = done.stderr
        lines = [line for t in done.stdout.splitlines() if (line := parse_count_line(t))]
        self.lines: list[CountLine] = lines
        self.recording = recording.read_bytes() if recording.exists() else None
        self.left = sorted(p.name for p in recording.parent.iterdir())

    def rebuilt(self) -> Rebuilt | str:
        assert self.recording is not None
        return rebuild(self.recording, *self.lines)


def launched(
    program: Path,
    folder: Path,
    *flags: str,
    preload: Sequence[Path] | None = None,
    emulator: Sequence[str] = (),
) -> Ran:
    assert emulator or LIBRARY is not None
    recording = folder / "clock"
    libraries = [LIBRARY] if preload is None else preload
    variables = {"LD_PRELOAD": ":".join(map(str, libraries)), CLOCK_OUT: str(recording)}
    if emulator:
        given = [word for name, value in variables.items() for word in ("-E", f"{name}={value}")]
        command, env = [*emulator, *given, str(program)], None
    else:
        command, env = [str(program)], {**os.environ, **variables}
    if not any("warmup" in flag for flag in flags):
        flags = (*flags, "--warmup_runs=60")
    if not any("num_runs" in flag for flag in flags):
        flags = (*flags, "--num_runs=300")
    done = subprocess.run([*command, *flags], env=env, capture_output=True, text=True, check=False)
    return Ran(done, recording)


def check(ran: Ran, folder: Path) -> Rebuilt:
    """Proven, and every printed figure follows from the samples in ns as well."""
    assert ran.exit_code == 0
    assert ran.left == ["clock"]
    found = ran.rebuilt()
    assert isinstance(found, Rebuilt), found
    warmup, measured = ran.lines
    assert len(found.samples_ns) == measured.count
    assert len(found.warmup_ns) == warmup.count
    assert measured.median is not None
    assert measured.avg is not None
    middle = np.sort(found.samples_ns)[measured.count // 2]  # as the tool picks it
    assert abs(middle / 1e3 - measured.median) < 2
    assert found.samples_ns.mean() / 1e3 == pytest.approx(measured.avg, rel=1e-5, abs=1)
    return found


native = pytest.mark.skipif(LIBRARY is None, reason=f"no recorded clock for {MACHINE}")


@native
@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--test_driver=5",),
        ("--test_threads=2",),
        ("--test_driver=2", "--test_threads=3"),
        ("--run_frequency=2000",),
        ("--test_fork=1",),
        ("--warmup_runs=0",),
        ("--warmup_runs=1",),
        ("--test_work=300000", "--num_runs=12"),
    ],
    ids=" ".join,
)
def test_the_tools_figures_follow_from_the_recording(
    compiled: Compile, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    found = check(launched(compiled("clock_tool.c"), tmp_path, *flags), tmp_path)
    assert found.call_site is not None
    assert found.buffer_kib <= 1000


@native
def test_reads_compiled_into_several_places_are_found_too(
    compiled: Compile, tmp_path: Path
) -> None:
    tool = compiled("clock_tool.c", "-DINLINED")
    assert check(launched(tool, tmp_path, "--test_threads=1"), tmp_path).call_site is None


@native
@pytest.mark.parametrize(
    "flags", [("--test_same_place=1",), ("--test_same_place=2",)], ids=" ".join
)
def test_more_reads_from_the_same_place_are_never_guessed_at(
    compiled: Compile, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    ran = launched(compiled("clock_tool.c"), tmp_path, *flags)
    assert ran.rebuilt() == "no reads of the recording give the printed figures"


@native
@pytest.mark.parametrize("rate", [1500, 1010, 990, 0])
def test_a_clock_that_shows_the_tool_another_time_is_refused(
    compiled: Compile, tmp_path: Path, rate: int
) -> None:
    wrong = compiled("wrong_clock.c", "-shared", "-fPIC", f"-DRATE={rate}")
    assert LIBRARY is not None
    # A hundred us per run: a rate that is off by 1 % moves each by a whole us.
    ran = launched(
        compiled("clock_tool.c"), tmp_path, "--test_work=100000", preload=[wrong, LIBRARY]
    )
    assert ran.exit_code == 0
    assert ran.rebuilt() == "no reads of the recording give the printed figures"


@native
@pytest.mark.parametrize(("end", "code"), [("_exit", 0), ("abort", -6), ("kill", -9)])
def test_a_tool_that_does_not_exit_leaves_no_recording(
    compiled: Compile, tmp_path: Path, end: str, code: int
) -> None:
    ran = launched(compiled("clock_tool.c"), tmp_path, f"--test_end={end}")
    assert (ran.exit_code, ran.recording, ran.left) == (code, None, [])
    assert len(ran.lines) == 2


@native
def test_a_full_recording_says_how_much_is_missing(compiled: Compile, tmp_path: Path) -> None:
    ran = launched(compiled("clock_tool.c"), tmp_path, "--test_work=40", "--num_runs=1500000")
    assert ran.exit_code == 0
    assert ran.lines[1].count == 1_500_000
    missing = 3 * 1_500_060 + 4 - (1 << 22)
    # Runs this short are refused before; these lines stand for longer ones.
    line = line_of([20, 30] * 20)
    assert ran.recording is not None
    assert rebuild(ran.recording, line, line) == (
        f"the recording was full: {missing} reads are missing after 4194304"
    )


@native
@pytest.mark.parametrize("place", ["", "/", "missing/clock", "x" * 5000, "/dev/full/clock"])
def test_where_nothing_can_be_recorded_the_tool_runs_as_before(
    compiled: Compile, tmp_path: Path, place: str
) -> None:
    env = {**os.environ, "LD_PRELOAD": str(LIBRARY), CLOCK_OUT: place}
    done = subprocess.run(
        [compiled("clock_tool.c")],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("count=") == 2
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


@native
def test_without_the_variable_nothing_is_recorded(compiled: Compile, tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name != CLOCK_OUT}
    env["LD_PRELOAD"] = str(LIBRARY)
    done = subprocess.run(
        [compiled("clock_tool.c")],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("count=") == 2
    assert list(tmp_path.iterdir()) == []


@native
def test_an_older_recording_is_replaced_whole(compiled: Compile, tmp_path: Path) -> None:
    (tmp_path / "clock").write_bytes(b"older" * 10_000)
    check(launched(compiled("clock_tool.c"), tmp_path), tmp_path)


@native
def test_musl_too(compiled: Compile, tmp_path: Path) -> None:
    tool = compiled("clock_tool.c", compiler="musl-gcc")
    check(launched(tool, tmp_path, "--test_driver=1", "--test_threads=2"), tmp_path)


EMULATED = [
    ("aarch64", "aarch64-linux-gnu-gcc", "qemu-aarch64", "/usr/aarch64-linux-gnu", ()),
    ("armv7l", "arm-linux-gnueabihf-gcc", "qemu-arm", "/usr/arm-linux-gnueabihf", ()),
    (
        "armv7l",
        "arm-linux-gnueabihf-gcc",
        "qemu-arm",
        "/usr/arm-linux-gnueabihf",
        ("-D_TIME_BITS=64", "-D_FILE_OFFSET_BITS=64"),
    ),
]


@pytest.mark.parametrize(
    ("machine", "compiler", "emulator", "root", "flags"),
    EMULATED,
    ids=["aarch64", "armhf", "armhf-time64"],
)
def test_other_architectures_emulated(
    compiled: Compile,
    tmp_path: Path,
    machine: str,
    compiler: str,
    emulator: str,
    root: str,
    flags: tuple[str, ...],
) -> None:
    needs(emulator)
    tool = compiled("clock_tool.c", *flags, compiler=compiler)
    library = library_for(machine, 64 if machine == "aarch64" else 32)
    assert library is not None
    ran = launched(
        tool,
        tmp_path,
        "--test_driver=1",
        "--test_threads=1",
        preload=[library],
        emulator=(emulator, "-L", root),
    )
    check(ran, tmp_path)


# What is shipped.


@pytest.mark.parametrize(
    ("machine", "word_bits", "architecture"),
    [
        ("x86_64", 64, "x86_64"),
        ("x86_64", 32, None),
        ("aarch64", 64, "aarch64"),
        ("arm64-v8a", 64, "aarch64"),
        ("aarch64", 32, "armhf"),
        ("armv8l", 32, "armhf"),
        ("armv7l", 32, "armhf"),
        ("armv6l", 32, "armhf"),
        ("armeabi-v7a", 32, "armhf"),
        ("armv7l", 64, None),
        ("riscv64", 64, None),
        ("", 64, None),
    ],
)
def test_the_library_goes_by_the_program(
    machine: str, word_bits: int, architecture: str | None
) -> None:
    library = library_for(machine, word_bits)
    if architecture is None:
        assert library is None
    else:
        assert library == CLOCK / f"recorded_clock-{architecture}.so"
        elf = library.read_bytes()
        kind = {"x86_64": (2, 62), "aarch64": (2, 183), "armhf": (1, 40)}[architecture]
        assert elf[:4] == b"\x7fELF"
        assert (elf[4], struct.unpack_from("<H", elf, 18)[0]) == kind
        assert elf[4] * 32 == word_bits


def noted() -> dict[str, str]:
    lines = (CLOCK / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines[1:])}


def test_what_is_shipped_is_what_was_built_from_this_source() -> None:
    shipped = {"recorded_clock.c", *(f"recorded_clock-{name}.so" for name in COMPILERS)}
    assert noted() == {
        name: hashlib.sha256((CLOCK / name).read_bytes()).hexdigest() for name in shipped
    }
    assert all((CLOCK / name).stat().st_size < 20_000 for name in shipped)


@pytest.mark.parametrize("architecture", COMPILERS)
def test_one_binary_serves_every_libc(architecture: str) -> None:
    needs("readelf")
    library = CLOCK / f"recorded_clock-{architecture}.so"
    said = subprocess.run(
        ["readelf", "-dlW", "--dyn-syms", library], capture_output=True, text=True, check=True
    ).stdout
    assert not re.search(r"NEEDED|VERNEED|TEXTREL|INTERP|\bTLS\b", said)
    assert re.search(r"\(HASH\)", said)
    assert re.search(r"\(GNU_HASH\)", said)
    loads = re.findall(r"^ +LOAD .* ([RWE ]{3}) (0x\w+)$", said, re.MULTILINE)
    assert len(loads) == 2
    assert all(int(align, 16) % 0x4000 == 0 for _, align in loads)
    assert not any("W" in flags and "E" in flags for flags, _ in loads)
    symbols = re.findall(r"^ +\d+: \w+ +\d+ \w+ +(\w+) +\w+ +(\w+) (\w+)$", said, re.MULTILINE)
    taken = {(name, binding) for binding, where, name in symbols if where == "UND"}
    assert taken == {(name, "WEAK") for name in ("dlsym", "getenv", "syscall", "__cxa_atexit")}
    given = {name for binding, where, name in symbols if where != "UND" and binding == "GLOBAL"}
    more = {"__clock_gettime64"} if architecture == "armhf" else set()
    assert given == {"clock_gettime"} | more


def test_the_same_source_builds_to_the_same_bytes(tmp_path: Path) -> None:
    needs(*COMPILERS.values())
    builds = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        subprocess.run([BUILD, folder], check=True, capture_output=True)
        builds.append({p.name: p.read_bytes() for p in folder.iterdir()})
    assert builds[0] == builds[1]
    ours, theirs = (
        text.splitlines()[0]
        for text in ((CLOCK / "SHA256SUMS").read_text(), builds[0]["SHA256SUMS"].decode())
    )
    if ours != theirs:
        pytest.skip(f"the shipped libraries are of other compilers: {ours}")
    for name, content in builds[0].items():
        assert content == (CLOCK / name).read_bytes(), name
