"""When a value stands out of its group, and in what a device differs from its like."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist, median

from bench.telemetry import Telemetry

MIN_RATIO = 1.2
MIN_ROBUST_SD = 3.5
# False alarms of a whole group, whatever its size, where the spread alone would make them.
_GROUP_LEVEL = 0.005
# A spread below this is that of clocks, not of devices.
_LEAST_SPREAD = 0.005


def outlier_limit(logs: Sequence[float]) -> float:
    """Least distance from the median at which a value of a group stands out, in its logs.

    It is 20 %, and 3.5 robust standard deviations (1.4826 MAD), or more in a large group, by
    the normal quantile of 0.5 % per group. Of few values the MAD itself is uncertain: by
    simulation a factor of 1 + 8/n keeps false alarms of normal groups at 1 to 3 %, which at
    a plain 3.5 and a spread of 12 % were 13 % among five.
    """
    middle = median(logs)
    spread = max(1.4826 * median(abs(value - middle) for value in logs), _LEAST_SPREAD)
    count = len(logs)
    deviations = max(MIN_ROBUST_SD, NormalDist().inv_cdf(1 - _GROUP_LEVEL / count))
    return max(deviations * (1 + 8 / count) * spread, math.log(MIN_RATIO))


def evidence_of(
    one: Telemetry, members: Sequence[Telemetry], *, verdict: bool = True
) -> tuple[str, ...]:
    """In what a device differs from most of its kind."""
    lines = []
    named = {"runtime_version": "runtime", "model_sha256": "file"}
    if verdict:
        named = {"delegate_verdict": "delegate verdict", **named}
    for field, word in named.items():
        its, most = one.latest.get(field), usual(members, field)
        if its and most and its != most:
            short = slice(12) if field == "model_sha256" else slice(None)
            lines.append(f"{word} {its[short]}, most others {most[short]}")
    temperatures = [
        t.latest["temperature_c"] for t in members if t.latest.get("temperature_c") is not None
    ]
    its_c = one.latest.get("temperature_c")
    if its_c is not None and its_c - median(temperatures) >= 5:
        lines.append(f"{its_c:.0f} °C, others {median(temperatures):.0f} °C")
    if one.throttled:
        lines.append(f"throttled in {one.throttled} of {one.told} samples")
    return tuple(lines)


def usual(members: Sequence[Telemetry], field: str) -> str | None:
    """What more than half of those that tell say; None where no answer has that many."""
    told = [t.latest[field] for t in members if t.latest.get(field)]
    if not told:
        return None
    value, count = Counter(told).most_common(1)[0]
    return str(value) if 2 * count > len(told) else None
