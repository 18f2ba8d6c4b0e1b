"""A device in memory, and faults on the way to any device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from devices.deadline import Deadline
from devices.errors import CommandNotFound, DeviceOffline, DeviceTimeout, NoSpace, PathMissing
from devices.transport import CommandResult, Progress, Transport, no_progress


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command of the fake leaves behind; takes_s is compared, never waited."""

    exit_code: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    takes_s: float = 0.0


# argv and stdin -> Answer, or None where there is no such program.
Handler = Callable[[tuple[str, ...], bytes], Answer | None]


class FakeTransport:
    """A device in memory: `files` by path, commands answered by `handler`.

    Attributes:
        files: path -> content and mode.
        calls: argv of every command so far.
    """

    def __init__(self, handler: Handler, device: str = "fake") -> None:
        self._handler = handler
        self._device = device
        self.files: dict[str, tuple[bytes, int]] = {}
        self.calls: list[tuple[str, ...]] = []

    @property
    def device(self) -> str:
        return self._device

    def run(
        self, argv: Sequence[str], *, deadline: Deadline, stdin: bytes | None = None
    ) -> CommandResult:
        self.calls.append(tuple(argv))
        answer = self._handler(tuple(argv), stdin or b"")
        if answer is None:
            raise CommandNotFound(f"no program {argv[0]}", device=self._device, argv=argv)
        if deadline.expired() or answer.takes_s > deadline.remaining():
            raise DeviceTimeout("a command did not end in time", device=self._device, argv=argv)
        return CommandResult(
            self._device,
            tuple(argv),
            answer.exit_code,
            answer.stdout,
            answer.stderr,
            answer.takes_s,
        )

    def push(
        self,
        source: Path,
        target: str,
        *,
        deadline: Deadline,
        mode: int = 0o644,
        on_progress: Progress = no_progress,
    ) -> None:
        if deadline.expired():
            raise DeviceTimeout("a push did not end in time", device=self._device)
        try:
            self.files[target] = (source.read_bytes(), mode)
        except OSError as error:
            raise PathMissing(f"{source}: {error}", device=self._device) from error

    def pull(self, source: str, target: Path, *, deadline: Deadline) -> None:
        if deadline.expired():
            raise DeviceTimeout("a pull did not end in time", device=self._device)
        if source not in self.files:
            raise PathMissing(f"there is no {source}", device=self._device)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.files[source][0])

    def stream(self, argv: Sequence[str], *, deadline: Deadline) -> Iterator[bytes]:
        result = self.run(argv, deadline=deadline)
        yield from result.stdout.removesuffix(b"\n").split(b"\n") if result.stdout else ()
        result.check()


class Fault(StrEnum):
    """What goes wrong with one call."""

    DROP = "drop"  # the link is gone before the call reaches the device
    DROP_AFTER = "drop-after"  # the device did it, and its answer is lost
    FREEZE = "freeze"  # no answer until the deadline, which is not waited for
    TRUNCATE = "truncate"  # half of the bytes arrive, and nobody says so
    NO_SPACE = "no-space"  # the device's disk is full


class FaultyTransport:
    """Another transport, with faults.

    Args:
        inner: what does the work.
        faults: number of a call, from 1, over all methods -> what goes wrong with it.

    Attributes:
        calls: number of calls so far.
    """

    def __init__(self, inner: Transport, faults: Mapping[int, Fault]) -> None:
        self._inner = inner
        self._faults = faults
        self.calls = 0

    @property
    def device(self) -> str:
        return self._inner.device

    def run(
        self, argv: Sequence[str], *, deadline: Deadline, stdin: bytes | None = None
    ) -> CommandResult:
        fault = self._before()
        result = self._inner.run(argv, deadline=deadline, stdin=stdin)
        self._after(fault)
        if fault is Fault.TRUNCATE:
            return replace(result, stdout=result.stdout[: len(result.stdout) // 2])
        return result

    def push(
        self,
        source: Path,
        target: str,
        *,
        deadline: Deadline,
        mode: int = 0o644,
        on_progress: Progress = no_progress,
    ) -> None:
        fault = self._before()
        with TemporaryDirectory() as scratch:
            if fault is Fault.TRUNCATE:
                content = source.read_bytes()
                source = Path(scratch, "half")
                source.write_bytes(content[: len(content) // 2])
            self._inner.push(source, target, deadline=deadline, mode=mode, on_progress=on_progress)
        self._after(fault)

    def pull(self, source: str, target: Path, *, deadline: Deadline) -> None:
        fault = self._before()
        self._inner.pull(source, target, deadline=deadline)
        if fault is Fault.TRUNCATE:
            content = target.read_bytes()
            target.write_bytes(content[: len(content) // 2])
        self._after(fault)

    def stream(self, argv: Sequence[str], *, deadline: Deadline) -> Iterator[bytes]:
        fault = self._before()
        lines = list(self._inner.stream(argv, deadline=deadline))
        half = fault in (Fault.TRUNCATE, Fault.DROP_AFTER)
        yield from lines[: len(lines) // 2] if half else lines
        self._after(fault)

    def _before(self) -> Fault | None:
        self.calls += 1
        fault = self._faults.get(self.calls)
        if fault is Fault.DROP:
            raise DeviceOffline("the link dropped", device=self.device)
        if fault is Fault.FREEZE:
            raise DeviceTimeout("no answer", device=self.device)
        if fault is Fault.NO_SPACE:
            raise NoSpace("No space left on device", device=self.device)
        return fault

    def _after(self, fault: Fault | None) -> None:
        if fault is Fault.DROP_AFTER:
            raise DeviceOffline("the link dropped", device=self.device)
