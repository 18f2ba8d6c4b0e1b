"""The services of adbd that run a command: shell, shell v2 and exec.

Source of the packets: shell_service.h of the Android Open Source Project's adb.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from devices.emulated.adbd_link import LinkLost, Stream

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
_PACKET = struct.Struct("<BI")
_CHUNK_BYTES = 1 << 16


def run_shell(
    stream: Stream,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    packets: bool,
) -> None:
    """Run a command for one stream until it has ended and closed its pipes.

    Args:
        packets: whether the stream has the packets of shell v2; else both outputs are mixed
            and there is no exit code.
    """
    process = subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if packets else subprocess.STDOUT,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
    )

    def kill() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def hang_up() -> None:
        # To the shell alone, as adbd does: its children live on unless it passes the signal on.
        if process.poll() is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGHUP)

    stream.on_kill = kill
    stream.on_end = hang_up
    if stream.closed:
        hang_up()
    try:
        reader = threading.Thread(target=_copy_in, args=(stream, process, packets), daemon=True)
        outputs = [(process.stdout, STDOUT), (process.stderr, STDERR)]
        writers = [
            threading.Thread(
                target=_copy_out, args=(stream, pipe, number if packets else None), daemon=True
            )
            for pipe, number in outputs
            if pipe is not None
        ]
        for thread in (reader, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        code = process.wait()
        faults = stream.board.now
        if packets and not faults.lose_exit:
            stream.write(_PACKET.pack(EXIT, 1) + bytes([code if code >= 0 else 128 - code]))
        elif not packets and faults.noise_after:
            stream.write(faults.noise_after.encode())
    finally:
        hang_up()


def _copy_out(stream: Stream, pipe: IO[bytes], number: int | None) -> None:
    """One output to its end, in packets if it has a number."""
    faults = stream.board.now
    with pipe, suppress(LinkLost):
        if number is None and faults.noise_before:
            stream.write(faults.noise_before.encode())
        while data := os.read(pipe.fileno(), _CHUNK_BYTES):
            if number is not None:
                data = _PACKET.pack(number, len(data)) + data
            elif faults.crlf:
                data = data.replace(b"\n", b"\r\n")
            stream.write(data)


def _copy_in(stream: Stream, process: subprocess.Popen[bytes], packets: bool) -> None:
    """What arrives, to stdin; only a packet can close it before the stream ends."""
    assert process.stdin is not None
    with suppress(LinkLost):
        while True:
            if packets:
                kind, size = _PACKET.unpack(stream.read_exact(_PACKET.size))
                data = stream.read_exact(size)
            else:
                kind, data = STDIN, stream.read()
                if not data:
                    break
            with suppress(OSError, ValueError):  # nobody reads it any more
                if kind == STDIN:
                    process.stdin.write(data)
                    process.stdin.flush()
                elif kind == CLOSE_STDIN:
                    process.stdin.close()
    with suppress(OSError, ValueError):
        process.stdin.close()
