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
        "log4j.appender.A.target=$3" log4j.appender.A.layout=org.apache.log4j.PatternLayout \
        'log4j.appender.A.layout.ConversionPattern=[%d] %p %m (%c)%n' >"$APACHE/log4j-$1.properties"
    echo "-Dlog4j.configuration=file:$APACHE/log4j-$1.properties"
}
declare -A APACHE_CLASS=(
    [topics]=org.apache.kafka.tools.TopicCommand [console-producer]=kafka.tools.ConsoleProducer
    [console-consumer]=org.apache.kafka.tools.consumer.ConsoleConsumer [configs]=kafka.admin.ConfigCommand
    [get-offsets]=org.apache.kafka.tools.GetOffsetShell [dump-log]=kafka.tools.DumpLogSegments
    [delete-records]=org.apache.kafka.tools.DeleteRecordsCommand [log-dirs]=org.apache.kafka.tools.LogDirsCommand
    [leader-election]=org.apache.kafka.tools.LeaderElectionCommand [cluster]=org.apache.kafka.tools.ClusterTool
    [broker-api-versions]=kafka.admin.BrokerApiVersionsCommand
    [producer-perf-test]=org.apache.kafka.tools.ProducerPerformance
)
# apache NAME ARGS...: one of Apache's own tools.
apache() {
    local class=${APACHE_CLASS[$1]:?}
    shift
    java -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "$(log4j tool WARN System.err)" -cp "$APACHE/libs/*" "$class" "$@"
}
# apache_steps_build, apache_steps BOOTSTRAP: our own program on Kafka's Java clients (tests/apache/java).
apache_steps_build() {
    mkdir -p "$APACHE/classes"
    javac -cp "$APACHE/libs/*" -d "$APACHE/classes" "$root"/tests/apache/java/*.java
}
apache_steps() {
    java -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "$(log4j steps ERROR System.err)" -cp "$APACHE/classes:$APACHE/libs/*" Steps "$1"
}
# apache_broker_start ID [KEY=VALUE...]: an Apache broker on the same properties and directories as ours would use.
apache_broker_start() {
    local id=$1 port=$((BASE_PORT + $1))
    shift
    printf '%s\n' "broker.id=$id" "listeners=PLAINTEXT://127.0.0.1:$port" "zookeeper.connect=127.0.0.1:$ZK_PORT" \
        "log.dirs=$CLUSTER/data-$id" zookeeper.session.timeout.ms=${SESSION_TIMEOUT_MS:-6000} \
        offsets.topic.replication.factor=3 group.initial.rebalance.delay.ms=0 \
        controlled.shutdown.retry.backoff.ms=300 "$@" >"$CLUSTER/server-$id.properties"
    spawn "broker-$id" java -Xms256m -Xmx512m -XX:+UseSerialGC "$(log4j broker INFO System.out)" -cp "$APACHE/libs/*" \
        kafka.Kafka "$CLUSTER/server-$id.properties"
    await 60 "Apache broker $id on port $port (see $CLUSTER/broker-$id.log)" broker_up "$id" "$port"
}
