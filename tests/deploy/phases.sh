# What the deployment test does and expects, phase by phase. Source it after cluster.sh and tests/lib/integration.sh.
K1=peter-kafka01 K2=peter-kafka02 K3=peter-kafka03
BROKERS="$K1 $K2 $K3"
SERVERS=peter-kafka01.foo.bar:9092,peter-kafka02.foo.bar:9092,peter-kafka03.foo.bar:9092
kafka() { # TOOL ARGUMENT...: on the first broker's host
    local tool=$1
    shift
    bed_on $K1 "/usr/local/kafka/bin/$tool.sh --bootstrap-server $SERVERS $*"
}
said() { grep -qF -- "$1" "$LAST" || { echo "not said: $1"; tail -n 30 "$LAST"; return 1; }; }
unsaid() { ! grep -F -- "$1" "$LAST"; }
played() { play "$@" || { tail -n 40 "$LAST"; return 1; }; }
refused() { # SENTENCE ARGUMENT...: the play stops with that line, and before the first change
    local sentence=$1
    shift
    ! play "$@" && said "$sentence" && ! grep '^changed:' "$LAST"
}
unchanged() { # HOSTS: the recap has that many hosts, and nothing was changed on any
    [ "$(grep -c ' changed=0 .* unreachable=0 .* failed=0 ' "$LAST")" -eq "$1" ] && [ "$(grep -c ' changed=' "$LAST")" -eq "$1" ] ||
        { grep -E '^changed|changed=' "$LAST"; return 1; }
}
pid_of_broker() { bed_on "$1" systemctl show -P MainPID kafka-server.service; }
pids() { local host; for host in "$@"; do echo "$host $(pid_of_broker "$host")"; done; }
started_at() { bed_on "$1" systemctl show -P ActiveEnterTimestampMonotonic kafka-server.service; }
# The turns of a play: hosts in the order in which they were restarted.
turns() { sed -nE '/TASK .*Stop the broker\]/,/^$/s/^changed: \[([a-z0-9-]+).*/\1/p' "$LAST" | paste -sd' '; }
controller() { bed_on $K1 "/usr/local/kafka/bin/zookeeper-shell.sh peter-zk01.foo.bar:2181 get /controller" | sed -n 's/.*"brokerid":\([0-9]*\).*/peter-kafka0\1/p'; }
each_once_controller_last() { # CONTROLLER: as it was before
    local order
    order=$(turns)
    [ "$(tr ' ' '\n' <<<"$order" | sort | paste -sd' ')" = "$BROKERS" ] && [ "${order##* }" = "$1" ] || { echo "turns: $order, controller $1"; return 1; }
    never_two_down
}
# In the latest restarts of all brokers: one clock serves all hosts, and nobody stopped before the one before was active.
never_two_down() {
    local host property
    for host in $BROKERS; do
        for property in InactiveEnterTimestampMonotonic ActiveEnterTimestampMonotonic NRestarts; do
            bed_on "$host" "systemctl show -P $property kafka-server.service"
        done | paste -sd' '
    done | sort -n | awk '{ print } $3 != 0 || $1 == 0 || $1 < up { bad = 1 } { up = $2 } END { exit bad || NR != 3 }'
}
preferred_lead() { # every partition is led by the first of its replicas
    kafka kafka-topics --describe | awk -F'\t' '/Leader: / {
        for (i = 1; i <= NF; i++) { if ($i ~ /^ *Leader: /) { leader = $i; sub(/.*: */, "", leader) } if ($i ~ /^ *Replicas: /) { first = $i; sub(/.*: */, "", first); sub(/,.*/, "", first) } }
        n++; if (leader != first) { print; bad = 1 } } END { exit bad || !n }'
}

# --- records, written all the while ------------------------------------------------------------------------------------
written() { # TOPIC: begins to write it
    kafka kafka-topics --create --topic "$1" --partitions 3 --replication-factor 3 || return 1
    rm -f "$CLUSTER/$1".*
    ip netns exec "$BED_CONTROL" "$WITNESS" produce "$SERVERS" "$1" 3 300 "$CLUSTER/$1.sent" >/dev/null 2>"$CLUSTER/$1.errors" </dev/null &
    echo $! >"$CLUSTER/$1.pid"
    await 30 "records in $1" test -s "$CLUSTER/$1.sent"
}
kept() { # TOPIC: ends writing; every acknowledged record is there, once and in order, and no error was final
    end "$1" TERM
    bed_control "$WITNESS" consume "$SERVERS" "$1" 3 "$CLUSTER/$1.read" && "$WITNESS" compare "$CLUSTER/$1.sent" "$CLUSTER/$1.read" || return 1
    ! grep '^fail' "$CLUSTER/$1.sent"
}
bed_control() { ip netns exec "$BED_CONTROL" "$@"; }

