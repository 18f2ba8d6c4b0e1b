"""Lines of one process in Android's log -> the text that its program would have printed.

Formats threadtime and brief of logcat, the two that name the process. On Android the tool
and the runtime write to the log under the tags `tflite` and `litert`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bench.errors import UnreadableOutput

_LINE = re.compile(
    r"(?:\d\d-\d\d \d\d:\d\d:\d\d\.\d+ +(\d+) +\d+ ([VDIWEFS]) ([^:]*?) *: ?(.*)"
    r"|([VDIWEFS])/([^(]*?) *\( *(\d+)\): ?(.*))"
)
_LEVELLED = re.compile(r"(?:INFO|WARN|WARNING|ERROR|FATAL|VERBOSE): ")
_LEVELS = {"V": "VERBOSE", "D": "INFO", "I": "INFO", "W": "WARN", "E": "ERROR", "F": "FATAL"}
_TAGS = frozenset({"tflite", "litert"})


def logcat_text(text: str, pid: int | None = None) -> str:
    """What one process wrote, each line with its level in front as on a terminal.

    Raises: UnreadableOutput where lines of several processes are there and no pid says
    which.
    """
    lines = list(_lines(text))
    if pid is None and len({process for process, _ in lines}) > 1:
        raise UnreadableOutput("the log holds lines of several processes; say which one")
    return "\n".join(line for process, line in lines if pid in (None, process))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for line in text.split("\n"):
        match = _LINE.fullmatch(line.rstrip())
        if match is None:
            continue
        pid, level, tag, body = (
            (match[1], match[2], match[3], match[4])
            if match[1] is not None
            else (match[7], match[5], match[6], match[8])
        )
        if tag.strip() in _TAGS:
            has_level = _LEVELLED.match(body) is not None
            yield int(pid), body if has_level else f"{_LEVELS.get(level, 'INFO')}: {body}"
