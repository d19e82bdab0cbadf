/* Builds the entries from the tables of settings. */
#include "broker/request/config_entries.h"

#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/setting.h"
#include "broker/topic_config.h"

/* Sources, as numbered in the protocol. */
enum {
    SOURCE_TOPIC = 1,
    SOURCE_DYNAMIC_BROKER = 2,
    SOURCE_DYNAMIC_DEFAULT = 3,
    SOURCE_STATIC_BROKER = 4,
    SOURCE_DEFAULT = 5,
};

/* A synonym for each name of a setting, at each level, and one for the topic's own value. */
#define SYNONYMS_MAX (3 * (CONFIG_SOURCE_COUNT + 1) + 1)

struct entry {
    struct describe_configs_response_describe_configs_resource_result result;
    uint32_t bucket;
    int32_t hash;
};

static struct str keep(struct arena *arena, const char *text) {
    return text == NULL ? STR_NULL : arena_str(arena, str_from(text));
}

/* The text as Kafka prints the parsed value. */
static struct str canonical(struct arena *arena, const struct setting *setting, const char *text) {
    struct setting_value value;
    char *message = NULL;
    if (text == NULL || setting_parse(setting, text, &value, &message) != 0) {
        free(message);
        return keep(arena, text);
    }
    struct str kept = keep(arena, value.text);
    setting_value_deinit(&value);
    return kept;
}

static bool is_asked(const struct config_entries_options *options, const char *name) {
    for (int32_t i = 0; i < options->key_count; i++) {
        if (str_equal_text(options->keys[i], name)) {
            return true;
        }
    }
    return options->key_count <= 0;
}

/* Synonyms of a broker key in the order of force, without the entries before the first of that very name. Returns how
 * many were written. `only_default` keeps those of the dynamic default. */
static int32_t add_synonyms(const struct config *config, enum config_key key, bool only_default, struct arena *arena,
                            struct describe_configs_response_describe_configs_synonym *list, int32_t count) {
    static const int8_t sources[] = {SOURCE_DYNAMIC_BROKER, SOURCE_DYNAMIC_DEFAULT, SOURCE_STATIC_BROKER,
                                     SOURCE_DEFAULT};
    enum config_key names[3];
    int32_t name_count = config_synonyms(key, names);
    bool has_begun = false;
    for (int source = 0; source <= CONFIG_SOURCE_COUNT; source++) {
        for (int32_t i = 0; i < name_count; i++) {
            const struct setting *setting = &config_definition(names[i])->setting;
            /* What is no key of the file has no default that could be asked for: the throttles are such. */
            const char *fallback =
                config_definition(names[i])->dynamic == CONFIG_DYNAMIC_ONLY ? NULL : setting->default_value;
            const char *text = source < CONFIG_SOURCE_COUNT ? config->given[source][names[i]] : fallback;
            has_begun = has_begun || (text != NULL && names[i] == key);
            if (text == NULL || !has_begun || (only_default && sources[source] != SOURCE_DYNAMIC_DEFAULT)) {
                continue;
            }
            list[count++] = (struct describe_configs_response_describe_configs_synonym){
                .name = str_from(setting->key),
                .value = setting->type == SETTING_PASSWORD ? STR_NULL : keep(arena, text),
                .source = sources[source],
            };
        }
    }
    return count;
}

/* Fills what the synonyms decide: source, and the list where it was asked for. is_default (version 0 only) stays false,
 * as Kafka leaves it. */
static void finish_entry(struct describe_configs_response_describe_configs_resource_result *entry,
                         struct describe_configs_response_describe_configs_synonym *synonyms, int32_t count,
                         const struct setting *setting, const struct config_entries_options *options) {
    entry->config_source = count == 0 ? SOURCE_DEFAULT : synonyms[0].source;
    entry->synonyms = synonyms;
    entry->synonyms_count = options->with_synonyms ? count : 0;
    entry->config_type = setting == NULL ? 0 : setting_type_code(setting->type);
    entry->documentation = options->with_documentation && setting != NULL ? str_from(setting->meaning) : STR_NULL;
}

static int32_t java_hash(const char *text) {
    uint32_t hash = 0;
    for (; *text != '\0'; text++) {
        hash = hash * 31 + (uint8_t)*text;
    }
    return (int32_t)(hash ^ hash >> 16);
}

static int compare_entries(const void *a, const void *b) {
    const struct entry *x = a;
    const struct entry *y = b;
    if (x->bucket != y->bucket) {
        return x->bucket < y->bucket ? -1 : 1;
    }
    return (x->hash > y->hash) - (x->hash < y->hash);
}

