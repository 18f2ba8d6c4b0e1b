"""The shell side of a launch, in plain POSIX sh: dash, busybox, mksh and bash run it.

Everything of a launch lies in its run directory, which is the program's working
directory. The files of the wrapper lie in `.launch` below it:

    group    process group, start time of its leader in clock ticks, boot id
    before   the conditions before the program, as the caller's script tells them
    after    the conditions after it
    samples  what the caller's sampler said while the program ran
    stdout   of the program
    stderr   of the program
    note     what the wrapper's shell itself said
    limit    there where the wrapper ended the program because its time was up
    status   exit status, signal or "-", start and end in seconds of uptime
    full     there in place of a status where the disk was full at the end

`group` and `status` appear whole or not at all. Values come in as positional
parameters, never as text of a script. All that a record needs lies on the device until
the caller has stored it: neither a dropped link nor a killed controller loses a launch.
"""

from __future__ import annotations

# Exit codes of these scripts, chosen apart from those that sh and its tools use.
EXISTS = 81
NO_BLOB = 82
NOT_STARTED = 83
NO_LAUNCH = 84
RUNNING = 85
VANISHED = 86
SURVIVED = 87
NO_SETSID = 88
LIMIT = 89
FULL = 90

# What a shell says of a command that SIGKILL ended.
KILLED = 137

# The leader of the process group and small parent of the program.
# $1: script that tells the conditions, or "". $2: sampler, or "". $3: seconds after which
# the group ends itself, whoever has forgotten it. Then NAME=VALUE for the environment ...,
# "--", the program and its arguments.
#
# A script of conditions that hangs (a dead system service) may not hang the launch.
#
# A shell reports a child's death by signal on its own stderr (`note`), which tells
# SIGSEGV from `exit 139`. SIGINT and SIGPIPE are never reported; where a trial shows a
# shell that reports nothing, 128 + n is taken for a death by signal n.
#
# On a full disk what the program said is cut off, which looks like a fault of its own: then
# there is no status. `room` is there before, because renaming it takes no space.
#
# What it left is on the disk before there is a status: after a power cut a status beside an
# output that is short would pass it off as whole.
#
# The last act ends whatever the program left behind in the group, the wrapper itself
# included, so that nothing of this launch runs beside the next.
WRAPPER = r"""
now() { read -r uptime rest < /proc/uptime || uptime=$(date +%s); } 2>/dev/null
conditions=$1 sampler=$2 limit=$3
shift 3
read -r line < /proc/$$/stat || exit
read -r boot < /proc/sys/kernel/random/boot_id || exit
(
    set -- ${line##*) }
    echo "$$ ${20} $boot" > .launch/group.new && mv .launch/group.new .launch/group
) || exit
echo started
exec > /dev/null
if timeout 5 true 2> /dev/null; then bounded='timeout 20'; else bounded=; fi
tell() { [ -z "$conditions" ] || $bounded sh -c "$conditions" < /dev/null > "$1" 2> /dev/null; }
( sleep "$limit"; : > .launch/limit; kill -KILL 0 ) 2> /dev/null &
tell .launch/before
: > .launch/room
sampling=
if [ -n "$sampler" ]; then
    ( cd .launch && exec sh -c "$sampler" < /dev/null > samples 2> /dev/null ) &
    sampling=$!
fi
now; start=$uptime
(
    exec > .launch/stdout 2> .launch/stderr
    while [ "$1" != -- ]; do export "$1"; shift; done
    shift
    exec "$@"
)
code=$?
now; end=$uptime
signal=-
if [ "$code" -gt 128 ] && [ "$code" -lt 193 ]; then
    signal=$((code - 128))
    if [ ! -s .launch/note ] && [ "$signal" != 2 ] && [ "$signal" != 13 ]; then
        sh -c '(exec sh -c "kill -KILL \$\$"); exit 0' 2> .launch/trial
        [ -s .launch/trial ] && signal=-
    fi
fi
[ -z "$sampling" ] || kill -KILL "$sampling"
tell .launch/after
LC_ALL=C sync -d .launch/* ./* 2> /dev/null || sync
if dd if=/dev/zero of=.launch/trial bs=1024 count=64 2> /dev/null; then
    echo "$code $signal $start $end" > .launch/status.new && mv .launch/status.new .launch/status
else
    mv .launch/room .launch/full
fi
rm -f .launch/trial .launch/room
kill -KILL 0
"""

