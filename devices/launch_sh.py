"""The shell side of a launch, in plain POSIX sh: dash, busybox, mksh and bash run it.

Everything of a launch lies in its run directory, which is the program's working
directory. The files of the wrapper lie in `.launch` below it:

    group    process group, start time of its leader in clock ticks, boot id
    stdout   of the program
    stderr   of the program
    note     what the wrapper's shell itself said
    status   exit status, signal or "-", start and end in seconds of uptime

`group` and `status` appear whole or not at all. Values come in as positional
parameters, never as text of a script.
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

# The leader of the process group and small parent of the program.
# $@: NAME=VALUE for the environment ..., "--", the program and its arguments.
#
# A shell reports a child's death by signal on its own stderr (`note`), which tells
# SIGSEGV from `exit 139`. SIGINT and SIGPIPE are never reported; where a trial shows a
# shell that reports nothing, 128 + n is taken for a death by signal n.
#
# The last act ends whatever the program left behind in the group, the wrapper itself
# included, so that nothing of this launch runs beside the next.
WRAPPER = r"""
now() { read -r uptime rest < /proc/uptime || uptime=$(date +%s); } 2>/dev/null
read -r line < /proc/$$/stat || exit
read -r boot < /proc/sys/kernel/random/boot_id || exit
(
    set -- ${line##*) }
    echo "$$ ${20} $boot" > .launch/group.new && mv .launch/group.new .launch/group
) || exit
echo started
exec > /dev/null
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
echo "$code $signal $start $end" > .launch/status.new && mv .launch/status.new .launch/status
kill -KILL 0
"""

# $1: run directory. $2: WRAPPER. $3: "texts" where a tar archive comes as stdin.
# Then blob and name of each file ..., "--", and the parameters of WRAPPER.
# Returns once the process group is on record: the wrapper says so on a pipe. One line
# is read and not the end of the pipe, because mksh keeps a copy of it open.
START = r"""
dir=$1 wrapper=$2 texts=$3
shift 3
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
{ setsid sh -c "$wrapper" edgebench "$@" < /dev/null 2> .launch/note & } | {
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
        [ "$tries" -lt 40 ] || exit 87
        [ "$tries" -lt 10 ] || kill -KILL "-$group" 2> /dev/null
        nap
    done
}
"""

# $1: run directory. $2: "wait", or "look" not to wait for the end.
# Answers one line and the bytes of stdout and stderr. One process on the device looks
# ten times a second; it costs a measurement beside it under 1 % of one core.
WAIT = (
    _GROUP
    + r"""
[ -d "$1" ] || exit 84
cd "$1/.launch" 2> /dev/null || exit 83
{ read -r group start boot < group; } 2> /dev/null || exit 83
while [ ! -f status ]; do
    leader || { [ -f status ] && break; exit 86; }
    [ "$2" = wait ] || exit 85
    nap
done
read -r code signal began ended < status
out=$(wc -c < stdout) && err=$(wc -c < stderr) || exit
echo edgebench-launch $code $signal $began $ended $out $err
cat stdout stderr
"""
)

# $1: run directory.
END = _GROUP + 'end "$1"\n'
REMOVE = END + 'rm -rf "$1"\n'
