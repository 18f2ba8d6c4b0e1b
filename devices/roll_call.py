"""Which devices there are now: those of the inventory, and what adb servers list beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devices.adb_server import AdbServer, is_address, list_devices
from devices.adb_states import AdbDevice
from devices.deadline import Deadline
from devices.errors import DeviceError
from devices.inventory import DeviceEntry, Inventory
from devices.side_by_side import side_by_side

# Host and port of an adb server -> what it lists; None where it could not be asked.
Lists = Mapping[tuple[str, int], "tuple[AdbDevice, ...] | None"]

# Serial numbers of Android's own emulator, and products of it and of devices.emulated.
_EMULATOR_SERIAL = "emulator-"
_EMULATOR_PRODUCTS = ("sdk_", "edgebench_")


@dataclass(frozen=True, slots=True)
class Spotted:
    """A device that somebody wrote down or that an adb server lists.

    Attributes:
        entry: of the inventory, or made up from what the server says.
        recorded: whether it stands in the inventory.
        state: as adb has it ("device", "offline", ...); "away" for a phone of the inventory
            that its server does not list; None where adb has no say.
        advice: what a person can do where it cannot be used as it is.
        model: as adb has it.
    """

    entry: DeviceEntry
    recorded: bool
    state: str | None = None
    advice: str | None = None
    model: str | None = None

    @property
    def usable(self) -> bool:
        """Whether there is any point in asking it."""
        return self.state in (None, "device")


@dataclass(frozen=True, slots=True)
class RollCall:
    """Attributes: devices: the inventory's first. problems: of servers that did not answer."""

    devices: tuple[Spotted, ...]
    problems: tuple[str, ...]


def call_roll(inventory: Inventory, deadline: Deadline) -> RollCall:
    """Ask this machine's adb server, and those that the inventory names, side by side.

    The user's own server is started where it does not run, as every adb command does.
    Raises: ValueError where ANDROID_ADB_SERVER_PORT is no port.
    """
    servers = {AdbServer().address: AdbServer()}
    for entry in inventory.entries.values():
        if entry.kind == "android":
            server = AdbServer(entry.adb_host, entry.adb_port)
            servers.setdefault(server.address, server)

    def listed(server: AdbServer) -> tuple[AdbDevice, ...] | DeviceError:
        try:
            return list_devices(server, deadline)
        except DeviceError as error:
            return error

    answers = side_by_side(listed, tuple(servers.values()))
    lists = dict(zip(servers, answers, strict=True))
    problems = tuple(str(answer) for answer in answers if isinstance(answer, DeviceError))
    known = {at: None if isinstance(a, DeviceError) else a for at, a in lists.items()}
    return RollCall(match(inventory, known), problems)


def match(inventory: Inventory, lists: Lists) -> tuple[Spotted, ...]:
    """Every entry of the inventory with what its server says, then what nobody wrote down."""
    spotted, taken = [], set(inventory.entries)
    seen: set[tuple[tuple[str, int], str]] = set()
    for entry in inventory.entries.values():
        if entry.kind != "android":
            spotted.append(Spotted(entry, recorded=True))
            continue
        at = AdbServer(entry.adb_host, entry.adb_port).address
        seen.add((at, entry.serial or ""))
        spotted.append(_recorded(entry, lists.get(at)))
    own = AdbServer().address
    for at, phones in lists.items():
        for phone in phones or ():
            if (at, phone.serial) in seen:
                continue
            entry = _made_up(phone, None if at == own else at, taken)
            taken.add(entry.name)
            spotted.append(
                Spotted(
                    entry,
                    recorded=False,
                    state=phone.state,
                    advice=phone.advice,
                    model=phone.model,
                )
            )
    return tuple(spotted)


def _recorded(entry: DeviceEntry, phones: tuple[AdbDevice, ...] | None) -> Spotted:
    if phones is None:
        return Spotted(entry, recorded=True)
    for phone in phones:
        if phone.serial == entry.serial:
            return Spotted(
                entry, recorded=True, state=phone.state, advice=phone.advice, model=phone.model
            )
    if is_address(entry.serial or ""):
        return Spotted(entry, recorded=True)  # connected to when it is asked
    return Spotted(
        entry,
        recorded=True,
        state="away",
        advice="adb does not list it: plug it in, switch it on, and allow USB debugging",
    )


def _made_up(phone: AdbDevice, at: tuple[str, int] | None, taken: set[str]) -> DeviceEntry:
    # "/" and "=" may stand in a serial number, as adb has it, and in no name.
    name = phone.serial.replace("/", "_").replace("=", "_").replace("\\", "_")
    while name in taken or name in ("all", "local"):
        name = f"{name} (adb)"
    return DeviceEntry(
        name=name,
        kind="android",
        serial=phone.serial,
        adb_host=at[0] if at else None,
        adb_port=at[1] if at else None,
        simulated=phone.serial.startswith(_EMULATOR_SERIAL)
        or (phone.product or "").startswith(_EMULATOR_PRODUCTS),
    )