# --- phases -------------------------------------------------------------------------------------------------------------
phase_archive() {
    rm -rf "$BUILD/dist"
    holds "make dist gives an archive and its checksum" archive_made
    holds "made again from the same sources, the archive has the same bytes" archive_same
    holds "the role installs every library the archive names" libraries_named
    holds "the default version of the role is the release that make dist makes" version_named
    holds "make deb gives a package with the same programs" package_made
    make -s -C "$root" "BUILD=$BUILD" dist RELEASE=0.1.1 >/dev/null 2>&1
    holds "eight hosts boot and answer over ssh" cluster_hosts_up
    control_prepare
    holds "on a bare host the package installs with what it depends on, and is removed without a trace but its data" package_installed
}
archive_made() { make -s -C "$root" "BUILD=$BUILD" dist && cd "$BUILD/dist" && sha256sum --check ottla-*.tar.gz.sha256; }
archive_same() {
    local before
    before=$(cat "$BUILD"/dist/ottla-0.1.0.tar.gz.sha256) && make -s -C "$root" "BUILD=$BUILD" dist >/dev/null &&
        [ "$before" = "$(cat "$BUILD"/dist/ottla-0.1.0.tar.gz.sha256)" ]
}
libraries_named() { [ -z "$(comm -23 <(sort "$BUILD/dist/ottla-0.1.0/runtime-packages") <("$root/tests/deploy/packages"))" ]; }
version_named() { grep -q "default('$(sed -n 's/^release=//p' "$BUILD/dist/ottla-0.1.0/release")')" "$root/ansible/roles/kafka/defaults/main.yml"; }
package_made() {
    make -s -C "$root" "BUILD=$BUILD" deb || return 1
    rm -rf "$CLUSTER/deb" && dpkg-deb -x "$BUILD"/dist/ottla_0.1.0_*.deb "$CLUSTER/deb" &&
        diff -r --no-dereference "$CLUSTER/deb/opt/ottla/bin" "$BUILD/dist/ottla-0.1.0/bin"
}
package_installed() {
    cp "$BUILD"/dist/ottla_0.1.0_*.deb "$BED/hosts/$FOURTH/root/root/ottla.deb"
    bed_on $FOURTH 'set -e; exec 2>&1; export DEBIAN_FRONTEND=noninteractive
        apt-get -q -y update; apt-get -q -y --no-install-recommends install /root/ottla.deb
        [ "$(/usr/local/kafka/bin/kafka-topics.sh --version)" = "$(sed -n s/^kafka=//p /opt/ottla/release)" ]
        /usr/local/kafka/bin/kafka-server-start.sh /usr/local/kafka/config/server.properties --check-config
        [ "$(stat -c %U:%a /data/kafka-logs)" = kafka:750 ]; systemctl cat kafka-server.service
        apt-get -q -y purge ottla; [ ! -e /usr/local/kafka ]; [ -d /data/kafka-logs ]
        rm -r /data; ! systemctl cat kafka-server.service; rm /root/ottla.deb'
}

phase_inventory() {
    local hosts
    hosts=$(control_root)/root/ottla/ansible
    sed 's/broker_id=3/broker_id=2/' "$hosts/hosts" >"$hosts/hosts-twice"
    sed '/^peter-zk03/d' "$hosts/hosts" >"$hosts/hosts-two"
    sed '/^\[zkhosts/,/^$/d' "$hosts/hosts" >"$hosts/hosts-none"
    holds "the same broker id twice stops the play with one line, before the first change" \
        refused "Broker id 2 is given to 2 hosts of kafkahosts." -i hosts-twice site.yml
    holds "two ZooKeeper servers stop it so" refused "zkhosts has 2 servers: an odd number is needed" -i hosts-two site.yml
    holds "an inventory without zkhosts stops it so" refused "The inventory has no group zkhosts" -i hosts-none site.yml
    holds "min.insync.replicas of all replicas stops it so" refused "no broker could be restarted without refusing records" \
        -i hosts site.yml -e "'{\"kafka_properties\": {\"min.insync.replicas\": 3}}'"
    holds "a data directory that is not one of its own stops it so" refused "name a directory of their own" -i hosts site.yml -e dir_path=/etc
    holds "a wrong type of a variable stops it, before the first change" wrong_type
    holds "--check --diff on bare hosts goes through and changes nothing" rehearsed
    holds "what is switched off on the command line would not be done" switched_off
}
wrong_type() { ! play -i hosts kafka.yml -e kafka_rolling_timeout=soon && said "kafka_rolling_timeout" && ! grep '^changed:.*kafka0' "$LAST"; }
rehearsed() {
    played -i hosts site.yml --check --diff || return 1
    local host
    for host in peter-zk01 $BROKERS; do
        bed_on "$host" 'test ! -e /etc/kafka -a ! -e /etc/zookeeper -a ! -e /usr/local/kafka -a ! -e /data && ! grep -q foo.bar /etc/hosts' || { echo "$host was changed"; return 1; }
    done
}

# After rehearsed, which said that it would do both.
switched_off() {
    said "Register every name in /etc/hosts" && said "Write the kernel's settings" || return 1
    played -i hosts site.yml --check -e kafka_manage_hosts=false -e kafka_manage_sysctl=false &&
        unsaid "Register every name in /etc/hosts" && unsaid "Write the kernel's settings" && said "Write server.properties"
}

phase_install() {
    echo 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef >"$CLUSTER/sum"
    holds "an archive with a wrong checksum is not installed, and nothing of it stays" wrong_checksum
    holds "site.yml makes seven bare hosts a ZooKeeper ensemble and a cluster of three brokers" played -i hosts site.yml
    holds "it prints at most one screen of task names" short_enough
    holds "and ends with one line for each broker" told_at_the_end
    cp "$(control_root)/etc/hosts" "$CLUSTER/names" && mount --bind "$CLUSTER/names" /etc/hosts
    holds "a second run changes nothing on any host" second_run
    holds "nor does --check --diff on the running hosts" check_run
    holds "the units run as users of their own, are enabled, and are sandboxed to 2.0 or less" sandboxed
    holds "no broker has a compiler, Java or a way to the internet" bare_still
    holds "verify.yml sends records through every broker and reads them through every other" played -i hosts verify.yml
    holds "and leaves no topic behind" no_topics
    holds "cp-ansible's gate passes on the healthy cluster" gate_of_others
}
wrong_checksum() {
    ! play -i hosts site.yml -l zkhosts:peter-kafka01.foo.bar -e "kafka_artifact_sha256=$(cat "$CLUSTER/sum")" &&
        said "does not have the checksum" && bed_on $K1 'test ! -e /usr/local/kafka && ! ls /usr/local/ottla-* /var/tmp/ottla-*'
}
short_enough() { [ "$(grep -c '^TASK' "$LAST")" -le 45 ]; }
told_at_the_end() { [ "$(tail -n 3 "$LAST" | grep -cE '^peter-kafka0[123].foo.bar: broker [123], release 0.1.0, [0-9]+ leaders, 0 under-replicated, up [0-9]+ s$')" -eq 3 ]; }
second_run() { played -i hosts site.yml && unchanged 7; }
check_run() { played -i hosts site.yml --check --diff && unchanged 7; }
sandboxed() {
    local pair host unit user
    for pair in $K1:kafka-server:kafka peter-zk01:zookeeper-server:zookeeper; do
        IFS=: read -r host unit user <<<"$pair"
        bed_on "$host" "set -e; systemctl is-enabled $unit
            ps -o user= -p \$(systemctl show -P MainPID $unit) | grep -x $user
            systemd-analyze security --no-pager --threshold=20 $unit.service | tail -n 1
            for property in Restart=on-failure TimeoutStopUSec=10min; do systemctl show $unit.service | grep -x \$property; done
            systemctl show -P After $unit.service | grep -q network-online.target" || return 1
    done
    bed_on $K1 'systemctl show kafka-server.service | grep -xE "Type=notify|LimitNOFILE=1000000" | wc -l | grep -x 2'
}
bare_still() {
    local host
    for host in $BROKERS; do bed_on "$host" '! command -v java gcc cc && [ -z "$(ip route show default)" ]' || return 1; done
}
no_topics() { [ -z "$(kafka kafka-topics --list | grep -v '^__')" ]; }
gate_of_others() {
    local out
    out=$(kafka kafka-topics --describe --under-replicated-partitions 2>"$CLUSTER/gate.errors") && [ -z "$out" ] && ! grep ERROR "$CLUSTER/gate.errors"
}

