"""What was seen and not inferred: answers, accuracy, delegates, failures, sizes of a series."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from bench.delegation.model import Coverage
from bench.format import score, score_interval, size
from bench.numerics.model import NumericsWord
from bench.points import Point, PointState
from bench.records import Outcome
from bench.stats import Interval
from reports.history.levels import WINDOW
from reports.history.model import Finding, ProvenanceChange, SeriesHistory, Standing, Word
from reports.history.provenance import Provenances, delegation_text, in_words, unexplained
from reports.history.words import said, short

# A file is BIGGER by more than both: smaller ones are what a converter's version writes.
_BIGGER_SHARE, _BIGGER_BYTES = 0.01, 1024
_NUMERICS = (NumericsWord.OK, NumericsWord.DIFFERS, NumericsWord.WRONG)
_TOOK = (Coverage.FULL, Coverage.PARTIAL)
# What somebody or something did; that nothing is known to have changed is worth a word.
_WITH_A_CAUSE = (Word.WRONG, Word.FELL_BACK, Word.FAILED, Word.LESS_ACCURATE)
_EVALUATE = "edgebench diagnose says which layers lose it"


@dataclass(frozen=True, slots=True)
class _Kind:
    """A state that is bad, of which points tell, and what a bad point is shown as."""

    word: Word
    tells: Callable[[SeriesHistory, Point], bool]
    is_bad: Callable[[SeriesHistory, Point], bool]
    shown: Callable[[Point], str]
    todo: str


def states_of(
    series: SeriesHistory, provenances: Provenances, is_news: Callable[[Point], bool]
) -> tuple[Finding, ...]:
    """Every one that holds for the newest point that tells of it.

    Args:
        is_news: whether what happened at a point is still told once it is over (MENDED).
    """
    found: list[Finding] = []
    for kind in _KINDS:
        found += _of_kind(kind, series, provenances, is_news)
    if all(f.word is not Word.FELL_BACK for f in found):
        found += _fewer_nodes(series, provenances)
    found += _less_accurate(series, provenances)
    found += _bigger(series, provenances)
    return tuple(found)


def certain(
    series: SeriesHistory,
    word: Word,
    good: Point | None,
    bad: Point,
    before: str,
    after: str,
    sentence: str,
    *,
    todo: str = "",
    provenance: tuple[ProvenanceChange, ...] = (),
    standing: Standing = Standing.CERTAIN,
) -> Finding:
    """A finding of what was seen at a point, and not at one before it."""
    why = ""
    if good is not None and provenance:
        why = f" Since run {short(good.run_id)} these changed: {in_words(provenance)}."
    elif good is not None and word in _WITH_A_CAUSE:
        why = f" {unexplained(good, bad)}"
    return Finding(
        word=word,
        standing=standing,
        case=series.case,
        case_id=series.case_id,
        run_id=bad.run_id,
        since_utc=bad.started_utc,
        last_good_run_id=None if good is None else good.run_id,
        before=before,
        after=after,
        ratio=None,
        interval=None,
        provenance=provenance,
        sentence=said(series, f"{sentence}{why}"),
        todo=todo,
    )


def when(point: Point) -> str:
    """ "since run 0198a2b3-1234 of 2026-03-02"."""
    return f"since run {short(point.run_id)} of {point.started_utc:%Y-%m-%d}"


def _of_kind(
    kind: _Kind,
    series: SeriesHistory,
    provenances: Provenances,
    is_news: Callable[[Point], bool],
) -> Iterator[Finding]:
    known = [point for point in series.points if kind.tells(series, point)]
    if not known:
        return
    bad = kind.is_bad(series, known[-1])
    first = len(known) - 1
    while first and kind.is_bad(series, known[first - 1]) is bad:
        first -= 1
    if not first:
        # It was never otherwise: no change.
        return
    good, now = known[first - 1], known[first]
    before, after = kind.shown(good), kind.shown(now)
    provenance = provenances.between(good, now)
    if not bad:
        if is_news(now):
            sentence = f"well again {when(now)}: {before} before, {after} now."
            yield certain(
                series, Word.MENDED, good, now, before, after, sentence, provenance=provenance
            )
        return
    newest = known[-1]
    of_device = newest.reason.startswith(Outcome.DEVICE_FAILED.value)
    why = f": {newest.reason or after}" if newest.reason or kind.word is Word.FELL_BACK else ""
    yield certain(
        series,
        kind.word,
        good,
        now,
        before,
        after,
        f"{kind.word.value} {when(now)} ({before} before){why}.",
        todo="edgebench devices doctor says what its device lacks" if of_device else kind.todo,
        provenance=provenance,
        standing=Standing.DEVICE if of_device else Standing.CERTAIN,
    )


def _runs(series: SeriesHistory, point: Point) -> bool:
    return point.state in (
        PointState.MEASURED,
        PointState.INVALID,
        PointState.FELL_BACK,
        PointState.FAILED,
    )


def _tells_delegate(series: SeriesHistory, point: Point) -> bool:
    if point.state is PointState.FELL_BACK:
        return True
    if series.case.delegate.name == "none":
        return point.state is PointState.MEASURED
    return point.coverage in (*_TOOK, Coverage.NONE)


def _fell_back(series: SeriesHistory, point: Point) -> bool:
    if point.state is PointState.FELL_BACK:
        return True
    return series.case.delegate.name != "none" and point.coverage == Coverage.NONE


def _state_text(point: Point) -> str:
    return "FAILED" if point.state is PointState.FAILED else "it ran"


_KINDS = (
    _Kind(
        Word.WRONG,
        lambda series, point: point.numerics in _NUMERICS,
        lambda series, point: point.numerics == NumericsWord.WRONG,
        lambda point: f"answers {point.numerics}",
        "do not ship it: edgebench show --evidence has the figures",
    ),
    _Kind(
        Word.FELL_BACK,
        _tells_delegate,
        _fell_back,
        delegation_text,
        "edgebench show --evidence says what its delegate left, and why",
    ),
    _Kind(
        Word.FAILED,
        _runs,
        lambda series, point: point.state is PointState.FAILED,
        _state_text,
        "edgebench show has the reason; edgebench run measures it again",
    ),
)


def _fewer_nodes(series: SeriesHistory, provenances: Provenances) -> Iterator[Finding]:
    """The delegate leaves nodes that it took not long ago."""
    known = [
        (point, point.total_nodes - point.delegated_nodes)
        for point in series.points
        if point.coverage in _TOOK
        and point.delegated_nodes is not None
        and point.total_nodes is not None
    ][-WINDOW - 1 :]
    if not known or series.case.delegate.name == "none":
        return
    left_now = known[-1][1]
    for (good, before), (bad, after) in reversed(list(pairwise(known))):
        if after > before and left_now > before:
            yield certain(
                series,
                Word.FELL_BACK,
                good,
                bad,
                delegation_text(good),
                delegation_text(bad),
                f"{series.case.delegate.name} leaves {left_now - before} more nodes to the "
                f"processor {when(bad)}: {delegation_text(bad)}, {delegation_text(good)} before.",
                todo="edgebench show --evidence says which nodes, and why",
                provenance=provenances.between(good, bad),
            )
            return


def _less_accurate(series: SeriesHistory, provenances: Provenances) -> Iterator[Finding]:
    """An interval that lies wholly on the worse side of an earlier one's."""
    known = [p for p in series.points if p.accuracy is not None and _around(p) is not None]
    known = [p for p in known if p.metric == known[-1].metric][-WINDOW - 1 :]
    for good, bad in reversed(list(pairwise(known))):
        if _is_worse(bad, good) and _is_worse(known[-1], good):
            before, after = _accuracy(good), _accuracy(bad)
            yield certain(
                series,
                Word.LESS_ACCURATE,
                good,
                bad,
                before,
                after,
                f"{bad.metric} {after} {when(bad)}, {before} before.",
                todo=_EVALUATE,
                provenance=provenances.between(good, bad),
            )
            return


