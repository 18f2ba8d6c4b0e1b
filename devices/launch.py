"""One launch: a program started detached on a device, waited for, collected, removed.

The shell side (devices.launch_sh) keeps everything in
`<workdir>/runs/<launch_id>/`, so a dropped link loses nothing: any Launcher on the
same workdir can wait for, collect or end what another one started. Nothing is removed but
by `remove`: whoever has stored what came of a launch calls it.
"""

from __future__ import annotations

import io
import math
import re
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devices import launch_sh
from devices.blobs import BlobStore
from devices.deadline import Deadline
from devices.errors import (
    DeviceError,
    DeviceOffline,
    DeviceTimeout,
    TransferError,
)
from devices.launch_output import LaunchLost, LaunchOutput, error_of, parse_output
from devices.transport import CommandResult, Transport

_LAUNCH_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESULT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_RECONNECT_S = 1.0
_CLEAN_UP_S = 15.0
# A device that says nothing for so much longer than it was to wait is out of reach.
_SLICE_S = 10
_ANSWER_S = 15.0
_FETCH_S = 120.0
# stdout of a runner is a few MB; a delegate that fails may print a line per run for minutes.
# A recording of the clock that is full has 32 MiB and a few words.
_MOST_KIB = 33 * 1024
# The wrapper ends a launch that its controller has forgotten, later than any controller.
_LIMIT_MARGIN_S = 60
_PRIVATE = ".launch"


@dataclass(frozen=True, slots=True)
class Watch:
    """Scripts of the device's shell that watch a launch.

    Attributes:
        conditions: run to its end before and after the program.
        sampler: runs beside the program, in `.launch` of the run directory.
    """

    conditions: str = ""
    sampler: str = ""


NO_WATCH = Watch()


class LaunchTimeout(DeviceTimeout):
    """The program did not end in time; the device answers."""