phase_seed() {
    holds "the seed's topic is created, by the command as it is printed" seed_topic
    holds "its producer shows a prompt, and its consumer what was typed" seed_message
    holds "a data directory that is there keeps its owner, its mode and every file, whatever they are" data_left_alone
}
# A mode that no play would give it, and a file that no play knows of.
data_left_alone() {
    local host
    for host in $K1 peter-zk01; do
        bed_on $host 'chmod 0710 /data/*; for directory in /data/*; do echo mine >"$directory/note"; done'
        bed_on $host "$DATA_FILES" >"$CLUSTER/data-$host"
    done
    grep -q 'peter-overview01-0/.*[.]log' "$CLUSTER/data-$K1" && played -i hosts site.yml && unchanged 7 || return 1
    for host in $K1 peter-zk01; do
        bed_on $host "$DATA_FILES" | diff "$CLUSTER/data-$host" - && bed_on $host 'chmod 0750 /data/*; rm /data/*/note' || return 1
    done
}
# Not those that are renamed into place all the while, and not what is being deleted.
DATA_FILES='find /data -path "*-delete*" -prune -o \( -type d -o -name "*.log" -o -name meta.properties -o -name myid -o -name note \) -printf "%p %i %U:%G %m\n" | sort'
seed_topic() {
    [ "$(bed_on $K1 '/usr/local/kafka/bin/kafka-topics.sh --bootstrap-server peter-kafka01.foo.bar:9092 --create --topic peter-overview01 --partitions 1 --replication-factor 3')" = "Created topic peter-overview01." ]
}
seed_message() {
    bed_on $K1 'timeout 60 /usr/local/kafka/bin//kafka-console-consumer.sh --bootstrap-server peter-kafka01.foo.bar:9092 --topic peter-overview01' >"$CLUSTER/consumer" 2>&1 &
    local consumer=$!
    # The consumer prints nothing yet; it is there once its group has it.
    await 30 "the consumer's group" bed_on $K1 'grep -q "Stabilized group console-consumer" /var/log/kafka/server.log' ||
        await 5 "the consumer's group on another broker" bed_on $K2 'grep -q "Stabilized group console-consumer" /var/log/kafka/server.log' ||
        await 5 "the consumer's group on the third" bed_on $K3 'grep -q "Stabilized group console-consumer" /var/log/kafka/server.log'
    [ ! -s "$CLUSTER/consumer" ] || { echo "the consumer printed before anything was sent"; return 1; }
    rm -f "$CLUSTER/keys"
    mkfifo "$CLUSTER/keys"
    bed_ssh -tt "root@$(cat "$BED/hosts/$K1/address")" '/usr/local/kafka/bin/kafka-console-producer.sh --bootstrap-server peter-kafka01.foo.bar:9092 --topic peter-overview01' \
        <"$CLUSTER/keys" >"$CLUSTER/producer" 2>&1 &
    local producer=$!
    exec 8>"$CLUSTER/keys"
    await 30 "the producer's prompt" grep -q '^>' "$CLUSTER/producer"
    printf 'First message\n' >&8
    await 30 "the message" grep -qx "First message" "$CLUSTER/consumer" && [ "$(wc -l <"$CLUSTER/consumer")" -eq 1 ]
    local status=$?
    printf '\004' >&8
    exec 8>&-
    wait "$producer" || { cat -A "$CLUSTER/producer"; status=1; }
    [ "$(tr -d '\r' <"$CLUSTER/producer")" = $'>First message\n>' ] || { cat -A "$CLUSTER/producer"; status=1; }
    kill "$consumer" 2>/dev/null
    wait "$consumer" 2>/dev/null
    return $status
}

