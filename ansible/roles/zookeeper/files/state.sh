#!/bin/bash
# What a host's ZooKeeper is and runs, as one line of JSON; changes nothing. state.sh DATA-DIRECTORY PORT
data=$1 port=$2 restart='' mode=''
pid=$(systemctl show -P MainPID zookeeper-server.service 2>/dev/null)
if [ "${pid:-0}" -gt 0 ] 2>/dev/null; then
    now=$(cat /etc/zookeeper/zoo.cfg /etc/systemd/system/zookeeper-server.service 2>/dev/null | sha256sum)
    [ "$now" = "$(cat /run/zookeeper/started-with 2>/dev/null)" ] || restart=configuration
    mode=$(timeout 2 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$0; printf srvr >&3; cat <&3' "$port" 2>/dev/null | sed -n 's/^Mode: //p')
fi
printf '{"active":"%s","enabled":"%s","restart":"%s","mode":"%s","id":"%s","data":%s,"user":"%s","unit":%s}\n' \
    "$(systemctl is-active zookeeper-server.service 2>/dev/null)" "$(systemctl is-enabled zookeeper-server.service 2>/dev/null)" \
    "$restart" "$mode" "$(cat "$data/myid" 2>/dev/null)" "$([ -d "$data" ] && echo true || echo false)" \
    "$(id -u zookeeper 2>/dev/null)" "$([ -e /etc/systemd/system/zookeeper-server.service ] && echo true || echo false)"
