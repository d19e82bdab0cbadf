#!/usr/bin/env bash
# A cluster of one ZooKeeper and three brokers on loopback, in the foreground until Ctrl-C.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export BIN=${BIN:-$root/build/bin} CLUSTER=${CLUSTER:-$(mktemp -d /tmp/ottla-cluster.XXXXXX)}
. "$root/scripts/cluster-lib.sh"
trap 'echo; echo "Stopping."; cluster_stop; case $CLUSTER in /tmp/ottla-cluster.*) rm -rf "$CLUSTER";; esac; exit 0' INT TERM
cluster_start 3 || { cluster_stop; exit 1; }
cat <<EOT
Three brokers are up.
  bootstrap servers  $(bootstrap)
  ZooKeeper          127.0.0.1:$ZK_PORT
  data and logs      $CLUSTER
Try, in another terminal:
  $BIN/kafka-topics --bootstrap-server 127.0.0.1:$((BASE_PORT + 1)) --create --topic hello --partitions 3 --replication-factor 3
  kcat -b $(bootstrap) -L
Ctrl-C stops everything and removes the data.
EOT
while :; do
    for id in 1 2 3; do
        is_running "broker-$id" || { echo "broker $id has ended; its last lines:"; tail -n 5 "$CLUSTER/broker-$id.log"; rm -f "$CLUSTER/broker-$id.pid"; }
    done
    sleep 1 & wait $!
done
