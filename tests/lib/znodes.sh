# What the tests of recorded ZooKeeper trees share. Source it with ZK_PORT and BASE_PORT set.
. "$(dirname "${BASH_SOURCE[0]}")/integration.sh"
here=$root/tests/interop
servers=$(bootstrap)
trees=0 same=0

znodes() { "$here/run-znodes" --zookeeper "127.0.0.1:$ZK_PORT" --base-port "$BASE_PORT" "$@"; }
topics() { "$BIN/kafka-topics" --bootstrap-server "$servers" "$@"; }
configs() { "$BIN/kafka-configs" --bootstrap-server "$servers" --alter "$@"; }
# A setting can be taken away once its broker has heard of it.
unset_of_broker() { await 20 "broker $1 to have $2" configs --broker "$1" --delete-config "$2"; } # ID SETTING
controller_is() { "$BIN/zookeeper-shell" "127.0.0.1:$ZK_PORT" get /controller | grep -q "\"brokerid\":$1,"; }
# Never a second process on the same settings, should the kill before have failed.
start_again() { ! is_running "broker-$1" && broker_spawn "$1"; }

# step NUMBER SENTENCE FUNCTION: does it, and awaits the recorded tree. Each begins where the one before ended: after one
# that failed none is tried.
step() {
    local before=$PASSED
    trees=$((trees + 1))
    holds "tree $1: $2" done_and_same "$1" "$3"
    same=$((same + PASSED - before))
}
done_and_same() { [ "$FAILED" -eq 0 ] || { echo "not tried"; return 1; }; "$2" && znodes compare "$1"; }
say_trees() { echo "znode trees $same of $trees; departures are in tests/interop/znode-departures.txt with their reasons"; }