phase_settings() {
    local before last
    holds "records are being written" written steady
    before=$(pids $BROKERS) last=$(controller)
    holds "a changed property restarts every broker once, one at a time, the controller last" property_changed "$before" "$last"
    holds "a property opens every broker's metrics, which tell of a healthy cluster" metrics_told
    before=$(pids $BROKERS)
    holds "a second play beside a running one is refused before it changes anything" one_at_a_time
    holds "a setting that the broker refuses is not installed, and nobody is restarted" setting_refused "$before"
    holds "0 records lost, doubled or out of order, and no error that was final" kept steady
}
property_changed() { # PIDS CONTROLLER
    mkdir -p "$(control_root)/root/ottla/ansible/group_vars"
    printf '%s\n' 'kafka_properties:' '  log.retention.hours: 72' '  ottla.metrics.port: 9404' >"$(control_root)/root/ottla/ansible/group_vars/kafkahosts.yml"
    played -i hosts kafka.yml && each_once_controller_last "$2" && [ "$(pids $BROKERS | sort - <(echo "$1") | uniq -d | wc -l)" -eq 0 ] &&
        played -i hosts kafka.yml && unchanged 7
}
metrics_told() {
    local host controllers=0
    for host in $BROKERS; do
        bed_on "$host" "timeout 10 bash -c 'exec 3<>/dev/tcp/127.0.0.1/9404; printf \"GET /metrics HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n\" >&3; cat <&3'" | tr -d '\r' >"$CLUSTER/metrics" || return 1
        grep -qx 'kafka_server_kafkaserver_brokerstate 3' "$CLUSTER/metrics" && grep -qx 'kafka_server_replicamanager_underreplicatedpartitions 0' "$CLUSTER/metrics" ||
            { echo "$host:"; head -n 40 "$CLUSTER/metrics"; return 1; }
        controllers=$((controllers + $(sed -n 's/^kafka_controller_kafkacontroller_activecontrollercount //p' "$CLUSTER/metrics")))
    done
    [ "$controllers" -eq 1 ] || { echo "$controllers controllers"; return 1; }
}
one_at_a_time() {
    local first status=0
    bed_on $BED_CONTROL "cd ottla/ansible && ansible-playbook -i hosts site.yml" >"$CLUSTER/first-play" 2>&1 </dev/null &
    first=$!
    await 60 "the first play" grep -q 'Register the names' "$CLUSTER/first-play"
    refused "another play of this directory is running" -i hosts kafka.yml || status=1
    wait "$first" || { tail "$CLUSTER/first-play"; status=1; }
    return $status
}
setting_refused() { # PIDS
    ! play -i hosts kafka.yml "-e '{\"kafka_properties\": {\"log.retention.hours\": \"many\"}}'" && said "log.retention.hours" && [ "$(pids $BROKERS)" = "$1" ] &&
        played -i hosts kafka.yml && unchanged 7
}

phase_restart() {
    local before last
    holds "records are being written" written restarted
    before=$(pids $BROKERS) last=$(controller)
    holds "rolling-restart.yml restarts every broker once, the controller last" restarted_once "$before" "$last"
    holds "and afterwards every partition is led by its preferred replica again" preferred_lead
    holds "the gate stays shut while a broker is down: the play stops, says why, collects logs and touches nobody" gate_shut
    holds "cp-ansible's gate fails on the degraded cluster" degraded_for_others
    holds "and so does verify.yml, with the reason" verify_fails
    holds "the next run goes on where that one stopped" resumed
    holds "a broker that does not catch up after its restart keeps the gate shut: the play stops before the next one" gate_shut_after
    holds "once nothing holds it back, the next run restarts the others, and not that one again" gate_open_after
    holds "a broker killed during its turn comes back, and the turn goes on" killed_in_turn
    holds "0 records lost, doubled or out of order, and no error that was final" kept restarted
}
restarted_once() { # PIDS CONTROLLER
    played -i hosts rolling-restart.yml && each_once_controller_last "$2" && [ "$(pids $BROKERS | sort - <(echo "$1") | uniq -d | wc -l)" -eq 0 ]
}
# The last broker in order is stopped by hand, so the first one's gate finds partitions behind.
gate_shut() {
    bed_on $K3 systemctl stop kafka-server.service || return 1
    pids $K1 $K2 >"$CLUSTER/shut"
    ! play -i hosts rolling-restart.yml -e kafka_rolling_timeout=8 && said "2 of 3 brokers are registered" && said "No other broker was touched" || return 1
    [ "$(pids $K1 $K2)" = "$(cat "$CLUSTER/shut")" ] || { echo "brokers were restarted"; return 1; }
    local host
    for host in $BROKERS; do
        tar -tzf "$(control_root)/root/ottla/ansible/collected-logs/$host.foo.bar.tar.gz" | grep -q journal || { echo "no logs of $host"; return 1; }
    done
}
degraded_for_others() {
    local out
    out=$(bed_on $K1 "/usr/local/kafka/bin/kafka-topics.sh --bootstrap-server peter-kafka01.foo.bar:9092 --describe --under-replicated-partitions") && [ -n "$out" ]
}
verify_fails() { ! play -i hosts verify.yml && said "The broker is inactive."; }
resumed() {
    bed_on $K3 systemctl start kafka-server.service && played -i hosts rolling-restart.yml || return 1
    local now
    now=$(pids $K1 $K2)
    [ "$(tr ' ' '\n' <<<"$(turns)" | sort | paste -sd' ')" = "$K1 $K2" ] || { echo "turns: $(turns)"; return 1; }
    [ "$(sort <(echo "$now") "$CLUSTER/shut" | uniq -d | wc -l)" -eq 0 ]
}
# What the broker that comes back fetches is held back to a byte a second: it runs, and its replicas stay behind.
held_back() { # --add-config or --delete-config, and what follows the two names
    local id
    kafka kafka-configs --alter --entity-type topics --entity-name restarted "$1" "'follower.replication.throttled.replicas${2:+=*}'" || return 1
    for id in 1 2 3; do
        kafka kafka-configs --alter --entity-type brokers --entity-name $id "$1" "follower.replication.throttled.rate${2:+=1}" || return 1
    done
}
gate_shut_after() {
    held_back --add-config set || return 1
    pids $BROKERS >"$CLUSTER/shut"
    ! play -i hosts rolling-restart.yml -e kafka_rolling_timeout=30 && said "the gate stayed shut for 30 s: under-replicated: Topic: restarted" && said "No other broker was touched" || return 1
    turns >"$CLUSTER/ahead"
    [ "$(wc -w <"$CLUSTER/ahead")" -eq 1 ] && [ "$(pids $BROKERS | comm -12 - "$CLUSTER/shut" | wc -l)" -eq 2 ] || { echo "turns: $(turns)"; pids $BROKERS; return 1; }
}
gate_open_after() {
    local ahead
    ahead=$(cat "$CLUSTER/ahead")
    held_back --delete-config && pids $ahead >"$CLUSTER/shut" && played -i hosts rolling-restart.yml || return 1
    [ "$(tr ' ' '\n' <<<"$(turns) $ahead" | sort | paste -sd' ')" = "$BROKERS" ] && [ "$(pids $ahead)" = "$(cat "$CLUSTER/shut")" ] || { echo "turns: $(turns) after $ahead"; return 1; }
}
killed_in_turn() {
    local killer
    # A drop-in of the site's own makes this one's stop slow enough to be struck in it; it is also why it gets a turn.
    bed_on $K2 'printf "[Service]\nExecStop=/bin/sleep 5\n" >/etc/systemd/system/kafka-server.service.d/20-slow.conf'
    bed_on $K2 'until [ "$(systemctl show -P ActiveState kafka-server.service)" = deactivating ]; do sleep 0.1; done
        kill -KILL $(systemctl show -P MainPID kafka-server.service)' &
    killer=$!
    played -i hosts kafka.yml || return 1
    wait "$killer" || return 1
    [ "$(turns)" = "$K2" ] || { echo "turns: $(turns)"; return 1; }
    said "$K2.foo.bar was not stopped cleanly" || return 1
    bed_on $K2 rm /etc/systemd/system/kafka-server.service.d/20-slow.conf
    played -i hosts kafka.yml && [ "$(turns)" = "$K2" ] && played -i hosts kafka.yml && unchanged 7
}

