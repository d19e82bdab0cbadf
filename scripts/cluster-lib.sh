# Starts and stops ZooKeeper and brokers on loopback, for the demo, `make cluster` and the tests. Source it.
#
# A cluster lives in the directory $CLUSTER: its data, its logs and one NAME.pid file per process. Processes are stopped
# by those pids, never by name. Ports: ZooKeeper on $ZK_PORT, broker N on $BASE_PORT + N. With ZK_SERVERS=3 ZooKeeper is
# an ensemble: server N on $ZK_PORT + N - 1, and two ports each among themselves, from $ZK_PORT + 10 on.
# PATIENCE multiplies every time-out, for builds that are slow on purpose; BROKER_FLAGS go to every broker.
: "${CLUSTER:?the directory of the cluster}"
: "${BIN:?the directory of the executables}"
ZK_PORT=${ZK_PORT:-22181}
ZK_SERVERS=${ZK_SERVERS:-1}
BASE_PORT=${BASE_PORT:-29090}
PATIENCE=${PATIENCE:-1}
ZK_CLASSPATH=/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar

# await SECONDS WHAT COMMAND...: runs COMMAND until it succeeds; one clear line and status 1 when it never does.
await() {
    local deadline=$((SECONDS + $1 * PATIENCE)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || { echo "gave up waiting for $what" >&2; return 1; }
        read -rt 0.05 <> <(:) || true
    done
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# spawn NAME COMMAND...: in the background, its output in NAME.log, its pid in NAME.pid.
spawn() {
    local name=$1
    shift
    setsid "$@" >>"$CLUSTER/$name.log" 2>&1 </dev/null &
    echo $! >"$CLUSTER/$name.pid"
}

pid_of() { cat "$CLUSTER/$1.pid" 2>/dev/null; }
is_running() { local pid; pid=$(pid_of "$1") && kill -0 "$pid" 2>/dev/null; }

# end NAME SIGNAL: signals the process and waits until it is gone (KILL after 20 s, said aloud).
end() {
    local pid
    pid=$(pid_of "$1") || return 0
    kill "-$2" "$pid" 2>/dev/null || { rm -f "$CLUSTER/$1.pid"; return 0; }
    await 20 "$1 to end" gone "$pid" || { echo "$1 ignores SIG$2; killing it" >&2; kill -KILL "$pid" 2>/dev/null; }
    wait "$pid" 2>/dev/null
    rm -f "$CLUSTER/$1.pid"
}
# A process whose first thread is a zombie still has its files, and so its port, while another thread is on its way out.
gone() {
    ! kill -0 "$1" 2>/dev/null ||
        { [ "$(ps -o stat= -p "$1" 2>/dev/null | cut -c1)" = Z ] && [ "$(ls "/proc/$1/task" 2>/dev/null | wc -l)" -le 1 ]; }
}

zookeeper_name() { if [ "$1" -eq 1 ]; then echo zookeeper; else echo "zookeeper-$1"; fi; }
zookeeper_port() { echo $((ZK_PORT + $1 - 1)); }
zookeeper_connect() { # for zookeeper.connect
    local list= n
    for n in $(seq "$ZK_SERVERS"); do list+=,127.0.0.1:$(zookeeper_port "$n"); done
    echo "${list#,}"
}
# zookeeper_server_start N: without waiting for it to serve, which in an ensemble takes others.
zookeeper_server_start() {
    local name port n
    name=$(zookeeper_name "$1") port=$(zookeeper_port "$1")
    ! port_open "$port" || { echo "port $port is taken; set ZK_PORT to a free one" >&2; return 1; }
    mkdir -p "$CLUSTER/$name"
    printf '%s\n' tickTime=500 "dataDir=$CLUSTER/$name" "clientPort=$port" clientPortAddress=127.0.0.1 \
        admin.enableServer=false '4lw.commands.whitelist=*' maxClientCnxns=0 >"$CLUSTER/$name.cfg"
    if [ "$ZK_SERVERS" -gt 1 ]; then
        printf '%s\n' initLimit=20 syncLimit=10 >>"$CLUSTER/$name.cfg"
        for n in $(seq "$ZK_SERVERS"); do
            echo "server.$n=127.0.0.1:$((ZK_PORT + 9 + n)):$((ZK_PORT + 19 + n))" >>"$CLUSTER/$name.cfg"
        done
        echo "$1" >"$CLUSTER/$name/myid"
    fi
    spawn "$name" java -Xmx64m -Xms16m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xss256k \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true \
        -cp "$ZK_CLASSPATH" org.apache.zookeeper.server.quorum.QuorumPeerMain "$CLUSTER/$name.cfg"
}
zookeeper_start() {
    local n
    for n in $(seq "$ZK_SERVERS"); do zookeeper_server_start "$n" || return 1; done
    for n in $(seq "$ZK_SERVERS"); do zookeeper_await "$n" || return 1; done
}
zookeeper_await() { # N
    local port
    port=$(zookeeper_port "$1")
    await 30 "ZooKeeper on port $port (see $CLUSTER/$(zookeeper_name "$1").log)" zookeeper_serving "$port"
}
# A probe accepted during start-up hangs, hence the short timeout.
zookeeper_serving() { # PORT
    timeout 0.3 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$0; printf srvr >&3; cat <&3' "$1" 2>/dev/null | grep -q '^Mode:'
}

# broker_start ID [KEY=VALUE...]: writes server-ID.properties and starts the broker on it.
broker_start() {
    local id=$1 port=$((BASE_PORT + $1))
    shift
    ! port_open "$port" || { echo "port $port is taken; set BASE_PORT so that the ports after it are free" >&2; return 1; }
    printf '%s\n' "broker.id=$id" "listeners=PLAINTEXT://127.0.0.1:$port" "zookeeper.connect=$(zookeeper_connect)" \
        "log.dirs=$CLUSTER/data-$id" zookeeper.session.timeout.ms=${SESSION_TIMEOUT_MS:-6000} \
        offsets.topic.replication.factor=3 group.initial.rebalance.delay.ms=0 \
        controlled.shutdown.retry.backoff.ms=300 "$@" >"$CLUSTER/server-$id.properties"
    broker_spawn "$id"
}
# broker_spawn ID: starts the broker on the properties it had.
broker_spawn() {
    local id=$1 port=$((BASE_PORT + $1))
    spawn "broker-$id" ${BROKER_WRAPPER:-} "$BIN/kafka-server-start" "$CLUSTER/server-$id.properties" \
        ${BROKER_FLAGS:-}
    await 30 "broker $id on port $port (see $CLUSTER/broker-$id.log)" broker_up "$id" "$port"
}
broker_up() { port_open "$2" || ! is_running "broker-$1"; }

# sees_brokers ID COUNT: broker ID has heard of COUNT live brokers from the controller.
sees_brokers() {
    [ "$(timeout 10 "$BIN/kafka-broker-api-versions" --bootstrap-server "127.0.0.1:$((BASE_PORT + $1))" 2>/dev/null | grep -c '(id: ')" -eq "$2" ]
}

# knows ID OTHER: broker ID has heard that OTHER is alive.
knows() {
    timeout 10 "$BIN/kafka-broker-api-versions" --bootstrap-server "127.0.0.1:$((BASE_PORT + $1))" 2>/dev/null | grep -q "(id: $2 "
}

# cluster_start [N [KEY=VALUE...]]: ZooKeeper and brokers 1..N (3), each with these settings.
cluster_start() {
    mkdir -p "$CLUSTER"
    zookeeper_start || return 1
    for id in $(seq "${1:-3}"); do
        broker_start "$id" "${@:2}" || return 1
        is_running "broker-$id" || { tail -n 5 "$CLUSTER/broker-$id.log" >&2; return 1; }
        # The first one is the controller before another may become it.
        [ "$id" -ne 1 ] || await 30 "broker 1 to see itself" sees_brokers 1 1 || return 1
    done
    for id in $(seq "${1:-3}"); do
        await 30 "broker $id to see all brokers" sees_brokers "$id" "${1:-3}" || return 1
    done
}

cluster_stop() {
    local file n
    for file in "$CLUSTER"/broker-*.pid; do
        [ -e "$file" ] || continue
        kill -TERM "$(cat "$file")" 2>/dev/null
    done
    for file in "$CLUSTER"/broker-*.pid; do
        [ -e "$file" ] && end "$(basename "$file" .pid)" TERM
    done
    for n in $(seq "$ZK_SERVERS"); do end "$(zookeeper_name "$n")" TERM; done
}

bootstrap() { # N: addresses of brokers 1..N (3)
    local list=
    for id in $(seq "${1:-3}"); do list+=,127.0.0.1:$((BASE_PORT + id)); done
    echo "${list#,}"
}
