#!/usr/bin/env bash
# scripts/services itself, on servers of its own: what the other integration tests rely on.
# Prints TAP.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
unset EVS_TEST_SERVICES
dir=$(mktemp -d)
number=0 failed=0

services() {
    "$root/scripts/services" --dir "$dir" "$@"
}

# check WHAT COMMAND...: one subtest.
check() {
    local what=$1
    shift
    number=$((number + 1))
    if "$@" >"$dir/output" 2>&1; then
        echo "ok $number - $what"
    else
        failed=1
        echo "not ok $number - $what"
        sed 's/^/# /' "$dir/output"
    fi
}

not() {
    ! "$@"
}

state_is() {
    services status "$1" | grep -q "^$1: $2"
}

address_of() {
    (
        eval "$(services env "$1")"
        echo "${!2}"
    )
}

same_address() {
    [ "$(address_of "$1" "$2")" = "$3" ]
}

# A request that is answered: the only proof that a server is more than a process.
redis_answers() {
    local port=${redis_address##*:}
    [ "$(timeout 2 redis-cli -h 127.0.0.1 -p "$port" ping)" = PONG ]
}

# A machine whose process 1 does not reap keeps the entry: Z is as gone.
gone() {
    ! grep -qv '^State:.*Z' <(grep ^State: "/proc/$1/status" 2>/dev/null)
}

trap 'services clean; rm -rf "$dir"' EXIT

check "an unknown service is refused" not services start nonsense
check "an unknown command is refused" not services begin redis
check "stop with nothing running is fine" services stop
check "status before the start" state_is redis stopped
check "env needs a running server" not services env redis

check "start" services start kafka redis
redis_address=$(address_of redis EVS_TEST_REDIS)
kafka_address=$(address_of kafka EVS_TEST_KAFKA)
check "redis is running" state_is redis running
check "kafka is running" state_is kafka running
check "redis answers" redis_answers
check "start again changes nothing" services start redis
check "same address" same_address redis EVS_TEST_REDIS "$redis_address"

check "pause" services pause redis
check "paused is told" state_is redis paused
check "a paused server does not answer" not redis_answers
check "a paused server is not started again" not services start redis
check "resume" services resume redis
check "it answers again" redis_answers

read -r pid _ <"$dir/kafka/pid"
check "kill" services kill kafka
check "the process is gone" gone "$pid"
check "killed is told" state_is kafka stopped
check "restart after a kill" services restart kafka
check "on the same port" same_address kafka EVS_TEST_KAFKA "$kafka_address"

check "a paused server can be stopped" services pause redis
check "stop all" services stop
check "redis is stopped" state_is redis stopped
check "kafka is stopped" state_is kafka stopped
echo "1..$number"
exit $failed
