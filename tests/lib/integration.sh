# What integration tests share: a fresh cluster directory, sentences that pass or fail, the sum at the end. Source it.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$root/$BUILD ;; esac
BIN=${BIN:-$BUILD/bin}
WITNESS=$BUILD/tests/witness
CLUSTER=$(mktemp -d /tmp/ottla-test.XXXXXX)
. "$root/scripts/cluster-lib.sh"
PASSED=0 FAILED=0

# build_programs TARGET...: what a test runs beside the broker, built as the rest was. Objects and the headers they
# depend on are noted under the name that make is given, which is most likely the short one.
build_programs() {
    make -s -C "$root" "BUILD=${BUILD#"$root/"}" "SANITIZE=${SANITIZE:-}" "OPTIMIZE=${OPTIMIZE:--O2}" "${@/#"$root/"/}"
}

finish() {
    local status=$?
    if [ "$status" -ne 0 ] && [ $((PASSED + FAILED)) -eq 0 ]; then
        FAILED=1
        echo "FAILED  the test ended before it began, with status $status"
    fi
    cluster_stop
    # A sanitizer's report ends the process and stands in its log.
    local reports
    reports=$(grep -lE 'ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:|CHECK\(.*failed' "$CLUSTER"/*.log 2>/dev/null)
    if [ -n "$reports" ]; then
        FAILED=$((FAILED + 1))
        echo "FAILED  no broker trips an assertion or a sanitizer"
        grep -hE -A 20 'ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:|CHECK\(.*failed' $reports | head -60
    fi
    if [ "$FAILED" -eq 0 ]; then rm -rf "$CLUSTER"; else echo "logs are kept in $CLUSTER"; fi
    echo "$PASSED passed, $FAILED failed"
    [ "$FAILED" -eq 0 ]
    exit $?
}
trap finish EXIT

# each_acknowledged FILE PARTITIONS: the witness that writes FILE heard of something in each partition.
each_acknowledged() { [ "$(awk '$1 == "ok" {print $2}' "$1" 2>/dev/null | sort -u | wc -l)" -eq "$2" ]; }

# holds SENTENCE COMMAND...: runs it; output is shown only on failure.
holds() {
    local sentence=$1 output
    shift
    if output=$("$@" 2>&1); then
        PASSED=$((PASSED + 1))
        echo "ok      $sentence"
        [ -z "${VERBOSE:-}" ] || printf '%s\n' "$output"
    else
        FAILED=$((FAILED + 1))
        echo "FAILED  $sentence"
        printf '%s\n' "$output" | head -n 40
    fi
}
