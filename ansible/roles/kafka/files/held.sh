#!/bin/bash
# held.sh BOOTSTRAP ID: how many replicas broker ID holds; status 1 when nobody can say.
set -o pipefail
timeout 60 /usr/local/kafka/bin/kafka-topics.sh --bootstrap-server "$1" --describe | awk -F'\t' -v id="$2" '
    { for (i = 1; i <= NF; i++) if ($i ~ /^ *Replicas: /) { sub(/.*: */, "", $i); if (index("," $i ",", "," id ",")) n++ } }
    END { print n + 0 }'
