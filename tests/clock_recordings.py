"""Recordings as recorded_clock.c writes them, of launches whose truth is known."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.parsers.count_line import CountLine

# (thread, site, ns): one clock read.
Read = tuple[int, int, int]
TOOL = (0x7000, 0x401234)


@dataclass(frozen=True)
class Launch:
    """The tool's own reads in ns, and the two lines it prints of them."""

    stamps_ns: list[int]
    warmup_ns: list[int]
    samples_ns: list[int]
    warmup: CountLine
    measured: CountLine

    @property
    def reads(self) -> list[Read]:
        return [(*TOOL, ns) for ns in self.stamps_ns]


def launch(
    warmup_ns: Sequence[int],
    samples_ns: Sequence[int],
    *,
    gaps_ns: Sequence[int] = (150, 90),
    base_ns: int = 86_400_123_456_789,
    init_ns: int = 3_000_000,
    reads_per_run: int = 3,
) -> Launch:
    """Time stands between reads as `gaps_ns` say, in turn."""
    stamps = [base_ns, base_ns + init_ns]
    gap = 0

    def rest() -> int:
        nonlocal gap
        gap += 1
        return gaps_ns[gap % len(gaps_ns)]

    printed = []
    for part in (warmup_ns, samples_ns):
        us = []
        stamps.append(stamps[-1] + rest())
        for ns in part:
            stamps.append(stamps[-1] + rest())
            stamps.append(stamps[-1] + ns)
            us.append(whole_us(stamps[-1]) - whole_us(stamps[-2]))
            stamps.extend(stamps[-1] + rest() * i for i in range(1, reads_per_run - 1))
        printed.append(line_of(us))
    return Launch(stamps, list(warmup_ns), list(samples_ns), *printed)


def whole_us(ns: int) -> int:
    """NowMicros() of the tool, in the double arithmetic of its source."""
    return int(float(ns // 10**9) * 1e6 + float(ns % 10**9) / 1e3)


def line_of(us: Sequence[int]) -> CountLine:
    """StatWithPercentiles of the tool, written a second time, one value at a time."""
    n = len(us)
    if n == 0:
        return CountLine(0, None, None, None, None, None, None, 0, 0, 0)
    ordered = sorted(us)
    p5, median, p95 = (ordered[n * p // 100] for p in (5, 50, 95))
    if ordered[0] == ordered[-1]:
        return CountLine(n, None, us[-1], None, None, None, None, p5, median, p95)
    total, squares = 0, 0.0
    for value in us:
        total += value
        squares += float(value) * value
    mean = total / n
    std = int(math.sqrt(int(squares / n - mean * mean)))
    return CountLine(
        n, us[0], us[-1], ordered[0], ordered[-1], float(f"{mean:.6g}"), std, p5, median, p95
    )


def recording(reads: Iterable[Read], *, dropped: int = 0, base_ns: int | None = None) -> bytes:
    """The file, its sums right whatever the reads say."""
    listed = list(reads)
    base = listed[0][2] if base_ns is None and listed else base_ns or 0
    readers: dict[tuple[int, int], int] = {}
    words = []
    for thread, site, ns in listed:
        number = readers.setdefault((thread, site), min(len(readers) + 1, 255))
        words.append(number << 56 | (ns - base) & (1 << 56) - 1)
    table = [word for (thread, site), n in readers.items() if n < 255 for word in (site, thread)]
    body = struct.pack(
        f"<8sIIIIq{len(table)}Q{len(words)}Q",
        *(b"EBCLOCK\0", 1, len(table) // 2, len(words), dropped, base),
        *table,
        *words,
    )
    a = b = 0
    for (word,) in struct.iter_unpack("<Q", body):
        a = (a + word) % 2**64
        b = (b + a) % 2**64
    return body + struct.pack("<QQ", a, b)
