#!/bin/bash
# What a host is and runs, as one line of JSON; changes nothing. state.sh DATA-DIRECTORY...
value() { sed -n "s/^$2=//p" "$1" 2>/dev/null | tail -n 1; }
link=$(readlink -f /usr/local/kafka 2>/dev/null)
installed=$(value "$link/release" release)
running='' reasons='' uptime=0
active=$(systemctl is-active kafka-server.service 2>/dev/null)
pid=$(systemctl show -P MainPID kafka-server.service 2>/dev/null)
if [ "${pid:-0}" -gt 0 ] 2>/dev/null; then
    program=$(readlink "/proc/$pid/exe")
    running=$(value "${program%/bin/*}/release" release)
    uptime=$(ps -o etimes= -p "$pid" | tr -d ' ')
    [ "$program" = "$link/bin/kafka-server-start" ] || reasons+=",version"
    [ "$("$link/systemd/fingerprint" 2>/dev/null)" = "$(cat /run/kafka/started-with 2>/dev/null)" ] || reasons+=",configuration"
    [ ! -e /run/kafka/restart-asked ] || reasons+=",asked"
fi
missing='' ids='' free='' cluster=''
for directory in "$@"; do
    if [ -d "$directory" ]; then
        id=$(value "$directory/meta.properties" broker.id)
        [ -z "$id" ] || ids+=",$id" cluster=$(value "$directory/meta.properties" cluster.id)
        free=$(df --output=pcent "$directory" | tail -n 1 | tr -dc 0-9)
    else
        missing+=",\"$directory\""
    fi
done
releases=$(for directory in /usr/local/ottla-*; do
    [ ! -e "$directory/release" ] || printf ',"%s"' "$(value "$directory/release" release)"
done)
container=false
systemd-detect-virt --quiet --container && container=true
system=$(. /etc/os-release && echo "$ID $VERSION_ID")
printf '{"system":"%s","installed":"%s","running":"%s","active":"%s","enabled":"%s","restart":"%s","uptime":%d,' \
    "$system" "$installed" "$running" "${active:-unknown}" "$(systemctl is-enabled kafka-server.service 2>/dev/null)" \
    "${reasons#,}" "${uptime:-0}"
printf '"ids":"%s","missing_dirs":[%s],"releases":[%s],"container":%s,"used_percent":"%s","user":"%s","unit":%s,' \
    "${ids#,}" "${missing#,}" "${releases#,}" "$container" "$free" "$(id -u kafka 2>/dev/null)" \
    "$([ -e /etc/systemd/system/kafka-server.service ] && echo true || echo false)"
printf '"upgrade_from":"%s","upgrade_to":"%s","pinned_protocol":"%s","protocol":"%s","move":"%s","clock":%s,"python":"%s","cluster":"%s"}\n' \
    "$(value /etc/kafka/upgrade from)" "$(value /etc/kafka/upgrade to)" "$(value /etc/kafka/upgrade protocol)" \
    "$(value /etc/kafka/server.properties inter.broker.protocol.version)" "$(value /etc/kafka/move to)" "$(date +%s)" \
    "$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" "$cluster"
