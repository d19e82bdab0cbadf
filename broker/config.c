/* The table of settings, and from texts to typed fields. */
#include "broker/config.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"

#define AREA "kafka.server.KafkaConfig"

#define ANY .limit = LIMIT_NONE
#define AT_LEAST(low) .limit = LIMIT_AT_LEAST, .min = (low)
#define BETWEEN(low, high) .limit = LIMIT_BETWEEN, .min = (low), .max = (high)
#define ONE_OF(list) .limit = LIMIT_ONE_OF, .choices = (list)
#define ONE_OF_ANY_CASE(list) .limit = LIMIT_ONE_OF_ANY_CASE, .choices = (list)
#define NON_NULL .limit = LIMIT_NON_NULL
#define NON_EMPTY .limit = LIMIT_NON_EMPTY
#define GZIP_LEVEL .limit = LIMIT_GZIP_LEVEL
#define MINUS_ONE_OR_AT_LEAST(low) .limit = LIMIT_MINUS_ONE_OR_AT_LEAST, .min = (low)
#define RELEASE .limit = LIMIT_RELEASE

static const struct config_definition definitions[CONFIG_KEY_COUNT] = {
#define X(type_name, field, key_text, default_text, allowed, dynamic_mode, concern_name, visibility_name,              \
          meaning_text)                                                                                                \
    {.setting = {.key = (key_text),                                                                                    \
                 .type = SETTING_##type_name,                                                                          \
                 .default_value = (default_text),                                                                      \
                 .meaning = (meaning_text),                                                                            \
                 allowed},                                                                                             \
     .dynamic = CONFIG_##dynamic_mode,                                                                                 \
     .concern = CONFIG_##concern_name,                                                                                 \
     .visibility = CONFIG_##visibility_name,                                                                           \
     .offset = offsetof(struct config, field)},
#include "broker/config.tbl.h"
#undef X
};

/* Interned texts, so that a field keeps its address while its value stays the same. */
struct config_string {
    UT_hash_handle hh;
    char text[];
};

struct config_strings {
    struct config_string *table;
};

const struct config_definition *config_definition(enum config_key key) {
    CHECK(key < CONFIG_KEY_COUNT);
    return &definitions[key];
}

enum config_key config_find(struct str name) {
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        if (str_equal_text(name, definitions[key].setting.key)) {
            return (enum config_key)key;
        }
    }
    return CONFIG_KEY_COUNT;
}

#define NEAREST_NAME_MAX 96

/* How often a name has each letter. */
struct letters {
    uint8_t counts[UCHAR_MAX + 1];
};

static struct letters letters_of(const char *name) {
    struct letters letters = {{0}};
    for (size_t i = 0; name[i] != '\0'; i++) {
        letters.counts[(unsigned char)name[i]]++;
    }
    return letters;
}

/* How many letters the two have in common, wherever they stand. */
static int letters_shared(struct letters left, const char *name) {
    int shared = 0;
    for (size_t i = 0; name[i] != '\0'; i++) {
        uint8_t *count = &left.counts[(unsigned char)name[i]];
        if (*count > 0) {
            (*count)--;
            shared++;
        }
    }
    return shared;
}

/* Levenshtein's distance, for names of at most NEAREST_NAME_MAX characters; `limit` when it is not below that. */
static int distance(const char *a, const char *b, int limit) {
    int row[NEAREST_NAME_MAX + 1];
    int b_size = (int)strlen(b);
    for (int j = 0; j <= b_size; j++) {
        row[j] = j;
    }
    for (int i = 0; a[i] != '\0'; i++) {
        int diagonal = row[0];
        int least = row[0] = i + 1;
        for (int j = 0; j < b_size; j++) {
            int replaced = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            int shifted = MIN(row[j], row[j + 1]) + 1;
            row[j + 1] = MIN(replaced, shifted);
            least = MIN(least, row[j + 1]);
        }
        if (least >= limit) {
            return limit; /* it only grows */
        }
    }
    return MIN(row[b_size], limit);
}

