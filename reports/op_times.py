"""Profiles of a run's cases in short: where the time went, and where two of them differ."""

from __future__ import annotations

from collections import defaultdict

from bench.ops.groups import group
from bench.ops.kernels import family
from bench.ops.mapping import unmapped
from bench.ops.model import OpKind, OpProfile
from bench.ops.summary import summarise
from reports.delegate_model import OpDifference, OpShare, ProfileSeen


def profile_seen(profile: OpProfile) -> ProfileSeen | None:
    """A profile in short; None where it tells no times, or none that shares can be made of."""
    types = summarise(profile, unmapped(profile)).types
    if not types or types[0].share is None:
        return None
    us: defaultdict[tuple[str, bool], float] = defaultdict(float)
    shares: defaultdict[tuple[str, bool], float] = defaultdict(float)
    for total in types:
        if total.us is None or total.share is None:
            continue
        by_delegate = total.kind is not OpKind.OP
        # Of a delegate's steps the kernel and the type of numbers are names too.
        name = family(total.type) if total.kind is OpKind.DELEGATE_OP else total.type
        us[name, by_delegate] += total.us
        shares[name, by_delegate] += total.share
    ops = (OpShare(*key, us[key], shares[key]) for key in us)
    return ProfileSeen(
        types[0].type, types[0].share, ops=tuple(sorted(ops, key=lambda one: -one.us))
    )


def op_differences(profile: OpProfile, reference: OpProfile) -> tuple[OpDifference, ...]:
    """The same ops in two profiles, those that differ most first.

    Groups of which a row has no time on either side are left out, and all of them where a
    profiler's clock is too coarse for ops this fast.
    """
    sides = [summarise(one, unmapped(one)) for one in (profile, reference)]
    if any(side.too_coarse for side in sides):
        return ()
    return tuple(
        OpDifference(one.label, one.ours.us, one.theirs.us)
        for one in group(*sides)
        if one.difference_us is not None
    )