phase_upgrade() {
    local last
    holds "records are being written" written upgraded
    holds "site.yml refuses another version than runs, before the first change" refused "upgrade.yml changes it without" -i hosts site.yml -e kafka_version=0.1.1
    holds "rollback.yml refuses where no upgrade is under way" refused "No upgrade is under way here" -i hosts rollback.yml
    last=$(controller)
    holds "upgrade.yml upgrades every broker once, the controller last, with the protocol pinned" upgraded_once "$last"
    holds "rollback.yml goes back to the release before, one broker at a time" rolled_back
    holds "upgraded again" played -i hosts upgrade.yml -e kafka_version=0.1.1 -e kafka_inter_broker_protocol=3.9
    holds "kafka_upgrade_finish=true raises the protocol and ends the upgrade" finished
    holds "from there rollback.yml refuses" refused "No upgrade is under way here" -i hosts rollback.yml
    holds "site.yml with the new version changes nothing" upgraded_steady
    holds "0 records lost, doubled or out of order, and no error that was final" kept upgraded
    echo "kafka_version: 0.1.1" >"$BED/hosts/now.yml"
}
OLD_PROTOCOL="-e kafka_inter_broker_protocol=3.8" NEW="-e kafka_version=0.1.1"
release_everywhere() { # RELEASE
    local host
    for host in $BROKERS; do
        bed_on "$host" "readlink /proc/\$(systemctl show -P MainPID kafka-server.service)/exe" | grep -qx "/usr/local/ottla-$1/bin/kafka-server-start" || { echo "$host runs another release than $1"; return 1; }
    done
}
protocol_everywhere() { # VERSION
    local host
    for host in $BROKERS; do bed_on "$host" grep -x "inter.broker.protocol.version=$1" /etc/kafka/server.properties || return 1; done
}
upgraded_once() { # CONTROLLER
    played -i hosts kafka.yml $OLD_PROTOCOL && protocol_everywhere 3.8 || return 1
    local last
    last=$(controller)
    played -i hosts upgrade.yml $NEW && each_once_controller_last "$last" && release_everywhere 0.1.1 && protocol_everywhere 3.8
}
rolled_back() { played -i hosts rollback.yml && [ "$(turns | wc -w)" -eq 3 ] && release_everywhere 0.1.0 && protocol_everywhere 3.8; }
finished() { played -i hosts upgrade.yml $NEW -e kafka_upgrade_finish=true && [ "$(turns | wc -w)" -eq 3 ] && release_everywhere 0.1.1 && protocol_everywhere 3.9; }
upgraded_steady() { played -i hosts site.yml $NEW && unchanged 7; }