const char *config_nearest(const char *name) {
    int size = (int)strnlen(name, NEAREST_NAME_MAX + 1);
    if (size > NEAREST_NAME_MAX) {
        return NULL;
    }
    const char *nearest = NULL;
    int best = size / 3 + 1; /* a key that differs in a third of its letters is another word */
    struct letters letters = letters_of(name);
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        const char *known = definitions[key].setting.key;
        int known_size = (int)strlen(known);
        if (known_size > NEAREST_NAME_MAX || definitions[key].dynamic == CONFIG_DYNAMIC_ONLY) {
            continue;
        }
        /* What the longer one does not share has to change: that says no to most names without a look at the order. */
        int longer = MAX(size, known_size);
        if (abs(size - known_size) >= best || longer - letters_shared(letters, known) >= best) {
            continue;
        }
        int found = distance(name, known, best);
        if (found < best) {
            best = found;
            nearest = known;
        }
    }
    return nearest;
}

int32_t config_synonyms(enum config_key key, enum config_key ret_keys[3]) {
    static const enum config_key none = CONFIG_KEY_COUNT;
    static const enum config_key groups[][3] = {
        {CONFIG_KEY_log_retention_ms, CONFIG_KEY_log_retention_minutes, CONFIG_KEY_log_retention_hours},
        {CONFIG_KEY_log_roll_ms, CONFIG_KEY_log_roll_hours, CONFIG_KEY_COUNT},
        {CONFIG_KEY_log_roll_jitter_ms, CONFIG_KEY_log_roll_jitter_hours, CONFIG_KEY_COUNT},
    };
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        for (int j = 0; j < 3; j++) {
            if (groups[i][j] == key) {
                memcpy(ret_keys, groups[i], sizeof groups[i]);
                return groups[i][2] == none ? 2 : 3;
            }
        }
    }
    ret_keys[0] = key;
    /* One way only: the scheduler's interval is the fallback, not another name. */
    if (key == CONFIG_KEY_log_flush_interval_ms) {
        ret_keys[1] = CONFIG_KEY_log_flush_scheduler_interval_ms;
        return 2;
    }
    return 1;
}

const char *config_keep(struct config *config, const char *text) {
    struct config_string *found;
    size_t size = strlen(text);
    HASH_FIND(hh, config->strings->table, text, size, found);
    if (found == NULL) {
        found = xmalloc(sizeof *found + size + 1);
        memcpy(found->text, text, size + 1);
        HASH_ADD_KEYPTR(hh, config->strings->table, found->text, size, found);
    }
    return found->text;
}

static void free_strings(struct config_strings *strings) {
    struct config_string *string;
    struct config_string *next;
    HASH_ITER(hh, strings->table, string, next) {
        HASH_DEL(strings->table, string);
        free(string);
    }
}

const char *config_text(const struct config *config, enum config_key key) {
    for (int source = 0; source < CONFIG_SOURCE_COUNT; source++) {
        if (config->given[source][key] != NULL) {
            return config->given[source][key];
        }
    }
    return definitions[key].setting.default_value;
}

int32_t config_socket_buffer_bytes(const struct config *config, enum config_key key) {
    int32_t bytes = *(const int32_t *)((const char *)config + definitions[key].offset);
    return bytes == strtol(definitions[key].setting.default_value, NULL, 10) ? -1 : bytes;
}

bool config_is_given(const struct config *config, enum config_key key) {
    return config_text(config, key) != definitions[key].setting.default_value;
}

