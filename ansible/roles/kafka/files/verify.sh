#!/bin/bash
# verify.sh ZOOKEEPER REPLICAS ID=HOST:PORT...: records go in through every broker and come out through every other, the
# same bytes; ids, controller and replicas are as they should be. Prints what is not, and exits 1. The topics it makes have
# a name nobody else has, and are deleted however it ends.
export LC_ALL=C
zookeeper=$1 replicas=$2
shift 2
bin=/usr/local/kafka/bin work=$(mktemp -d) name=verify-$(od -An -N8 -tx1 /dev/urandom | tr -d ' ') failed=0
declare -A address
ids=()
for broker in "$@"; do
    address[${broker%%=*}]=${broker#*=}
    ids+=("${broker%%=*}")
done
all=$(IFS=,; echo "${address[*]}")
topics() { timeout 60 "$bin/kafka-topics.sh" --bootstrap-server "$all" "$@"; }
wrong() { echo "$*"; failed=1; }
finish() {
    local id try
    for id in "${ids[@]}"; do topics --delete --if-exists --topic "$name-$id" >/dev/null 2>&1; done
    for try in $(seq 60); do
        topics --list 2>/dev/null | grep -q "^$name-" || break
        sleep 0.5
    done
    ! topics --list 2>/dev/null | grep "^$name-" || wrong "topics that stay: see above"
    rm -rf "$work"
    exit "$failed"
}
trap finish EXIT

registered=$(timeout 60 "$bin/zookeeper-shell.sh" "$zookeeper" ls /brokers/ids 2>/dev/null | tail -n 1 | tr -d '[] ' | tr ',' '\n' | sort -n | paste -sd,)
expected=$(printf '%s\n' "${ids[@]}" | sort -n | paste -sd,)
[ "$registered" = "$expected" ] || wrong "brokers $registered are registered in ZooKeeper, the inventory has $expected"
controller=$(timeout 60 "$bin/zookeeper-shell.sh" "$zookeeper" get /controller 2>/dev/null | sed -n 's/.*"brokerid":\([0-9]*\).*/\1/p')
[ -n "${address[${controller:-none}]:-}" ] || wrong "the controller is '${controller}', no broker of the inventory"
for id in "${ids[@]}"; do
    timeout 60 "$bin/kafka-broker-api-versions.sh" --bootstrap-server "${address[$id]}" 2>&1 |
        sed -n "/(id: $id /,/^)/p" | tail -n +2 >"$work/api-$id"
    [ -s "$work/api-$id" ] || wrong "broker $id does not tell its APIs at ${address[$id]}"
    cmp -s "$work/api-$id" "$work/api-${ids[0]}" || wrong "broker $id has other APIs than broker ${ids[0]}"
done
behind=$(topics --describe --under-replicated-partitions 2>&1)
[ -z "$behind" ] || wrong "under-replicated: $behind"

# One topic led by each broker: its records do pass through that one.
for index in "${!ids[@]}"; do
    id=${ids[$index]} assignment=$id
    for ((i = 1; i < replicas; i++)); do assignment+=:${ids[$(((index + i) % ${#ids[@]}))]}; done
    topics --create --topic "$name-$id" --replica-assignment "$assignment" >/dev/null 2>"$work/errors" ||
        { wrong "no topic could be made on broker $id: $(<"$work/errors")"; continue; }
    seq -f "record %06.0f of broker $id" 2000 >"$work/sent-$id"
    timeout 60 "$bin/kafka-console-producer.sh" --bootstrap-server "${address[$id]}" --topic "$name-$id" \
        --producer-property acks=all <"$work/sent-$id" >/dev/null 2>"$work/errors" ||
        wrong "broker $id did not take the records: $(tail -n 2 "$work/errors")"
done
for id in "${ids[@]}"; do
    for reader in "${ids[@]}"; do
        [ "$reader" != "$id" ] || [ ${#ids[@]} -eq 1 ] || continue
        timeout 60 "$bin/kafka-console-consumer.sh" --bootstrap-server "${address[$reader]}" --topic "$name-$id" \
            --partition 0 --offset earliest --max-messages 2000 --timeout-ms 30000 >"$work/got" 2>"$work/errors"
        [ "$(sha256sum <"$work/got")" = "$(sha256sum <"$work/sent-$id")" ] ||
            wrong "the records of broker $id are not the same through broker $reader: $(wc -l <"$work/got") of 2000 lines; $(tail -n 1 "$work/errors")"
    done
done

# One group reads a topic in two halves: the second goes on where the first committed.
group=$name first=${ids[0]}
groups() { timeout 60 "$bin/kafka-consumer-groups.sh" --bootstrap-server "$all" --group "$group" "$@"; }
for half in 1 2; do
    timeout 60 "$bin/kafka-console-consumer.sh" --bootstrap-server "$all" --topic "$name-$first" --group "$group" \
        --from-beginning --max-messages 1000 --timeout-ms 30000 2>"$work/errors"
done >"$work/got"
[ "$(sha256sum <"$work/got")" = "$(sha256sum <"$work/sent-$first")" ] ||
    wrong "a group that reads in two halves does not get every record once: $(wc -l <"$work/got") of 2000 lines; $(tail -n 1 "$work/errors")"
described=$(groups --describe 2>&1)
awk -v topic="$name-$first" '$2 == topic && $4 == 2000 && $6 == 0 { ok = 1 } END { exit !ok }' <<<"$described" ||
    wrong "the group's offsets are not described: $described"
groups --delete >"$work/errors" 2>&1 && ! grep -q '^Error' "$work/errors" || wrong "the group is not deleted: $(<"$work/errors")"