class Launcher:
    """Launches on one device; for one thread.

    Args:
        transport: the way to the device.
        workdir: absolute path of edgebench's directory on the device.
        blobs: where the files of launches lie; on the same transport and workdir.
        pause: seconds to wait before a reconnection is tried; tests pass their own.
    """

    def __init__(
        self,
        transport: Transport,
        workdir: str,
        blobs: BlobStore,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = transport
        self._workdir = workdir
        self._blobs = blobs
        self._pause = pause

    def directory(self, launch_id: str) -> str:
        """The run directory of a launch on the device, which is its working directory.

        Raises: ValueError where the id is no plain name.
        """
        if not _LAUNCH_ID.fullmatch(launch_id):
            raise ValueError(f"a launch id is letters, digits, '_', '-', '.', not {launch_id!r}")
        return f"{self._workdir}/runs/{launch_id}"

    def run(
        self,
        launch_id: str,
        argv: Sequence[str],
        *,
        files: Mapping[str, Path],
        texts: Mapping[str, str],
        env: Mapping[str, str],
        deadline: Deadline,
        results: Sequence[str] = (),
        watch: Watch = NO_WATCH,
    ) -> LaunchOutput:
        """Start and wait; the directory stays.

        A link that drops while the program runs is taken up again until the deadline.
        Arguments and errors as of `start` and `wait`.
        """
        self.start(
            launch_id, argv, files=files, texts=texts, env=env, deadline=deadline, watch=watch
        )
        while True:
            try:
                return self.wait(launch_id, deadline=deadline, results=results)
            except (DeviceOffline, TransferError):
                if deadline.remaining() <= _RECONNECT_S:
                    raise
                self._pause(_RECONNECT_S)

    def start(
        self,
        launch_id: str,
        argv: Sequence[str],
        *,
        files: Mapping[str, Path],
        texts: Mapping[str, str],
        env: Mapping[str, str],
        deadline: Deadline,
        watch: Watch = NO_WATCH,
    ) -> None:
        """Lay out the run directory and start the program; it runs when this returns.

        A launch of the same id that is there already is ended and removed first.

        Args:
            launch_id: a plain name, unique on the device.
            argv: the program and its arguments; relative paths start at the run directory.
            files: name in the run directory -> file of the controller; read-only there.
            texts: name in the run directory -> content.
            env: variables added to the device's environment.
            deadline: of this call, and, with a margin, of the program itself.
            watch: what watches the program.

        Raises: ValueError (a name or value that no device could take), CommandNotFound
        (no setsid or no sha256sum), NoSpace, CommandFailed, and what BlobStore.ensure and
        Transport.run raise. After a TransientDeviceError the program may be running.
        """
        directory = self.directory(launch_id)
        _check_values(argv, [*files, *texts], env)
        archive = _tar(texts)
        limit_s = str(math.ceil(deadline.remaining()) + _LIMIT_MARGIN_S)
        head = [watch.conditions, watch.sampler, limit_s]
        tail = [*(f"{name}={value}" for name, value in env.items()), "--", *argv]
        result = self._lay_out(directory, files, archive, head, tail, deadline)
        if result.exit_code in (launch_sh.EXISTS, launch_sh.NO_BLOB):
            if result.exit_code == launch_sh.EXISTS:
                self.remove(launch_id, deadline=deadline)
            else:
                self._blobs.forget()
            result = self._lay_out(directory, files, archive, head, tail, deadline)
        if result.exit_code != 0:
            raise error_of(result, launch_id)

    def wait(
        self, launch_id: str, *, deadline: Deadline, results: Sequence[str] = ()
    ) -> LaunchOutput:
        """Wait for the end of a launch and fetch its output; the directory stays.

        Args:
            results: names of files in the run directory to bring back, where they are there.

        Raises: LaunchTimeout (the whole process group was ended, or the message says
        that it could not be), LaunchLost (ended likewise), PathMissing (there is no such
        launch), TransferError (the answer was cut off: try again), DeviceOffline (the
        launch goes on: wait again), NoSpace (what the program said is cut off).
        """
        while True:
            seconds = min(_SLICE_S, math.ceil(deadline.remaining()))
            try:
                ended = self._wait(launch_id, seconds)
            except LaunchLost:
                with suppress(DeviceError):
                    self.end(launch_id, deadline=Deadline(_CLEAN_UP_S))
                raise
            if ended:
                return self._fetch(launch_id, results)
            if deadline.expired():
                raise self._timed_out(launch_id, deadline)

    def collect(self, launch_id: str, *, results: Sequence[str] = ()) -> LaunchOutput | None:
        """The output of a launch, or None while it runs; ends nothing. Raises as `wait`."""
        return self._fetch(launch_id, results) if self._wait(launch_id, 0) else None

    def end(self, launch_id: str, *, deadline: Deadline) -> None:
        """End the process group of a launch: SIGTERM, after 3 s SIGKILL, until it is gone.

        Does nothing where there is no such launch or it has ended.
        Raises: CommandFailed (a process survived SIGKILL), and what Transport.run raises.
        """
        result = self._script(launch_sh.END, self.directory(launch_id), deadline=deadline)
        if result.exit_code != 0:
            raise error_of(result, launch_id)

    def remove(self, launch_id: str, *, deadline: Deadline) -> None:
        """End a launch if it still runs, and remove its directory. Raises as `end`."""
        result = self._script(launch_sh.REMOVE, self.directory(launch_id), deadline=deadline)
        if result.exit_code != 0:
            raise error_of(result, launch_id)

    def _lay_out(
        self,
        directory: str,
        files: Mapping[str, Path],
        archive: bytes | None,
        head: Sequence[str],
        tail: Sequence[str],
        deadline: Deadline,
    ) -> CommandResult:
        links: list[str] = []
        for name, path in files.items():
            sha256 = self._blobs.ensure(path, deadline=deadline)
            links += [self._blobs.path(sha256), name]
        texts = "texts" if archive else ""
        return self._script(
            launch_sh.START,
            directory,
            launch_sh.WRAPPER,
            texts,
            *head,
            *links,
            "--",
            *tail,
            deadline=deadline,
            stdin=archive,
        )

    def _script(
        self, script: str, *arguments: str, deadline: Deadline, stdin: bytes | None = None
    ) -> CommandResult:
        argv = ["sh", "-c", script, "edgebench", *arguments]
        return self._transport.run(argv, deadline=deadline, stdin=stdin)

    def _wait(self, launch_id: str, seconds: int) -> bool:
        """Whether a launch has ended, after at most so many seconds."""
        directory = self.directory(launch_id)
        try:
            result = self._script(
                launch_sh.WAIT, directory, str(seconds), deadline=Deadline(seconds + _ANSWER_S)
            )
        except DeviceTimeout as timeout:
            raise DeviceOffline(
                f"no answer within {timeout.message}", device=timeout.device
            ) from timeout
        if result.exit_code == launch_sh.RUNNING:
            return False
        if result.exit_code != 0:
            raise error_of(result, launch_id)
        return True

    def _fetch(self, launch_id: str, results: Sequence[str]) -> LaunchOutput:
        for name in results:
            if not _RESULT.fullmatch(name):
                raise ValueError(f"not a name for a result: {name!r}")
        directory = self.directory(launch_id)
        deadline = Deadline(_FETCH_S)
        most = str(_MOST_KIB)
        try:
            result = self._script(launch_sh.FETCH, directory, most, *results, deadline=deadline)
        except DeviceTimeout as timeout:
            raise DeviceOffline(
                f"the output of launch {launch_id} did not come within {_FETCH_S:g} s",
                device=timeout.device,
            ) from timeout
        if result.exit_code != 0:
            raise error_of(result, launch_id)
        return parse_output(result, launch_id, results)

    def _timed_out(self, launch_id: str, deadline: Deadline) -> LaunchTimeout:
        try:
            self.end(launch_id, deadline=Deadline(_CLEAN_UP_S))
            fate = "its processes were ended"
        except DeviceError as error:
            fate = f"and its processes may still run ({error.message})"
        return LaunchTimeout(
            f"launch {launch_id} did not end within {deadline.seconds:g} s; {fate}",
            device=self._transport.device,
        )


def _check_values(argv: Sequence[str], names: Sequence[str], env: Mapping[str, str]) -> None:
    if not argv or not argv[0] or argv[0].startswith("-"):
        raise ValueError(f"not a command: {list(argv)!r}")
    for name in names:
        if name in ("", ".", "..", _PRIVATE) or "/" in name:
            raise ValueError(f"not a name for a file in a run directory: {name!r}")
    if len(set(names)) != len(names):
        raise ValueError("a name stands both in files and in texts")
    for variable in env:
        if not _VARIABLE.fullmatch(variable):
            raise ValueError(f"not a name for an environment variable: {variable!r}")
    if any("\0" in value for value in (*argv, *names, *env.values())):
        raise ValueError("a NUL character cannot be passed to a program")


def _tar(texts: Mapping[str, str]) -> bytes | None:
    """The texts as a tar archive in GNU format, which busybox and toybox read too."""
    if not texts:
        return None
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, text in texts.items():
            content = text.encode()
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            member.mtime = 1_000_000_000  # GNU tar warns of a date of 0
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
