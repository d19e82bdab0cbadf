#!/bin/bash
# report.sh BOOTSTRAP: "ID LEADERS UNDER-REPLICATED" for every broker that holds a replica.
timeout 60 /usr/local/kafka/bin/kafka-topics.sh --bootstrap-server "$1" --describe 2>/dev/null | awk -F'\t' '
    /Leader: / {
        leader = replicas = in_sync = ""
        for (i = 1; i <= NF; i++) {
            if ($i ~ /^ *Leader: /) { leader = $i; sub(/.*: */, "", leader) }
            if ($i ~ /^ *Replicas: /) { replicas = $i; sub(/.*: */, "", replicas) }
            if ($i ~ /^ *Isr: /) { in_sync = $i; sub(/.*: */, "", in_sync) }
        }
        leads[leader]++
        n = split(replicas, ids, ",")
        for (i = 1; i <= n; i++) { held[ids[i]]++; if (index("," in_sync ",", "," ids[i] ",") == 0) behind[ids[i]]++ }
    }
    END { for (id in held) print id, leads[id] + 0, behind[id] + 0 }'
