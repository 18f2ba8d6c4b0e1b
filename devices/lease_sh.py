"""The shell side of a lease, in plain POSIX sh: dash, busybox, mksh and bash run it.

Leases are numbered directories below one place. The one with the highest number counts,
whoever made it; all lower ones are history:

    lease.<n>/owner     nonce, boot id, since and until in s of uptime; then who, as JSON
    lease.<n>/journal   devices.journal; not there until it holds what was left to restore

`mkdir lease.<n+1>` takes it: of all that found lease n free or expired, one succeeds. So
nothing is ever taken away or renamed, which a sticky directory would refuse anyway, and
whoever was slow finds a higher number than its own. The highest directory is never
removed, or a number could be given twice; a released lease is one that expired at 0.

Expired means that the device restarted or that its uptime has reached `until`. An owner
that comes back too late takes the next number like everybody else. Uptime is cut to whole
seconds everywhere, so a write that ended before `until` was seen by all that look after it.

Values come in as positional parameters, never as text of a script. What other users wrote
is checked to be digits before anything calculates with it, since some shells run commands
that stand in a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from devices.deadline import Deadline
from devices.errors import (
    CommandFailed,
    DeviceError,
    NoSpace,
    PermissionDenied,
    TransferError,
    Unsupported,
)
from devices.transport import CommandResult, Transport

# Exit codes of these scripts, chosen apart from those that sh and its tools use.
BAD_PLACE = 82
NO_UPTIME = 83

# $1: the place. $2: the caller's nonce.
_COMMON = r"""
LC_ALL=C; export LC_ALL
umask 022
place=$1 nonce=$2
holder=- booted=- since=0 until=0 who=
nap() { sleep 0.1 2> /dev/null || sleep 1; }
now() { { read -r up rest < /proc/uptime; } 2> /dev/null || exit 83; up=${up%%.*}; }
{ read -r boot < /proc/sys/kernel/random/boot_id; } 2> /dev/null || exit 83

# n: highest number of a lease that has $1 below it; 0 without one.
top() {
    n=0
    for entry in "$place"/lease.[1-9]*; do
        number=${entry##*.}
        case $number in *[!0-9]* | ??????????*) continue ;; esac
        [ "$number" -gt "$n" ] && [ -e "$entry$1" ] && n=$number
    done
    now
}

# What lease n says of its owner; 1 where it says nothing that makes sense.
read_owner() {
    holder=- booted=- since=0 until=0 who=
    [ -f "$place/lease.$n/owner" ] || return 1
    { { read -r a b c d && IFS= read -r e; } < "$place/lease.$n/owner"; } 2> /dev/null || return 1
    case $a$b in *[!0-9a-f-]*) return 1 ;; esac
    for number in "$c" "$d"; do
        case $number in '' | *[!0-9]* | 0?* | ??????????*) return 1 ;; esac
    done
    holder=$a booted=$b since=$c until=$d who=$e
}
# The lease that counts and its owner; again where it was cleaned away in between.
see() {
    top ''
    until read_owner || [ "$n" = 0 ] || [ -d "$place/lease.$n" ]; do top ''; done
}
live() { [ "$booted" = "$boot" ] && [ "$up" -lt "$until" ]; }
mine() { [ "$holder" = "$nonce" ] && [ "$booted" = "$boot" ]; }

# Lease $1 is ours from `since` until $2; 1 where a later owner has cleaned it away.
write_owner() {
    owner=$place/lease.$1/owner
    printf '%s %s %s %s\n%s\n' "$nonce" "$boot" "$since" "$2" "$person" > "$owner.new" &&
        mv -f "$owner.new" "$owner" && return
    [ -d "$place/lease.$1" ] && exit 1
    return 1
}

# Ours for $ttl more; 1 if that came too late to be sure that nobody saw it expired.
extend() {
    old=$until
    until=$((up + ttl))
    write_owner "$n" "$until" || return 1
    now
    [ "$up" -lt "$old" ]
}

