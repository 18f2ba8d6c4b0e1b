"""What a case's delegate took, by all of its launches, and whether its number may stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from bench.delegation.judge import with_profile
from bench.delegation.latency import with_latency
from bench.delegation.model import Coverage, Delegation, Evidence, EvidenceSource
from bench.plan import RUNNER_KIND
from bench.records import LaunchRecord, Purpose
from bench.stats import RatioVerdict
from reports.checked import Checked

_LAUNCH = {Purpose.PROFILE: "profiling", Purpose.NUMERICS: "numerics"}


def delegation_of(
    wanted: str, launches: Sequence[LaunchRecord], checked: Checked
) -> Delegation | None:
    """The delegation of a case; UNKNOWN where its launches disagree, None without any.

    A tainted launch tells it as well as a clean one: load does not move a node.
    """
    seen = [item.measurement.delegation for item in launches if item.measurement]
    if not seen:
        return None
    found = _of_timed(wanted, seen)
    if checked.profile is not None:
        found = with_profile(found, checked.profile)
    for purpose, other in checked.said:
        known = Coverage.UNKNOWN not in (found.verdict, other.verdict)
        if known and other.verdict is not found.verdict:
            text = (
                f"the {_LAUNCH[purpose]} launch says {other.verdict.value}, the timed ones"
                f" {found.verdict.value}"
            )
            evidence = (*_recorded(text), *found.evidence)
            found = replace(found, verdict=Coverage.UNKNOWN, evidence=evidence)
    return found


def without_foreign_profile(
    runner: str, launches: Sequence[LaunchRecord], checked: Checked
) -> Checked:
    """Leaves out a profile of other nodes than were timed.

    The interpreter of invoke_loop cannot be profiled: CompiledModel is in its place, which
    hands XNNPACK ops on variables that the interpreter keeps.
    """
    profiled = dict(checked.said).get(Purpose.PROFILE)
    timed = [item.measurement.delegation for item in launches if item.measurement]
    if runner != RUNNER_KIND or checked.profile is None or profiled is None or not timed:
        return checked
    ours = {(one.delegated_nodes, one.total_nodes) for one in timed}
    theirs = (profiled.delegated_nodes, profiled.total_nodes)
    if None in theirs or any(None in one for one in ours) or ours == {theirs}:
        return checked
    ours_text = " or ".join(sorted(f"{taken} of {total}" for taken, total in ours))
    return replace(
        checked,
        profile=None,
        profile_reason=(
            f"{profiled.requested} took {theirs[0]} of {theirs[1]} nodes in CompiledModel, which "
            f"profiles for {runner}, and {ours_text} in what was timed"
        ),
        said=tuple(item for item in checked.said if item[0] is not Purpose.PROFILE),
    )


def _of_timed(wanted: str, seen: Sequence[Delegation]) -> Delegation:
    others = sorted({d.requested for d in seen} - {wanted})
    if others:
        text = f"launches were asked for {', '.join(others)}, not for {wanted}"
        return Delegation(wanted, Coverage.UNKNOWN, evidence=_recorded(text))
    takes = {(d.verdict, d.delegated_nodes, d.total_nodes) for d in seen}
    if len(takes) == 1:
        return seen[0]
    words = Counter(d.verdict.value for d in seen)
    if len(words) == 1:
        words = Counter(f"{d.delegated_nodes} of {d.total_nodes} nodes" for d in seen)
    text = ", ".join(f"{word} in {count}" for word, count in words.most_common())
    return Delegation(wanted, Coverage.UNKNOWN, evidence=_recorded(f"launches: {text}"))


def _recorded(text: str) -> tuple[Evidence, ...]:
    return (Evidence(EvidenceSource.RECORD, text, Coverage.UNKNOWN),)


def doubted(found: Delegation | None, against_cpu: RatioVerdict | None) -> Delegation | None:
    """The delegation with what its speed against the same device's processor says of it.

    Args:
        against_cpu: time of the processor divided by its own; None where not comparable.
    """
    if found is None or against_cpu is None:
        return found
    return with_latency(found, against_cpu)


def why_not_as_requested(delegation: Delegation | None) -> str | None:
    """Why a number may not stand under the name of its delegate, or None if it may."""
    if delegation is None:
        return "the delegation is unknown"
    if delegation.as_requested:
        return None
    if delegation.requested == "none":
        took = f"a delegate took part ({delegation.verdict.value})"
        return took if delegation.verdict is not Coverage.UNKNOWN else "the delegation is unknown"
    if delegation.verdict is Coverage.NONE:
        return f"{delegation.requested} took no node"
    return f"it is unknown what {delegation.requested} took"


def misfiled(delegation: Delegation | None) -> bool:
    """Whether the evidence says that the number is another delegate's; UNKNOWN says nothing."""
    return (
        delegation is not None
        and delegation.verdict is not Coverage.UNKNOWN
        and not delegation.as_requested
    )
