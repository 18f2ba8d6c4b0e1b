# One launch with a trace of the whole Android system around it, in plain sh.
#
# $1: seconds after which the tracer ends by itself. Then the program and its arguments,
# whose streams and exit code are its own. The trace is system.perfetto-trace, or
# system.atrace where traced, the service that perfetto asks, does not run (from Android 11
# on it does everywhere); what the tracer says is in system_trace.log.
#
# perfetto writes into a pipe: its domain may not write files of the shell's. It ends with
# its trace written at SIGTERM. Buffers are small enough for the trace to be brought back.
seconds=$1
shift
# What sched, the clocks and the sections of every process (-a) need, on any Android.
categories='sched freq idle gfx hal binder_driver'
buffer_mib=16

with_perfetto() {
    sh -c 'echo $$ > system_trace.pid; exec perfetto "$@"' sh \
        -o - -t "${seconds}s" -b "${buffer_mib}mb" -a '*' $categories \
        2> system_trace.log < /dev/null | cat > system.perfetto-trace &
    writer=$!
    # It records from about half a second on, and says that it has begun to.
    tries=0
    until grep -qi trac system_trace.log 2> /dev/null || [ "$tries" = 30 ]; do
        kill -0 "$writer" 2> /dev/null || break
        tries=$((tries + 1))
        sleep 0.1 2> /dev/null || sleep 1
    done
    stop() {
        read -r pid < system_trace.pid && kill -TERM "$pid" 2> /dev/null
        wait "$writer"
    }
}

with_atrace() {
    atrace --async_start -c -b $((buffer_mib * 1024)) -a '*' $categories \
        > /dev/null 2> system_trace.log < /dev/null
    stop() {
        atrace --async_stop > system.atrace 2>> system_trace.log < /dev/null
    }
}

stop() { :; }
if command -v perfetto > /dev/null && [ "$(getprop init.svc.traced)" = running ]; then
    with_perfetto
elif command -v atrace > /dev/null; then
    with_atrace
else
    echo 'there is neither perfetto nor atrace' > system_trace.log
fi
# Who ends it has to see that it was a signal.
trap 'stop; trap - TERM; kill -TERM $$' TERM
"$@"
code=$?
trap '' TERM
stop
rm -f system_trace.pid
exit "$code"