# $1: run directory. $2: WRAPPER. $3: "texts" where a tar archive comes as stdin.
# $4, $5, $6: the first three of WRAPPER. Then blob and name of each file ..., "--", and
# the other parameters of WRAPPER.
# Returns once the process group is on record: the wrapper says so on a pipe. One line
# is read and not the end of the pipe, because mksh keeps a copy of it open.
START = r"""
dir=$1 wrapper=$2 texts=$3 conditions=$4 sampler=$5 limit=$6
shift 6
fail() { cd / && rm -rf "$dir"; exit "$1"; }
command -v setsid > /dev/null || exit 88
LC_ALL=C mkdir "$dir" 2> /dev/null || {
    [ -e "$dir" ] && exit 81
    LC_ALL=C mkdir -p "$dir" || exit 1
}
cd "$dir" && LC_ALL=C mkdir .launch || fail 1
while [ "$1" != -- ]; do
    [ -f "$1" ] || fail 82
    ln "$1" "./$2" 2> /dev/null || LC_ALL=C cp "$1" "./$2" || fail 1
    shift 2
done
shift
[ "$texts" != texts ] || LC_ALL=C tar -xof - || fail 1
{
    setsid sh -c "$wrapper" edgebench "$conditions" "$sampler" "$limit" "$@" \
        < /dev/null 2> .launch/note &
} | {
    read -r said
    [ "$said" = started ]
} || { cat .launch/note >&2; fail 83; }
"""

# A zombie is as good as gone: some init processes take seconds to reap one. A leader
# with another start time means that the number went to somebody else.
_GROUP = r"""
nap() { sleep 0.1 2> /dev/null || sleep 1; }
leader() {
    { read -r line < "/proc/$group/stat"; } 2> /dev/null || return 1
    set -- ${line##*) }
    [ "${20}" = "$start" ] || return 2
    case $1 in Z | X) return 1 ;; esac
}
alive() {
    kill -0 "-$group" 2> /dev/null || return 1
    leader && return 0
    [ $? = 2 ] && return 1
    for stat in /proc/[0-9]*/stat; do
        { read -r line < "$stat"; } 2> /dev/null || continue
        set -- ${line##*) }
        [ "$3" = "$group" ] || continue
        case $1 in Z | X) ;; *) return 0 ;; esac
    done
    return 1
}
end() {
    { read -r group start boot < "$1/.launch/group"; } 2> /dev/null || return 0
    read -r now < /proc/sys/kernel/random/boot_id
    [ "$boot" = "$now" ] || return 0
    alive || return 0
    kill -TERM "-$group" 2> /dev/null
    tries=0
    while alive; do
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || exit 87
        [ "$tries" -lt 30 ] || kill -KILL "-$group" 2> /dev/null
        nap
    done
}
"""

# $1: run directory. $2: seconds to wait at most for the end; 0 only looks.
# One process on the device looks, often in the first half second and then twice a second:
# each look starts a process, and ten a second took 3 % of a core of a Pi 4.
WAIT = (
    _GROUP
    + r"""
[ -d "$1" ] || exit 84
cd "$1/.launch" 2> /dev/null || exit 83
{ read -r group start boot < group; } 2> /dev/null || exit 83
left=$(($2 * 10)) quick=5
while [ ! -f status ]; do
    leader || { [ -f status ] && break; [ -f limit ] && exit 89; [ -f full ] && exit 90; exit 86; }
    [ "$left" -gt 0 ] || exit 85
    if [ "$quick" -gt 0 ]; then
        quick=$((quick - 1)) left=$((left - 1))
        nap
    else
        left=$((left - 5))
        sleep 0.5 2> /dev/null || sleep 1
    fi
done
"""
)

# $1: run directory of a launch that has ended. $2: greatest number of KiB of each part;
# of a longer one its two ends are sent. $3 ...: names of further files there.
# Answers the status, a line "size bytes-sent" for each part, "-" where there is none,
# then the parts one after another.
FETCH = r"""
[ -f "$1/.launch/status" ] || exit 84
cd "$1" || exit
most=$(($2 * 1024)) half=$(($2 / 2))
shift 2
read -r code signal began ended < .launch/status
echo "edgebench-launch $code $signal $began $ended"
parts() {
    "$@" .launch/stdout && "$@" .launch/stderr && "$@" .launch/before &&
        "$@" .launch/after && "$@" .launch/samples
}
measure() {
    [ -f "$1" ] || { echo '- 0'; return 0; }
    size=$(wc -c < "$1") || return
    if [ "$size" -gt "$most" ]; then echo $size $((half * 2048)); else echo $size $size; fi
}
send() {
    [ -f "$1" ] || return 0
    size=$(wc -c < "$1") || return
    [ "$size" -gt "$most" ] || { cat "$1"; return; }
    dd if="$1" bs=1024 count="$half" 2> /dev/null && tail -c $((half * 1024)) "$1"
}
parts measure || exit
for file in "$@"; do measure "./$file" || exit; done
parts send || exit
for file in "$@"; do send "./$file" || exit; done
"""

# $1: run directory. Of two that remove it at once, one finds it gone.
END = _GROUP + 'end "$1"\n'
REMOVE = END + 'rm -rf "$1" || [ ! -e "$1" ]\n'
