"""One phone of an adb server: what it can do, how its services are opened, how it comes back."""

from __future__ import annotations

import threading
import time

from devices.adb_server import (
    AdbServer,
    Wire,
    ask,
    connect_phone,
    is_address,
    list_devices,
)
from devices.deadline import Deadline
from devices.errors import DeviceOffline, DeviceTimeout

_OWN_RECONNECT_S = 1.5
_RECONNECT_S = 4.0
_BACK_S = 0.2


class AdbPhone:
    """One phone, by the name its server has for it.

    Args:
        device: name of the device, for messages.
        serial: as the adb server lists it, or host:port.
        server: where it is plugged in.
    """

    def __init__(self, device: str, serial: str, server: AdbServer) -> None:
        self._device = device
        self._serial = serial
        self._server = server
        self._connecting = threading.Lock()

    def open(self, service: str, deadline: Deadline) -> Wire:
        """A connection to one service of the phone's adbd; raises what Wire does."""
        wire = Wire(self._server, self._device, deadline)
        try:
            wire.request(f"host:transport:{self._serial}")
            wire.request(service)
        except BaseException:
            wire.__exit__()
            raise
        return wire

    def features(self, deadline: Deadline) -> frozenset[str]:
        """What the phone's adbd can do. The server knows, and knows too if the phone is away."""
        try:
            return self._ask_features(deadline)
        except DeviceOffline as error:
            if is_address(self._serial):
                return self._reconnect(deadline)
            if "not found" in error.message:
                raise self._not_found(deadline) from None
            raise

    def _reconnect(self, deadline: Deadline) -> frozenset[str]:
        """Have the server connect to the phone's address again."""
        # One thread of many: the server refuses a second request while the first is under way.
        if not self._connecting.acquire(timeout=max(deadline.remaining(), 0.001)):
            raise DeviceTimeout("another thread connects", device=self._device)
        try:
            own = deadline.at_most(_OWN_RECONNECT_S)
            patience = deadline.at_most(_RECONNECT_S)
            while True:
                try:
                    return self._ask_features(deadline)
                except DeviceOffline as error:
                    lost = error
                try:
                    if "not found" in lost.message:
                        connect_phone(self._server, self._serial, self._device, deadline)
                        return self._ask_features(deadline)
                    # The server tries by itself for a while; what it then still calls
                    # offline it would call connected too.
                    if "offline" in lost.message and own.expired():
                        ask(self._server, self._device, f"host:disconnect:{self._serial}", deadline)
                except DeviceOffline as error:
                    lost = error
                if patience.remaining() < _BACK_S:
                    raise lost
                time.sleep(_BACK_S)
        finally:
            self._connecting.release()

    def _ask_features(self, deadline: Deadline) -> frozenset[str]:
        request = f"host-serial:{self._serial}:features"
        return frozenset(ask(self._server, self._device, request, deadline).split(","))

    def _not_found(self, deadline: Deadline) -> DeviceOffline:
        phones = list_devices(self._server, deadline)
        there = ", ".join(f"{phone.serial} ({phone.state})" for phone in phones) or "no phone"
        return DeviceOffline(
            f"there is no phone {self._serial} at the adb server {self._server}, which has"
            f" {there}: plug it in, or correct the serial",
            device=self._device,
        )
