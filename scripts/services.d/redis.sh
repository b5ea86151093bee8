# shellcheck shell=bash
# Redis 7.0, in memory only: data is gone after stop, as no test wants to find yesterday's keys.

svc_install() {
    evs_deps services
}

svc_run() {
    exec redis-server --port "${svc_ports[0]}" --bind 127.0.0.1 --dir "$svc_dir/data" \
        --save '' --appendonly no --daemonize no --loglevel warning
}

svc_ready() {
    [ "$(redis-cli -h 127.0.0.1 -p "${svc_ports[0]}" ping 2>/dev/null)" = PONG ]
}

svc_env() {
    echo "EVS_TEST_REDIS=127.0.0.1:${svc_ports[0]}"
}