/* Clients see the order of Kafka's hash table: buckets of a table at most three quarters full, then by hash. */
static void put_in_order(struct entry *entries, int32_t count, struct arena *arena,
                         struct describe_configs_response_describe_configs_result *ret) {
    uint32_t capacity = 16;
    while (capacity * 3 / 4 <= (uint32_t)count) {
        capacity *= 2;
    }
    for (int32_t i = 0; i < count; i++) {
        char name[256];
        struct str key = entries[i].result.name;
        CHECK(key.size < (int32_t)sizeof name);
        memcpy(name, key.data, (size_t)key.size);
        name[key.size] = '\0';
        entries[i].hash = java_hash(name);
        entries[i].bucket = (uint32_t)entries[i].hash & (capacity - 1);
    }
    qsort(entries, (size_t)count, sizeof *entries, compare_entries);
    ret->configs = ARENA_ARRAY(arena, struct describe_configs_response_describe_configs_resource_result, count);
    ret->configs_count = count;
    for (int32_t i = 0; i < count; i++) {
        ret->configs[i] = entries[i].result;
    }
}

static struct describe_configs_response_describe_configs_resource_result
topic_entry(const struct config *config, const struct properties *own, enum topic_config_key key,
            const struct config_entries_options *options, struct arena *arena) {
    const struct setting *setting = &topic_config_definition(key)->setting;
    struct describe_configs_response_describe_configs_resource_result entry;
    describe_configs_response_describe_configs_resource_result_init(&entry);
    entry.name = str_from(setting->key);
    const char *own_text = own == NULL ? NULL : properties_get(own, setting->key);
    struct describe_configs_response_describe_configs_synonym *synonyms =
        ARENA_ARRAY(arena, struct describe_configs_response_describe_configs_synonym, SYNONYMS_MAX);
    int32_t count = 0;
    if (own_text != NULL) {
        entry.value = canonical(arena, setting, own_text);
        synonyms[count++] = (struct describe_configs_response_describe_configs_synonym){
            .name = entry.name, .value = entry.value, .source = SOURCE_TOPIC};
    } else {
        char *inherited = topic_config_inherited(config, key);
        entry.value = canonical(arena, setting, inherited);
        free(inherited);
    }
    enum config_key broker_key = topic_config_broker_key(key);
    if (broker_key != CONFIG_KEY_COUNT) {
        count = add_synonyms(config, broker_key, false, arena, synonyms, count);
    }
    finish_entry(&entry, synonyms, count, setting, options);
    return entry;
}

void config_entries_of_topic(const struct config *config, const struct properties *own,
                             const struct config_entries_options *options, struct arena *arena,
                             struct describe_configs_response_describe_configs_result *ret) {
    struct entry entries[TOPIC_CONFIG_KEY_COUNT];
    int32_t count = 0;
    for (int key = 0; key < TOPIC_CONFIG_KEY_COUNT; key++) {
        if (is_asked(options, topic_config_definition((enum topic_config_key)key)->setting.key)) {
            entries[count++].result = topic_entry(config, own, (enum topic_config_key)key, options, arena);
        }
    }
    put_in_order(entries, count, arena, ret);
}

/* The text Kafka shows: a dynamic value takes the other names of its setting out of what was given before it. */
static const char *shown_text(const struct config *config, enum config_key key) {
    enum config_key names[3];
    int32_t name_count = config_synonyms(key, names);
    for (int source = 0; source < CONFIG_FILE && config->given[source][key] == NULL; source++) {
        for (int32_t i = 0; i < name_count; i++) {
            if (config->given[source][names[i]] != NULL) {
                return config_definition(key)->setting.default_value;
            }
        }
    }
    return config_text(config, key);
}

static struct describe_configs_response_describe_configs_resource_result
broker_entry(const struct config *config, enum config_key key, bool is_default,
             const struct config_entries_options *options, struct arena *arena) {
    const struct config_definition *definition = config_definition(key);
    const struct setting *setting = &definition->setting;
    struct describe_configs_response_describe_configs_resource_result entry;
    describe_configs_response_describe_configs_resource_result_init(&entry);
    entry.name = str_from(setting->key);
    const char *text = is_default ? config->given[CONFIG_DYNAMIC_DEFAULT][key] : shown_text(config, key);
    entry.is_sensitive = setting->type == SETTING_PASSWORD;
    entry.value = entry.is_sensitive ? STR_NULL : is_default ? keep(arena, text) : canonical(arena, setting, text);
    entry.read_only = definition->dynamic == CONFIG_READ_ONLY;
    struct describe_configs_response_describe_configs_synonym *synonyms =
        ARENA_ARRAY(arena, struct describe_configs_response_describe_configs_synonym, SYNONYMS_MAX);
    int32_t count = add_synonyms(config, key, is_default, arena, synonyms, 0);
    finish_entry(&entry, synonyms, count, setting, options);
    return entry;
}

