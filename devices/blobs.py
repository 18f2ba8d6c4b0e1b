"""Content-addressed files on a device: pushed once, verified there, never changed."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from devices.deadline import Deadline
from devices.errors import CommandNotFound, PathMissing, TransferError, Unsupported
from devices.transport import Progress, Transport, no_progress

# Prints the sha256 of $1 and whether it is executable; "missing" without the file.
# The file comes as stdin because sha256sum escapes odd names in its output.
_CHECK = """
[ -f "$1" ] || { echo missing; exit 0; }
touch -c "$1" 2> /dev/null
sha256sum < "$1" || exit
[ -x "$1" ] && echo executable
exit 0
"""

# $1: blobs. $2: runs. $3: KiB that may stay. The names of blobs are hashes, so that no
# name can break the list. A blob that a launch links to has more than one link. Newest
# first, by the last time that it was asked for.
_COLLECT = """
if cd "$2" 2> /dev/null; then find . -maxdepth 1 -mindepth 1 -mtime +30 -exec rm -rf {} +; fi
cd "$1" 2> /dev/null || exit 0
kept=0
for name in $(ls -t); do
    case $name in *[!0-9a-f]*) continue ;; esac
    size=$(stat -c %s "$name") && links=$(stat -c %h "$name") || continue
    kept=$((kept + size / 1024 + 1))
    if [ "$kept" -gt "$3" ] && [ "$links" = 1 ]; then rm -f "$name"; echo "$name"; fi
done
exit 0
"""

_ANSWER = re.compile(r"(?:missing|([0-9a-f]{64})[ *]*-?(\nexecutable)?)\n?")
_PUSHES = 2


class BlobStore:
    """`<workdir>/blobs/<sha256>` on one device; for one thread.

    A blob is read-only (0444, or 0555 where the pushed file was executable), because
    launches hold hard links to it. What lies there already is verified once per store.

    Args:
        transport: the way to the device.
        workdir: absolute path of edgebench's directory on the device.
    """

    def __init__(self, transport: Transport, workdir: str) -> None:
        self._transport = transport
        self._workdir = workdir
        self._hashes: dict[tuple[Path, int, int], str] = {}
        self._present: dict[str, bool] = {}  # sha256 -> executable

    def path(self, sha256: str) -> str:
        """Where the blob of that hash lies on the device, if it is there."""
        return f"{self._workdir}/blobs/{sha256}"

    def ensure(
        self,
        source: Path,
        sha256: str | None = None,
        *,
        deadline: Deadline,
        on_progress: Progress = no_progress,
    ) -> str:
        """Have a file of the controller on the device, verified there; return its sha256.

        Args:
            source: the file.
            sha256: its hash where the caller knows what it must be.
            on_progress: told of a push under way.

        Raises: PathMissing (no such file here), TransferError (it is not the content
        that was asked for, or arrived wrong twice), Unsupported (the file system of the work
        directory executes nothing), and what Transport.push raises.
        """
        found, executable = self._inspect(source)
        if sha256 is not None and found != sha256:
            raise TransferError(
                f"{source} has sha256 {found} where {sha256} was expected",
                device=self._transport.device,
            )
        if self._present.get(found) in (True, executable):
            return found
        there: str | None = None
        for pushes_left in range(_PUSHES, -1, -1):
            there, there_executable = self._check(found, deadline)
            if there == found and there_executable in (True, executable):
                self._present[found] = there_executable
                return found
            if pushes_left:
                mode = 0o555 if executable else 0o444
                self._transport.push(
                    source,
                    self.path(found),
                    deadline=deadline,
                    mode=mode,
                    on_progress=on_progress,
                )
        if there == found:
            raise Unsupported(
                f"nothing under {self._workdir} can be executed there; name another `workdir` in "
                "devices.toml, which on Android is best left out",
                device=self._transport.device,
            )
        raise TransferError(
            f"{source} arrived wrong {_PUSHES} times", device=self._transport.device
        )

    def collect_garbage(self, most_bytes: int, *, deadline: Deadline) -> int:
        """Remove the blobs that were not asked for the longest, until the rest fits.

        Blobs that a launch links to stay, and so does everything that is not ours. What
        launches left that nobody has collected for 30 days goes too.

        Returns: how many blobs went. Raises: what Transport.run raises.
        """
        result = self._transport.run(
            [
                *("sh", "-c", _COLLECT, "edgebench"),
                *(f"{self._workdir}/blobs", f"{self._workdir}/runs", str(most_bytes // 1024)),
            ],
            deadline=deadline,
        )
        gone = result.check().text.split()
        for sha256 in gone:
            self._present.pop(sha256, None)
        return len(gone)

    def forget(self) -> None:
        """Trust nothing any more: verify every blob again at its next use."""
        self._present.clear()

    def _inspect(self, source: Path) -> tuple[str, bool]:
        """Hash of a file here, computed once per content, and whether it is executable."""
        try:
            status = source.stat()
            key = (source, status.st_mtime_ns, status.st_size)
            if key not in self._hashes:
                with source.open("rb") as file:
                    self._hashes[key] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise PathMissing(
                f"{source} cannot be read on this machine: {error}", device=self._transport.device
            ) from error
        return self._hashes[key], bool(status.st_mode & 0o100)

    def _check(self, sha256: str, deadline: Deadline) -> tuple[str | None, bool]:
        """Hash that the device computes of a blob, None if it is not there; executable."""
        result = self._transport.run(
            ["sh", "-c", _CHECK, "edgebench", self.path(sha256)], deadline=deadline
        )
        if result.exit_code == 127:
            raise CommandNotFound(
                "there is no sha256sum",
                device=result.device,
                argv=result.argv,
                stderr=result.stderr,
            )
        match = _ANSWER.fullmatch(result.check().text)
        if match is None:
            raise TransferError(
                f"the answer of sha256sum did not arrive whole: {result.text[:200]!r}",
                device=result.device,
                argv=result.argv,
                stderr=result.stderr,
            )
        return match[1], match[2] is not None
