/* The command line of kafka-configs: many ways to name one thing, and what may not stand beside what. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/configs.h"

#define ILLEGAL "java.lang.IllegalArgumentException"
#define NAMES_MAX 32 /* types or names on one command line */

const struct option_spec configs_specs[] = {
    {"add-config", OPTION_REQUIRED, "String",
     "Settings to set, k1=v1,k2=[v1,v2,v2],k3=v3; brackets hold a value with commas."},
    {"add-config-file", OPTION_REQUIRED, "String", "A file of settings to set."},
    {"all", OPTION_FLAG, NULL, "With --describe: show every setting, not only those that were set."},
    {"alter", OPTION_FLAG, NULL, "Change the settings of an entity."},
    {"bootstrap-controller", OPTION_REQUIRED, "String: controller to connect to", "Not supported: KRaft only."},
    {"bootstrap-server", OPTION_REQUIRED, "String: server to connect to", "The brokers, host:port[,...]."},
    {"broker", OPTION_REQUIRED, "String", "The broker's id."},
    {"broker-defaults", OPTION_FLAG, NULL, "The settings of all brokers."},
    {"broker-logger", OPTION_REQUIRED, "String", "The id of the broker whose logger levels are meant."},
    {"client", OPTION_REQUIRED, "String", "The client's id."},
    {"client-defaults", OPTION_FLAG, NULL, "The settings of all clients."},
    {"command-config", OPTION_REQUIRED, "String: command config property file",
     "A file of properties for the admin client."},
    {"delete-config", OPTION_REQUIRED, "String", "Settings to remove, k1,k2."},
    {"describe", OPTION_FLAG, NULL, "Show the settings of an entity."},
    {"entity-default", OPTION_FLAG, NULL, "The default entity of the type."},
    {"entity-name", OPTION_REQUIRED, "String", "The entity's name."},
    {"entity-type", OPTION_REQUIRED, "String",
     "topics, clients, users, brokers, broker-loggers, ips or client-metrics."},
    {"force", OPTION_FLAG, NULL, "Accepted, without effect."},
    {"help", OPTION_FLAG, NULL, "Show this."},
    {"ip", OPTION_REQUIRED, "String", "The ip address."},
    {"ip-defaults", OPTION_FLAG, NULL, "The settings of all ip addresses."},
    {"topic", OPTION_REQUIRED, "String", "The topic's name."},
    {"user", OPTION_REQUIRED, "String", "The user's principal."},
    {"user-defaults", OPTION_FLAG, NULL, "The settings of all users."},
    {"version", OPTION_FLAG, NULL, "Show the version."},
    {"zk-tls-config-file", OPTION_REQUIRED, "String: ZooKeeper TLS configuration", "Settings for --zookeeper."},
    {"zookeeper", OPTION_REQUIRED, "String: urls", "DEPRECATED; not supported here."},
};

size_t configs_spec_count(void) {
    return ARRAY_SIZE(configs_specs);
}

static const struct {
    const char *option;
    const char *type;
} flags[] = {{"topic", "topics"},   {"client", "clients"}, {"user", "users"},
             {"broker", "brokers"}, {"ip", "ips"},         {"broker-logger", "broker-loggers"}},
  default_flags[] = {{"client-defaults", "clients"},
                     {"user-defaults", "users"},
                     {"broker-defaults", "brokers"},
                     {"ip-defaults", "ips"}};

