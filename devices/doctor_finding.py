"""What the doctor says of one thing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["ok", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        level: "failure" is what no true measurement is possible with.
        check: what it is about, in one or two words.
        text: what was found. fix: what to do about it; None where nothing is to be done.
    """

    check: str
    level: Level
    text: str
    fix: str | None = None

    def to_json(self) -> dict[str, str | None]:
        """Field names as keys."""
        return asdict(self)
