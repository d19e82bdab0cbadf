/* Settings: what is read, what is refused and in which words, and what changes at run time. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/config.h"
#include "broker/topic_config.h"
#include "tests/lib/broker_settings.h"
#include "tests/lib/runner.h"

static char traced[65536];

static void capture(enum trace_level level, const char *line, void *context) {
    (void)level;
    (void)context;
    size_t used = strlen(traced);
    snprintf(traced + used, sizeof traced - used, "%s\n", line);
}

/* A working file, with lines added; NULL and the refusal when it does not start. */
static struct config *load(const char *lines, char **ret_message) {
    traced[0] = '\0';
    trace_set_sink(capture, NULL);
    struct config *config;
    int error = test_broker_config_try("7", lines, &config, ret_message);
    ck_assert_int_eq(error, config == NULL ? ERR_INVALID : 0);
    trace_set_sink(NULL, NULL);
    return config;
}

static struct config *load_ok(const char *lines) {
    char *message = NULL;
    struct config *config = load(lines, &message);
    ck_assert_msg(config != NULL, "%s", message);
    return config;
}

static void assert_refused(const char *lines, const char *expected) {
    char *message = NULL;
    struct config *config = load(lines, &message);
    ck_assert_msg(config == NULL, "accepted: %s", lines);
    ck_assert_str_eq(message, expected);
    free(message);
}

START_TEST(every_default_passes_its_own_checks) {
    struct config *config = load_ok("");
    ck_assert_int_eq(config->num_partitions, 1);
    ck_assert_int_eq(config->socket_request_max_bytes, 104857600);
    ck_assert_str_eq(config->log_dir_list[0], "/tmp/kafka-logs");
    ck_assert_int_eq(config->log_dir_count, 1);
    ck_assert_int_eq(config->log_retention_ms, 604800000);
    ck_assert_int_eq(config->log_flush_interval_ms, INT64_MAX);
    ck_assert_int_eq(config->zookeeper_connection_timeout_ms, 18000);
    ck_assert_str_eq(config->inter_broker_listener, "PLAINTEXT");
    ck_assert_str_eq(config->advertised_list[0].host, "127.0.0.1");
    config_destroy(config);
}
END_TEST

START_TEST(buffers_of_sockets_are_the_systems_unless_another_size_than_kafkas_default_is_asked_for) {
    struct config *config = load_ok("socket.send.buffer.bytes=102400\nreplica.socket.receive.buffer.bytes=131072\n");
    ck_assert_int_eq(config_socket_buffer_bytes(config, CONFIG_KEY_socket_send_buffer_bytes), -1);
    ck_assert_int_eq(config_socket_buffer_bytes(config, CONFIG_KEY_socket_receive_buffer_bytes), -1);
    ck_assert_int_eq(config_socket_buffer_bytes(config, CONFIG_KEY_replica_socket_receive_buffer_bytes), 131072);
    ck_assert_int_eq(config->socket_send_buffer_bytes, 102400);
    config_destroy(config);
}
END_TEST

START_TEST(the_table_holds_the_332_keys_of_kafka_and_two_of_ours_once_each) {
    int ours = 0;
    ck_assert_int_eq(CONFIG_KEY_COUNT, 332 + 2);
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        const struct setting *setting = &config_definition((enum config_key)key)->setting;
        ck_assert_int_eq(config_find(str_from(setting->key)), key);
        ck_assert_uint_gt(strlen(setting->meaning), 0);
        if (strncmp(setting->key, "ottla.", 6) == 0) {
            ours++;
            ck_assert_int_eq(config_definition((enum config_key)key)->visibility, CONFIG_INTERNAL);
        }
    }
    ck_assert_int_eq(ours, 2); /* which DescribeConfigs does not show */
    ck_assert_int_eq(TOPIC_CONFIG_KEY_COUNT, 36);
    for (int key = 0; key < TOPIC_CONFIG_KEY_COUNT; key++) {
        const struct topic_config_definition *definition = topic_config_definition((enum topic_config_key)key);
        for (int i = 0; i < TOPIC_CONFIG_SYNONYMS_MAX && definition->synonyms[i] != NULL; i++) {
            ck_assert_int_ne(config_find(str_from(definition->synonyms[i])), CONFIG_KEY_COUNT);
        }
    }
}
END_TEST

