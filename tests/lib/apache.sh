# Apache Kafka 3.9.2 for comparison: fetched by Maven into the build directory, never committed. Source after integration.sh.
APACHE=$BUILD/apache

# Status 1 and one line when it cannot be had.
apache_fetch() {
    local libs=$APACHE/libs log=$APACHE/fetch.log
    [ -e "$libs/.complete" ] && return 0
    command -v mvn >/dev/null || { echo "Apache Kafka cannot be fetched: Maven is missing (scripts/deps.sh apache)" >&2; return 1; }
    mkdir -p "$APACHE"
    cp "$root/tests/apache/pom.xml" "$APACHE/"
    if (cd "$APACHE" && mvn -q -B dependency:copy-dependencies -DoutputDirectory=libs) >"$log" 2>&1; then
        touch "$libs/.complete"
    else
        echo "Apache Kafka cannot be fetched: Maven failed: $(grep -m 1 ERROR "$log" | cut -c1-160)" >&2
        return 1
    fi
}
log4j() { # NAME LEVEL TARGET: a properties file, its -D flag on stdout
    printf '%s\n' "log4j.rootLogger=$2, A" log4j.appender.A=org.apache.log4j.ConsoleAppender \
        "log4j.appender.A.target=$3" log4j.appender.A.follow=true log4j.appender.A.layout=org.apache.log4j.PatternLayout \
        'log4j.appender.A.layout.ConversionPattern=[%d] %p %m (%c)%n' >"$APACHE/log4j-$1.properties"
    echo "-Dlog4j.configuration=file:$APACHE/log4j-$1.properties"
}
declare -A APACHE_CLASS=(
    [topics]=org.apache.kafka.tools.TopicCommand [console-producer]=kafka.tools.ConsoleProducer
    [console-consumer]=org.apache.kafka.tools.consumer.ConsoleConsumer [configs]=kafka.admin.ConfigCommand
    [get-offsets]=org.apache.kafka.tools.GetOffsetShell [dump-log]=kafka.tools.DumpLogSegments
    [delete-records]=org.apache.kafka.tools.DeleteRecordsCommand [log-dirs]=org.apache.kafka.tools.LogDirsCommand
    [reassign-partitions]=org.apache.kafka.tools.reassign.ReassignPartitionsCommand
    [leader-election]=org.apache.kafka.tools.LeaderElectionCommand [cluster]=org.apache.kafka.tools.ClusterTool
    [broker-api-versions]=kafka.admin.BrokerApiVersionsCommand
    [consumer-groups]=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand
    [producer-perf-test]=org.apache.kafka.tools.ProducerPerformance
)
# apache NAME ARGS...: one of Apache's own tools. All of them run in one JVM (tests/apache/java/Tools.java), one at a time, and
# what they say comes when they have ended, standard output first.
apache() {
    local class=${APACHE_CLASS[$1]:?} call=$CLUSTER/apache-call-$BASHPID connection status=1
    shift
    apache_tools_start || return 1
    if [ "$class" = "${APACHE_CLASS[console-producer]}" ]; then cat >"$call.in"; else : >"$call.in"; fi
    if exec {connection}<>"/dev/tcp/127.0.0.1/$(cat "$CLUSTER/apache-tools.port")"; then
        printf '%s\0' "$class" "$call".{in,out,err} $# "$@" >&"$connection"
        read -r status <&"$connection" || status=1
        exec {connection}>&-
        cat "$call.out"
        cat "$call.err" >&2
    fi
    rm -f "$call".{in,out,err}
    return "$status"
}
apache_tools_start() {
    ! is_running apache-tools || return 0
    rm -f "$CLUSTER/apache-tools.port"
    apache_java_build && spawn apache-tools java -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "$(log4j tool WARN System.err)" \
        -cp "$APACHE/classes:$APACHE/libs/*" Tools "$CLUSTER/apache-tools.port" || return 1
    await 30 "Apache's tools (see $CLUSTER/apache-tools.log)" test -e "$CLUSTER/apache-tools.port"
}
apache_tools_stop() {
    local status=$?
    end apache-tools TERM
    return $status
}
! declare -F finish >/dev/null || trap 'apache_tools_stop; finish' EXIT
# apache_java_build: our own programs on Kafka's Java libraries (tests/apache/java), when they have changed.
apache_java_build() {
    [ -z "$(find "$root/tests/apache/java" -name '*.java' -newer "$APACHE/classes/.complete" 2>&1)" ] && return 0
    mkdir -p "$APACHE/classes"
    javac -cp "$APACHE/libs/*" -d "$APACHE/classes" "$root"/tests/apache/java/*.java && touch "$APACHE/classes/.complete"
}
# apache_steps BOOTSTRAP: our program on Kafka's Java clients.
apache_steps() {
    java -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "$(log4j steps ERROR System.err)" -cp "$APACHE/classes:$APACHE/libs/*" Steps "$1"
}
# apache_broker_start ID [KEY=VALUE...]: an Apache broker on the same properties and directories as ours would use.
apache_broker_start() { apache_broker_begin "$@" && apache_broker_await "$1"; }
# In two steps, for several at a time.
apache_broker_begin() {
    local id=$1
    shift
    apache_archive || return 1
    apache_properties "$id" "127.0.0.1:$ZK_PORT" "$@" >"$CLUSTER/server-$id.properties"
    apache_broker_spawn "broker-$id" "$CLUSTER/server-$id.properties" -XX:SharedArchiveFile="$APACHE/broker.jsa"
}
apache_broker_await() {
    await 60 "Apache broker $1 on port $((BASE_PORT + $1)) (see $CLUSTER/broker-$1.log)" broker_up "$1" $((BASE_PORT + $1))
}
apache_properties() { # ID ZOOKEEPER [KEY=VALUE...]
    printf '%s\n' "broker.id=$1" "listeners=PLAINTEXT://127.0.0.1:$((BASE_PORT + $1))" "zookeeper.connect=$2" \
        "log.dirs=$CLUSTER/data-$1" zookeeper.session.timeout.ms=${SESSION_TIMEOUT_MS:-6000} \
        offsets.topic.replication.factor=3 group.initial.rebalance.delay.ms=0 \
        controlled.shutdown.retry.backoff.ms=300 "${@:3}"
}
apache_broker_spawn() { # NAME PROPERTIES [FLAG...]
    spawn "$1" java -Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "${@:3}" "$(log4j broker INFO System.out)" \
        -cp "$APACHE/libs/*" kafka.Kafka "$2"
}
# Half of a broker's start is the loading of classes: once per build they are put into an archive, by a broker that starts
# and stops below a ZooKeeper path of its own.
apache_archive() {
    local properties=$CLUSTER/archive.properties
    [ ! -e "$APACHE/broker.jsa" ] || return 0
    apache_properties 9 "127.0.0.1:$ZK_PORT/archive" "log.dirs=$CLUSTER/archive" >"$properties"
    apache_broker_spawn broker-9 "$properties" -XX:ArchiveClassesAtExit="$APACHE/broker.jsa.new" || return 1
    apache_broker_await 9 && end broker-9 TERM
    "$BIN/zookeeper-shell" "127.0.0.1:$ZK_PORT" deleteall /archive >/dev/null 2>&1
    rm -rf "$CLUSTER/archive"
    mv "$APACHE/broker.jsa.new" "$APACHE/broker.jsa"
}
