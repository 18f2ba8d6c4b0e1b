"""Where the time went op by op: shares of each case, and differences to fp32."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench import format as fmt
from reports.delegate_model import OpDifference, OpShare
from reports.model import Row
from reports.render.looks import INK
from reports.render.plots import WIDTH_INCHES, short, way

SHARES_CAPTION = (
    "Share of the time of all ops, by kind of op, of one profiling launch per case; such launches "
    "are slower than timed ones. “in the delegate”: steps that the delegate ran; the others ran "
    "on plain kernels. The table below has the times."
)
DIFFERENCES_CAPTION = (
    "Time per run of each kind of op, less fp32's with the same delegate and threads, in "
    "profiling launches: to the right (hatched) it is slower than fp32 there, to the left it is "
    "faster. At most 8 kinds per case and 6 cases, those that differ most; the table has all."
)
MOST_KINDS, MOST_BARS, MOST_PAIRS = 8, 8, 6
# Okabe and Ito's and a grey, with a hatch each: any two differ in both.
_FILLS = (
    ("#0072b2", ""),
    ("#e69f00", "////"),
    ("#009e73", "\\\\\\\\"),
    ("#cc79a7", "...."),
    ("#56b4e9", "xxxx"),
    ("#d55e00", "----"),
    ("#999933", "||||"),
    ("#882255", "oo"),
)
_OTHERS = ("#999999", "++")
_NAMED_FROM = 0.07
_ROW_INCHES, _BAR_INCHES = 0.42, 0.24
_SLOWER, _FASTER = "#d55e00", "#0072b2"


@dataclass(frozen=True, slots=True)
class ProfiledCase:
    """A case by its name and where its time went."""

    name: str
    ops: tuple[OpShare, ...]


@dataclass(frozen=True, slots=True)
class ComparedCase:
    """A case by its name, and what its ops take more or less than another's."""

    name: str
    differences: tuple[OpDifference, ...]


def profiled(rows: Sequence[Row]) -> tuple[ProfiledCase, ...]:
    """The cases that have a profile."""
    return tuple(
        ProfiledCase(case_name(row), row.profile.ops)
        for row in rows
        if row.profile is not None and row.profile.ops
    )


def compared(rows: Sequence[Row]) -> tuple[ComparedCase, ...]:
    """The cases whose profile can be held against fp32's, those that differ most first."""
    found = [
        ComparedCase(case_name(row), row.profile.against_fp32)
        for row in rows
        if row.profile is not None and row.profile.against_fp32
    ]
    return tuple(sorted(found, key=lambda one: -max(abs(d.difference_us) for d in one.differences)))


def case_name(row: Row) -> str:
    """A case within its group: "int8 · xnnpack · 1 thread"."""
    return f"{short(row.case.variant)} · {way(row)}"


def op_name(op: OpShare) -> str:
    """A kind of op, and whether the delegate ran it."""
    name = short(op.op)
    return f"{name} in the delegate" if op.by_delegate else name


def plot_op_shares(figure: Figure, cases: Sequence[ProfiledCase]) -> Axes | None:
    """A bar per case, stacked by kind of op: the MOST_KINDS that take most, and all others."""
    if not cases:
        return None
    totals: defaultdict[str, float] = defaultdict(float)
    for case in cases:
        for op in case.ops:
            totals[op_name(op)] += op.share
    kinds = sorted(totals, key=lambda name: -totals[name])[:MOST_KINDS]
    looks = dict(zip(kinds, _FILLS, strict=False))
    figure.set_size_inches(WIDTH_INCHES, 1.35 + _ROW_INCHES * len(cases))
    axes = figure.add_subplot()
    any_others = False
    for place, case in enumerate(cases):
        shares: defaultdict[str, float] = defaultdict(float)
        for op in case.ops:
            shares[op_name(op) if op_name(op) in looks else ""] += op.share
        left = 0.0
        for name in [*kinds, ""]:
            if (share := shares[name]) <= 0:
                continue
            any_others |= not name
            colour, hatch = looks.get(name, _OTHERS)
            axes.barh(
                place, share, 0.66, left, facecolor=colour, hatch=hatch, edgecolor="white", lw=0.6
            )
            if share >= _NAMED_FROM:
                axes.text(
                    left + share / 2, place, fmt.percent(share, 0), ha="center", va="center",
                    fontsize=7.5, color="black",
                    bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85},
                )  # fmt: skip
            left += share
    axes.set_yticks(range(len(cases)), [case.name for case in cases])
    axes.set_ylim(len(cases) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:g} %"))
    handles = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="white", lw=0.6, label=name)
        for name, (colour, hatch) in looks.items()
    ]
    if any_others:
        colour, hatch = _OTHERS
        handles.append(Patch(facecolor=colour, hatch=hatch, edgecolor="white", label="all others"))
    figure.legend(handles=handles, loc="outside lower right", ncols=3, frameon=False, fontsize=8)
    return axes


def plot_op_differences(figure: Figure, cases: Sequence[ComparedCase]) -> Axes | None:
    """A panel per case, a bar per kind of op: how much slower or faster than the other it is."""
    shown = cases[:MOST_PAIRS]
    if not shown:
        return None
    bars = [case.differences[:MOST_BARS] for case in shown]
    heights = [len(one) + 1.2 for one in bars]
    figure.set_size_inches(WIDTH_INCHES, 0.7 + _BAR_INCHES * sum(heights))
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    furthest = max(abs(one.difference_us) for found in bars for one in found) or 1.0
    for panel, case, found in zip(panels, shown, bars, strict=True):
        for place, one in enumerate(found):
            slower = one.difference_us > 0
            panel.barh(
                place, one.difference_us, 0.66,
                facecolor="none" if slower else _FASTER,
                edgecolor=_SLOWER if slower else _FASTER,
                hatch="/////" if slower else None, lw=0.8,
            )  # fmt: skip
            panel.annotate(
                signed(one.difference_us), (one.difference_us, place), (4 if slower else -4, 0),
                textcoords="offset points", va="center", ha="left" if slower else "right",
                fontsize=7.5,
            )  # fmt: skip
        panel.axvline(0, color=INK, lw=0.8)
        panel.set_yticks(range(len(found)), [short(one.ops) for one in found], fontsize=8)
        panel.set_ylim(len(found) - 0.4, -0.6)
        total = sum(one.difference_us for one in case.differences)
        panel.set_title(f"{case.name}: together {signed(total)}", loc="left", fontsize=9, pad=3)
        panel.set_xlim(-1.28 * furthest, 1.28 * furthest)
        panel.xaxis.set_major_locator(MaxNLocator(6))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: signed(value)))
        panel.grid(axis="x", color=INK, alpha=0.15, lw=0.7)
    last: Axes = panels[-1]
    return last


def signed(us: float) -> str:
    """A difference of times with its sign: "+120 µs"."""
    if us == 0:
        return "0"
    return f"{'−' if us < 0 else '+'}{fmt.duration(abs(us))}"
