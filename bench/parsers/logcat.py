"""Lines of one process in Android's log -> the text that its program would have printed.

Formats of logcat: threadtime, brief, time and tag, with their modifiers (year, zone, uid, usec,
epoch), and what Android Studio copies out, old and new. On Android the tool and the runtime
write to the log under the tags `tflite` and `litert`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TIME = r"(?:\d{4}-)?\d\d-\d\d \d\d:\d\d:\d\d\.\d+(?: [+-]\d{4})?"
_PID = r"(?P<pid>\d{1,9})"
_LEVEL, _TAG = r"(?P<level>[VDIWEFAS])", r"(?P<tag>[^\s:(]+)"
_OURS = ("tflite", "litert")
_FORMATS = tuple(
    re.compile(f"{pattern}(?P<text>.*)")
    for pattern in (
        # threadtime
        rf"(?:{_TIME}| *\d+\.\d+) +(?:\w+ +)?{_PID} +\d+ {_LEVEL} {_TAG} *: ?",
        # time, and brief without the time
        rf"(?:{_TIME} )?{_LEVEL}/{_TAG} *\( *{_PID}\): ?",
        # Android Studio before 2022, and since then
        rf"{_TIME} {_PID}-\d+/\S+ {_LEVEL}/{_TAG} *: ?",
        rf"{_TIME} +{_PID}-\d+ +{_TAG} +\S+ +{_LEVEL}  ?",
        # tag, which tells no process
        rf"{_LEVEL}[/ ](?P<tag>{'|'.join(_OURS)}) *: ?",
    )
)
_LEVELLED = re.compile(r"(?:INFO|WARN|WARNING|ERROR|FATAL|VERBOSE): ")
_LEVELS = {"V": "VERBOSE", "D": "INFO", "I": "INFO", "W": "WARN", "E": "ERROR", "F": "FATAL"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line; pid is 0 where the format does not tell it.

    text: with its level in front, as on a terminal.
    """

    pid: int
    tag: str
    text: str

    @property
    def is_ours(self) -> bool:
        """Whether the tool or its runtime wrote it."""
        return self.tag in _OURS


def entries(text: str) -> Iterator[Entry]:
    """The lines that are of a logcat, of every process and tag."""
    for line in text.split("\n"):
        line = line.rstrip()
        found = next((m for pattern in _FORMATS if (m := pattern.fullmatch(line))), None)
        if found is None:
            continue
        said = found["text"]
        if _LEVELLED.match(said) is None:
            said = f"{_LEVELS.get(found['level'], 'INFO')}: {said}"
        yield Entry(int(found.groupdict().get("pid") or 0), found["tag"], said)


def logcat_text(text: str, pid: int) -> str:
    """What the tool or its runtime wrote in one process, as on a terminal."""
    return "\n".join(entry.text for entry in entries(text) if entry.is_ours and entry.pid == pid)
