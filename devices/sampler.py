"""What a device does while a launch runs on it, about once a second.

The script is started by the launch wrapper, in the process group of the launch, and ends
with it. It must not disturb what is measured: everything is found once at the start, and
after that it forks nothing. It reads files with the shell's own `read`, and waits in
`read -t` on a pipe that it holds open itself. (A named one would do too, but a shell of
Android may not make one.) Where no shell on the device can do that, it runs `sleep` and
says so in its first line.

Its text: "edgebench-samples 1 read" or "... 1 forks"; then "file KIND NAME" for each file;
then a line per tick: "at", uptime in s, CPU time of the launch, user, nice, system, irq,
softirq and steal of all CPUs (/proc/stat), all in ticks, and what the files said, in their
order. "-" is nothing that could be read. A line "forks" says that it forks from there on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from devices.remote import quote
from devices.sensors import celsius, place_of

# $1: "read" or "forks". Names are those of the kernel; one with an odd character in it is
# left out, so that none can spoil a line. Zones of other parts are not read: a modem's or
# charger's takes milliseconds over a slow bus.
_BODY = r"""
how=$1
if [ "$how" = read ] && (exec 3<> /proc/self/fd/0) 2> /dev/null; then
    exec 3<> /proc/self/fd/0
else
    how=forks
fi
echo "edgebench-samples 1 $how"

{ read -r line < /proc/self/stat; } 2> /dev/null || exit
self=${line%% *}
set -- ${line##*) }
group=$3

plain() {
    case $1 in "" | *[!A-Za-z0-9_.:-]*) return 1 ;; esac
}
said() {
    x=
    { read -r x < "$1"; } 2> /dev/null
    [ "$x" != "Not charging" ] || x=Not-charging
    plain "$x" || x=-
}
set --
zones=0
for zone in /sys/class/thermal/thermal_zone*; do
    said "$zone/type"
    case $x in
        *[Cc][Pp][Uu]* | *[Ss][Oo][Cc]* | *[Ss][Kk][Ii][Nn]* | *[Bb][Aa][Tt][Tt]* | \
            *pkg_temp* | BIG* | MID* | LITTLE* | big* | mid* | little*) ;;
        *) continue ;;
    esac
    [ "$zones" -lt 32 ] || continue
    zones=$((zones + 1))
    echo "file zone $x"
    set -- "$@" "$zone/temp"
done
for sensor in /sys/class/hwmon/hwmon*; do
    said "$sensor/name"
    case $x in
        *[Cc][Pp][Uu]* | *[Ss][Oo][Cc]* | coretemp | k10temp | zenpower) ;;
        *) continue ;;
    esac
    echo "file zone $x"
    set -- "$@" "$sensor/temp1_input"
done
for policy in /sys/devices/system/cpu/cpufreq/policy*; do
    plain "${policy##*/}" && [ -r "$policy/scaling_cur_freq" ] || continue
    echo "file khz ${policy##*/}"
    set -- "$@" "$policy/scaling_cur_freq"
