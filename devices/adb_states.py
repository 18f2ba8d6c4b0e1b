"""What an adb server says of its phones: states, lists and refusals, as data and advice."""

from __future__ import annotations

import re
from dataclasses import dataclass

from devices.errors import (
    DeviceError,
    DeviceOffline,
    PermissionDenied,
    TransferError,
    Unauthorized,
)

_STATES = (
    "device|offline|unauthorized|authorizing|connecting|recovery|rescue|sideload|bootloader|host"
    "|detached|no device|unknown|no permissions[^\\[]*(?:\\[[^\\]]*\\])?"
)
_LISTED = re.compile(rf"(\S.*?)\s+({_STATES})((?: [\w-]+:\S*)*)\s*")

UNLOCK = "unlock the phone and allow this computer in the dialog it shows"
ADVICE = {
    "unauthorized": f"{UNLOCK}; if there is none, revoke USB debugging authorizations in the"
    " developer options and plug it in again",
    "authorizing": f"{UNLOCK}, then try again",
    "offline": "plug it in again, or restart it; over the network: adb disconnect, adb connect",
    "connecting": "wait a moment and try again",
    "no permissions": "this user may not open the USB device: install the udev rules for Android"
    " (package android-sdk-platform-tools-common), then plug it in again",
    "recovery": "it is in recovery mode: restart it with adb reboot",
    "rescue": "it is in rescue mode: restart it with adb reboot",
    "sideload": "it waits for an update: restart it with adb reboot",
    "bootloader": "it is in the bootloader: restart it with fastboot reboot",
}


@dataclass(frozen=True, slots=True)
class AdbDevice:
    """A phone as an adb server lists it.

    Attributes:
        serial: its serial number, or the host:port it was connected by.
        state: "device" if it can be used; else offline, unauthorized, no permissions...
        product, model, device: None unless the server knows them.
    """

    serial: str
    state: str
    product: str | None = None
    model: str | None = None
    device: str | None = None

    @property
    def usable(self) -> bool:
        return self.state == "device"

    @property
    def advice(self) -> str | None:
        """What a person can do to make it usable; None if it is."""
        if self.usable:
            return None
        known = next((text for state, text in ADVICE.items() if self.state.startswith(state)), "")
        return known or "restart it, then plug it in again"


def parse_devices(text: str) -> tuple[AdbDevice, ...]:
    """The list of `adb devices -l`, without its heading.

    Raises: TransferError for a line that is none of it.
    """
    found = []
    for line in filter(str.strip, text.split("\n")):
        match = _LISTED.fullmatch(line)
        if match is None:
            raise TransferError(f"not a line of adb's list of devices: {line!r}", device="adb")
        details = dict(word.split(":", 1) for word in match[3].split())
        found.append(
            AdbDevice(
                match[1],
                match[2].strip(),
                details.get("product"),
                details.get("model"),
                details.get("device"),
            )
        )
    return tuple(found)


def refusal(said: str, device: str) -> DeviceError:
    """What a server's FAIL means."""
    text = said.lower()
    if "unauthorized" in text:
        return Unauthorized(f"the phone does not trust this computer: {UNLOCK}", device=device)
    if "permission" in text:
        return PermissionDenied(f"{_one_line(said)}: {ADVICE['no permissions']}", device=device)
    if "authorizing" in text:
        return DeviceOffline(f"{_one_line(said)}: {ADVICE['authorizing']}", device=device)
    if "offline" in text:
        return DeviceOffline(f"{_one_line(said)}: {ADVICE['offline']}", device=device)
    return DeviceOffline(
        _one_line(said) or "the adb server refused without a reason", device=device
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
