#!/bin/bash
# collect.sh TAR ZOOKEEPER: one archive with what helps to see why: the broker's log, its unit's journal, settings without
# their secrets, the cluster as this broker describes it. What cannot be had is left out, and named in errors.
tar=$1 zookeeper=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
bin=/usr/local/kafka/bin
{
    tail -n 20000 /var/log/kafka/server.log >server.log
    journalctl --no-pager --lines=20000 --unit=kafka-server.service --unit=zookeeper-server.service >journal
    systemctl --no-pager --full status kafka-server.service zookeeper-server.service >status
    for file in /etc/kafka/server.properties /etc/kafka/environment /etc/zookeeper/zoo.cfg; do
        [ ! -r "$file" ] || sed -E 's/^([^=]*(password|secret|jaas|credential)[^=]*=).*/\1[hidden]/I' "$file" >"${file##*/}"
    done
    if [ -x "$bin/kafka-topics.sh" ]; then
        timeout 30 "$bin/kafka-topics.sh" --bootstrap-server "$(hostname):9092" --describe >topics
        timeout 30 "$bin/zookeeper-shell.sh" "$zookeeper" ls /brokers/ids >brokers
    fi
    for word in srvr mntr; do
        timeout 2 bash -c "exec 3<>/dev/tcp/127.0.0.1/2181; printf $word >&3; cat <&3" >"zookeeper-$word"
    done
    df -h >disks
} 2>errors
find . -type f -empty -delete
tar -czf "$tar" .
