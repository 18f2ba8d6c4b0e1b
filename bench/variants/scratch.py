"""A temporary folder beside what is made in it, for one process at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import UserError
from bench.variants.cache import TEMPORARY


@contextmanager
def scratch_in(folder: Path) -> Iterator[Path]:
    """A temporary folder in `folder`, which is made if need be; it goes when the block ends.

    What killed processes left there goes first. That is safe because the block holds a
    lock on the folder, which dies with its process.

    Raises: UserError if another process works in the folder, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder}: another edgebench is making files there; wait until it ends"
            ) from None
        for left in folder.glob(f"{TEMPORARY}*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
        try:
            # Some of what is made later is moved out of it: so on the same file system.
            scratch = tempfile.TemporaryDirectory(dir=folder, prefix=TEMPORARY)
        except OSError as error:
            raise UserError(f"{folder}: cannot be written: {error.strerror}") from error
        with scratch as path:
            yield Path(path)
    finally:
        os.close(handle)
