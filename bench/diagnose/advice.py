"""Which remedy to take, and what to do next, in words."""

from __future__ import annotations

from collections.abc import Sequence

from bench.accuracy import Loss, LossVerdict, amount
from bench.diagnose.outcome import Finding, FindingKind, Treatment, Verdict
from bench.diagnose.remedies import RECALIBRATED, REMEDIES
from bench.metrics import Metric


def recommend(rows: Sequence[Treatment]) -> Treatment | None:
    """The cheapest remedy that restores accuracy; None if none does.

    Of those that are not shown to be slower than the fastest of them: without training
    before with, then the smallest file, then the order of the table. Where the latency of
    one is missing or tainted, latency plays no part.
    """
    restoring = [row for row in rows if row.verdict is Verdict.RESTORES]
    if not restoring:
        return None
    level = restoring
    if timed(restoring):
        fastest = min(restoring, key=_p50_us)
        level = [row for row in restoring if not _slower(row, fastest)]
    training = {remedy.key for remedy in REMEDIES if remedy.training}
    return min(level, key=lambda row: (row.key in training, row.size_bytes or 0))


def timed(rows: Sequence[Treatment]) -> bool:
    """Whether the latency of all of them is known and may decide."""
    return all(row.latency is not None and not row.latency.taints for row in rows)


def advise(
    rows: Sequence[Treatment],
    findings: Sequence[Finding],
    *,
    metric: Metric,
    variant: str,
    judgement: LossVerdict,
    allowed: float,
    tried: bool,
) -> tuple[Treatment | None, tuple[str, ...]]:
    """The remedy to take, or None, and sentences that say why and what next.

    Args:
        rows: fp32, the variant as it is, then the remedies.
        judgement: of the variant's loss. allowed: loss that the gates accept, in the
            metric's unit. tried: whether remedies were tried.
    """
    if judgement.loss is Loss.UNCLEAR:
        return None, (
            f"Whether {variant} lost accuracy cannot be told: a loss of more than "
            f"{amount(metric, allowed)}, which is what the gates allow, is neither shown nor "
            "excluded. Diagnose again with more samples in the holdout.",
        )
    if judgement.loss is not Loss.WORSE:
        return None, (f"{variant} needs no remedy: no loss against fp32 is shown.",)
    if not tried:
        return None, ("Run it without --no-remedies to have remedies tried and measured.",)
    chosen = recommend(rows)
    if chosen is not None:
        restoring = [row for row in rows if row.verdict is Verdict.RESTORES]
        because = "no remedy that restores accuracy is shown to be faster"
        if not timed(restoring):
            because = "latency was not measured undisturbed and plays no part in this choice"
        return chosen, (
            *_calibration(findings, chosen),
            f"Take {chosen.title}: its loss against fp32 stays within the gates; {because}.",
        )
    remedies = [row for row in rows if row.verdict is not Verdict.REFERENCE]
    if all(row.verdict is Verdict.NOT_APPLICABLE for row in remedies):
        return None, ("Give what the remedies need, as told above, and diagnose again.",)
    advice = ["No remedy is shown to bring the accuracy back to what the gates ask for."]
    helping = [row for row in remedies if row.verdict is Verdict.HELPS]
    near = [row for row in helping if _loss_left(metric, row) <= allowed]
    if helping:
        advice.append(f"Some of it comes back with: {', '.join(row.title for row in helping)}.")
    if near:
        advice.append(
            f"With {', '.join(row.title for row in near)} the loss left is within the "
            f"{amount(metric, allowed)} that the gates allow, but so few samples do not exclude a "
            "greater one: diagnose again with more samples in the holdout."
        )
    if any(row.verdict is Verdict.NOT_APPLICABLE for row in remedies):
        advice.append("Some were not tried: the table says what they need.")
    if all(finding.kind is FindingKind.NONE_FOUND for finding in findings):
        advice.append(
            "No layer stands out: judge by fp16 or dynamic, which keep activations float."
        )
    return None, tuple(advice)


def _calibration(findings: Sequence[Finding], chosen: Treatment) -> tuple[str, ...]:
    """What comes before any remedy that does not touch the calibration."""
    ranges = (FindingKind.UNDER_RANGE, FindingKind.OVER_RANGE)
    if chosen.key == RECALIBRATED.key or not any(f.kind in ranges for f in findings):
        return ()
    return (
        "Look at the calibration samples first: their range is not the holdout's, and with "
        "samples scaled as in training no other remedy may be needed.",
    )


def _loss_left(metric: Metric, row: Treatment) -> float:
    """By how much it is worse than fp32, as measured."""
    assert row.against_fp32 is not None
    return -metric.better(row.against_fp32.difference, 0.0)


def plan_line(row: Treatment, out: str) -> str:
    """The line for a plan, below [[model]], that takes a remedy's file from now on.

    Args:
        out: the plan's output directory as the plan names it.
    """
    variant = next((r.variant for r in REMEDIES if r.key == row.key), row.key)
    path = f"{out.rstrip('/')}/{row.path}".replace("\\", "\\\\").replace('"', '\\"')
    return f'files.{variant} = "{path}"'


def _p50_us(row: Treatment) -> float:
    assert row.latency is not None
    return row.latency.p50_us


def _slower(row: Treatment, fastest: Treatment) -> bool:
    """Whether its whole interval lies above the fastest one's."""
    assert row.latency is not None
    assert fastest.latency is not None
    mine, limit = row.latency.interval_us, fastest.latency.interval_us
    return mine is not None and limit is not None and mine.low > limit.high
