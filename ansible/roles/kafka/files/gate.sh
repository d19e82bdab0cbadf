#!/bin/bash
# gate.sh BOOTSTRAP ZOOKEEPER BROKERS TIMEOUT CHECKS PAUSE SINGLE [ID]: waits until the cluster can spare a broker: BROKERS of them are
# registered (and ID is), every partition has its leader and all its replicas in sync, none is moving, and none would
# fall below min.insync.replicas. That CHECKS times in a row, PAUSE seconds apart, for one good answer right after a start
# may be old. Partitions that can never pass are told apart: of one replica (SINGLE=True: named, and passed over), and
# those whose min.insync.replicas is their replication factor. Says what is missing and exits 1 after TIMEOUT seconds.
export LC_ALL=C
bootstrap=$1 zookeeper=$2 brokers=$3 timeout=$4 checks=$5 pause=$6 single=$7 id=${8:-}
bin=/usr/local/kafka/bin
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT

# described FLAG: partitions of which FLAG holds, on one line each; status 1 when nobody could say.
described() {
    timeout 60 "$bin/kafka-topics.sh" --bootstrap-server "$bootstrap" --describe "$1" 2>"$errors" &&
        ! grep -q ERROR "$errors"
}
# Partitions of input with more than one replica; those with one when the argument is "one".
replicated() {
    awk -F'\t' -v one="$1" '{ for (i = 1; i <= NF; i++) if ($i ~ /^ *Replicas: /) n = split($i, ids, ",");
        if (one == "one" ? n == 1 : n > 1) { sub(/^\t/, ""); print } }'
}
first() { head -n 3 | sed 's/^[\t ]*//; s/\t/ /g' | paste -sd';'; }

# Prints what keeps the gate shut; nothing when it is open.
shut() {
    local ids count text single_ones
    ids=$(timeout 60 "$bin/zookeeper-shell.sh" "$zookeeper" ls /brokers/ids 2>/dev/null | tail -n 1)
    count=$(tr -cd '0-9,' <<<"$ids" | tr ',' '\n' | grep -c .)
    [ "$count" -eq "$brokers" ] || { echo "$count of $brokers brokers are registered: $ids"; return; }
    [ -z "$id" ] || grep -qE "[[ ]$id[],]" <<<"$ids" || { echo "broker $id is not registered: $ids"; return; }
    text=$(described --under-replicated-partitions) || { echo "no broker could say what is under-replicated: $(first <"$errors")"; return; }
    [ -z "$text" ] || { echo "under-replicated: $(first <<<"$text")"; return; }
    text=$(described --unavailable-partitions) || { echo "no broker could say what is unavailable"; return; }
    [ -z "$text" ] || { echo "without a leader: $(first <<<"$text")"; return; }
    text=$(described --under-min-isr-partitions) || { echo "no broker could say what is below min.insync.replicas"; return; }
    single_ones=$(replicated one <<<"$text") text=$(replicated <<<"$text")
    [ -z "$text" ] || { echo "below min.insync.replicas: $(first <<<"$text")"; return; }
    text=$(described --at-min-isr-partitions) || { echo "no broker could say what is at min.insync.replicas"; return; }
    if [ -n "$(replicated <<<"$text")" ]; then
        echo "no replica to spare (is min.insync.replicas the replication factor?): $(replicated <<<"$text" | first)"
        return
    fi
    single_ones+=$(replicated one <<<"$text")
    [ "$single" = True ] || [ -z "$single_ones" ] || { echo "of one replica only: $(first <<<"$single_ones")"; return; }
    text=$(timeout 60 "$bin/kafka-reassign-partitions.sh" --bootstrap-server "$bootstrap" --list 2>/dev/null) ||
        { echo "no broker could say what is being moved"; return; }
    grep -q '^No partition reassignments found' <<<"$text" || echo "being moved: $(first <<<"$text")"
}

deadline=$((SECONDS + timeout)) good=0
while :; do
    reason=$(shut)
    if [ -z "$reason" ]; then
        good=$((good + 1))
        [ "$good" -lt "$checks" ] || exit 0
    else
        good=0
        [ "$SECONDS" -lt "$deadline" ] || { echo "the gate stayed shut for $timeout s: $reason"; exit 1; }
    fi
    sleep "$pause"
done
