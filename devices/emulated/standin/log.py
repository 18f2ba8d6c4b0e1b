"""Lines of the tool's log and of the runtime's, each on its stream, and in logcat on Android."""

from __future__ import annotations

import os
import time
from pathlib import Path

_STDOUT, _STDERR = 1, 2
_LETTERS = {"INFO": "I", "WARN": "W", "WARNING": "W", "ERROR": "E", "FATAL": "F", "VERBOSE": "V"}


class Log:
    """Writes whole lines at once, as the real ones do.

    Args:
        logcat: file of the phone's log, or None.
    """

    def __init__(self, logcat: str | None = None) -> None:
        self._logcat = logcat

    def info(self, text: str) -> None:
        """Of the tool, on stdout."""
        self._say(_STDOUT, "INFO", text)

    def warn(self, text: str) -> None:
        """Of the tool, on stdout."""
        self._say(_STDOUT, "WARN", text)

    def error(self, text: str) -> None:
        """Of the tool or of the runtime, on stderr."""
        self._say(_STDERR, "ERROR", text)

    def fatal(self, text: str) -> None:
        """Of the tool, on stderr; then it aborts."""
        self._say(_STDERR, "FATAL", text)
        os.abort()

    def runtime(self, text: str, severity: str = "INFO") -> None:
        """Of the runtime, on stderr."""
        self._say(_STDERR, severity, text)

    def _say(self, stream: int, severity: str, text: str) -> None:
        data = f"{severity}: {text}\n".encode("utf-8", "surrogateescape")
        while data:
            data = data[os.write(stream, data) :]
        if self._logcat:
            self._to_logcat(severity, text)

    def _to_logcat(self, severity: str, text: str) -> None:
        now = time.time()
        stamp = time.strftime("%m-%d %H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}"
        pid = os.getpid()
        head = f"{stamp} {pid:5d} {pid:5d} {_LETTERS[severity]} tflite  : "
        lines = "".join(f"{head}{line}\n" for line in text.split("\n"))
        with Path(str(self._logcat)).open("ab") as log:
            log.write(lines.encode("utf-8", "surrogateescape"))
