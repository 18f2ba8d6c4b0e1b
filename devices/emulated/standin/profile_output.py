"""Where the stand-ins' op profiles go: the classic tool's three modes, CompiledModel's log."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ai_edge_litert import profiling_info_pb2

from devices.emulated.standin.figures import average
from devices.emulated.standin.flags import Flags
from devices.emulated.standin.log import Log
from devices.emulated.standin.profile import Detail, Section

_COLUMNS = ("[start]", "[first]", "[avg ms]", "[%]", "[cdf%]", "[mem KB]", "[times called]")
_SUMMARY = ("[count]", "[avg ms]", "[avg %]", "[cdf %]", "[mem KB]", "[times called]")
_INIT = "Profiling Info for Benchmark Initialization:"
_REGULAR = "Operator-wise Profiling Info for Regular Benchmark Runs:"


def write_classic(log: Log, flags: Flags, init: Section, regular: Section) -> None:
    """In the mode that the flags ask for; without a file, or a writable one, on stdout."""
    mode, path = flags.text("op_profiling_output_mode"), flags.text("op_profiling_output_file")
    if mode == "proto":
        message = profiling_info_pb2.BenchmarkProfilingData()
        init.fill(message.init_profile)
        regular.fill(message.runtime_profile)
        if not _written(path, message.SerializeToString()):
            log.info(str(message))
        return
    csv = mode == "csv"
    sections = [f"{_INIT}\n{init.text(csv=csv)}", f"{_REGULAR}\n{regular.text(csv=csv)}"]
    if not _written(path, "\n".join((*sections, "")).encode("utf-8", "surrogateescape")):
        for section in sections:
            log.info(section)


def write_compiled(log: Log, section: Section) -> None:
    """The tables of the CompiledModel tool, which count the calls of all runs."""
    details = section.by_order()
    total = sum(section.totals_us)
    lines = ["", f"{' Run Order ':=^150}", _header("[node type]", _COLUMNS) + "   [Name]"]
    lines += _rows(details, total)
    by_time = sorted(details, key=lambda detail: -sum(detail.calls_us))
    lines += ["", f"{' Top by Computation Time ':=^150}", lines[2], *_rows(by_time, total)]
    lines += ["", f"Number of nodes executed: {len(details)}", ""]
    lines += [f"{' Summary by node type ':=^130}", _header("[Node type]", _SUMMARY)]
    kinds = sorted({detail.type for detail in details})
    before = 0
    statistics = []
    for kind in kinds:
        same = [detail for detail in details if detail.type == kind]
        calls = [us for detail in same for us in detail.calls_us]
        before += sum(calls)
        cells = (
            f"{len(same):>10} {average(calls) / 1000:10.3f} {_share(sum(calls), total)}"
            f" {_share(before, total)} {0:10.3f} {len(calls):>14}"
        )
        lines.append(f"{_compiled(kind, same[0].name):>60} {cells}")
        if same[0].name.startswith("Delegate/"):
            statistics.append(
                f"{_compiled(kind, same[0].name):<80} {len(calls):>10} {average(calls):10.2f}"
                f" {min(calls):>10} {max(calls):>10} {sum(calls):>10}"
            )
    if statistics:
        heads = ("Count", "Avg(us)", "Min(us)", "Max(us)", "Total(us)")
        head = f"{'Op Name':<80} " + " ".join(f"{word:>10}" for word in heads)
        lines += ["", f"{' Delegate Statistics ':=^135}", head, *statistics]
    lines += ["", f"Timings (microseconds): count={len(details)} curr={total}"]
    lines += ["Memory (bytes): count=0", f"{len(details)} nodes observed", ""]
    log.runtime("[benchmark_litert_model.h:192] " + "\n".join(lines))


def _header(kind: str, columns: Sequence[str]) -> str:
    cells = [f"{word:>{14 if word == columns[-1] else 10}}" for word in columns]
    return " ".join((f"{kind:>60}", *cells))


def _rows(details: Sequence[Detail], total: int) -> list[str]:
    rows, before = [], 0
    for detail in details:
        calls = detail.calls_us
        before += sum(calls)
        place = detail.name.rpartition(":")[2]
        who = "Delegate" if detail.name.startswith("Delegate/") else "Builtin"
        rows.append(
            f"{_compiled(detail.type, detail.name):>60} {0:10.3f} {calls[0] / 1000:10.3f}"
            f" {average(calls) / 1000:10.3f} {_share(sum(calls), total)} {_share(before, total)}"
            f" {0:10.3f} {len(calls):>14}   [{who}]:{place}"
        )
    return rows


def _compiled(kind: str, name: str) -> str:
    return f"Delegate/{kind}" if name.startswith("Delegate/") else kind


def _share(part: int, total: int) -> str:
    return f"{part * 100 / (total or 1):9.3f}%"


def _written(path: str, content: bytes) -> bool:
    if path:
        with suppress(OSError):
            Path(path).write_bytes(content)
            return True
    return False
