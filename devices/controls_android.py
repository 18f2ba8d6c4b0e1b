"""Controls of Android, through the commands that its shell user may run.

Sources: Settings.Global and BatteryManager of the platform's reference, `adb shell`
commands `settings`, `input`, `cmd connectivity` (from Android 11), `cmd power
set-fixed-performance-mode-enabled` (documented for Android 11 on), `am kill-all`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from devices.controls_base import (
    Control,
    ControlResult,
    Hands,
    NotPossible,
    StateControl,
)
from devices.journal import Journal

_ANDROID = frozenset({"android"})
_NONE = "null"  # what `settings get` says of a setting that is not there
_NUMBER = re.compile(r"\d{1,2}(\.\d{1,3})?")
_WAKEFULNESS = re.compile(r"mWakefulness=(\w+)")

# $@: names of global settings.
_READ_SETTINGS = r"""
for key; do
    value=$(settings get global "$key" < /dev/null 2> /dev/null) || continue
    printf '%s=%s\n' "$key" "$value"
done
echo 'edgebench-controls end'
"""

# $1: name of a property; one that is not there is empty.
_READ_PROPERTY = r"""
printf '%s\n' "$(getprop "$1" < /dev/null)"
echo 'edgebench-controls end'
"""

_READ_SCREEN = r"""
dumpsys power < /dev/null 2> /dev/null | grep mWakefulness=
echo 'edgebench-controls end'
"""


class _OnOff(StateControl):
    kinds = _ANDROID
    takes = "on or off"

    def accepts(self, value: str) -> bool:
        return value in ("on", "off")


class _Settings(StateControl):
    """Global settings; a restart keeps them."""

    kinds = _ANDROID
    lasting = True
    keys: ClassVar[tuple[str, ...]]

    def read(self, hands: Hands) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for line in hands.ask(_READ_SETTINGS, *self.keys):
            key, equals, value = line.partition("=")
            if equals and key in self.keys and value.strip():
                found[key] = value.strip()
        if missing := [key for key in self.keys if key not in found]:
            raise NotPossible("unsupported", f"the setting {missing[0]} cannot be read")
        return found

    def write(self, hands: Hands, target: str, value: str) -> str:
        if target not in self.keys:
            return f"{target} is not a setting of {self.name}"
        if value == _NONE:
            return hands.said(["settings", "delete", "global", target])
        return hands.said(["settings", "put", "global", target, value])


class StayAwake(_Settings):
    """The screen stays on while charging. Bits: 1 AC, 2 USB, 4 wireless."""

    name = "stay_awake"
    takes = "on or off"
    keys = ("stay_on_while_plugged_in",)

    def accepts(self, value: str) -> bool:
        return value in ("on", "off")

    def goal(self, hands: Hands, value: str, now: Mapping[str, str]) -> Mapping[str, str]:
        (key,) = self.keys
        found = int(now[key]) if now[key].isdigit() else 0
        if value == "on":
            return {key: now[key] if found & 7 == 7 else "7"}
        return {key: now[key] if found == 0 else "0"}


class Animations(_Settings):
    """The speed of animations: 0 is none."""

    name = "animations"
    takes = "on, off or a scale such as 0.5"
    keys = ("window_animation_scale", "transition_animation_scale", "animator_duration_scale")

    def accepts(self, value: str) -> bool:
        return value in ("on", "off") or _NUMBER.fullmatch(value) is not None

    def goal(self, hands: Hands, value: str, now: Mapping[str, str]) -> Mapping[str, str]:
        scale = {"on": "1", "off": "0"}.get(value, value)
        return {key: text if _is_scale(text, scale) else scale for key, text in now.items()}


class Airplane(_OnOff):
    """Airplane mode, by the command that really switches it; the setting alone does not."""

    name = "airplane"
    lasting = True
    failure = "unsupported"
    keys = ("airplane_mode_on",)

    def read(self, hands: Hands) -> Mapping[str, str]:
        for line in hands.ask(_READ_SETTINGS, *self.keys):
            key, _, value = line.partition("=")
            if key in self.keys and value.strip() in ("0", "1", _NONE):
                return {key: "1" if value.strip() == "1" else "0"}
        raise NotPossible("unsupported", "airplane mode cannot be read")

    def goal(self, hands: Hands, value: str, now: Mapping[str, str]) -> Mapping[str, str]:
        goal = dict.fromkeys(self.keys, "1" if value == "on" else "0")
        if hands.over_network and goal != now:
            raise NotPossible("unsupported", "it would cut the link to this device")
        return goal

    def write(self, hands: Hands, target: str, value: str) -> str:
        if value == "1" and hands.over_network:
            return "it would cut the link to this device"
        word = "enable" if value == "1" else "disable"
        return hands.said(["cmd", "connectivity", "airplane-mode", word])


class Screen(_OnOff):
    name = "screen"

    def read(self, hands: Hands) -> Mapping[str, str]:
        for line in hands.ask(_READ_SCREEN):
            if match := _WAKEFULNESS.search(line):
                return {"screen": "on" if match[1] in ("Awake", "Dreaming") else "off"}
        raise NotPossible("unsupported", "the state of the screen cannot be read")

    def goal(self, hands: Hands, value: str, now: Mapping[str, str]) -> Mapping[str, str]:
        return {"screen": value}

    def write(self, hands: Hands, target: str, value: str) -> str:
        key = "KEYCODE_WAKEUP" if value == "on" else "KEYCODE_SLEEP"
        return hands.said(["input", "keyevent", key])


class FixedPerformance(_OnOff):
    """Clocks held within bounds that the maker chose. There is no command that reads it."""

    name = "fixed_performance"
    rests_at = "off"
    failure = "unsupported"

    def read(self, hands: Hands) -> Mapping[str, str]:
        return {"mode": "off"}

    def goal(self, hands: Hands, value: str, now: Mapping[str, str]) -> Mapping[str, str]:
        return {"mode": value}

    def write(self, hands: Hands, target: str, value: str) -> str:
        word = "true" if value == "on" else "false"
        result = hands.run(["cmd", "power", "set-fixed-performance-mode-enabled", word])
        if result is None:
            return "there is no cmd"
        said = (result.stderr + result.stdout).decode("utf-8", "replace").strip().splitlines()
        # It says that it failed, and an unknown command prints help; success says nothing.
        if result.exit_code != 0 or said:
            return said[0] if said else f"exit code {result.exit_code}"
        return ""


class TfliteTrace(_OnOff):
    """Whether TFLite names its ops in system traces: a property, which a restart clears."""

    name = "tflite_trace"
    failure = "unsupported"
    properties = ("debug.tflite.trace",)

    def read(self, hands: Hands) -> Mapping[str, str]:
        (key,) = self.properties
        return {key: hands.ask(_READ_PROPERTY, key)[0]}

    def goal(self, hands: Hands, value: str, now: Mapping[str, str]) -> Mapping[str, str]:
        return dict.fromkeys(self.properties, "1" if value == "on" else "0")

    def write(self, hands: Hands, target: str, value: str) -> str:
        if target not in self.properties:
            return f"{target} is not a property of {self.name}"
        return hands.said(["setprop", target, value])


class Background(Control):
    """Processes in the background are ended, once; there is nothing to put back.

    The limits that developer options offer have no command, or one that takes effect only
    after a restart.
    """

    name = "background"
    kinds = _ANDROID
    takes = "kill"

    def accepts(self, value: str) -> bool:
        return value == "kill"

    def apply(self, hands: Hands, value: str, journal: Journal) -> ControlResult:
        if why := hands.said(["am", "kill-all"]):
            raise NotPossible("refused", why)
        reason = "done once before the first launch; they may come back"
        return ControlResult(self.name, value, None, None, "applied", reason)


def _is_scale(text: str, scale: str) -> bool:
    """Whether a setting means that scale; one that is not there means 1."""
    try:
        return float("1" if text == _NONE else text) == float(scale)
    except ValueError:
        return False
