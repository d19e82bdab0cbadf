#!/usr/bin/env bash
# The demo: three brokers, a replicated topic, the leader killed, nothing lost. Ends 0 only if all of that held.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export BIN=${BIN:-$root/build/bin} CLUSTER
CLUSTER=$(mktemp -d /tmp/ottla-demo.XXXXXX)
ZK_PORT=${ZK_PORT:-23181} BASE_PORT=${BASE_PORT:-23090} SESSION_TIMEOUT_MS=2000
. "$root/scripts/cluster-lib.sh"
finish() {
    status=$?
    cluster_stop || true
    if [ $status -eq 0 ]; then rm -rf "$CLUSTER"; else echo "The demo failed; its logs are in $CLUSTER" >&2; fi
}
trap finish EXIT
say() { printf '\n== %s\n' "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }
servers=$(bootstrap)
topic=peter-overview01

say "One ZooKeeper and three brokers start"
cluster_start 3
show "$BIN/kafka-topics" --bootstrap-server "$servers" --create --topic $topic --partitions 1 --replication-factor 3
show "$BIN/kafka-topics" --bootstrap-server "$servers" --describe --topic $topic

say "A hundred records go in and come out"
seq -f 'message %g' 1 100 >"$CLUSTER/sent"
"$BIN/kafka-console-producer" --bootstrap-server "$servers" --topic $topic --request-required-acks all <"$CLUSTER/sent"
consume() { timeout 60 "$BIN/kafka-console-consumer" --bootstrap-server "$servers" --topic $topic --from-beginning --max-messages "$1" 2>/dev/null; }
consume 100 >"$CLUSTER/read"
cmp "$CLUSTER/sent" "$CLUSTER/read" && echo "read back: $(wc -l <"$CLUSTER/read") records, in order"

leader_of() { "$BIN/kafka-topics" --bootstrap-server "$servers" --describe --topic $topic 2>/dev/null | sed -n 's/.*Leader: \([0-9]*\).*/\1/p'; }
leader=$(leader_of)
say "Broker $leader leads: SIGKILL"
kill -KILL "$(pid_of "broker-$leader")"
killed_at=$(date +%s%N)
seq -f 'message %g' 101 200 >"$CLUSTER/more"
"$BIN/kafka-console-producer" --bootstrap-server "$servers" --topic $topic --request-required-acks all --message-send-max-retries 200 <"$CLUSTER/more"
echo "a hundred more acknowledged $((($(date +%s%N) - killed_at) / 1000000)) ms after the kill (ZooKeeper session timeout: $SESSION_TIMEOUT_MS ms)"
cat "$CLUSTER/more" >>"$CLUSTER/sent"
consume 200 >"$CLUSTER/read"
cmp "$CLUSTER/sent" "$CLUSTER/read" && echo "read back: $(wc -l <"$CLUSTER/read") records, none lost, none twice, in order"
show "$BIN/kafka-topics" --bootstrap-server "$servers" --describe --topic $topic

say "Broker $leader comes back and catches up"
rm -f "$CLUSTER/broker-$leader.pid"
broker_start "$leader"
whole() { "$BIN/kafka-topics" --bootstrap-server "$servers" --describe --topic $topic 2>/dev/null | grep -qE 'Isr: [0-9]+,[0-9]+,[0-9]+'; }
await 60 "three in-sync replicas" whole
show "$BIN/kafka-topics" --bootstrap-server "$servers" --describe --topic $topic
printf '\nDone: nothing was lost.\n'
