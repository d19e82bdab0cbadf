#!/usr/bin/env bash
# Who may include what. Prints every line that breaks a rule; silence and status 0 when none does.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bad=0
# deny WHAT FILES... -- PATTERN: no #include in FILES may match PATTERN.
deny() {
    local what=$1 files=() found
    shift
    while [ "$1" != -- ]; do files+=("$1"); shift; done
    [ ${#files[@]} -gt 0 ] || return 0
    found=$(grep -nE "^ *# *include +[<\"]($2)" "${files[@]}" /dev/null) || return 0
    printf '%s\n' "$found" | sed "s|\$|   <- $what|"
    bad=1
}
list() { find "$@" -name '*.[ch]' 2>/dev/null; }
pure_replication=$(list replication | grep -vE '_runtime|replica_manager|alter_partition_manager|controller_channel|controller_wave')

deny "base includes nothing of ours but base" $(list broker/base) -- '(broker/[a-z_]+\.h|broker/(protocol|network|log|metadata|request)|replication|coordinator-client|generated|tools)'
deny "protocol stands on base" $(list broker/protocol) -- '(broker/[a-z_]+\.h|broker/(network|log|metadata|request)|replication|coordinator-client|tools)'
deny "coordinator-client stands on base" $(list coordinator-client) -- '(broker/[a-z_]+\.h|broker/(protocol|network|log|metadata|request)|replication|generated|tools)'
deny "log stands on base and protocol" $(list broker/log) -- '(broker/[a-z_]+\.h|broker/(network|metadata|request)|replication|coordinator-client|tools)'
deny "network stands on base, protocol and the disk seam" $(list broker/network) -- '(broker/[a-z_]+\.h|broker/(metadata|request)|broker/log/[^d]|replication|coordinator-client|tools)'
deny "metadata stands on base and protocol" $(list broker/metadata) -- '(broker/[a-z_]+\.h|broker/(network|log|request)|replication|coordinator-client|tools)'
deny "replication does not know requests or settings" $(list replication) -- '(broker/[a-z_]+\.h|broker/request|broker/network/[^t]|tools)'
[ -z "$pure_replication" ] || deny "a pure core has no seams" $pure_replication -- '(broker/base/clock|broker/network|coordinator-client/coord|broker/log/log_manager|ev\.h|pthread)'
deny "groups do not know requests or settings" $(list broker/group) -- '(broker/[a-z_]+\.h|broker/(request|network)|coordinator-client|tools)'
deny "a pure core has no seams" $(list broker/group | grep -v _runtime) -- '(broker/base/clock|broker/(log|metadata)|replication|ev\.h|pthread)'
deny "tools are clients" $(list tools) -- '(broker/(request|metadata)|broker/broker\.h|replication)'
deny "only network includes ev.h" $(list broker replication coordinator-client tools | grep -v '^broker/network/') -- 'ev\.h'
deny "only network/http includes microhttpd.h" $(list broker replication coordinator-client tools | grep -v '^broker/network/http') -- 'microhttpd'
deny "only coord_zookeeper includes zookeeper.h" $(list broker replication coordinator-client tools | grep -v coordinator-client/coord_zookeeper) -- 'zookeeper'
deny "only network opens sockets" $(list broker replication coordinator-client | grep -vE '^broker/network/|^broker/main.c|^broker/notify') -- 'sys/socket\.h'
# An area that writes lines is a logger, so that its level can be set.
for area in $(grep -rhoE '(#define [A-Z_]*AREA|trace_(debug|info|warn|error|fatal)\() *"[^"]+"' broker replication coordinator-client | sed 's/.*"\(.*\)"/\1/' | sort -u); do
    grep -qF "X(\"$area\")" broker/base/loggers.tbl.h || { echo "the area $area is not in broker/base/loggers.tbl.h"; bad=1; }
done
exit $bad
