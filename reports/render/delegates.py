"""The cells of a case's delegate: its name, what it took, and whether its answers are right."""

from __future__ import annotations

from bench import format as fmt
from bench.delegation.model import Coverage
from bench.numerics.model import NumericsWord
from reports.model import Row
from reports.render.cell import Cell, Tone
from reports.render.notes import NoteBook
from reports.standing import numerics_reasons

# Stand beside a delegate's name, and beside a number, where it must not be read as that
# delegate's, where that is doubted, and where the answers are wrong.
NOT_AS_ASKED = "not as asked"
UNKNOWN = "delegation UNKNOWN"
SUSPECT = "SUSPECT"
WRONG = "WRONG answers"

NUMERICS_TONES = {
    NumericsWord.OK: Tone.GOOD,
    NumericsWord.DIFFERS: Tone.WARN,
    NumericsWord.WRONG: Tone.BAD,
    NumericsWord.UNKNOWN: Tone.WARN,
}


def delegate_text(row: Row) -> str:
    """The delegate with its options: two cases may differ by nothing else."""
    spec = row.case.delegate
    return fmt.visible(" ".join([spec.name, *(f"{key}={value}" for key, value in spec.options)]))


def flags(row: Row) -> tuple[str, ...]:
    """What must stand beside the delegate's name wherever the case does; () if nothing."""
    words = []
    if row.is_wrong:
        words.append(WRONG)
    if row.delegation is not None and not row.delegation.as_requested:
        unknown = row.delegation.verdict is Coverage.UNKNOWN
        words.append(UNKNOWN if unknown else NOT_AS_ASKED)
    elif row.is_suspect:
        words.append(SUSPECT)
    return tuple(words)


def delegate_cell(row: Row) -> Cell:
    """The delegate's name with its flags."""
    words = flags(row)
    return Cell(delegate_text(row), words, tone=Tone.BAD if words else Tone.PLAIN)


def as_wrong(row: Row, cell: Cell) -> Cell:
    """A number with the words that its answers are wrong, where they are; else the cell."""
    if not row.is_wrong or cell.text == fmt.ABSENT:
        return cell
    return Cell(cell.text, (WRONG, *cell.details), cell.notes, cell.sort, Tone.BAD)


def delegation_cell(row: Row, book: NoteBook) -> Cell:
    """The verdict on what the delegate took, with nodes and share of time."""
    found = row.delegation
    if found is None:
        return Cell(fmt.ABSENT, tone=Tone.QUIET)
    details: tuple[str, ...] = ()
    share: float | None = None
    if found.delegated_nodes is not None and found.total_nodes is not None:
        details = (f"{found.delegated_nodes}/{found.total_nodes}",)
        share = found.delegated_nodes / found.total_nodes if found.total_nodes else None
    if found.outside_time is not None and found.verdict is Coverage.PARTIAL:
        details += (f"{fmt.percent(found.outside_time, 0)} of time outside",)
    if not found.as_requested:
        text = (
            f"{found.requested} was asked for and is {found.verdict}: "
            f"this number must not be read as {found.requested}'s"
        )
        if found.evidence:
            text = f"{text} ({found.evidence[0].text})"
        return Cell(found.verdict, details, book.add(row, text), share, Tone.BAD)
    notes: tuple[int, ...] = ()
    if found.verdict is Coverage.PARTIAL:
        ops = ", ".join(f"{count} {op}" for op, count in found.fallback_ops.items())
        partitions = f" in {fmt.counted(found.partitions, 'partition')}" if found.partitions else ""
        stayed = f"; stayed outside: {ops}" if ops else ""
        # What the delegate itself said of them, where it did.
        refused = [f"{item.op}: {item.reason}" for item in found.unsupported if item.reason]
        why = f"; refused {', '.join(refused)}" if refused else ""
        notes = book.add(row, f"partly on {found.requested}{partitions}{stayed}{why}")
    if row.is_suspect:
        notes += book.add(row, f"{found.requested} is SUSPECT: {found.suspicion}")
        return Cell(found.verdict, (SUSPECT, *details), notes, share, Tone.BAD)
    tones = {Coverage.FULL: Tone.GOOD, Coverage.PARTIAL: Tone.WARN}
    return Cell(found.verdict, details, notes, share, tones.get(found.verdict, Tone.PLAIN))


def numerics_cell(row: Row, book: NoteBook) -> Cell:
    """The verdict on its answers; why there is none stands below the table of answers."""
    found = row.numerics
    if found is None:
        return Cell(fmt.ABSENT, tone=Tone.QUIET)
    notes: tuple[int, ...] = ()
    if found.word is not NumericsWord.OK:
        notes = book.add(row, f"answers {found.word}: {numerics_reasons(row)}")
    rank = float(list(NumericsWord).index(found.word))
    return Cell(found.word, (), notes, rank, NUMERICS_TONES[found.word])
