/* One setting of a table (config.tbl.h, topic_config.tbl.h): its type, what it allows, and how its text is read.
 *
 * Reads and prints values as Kafka's ConfigDef does, so that DescribeConfigs and refusals have its wording. */
#ifndef OTTLA_SETTING_H
#define OTTLA_SETTING_H

#include <stdbool.h>
#include <stdint.h>

enum setting_type {
    SETTING_BOOLEAN,
    SETTING_INT,
    SETTING_LONG,
    SETTING_SHORT,
    SETTING_DOUBLE,
    SETTING_STRING,
    SETTING_LIST,
    SETTING_CLASS,
    SETTING_PASSWORD,
};

enum setting_limit {
    LIMIT_NONE,
    LIMIT_AT_LEAST,
    LIMIT_BETWEEN,
    LIMIT_ONE_OF, /* each entry of a list */
    LIMIT_ONE_OF_ANY_CASE,
    LIMIT_NON_NULL,
    LIMIT_NON_EMPTY,
    LIMIT_GZIP_LEVEL, /* 1 to 9, or -1 for the library's choice */
    LIMIT_MINUS_ONE_OR_AT_LEAST,
    LIMIT_RELEASE,            /* a Kafka release such as 3.9-IV0 */
    LIMIT_THROTTLED_REPLICAS, /* partition:broker pairs or * */
};

struct setting {
    const char *key;
    enum setting_type type;
    enum setting_limit limit;
    double min;
    double max;
    const char *choices;       /* separated by ", " */
    const char *default_value; /* NULL: null */
    const char *meaning;
};

struct setting_value {
    bool is_null;
    bool boolean;
    int64_t integer;
    double real;
    char *text; /* heap: as Kafka prints the parsed value; NULL for null */
};

/* Reads the text (NULL: null). 0 with *ret_value (free its text with setting_value_deinit), or ERR_INVALID with
 * *ret_message (heap): "Invalid value V for configuration K: REASON". */
int setting_parse(const struct setting *setting, const char *text, struct setting_value *ret_value, char **ret_message);
void setting_value_deinit(struct setting_value *value);
/* Kafka's numbers for types in DescribeConfigs. */
int8_t setting_type_code(enum setting_type type);
const char *setting_type_name(enum setting_type type);
/* One line for people: "at least 1", "one of: a, b"; "" when anything goes. Caller's buffer. */
void setting_limit_text(const struct setting *setting, char *ret_text, int32_t size);

/* Steps through a comma list: trims each entry and skips none. Returns false at the end. */
bool setting_list_next(const char **at, const char **ret_entry, int32_t *ret_size);

#endif
