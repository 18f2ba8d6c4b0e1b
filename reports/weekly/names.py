"""What people call a case: as short as its project allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from bench.identity import Case
from reports.history.model import SeriesHistory


def titles_of(series: Iterable[SeriesHistory]) -> dict[str, str]:
    """case_id -> "mobilenet · int8 · gpu · 1 thread on pixel-8".

    Runner and input shapes stand there only where two cases would have one name.
    """
    cases = {one.case_id: one.case for one in series}
    names = {case_id: _short(case) for case_id, case in cases.items()}
    for longer in (_with_runner, _full):
        seen = Counter(names.values())
        for case_id, name in names.items():
            if seen[name] > 1:
                names[case_id] = longer(cases[case_id])
    return names


def _short(case: Case) -> str:
    return f"{case.model} · {case.label} on {case.device}"


def _with_runner(case: Case) -> str:
    return f"{_short(case)} by {case.runner}"


def _full(case: Case) -> str:
    shapes = (f"{name} {'x'.join(map(str, shape))}" for name, shape in case.input_shapes)
    return f"{_with_runner(case)} ({', '.join(shapes) or 'its own shapes'})"