/* A name that is no key: Kafka hides its value, since it cannot know whether it is a password. */
static struct describe_configs_response_describe_configs_resource_result
unknown_entry(const char *name, enum config_source source, const struct config_entries_options *options,
              struct arena *arena) {
    static const int8_t sources[] = {SOURCE_DYNAMIC_BROKER, SOURCE_DYNAMIC_DEFAULT, SOURCE_STATIC_BROKER};
    struct describe_configs_response_describe_configs_resource_result entry;
    describe_configs_response_describe_configs_resource_result_init(&entry);
    entry.name = str_from(name);
    entry.value = STR_NULL;
    entry.is_sensitive = true;
    entry.read_only = true;
    struct describe_configs_response_describe_configs_synonym *synonyms =
        ARENA_NEW(arena, struct describe_configs_response_describe_configs_synonym);
    *synonyms = (struct describe_configs_response_describe_configs_synonym){
        .name = entry.name, .value = STR_NULL, .source = sources[source]};
    finish_entry(&entry, synonyms, 1, NULL, options);
    return entry;
}

static bool has_entry(const struct entry *entries, int32_t count, const char *name) {
    for (int32_t i = 0; i < count; i++) {
        if (str_equal_text(entries[i].result.name, name)) {
            return true;
        }
    }
    return false;
}

/* Kafka lists every documented key, and the others once they are given. */
static bool is_listed(const struct config *config, enum config_key key, bool is_default) {
    if (is_default) {
        return config->given[CONFIG_DYNAMIC_DEFAULT][key] != NULL;
    }
    if (config_definition(key)->visibility == CONFIG_PUBLIC) {
        return true;
    }
    for (int source = 0; source < CONFIG_SOURCE_COUNT; source++) {
        if (config->given[source][key] != NULL) {
            return true;
        }
    }
    return false;
}

void config_entries_of_broker(const struct config *config, bool is_default,
                              const struct config_entries_options *options, struct arena *arena,
                              struct describe_configs_response_describe_configs_result *ret) {
    struct entry *entries = xcalloc(CONFIG_KEY_COUNT + CONFIG_SOURCE_COUNT * CONFIG_UNKNOWN_MAX, sizeof(struct entry));
    int32_t count = 0;
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        if (is_listed(config, (enum config_key)key, is_default) &&
            is_asked(options, config_definition((enum config_key)key)->setting.key)) {
            entries[count++].result = broker_entry(config, (enum config_key)key, is_default, options, arena);
        }
    }
    for (int source = 0; source < CONFIG_SOURCE_COUNT; source++) {
        if (is_default && source != CONFIG_DYNAMIC_DEFAULT) {
            continue;
        }
        for (int32_t i = 0; i < config->unknown_count[source]; i++) {
            const char *name = config->unknown[source][i];
            if (is_asked(options, name) && strlen(name) < 256 && !has_entry(entries, count, name)) {
                entries[count++].result = unknown_entry(name, (enum config_source)source, options, arena);
            }
        }
    }
    put_in_order(entries, count, arena, ret);
    free(entries);
}

void config_entries_of_new_topic(const struct config *config, const struct properties *own, struct arena *arena,
                                 struct create_topics_response_creatable_topic_result *ret) {
    static const struct config_entries_options all = {0};
    struct describe_configs_response_describe_configs_result described;
    describe_configs_response_describe_configs_result_init(&described);
    config_entries_of_topic(config, own, &all, arena, &described);
    ret->configs = ARENA_ARRAY(arena, struct create_topics_response_creatable_topic_configs, described.configs_count);
    ret->configs_count = described.configs_count;
    for (int32_t i = 0; i < described.configs_count; i++) {
        const struct describe_configs_response_describe_configs_resource_result *entry = &described.configs[i];
        ret->configs[i] = (struct create_topics_response_creatable_topic_configs){
            .name = entry->name,
            .value = entry->value,
            .read_only = entry->read_only,
            .config_source = entry->config_source,
            .is_sensitive = entry->is_sensitive,
        };
    }
}
