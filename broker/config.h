/* The settings of this broker: server.properties, --override, and the dynamic values kept in ZooKeeper.
 *
 * config.tbl.h lists every key. struct config has one field per key, in snake case, that holds what is in force:
 * dynamic per broker, else dynamic default, else the file, else the default. Where a finer unit wins (log.retention.ms
 * over .minutes and .hours) the finer field holds the result. A nullable number that is null holds CONFIG_UNSET;
 * strings are NULL. Dynamic changes update the fields in place, on the loop; strings live as long as the struct. */
#ifndef OTTLA_CONFIG_H
#define OTTLA_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/base/slice.h"
#include "broker/properties.h"
#include "broker/setting.h"

#define CONFIG_UNSET (-2147483648LL) /* null in an int or long field; no key allows it */
/* More listeners or directories than these were given by mistake. */
#define CONFIG_LISTENERS_MAX 16
#define CONFIG_LOG_DIRS_MAX 64
#define CONFIG_UNKNOWN_MAX 64

enum config_key {
#define X(type, field, key, default_value, allowed, dynamic, concern, visibility, meaning) CONFIG_KEY_##field,
#include "broker/config.tbl.h"
#undef X
    CONFIG_KEY_COUNT
};

enum config_dynamic {
    CONFIG_READ_ONLY,
    CONFIG_PER_BROKER,
    CONFIG_CLUSTER_WIDE, /* per broker or for all */
    CONFIG_DYNAMIC_ONLY, /* as CLUSTER_WIDE, but not a key of the file */
};

/* Whom a key concerns. Only ZOOKEEPER keys have an effect here; the others are accepted and named once. */
enum config_concern {
    CONFIG_ZOOKEEPER,
    CONFIG_KRAFT,
    CONFIG_TIERED,
    CONFIG_NEW_GROUPS,
    CONFIG_JVM,
};

enum config_visibility { CONFIG_PUBLIC, CONFIG_INTERNAL };

struct config_definition {
    struct setting setting;
    enum config_dynamic dynamic;
    enum config_concern concern;
    enum config_visibility visibility; /* INTERNAL: left out of Kafka's documentation and of DescribeConfigs */
    size_t offset;                     /* of the field in struct config */
};

/* In order of force. */
enum config_source { CONFIG_DYNAMIC_BROKER, CONFIG_DYNAMIC_DEFAULT, CONFIG_FILE, CONFIG_SOURCE_COUNT };

struct config_listener {
    const char *name; /* upper case */
    const char *host; /* "" binds every interface; never "" in advertised_list */
    int32_t port;
    /* listener.name.<name>.max.connections and .max.connection.creation.rate; in listener_list only. */
    int32_t max_connections;
    int32_t max_connection_creation_rate;
};

struct config_strings;

struct config {
#define CONFIG_C_BOOLEAN bool
#define CONFIG_C_INT int32_t
#define CONFIG_C_LONG int64_t
#define CONFIG_C_SHORT int16_t
#define CONFIG_C_DOUBLE double
#define CONFIG_C_STRING const char *
#define CONFIG_C_LIST const char *
#define CONFIG_C_CLASS const char *
#define CONFIG_C_PASSWORD const char *
#define X(type, field, key, default_value, allowed, dynamic, concern, visibility, meaning) CONFIG_C_##type field;
#include "broker/config.tbl.h"
#undef X
    /* What follows is made from the above. */
    struct config_listener listener_list[CONFIG_LISTENERS_MAX];
    int32_t listener_count;
    struct config_listener advertised_list[CONFIG_LISTENERS_MAX];
    int32_t advertised_count;
    const char *inter_broker_listener;  /* name */
    const char *control_plane_listener; /* name, NULL: the inter-broker one */
    const char *log_dir_list[CONFIG_LOG_DIRS_MAX];
    int32_t log_dir_count;
    bool rack_aware_selector;
    /* The texts as given, NULL where not given. */
    const char *given[CONFIG_SOURCE_COUNT][CONFIG_KEY_COUNT];
    /* Names that are no keys; Kafka keeps them for plug-ins, and DescribeConfigs lists them. */
    const char *unknown[CONFIG_SOURCE_COUNT][CONFIG_UNKNOWN_MAX];
    const char *unknown_value[CONFIG_SOURCE_COUNT][CONFIG_UNKNOWN_MAX];
    int32_t unknown_count[CONFIG_SOURCE_COUNT];
    struct config_strings *strings;
};

const struct config_definition *config_definition(enum config_key key);
/* CONFIG_KEY_COUNT when there is no such key. */
enum config_key config_find(struct str name);
/* The known key that looks most like `name`, NULL when none does. */
const char *config_nearest(const char *name);
/* Keys that name the same thing, finest first, with `key` among them. */
int32_t config_synonyms(enum config_key key, enum config_key ret_keys[3]);

/* Reads and checks the properties. 0, or ERR_INVALID with *ret_message (heap): one line in Kafka's wording. Unknown
 * keys and keys without an effect are traced. */
int config_create(const struct properties *properties, struct config **ret_config, char **ret_message);
void config_destroy(struct config *config);

/* Puts `values` in the place of all values of a dynamic source. With `is_lenient` what cannot be used is traced and
 * left out, as Kafka does with what it finds in ZooKeeper; else it is refused and nothing changes. 0, or ERR_INVALID
 * with *ret_message (heap). */
int config_set_dynamic(struct config *config, enum config_source source, const struct properties *values,
                       bool is_lenient, char **ret_message);
/* What config_set_dynamic would say, strictly; changes nothing. */
int config_check_dynamic(const struct config *config, enum config_source source, const struct properties *values,
                         char **ret_message);
/* The text in force; NULL for null. */
const char *config_text(const struct config *config, enum config_key key);
/* What a socket's buffer is to be set to, -1 for nothing: the system sizes the buffers of a connection by how fast its
 * ends are, up to megabytes, unless they were set once. Kafka's defaults, which the server.properties it ships spells
 * out, hold a connection to 100 KiB (follower: 64 KiB) on their way, and are therefore not taken for a wish. */
int32_t config_socket_buffer_bytes(const struct config *config, enum config_key key);
/* One "key = value" line per key, in alphabetical order, passwords hidden. */
void config_print(const struct config *config, void (*say)(void *context, const char *line), void *context);

/* Internal to config*.c: fills the made fields and checks keys against each other. */
int config_derive(struct config *config, char **ret_message);
int config_derive_listeners(struct config *config, char **ret_message);
/* Whether this is a setting of one listener that has an effect: "listener.name.<listener>.max.connections". */
bool config_is_of_listener(const char *name);
int config_check(const struct config *config, char **ret_message);
/* A copy that lives as long as the config; equal texts share one. */
const char *config_keep(struct config *config, const char *text);
bool config_is_given(const struct config *config, enum config_key key);

#endif
