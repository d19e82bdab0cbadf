#!/usr/bin/env bash
# Each of the forty rules a Kafka broker in ZooKeeper mode easily gets wrong has a test that names it, and tests/rules.md
# names that test. Says what is missing.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.."
status=0
say() {
    echo "check-rules: $*"
    status=1
}
for rule in $(seq 1 40); do
    row=$(grep -E "^\| $rule \|" tests/rules.md) || { say "tests/rules.md has no row for rule $rule"; continue; }
    name=$(grep -oE "rule_${rule}_[a-z0-9_]+" <<<"$row" | head -n 1)
    [ -n "$name" ] || { say "the row of rule $rule names no test of it"; continue; }
    file=$(grep -rlE "START_TEST\($name\)" tests/unit | head -n 1)
    [ -n "$file" ] || { say "rule $rule: there is no test $name"; continue; }
    grep -q "TEST($name)," "$file" || say "rule $rule: $file does not run $name"
done
exit $status