static void set_field(struct config *config, enum config_key key, const struct setting_value *value) {
    void *field = (char *)config + definitions[key].offset;
    switch (definitions[key].setting.type) {
    case SETTING_BOOLEAN: *(bool *)field = value->boolean; return;
    case SETTING_INT: *(int32_t *)field = value->is_null ? (int32_t)CONFIG_UNSET : (int32_t)value->integer; return;
    case SETTING_LONG: *(int64_t *)field = value->is_null ? CONFIG_UNSET : value->integer; return;
    case SETTING_SHORT: *(int16_t *)field = (int16_t)value->integer; return;
    case SETTING_DOUBLE: *(double *)field = value->real; return;
    case SETTING_STRING:
    case SETTING_LIST:
    case SETTING_CLASS:
    case SETTING_PASSWORD: *(const char **)field = value->is_null ? NULL : config_keep(config, value->text); return;
    }
}

/* Fills every field from the texts. */
static int read_fields(struct config *config, char **ret_message) {
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        const char *text = config_text(config, (enum config_key)key);
        struct setting_value value;
        /* A default may lie outside what may be given: null where a value must be non-null, "" where non-empty. */
        if (text == NULL) {
            value = (struct setting_value){.is_null = true};
        } else {
            int error = setting_parse(&definitions[key].setting, text, &value, ret_message);
            if (error != 0) {
                return error;
            }
        }
        set_field(config, (enum config_key)key, &value);
        setting_value_deinit(&value);
    }
    return config_derive(config, ret_message);
}

/* The nearest name is looked for in all the others: for so many keys as a file has by mistake, no more. */
static void warn_unknown(const char *name, bool wants_nearest) {
    if (config_is_of_listener(name)) {
        return;
    }
    /* Per-listener and plug-in keys carry a name of the user's in front or behind. */
    if (strncmp(name, "listener.name.", 14) == 0) {
        trace_warn(AREA, "%s is set, but this setting of a single listener has no effect in this version", name);
        return;
    }
    const char *nearest = wants_nearest ? config_nearest(name) : NULL;
    if (nearest != NULL) {
        trace_warn(AREA, "Unknown setting '%s' is ignored; did you mean '%s'?", name, nearest);
    } else {
        trace_warn(AREA, "Unknown setting '%s' is ignored", name);
    }
}

static void note_without_effect(const struct config_definition *definition) {
    static const char *const reasons[] = {
        [CONFIG_KRAFT] = "it concerns KRaft, and this broker uses ZooKeeper",
        [CONFIG_TIERED] = "tiered storage is not supported",
        [CONFIG_NEW_GROUPS] = "it concerns the group protocol that needs KRaft",
        [CONFIG_JVM] = "it concerns only a Java broker",
    };
    if (definition->concern != CONFIG_ZOOKEEPER) {
        trace_info(AREA, "%s has no effect: %s", definition->setting.key, reasons[definition->concern]);
    }
}

static void keep_unknown(struct config *config, enum config_source source, const struct property *property) {
    int32_t *count = &config->unknown_count[source];
    if (*count < CONFIG_UNKNOWN_MAX) {
        config->unknown[source][*count] = config_keep(config, property->key);
        config->unknown_value[source][*count] = config_keep(config, property->value);
        (*count)++;
    }
}

static void take_file(struct config *config, const struct properties *properties) {
    for (int32_t i = 0; i < properties->count; i++) {
        const char *name = properties->list[i].key;
        enum config_key key = config_find(str_from(name));
        if (key == CONFIG_KEY_COUNT || definitions[key].dynamic == CONFIG_DYNAMIC_ONLY) {
            warn_unknown(name, config->unknown_count[CONFIG_FILE] < CONFIG_UNKNOWN_MAX);
            keep_unknown(config, CONFIG_FILE, &properties->list[i]);
            continue;
        }
        note_without_effect(&definitions[key]);
        config->given[CONFIG_FILE][key] = config_keep(config, properties->list[i].value);
    }
}

/* node.id and broker.id name one thing: given one, both are, also for who asks for them. */
static void share_id(struct config *config) {
    const char **given = config->given[CONFIG_FILE];
    if (given[CONFIG_KEY_node_id] == NULL) {
        given[CONFIG_KEY_node_id] = given[CONFIG_KEY_broker_id];
    } else if (given[CONFIG_KEY_broker_id] == NULL) {
        given[CONFIG_KEY_broker_id] = given[CONFIG_KEY_node_id];
    }
}

