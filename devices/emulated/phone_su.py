"""`su` of an emulated phone: commands that a privileged process of the phone runs for others.

Both ends: the server lives in the phone's main process, the client is what `su` starts.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

_SOCKET = "/emulated/su"


class RootServer:
    """Runs one command per connection, on the client's own stdin, stdout and stderr."""

    def start(self) -> None:
        """Listen on a thread."""
        Path(_SOCKET).unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX)
        server.bind(_SOCKET)
        server.listen()
        threading.Thread(target=self._accept, args=(server,), daemon=True).start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            client, _ = server.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            message, streams, _, _ = socket.recv_fds(client, 1 << 20, 3)
            try:
                wanted = json.loads(message)
                process = subprocess.Popen(
                    ["/system/bin/sh", *wanted["arguments"]],
                    stdin=streams[0],
                    stdout=streams[1],
                    stderr=streams[2],
                    cwd=wanted["cwd"],
                    env={**os.environ, "EDGEBENCH_ROOT": "1"},
                    start_new_session=True,
                )
            finally:
                for stream in streams:
                    os.close(stream)
            # The client is gone: so is what it asked for.
            threading.Thread(target=_kill_after, args=(client, process), daemon=True).start()
            code = process.wait()
            with suppress(OSError):
                client.sendall(str(code if code >= 0 else 128 - code).encode())
                client.shutdown(socket.SHUT_WR)


def _kill_after(client: socket.socket, process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        client.recv(1)
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def main() -> int:
    """`su`, `su -c COMMAND` and `su 0 COMMAND ...`; the status of the command."""
    arguments = sys.argv[1:]
    if arguments[:1] in (["0"], ["root"]):
        arguments = ["-c", '"$@"', "su", *arguments[1:]] if arguments[1:] else []
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(_SOCKET)
        message = json.dumps({"arguments": arguments, "cwd": os.getcwd()})  # noqa: PTH109
        socket.send_fds(server, [message.encode()], [0, 1, 2])
        answer = server.recv(16)
    return int(answer or b"1")


if __name__ == "__main__":
    sys.exit(main())