done
for supply in /sys/class/power_supply/*; do
    said "$supply/type"
    [ "$x" = Battery ] || continue
    said "$supply/scope"
    [ "$x" != Device ] || continue
    for kind in status capacity current_now voltage_now temp; do
        [ -r "$supply/$kind" ] || continue
        echo "file $kind battery"
        set -- "$@" "$supply/$kind"
    done
    break
done

add_own() {
    { read -r line < "/proc/$1/stat"; } 2> /dev/null || return 1
    set -- ${line##*) }
    own=$((own + ${12} + ${13} + ${14} + ${15}))
}
set_parent() { pid=$2; }
name_of() { name=${1#*"("}; name=${name%")"*}; }
# Everything of the group but this sampler and the wrapper: its leader, and what it has
# forked and not made another program of, with their children (its watchdog's sleep).
find_members() {
    members= wrapper=" $ours "
    for stat in /proc/[0-9]*/stat; do
        { read -r line < "$stat"; } 2> /dev/null || continue
        pid=${line%% *}
        name_of "$line"
        set -- ${line##*) }
        [ "$3" = "$group" ] || continue
        case $wrapper in *" $pid "*) continue ;; esac
        if [ "$2" = "$group" ]; then
            [ "$name" != "$leader" ] || { wrapper="$wrapper$pid "; continue; }
        else
            case $wrapper in *" $2 "*) continue ;; esac
        fi
        members="$members $pid"
    done
}
sum_own() {
    own=0
    for pid in $members; do add_own "$pid" || return 1; done
    [ -n "$members" ]
}
{ read -r line < "/proc/$group/stat"; } 2> /dev/null || exit
name_of "$line"
leader=$name
# The shells between the leader and this one.
ours=" $group $self " pid=$PPID
while [ "$pid" -gt 1 ] && [ "$pid" != "$group" ]; do
    ours="$ours$pid "
    { read -r line < "/proc/$pid/stat"; } 2> /dev/null || break
    set_parent ${line##*) }
done
members= tries=0
leads() {
    { read -r line < "/proc/$group/stat"; } 2> /dev/null || return 1
    set -- ${line##*) }
    case $1 in Z | X) return 1 ;; esac
}
while leads; do
    # The program may start after the first look. Where one of them has ended, its time is
    # its parent's: look again and add up anew.
    if [ "$tries" -lt 2 ] || ! sum_own; then
        own=-
        [ "$tries" -ge 8 ] || { tries=$((tries + 1)); find_members; sum_own || own=-; }
    fi
    read -r up rest < /proc/uptime
    times="- - - - - -"
    { read -r name user nice system idle wait irq softirq steal rest < /proc/stat; } \
        2> /dev/null && times="$user $nice $system $irq $softirq $steal"
    tick="at $up $own $times"
    for file; do
        said "$file"
        tick="$tick $x"
    done
    echo "$tick"
    if [ "$how" = read ]; then
        read -r -t 1 x <&3
        read -r now rest < /proc/uptime
        # Back at once, which no shell was seen to do: better a fork than a busy loop.
        [ "${now%.*}" != "${up%.*}" ] || { how=forks; echo forks; }
    fi
    [ "$how" = read ] || sleep 1
done
"""

# mksh and bash can wait without forking, busybox too; dash cannot, so that it looks for one
# that can. The pipe's writing end closes at once; the body opens its own.
SCRIPT = f"""
body={quote(_BODY)}
LC_ALL=C
export LC_ALL
how=read
if sh -c '[ -n "${{KSH_VERSION-}}${{BASH_VERSION-}}" ]'; then set -- sh
elif command -v bash > /dev/null; then set -- bash
elif command -v mksh > /dev/null; then set -- mksh
elif command -v busybox > /dev/null && busybox sh -c : 2> /dev/null; then set -- busybox sh
else set -- sh; how=forks
fi
: | exec "$@" -c "$body" edgebench "$how"
"""

_NS_PER_TICK = 10_000_000
_TICK_FIELDS = 9


class UnreadableSamples(ValueError):
    """The bytes are not what the sampler prints."""


@dataclass(frozen=True, slots=True)
class TelemetryPoint:
    """The state of a device at one moment of a launch; None is "it could not be read".

    Attributes:
        uptime_s: seconds since boot.
        temperature_c, skin_c, battery_c: as in devices.state.Snapshot.
        khz: policy -> scaling_cur_freq.
        busy_ns, steal_ns: of all CPUs since boot, /proc/stat.
        own_cpu_ns: CPU time of the launched program and its ended children; None before
            it runs and after it has ended.
        battery_percent, battery_status: as in Snapshot.
        battery_current_raw, battery_voltage_raw: current_now and voltage_now in the
            vendor's unit and sign, see devices.power.
    """

    uptime_s: float
    temperature_c: float | None = None
    skin_c: float | None = None
    battery_c: float | None = None
    khz: Mapping[str, int] | None = None
    busy_ns: int | None = None
    steal_ns: int | None = None
    own_cpu_ns: int | None = None
    battery_percent: int | None = None
    battery_status: str | None = None
    battery_current_raw: int | None = None
    battery_voltage_raw: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Field names as keys, without those that are None."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def parse_samples(raw: bytes) -> tuple[TelemetryPoint, ...]:
    """Read what the sampler wrote, in order of time; () where it had no time for a tick.

    The launch ends it wherever it is, so that what follows the last newline is left out.

    Raises: UnreadableSamples, for any other line that it does not print.
    """
    lines = raw.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")[:-1]
    if not lines or not re.fullmatch("edgebench-samples 1 (read|forks)", lines[0]):
        raise UnreadableSamples(f"not the text of the sampler: {raw[:80]!r}")
    files: list[tuple[str, str]] = []
    points: list[TelemetryPoint] = []
    for line in lines[1:]:
        kind, *words = line.split(" ")
        if kind == "file" and len(words) == 2 and not points:
            files.append((words[0], words[1]))
        elif kind == "at" and len(words) == len(files) + _TICK_FIELDS - 1:
            points.append(_point(line, words, files))
        elif line != "forks":
            raise UnreadableSamples(f"unknown line of the sampler: {line!r}")
        if len(points) > 1 and points[-1].uptime_s < points[-2].uptime_s:
            raise UnreadableSamples(f"the sampler's clock went backwards: {line!r}")
    return tuple(points)


def _point(line: str, words: list[str], files: list[tuple[str, str]]) -> TelemetryPoint:
    numbers = words[1 : _TICK_FIELDS - 1]
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,4})?", words[0]) or not all(
        re.fullmatch(r"-|[0-9]{1,18}", number) for number in numbers
    ):
        raise UnreadableSamples(f"unknown line of the sampler: {line!r}")
    own, *times = (None if number == "-" else int(number) for number in numbers)
    said = [
        (kind, name, value)
        for (kind, name), value in zip(files, words[_TICK_FIELDS - 1 :], strict=True)
    ]
    one = {kind: value for kind, _, value in said if kind not in ("zone", "khz")}
    khz = {name: v for kind, name, v in said if kind == "khz" and v.isascii() and v.isdecimal()}
    *busy, steal = times
    return TelemetryPoint(
        uptime_s=float(words[0]),
        temperature_c=_hottest(said, "soc"),
        skin_c=_hottest(said, "skin"),
        battery_c=celsius(one.get("temp", ""), 10) or _hottest(said, "battery"),
        khz={name: int(value) for name, value in khz.items()} or None,
        busy_ns=None if None in busy else sum(t or 0 for t in busy) * _NS_PER_TICK,
        steal_ns=None if steal is None else steal * _NS_PER_TICK,
        own_cpu_ns=None if own is None else own * _NS_PER_TICK,
        battery_percent=_whole(one.get("capacity", "")),
        battery_status=_STATUS.get(one.get("status", "")),
        battery_current_raw=_whole(one.get("current_now", "")),
        battery_voltage_raw=_whole(one.get("voltage_now", "")),
    )


_STATUS = {name.replace(" ", "-"): name for name in ("Charging", "Discharging", "Full")} | {
    "Not-charging": "Not charging"
}


def _hottest(said: list[tuple[str, str, str]], place: str) -> float | None:
    readings = [
        degrees
        for kind, name, value in said
        if kind == "zone" and place_of(name) == place
        if (degrees := celsius(value, 1000)) is not None
    ]
    return max(readings, default=None)


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,12}", text) else None