/* A value may hold line ends ("\n" is an escape of the file's); what is said of it may not. */
static void make_one_line(char *message) {
    for (char *at = message; *at != 0; at++) {
        if (*at == '\n' || *at == '\r') {
            *at = ' ';
        }
    }
}

int config_create(const struct properties *properties, struct config **ret_config, char **ret_message) {
    struct config *config = xcalloc(1, sizeof *config);
    config->strings = xcalloc(1, sizeof *config->strings);
    take_file(config, properties);
    share_id(config);
    int error = read_fields(config, ret_message);
    if (error != 0) {
        make_one_line(*ret_message);
        config_destroy(config);
        return error;
    }
    *ret_config = config;
    return 0;
}

void config_destroy(struct config *config) {
    if (config == NULL) {
        return;
    }
    free_strings(config->strings);
    free(config->strings);
    free(config);
}

/* Takes one dynamic value into `next`, after checking it alone. */
static int take_dynamic(struct config *next, enum config_source source, const struct property *property,
                        char **ret_message) {
    enum config_key key = config_find(str_from(property->key));
    if (key == CONFIG_KEY_COUNT) {
        keep_unknown(next, source, property);
        return 0;
    }
    if (definitions[key].dynamic == CONFIG_READ_ONLY) {
        *ret_message = xasprintf("Cannot update these configs dynamically: Set(%s)", property->key);
        return ERR_INVALID;
    }
    if (source == CONFIG_DYNAMIC_DEFAULT && definitions[key].dynamic == CONFIG_PER_BROKER) {
        *ret_message =
            xasprintf("Cannot update these configs at default cluster level, broker id must be specified: Set(%s)",
                      property->key);
        return ERR_INVALID;
    }
    struct setting_value value;
    int error = setting_parse(&definitions[key].setting, property->value, &value, ret_message);
    if (error == 0) {
        setting_value_deinit(&value);
        next->given[source][key] = config_keep(next, property->value);
    }
    return error;
}

/* `next` with the source's values replaced. */
static int replace_values(struct config *next, enum config_source source, const struct properties *values,
                          bool is_lenient, char **ret_message) {
    CHECK(source != CONFIG_FILE);
    memset(next->given[source], 0, sizeof next->given[source]);
    next->unknown_count[source] = 0;
    for (int32_t i = 0; i < values->count; i++) {
        char *message = NULL;
        int error = take_dynamic(next, source, &values->list[i], &message);
        if (error != 0 && !is_lenient) {
            *ret_message = message;
            return error;
        }
        if (error != 0) {
            trace_warn(AREA, "Dynamic setting left out: %s", message);
            free(message);
        }
    }
    return read_fields(next, ret_message);
}

int config_set_dynamic(struct config *config, enum config_source source, const struct properties *values,
                       bool is_lenient, char **ret_message) {
    struct config next = *config;
    int error = replace_values(&next, source, values, is_lenient, ret_message);
    if (error == 0) {
        *config = next;
    }
    return error;
}

int config_check_dynamic(const struct config *config, enum config_source source, const struct properties *values,
                         char **ret_message) {
    struct config next = *config;
    struct config_strings strings = {NULL};
    next.strings = &strings; /* what is only tried leaves nothing behind */
    int error = replace_values(&next, source, values, false, ret_message);
    free_strings(&strings);
    return error;
}

void config_print(const struct config *config, void (*say)(void *context, const char *line), void *context) {
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        const struct setting *setting = &definitions[key].setting;
        const char *text = config_text(config, (enum config_key)key);
        if (definitions[key].dynamic == CONFIG_DYNAMIC_ONLY) {
            continue;
        }
        bool is_hidden = text != NULL && setting->type == SETTING_PASSWORD;
        char *line = xasprintf("\t%s = %s", setting->key, text == NULL ? "null" : is_hidden ? "[hidden]" : text);
        say(context, line);
        free(line);
    }
}
