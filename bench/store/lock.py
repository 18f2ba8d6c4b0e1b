"""The one writer: an advisory lock on `<store>.lock` that dies with its process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from bench.errors import StoreError


class WriterLock:
    """Holds `<store>.lock` from construction until release or the end of the process.

    The file holds the holder's process id and stays where it is: removing it would
    let two processes lock two files of one name.

    Raises:
        StoreError: another process (or another Store of this one) writes, or the
            place is not writable.
    """

    def __init__(self, store: Path) -> None:
        path = store.with_name(store.name + ".lock")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"cannot write in {path.parent}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise StoreError(
                f"{store} is being written by process {holder or 'unknown'}: "
                "wait until it ends or stop it"
            ) from error
        except OSError as error:
            os.close(self._descriptor)
            raise StoreError(f"cannot lock {path}: {error.strerror}") from error
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        except OSError as error:
            self.release()
            raise StoreError(f"cannot write {path}: {error.strerror}") from error

    def release(self) -> None:
        """Let the next writer in; once."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)
