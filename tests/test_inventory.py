"""devices.toml: what it may say, and selectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from devices.inventory import Inventory, InventoryError, parse_inventory, read_inventory

PHONE = {"name": "pixel8", "kind": "android", "serial": "28161FDH2001AB", "labels": ["lab", "arm"]}
WIRELESS = {"name": "tab", "kind": "android", "serial": "192.0.2.7:5555"}
BOARD = {"name": "pi4", "kind": "linux", "host": "pi4.example", "user": "pi", "labels": ["lab"]}


def inventory(*devices: dict[str, Any]) -> Inventory:
    return parse_inventory({"device": list(devices)})


def names(found: object) -> list[str]:
    assert isinstance(found, tuple)
    return [entry.name for entry in found]


def test_this_machine_is_always_there_and_first() -> None:
    assert list(inventory(PHONE, BOARD).entries) == ["local", "pixel8", "pi4"]
    named = inventory(PHONE, {"name": "workstation", "kind": "local"})
    assert list(named.entries) == ["pixel8", "workstation"]


@pytest.mark.parametrize(
    ("selectors", "picked"),
    [
        (["pixel8"], ["pixel8"]),
        (["pi4", "pixel8", "name=pi4"], ["pi4", "pixel8"]),
        (["all"], ["local", "pixel8", "tab", "pi4"]),
        (["label=lab"], ["pixel8", "pi4"]),
        (["kind=android"], ["pixel8", "tab"]),
        (["serial=192.0.2.7:5555"], ["tab"]),
        (["soc=tensor g3"], ["pixel8"]),
    ],
)
def test_selectors(selectors: list[str], picked: list[str]) -> None:
    socs = {"pixel8": "Google Tensor G3"}
    known = inventory(PHONE, WIRELESS, BOARD)
    assert names(known.select(selectors, socs=socs)) == picked


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("pixel9", "no device 'pixel9'"),
        ("label=home", "no device 'label=home'"),
        ("soc=x", "devices facts"),
        ("color=red", "'color' is no selector"),
    ],
)
def test_a_selector_that_picks_nothing_says_what_there_is(selector: str, message: str) -> None:
    with pytest.raises(InventoryError, match=message):
        inventory(PHONE).select([selector])


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ({"name": "x", "kind": "android"}, "needs `serial`"),
        ({"name": "x", "kind": "linux"}, "needs `host`"),
        ({**PHONE, "host": "h"}, "`host` means nothing"),
        ({**BOARD, "serial": "s"}, "`serial` means nothing"),
        ({**PHONE, "name": "all"}, "name of edgebench's own"),
        ({**PHONE, "name": "a/b"}, "name"),
        ({**PHONE, "name": "a\nb"}, "name"),
        ({**PHONE, "colour": "red"}, "colour: unknown key"),
        ({**PHONE, "workdir": "relative"}, "workdir"),
        ({**PHONE, "kind": "ios"}, "kind"),
        ({**BOARD, "port": 70000}, "port"),
        ({**BOARD, "password": "x"}, "password: unknown key"),
    ],
)
def test_what_no_inventory_may_say(device: dict[str, Any], message: str) -> None:
    with pytest.raises(InventoryError, match=message) as caught:
        inventory(device)
    assert "\n" not in str(caught.value)


def test_names_are_unique() -> None:
    with pytest.raises(InventoryError, match="two devices are called 'pixel8'"):
        inventory(PHONE, PHONE)
    with pytest.raises(InventoryError, match="two devices are this machine"):
        inventory({"name": "a", "kind": "local"}, {"name": "b", "kind": "local"})


def test_what_cuts_the_network_cuts_who_is_reached_by_it() -> None:
    known = inventory(PHONE, WIRELESS, BOARD).entries
    assert [name for name, entry in known.items() if entry.by_network] == ["tab", "pi4"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "not UTF-8"),
        (b"[[device", "not TOML"),
        (b"device = 3", "device"),
        (b"[device]\nname = 'x'", "device"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "devices.toml"
    path.write_bytes(content)
    with pytest.raises(InventoryError, match=message) as caught:
        read_inventory(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="no such file"):
        read_inventory(tmp_path / "devices.toml")


@given(st.text(min_size=1, max_size=30))
def test_any_selector_that_is_no_name_picks_nothing(selector: str) -> None:
    known = inventory(PHONE, BOARD)
    assume(selector not in (*known.entries, "all"))
    with pytest.raises(InventoryError):
        known.select([selector])
