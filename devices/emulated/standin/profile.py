"""Op profiles in the real tools' formats; the share of each op in a run is made up.

Source of the formats: xla/tsl/util/stats_calculator.cc and LiteRT's
tflite/profiling/profile_summary_formatter.cc and litert/runtime/profiler_summarizer.cc.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ai_edge_litert import profiling_info_pb2

from devices.emulated.standin.delegates import XNNPACK, Step
from devices.emulated.standin.figures import average, count_line, deviation, number
from devices.emulated.standin.runtime import Model

_XNNPACK_OPERATORS = {
    "ADD": "Add (ND)",
    "CONV_2D": "Convolution (NHWC, F32) IGEMM",
    "DEPTHWISE_CONV_2D": "Convolution (NHWC, F32) DWConv",
    "FULLY_CONNECTED": "Fully Connected (NC, F32) GEMM",
    "MAX_POOL_2D": "Max Pooling (NHWC, F32)",
    "RESHAPE": "Static Reshape (NC)",
    "SOFTMAX": "Softmax (NC, F32)",
}
_COLUMNS = ("[first]", "[avg ms]", "[%]", "[cdf%]", "[mem KB]", "[times called]")
_WIDTHS = (9, 9, 8, 8, 10, 9)
_SUMMARY = ("[count]", "[avg ms]", "[avg %]", "[cdf %]", "[mem KB]", "[times called]")
_SUMMARY_WIDTHS = (9, 10, 11, 11, 10, 9)


@dataclass(frozen=True, slots=True)
class Event:
    """One op of a run: type and name as the tool has them, and us in each run."""

    type: str
    name: str
    times_us: Sequence[int]
    mem_kb: int = 0


@dataclass(slots=True)
class Detail:
    """What is kept under one name."""

    type: str
    name: str
    order: int
    mem_kb: int
    calls_us: list[int] = field(default_factory=list)


class Section:
    """Statistics of the events of some runs, as the tool keeps them: by name."""

    def __init__(self, events: Sequence[Event], runs: int) -> None:
        self.runs = runs
        self._details: dict[str, Detail] = {}
        for order, event in enumerate(events):
            kept = self._details.setdefault(
                event.name, Detail(event.type, event.name, order, event.mem_kb)
            )
            kept.calls_us.extend(event.times_us)
        self.totals_us = [sum(event.times_us[run] for event in events) for run in range(runs)]

    def by_order(self) -> list[Detail]:
        """As the tool sorts: by a text, which is wrong below zero."""
        count = len(self._details)
        return sorted(
            self._details.values(), key=lambda d: (f"{count - d.order:>20}", d.name), reverse=True
        )

    def by_time(self) -> list[Detail]:
        return sorted(self._details.values(), key=lambda d: average(d.calls_us), reverse=True)[:10]

    def text(self, *, csv: bool) -> str:
        """The tables, and the lines below them."""
        parts = [
            _table("Run Order", self._rows(self.by_order(), csv=csv), csv=csv),
            _table("Top by Computation Time", self._rows(self.by_time(), csv=csv), csv=csv),
            f"Number of nodes executed: {len(self._details)}\n",
            self._by_type(csv=csv),
            f"Timings (microseconds): {count_line(self.totals_us).partition(' p5=')[0]}\n",
            f"Memory (bytes): count=0\n{len(self._details)} nodes observed\n\n\n",
        ]
        return "".join(parts)

    def fill(self, profile: profiling_info_pb2.ModelProfilingData) -> None:
        """As a part of the tool's message."""
        graph = profile.subgraph_profiles.add(subgraph_name="main", subgraph_index=0)
        for detail in self.by_order():
            calls = detail.calls_us
            row = graph.per_op_profiles.add(
                node_type=detail.type,
                name=detail.name,
                times_called=len(calls) // self.runs,
                run_order=detail.order,
            )
            row.inference_microseconds.CopyFrom(_stat(calls))
            row.mem_kb.CopyFrom(_stat([detail.mem_kb] * len(calls)))

    def _rows(self, details: Sequence[Detail], *, csv: bool) -> Iterator[str]:
        total, before = sum(self.totals_us), 0
        for detail in details:
            calls = detail.calls_us
            before += sum(calls)
            cells = [
                _number(calls[0] / 1000, csv=csv),
                _number(average(calls) / 1000, csv=csv),
                _percent(sum(calls), total, csv=csv),
                _percent(before, total, csv=csv),
                _number(detail.mem_kb, csv=csv),
                str(len(calls) // self.runs),
            ]
            if csv:
                yield ", ".join((detail.type, *cells, detail.name.replace(",", "\t")))
            else:
                yield f"{_right(detail.type, cells, _WIDTHS)}\t{detail.name}"

    def _by_type(self, *, csv: bool) -> str:
        kinds: dict[str, list[int]] = {}
        for detail in self._details.values():
            kept = kinds.setdefault(detail.type, [0, 0, 0, 0])
            us = sum(detail.calls_us) // self.runs
            for k, add in enumerate((1, us, detail.mem_kb, len(detail.calls_us) // self.runs)):
                kept[k] += add
        total, before = sum(us for _, us, _, _ in kinds.values()), 0
        lines = []
        for kind, (count, us, mem, calls) in sorted(kinds.items(), key=lambda i: -i[1][1]):
            before += us
            shares = [_percent(part, total, csv=csv) for part in (us, before)]
            cells = [str(count), _number(us / 1000, csv=csv), *shares]
            cells += [_number(mem, csv=csv), str(calls)]
            lines.append(", ".join((kind, *cells)) if csv else _right(kind, cells, _SUMMARY_WIDTHS))
        header = (
            "node type, count, avg_ms, avg %, cdf %, mem KB, times called"
            if csv
            else _right("[Node type]", _SUMMARY, (*_SUMMARY_WIDTHS[:5], 10))
        )
        return f"{_banner('Summary by node type')}{header}\n" + "".join(
            f"{line}\n" for line in (*lines, "")
        )


def preparation(init_us: int, *, delegated: bool) -> Section:
    """Of the time that a model took to get ready."""
    parts = [("ModifyGraphWithDelegate", init_us * 3 // 4)] if delegated else []
    parts.append(("AllocateTensors", init_us - sum(us for _, us in parts)))
    return Section([Event(name, f"{name}/0", [us], 128) for name, us in parts], 1)


def regular(model: Model, plan: Sequence[Step], samples_us: Sequence[int]) -> Section:
    """Of the measured runs: each op has a share of a run by the size of what it computes."""
    steps = list(_steps(model, plan))
    whole = sum(weight for _, _, weight in steps)
    events = [
        Event(kind, name, [us * weight // whole for us in samples_us])
        for kind, name, weight in steps
    ]
    return Section(events, len(samples_us))


def _steps(model: Model, plan: Sequence[Step]) -> Iterator[tuple[str, str, int]]:
    """Type, name and weight of what runs, in order."""
    tensors = {int(tensor["index"]): tensor for tensor in model.tensors()}
    kernels = 0
    for step in plan:
        nodes = [model.nodes[index] for index in step.nodes]
        sizes = [sum(_elements(tensors[t]["shape"]) for t in node.outputs) for node in nodes]
        if step.delegate == XNNPACK:
            for inner, (node, size) in enumerate(zip(nodes, sizes, strict=True)):
                kind = _XNNPACK_OPERATORS.get(node.op, f"{node.op.title()} (ND)")
                yield kind, f"Delegate/{kind}:{inner}", size
        else:
            last = nodes[-1]
            index = last.index if step.delegate is None else len(model.nodes) + kernels
            names = ", ".join(str(tensors[t]["name"]) for t in last.outputs)
            yield step.delegate or last.op, f"[{names}]:{index}", sum(sizes)
        kernels += step.delegate is not None


def _elements(shape: Sequence[int]) -> int:
    count = 1
    for side in shape:
        count *= int(side)
    return count


def _table(title: str, rows: Iterator[str], *, csv: bool) -> str:
    header = (
        "node type, first, avg_ms, %, cdf%, mem KB, times called, name"
        if csv
        else f"{_right('[node type]', _COLUMNS, _WIDTHS)}\t[Name]"
    )
    return f"{_banner(title)}{header}\n" + "".join(f"{row}\n" for row in (*rows, ""))


def _banner(title: str) -> str:
    return f"{'=' * 30} {title} {'=' * 30}\n"


def _right(kind: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"\t{kind:>40}" + "".join(
        f"\t{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)
    )


def _number(value: float, *, csv: bool) -> str:
    return number(value) if csv else f"{value:.3f}"


def _percent(part: int, total: int, *, csv: bool) -> str:
    return f"{_number(part * 100 / total, csv=csv)}%" if total else "-nan%"


def _stat(values: Sequence[int]) -> profiling_info_pb2.OpProfilingStat:
    return profiling_info_pb2.OpProfilingStat(
        first=values[0],
        last=values[-1],
        avg=int(average(values)),
        stddev=deviation(values),
        variance=deviation(values) ** 2,
        min=min(values),
        max=max(values),
        sum=sum(values),
        count=len(values),
    )