# Make the lease after n; 1 if another was faster. A lease without an owner counts as
# expired after 4 s, so one that took longer than 2 s to write its owner gives up.
take() {
    next=$((n + 1)) began=$up
    said=$(mkdir "$place/lease.$next" 2>&1) || {
        [ -e "$place/lease.$next" ] && return 1
        printf '%s\n' "$said" >&2
        exit 1
    }
    since=$up until=$((up + ttl))
    write_owner "$next" "$until" || return 1
    top ''
    if [ $((up - began)) -gt 2 ]; then
        write_owner "$next" 0
        return 1
    fi
    [ "$n" = "$next" ] || { rm -rf "$place/lease.$next"; return 1; }
    holder=$nonce booted=$boot who=$person
}

# $1: what happened. The state of lease n, and the journal that counts, read again where
# its next owner cleaned it away in between: taken for empty, it would be lost.
answer() {
    printf '%s %s %s %s %s %s %s %s\n' edgebench-lease \
        "$1" "$n" "$holder" "$booted" "$since" "$until" "$up"
    printf '%s\n%s\n' "$boot" "$who"
    journal=
    while top /journal && [ "$n" != 0 ]; do
        file=$place/lease.$n/journal
        [ -f "$file" ] && [ ! -L "$file" ] || { [ -e "$file" ] && break || continue; }
        journal=$(cat "$file" 2> /dev/null) && break
        [ ! -e "$file" ] || { cat "$file" > /dev/null; exit 1; }
    done
    printf 'journal\n%s\n\nedgebench-lease end\n' "$journal"
    exit 0
}
lost() { see; answer lost; }

# The caller's own lease, number $own, or the end.
fence() {
    top ''
    [ "$n" = "$own" ] && read_owner && mine || lost
}
failed() { fence; exit 1; }

# Have files on the disk as far as this device has a command for it.
firm() { sync "$@" 2> /dev/null || fsync "$@" 2> /dev/null || sync; }
"""

LOOK = _COMMON + "see; answer seen\n"

# $3: the owner as JSON. $4: for how long, s. $5: "force" to end a live one.
ACQUIRE = (
    _COMMON
    + r"""
person=$3 ttl=$4 force=$5 waiting=
[ ! -L "$place" ] || exit 82
[ -d "$place" ] || mkdir -p -m 1777 "$place" 2> /dev/null || [ -d "$place" ] || {
    mkdir -p "$place" || exit 1
}
while :; do
    top ''
    if [ "$n" = 0 ]; then :
    elif read_owner; then
        if mine; then extend && answer taken
        elif live && [ "$force" != force ]; then answer held
        fi
    else
        [ "$waiting" = "$n" ] || { waiting=$n first=$up; }
        [ $((up - first)) -ge 4 ] || { nap; continue; }
    fi
    take && answer taken
done
"""
)

# $3: the owner as JSON. $4: for how long, s.
RENEW = (
    _COMMON
    + r"""
person=$3 ttl=$4
top ''
read_owner && mine || lost
extend || take || lost
answer taken
"""
)

# $3: the owner as JSON. The directory stays: it says which number comes next.
RELEASE = (
    _COMMON
    + r"""
person=$3
top ''
read_owner && mine || lost
(write_owner "$n" 0) || {
    [ -d "$place/lease.$n" ] || lost
    # A full disk takes no new file. A lease without an owner counts as expired.
    rm -f "$place/lease.$n/owner.new" "$place/lease.$n/owner" || exit 1
}
until=0
answer released
"""
)

# $3: number of the lease. Then lines: what earlier leases left to restore. Only when this
# journal is safe are the earlier ones removed, as far as we may.
OPEN = (
    _COMMON
    + r"""
own=$3
shift 3
fence
file=$place/lease.$own/journal
if [ ! -f "$file" ]; then
    { for line; do printf '%s\n' "$line"; done; } > "$file.new" || failed
    firm "$file.new" && mv -f "$file.new" "$file" || failed
    firm "$place/lease.$own"