phase_scale() {
    local hosts=$(control_root)/root/ottla/ansible
    NOW=-e\ @/root/now.yml
    echo "kafka_version: $(bed_on $K1 sed -n s/^release=//p /usr/local/kafka/release)" >"$(control_root)/root/now.yml"
    sed "/^$K3/a $FOURTH.foo.bar ansible_host=$FOURTH_ADDRESS broker_id=4" "$hosts/hosts" >"$hosts/hosts-four"
    sed "s/broker_id=4/broker_id=3/; /^$K3/d" "$hosts/hosts-four" >"$hosts/hosts-taken"
    holds "records are being written" written scaled
    BEFORE=$(pids $BROKERS)
    holds "a host whose id another broker has does not get to join, and nothing is changed on any host" id_taken
    holds "a fourth broker joins and begins to take its share of the partitions; that play is killed" fourth_begins
    holds "the same play run again carries the same plan through, and takes its throttle away; the others are not touched" fourth_joins
    holds "it holds replicas, and the preferred replicas lead" fourth_shares
    holds "run once more, it finds nothing to move" fourth_settled
    cp "$(control_root)/etc/hosts" "$CLUSTER/names" # which is /etc/hosts here
    holds "new topics use it at once" fourth_used
    holds "site.yml with four brokers changes nothing" four_steady
    holds "scale-in.yml refuses a broker that nobody named" refused "Name the broker that leaves" -i hosts-four scale-in.yml $NOW
    holds "a move that takes longer than it may stops the play, and goes on" fourth_leaves_slowly
    holds "run again it leaves: its partitions have moved to the others, it is stopped, not enabled, its data kept" fourth_leaves
    holds "the play run again changes nothing" played -i hosts-four scale-in.yml -e kafka_leaving=$FOURTH.foo.bar $NOW
    holds "the three that stay are verified" played -i hosts verify.yml $NOW
    holds "of the three none may leave, for topics have three replicas" refused "for which 2 brokers are too few" -i hosts scale-in.yml -e kafka_leaving=$K3.foo.bar $NOW
    holds "0 records lost, doubled or out of order, and no error that was final" kept scaled
}
id_taken() {
    refused "Broker id 3 is registered by another host" -i hosts-taken kafka-scaleout.yml $NOW && bed_on $FOURTH 'test ! -e /etc/kafka -a ! -e /data/kafka-logs'
}
moving() { kafka kafka-reassign-partitions --list | grep -q 'replicas: .*adding: '; }
throttled() { kafka kafka-configs --describe --entity-type brokers | grep throttled.rate; }
settings_of() { local host; for host in "$@"; do bed_on "$host" sha256sum /etc/kafka/server.properties; done; }
# Enough to move, and slowly enough, that nothing but the play being killed ends it.
fourth_begins() {
    local killed
    kafka kafka-topics --create --topic heavy --partitions 6 --replication-factor 3 &&
        bed_on $K1 "seq -f %0200.0f 100000 | /usr/local/kafka/bin/kafka-console-producer.sh --bootstrap-server $SERVERS --topic heavy" >/dev/null || return 1
    settings_of $BROKERS >"$CLUSTER/settings"
    bed_on $BED_CONTROL "cd ottla/ansible && echo \$\$ >/root/play.pid && exec ansible-playbook -i hosts-four kafka-scaleout.yml -e kafka_move_partitions=true -e kafka_move_throttle=20000 $NOW" >"$CLUSTER/killed-play" 2>&1 </dev/null &
    killed=$!
    await 300 "partitions to move" moving || { tail -n 30 "$CLUSTER/killed-play"; return 1; }
    bed_on $BED_CONTROL 'kill -KILL -- -$(cat /root/play.pid)'
    wait "$killed" && return 1
    # Nobody goes on with it, also not on the broker's host.
    bed_on $FOURTH 'pkill -KILL -f "[m]ove.sh"'
    bed_on $FOURTH 'tail -n +2 /etc/kafka/move >/root/plan.json && test -s /root/plan.json' && moving && throttled || return 1
    ! play -i hosts-four verify.yml $NOW && said "A move of partitions to brokers 1,2,3,4 is unfinished"
}
fourth_joins() {
    moving && played -i hosts-four kafka-scaleout.yml -e kafka_move_partitions=true $NOW && said "$FOURTH.foo.bar: broker 4" || return 1
    [ "$(pids $BROKERS)" = "$BEFORE" ] && settings_of $BROKERS | diff "$CLUSTER/settings" - || { echo "brokers were restarted or changed"; return 1; }
    [ "$(grep -cE 'peter-(kafka0[123]|zk0[123]|ansible01)\.foo\.bar +: ok=[0-9]+ +changed=0 ' "$LAST")" -eq 7 ] || { grep changed= "$LAST"; return 1; }
    bed_on $FOURTH "test ! -e /etc/kafka/move && /usr/local/kafka/bin/kafka-reassign-partitions.sh --bootstrap-server $SERVERS --verify --preserve-throttles --reassignment-json-file /root/plan.json" >"$CLUSTER/moved" &&
        grep -q 'heavy-5 is completed' "$CLUSTER/moved" && ! grep -E 'in progress|no active' "$CLUSTER/moved" && ! throttled
}
fourth_shares() { [ "$(held_by_fourth)" -gt 10 ] && preferred_lead; }
fourth_settled() { played -i hosts-four kafka-scaleout.yml -e kafka_move_partitions=true $NOW && unchanged 8; }
fourth_leaves_slowly() {
    ! play -i hosts-four scale-in.yml -e kafka_leaving=$FOURTH.foo.bar -e kafka_rolling_timeout=20 -e kafka_move_throttle=20000 $NOW &&
        said "Run the same play again to wait for them" && bed_on $FOURTH systemctl is-active kafka-server.service && moving
}
fourth_used() { kafka kafka-topics --create --topic grown --replica-assignment 4:1:2 && kafka kafka-topics --describe --topic grown | grep -q 'Leader: 4'; }
four_steady() { played -i hosts-four site.yml $NOW && unchanged 8; }
held_by_fourth() { kafka kafka-topics --describe | grep -cE 'Replicas: ([0-9,]*,)?4(,|[[:space:]])'; }
fourth_leaves() {
    played -i hosts-four scale-in.yml -e kafka_leaving=$FOURTH.foo.bar $NOW && [ "$(held_by_fourth)" -eq 0 ] &&
        kafka kafka-topics --describe --topic grown | grep -q 'Isr: [0-9],[0-9],[0-9]' && ! throttled &&
        bed_on $FOURTH '! systemctl is-active kafka-server.service && ! systemctl is-enabled kafka-server.service && test -s /data/kafka-logs/meta.properties'
}

