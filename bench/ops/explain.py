"""Why one profile is slower than another, in words that its numbers carry, and no others."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bench.delegation.model import Delegation
from bench.format import duration, percent, ratio
from bench.ops.groups import Group, SideTime, group
from bench.ops.kernels import is_known
from bench.ops.model import OpKind, OpProfile
from bench.ops.summary import Summary

# METHOD section 4: smaller changes do not count.
_DELTA = 0.02
# What is less of the difference is no cause worth a line.
_CAUSE = 0.1
# Below it the causes do not explain the difference.
_EXPLAINED = 0.5

_NAMES = {
    "xnnpack": "XNNPACK",
    "gpu": "the GPU delegate",
    "nnapi": "NNAPI",
    "npu": "the NPU",
    "edgetpu": "the Edge TPU",
    "hexagon": "Hexagon",
    "external": "the external delegate",
}


class Cause(StrEnum):
    """Why a group of ops takes longer.

    FALLBACK: on plain kernels here, with a delegate there. CONVERSION: numbers are turned
    into another type. KERNELS: the same kind of kernels is slower. DELEGATE: the delegate
    is slower than plain kernels. MORE: both, or neither can be told apart.
    """

    FALLBACK = "fallback"
    CONVERSION = "conversion"
    KERNELS = "kernels"
    DELEGATE = "delegate"
    MORE = "more"


@dataclass(frozen=True, slots=True)
class Figure:
    """One cause in numbers; times in us per run of the model while profiled.

    Attributes:
        ops: names; count: how many of them on the slower side (FALLBACK: on plain kernels).
        on_plain: whether plain kernels ran all of them on the slower side.
        slower_share, faster_share: of the time of all ops of their side.
        part: of the difference between the two sums, or of that in the times that say who is
            slower where it is larger; 1 is all of it; may exceed it where other ops are faster.
    """

    cause: Cause
    ops: tuple[str, ...]
    count: int
    on_plain: bool
    slower_us: float
    faster_us: float
    slower_share: float
    faster_share: float
    part: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Sentences for people, and the numbers behind them.

    Attributes:
        slower, faster: labels of the sides; None where neither is slower.
        explained: share of the difference that `figures` cover, at most 1; None where there
            is no difference.
    """

    slower: str | None
    faster: str | None
    lines: tuple[str, ...]
    figures: tuple[Figure, ...] = ()
    explained: float | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One profile with what is known of it.

    Attributes:
        label: how it is called in sentences, e.g. "int8".
        p50_us: of the timed launches, where there are any.
    """

    label: str
    profile: OpProfile
    summary: Summary
    delegation: Delegation | None = None
    p50_us: float | None = None


def explain(one: Side, other: Side) -> Explanation:
    """Say which of two profiles is slower, and why, as far as they tell."""
    beware = [line for side in (one, other) if (line := _not_as_asked(side))]
    if not one.summary.total_us > 0 or not other.summary.total_us > 0:
        return Explanation(None, None, (*beware, "A profile without times says nothing."))
    one_us, other_us, whence = _times(one, other)
    if abs(one_us / other_us - 1) < _DELTA:
        line = f"{one.label} is as fast as {other.label} {whence} ({duration(one_us)})."
        return Explanation(None, None, (*beware, line))
    slow, fast = (one, other) if one_us > other_us else (other, one)
    times = sorted((one_us, other_us))
    head = (
        f"{slow.label} is slower than {fast.label} {whence} "
        f"({ratio(times[1] / times[0])}: {duration(times[1])} against {duration(times[0])})."
    )
    difference = slow.summary.total_us - fast.summary.total_us
    if difference <= _DELTA * fast.summary.total_us:
        line = "The profiles do not say why: their ops do not take longer."
        return Explanation(slow.label, fast.label, (*beware, head, line), (), 0.0)
    if one.summary.too_coarse or other.summary.too_coarse:
        line = "The profiles do not say why: their clock is too coarse for ops this fast."
        return Explanation(slow.label, fast.label, (*beware, head, line), (), 0.0)
    # Ops that take hardly any of a run do not explain by how much it is slower.
    told = max(difference, times[1] - times[0])
    figures = tuple(
        figure
        for item in group(slow.summary, fast.summary)
        if (grown := item.difference_us) is not None
        and grown > _cut_off_us(item, slow, fast)
        and (figure := _figure(item, slow, fast, grown / told)).part >= _CAUSE
    )
    explained = min(1.0, sum(figure.part for figure in figures))
    lines = [*beware, head, *(_sentence(figure, slow, fast) for figure in figures)]
    if not figures:
        lines.append("The profiles do not say why: no kind of op makes up the difference.")
    elif explained < _EXPLAINED:
        lines.append(
            f"That is {percent(explained, 0)} of the difference; the profiles do not say why the"
            " rest."
        )
    return Explanation(slow.label, fast.label, tuple(lines), figures, explained)


def _times(one: Side, other: Side) -> tuple[float, float, str]:
    """The times that say who is slower, and where they come from."""
    if one.p50_us and other.p50_us:
        return one.p50_us, other.p50_us, "here"
    if one.profile.invoke_us and other.profile.invoke_us:
        return one.profile.invoke_us, other.profile.invoke_us, "while profiled"
    return one.summary.total_us, other.summary.total_us, "by the sum of its ops"


def _cut_off_us(item: Group, slow: Side, fast: Side) -> float:
    """What a coarse clock alone can make the two sides differ by."""
    return max(
        slow.summary.resolution_us * item.ours.rows, fast.summary.resolution_us * item.theirs.rows
    )


def _figure(item: Group, slow: Side, fast: Side, part: float) -> Figure:
    ours, theirs = item.ours, item.theirs
    cause = _cause(item)
    return Figure(
        cause=cause,
        ops=item.ops,
        count=ours.plain_ops if cause is Cause.FALLBACK else ours.ops,
        on_plain=_runs_on(ours) is OpKind.OP,
        slower_us=ours.us,
        faster_us=theirs.us,
        slower_share=ours.us / slow.summary.total_us,
        faster_share=theirs.us / fast.summary.total_us,
        part=part,
    )


def _cause(item: Group) -> Cause:
    ours, theirs = item.ours, item.theirs
    if item.converts:
        return Cause.CONVERSION
    here, there = _runs_on(ours), _runs_on(theirs)
    if here is OpKind.OP and there is OpKind.DELEGATE:
        return Cause.FALLBACK
    if here is OpKind.DELEGATE and there is OpKind.OP:
        return Cause.DELEGATE
    if here is not None and here is there:
        return Cause.KERNELS
    # Mixed: a fallback where the plain part is what grew.
    if theirs.ops and ours.plain_us - theirs.plain_us >= 0.9 * (ours.us - theirs.us) > 0:
        return Cause.FALLBACK
    return Cause.MORE


def _runs_on(time: SideTime) -> OpKind | None:
    """OP for plain kernels, DELEGATE for a delegate; None for both or neither."""
    if not time.delegate_ops and time.plain_ops:
        return OpKind.OP
    if time.delegate_ops and not time.plain_ops:
        return OpKind.DELEGATE
    return None


def _sentence(figure: Figure, slow: Side, fast: Side) -> str:
    what = f"{figure.count} {'/'.join(figure.ops)}"
    take = "takes" if figure.count == 1 else "take"
    share = f"{percent(figure.slower_share, 0)} of its time"
    there = percent(figure.faster_share, 0)
    against = f"{duration(figure.slower_us)} against {duration(figure.faster_us)}, {share}"
    if figure.cause is Cause.FALLBACK:
        verb = "stayed" if _asked(slow) else "ran"
        name, them = _delegate(fast), "it" if figure.count == 1 else "them"
        who = name if name.lower() == fast.label.lower() else f"in {fast.label} {name}"
        return f"{what} {verb} on plain kernels: {share}; {who} took {them} ({there})."
    if figure.cause is Cause.CONVERSION:
        return f"{what} only to turn numbers into another type: {share}; in {fast.label} {there}."
    if figure.cause is Cause.DELEGATE:
        return (
            f"{what} {take} longer with {_delegate(slow)} than on plain kernels in "
            f"{fast.label}: {against}."
        )
    if figure.cause is Cause.KERNELS:
        where = "plain kernels" if figure.on_plain else _delegate(slow)
        return f"{what} {take} longer by the same kind of kernels ({where}): {against}."
    if not figure.faster_us:
        return f"{what}, only in {slow.label}: {share}."
    return f"{what} {take} longer: {against}."


def _not_as_asked(side: Side) -> str:
    found = side.delegation
    if found is None or found.as_requested:
        return ""
    return (
        f"{side.label} did not run as asked: delegate {found.requested}, verdict"
        f" {found.verdict.value}."
    )


def _asked(side: Side) -> bool:
    """Whether a delegate was meant to take ops."""
    if side.delegation is not None:
        return side.delegation.requested != "none"
    return not _all_plain(side)


def _all_plain(side: Side) -> bool:
    return all(row.row.kind is OpKind.OP for row in side.summary.rows)


def _delegate(side: Side) -> str:
    """The name of the delegate that ran most of a side's delegated ops."""
    steps = [row.row.type for row in side.summary.rows if row.row.kind is OpKind.DELEGATE_OP]
    if steps and all(map(is_known, steps)):
        return _NAMES["xnnpack"]
    asked = side.delegation.requested if side.delegation is not None else ""
    return _NAMES.get(asked, "the delegate")