def _around(point: Point) -> Interval | None:
    if point.accuracy_low is None or point.accuracy_high is None:
        return None
    return Interval(point.accuracy_low, point.accuracy_high, 0.95, "stored")


def _is_worse(now: Point, then: Point) -> bool:
    mine, theirs = _around(now), _around(then)
    if mine is None or theirs is None:
        return False
    return mine.high < theirs.low if now.higher_is_better else mine.low > theirs.high


def _accuracy(point: Point) -> str:
    is_share = point.metric in ("accuracy", "mean IoU") or point.metric.startswith("top-")
    around = _around(point)
    assert around is not None
    interval = score_interval(around, share=is_share)
    return f"{score(point.accuracy, share=is_share)} {interval}"


def _bigger(series: SeriesHistory, provenances: Provenances) -> Iterator[Finding]:
    known = [(p, p.size_bytes) for p in series.points if p.size_bytes is not None][-WINDOW - 1 :]
    for (good, before), (bad, after) in reversed(list(pairwise(known))):
        if _is_bigger(after, before) and _is_bigger(known[-1][1], before):
            share = f"{100 * (after / before - 1):.1f} %" if before else "all of it"
            yield certain(
                series,
                Word.BIGGER,
                good,
                bad,
                size(before),
                size(after),
                f"{share} bigger {when(bad)}: {size(after)}, {size(before)} before.",
                provenance=provenances.between(good, bad),
            )
            return


def _is_bigger(now: int, then: int) -> bool:
    return now - then > max(_BIGGER_BYTES, _BIGGER_SHARE * then)
