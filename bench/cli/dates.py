"""Moments as people give them: an age ("7d", "2w") or a date in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from bench.errors import UserError

_AGE = re.compile(r"(?P<number>\d{1,6})(?P<unit>[dw])")
_DAYS = {"d": 1, "w": 7}
_HOW = 'give an age such as 7d or 2w, or a date such as 2026-01-31 or "2026-01-31 06:00"'


def moment(text: str, *, before: datetime, option: str) -> datetime:
    """A moment in UTC; a date means the beginning of its day.

    Args:
        before: what an age counts back from.
        option: whose value it is, for the message.

    Raises:
        UserError: neither an age nor a date, or beyond what a calendar has.
    """
    if age := _AGE.fullmatch(text.strip()):
        try:
            return before - timedelta(days=int(age["number"]) * _DAYS[age["unit"]])
        except OverflowError:
            raise UserError(f"{option} {text}: older than any calendar; {_HOW}") from None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UserError(f"{option} {text!r} is no moment; {_HOW}") from None
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        raise UserError(f"{option} {text}: older than any calendar; {_HOW}") from None
