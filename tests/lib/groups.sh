# What tests of consumer groups share: members that keep notes, and the comparison of these. Source after integration.sh,
# with $servers set.
member=$BUILD/tests/group_member
build_programs "$member" || exit 1
PARTITIONS=6

topics() { "$BIN/kafka-topics" --bootstrap-server "$servers" "$@"; }
create() { topics --create --topic "$1" --partitions "${2:-$PARTITIONS}" --replication-factor 3; }
# write TOPIC FIRST LAST: numbers, one record each, on all partitions (librdkafka else stays with one for some time).
write() {
    seq "$2" "$3" | kcat -b "$servers" -P -t "$1" -X acks=all -X topic.partitioner=random -X sticky.partitioning.linger.ms=0
}
ends() { "$BIN/kafka-get-offsets" --bootstrap-server "$servers" --topic "$1" | sed 's/^[^:]*://' | paste -sd,; }

# start GROUP TOPIC NUMBER [KEY=VALUE...]: a member, its notes in TOPIC-NUMBER.notes
start() {
    local group=$1 topic=$2 number=$3
    shift 3
    spawn "$topic-$number" "$member" join "$servers" "$group" "$topic" "$CLUSTER/$topic-$number.notes" "$@"
}
leave() { end "$1-$2" TERM; }
# How many records of the topic its members have read; how often NUMBER was given partitions.
read_count() { cat "$CLUSTER/$1"-*.notes 2>/dev/null | awk '$1 == "read" { seen[$2 ":" $3] } END { print length(seen) }'; }
has_read() { [ "$(read_count "$1")" -ge "$2" ]; }
assignments() { grep -c '^assigned' "$CLUSTER/$1-$2.notes" 2>/dev/null || true; }
is_assigned() { [ "$(assignments "$1" "$2")" -gt 0 ]; }
agrees() { "$member" compare "$(ends "$1")" "$CLUSTER/$1"-*.notes; }

# The broker that coordinates a group, from the partition of its Java hash.
partition_of() {
    /usr/bin/python3 -c 'import sys
h = 0
for c in sys.argv[1]: h = (31 * h + ord(c)) & 0xffffffff
h = h - (1 << 32) if h & 0x80000000 else h
print(abs(h) % 50)' "$1"
}
coordinator() {
    topics --describe --topic __consumer_offsets | awk -v p="$(partition_of "$1")" '$3 == "Partition:" && $4 == p { print $6 }'
}

# restart ID SIGNAL: ends a broker and starts it again.
restart() { end "broker-$1" "$2"; broker_start "$1" && await 30 "broker $1 to see the others" sees_brokers "$1" 3; }
in_sync() { ! topics --describe --under-replicated-partitions | grep -q .; }