START_TEST(a_finer_unit_beats_a_coarser_one) {
    struct config *config = load_ok("log.retention.hours=1\nlog.retention.minutes=2\nlog.roll.hours=3\n");
    ck_assert_int_eq(config->log_retention_ms, 120000);
    ck_assert_int_eq(config->log_roll_ms, 10800000);
    config_destroy(config);
    config = load_ok("log.retention.hours=-1\nlog.dirs=/a, /b\nlog.dir=/c\n");
    ck_assert_int_eq(config->log_retention_ms, -1);
    ck_assert_int_eq(config->log_dir_count, 2);
    ck_assert_str_eq(config->log_dir_list[1], "/b");
    config_destroy(config);
}
END_TEST

START_TEST(refusals_have_the_words_of_kafka) {
    static const char *const cases[][2] = {
        {"num.io.threads=x", "Invalid value x for configuration num.io.threads: Not a number of type INT"},
        {"num.io.threads=99999999999",
         "Invalid value 99999999999 for configuration num.io.threads: Not a number of type INT"},
        {"num.io.threads=0", "Invalid value 0 for configuration num.io.threads: Value must be at least 1"},
        {"log.cleaner.min.cleanable.ratio=1.5",
         "Invalid value 1.5 for configuration log.cleaner.min.cleanable.ratio: Value must be no more than 1"},
        {"auto.create.topics.enable=maybe", "Invalid value maybe for configuration auto.create.topics.enable: Expected "
                                            "value to be either true or false"},
        {"compression.type=gz", "Invalid value gz for configuration compression.type: String must be one of: "
                                "uncompressed, zstd, lz4, snappy, gzip, producer"},
        {"log.cleanup.policy=delete,shrink",
         "Invalid value shrink for configuration log.cleanup.policy: String must be one of: compact, delete"},
        {"log.roll.ms=0", "requirement failed: log.roll.ms must be greater than or equal to 1"},
        {"log.retention.ms=0", "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal "
                               "to 1"},
        {"log.cleaner.dedupe.buffer.size=100",
         "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread."},
        {"replica.fetch.wait.max.ms=40000", "requirement failed: replica.socket.timeout.ms should always be at least "
                                            "replica.fetch.wait.max.ms to prevent unnecessary socket timeouts"},
        {"advertised.listeners=PLAINTEXT://0.0.0.0:9092",
         "requirement failed: advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP "
         "address."},
        {"inter.broker.listener.name=FOO", "Listener with name FOO defined in inter.broker.listener.name not found in "
                                           "listener.security.protocol.map."},
        {"controller.listener.names=FOO",
         "requirement failed: controller.listener.names must be empty when not running in KRaft mode: [FOO]"},
        {"queued.max.request.bytes=5", "requirement failed: queued.max.request.bytes must be larger or equal to "
                                       "socket.request.max.bytes"},
        {"max.connections.per.ip=0",
         "requirement failed: max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides "
         "property is set."},
        {"node.id=9", "You must set `node.id` to the same value as `broker.id`."},
        {"listeners=foo", "Error creating broker listeners from 'foo': Unable to parse foo to a broker endpoint"},
        {"broker.id=2000", "requirement failed: broker.id must be greater than or equal to -1 and not greater than "
                           "reserved.broker.max.id"},
        {"zookeeper.connect=", "Missing required configuration `zookeeper.connect` which has no default value."},
        {"listeners=FOO://:9092",
         "Error creating broker listeners from 'FOO://:9092': No security protocol defined for listener FOO"},
        {"listeners=PLAINTEXT://:9092,SSL://:9093", "Listener SSL uses SSL, which is not available in this version: "
                                                    "only PLAINTEXT listeners can be opened"},
        {"advertised.listeners=SSL://a:9093",
         "requirement failed: advertised.listeners listener names must be equal to or a subset of the ones defined in "
         "listeners. Found SSL. The valid options based on the current configuration are PLAINTEXT"},
        {"authorizer.class.name=kafka.security.authorizer.AclAuthorizer",
         "Invalid value kafka.security.authorizer.AclAuthorizer for configuration authorizer.class.name: access "
         "control is not available in this version, and starting without it would let everybody in"},
        {"zookeeper.set.acl=true", "Invalid value true for configuration zookeeper.set.acl: this version does not "
                                   "authenticate itself to ZooKeeper, so its nodes would have no owner"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_refused(cases[i][0], cases[i][1]);
    }
}
END_TEST

START_TEST(overrides_of_addresses_are_hosts_and_counts) {
    config_destroy(load_ok("max.connections.per.ip.overrides=127.0.0.1:5, ::1:7,host.example:0\n"));
    config_destroy(load_ok("max.connections.per.ip.overrides=\n"));
    assert_refused("max.connections.per.ip.overrides=127.0.0.1:5,127.0.0.2:x\n", "For input string: \"x\"");
    assert_refused("max.connections.per.ip.overrides=host\n",
                   "Error parsing configuration property 'max.connections.per.ip.overrides': 'host' is not host:count");
}
END_TEST

START_TEST(either_name_of_the_id_gives_both) {
    static const char *const names[] = {"broker.id", "node.id"};
    for (size_t i = 0; i < 2; i++) {
        struct properties properties;
        struct config *config;
        char *message = NULL;
        properties_init(&properties);
        properties_set(&properties, names[i], "8");
        properties_set(&properties, "zookeeper.connect", "localhost:2181");
        ck_assert_int_eq(config_create(&properties, &config, &message), 0);
        ck_assert_str_eq(config_text(config, CONFIG_KEY_node_id), "8");
        ck_assert_str_eq(config_text(config, CONFIG_KEY_broker_id), "8");
        ck_assert_int_eq(config->broker_id, 8);
        config_destroy(config);
        properties_deinit(&properties);
    }
}
END_TEST

START_TEST(a_listener_has_bounds_of_its_own_also_dynamic_ones) {
    struct config *config = load_ok("broker.id=7\nzookeeper.connect=z:1\n"
                                    "listener.name.plaintext.max.connections=50\n");
    struct properties values;
    char *message = NULL;
    ck_assert_int_eq(config->listener_list[0].max_connections, 50);
    ck_assert_int_eq(config->listener_list[0].max_connection_creation_rate, INT32_MAX);
    properties_init(&values);
    properties_set(&values, "listener.name.plaintext.max.connections", "60");
    properties_set(&values, "listener.name.plaintext.max.connection.creation.rate", "9");
    ck_assert_int_eq(config_set_dynamic(config, CONFIG_DYNAMIC_DEFAULT, &values, false, &message), 0);
    ck_assert_int_eq(config->listener_list[0].max_connections, 60);
    ck_assert_int_eq(config->listener_list[0].max_connection_creation_rate, 9);
    properties_set(&values, "listener.name.plaintext.max.connections", "x");
    ck_assert_int_eq(config_set_dynamic(config, CONFIG_DYNAMIC_DEFAULT, &values, false, &message), ERR_INVALID);
    ck_assert_str_eq(message, "Invalid value x for configuration max.connections: Not a number of type INT");
    free(message);
    properties_deinit(&values);
    config_destroy(config);
}
END_TEST

START_TEST(several_listeners_get_their_names_from_the_map) {
    struct config *config = load_ok("listeners=client://:9092,INTERNAL://[::1]:9093\n"
                                    "listener.security.protocol.map=CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,X:SSL\n"
                                    "advertised.listeners=CLIENT://kafka.example:9094,INTERNAL://127.0.0.1:9093\n"
                                    "inter.broker.listener.name=INTERNAL\n");
    ck_assert_int_eq(config->listener_count, 2);
    ck_assert_str_eq(config->listener_list[0].name, "CLIENT");
    ck_assert_str_eq(config->listener_list[0].host, "");
    ck_assert_str_eq(config->listener_list[1].host, "::1");
    ck_assert_str_eq(config->advertised_list[0].host, "kafka.example");
    ck_assert_int_eq(config->advertised_list[0].port, 9094);
    ck_assert_str_eq(config->inter_broker_listener, "INTERNAL");
    config_destroy(config);
}
END_TEST

START_TEST(an_unknown_key_warns_with_the_nearest_known_one) {
    config_destroy(load_ok("num.partition=3\nfoo.bar.baz.quux=1\nprocess.role=broker\nmetadata.log.dir=/x\n"));
    ck_assert_ptr_nonnull(strstr(traced, "Unknown setting 'num.partition' is ignored; did you mean 'num.partitions'?"));
    ck_assert_ptr_nonnull(strstr(traced, "Unknown setting 'foo.bar.baz.quux' is ignored ("));
    ck_assert_ptr_nonnull(strstr(traced, "did you mean 'process.roles'?"));
    ck_assert_ptr_nonnull(strstr(traced, "metadata.log.dir has no effect: it concerns KRaft"));
}
END_TEST

START_TEST(of_many_unknown_keys_each_is_named_and_the_first_are_compared) {
    char text[(CONFIG_UNKNOWN_MAX + 2) * 32];
    size_t size = 0;
    for (int i = 0; i <= CONFIG_UNKNOWN_MAX; i++) {
        size += (size_t)snprintf(text + size, sizeof text - size, "num.partition%d=3\n", i);
    }
    config_destroy(load_ok(text));
    char said[128];
    snprintf(said, sizeof said, "'num.partition%d' is ignored; did you mean 'num.partitions'?", CONFIG_UNKNOWN_MAX - 1);
    ck_assert_ptr_nonnull(strstr(traced, said));
    snprintf(said, sizeof said, "'num.partition%d' is ignored (", CONFIG_UNKNOWN_MAX);
    ck_assert_ptr_nonnull(strstr(traced, said));
}
END_TEST

START_TEST(dynamic_values_beat_the_file_in_their_order_and_go_away_again) {
    struct config *config = load_ok("log.retention.hours=72\nnum.io.threads=4\n");
    ck_assert_int_eq(config->log_retention_ms, 72 * 3600000LL);
    struct properties values;
    properties_init(&values);
    char *message = NULL;
    properties_set(&values, "log.retention.ms", "1000");
    ck_assert_int_eq(config_set_dynamic(config, CONFIG_DYNAMIC_DEFAULT, &values, false, &message), 0);
    ck_assert_int_eq(config->log_retention_ms, 1000);
    properties_set(&values, "log.retention.ms", "2000");
    ck_assert_int_eq(config_set_dynamic(config, CONFIG_DYNAMIC_BROKER, &values, false, &message), 0);
    ck_assert_int_eq(config->log_retention_ms, 2000);
    properties_set(&values, "log.retention.ms", "3000");
    ck_assert_int_eq(config_check_dynamic(config, CONFIG_DYNAMIC_BROKER, &values, &message), 0);
    ck_assert_int_eq(config->log_retention_ms, 2000); /* a dry run */
    properties_deinit(&values);
    ck_assert_int_eq(config_set_dynamic(config, CONFIG_DYNAMIC_BROKER, &values, false, &message), 0);
    ck_assert_int_eq(config->log_retention_ms, 1000);
    ck_assert_int_eq(config_set_dynamic(config, CONFIG_DYNAMIC_DEFAULT, &values, false, &message), 0);
    ck_assert_int_eq(config->log_retention_ms, 72 * 3600000LL);
    config_destroy(config);
}
END_TEST

static void assert_dynamic_refused(const char *key, const char *value, enum config_source source,
                                   const char *expected) {
    struct config *config = load_ok("");
    struct properties values;
    properties_init(&values);
    properties_set(&values, key, value);
    char *message = NULL;
    ck_assert_int_eq(config_set_dynamic(config, source, &values, false, &message), ERR_INVALID);
    ck_assert_str_eq(message, expected);
    free(message);
    properties_deinit(&values);
    config_destroy(config);
}

START_TEST(dynamic_refusals_have_the_words_of_kafka) {
    assert_dynamic_refused("log.dirs", "/x", CONFIG_DYNAMIC_BROKER,
                           "Cannot update these configs dynamically: Set(log.dirs)");
    assert_dynamic_refused(
        "listeners", "PLAINTEXT://:1", CONFIG_DYNAMIC_DEFAULT,
        "Cannot update these configs at default cluster level, broker id must be specified: Set(listeners)");
    assert_dynamic_refused("log.cleaner.threads", "x", CONFIG_DYNAMIC_BROKER,
                           "Invalid value x for configuration log.cleaner.threads: Not a number of type INT");
}
END_TEST

START_TEST(unusable_values_found_in_the_coordinator_are_left_out) {
    struct config *config = load_ok("");
    struct properties values;
    properties_init(&values);
    properties_set(&values, "log.dirs", "/x");
    properties_set(&values, "nonsense", "1");
    properties_set(&values, "message.max.bytes", "77");
    char *message = NULL;
    trace_set_sink(capture, NULL);
    ck_assert_int_eq(config_set_dynamic(config, CONFIG_DYNAMIC_BROKER, &values, true, &message), 0);
    trace_set_sink(NULL, NULL);
    ck_assert_int_eq(config->message_max_bytes, 77);
    ck_assert_ptr_nonnull(
        strstr(traced, "Dynamic setting left out: Cannot update these configs dynamically: Set(log.dirs)"));
    ck_assert_int_eq(config->unknown_count[CONFIG_DYNAMIC_BROKER], 1);
    ck_assert_str_eq(config->unknown[CONFIG_DYNAMIC_BROKER][0], "nonsense");
    properties_deinit(&values);
    config_destroy(config);
}
END_TEST

START_TEST(a_topics_own_value_beats_the_brokers) {
    struct config *config = load_ok("log.segment.bytes=1000\nlog.retention.hours=2\nlog.cleanup.policy=compact\n"
                                    "log.message.timestamp.difference.max.ms=5\n");
    struct properties values;
    properties_init(&values);
    struct log_config log;
    topic_config_merge(config, &values, &log);
    ck_assert_int_eq(log.segment_bytes, 1000);
    ck_assert_int_eq(log.retention_ms, 7200000);
    ck_assert(log.compact && !log.delete);
    ck_assert_int_eq(log.message_timestamp_before_max_ms, 5);
    ck_assert_int_eq(log.compression_type, -1);
    properties_set(&values, "segment.bytes", "2000");
    properties_set(&values, "cleanup.policy", "delete, compact");
    properties_set(&values, "compression.type", "zstd");
    properties_set(&values, "message.timestamp.before.max.ms", "9");
    properties_set(&values, "retention.ms", "not a number");
    topic_config_merge(config, &values, &log);
    ck_assert_int_eq(log.segment_bytes, 2000);
    ck_assert_int_eq(log.retention_ms, 7200000);
    ck_assert(log.compact && log.delete);
    ck_assert_int_eq(log.message_timestamp_before_max_ms, 9);
    ck_assert_int_eq(log.compression_type, 4);
    properties_deinit(&values);
    char *text = topic_config_inherited(config, TOPIC_CONFIG_KEY_retention_ms);
    ck_assert_str_eq(text, "7200000");
    free(text);
    text = topic_config_inherited(config, TOPIC_CONFIG_KEY_min_cleanable_dirty_ratio);
    ck_assert_str_eq(text, "0.5");
    free(text);
    config_destroy(config);
}
END_TEST

START_TEST(throttled_replicas_are_named_one_by_one_or_all_at_once) {
    const enum topic_config_key leader = TOPIC_CONFIG_KEY_leader_replication_throttled_replicas;
    const enum topic_config_key follower = TOPIC_CONFIG_KEY_follower_replication_throttled_replicas;
    struct properties values;
    properties_init(&values);
    ck_assert(!topic_config_is_throttled(NULL, leader, 0, 1));
    properties_set(&values, "leader.replication.throttled.replicas", "0:1, 12:3");
    properties_set(&values, "follower.replication.throttled.replicas", "*");
    ck_assert(topic_config_is_throttled(&values, leader, 0, 1));
    ck_assert(topic_config_is_throttled(&values, leader, 12, 3));
    ck_assert(!topic_config_is_throttled(&values, leader, 1, 1));
    ck_assert(!topic_config_is_throttled(&values, leader, 2, 3));
    ck_assert(!topic_config_is_throttled(&values, leader, 0, 3));
    ck_assert(topic_config_is_throttled(&values, follower, 99, 99));
    properties_set(&values, "follower.replication.throttled.replicas", "");
    ck_assert(!topic_config_is_throttled(&values, follower, 99, 99));
    properties_deinit(&values);
}
END_TEST

static void assert_topic_refused(const char *key, const char *value, const char *expected) {
    struct config *config = load_ok("log.cleaner.min.compaction.lag.ms=10\n");
    struct properties values;
    properties_init(&values);
    properties_set(&values, key, value);
    char *message = NULL;
    ck_assert_int_eq(topic_config_check(config, &values, &message), ERR_INVALID);
    ck_assert_str_eq(message, expected);
    free(message);
    properties_deinit(&values);
    config_destroy(config);
}

START_TEST(topic_refusals_have_the_words_of_kafka) {
    assert_topic_refused("bogus.key", "1", "Unknown topic config name: bogus.key");
    assert_topic_refused("retention.ms", "-2",
                         "Invalid value -2 for configuration retention.ms: Value must be at least -1");
    assert_topic_refused("max.compaction.lag.ms", "5",
                         "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)");
    assert_topic_refused("remote.storage.enable", "true",
                         "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with "
                         "remote log storage.");
}
END_TEST

START_TEST(the_sample_file_starts_and_says_nothing_unknown) {
    traced[0] = '\0';
    trace_set_sink(capture, NULL);
    struct properties properties;
    properties_init(&properties);
    char *message = NULL;
    ck_assert_int_eq(properties_load(&properties, "config/server.properties", &message), 0);
    struct config *config = NULL;
    ck_assert_msg(config_create(&properties, &config, &message) == 0, "%s", message);
    trace_set_sink(NULL, NULL);
    ck_assert_str_eq(traced, "");
    properties_deinit(&properties);
    config_destroy(config);
}
END_TEST

START_TEST(numbers_are_printed_as_java_prints_them) {
    static const char *const cases[][2] = {
        {"0.5", "0.5"},   {"1", "1.0"},
        {"1e7", "1.0E7"}, {"0.0001", "1.0E-4"},
        {"12.5", "12.5"}, {"1.7976931348623157E308", "1.7976931348623157E308"},
        {"0", "0.0"},     {"9999999", "9999999.0"},
    };
    const struct setting *setting = &config_definition(CONFIG_KEY_log_cleaner_io_max_bytes_per_second)->setting;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct setting_value value;
        char *message = NULL;
        ck_assert_int_eq(setting_parse(setting, cases[i][0], &value, &message), 0);
        ck_assert_str_eq(value.text, cases[i][1]);
        setting_value_deinit(&value);
    }
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(every_default_passes_its_own_checks),
        TEST(buffers_of_sockets_are_the_systems_unless_another_size_than_kafkas_default_is_asked_for),
        TEST(the_table_holds_the_332_keys_of_kafka_and_two_of_ours_once_each),
        TEST(a_finer_unit_beats_a_coarser_one),
        TEST(refusals_have_the_words_of_kafka),
        TEST(overrides_of_addresses_are_hosts_and_counts),
        TEST(either_name_of_the_id_gives_both),
        TEST(a_listener_has_bounds_of_its_own_also_dynamic_ones),
        TEST(several_listeners_get_their_names_from_the_map),
        TEST(an_unknown_key_warns_with_the_nearest_known_one),
        TEST(of_many_unknown_keys_each_is_named_and_the_first_are_compared),
        TEST(dynamic_values_beat_the_file_in_their_order_and_go_away_again),
        TEST(dynamic_refusals_have_the_words_of_kafka),
        TEST(unusable_values_found_in_the_coordinator_are_left_out),
        TEST(a_topics_own_value_beats_the_brokers),
        TEST(throttled_replicas_are_named_one_by_one_or_all_at_once),
        TEST(topic_refusals_have_the_words_of_kafka),
        TEST(the_sample_file_starts_and_says_nothing_unknown),
        TEST(numbers_are_printed_as_java_prints_them),
    };
    return run_tests("config", tests, sizeof tests / sizeof tests[0]);
}