phase_faults() {
    NOW=-e\ @/root/now.yml
    echo "kafka_version: $(bed_on $K1 sed -n s/^release=//p /usr/local/kafka/release)" >"$(control_root)/root/now.yml"
    holds "records are being written" written faulted
    holds "with a ZooKeeper follower down the cluster goes on, and site.yml brings it back" follower_down
    holds "a broker that is killed has lost its registration before systemd starts it again" killed_and_gone
    holds "a host that loses power comes back by itself, with its broker" power_lost
    holds "a host that died for good is replaced by an empty one with the same id, and gets every record again" replaced
    holds "a full disk stops the next play before anybody else is touched; with room again the same play goes on" disk_full
    holds "a host that nobody reaches stops the play before anything is changed on the others" unreachable
    holds "a host that dies while another has its turn stops the play, which says why; the next run restarts the others" dies_meanwhile
    holds "collect-logs.yml fetches one archive for each host, without secrets" logs_collected
    holds "0 records lost, doubled or out of order, and no error that was final" kept faulted
}
whole() { [ -z "$(kafka kafka-topics --describe --under-replicated-partitions)" ] && [ "$(bed_on $K1 /usr/local/kafka/bin/zookeeper-shell.sh peter-zk01.foo.bar:2181 ls /brokers/ids | tail -n 1 | tr -cd , | wc -c)" -eq 2 ]; }
follower_down() {
    local host follower=
    for host in peter-zk01 peter-zk02 peter-zk03; do
        bed_on $host "bash -c 'exec 3<>/dev/tcp/127.0.0.1/2181; printf srvr >&3; cat <&3'" | grep -q 'Mode: follower' && follower=$host
    done
    bed_on $follower systemctl stop zookeeper-server.service && played -i hosts verify.yml $NOW && played -i hosts site.yml $NOW &&
        [ "$(bed_on $follower systemctl is-active zookeeper-server.service)" = active ]
}
# The session would live for 18 s; the unit waits 5 s before it starts the broker again.
killed_and_gone() {
    bed_on $K2 'kill -KILL $(systemctl show -P MainPID kafka-server.service)
        until ! /usr/local/kafka/bin/zookeeper-shell.sh peter-zk01.foo.bar:2181 ls /brokers/ids 2>/dev/null | tail -n 1 | grep -q 2; do sleep 0.1; done
        systemctl show -P SubState kafka-server.service | grep -x auto-restart' && await 120 "the cluster to be whole" whole
}
power_lost() {
    bed_power_off $K2 && bed_boot $K2 && bed_await $K2 && await 120 "the cluster to be whole" whole && played -i hosts site.yml $NOW && unchanged 7
}
replaced() {
    local others
    others=$(pids $K1 $K2)
    bed_power_off $K3 && bed_new_machine $K3 "$(awk -v name=$K3 '$1 == name { print $2 }' "$BED/hosts/list")" && bed_await $K3 && control_know_hosts || return 1
    # Nothing of the dead one is there, and its records are on no disk but the others'.
    bed_on $K3 '! ls -d /data /etc/kafka' && played -i hosts site.yml $NOW && [ "$(pids $K1 $K2)" = "$others" ] || return 1
    [ "$(grep -E ' changed=[1-9]' "$LAST" | cut -d. -f1)" = "$K3" ] || { grep changed= "$LAST"; return 1; }
    await 300 "the cluster to be whole" whole && played -i hosts verify.yml $NOW && played -i hosts site.yml $NOW && unchanged 7
}
# The disk of its records is one of its own, small, and something else fills it.
disk_full() {
    local others
    others=$(pids $K1 $K3)
    bed_on $K2 'set -e; systemctl stop kafka-server.service; mv /data/kafka-logs /data/held; install -d -o kafka -g kafka -m 750 /data/kafka-logs
        mount -t tmpfs -o size=$(($(du -sm /data/held | cut -f1) + 64))m,uid=$(id -u kafka),gid=$(id -g kafka),mode=750 tmpfs /data/kafka-logs
        cp -a --sparse=always /data/held/. /data/kafka-logs/; rm -r /data/held; systemctl start kafka-server.service' && await 300 "the cluster to be whole" whole || return 1
    bed_on $K2 '! dd if=/dev/zero of=/data/kafka-logs/filler bs=64k 2>/dev/null'
    await 300 "the broker with the full disk to fall behind" behind &&
        ! play -i hosts rolling-restart.yml $NOW -e kafka_rolling_timeout=8 && said "No other broker was touched" && [ "$(pids $K1 $K3)" = "$others" ] || return 1
    ! play -i hosts verify.yml $NOW || return 1
    bed_on $K2 rm /data/kafka-logs/filler
    played -i hosts site.yml $NOW && await 300 "the cluster to be whole" whole && played -i hosts rolling-restart.yml $NOW
}
behind() { [ -n "$(bed_on $K1 "/usr/local/kafka/bin/kafka-topics.sh --bootstrap-server $SERVERS --describe --under-replicated-partitions")" ]; }
unreachable() {
    local before
    before=$(pids $K1 $K2)
    bed_cut $K3
    ! play -i hosts rolling-restart.yml $NOW -e ansible_ssh_timeout=3 && said UNREACHABLE
    local status=$?
    bed_heal
    [ "$status" -eq 0 ] && [ "$(pids $K1 $K2)" = "$before" ] && await 120 "the cluster to be whole" whole
}
dies_meanwhile() {
    local first playing
    rm -rf "$(control_root)/root/ottla/ansible/collected-logs"
    bed_on $BED_CONTROL "cd ottla/ansible && ansible-playbook -i hosts rolling-restart.yml $NOW -e kafka_rolling_timeout=40" >"$LAST" 2>&1 </dev/null &
    playing=$!
    await 300 "a broker to be stopped" stopped_one && bed_power_off $K3 || return 1
    wait "$playing"
    local status=$?
    cat "$LAST" >>"$BED/hosts/plays.log"
    bed_boot $K3 && bed_await $K3 && await 300 "the cluster to be whole" whole && [ $status -ne 0 ] || return 1
    first=$(turns)
    said "the gate stayed shut for 40 s: 2 of 3 brokers are registered" && said "No other broker was touched" &&
        ls "$(control_root)/root/ottla/ansible/collected-logs/"{$K1,$K2}.foo.bar.tar.gz || return 1
    played -i hosts rolling-restart.yml $NOW || return 1
    # The mark of a restart that is asked for went with the host that died.
    [ "$(tr ' ' '\n' <<<"$first $(turns) $K3" | sort | paste -sd' ')" = "$BROKERS" ] || { echo "turns: $first, then $(turns)"; return 1; }
}
stopped_one() { [ -n "$(turns)" ]; }
logs_collected() {
    rm -rf "$(control_root)/root/ottla/ansible/collected-logs"
    bed_on $K1 'echo "ssl.keystore.password=open-sesame" >/etc/kafka/environment'
    played -i hosts collect-logs.yml $NOW
    local status=$? host
    bed_on $K1 rm /etc/kafka/environment
    [ $status -eq 0 ] || return 1
    for host in $BROKERS peter-zk01 peter-zk02 peter-zk03; do
        tar -tzf "$(control_root)/root/ottla/ansible/collected-logs/$host.foo.bar.tar.gz" | grep -q journal || return 1
    done
    ! tar -xzOf "$(control_root)/root/ottla/ansible/collected-logs/$K1.foo.bar.tar.gz" | grep -a open-sesame
}