fi
for entry in "$place"/lease.[1-9]*; do
    number=${entry##*.}
    case $number in *[!0-9]* | ??????????*) continue ;; esac
    [ "$number" -lt "$own" ] && rm -rf "$entry" 2> /dev/null
done
n=$own
answer opened
"""
)

# $3: number of the lease. Then lines to add. Each begins with a newline, so that one that
# was cut off by a crash spoils no other; the last one is read back.
APPEND = (
    _COMMON
    + r"""
own=$3
shift 3
fence
file=$place/lease.$own/journal
[ -f "$file" ] || { echo "the journal was not begun" >&2; failed; }
for line; do printf '\n%s\n' "$line" >> "$file" || failed; done
firm "$file"
[ "$(tail -n 1 "$file")" = "$line" ] || { echo "the journal was not written" >&2; failed; }
answer written
"""
)

# $3: number of the lease.
READ = _COMMON + "own=$3; fence; answer read\n"

_ANSWER = re.compile(
    rb"edgebench-lease (?P<word>[a-z]+) (?P<number>\d+) (?P<nonce>\S+) (?P<boot>\S+) (?P<since>\d+)"
    rb" (?P<until>\d+) (?P<now>\d+)\n(?P<this_boot>\S+)\n(?P<who>[^\n]*)\n"
    rb"journal\n(?P<journal>.*)\nedgebench-lease end\n",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one of these scripts found.

    Attributes:
        word: "seen", "held", "taken", "lost", "released", "opened", "written" or "read".
        number: of the highest lease; 0 where there is none.
        nonce, boot, since_s, until_s, who: what it says of its owner; "-", 0 and empty
            where it says nothing.
        now_s: uptime of the device.
        this_boot: boot id of the device.
        journal: the one that counts.
    """

    word: str
    number: int
    nonce: str
    boot: str
    since_s: int
    until_s: int
    now_s: int
    this_boot: str
    who: bytes
    journal: bytes


def ask(
    transport: Transport, script: str, place: str, nonce: str, *arguments: str, deadline: Deadline
) -> Answer:
    """Run one of these scripts.

    Raises: PermissionDenied or NoSpace (for something below the place), Unsupported (no
    uptime or boot id, so no lease), CommandFailed, TransferError (the answer was cut off;
    the device may have done it), and what Transport.run raises.
    """
    argv = ["sh", "-c", script, "edgebench", place, nonce, *arguments]
    result = transport.run(argv, deadline=deadline)
    if result.exit_code != 0:
        raise _error(result, place)
    match = _ANSWER.fullmatch(result.stdout)
    if match is None:
        raise TransferError(
            "an answer about the lease did not arrive whole",
            device=result.device,
            stderr=result.stderr,
        )
    return Answer(
        word=match["word"].decode(),
        number=int(match["number"]),
        nonce=match["nonce"].decode("utf-8", "replace"),
        boot=match["boot"].decode("utf-8", "replace"),
        since_s=int(match["since"]),
        until_s=int(match["until"]),
        now_s=int(match["now"]),
        this_boot=match["this_boot"].decode("utf-8", "replace"),
        who=match["who"],
        journal=match["journal"],
    )


def _error(result: CommandResult, place: str) -> DeviceError:
    kind: type[DeviceError] = CommandFailed
    message = f"a step of the lease in {place} failed"
    if result.exit_code == BAD_PLACE:
        kind, message = PermissionDenied, f"{place} is a symbolic link: remove it"
    elif result.exit_code == NO_UPTIME:
        kind, message = Unsupported, "there is no /proc/uptime or boot id, so nothing can be leased"
    elif b"No space left on device" in result.stderr:
        kind, message = NoSpace, f"no space for the lease in {place}"
    elif b"ermission denied" in result.stderr or b"ead-only file system" in result.stderr:
        kind = PermissionDenied
        message = f"this user may not write to {place}; its owner can allow it: chmod 1777 {place}"
    return kind(message, device=result.device, exit_code=result.exit_code, stderr=result.stderr)
