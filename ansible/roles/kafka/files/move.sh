#!/bin/bash
# move.sh BOOTSTRAP THROTTLE TIMEOUT ID,ID...: spreads all partitions over the brokers named, no faster than THROTTLE bytes a
# second, and waits until they have moved, which also takes the throttle away.
set -euo pipefail
bootstrap=$1 throttle=$2 timeout=$3 ids=$4
bin=/usr/local/kafka/bin work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
reassign() { "$bin/kafka-reassign-partitions.sh" --bootstrap-server "$bootstrap" "$@"; }
"$bin/kafka-topics.sh" --bootstrap-server "$bootstrap" --list | awk '
    { list = list (NR > 1 ? "," : "") "{\"topic\":\"" $0 "\"}" }
    END { print "{\"version\":1,\"topics\":[" list "]}" }' >"$work/topics.json"
reassign --generate --topics-to-move-json-file "$work/topics.json" --broker-list "$ids" |
    sed -n '/^Proposed partition reassignment configuration/,$p' | sed 1d >"$work/plan.json"
cat "$work/plan.json"
reassign --execute --reassignment-json-file "$work/plan.json" --throttle "$throttle"
deadline=$((SECONDS + timeout))
while reassign --verify --reassignment-json-file "$work/plan.json" >"$work/state" && grep -q 'still in progress' "$work/state"; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "partitions still move after $timeout s; run the play again to go on waiting"; exit 1; }
    sleep 2
done
! grep -iE 'failed|error' "$work/state"