phase_uninstall() {
    NOW=-e\ @/root/now.yml
    echo "kafka_version: $(bed_on $K1 sed -n s/^release=//p /usr/local/kafka/release)" >"$(control_root)/root/now.yml"
    kafka kafka-topics --create --topic kept --partitions 1 --replication-factor 3 >/dev/null
    holds "records are written that must outlive the programs" records_before
    holds "uninstall.yml refuses without a yes" refused "say -e confirm=yes" -i hosts uninstall.yml $NOW
    holds "uninstalled, the programs, units and links are gone, records and settings stay" uninstalled
    holds "uninstalled again, nothing changes" again_nothing
    holds "installed again, the old records are there" records_after
    holds "kafka_destroy_data with another cluster's id removes nothing" refused "nothing was removed" -i hosts uninstall.yml -e confirm=yes -e kafka_destroy_data=nosuchcluster $NOW
    holds "with this cluster's id nothing is left on the hosts" destroyed
}
records_before() { seq 1000 | bed_on $K1 "/usr/local/kafka/bin/kafka-console-producer.sh --bootstrap-server $SERVERS --topic kept" >/dev/null; }
records_after() {
    played -i hosts site.yml $NOW && [ "$(kafka kafka-console-consumer --topic kept --partition 0 --offset earliest --max-messages 1000 --timeout-ms 60000 2>/dev/null | cksum)" = "$(seq 1000 | cksum)" ]
}
uninstalled() {
    played -i hosts uninstall.yml -e confirm=yes $NOW || return 1
    local host
    for host in $BROKERS; do
        bed_on "$host" '! ls -d /usr/local/kafka /usr/local/ottla-* /etc/systemd/system/kafka-server* /etc/sysctl.d/60-kafka.conf /etc/logrotate.d/kafka-server 2>/dev/null &&
            ! pgrep kafka-server && test -s /data/kafka-logs/meta.properties && test -s /etc/kafka/server.properties && ! grep -q foo.bar /etc/hosts' || { echo "on $host"; return 1; }
    done
}
again_nothing() { played -i hosts uninstall.yml -e confirm=yes $NOW && unchanged 7; }
destroyed() {
    local id host
    id=$(bed_on $K1 sed -n s/^cluster.id=//p /data/kafka-logs/meta.properties)
    played -i hosts uninstall.yml -e confirm=yes -e "kafka_destroy_data=$id" $NOW || return 1
    for host in $BROKERS peter-zk01; do
        # The disk that one of them got in an earlier phase is empty.
        bed_on "$host" '[ -z "$(find /data -mindepth 1 ! -exec mountpoint -q {} \; -print)" ] && ! ls -d /etc/kafka /etc/zookeeper /var/log/kafka /usr/local/*kafka* /usr/local/ottla-* /etc/systemd/system/*kafka* /etc/systemd/system/*zookeeper* 2>/dev/null &&
            ! getent passwd kafka zookeeper' || { echo "on $host"; return 1; }
    done
}

phase_lint() {
    cd "$root/ansible" || return
    holds "yamllint has nothing to say" yamllint -s .
    holds "ansible-lint has nothing to say, in its profile production, with no rule skipped" ansible-lint --offline --profile production --strict -q
    holds "every play has a sound syntax" sound_syntax
    holds "the table of variables in ansible/README.md is the one the roles' argument_specs give" tables_current
    holds "every default of a role is described, and used" defaults_used
    holds "every switch is read as one, also from a command line, where false is a word" switches_read
    cd "$root" || return
}
sound_syntax() {
    local play
    for play in *.yml; do ansible-playbook -i ../hosts.example --syntax-check "$play" || return 1; done
}
tables_current() { diff <("$root/ansible/variables") <(sed -n '/^<!-- variables -->$/,/^<!-- end -->$/p' README.md | sed '1d;$d'); }
switches_read() {
    local name names
    names=$(grep -h -B1 'type: bool' roles/*/meta/argument_specs.yml | sed -nE 's/^ +([a-z_]+):$/\1/p')
    [ -n "$names" ] || return 1
    for name in $names; do
        ! grep -rnE "(when:|\{\{).*\b$name\b" --include=*.yml --include=*.j2 --exclude-dir=defaults --exclude-dir=meta . | grep -vE "$name( \| default\([a-z]+\))? \| bool" || return 1
    done
}
defaults_used() {
    local role name status=0
    for role in kafka zookeeper; do
        for name in $(sed -nE 's/^([a-z_0-9]+):.*/\1/p' roles/$role/defaults/main.yml); do
            grep -q "^      $name:" roles/$role/meta/argument_specs.yml || { echo "$name is not described"; status=1; }
            grep -rqE "\b$name\b" --include=*.yml --include=*.j2 --exclude-dir=defaults --exclude-dir=meta . || { echo "$name is not used"; status=1; }
        done
    done
    return $status
}
