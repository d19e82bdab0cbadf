#!/bin/bash
# gate.sh TIMEOUT HOST:PORT...: waits until every server serves, one of them leads, and all the others follow it in sync.
# Says what is missing and exits 1 after TIMEOUT seconds.
timeout=$1
shift
ask() { timeout 2 bash -c 'exec 3<>/dev/tcp/$0/$1; printf "$2" >&3; cat <&3' "${1%:*}" "${1#*:}" "$2" 2>/dev/null; }
shut() {
    local server mode leader='' synced
    for server in "$@"; do
        mode=$(ask "$server" srvr | sed -n 's/^Mode: //p')
        case $mode in
        leader) leader=$server ;;
        follower | standalone) ;;
        *) echo "$server does not serve"; return ;;
        esac
    done
    [ $# -gt 1 ] || return
    [ -n "$leader" ] || { echo "nobody leads"; return; }
    synced=$(ask "$leader" mntr | sed -n 's/^zk_synced_followers[[:space:]]*//p')
    [ "${synced%.*}" = $(($# - 1)) ] || echo "${synced:-none} of $(($# - 1)) followers are in sync with $leader"
}
deadline=$((SECONDS + timeout))
while reason=$(shut "$@") && [ -n "$reason" ]; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "ZooKeeper is not whole after $timeout s: $reason"; exit 1; }
    sleep 0.5
done
