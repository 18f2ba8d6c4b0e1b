# One run of the TFLite benchmark app on a phone, as one launch, in plain sh.
#
# $1: sha256 of app.apk in this directory. $2: flags of the tool; "@DIR@" stands for this
# directory. Stdout: "edgebench-app PID", then logcat (threadtime) from the start on, of
# everybody with our tags: whoever reads it keeps the lines of that process. Exit codes
# are listed in benchmark_app.py.
#
# Nothing of ours runs beside the measurement but logcat, which waits for lines, and a
# shell that looks for new ones twice a second.
package=org.tensorflow.lite.benchmark
wanted=$1
fail() { code=$1; shift; echo "$*" >&2; exit "$code"; }
quiet() { "$@" < /dev/null 2> /dev/null; }

case $PWD in
*[!A-Za-z0-9/._-]*) fail 66 "the app cannot be given a file in $PWD: choose a plain workdir" ;;
esac
flags=$2
while case $flags in *@DIR@*) ;; *) false ;; esac; do
    flags=${flags%%@DIR@*}$PWD${flags#*@DIR@}
done
# The app is another user, who has to get here.
chmod a+rx . && chmod a+x .. ../.. 2> /dev/null

# The content tells builds apart: every build of the app has the same version number.
installed() {
    quiet pm path "$package" | {
        read -r path
        sum=$(quiet sha256sum "${path#package:}")
        [ "${sum%% *}" = "$wanted" ]
    }
}
if ! installed; then
    said=$(pm install -r -d -g "$PWD/app.apk" < /dev/null 2>&1)
    case $said in
    *UPDATE_INCOMPATIBLE*)
        fail 62 "a build of the app with another signature is installed; adb uninstall $package" ;;
    *Success*) ;;
    *) fail 61 "the app cannot be installed: $said" ;;
    esac
    installed || fail 61 "the app that is installed is not the one that was given: $said"
fi

case $(quiet dumpsys power) in
*mWakefulness=Awake*) ;;
*) fail 63 'the screen is off, and an app only works in front: set the control screen = "on"' ;;
esac
case $(quiet dumpsys window policy) in
*[Ss]howing=true* | *LockScreen=true* | *Lockscreen=true* | *KeyguardShowing=true*)
    fail 64 "the phone is locked, and an app only works in front: unlock it" ;;
esac

read -r up rest < /proc/uptime
mark="edgebench $$ $up"
stop() {
    kill $following
    quiet am force-stop "$package"
} > /dev/null 2>&1
trap stop EXIT
trap 'exit 70' HUP INT TERM
since=$(date '+%m-%d %H:%M:%S.000')
logcat -T "$since" -v threadtime -b main -b events tflite:V litert:V edgebench:I libc:F \
    am_proc_start:I am_proc_died:I am_finish_activity:I wm_finish_activity:I '*:S' \
    < /dev/null > app.log 2> /dev/null &
following=$!
quiet log -t edgebench "$mark"
said=$(am start -S -n "$package/.BenchmarkModelActivity" --es args "$flags" < /dev/null 2>&1)
case $said in *Error* | *Exception*) fail 65 "the app does not start: $said" ;; esac

# Lines before our mark are of earlier runs, those before the process of other ones.
begun= pid= summary= finished= died= signal=
look() {
    case $line in *"edgebench"*": $mark") begun=1 ;; esac
    [ -n "$begun" ] || return
    case $line in
    *" am_proc_start: ["*,"$package",*)
        rest=${line#*am_proc_start: [}
        rest=${rest#*,}
        pid=${rest%%,*}
        ;;
    *m_finish_activity:*"$package/"*) [ -z "$pid" ] || finished=1 ;;
    *" am_proc_died: ["*,"$pid,$package",*) [ -z "$pid" ] || died=1 ;;
    *" tflite"*"nference timings in us: "*)
        set -- $line
        [ "$3" != "$pid" ] || summary=1
        ;;
    *" libc"*"Fatal signal "*)
        set -- $line
        rest=${line#*Fatal signal }
        [ "$3" != "$pid" ] || signal=${rest%% *}
        ;;
    esac
}
set -f
exec 3< app.log
part= rounds=0 after=0 visible=
while :; do
    while IFS= read -r line <&3; do
        line=$part$line part=
        look
    done
    part=$part$line
    rounds=$((rounds + 1))
    [ -n "$pid" ] || pid=$(quiet pidof "$package")
    [ -n "$pid" ] || [ "$rounds" -lt 60 ] || fail 65 "the app does not start: $said"
    [ -z "$finished$died" ] || break
    # A phone may hide other users' processes: only one that was seen can be missed.
    gone=
    if [ -n "$pid" ]; then
        if [ -d "/proc/$pid" ]; then visible=1; else gone=$visible; fi
    fi
    # What is written after the summary, or after its end, takes a moment to come.
    if [ -n "$summary$gone" ]; then
        after=$((after + 1))
        [ "$after" -lt 4 ] || break
    fi
    sleep 0.5
done
echo "edgebench-app $pid"
cat app.log
[ -z "$signal" ] || exit $((128 + signal))
[ -z "$summary" ] || exit 0
[ -z "$finished" ] || exit 1
fail 67 "the app's process ended without a word: Android ends one for want of memory"