/* Every type named, in Kafka's order; NAMES_MAX at most. */
static size_t gather_types(const struct options *options, const char **ret_types) {
    size_t count = 0;
    for (size_t i = 0; i < options_count(options, "entity-type") && count < NAMES_MAX; i++) {
        ret_types[count++] = options_nth(options, "entity-type", i);
    }
    for (size_t i = 0; i < ARRAY_SIZE(flags) && count < NAMES_MAX; i++) {
        if (options_has(options, flags[i].option)) {
            ret_types[count++] = flags[i].type;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(default_flags) && count < NAMES_MAX; i++) {
        if (options_has(options, default_flags[i].option)) {
            ret_types[count++] = default_flags[i].type;
        }
    }
    return count;
}

/* Every name, "" for a default entity. */
static size_t gather_names(const struct options *options, const char **ret_names) {
    size_t count = 0;
    for (size_t i = 0; i < options->value_count && count < NAMES_MAX; i++) {
        const char *option = options->values[i].spec->name;
        if (strcmp(option, "entity-name") == 0) {
            ret_names[count++] = options->values[i].text;
        } else if (strcmp(option, "entity-default") == 0) {
            ret_names[count++] = "";
        }
        for (size_t j = 0; j < ARRAY_SIZE(flags) && count < NAMES_MAX; j++) {
            if (strcmp(option, flags[j].option) == 0) {
                ret_names[count++] = options->values[i].text;
            }
        }
        for (size_t j = 0; j < ARRAY_SIZE(default_flags) && count < NAMES_MAX; j++) {
            if (strcmp(option, default_flags[j].option) == 0) {
                ret_names[count++] = "";
            }
        }
    }
    return count;
}

static bool is_one_of(const char *text, const char *const *all) {
    for (; *all != NULL; all++) {
        if (strcmp(text, *all) == 0) {
            return true;
        }
    }
    return false;
}

static int check_types(const struct options *options, const char *const *types, size_t count, struct failure *failure) {
    static const char *const over_brokers[] = {"topics", "clients",        "users",          "brokers",
                                               "ips",    "broker-loggers", "client-metrics", NULL};
    static const char *const over_zookeeper[] = {"users", "brokers", NULL};
    bool has_server = options_has(options, "bootstrap-server") || options_has(options, "bootstrap-controller");
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(types[i], types[j]) == 0) {
                return failure_set(failure, ILLEGAL, "Duplicate entity type(s) specified: %s", types[i]);
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_one_of(types[i], has_server ? over_brokers : over_zookeeper)) {
            return failure_set(
                failure, ILLEGAL, "Invalid entity type %s, the entity type must be one of %s argument", types[i],
                has_server ? "topics, clients, users, brokers, ips, broker-loggers, client-metrics with a "
                             "--bootstrap-server or --bootstrap-controller"
                           : "users, brokers with a --zookeeper");
        }
    }
    if (count == 0) {
        return failure_set(failure, ILLEGAL, "At least one entity type must be specified");
    }
    static const char *const together[] = {"users", "clients", NULL};
    if (count > 1 && !(count == 2 && is_one_of(types[0], together) && is_one_of(types[1], together))) {
        return failure_set(failure, ILLEGAL, "Only 'users' and 'clients' entity types may be specified together");
    }
    bool has_flag = false;
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        has_flag = has_flag || options_has(options, flags[i].option);
    }
    for (size_t i = 0; i < ARRAY_SIZE(default_flags); i++) {
        has_flag = has_flag || options_has(options, default_flags[i].option);
    }
    if (has_flag && (options_has(options, "entity-name") || options_has(options, "entity-type") ||
                     options_has(options, "entity-default"))) {
        return failure_set(failure, ILLEGAL,
                           "--entity-{type,name,default} should not be used in conjunction with specific entity flags");
    }
    return 0;
}

static int check_connection(const struct options *options, struct failure *failure) {
    int count = options_has(options, "bootstrap-server") + options_has(options, "bootstrap-controller") +
                options_has(options, "zookeeper");
    if (count == 0) {
        return failure_set(failure, ILLEGAL,
                           "One of the required --bootstrap-server, --boostrap-controller, or --zookeeper arguments "
                           "must be specified");
    }
    if (count > 1) {
        return failure_set(failure, ILLEGAL,
                           "Only one of --bootstrap-server, --boostrap-controller, and --zookeeper can be specified");
    }
    if (options_has(options, "all") && options_has(options, "zookeeper")) {
        return failure_set(failure, ILLEGAL, "--bootstrap-server must be specified for --all");
    }
    if (options_has(options, "zk-tls-config-file") && !options_has(options, "zookeeper")) {
        return failure_set(failure, ILLEGAL,
                           "Only the --zookeeper option can be used with the --zk-tls-config-file option.");
    }
    return 0;
}

static int check_names(const char *type, const char *const *names, size_t count, struct failure *failure) {
    for (size_t i = 0; i < count; i++) {
        int32_t id;
        bool is_broker = strcmp(type, "brokers") == 0 || strcmp(type, "broker-loggers") == 0;
        if (names[i][0] != '\0' && is_broker && parse_int32(names[i], &id) != 0) {
            return failure_set(failure, ILLEGAL,
                               "The entity name for %s must be a valid integer broker id, but it is: %s", type,
                               names[i]);
        }
    }
    return 0;
}

