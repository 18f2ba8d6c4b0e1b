"""The sentences of the week: its headline, what it could have seen, what it left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from bench import format as fmt
from reports.history.model import Standing, Word
from reports.weekly.model import Chance, Coverage, ProjectWeek, Sight, Weekly

_STATES = (
    ("invalid", "invalid"),
    ("fell_back", "fell back"),
    ("failed", "failed"),
    ("unfinished", "not finished"),
    ("missing", "missing"),
)


def headline(week: Weekly) -> str:
    """The week in one sentence, of all its projects together."""
    return _sentence(week.projects)


def project_headline(project: ProjectWeek) -> str:
    """The same of one project."""
    return _sentence([project])


def _sentence(projects: Sequence[ProjectWeek]) -> str:
    events = [*_events(projects)]
    nothing = all(project.measured_nothing for project in projects)
    standing = len({e.finding.case_id for p in projects for e in p.standing})
    if nothing:
        emulated = any(project.simulated.coverage.measured for project in projects)
        events.insert(0, f"nothing was measured{' on a real device' if emulated else ''}")
    elif not events:
        events.append("nothing new regressed" if standing else "quiet week: nothing regressed")
    if standing:
        of = "older finding still stands" if standing == 1 else "older findings still stand"
        events.append(f"{standing} {of}")
    text = ", ".join(events)
    return f"{text[0].upper()}{text[1:]}."


def _events(projects: Sequence[ProjectWeek]) -> Iterator[str]:
    """What happened, the worst first, each with how often; every count is of findings."""

    def cases(word: Word, *standings: Standing) -> int:
        return len({e.finding.case_id for p in projects for e in p.of(word, *standings)})

    def devices(word: Word) -> int:
        return len({(p.project, e.finding.case.device) for p in projects for e in p.of(word)})

    if wrong := cases(Word.WRONG):
        yield f"{fmt.counted(wrong, 'case')} {_verb(wrong, 'answers', 'answer')} WRONG"
    sure = cases(Word.SLOWER, Standing.CONFIRMED, Standing.CERTAIN)
    if sure:
        yield f"{fmt.counted(sure, 'regression')} confirmed"
    if suspected := cases(Word.SLOWER, Standing.SUSPECTED):
        yield f"{suspected if sure else fmt.counted(suspected, 'regression')} suspected"
    if back := devices(Word.FELL_BACK):
        of = fmt.counted(cases(Word.FELL_BACK), "case")
        yield f"{fmt.counted(back, 'device')} fell back ({of})"
    if less := cases(Word.LESS_ACCURATE):
        yield f"{fmt.counted(less, 'case')} lost accuracy"
    if failed := cases(Word.FAILED):
        yield f"{fmt.counted(failed, 'case')} newly {_verb(failed, 'fails', 'fail')}"
    grown = {
        (p.project, e.finding.case.model, e.finding.case.variant)
        for p in projects
        for e in p.of(Word.BIGGER)
    }
    if grown:
        yield f"{fmt.counted(len(grown), 'file')} grew"
    if missing := cases(Word.MISSING, Standing.CERTAIN, Standing.CONFIRMED):
        yield f"{fmt.counted(missing, 'case')} {_verb(missing, 'is', 'are')} missing"
    if gates := sum(len(p.failing_gates) for p in projects):
        yield f"{fmt.counted(gates, 'gate')} newly {_verb(gates, 'fails', 'fail')}"
    if dead := sum(one.cases_lost == one.cases for p in projects for one in p.unreliable):
        yield f"{fmt.counted(dead, 'device')} gave no number"
    if slowed := sum(device.ratio > 1 for p in projects for device in p.devices):
        yield f"{fmt.counted(slowed, 'device')} slower as a whole"


def _verb(number: int, one: str, many: str) -> str:
    return one if number == 1 else many


def coverage_sentence(total: Coverage, simulated: Coverage) -> str:
    """ "480 of 500 planned cases measured: 12 failed, 8 missing." """
    if not total.planned:
        text = "No case was planned on a real device."
    else:
        kinds = [f"{n} {word}" for name, word in _STATES if (n := getattr(total, name))]
        rest = f": {', '.join(kinds)}" if kinds else ""
        text = f"{total.measured} of {fmt.counted(total.planned, 'planned case')} measured{rest}."
    if simulated.planned:
        text += f" {fmt.counted(simulated.planned, 'simulated case')} apart, counted nowhere."
    return text


def span(since_utc: datetime, until_utc: datetime) -> str:
    """ "2026-11-14 to 2026-11-21", with hours only where a day does not begin there."""
    whole = all((m.hour, m.minute, m.second) == (0, 0, 0) for m in (since_utc, until_utc))
    form = "%Y-%m-%d" if whole else "%Y-%m-%d %H:%M"
    return f"{since_utc:{form}} to {until_utc:{form}} UTC"


def chance_sentence(chance: Chance) -> str:
    """How many false alarms are to be expected; "" where there was nothing to look at."""
    if not chance.series:
        return ""
    low, high = round(chance.low), round(chance.high)
    alarms = (
        "fewer than 1 step"
        if not high
        else f"up to {fmt.counted(high, 'step')}"
        if low == 0
        else f"{low} to {fmt.counted(high, 'step')}"
    )
    text = (
        f"A week in which nothing changed would show {alarms} to slower by chance"
        f" ({fmt.counted(chance.looks, 'new number')} of {chance.series} series)"
    )
    if not chance.suspected:
        return f"{text}."
    out = len(chance.outstanding)
    return (
        f"{text}; {out} of {chance.suspected} suspected {_verb(out, 'stands', 'stand')} out of it."
    )


def sight_sentence(sight: Sight) -> str:
    """What the week could have seen; "" where nothing was measured."""
    if not sight.series:
        return ""
    known = sight.series - sight.too_short
    if not known or sight.median is None or sight.tenth is None:
        return (
            f"No series has enough points yet to show any step ({sight.series} measured): "
            "that nothing was found means nothing."
        )
    text = (
        f"What the week could have seen within three runs: a step of "
        f"{fmt.percent(sight.median, 1)} in half of the {known} series, of "
        f"{fmt.percent(sight.tenth, 1)} in 9 of 10. Smaller ones stay unseen."
        if known > 1
        else f"What the week could have seen within three runs: a step of "
        f"{fmt.percent(sight.median, 1)} in its one series. A smaller one stays unseen."
    )
    if sight.too_short:
        word = "has" if sight.too_short == 1 else "have"
        text += f" {sight.too_short} more {word} too few points to show any."
    return text
