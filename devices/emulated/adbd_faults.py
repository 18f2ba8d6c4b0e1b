"""What goes wrong on an emulated phone's link, changed from inside or outside while it runs."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from devices.emulated.adbd_serve import Listener

_POLL_S = 0.02
_ACTIONS = ("drop", "freeze", "kill")
_MOMENTS = ("open", "to_host", "to_device")


@dataclass(frozen=True, slots=True)
class Trigger:
    """A fault that strikes one stream once it has carried so many bytes; then it is spent.

    Attributes:
        action: "drop" the link, "freeze" the phone, "kill" the command's process group
            as the low-memory killer would (SIGKILL).
        service: what the stream's service begins with ("sync:", "shell"); "" for every one.
        moment: "open" (before it is answered), "to_host" or "to_device".
        after_bytes: of that direction, which still pass.
    """

    action: str
    service: str = ""
    moment: str = "to_host"
    after_bytes: int = 0

    def __post_init__(self) -> None:
        if self.action not in _ACTIONS or self.moment not in _MOMENTS or self.after_bytes < 0:
            raise ValueError(f"not a fault: {self}")


@dataclass(frozen=True, slots=True)
class Faults:
    """All faults that hold at one moment; none by default.

    Attributes:
        trigger: one that waits for its moment.
        unplugged: links are dropped and none is accepted.
        frozen: nothing is read or answered, links stay.
        offline: the handshake is never finished.
        unauthorized: no key is accepted until this is False again.
        no_shell_v2: the phone is too old to keep stdout and stderr apart.
        lose_exit: the last packet of a command is not sent.
        full_after_bytes: the disk is full after so many bytes of a push.
        mute_failures: a failed push does not say why.
        corrupt_push, short_push, corrupt_pull: bytes change or are lost, and nobody says so.
        crlf: commands without shell_v2 have CRLF for every LF, as on a terminal.
        noise_before, noise_after: text around the output of commands without shell_v2.
        bytes_per_s: of a slow link; None for no limit.
    """

    trigger: Trigger | None = None
    unplugged: bool = False
    frozen: bool = False
    offline: bool = False
    unauthorized: bool = False
    no_shell_v2: bool = False
    lose_exit: bool = False
    full_after_bytes: int | None = None
    mute_failures: bool = False
    corrupt_push: bool = False
    short_push: bool = False
    corrupt_pull: bool = False
    crlf: bool = False
    noise_before: str = ""
    noise_after: str = ""
    bytes_per_s: float | None = None


NAMES = frozenset(field.name for field in fields(Faults))


class FaultBoard:
    """The faults of one phone; every thread of it looks here.

    Attributes:
        on_change: called with the faults before and after each change.
    """

    def __init__(self, faults: Faults | None = None) -> None:
        self.on_change: Callable[[Faults, Faults], None] = lambda _before, _after: None
        self._faults = faults or Faults()
        self._lock = threading.Lock()

    @property
    def now(self) -> Faults:
        return self._faults

    def change(self, changes: Mapping[str, Any]) -> Faults:
        """Set some faults and leave the others.

        Raises: ValueError for one that does not exist.
        """
        if unknown := set(changes) - NAMES:
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}")
        values = dict(changes)
        if isinstance(trigger := values.get("trigger"), Mapping):
            try:
                values["trigger"] = Trigger(**trigger)
            except TypeError as error:
                raise ValueError(f"not a fault: {error}") from error
        with self._lock:
            before = self._faults
            after = self._faults = replace(before, **values)
        self.on_change(before, after)
        return after

    def strikes(self, service: str, moment: str, carried: int, more: int) -> tuple[str, int] | None:
        """Whether the trigger strikes a stream that is about to carry more bytes.

        Returns: its action and how many of these bytes still pass; it is spent then.
        """
        with self._lock:
            trigger = self._faults.trigger
            if (
                trigger is None
                or trigger.moment != moment
                or not service.startswith(trigger.service)
                or carried + more < trigger.after_bytes
            ):
                return None
            frozen = self._faults.frozen or trigger.action == "freeze"
            self._faults = replace(self._faults, trigger=None, frozen=frozen)
            return trigger.action, trigger.after_bytes - carried

    def wait_while_frozen(self, stopped: threading.Event) -> None:
        while self._faults.frozen and not stopped.wait(_POLL_S):
            pass

    def wait_for_bytes(self, count: int, stopped: threading.Event) -> None:
        """Take as long as so many bytes take on this link."""
        if (rate := self._faults.bytes_per_s) is not None:
            stopped.wait(count / rate)


class FaultPort:
    """A TCP port that takes one JSON object of changes per line and answers with all faults.

    Args:
        board: what is changed.
    """

    def __init__(self, board: FaultBoard) -> None:
        self._board = board
        self._listener = Listener(self._serve)

    def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; returns the port."""
        return self._listener.start(host, port)

    def stop(self) -> None:
        self._listener.stop()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as lines:
            for line in lines:
                try:
                    changes = json.loads(line)
                    if not isinstance(changes, dict):
                        raise ValueError("not a JSON object")
                    answer = asdict(self._board.change(changes))
                except (ValueError, TypeError) as error:
                    answer = {"error": str(error)}
                lines.write(json.dumps(answer).encode() + b"\n")
                lines.flush()


def change_faults(port: int, host: str = "127.0.0.1", **changes: Any) -> dict[str, Any]:
    """Change the faults of a phone that runs in another process.

    Args:
        port: its FaultPort.
        changes: fields of Faults; a trigger is a Trigger or its fields as a mapping.

    Returns: all its faults, which hold from now on.
    Raises: ValueError for a fault that does not exist, OSError where nobody answers.
    """
    if isinstance(changes.get("trigger"), Trigger):
        changes["trigger"] = asdict(changes["trigger"])
    with (
        socket.create_connection((host, port), timeout=10) as connection,
        connection.makefile("rwb") as lines,
    ):
        lines.write(json.dumps(changes).encode() + b"\n")
        lines.flush()
        answer = json.loads(lines.readline() or b"{}")
    if not isinstance(answer, dict) or "error" in answer:
        raise ValueError(answer["error"] if isinstance(answer, dict) else "no answer")
    if not answer:
        raise ConnectionError("the phone did not answer")
    return answer
