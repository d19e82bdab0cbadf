#!/bin/bash
# move.sh BOOTSTRAP THROTTLE TIMEOUT ID,ID... [LEAVING]: spreads all partitions over the brokers named, no faster than
# THROTTLE bytes a second, and waits until they have moved, which also takes the throttle away. "nothing to move": LEAVING
# holds no replica; or, where nobody leaves, every broker holds at least half of its share already.
# The plan stays in /etc/kafka/move until it is carried out: whatever interrupts this, the next run goes on with it.
set -euo pipefail
export LC_ALL=C
bootstrap=$1 throttle=$2 timeout=$3 ids=$4 leaving=${5:-} brokers=$(tr ',' '\n' <<<"$4" | grep -c .)
bin=/usr/local/kafka/bin kept=/etc/kafka/move work=$(mktemp -d) deadline=$((SECONDS + timeout))
trap 'rm -rf "$work"' EXIT
reassign() { timeout 300 "$bin/kafka-reassign-partitions.sh" --bootstrap-server "$bootstrap" "$@"; }
topics() { timeout 60 "$bin/kafka-topics.sh" --bootstrap-server "$bootstrap" "$@"; }
fail() { echo "$*"; exit 1; }

# held: "ID REPLICAS" of every broker that holds some, "most N NAME" of the topic with the most replicas.
held() {
    topics --describe | awk -F'\t' '
        /Leader: / { for (i = 1; i <= NF; i++) {
            if ($i ~ /Topic: /) { topic = $i; sub(/.*: */, "", topic) }
            if ($i !~ /^ *Replicas: /) continue
            sub(/.*: */, "", $i)
            n = split($i, at, ",")
            for (j = 1; j <= n; j++) count[at[j]]++
            if (n > most) { most = n; name = topic }
        } }
        END { for (id in count) print id, count[id]; if (most) print "most", most, name }'
}
is_needed() { # by what held printed
    awk -v ids="$ids" -v leaving="$leaving" '
        $1 != "most" { count[$1] = $2; all += $2 }
        END {
            if (leaving != "") exit !(count[leaving] > 0)
            n = split(ids, at, ",")
            for (i = 1; i <= n; i++) if (count[at[i]] < int(all / n / 2)) exit 0
            exit 1
        }' "$work/held"
}

# The plan, without topics that were deleted since it was made; status 1 when nothing of it is left.
load_plan() {
    if topics --list >"$work/listed"; then
        mv "$work/listed" "$work/topics"
    else
        [ -e "$work/topics" ] || fail "no broker could say which topics there are"
    fi
    tail -n +2 "$kept" | python3 -c '
import json, sys
there = set(open(sys.argv[1]).read().split())
plan = json.load(sys.stdin)
plan["partitions"] = [item for item in plan["partitions"] if item["topic"] in there]
json.dump(plan, sys.stdout)
sys.exit(not plan["partitions"])' "$work/topics" >"$work/plan.json"
}
# While a partition moves it has more replicas than it is to keep: nothing may move when a plan is made.
make_plan() {
    while ! reassign --list >"$work/answer" 2>&1 || ! grep -q '^No partition reassignments found' "$work/answer"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "other partitions still move after $timeout s: $(sed -n 2p "$work/answer") Run the same play again once they have"
        sleep 2
    done
    held >"$work/held"
    awk -v brokers="$brokers" '
        $1 == "most" && $2 > brokers {
            print "topic " $3 " has " $2 " replicas, for which " brokers " brokers are too few: nothing was moved"
            bad = 1
        }
        END { exit bad }' "$work/held" || exit 1
    topics --list | awk '
        { list = list (NR > 1 ? "," : "") "{\"topic\":\"" $0 "\"}" }
        END { print "{\"version\":1,\"topics\":[" list "]}" }' >"$work/topics.json"
    reassign --generate --topics-to-move-json-file "$work/topics.json" --broker-list "$ids" >"$work/answer" 2>&1 ||
        fail "no plan could be made: $(tail -n 1 "$work/answer")"
    { echo "to=$ids"; sed '1,/^Proposed partition reassignment configuration/d' "$work/answer"; } >"$kept.new"
    sync "$kept.new"
    mv "$kept.new" "$kept"
}
carry_out() {
    local odd=0
    load_plan || { rm "$kept"; return 0; }
    # What is under way already is asked for again; that changes nothing but the throttle.
    reassign --execute --additional --reassignment-json-file "$work/plan.json" --throttle "$throttle" >"$work/answer" 2>&1 ||
        fail "partitions cannot be moved: $(tail -n 1 "$work/answer")"
    while :; do
        if reassign --verify --reassignment-json-file "$work/plan.json" >"$work/state" 2>&1 && ! grep -q 'still in progress' "$work/state"; then
            grep -q 'There is no active reassignment' "$work/state" || break
            # The broker that was asked does not know of it yet, its topic was deleted just now, or somebody else has moved it.
            odd=$((odd + 1))
            [ "$odd" -lt 15 ] || fail "$(grep -m 1 'There is no active reassignment' "$work/state") Run the same play again to move it"
        fi
        [ "$SECONDS" -lt "$deadline" ] ||
            fail "$(grep -c 'still in progress' "$work/state" || true) partitions still move after $timeout s, and go on. Run the same play again to wait for them"
        sleep 2
        load_plan || break
    done
    rm "$kept"
}

exec 9>/run/ottla-move.lock
flock -w "$timeout" 9 || fail "an earlier run still waits for partitions to move"
held >"$work/held"
if [ ! -s "$kept" ] && ! is_needed; then
    echo "nothing to move"
    exit 0
fi
if [ "$(sed -n '1s/^to=//p' "$kept" 2>/dev/null)" = "$ids" ]; then
    echo "going on with the plan in $kept"
    carry_out
fi
# What was created meanwhile may lie where the plan did not look.
for _ in 1 2 3; do
    [ -s "$kept" ] || { held >"$work/held"; is_needed || exit 0; }
    make_plan
    carry_out
done
held >"$work/held"
[ -z "$leaving" ] || ! is_needed || fail "topics that were created meanwhile have replicas on broker $leaving. Run the same play again to move them"
