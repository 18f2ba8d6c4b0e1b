"""A recording of benchmark_model's clock reads and its two count lines -> proven samples.

The tool (benchmark_model.cc, Run) reads the clock once before its runs and then three times
per run: before, after, and once more for its time limit; with --run_frequency four times.
It reads for the warm-up, at once for the measured runs, and then no more. Whose reads are
the tool's is not in the recording: they are those from which every figure that the tool
printed of both parts follows; where there is not exactly one answer, there is none. The
recording's format is in bench/runners/clock/recorded_clock.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.parsers.count_line import CountLine, differences

# Fewer runs say too little, and add nothing to the median that the tool prints.
MIN_RUNS = 10
# Below this whole microseconds are too coarse to tell a run from the gap between two.
MIN_MEDIAN_US = 2

_MAGIC = b"EBCLOCK\0"
_VERSION = 1
_HEADER = np.dtype(
    [
        ("magic", "S8"),
        ("version", "<u4"),
        ("readers", "<u4"),
        ("records", "<u4"),
        ("dropped", "<u4"),
        ("base_ns", "<i8"),
    ]
)
_READERS = 254
_READS_PER_RUN = (3, 4)

_Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Samples that yield every figure the tool printed in this launch.

    Attributes:
        samples_ns: wall time of each measured run, int64 ns, in order of time.
        warmup_ns: of each run of the warm-up.
        call_site: address in the program from which the tool read the clock; None where it
            reads from several.
        reads: clock reads recorded in all, those of drivers and other threads included.
        buffer_kib: memory that the recording took in the measured process.
    """

    samples_ns: _Int64
    warmup_ns: _Int64
    call_site: int | None
    reads: int
    buffer_kib: int


@dataclass(frozen=True, slots=True)
class _Recording:
    """site, thread: by reader, from 1. reader, stamps_ns: by read."""

    site: NDArray[np.uint64]
    thread: NDArray[np.uint64]
    reader: NDArray[np.uint8]
    stamps_ns: _Int64
    kib: int


def rebuild(recording: bytes, warmup: CountLine, measured: CountLine) -> Rebuilt | str:
    """Find the tool's own reads, or say why they do not prove themselves.

    Args:
        recording: content of the file that the recorded clock wrote.
        warmup, measured: the first and the second count line of that very launch.

    Returns:
        The samples where count, first, curr, min, max, avg (6 digits), std, p5, median and
        p95, as far as a line has them, are the same in both lines and in what the reads
        give; else the reason in words, as the end of a sentence.
    """
    reason = _too_little(measured)
    if reason is not None:
        return reason
    read = _read(recording)
    if isinstance(read, str):
        return read
    found: list[Rebuilt] = []
    for site, stamps_ns in _streams(read):
        for reads_per_run in _READS_PER_RUN:
            parts = _parts(stamps_ns, reads_per_run, warmup, measured)
            if parts is not None:
                warmup_ns, samples_ns = parts
                found.append(Rebuilt(samples_ns, warmup_ns, site, len(read.stamps_ns), read.kib))
    if not found:
        return "no reads of the recording give the printed figures"
    # The reads of a thread that reads from one place only are found twice.
    if not all(
        np.array_equal(found[0].samples_ns, other.samples_ns)
        and np.array_equal(found[0].warmup_ns, other.warmup_ns)
        for other in found[1:]
    ):
        return "more than one reader's reads give the printed figures"
    return found[0]


def _too_little(measured: CountLine) -> str | None:
    if measured.count < MIN_RUNS:
        return f"{measured.count} runs are too little proof; it takes {MIN_RUNS}"
    if measured.avg is None:
        return "all runs took the same number of whole us, which proves too little"
    middle = measured.avg if measured.median is None else measured.median
    if middle < MIN_MEDIAN_US:
        return f"runs under {MIN_MEDIAN_US} us are too short to prove in whole us"
    return None


def _read(recording: bytes) -> _Recording | str:
    if len(recording) < _HEADER.itemsize + 16 or len(recording) % 8:
        return "the recording is cut short"
    header = np.frombuffer(recording, _HEADER, 1)[0]
    if recording[: len(_MAGIC)] != _MAGIC or header["version"] != _VERSION:
        return "the recording is of an unknown format"
    words = np.frombuffer(recording, "<u8")
    readers, records = int(header["readers"]), int(header["records"])
    if readers > _READERS or len(recording) != _HEADER.itemsize + 16 * readers + 8 * records + 16:
        return "the recording is not as long as it says"
    a = np.cumsum(words[:-2], dtype=np.uint64)
    if (a[-1], a.sum(dtype=np.uint64)) != (words[-2], words[-1]):
        return "the recording is damaged: its sums are wrong"
    if header["dropped"]:
        return f"the recording was full: {header['dropped']} reads are missing after {records}"
    start = _HEADER.itemsize // 8
    table = words[start : start + 2 * readers].reshape(-1, 2)
    body = words[start + 2 * readers : -2]
    # Arithmetic shifts, because the 56 bits are signed.
    offsets = (body << np.uint64(8)).view(np.int64) >> 8
    return _Recording(
        site=table[:, 0],
        thread=table[:, 1],
        reader=(body >> np.uint64(56)).astype(np.uint8),
        stamps_ns=offsets + header["base_ns"],
        kib=-(-body.nbytes // 1024),
    )


def _streams(read: _Recording) -> Iterator[tuple[int | None, _Int64]]:
    """Reads that may be the tool's, in ns: of one place in one thread, or of one thread.

    The tool reads from one place, a function of its own; where a compiler has put that
    function into its callers, from several.
    """
    for number, site in enumerate(read.site, start=1):
        yield int(site), read.stamps_ns[read.reader == number]
    threads, counts = np.unique(read.thread, return_counts=True)
    for thread in threads[counts > 1]:
        numbers = np.flatnonzero(read.thread == thread) + 1
        yield None, read.stamps_ns[np.isin(read.reader, numbers)]


def _parts(
    stamps_ns: _Int64, reads_per_run: int, warmup: CountLine, measured: CountLine
) -> tuple[_Int64, _Int64] | None:
    """Warm-up and measured runs in ns at the end of these reads, None if the lines do not fit.

    Before the runs of each part is one read.
    """
    n_warmup, n_measured = warmup.count, measured.count
    reads = 2 + reads_per_run * (n_warmup + n_measured)
    if len(stamps_ns) < reads:
        return None
    stamps_ns = stamps_ns[-reads:]
    if (np.diff(stamps_ns) < 0).any():
        return None  # a clock that goes back has measured nothing
    us = _whole_us(stamps_ns)
    parts = []
    for line, first in ((warmup, 1), (measured, 2 + reads_per_run * n_warmup)):
        end = first + reads_per_run * line.count
        starts = slice(first, end, reads_per_run)
        ends = slice(first + 1, end, reads_per_run)
        if differences(line, us[ends] - us[starts]):
            return None
        parts.append(stamps_ns[ends] - stamps_ns[starts])
    return parts[0], parts[1]


def _whole_us(stamps_ns: _Int64) -> _Int64:
    """What the tool makes of a read (time.cc, NowMicros): floating point, then cut.

    After 203 days of uptime that rounds some reads up to the next microsecond.
    """
    seconds, rest = np.divmod(stamps_ns, 1_000_000_000)
    return (seconds * 1e6 + rest / 1e3).astype(np.int64)