static int check_alter(const struct options *options, const char *type, const char *const *names, size_t count,
                       struct failure *failure) {
    static const char *const with_defaults[] = {"users", "clients", "brokers", "ips", NULL};
    bool has_name = false;
    for (size_t i = 0; i < count; i++) {
        has_name = has_name || names[i][0] != '\0';
    }
    if (is_one_of(type, with_defaults) && count == 0) {
        return failure_set(failure, ILLEGAL,
                           "an entity-name or default entity must be specified with --alter of users, clients, "
                           "brokers or ips");
    }
    if (!is_one_of(type, with_defaults) && !has_name) {
        return failure_set(failure, ILLEGAL, "an entity name must be specified with --alter of %s", type);
    }
    bool adds = options_has(options, "add-config");
    bool adds_file = options_has(options, "add-config-file");
    if (adds && adds_file) {
        return failure_set(failure, ILLEGAL, "Only one of --add-config or --add-config-file must be specified");
    }
    if (!adds && !adds_file && !options_has(options, "delete-config")) {
        return failure_set(failure, ILLEGAL,
                           "At least one of --add-config, --add-config-file, or --delete-config must be specified "
                           "with --alter");
    }
    return 0;
}

int configs_check(const struct options *options, struct configs_arguments *ret_arguments, struct failure *failure) {
    if (options_has(options, "alter") == options_has(options, "describe")) {
        options_usage(options, "Command must include exactly one action: --describe, --alter");
        return ERR_DENIED;
    }
    const char *types[NAMES_MAX];
    const char *names[NAMES_MAX];
    size_t type_count = gather_types(options, types);
    size_t name_count = gather_names(options, names);
    int error = check_types(options, types, type_count, failure);
    error = error != 0 ? error : check_connection(options, failure);
    error = error != 0 ? error : check_names(types[0], names, name_count, failure);
    if (error == 0 && options_has(options, "describe") && strcmp(types[0], "broker-loggers") == 0 &&
        (name_count == 0 || names[0][0] == '\0')) {
        error = failure_set(failure, ILLEGAL, "an entity name must be specified with --describe of broker-loggers");
    }
    if (error == 0 && options_has(options, "alter")) {
        error = check_alter(options, types[0], names, name_count, failure);
    }
    static const char *const served[] = {"topics", "brokers", "broker-loggers", "client-metrics", NULL};
    if (error == 0) {
        *ret_arguments = (struct configs_arguments){
            .type = types[0],
            .name = name_count > 0 ? names[0] : NULL,
            .is_unchanged = !is_one_of(types[0], served),
        };
    }
    return error;
}

/* Drops the brackets of a value and the blanks around it. */
static void clean_value(char *text) {
    size_t size = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at != '[' && *at != ']') {
            text[size++] = *at;
        }
    }
    while (size > 0 && isspace((unsigned char)text[size - 1])) {
        size--;
    }
    text[size] = '\0';
    size_t blanks = strspn(text, " \t");
    memmove(text, text + blanks, size - blanks + 1);
}

/* The next pair up to a comma outside of brackets; *at moves behind it. */
static char *take_pair(const char **at) {
    size_t size = 0;
    int depth = 0;
    for (; (*at)[size] != '\0' && ((*at)[size] != ',' || depth > 0); size++) {
        depth += (*at)[size] == '[';
        depth -= (*at)[size] == ']' && depth > 0;
    }
    char *pair = xstrndup(*at, size);
    *at += size + ((*at)[size] == ',');
    return pair;
}

/* Exactly one "=" outside of brackets. */
static char *find_equals(char *pair) {
    char *found = NULL;
    int depth = 0;
    for (char *at = pair; *at != '\0'; at++) {
        depth += *at == '[';
        depth -= *at == ']' && depth > 0;
        if (*at == '=' && depth == 0) {
            if (found != NULL) {
                return NULL;
            }
            found = at;
        }
    }
    return found;
}

static int parse_pairs(const char *text, struct property_list *ret, struct failure *failure) {
    int error = 0;
    while (*text != '\0' && error == 0) {
        char *pair = take_pair(&text);
        char *equals = find_equals(pair);
        if (equals == NULL) {
            error = failure_set(failure, ILLEGAL,
                                "requirement failed: Invalid entity config: all configs to be added must be in the "
                                "format \"key=val\".");
        } else {
            *equals = '\0';
            clean_value(pair);
            clean_value(equals + 1);
            property_list_set(ret, pair, equals + 1);
        }
        free(pair);
    }
    return error;
}

int configs_parse_added(const struct options *options, struct property_list *ret_added, struct failure *failure) {
    const char *path = options_text(options, "add-config-file");
    const char *pairs = options_text(options, "add-config");
    if (path != NULL && property_list_load(ret_added, path) != 0) {
        return failure_set(failure, "java.nio.file.NoSuchFileException", "%s", path);
    }
    int error = pairs == NULL ? 0 : parse_pairs(pairs, ret_added, failure);
    for (size_t i = 0; i < ret_added->count && error == 0; i++) {
        const char *key = ret_added->entries[i].key;
        if (key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] != '\0') {
            error = failure_set(failure, ILLEGAL, "Invalid character found for config key: %s", key);
        }
    }
    return error;
}
