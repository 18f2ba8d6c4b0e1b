"""What a stand-in pretends to be: its build, its phone's hardware, and what goes wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path

VARIABLE = "EDGEBENCH_STANDIN"


@dataclass(frozen=True, slots=True)
class Build:
    """One pretended build on one pretended device; the default is a CMake build for Linux.

    Attributes:
        android: it says on stderr what only Android builds say, and writes to `logcat`.
        gpu_unsupported: reasons of ops that the simulated GPU refuses, by op name; None
            where the build knows no GPU at all.
        nnapi_accelerators: names; None where the build knows no NNAPI.
        failing_delegate: name ("GPU") of a delegate of which every invoke fails.
        killed_by: number of a signal that ends it in the middle of the measured runs.
        sleep_s: instead of running anything, sleep and print figures of a fixed 1000 us.
        logcat: file of the phone's log.
        busy: directory that holds a file named after each process at work.
    """

    android: bool = False
    gpu_unsupported: Mapping[str, str] | None = None
    nnapi_accelerators: tuple[str, ...] | None = None
    failing_delegate: str | None = None
    killed_by: int | None = None
    sleep_s: float | None = None
    logcat: str | None = None
    busy: str | None = None

    @classmethod
    def of_environment(cls) -> Build:
        """What the JSON file named by EDGEBENCH_STANDIN says; the default without one.

        Raises: ValueError where the file says what no build has, OSError.
        """
        path = os.environ.get(VARIABLE)
        return cls.of_json(Path(path).read_text()) if path else cls()

    @classmethod
    def of_json(cls, text: str) -> Build:
        """Raises: ValueError."""
        values = json.loads(text)
        if unknown := set(values) - {f.name for f in fields(cls)}:
            raise ValueError(f"no such thing about a stand-in: {', '.join(sorted(unknown))}")
        if values.get("nnapi_accelerators") is not None:
            values["nnapi_accelerators"] = tuple(values["nnapi_accelerators"])
        return cls(**values)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let the emulated phone know that it has to get warm."""
        mark = Path(self.busy, str(os.getpid())) if self.busy else None
        with suppress(OSError):
            if mark:
                mark.touch()
        try:
            yield
        finally:
            with suppress(OSError):
                if mark:
                    mark.unlink()
