"""Starts a lab of emulated devices: two phones and, where it can, a Raspberry Pi.

    python examples/fleet/lab.py [--trouble] [--no-pi]

Writes devices.toml beside this file and runs until Ctrl-C. With --trouble it unplugs, freezes
and restarts the devices in turn, every few seconds, for as long as it runs.

Everything that is measured on them is simulated, and marked as that wherever it stands. They
take up this machine while they are measured side by side; on purpose they do not say so
(shares_controller), because nobody will read their latencies.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from devices.deadline import Deadline
from devices.emulated.board import EmulatedBoard
from devices.emulated.board_image import PYTHON
from devices.emulated.phone import EmulatedPhone
from devices.emulated.server import PrivateAdbServer
from devices.emulated.standin import CLASSIC
from devices.errors import Unsupported

INVENTORY = Path(__file__).with_name("devices.toml")
# The second one's GPU delegate leaves some ops to the CPU.
PHONES = ("android-10", "android-13")
# What the Pi can import.
WHEELS = ("ai-edge-litert", "numpy")

EVERY_S = 30.0
AWAY_S = 6.0


def entry(name: str, **values: str | int | bool | list[str]) -> str:
    """One device of devices.toml."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"name": name, **values}.items()]
    return "\n".join(["[[device]]", *lines, ""])


def start_phones(stack: ExitStack) -> tuple[list[EmulatedPhone], list[str]]:
    """The phones behind an adb server of their own, and their entries."""
    server = stack.enter_context(PrivateAdbServer())
    phones, entries = [], []
    for profile in PHONES:
        phone = stack.enter_context(EmulatedPhone(profile, f"{profile}-phone"))
        server.connect(phone.address, Deadline(30.0))
        phones.append(phone)
        entries.append(
            entry(
                phone.name,
                kind="android",
                serial=phone.address,
                adb_host="127.0.0.1",
                adb_port=server.port,
                labels=["lab"],
                tool=str(CLASSIC),
                simulated=True,
            )
        )
    return phones, entries


def start_pi(stack: ExitStack) -> tuple[EmulatedBoard, str]:
    """The board and its entry. Raises: Unsupported."""
    wheels = [f"{name}=={importlib.metadata.version(name)}" for name in WHEELS]
    board = stack.enter_context(EmulatedBoard(wheels=wheels, name="emulated-pi"))
    address = board.address
    return board, entry(
        board.name,
        kind="linux",
        host=address.host,
        port=address.port,
        user=address.user,
        key=str(address.keys[0]),
        python=PYTHON,
        labels=["lab"],
        simulated=True,
    )


def unplug(phone: EmulatedPhone) -> None:
    phone.faults(unplugged=True)
    time.sleep(AWAY_S)
    phone.faults(unplugged=False)


def freeze(device: EmulatedPhone | EmulatedBoard) -> None:
    device.freeze()
    time.sleep(AWAY_S)
    device.thaw()


def troubles(
    phones: list[EmulatedPhone], board: EmulatedBoard | None
) -> Iterator[tuple[str, Callable[[], None]]]:
    """What goes wrong, in turn, for ever."""
    first, second = phones
    once: dict[str, Callable[[], None]] = {
        f"{first.name} is unplugged": lambda: unplug(first),
        f"{second.name} freezes": lambda: freeze(second),
        f"{first.name} restarts": first.reboot,
        f"{second.name} is unplugged": lambda: unplug(second),
    }
    if board is not None:
        once |= {f"{board.name} freezes": lambda: freeze(board)}
    return itertools.cycle(once.items())


def make_trouble(faults: Iterator[tuple[str, Callable[[], None]]], end: threading.Event) -> None:
    """Let one thing go wrong after the other until `end`."""
    while not end.wait(EVERY_S):
        name, strike = next(faults)
        print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
        strike()


def options() -> Mapping[str, bool]:
    parser = argparse.ArgumentParser(description="A lab of emulated devices.")
    parser.add_argument("--trouble", action="store_true", help="unplug, freeze and restart them")
    parser.add_argument("--no-pi", action="store_true", help="only the phones")
    return vars(parser.parse_args())


def main() -> None:
    asked = options()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    end = threading.Event()
    with ExitStack() as stack:
        phones, entries = start_phones(stack)
        board = None
        if not asked["no_pi"]:
            try:
                board, more = start_pi(stack)
                entries.append(more)
            except Unsupported as error:
                print(f"no Raspberry Pi: {error}")
        INVENTORY.write_text("\n".join(entries), encoding="utf-8")
        stack.callback(INVENTORY.unlink, missing_ok=True)
        print(f"{INVENTORY} names {len(entries)} devices. Ctrl-C ends them.", flush=True)
        try:
            if asked["trouble"]:
                make_trouble(troubles(phones, board), end)
            else:
                end.wait()
        except KeyboardInterrupt:
            print("ended")


if __name__ == "__main__":
    main()
