"""Pairs as tables of text, ready for a renderer: all media show this one view."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from bench import format as fmt
from bench.accuracy import Loss
from bench.delegation.model import Coverage
from bench.identity import before
from bench.power import percent
from reports.model import Accuracy, Row
from reports.ops.view import took
from reports.pairs.model import OpMoved, Pair, Pairs, PairWord
from reports.render.cell import Cell, Tone

HEADS = ("case", "A", "B", "A / B [95 %]", "verdict")
LEGEND = (
    "A / B is the median of the per-round ratios of p50, with its 95 % interval: above 1, B is"
    " faster. Unpaired: the ratio of two p50 without common rounds, which alone never says what"
    " made the difference."
)
_TONES = {
    PairWord.FASTER: Tone.GOOD,
    PairWord.SLOWER: Tone.BAD,
    PairWord.WRONG: Tone.BAD,
    PairWord.FELL_BACK: Tone.BAD,
    PairWord.FAILED: Tone.BAD,
    PairWord.CHANGED: Tone.WARN,
    PairWord.NOT_COMPARABLE: Tone.WARN,
    PairWord.MISSING: Tone.WARN,
    PairWord.UNCLEAR: Tone.QUIET,
    PairWord.NOT_MEASURED: Tone.QUIET,
}
_LOSSES = {Loss.WORSE: Tone.BAD, Loss.BETTER: Tone.GOOD, Loss.UNCLEAR: Tone.QUIET}
_NAME_LENGTH = 48


@dataclass(frozen=True, slots=True)
class LineView:
    """One line: a case (depth 0), what of it changed (1), or an op of it (2)."""

    depth: int
    name: str
    a: Cell
    b: Cell
    ratio: Cell
    verdict: Cell

    @property
    def cells(self) -> tuple[Cell, Cell, Cell, Cell]:
        return self.a, self.b, self.ratio, self.verdict


@dataclass(frozen=True, slots=True)
class GroupView:
    """The cases of one model on one device."""

    title: str
    lines: tuple[LineView, ...]


@dataclass(frozen=True, slots=True)
class PairsView:
    """Everything in the order in which it is shown.

    Attributes:
        summary: how many pairs of which word, one line.
        sides: what A and B are.
        notes: numbered from 1, as Cell.notes has them.
        provenance: what else differs, and where; remarks: what must be read with it.
    """

    title: str
    summary: str
    sides: tuple[str, ...]
    groups: tuple[GroupView, ...]
    notes: tuple[str, ...]
    provenance: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(slots=True)
class _Notes:
    texts: dict[str, None] = field(default_factory=dict)

    def add(self, text: str) -> tuple[int, ...]:
        if not text:
            return ()
        self.texts.setdefault(fmt.visible(text))
        return (list(self.texts).index(fmt.visible(text)) + 1,)


def view(pairs: Pairs) -> PairsView:
    """Raises: ValueError for a number that cannot be shown."""
    notes = _Notes()
    groups: dict[str, list[LineView]] = {}
    for pair in pairs.pairs:
        groups.setdefault(_group(pair, pairs), []).extend(_lines(pair, pairs, notes))
    return PairsView(
        title=fmt.visible(f"{pairs.b.label} against {pairs.a.label}"),
        summary=_summary(pairs),
        sides=(f"A: {fmt.visible(pairs.a.what)}", f"B: {fmt.visible(pairs.b.what)}"),
        groups=tuple(GroupView(title, tuple(lines)) for title, lines in groups.items()),
        notes=tuple(notes.texts),
        provenance=tuple(_provenance(pairs)),
        remarks=tuple(map(fmt.visible, _remarks(pairs))),
    )


def _summary(pairs: Pairs) -> str:
    counts = Counter(
        f"{pair.word}{'' if pair.paired or pair.speedup is None else ', unpaired'}"
        for pair in pairs.pairs
    )
    words = "; ".join(f"{count} {word}" for word, count in counts.most_common())
    worse = sum(pair.less_accurate for pair in pairs.pairs)
    more = f"; {worse} less accurate" if worse else ""
    return f"{fmt.counted(len(pairs.pairs), 'case')}: {words}{more}" if counts else "No case."


def _group(pair: Pair, pairs: Pairs) -> str:
    case = pair.case
    old = before(case.model)
    parts = ["" if "model" in pairs.differing else (old[0] if old else case.model)]
    if "device" not in pairs.differing:
        parts.append(f"on {case.device}")
    return fmt.visible(" ".join(filter(None, (*parts, f"by {case.runner}"))))


def _name(pair: Pair, pairs: Pairs) -> str:
    case = pair.case
    parts = {
        "variant": case.variant,
        "delegate": case.delegate.label,
        "threads": fmt.threads(case.threads),
    }
    told = [text for key, text in parts.items() if key not in pairs.differing]
    name = " · ".join(told) or "the case"
    return fmt.visible(f"SIMULATED: {name}" if pair.simulated else name)


def _lines(pair: Pair, pairs: Pairs, notes: _Notes) -> Iterator[LineView]:
    yield LineView(
        0,
        _name(pair, pairs),
        _p50(pair.a),
        _p50(pair.b),
        _ratio(pair),
        _word(pair, notes),
    )
    a, b = pair.a, pair.b
    if a is None or b is None:
        return
    yield from _accuracy(pair, notes)
    sizes = (a.size_bytes, b.size_bytes)
    if None not in sizes and sizes[0] != sizes[1]:
        yield _quotient("size", *sizes, fmt.size(sizes[0]), fmt.size(sizes[1]))
    memory = (a.peak_rss_kib, b.peak_rss_kib)
    if _moved(*memory, pairs.delta):
        yield _quotient("peak memory", *memory, fmt.memory(memory[0]), fmt.memory(memory[1]))
    energy = (a.energy_mj_per_invoke, b.energy_mj_per_invoke)
    if _moved(*energy, pairs.delta):
        yield _quotient("energy", *energy, fmt.energy(energy[0]), fmt.energy(energy[1]))
    if _otherwise_delegated(a, b):
        yield _texts("delegated", _delegated(a), _delegated(b))
    answers = _answers(a), _answers(b)
    if answers[0] != answers[1]:
        yield _texts("answers", *answers)
    yield from _ops(pair, notes)


def _p50(row: Row | None) -> Cell:
    # A wrong answer has no speed.
    if row is None or row.p50_us is None or row.is_wrong:
        return Cell(fmt.ABSENT)
    return Cell(fmt.duration(row.p50_us), sort=row.p50_us)


def _ratio(pair: Pair) -> Cell:
    if pair.speedup is None:
        return Cell(fmt.ABSENT)
    interval = pair.speedup.interval
    details = [] if interval is None else [fmt.bounds(interval)]
    if interval is not None and (remark := fmt.confidence_remark(interval)):
        details.append(remark)
    if not pair.paired:
        details.append("unpaired")
    return Cell(fmt.ratio(pair.speedup.ratio), tuple(details), sort=pair.speedup.ratio)


def _word(pair: Pair, notes: _Notes) -> Cell:
    reason = pair.reason
    if pair.spread is not None:
        seen = pair.spread.runs_a + pair.spread.runs_b
        known = f"p50 differs by {percent(pair.spread.share)} between {fmt.counted(seen, 'run')}"
        reason = f"{known}; {reason}" if reason else known
    return Cell(pair.word.value, (), notes.add(reason), tone=_TONES.get(pair.word, Tone.PLAIN))


def _accuracy(pair: Pair, notes: _Notes) -> Iterator[LineView]:
    assert pair.a is not None
    assert pair.b is not None
    ours, found = pair.a.accuracy, pair.accuracy
    theirs = pair.b.accuracy if found is None else found
    if ours is None or theirs is None:
        if pair.accuracy_reason:
            yield LineView(
                1,
                "accuracy",
                _score(ours),
                _score(theirs),
                Cell(fmt.ABSENT),
                Cell("", (), notes.add(f"accuracy: {pair.accuracy_reason}")),
            )
        return
    name = "accuracy" if theirs.metric.is_share else theirs.metric.title
    if found is None or found.change is None or found.verdict is None:
        if ours.value != theirs.value:
            why = notes.add(f"accuracy: {pair.accuracy_reason or 'not compared'}")
            verdict = Cell("unclear", (), why, tone=Tone.QUIET)
            yield LineView(1, name, _score(ours), _score(theirs), Cell(fmt.ABSENT), verdict)
        return
    # Equal answers tell no more where there are few of them.
    if found.change == 0 and (
        found.verdict.loss is Loss.NONE_SHOWN or found.agreeing == found.images
    ):
        return
    share = found.metric.is_share
    change = fmt.score_change(found.change, share=share) + (" points" if share else "")
    around = found.change_interval
    details = () if around is None else (fmt.score_change_interval(around, share=share),)
    # By the same kernels as B's, which may be others than A's own report shows.
    base = replace(ours, value=found.value - found.change)
    yield LineView(
        1,
        name,
        _score(base),
        _score(found),
        Cell(change, details, sort=found.change),
        Cell(
            found.verdict.loss.value,
            (),
            notes.add(f"accuracy on {fmt.counted(found.images, 'sample')}: {found.verdict.text}"),
            tone=_LOSSES.get(found.verdict.loss, Tone.PLAIN),
        ),
    )


def _score(found: Accuracy | None) -> Cell:
    if found is None:
        return Cell(fmt.ABSENT)
    return Cell(fmt.score(found.value, share=found.metric.is_share), sort=found.value)


def _moved(a: float | None, b: float | None, delta: float) -> bool:
    return bool(a and b and abs(b / a - 1) > delta)


def _quotient(name: str, a: float | None, b: float | None, *texts: str) -> LineView:
    assert a is not None
    assert b is not None
    known = Cell(fmt.ratio(a / b), sort=a / b) if b else Cell(fmt.ABSENT)
    return LineView(1, name, Cell(texts[0]), Cell(texts[1]), known, Cell(""))


def _texts(name: str, a: str, b: str) -> LineView:
    return LineView(1, name, Cell(a), Cell(b), Cell(""), Cell("changed", tone=Tone.WARN))


def _otherwise_delegated(a: Row, b: Row) -> bool:
    """Another verdict, or other nodes of a part: all of two models are as many as they have."""
    verdicts = [None if row.delegation is None else row.delegation.verdict for row in (a, b)]
    part = verdicts[0] is Coverage.PARTIAL
    return verdicts[0] is not verdicts[1] or (part and _delegated(a) != _delegated(b))


def _delegated(row: Row) -> str:
    found = row.delegation
    if found is None:
        return fmt.ABSENT
    if found.delegated_nodes is None or found.total_nodes is None:
        return found.verdict.value
    return f"{found.verdict.value} {found.delegated_nodes}/{found.total_nodes}"


def _answers(row: Row) -> str:
    return fmt.ABSENT if row.numerics is None else row.numerics.word.value


def _ops(pair: Pair, notes: _Notes) -> Iterator[LineView]:
    found = pair.ops
    if found is None:
        return
    why = (
        f"where the time went: by one profiled launch of each, slower than timed ones; ops are"
        f" paired by {found.paired_by}"
    )
    yield LineView(
        1,
        "sum of ops",
        Cell(fmt.duration(found.a_us)),
        Cell(fmt.duration(found.b_us)),
        _signed(found.b_us - found.a_us),
        Cell("", (), notes.add(why)),
    )
    for op in found.moved:
        yield LineView(
            2,
            _op_name(op),
            Cell(took(op.a_us, found.a_resolution_us)),
            Cell(took(op.b_us, found.b_resolution_us)),
            _signed(op.difference_us),
            Cell("" if None not in (op.a_us, op.b_us) else "in one only"),
        )
    if found.left_out:
        absent = Cell("")
        name = f"{fmt.counted(found.left_out, 'op')} more"
        yield LineView(2, name, absent, absent, absent, absent)


def _op_name(op: OpMoved) -> str:
    text = fmt.visible(f"{op.op} {op.output}".strip())
    return text if len(text) <= _NAME_LENGTH else f"{text[: _NAME_LENGTH - 1]}…"


def _signed(us: float) -> Cell:
    sign = "−" if us < 0 else "+" if us > 0 else ""
    return Cell(f"{sign}{fmt.duration(abs(us))}", sort=us)


def _provenance(pairs: Pairs) -> Iterator[str]:
    """Each difference once, with how many of the cases have it."""
    both = [pair for pair in pairs.pairs if pair.a is not None and pair.b is not None]
    counts = Counter(change for pair in both for change in pair.provenance)
    for change, count in counts.items():
        old, new = change.before or "not recorded", change.after or "not recorded"
        where = "" if count == len(both) else f" ({count} of {fmt.counted(len(both), 'case')})"
        yield fmt.visible(f"{change.what}: {old} → {new}{where}")


def _remarks(pairs: Pairs) -> Iterator[str]:
    if any(pair.simulated for pair in pairs.pairs):
        yield "SIMULATED: measured on an emulator; no such number is real."
    yield from pairs.notes
    yield f"{LEGEND} Smallest change that counts: {percent(pairs.delta)}."
