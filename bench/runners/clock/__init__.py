"""Which build of the recorded clock goes before a benchmark_model binary.

The library is put before libc with LD_PRELOAD and writes what the program read from
CLOCK_MONOTONIC to the file that CLOCK_OUT names; bench.parsers.recorded_clock reads it.
scripts/build-clock builds every one of them from recorded_clock.c.
"""

from __future__ import annotations

from pathlib import Path

# Environment variable: where the recording goes, absolute or relative to the working
# directory. The launch has to set it for the measured program only.
CLOCK_OUT = "EDGEBENCH_CLOCK_OUT"

_FOLDER = Path(__file__).parent
_ARMS = ("arm64", "arm64-v8a", "aarch64", "arm", "armeabi-v7a", "armv6l", "armv7l", "armv8l")


def library_for(machine: str, word_bits: int) -> Path | None:
    """The library for a program of `word_bits` bits on `machine`, None where there is none.

    Args:
        machine: as `uname -m` says it, or an Android ABI.
        word_bits: of the program, not of the kernel: a 32-bit program on a 64-bit Pi or phone
            needs the 32-bit library, and Android does not start it with the other.
    """
    if word_bits == 32 and machine in _ARMS:
        return _FOLDER / "recorded_clock-armhf.so"
    if word_bits == 64 and machine in _ARMS[:3]:
        return _FOLDER / "recorded_clock-aarch64.so"
    if word_bits == 64 and machine in ("x86_64", "amd64"):
        return _FOLDER / "recorded_clock-x86_64.so"
    return None
