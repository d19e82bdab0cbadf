/* Reading, checking and printing the value of one setting. */
#include "broker/setting.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

/* Type numbers of the DescribeConfigs response. */
int8_t setting_type_code(enum setting_type type) {
    static const int8_t codes[] = {
        [SETTING_BOOLEAN] = 1, [SETTING_STRING] = 2, [SETTING_INT] = 3,   [SETTING_SHORT] = 4,    [SETTING_LONG] = 5,
        [SETTING_DOUBLE] = 6,  [SETTING_LIST] = 7,   [SETTING_CLASS] = 8, [SETTING_PASSWORD] = 9,
    };
    return codes[type];
}

const char *setting_type_name(enum setting_type type) {
    static const char *const names[] = {
        [SETTING_BOOLEAN] = "boolean", [SETTING_STRING] = "string", [SETTING_INT] = "int",
        [SETTING_SHORT] = "short",     [SETTING_LONG] = "long",     [SETTING_DOUBLE] = "double",
        [SETTING_LIST] = "list",       [SETTING_CLASS] = "class",   [SETTING_PASSWORD] = "password",
    };
    return names[type];
}

static int refuse(const struct setting *setting, const char *value, char **ret_message, const char *reason) {
    const char *shown = value == NULL ? "null" : setting->type == SETTING_PASSWORD ? "[hidden]" : value;
    *ret_message = xasprintf("Invalid value %s for configuration %s: %s", shown, setting->key, reason);
    return ERR_INVALID;
}

static char *trimmed(const char *text) {
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t size = strlen(text);
    while (size > 0 && isspace((unsigned char)text[size - 1])) {
        size--;
    }
    return xstrndup(text, size);
}

/* Decimal with an optional sign, as Java reads it: no blanks, no other base. */
static bool parse_integer(const char *text, int64_t min, int64_t max, int64_t *ret) {
    const char *digits = text + (*text == '-' || *text == '+' ? 1 : 0);
    if (*digits == '\0' || strspn(digits, "0123456789") != strlen(digits)) {
        return false;
    }
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno != 0 || value < min || value > max) {
        return false;
    }
    *ret = value;
    return true;
}

static bool parse_real(const char *text, double *ret) {
    if (*text == '\0' || strspn(text, "0123456789+-.eE") != strlen(text)) {
        return false;
    }
    char *end;
    *ret = strtod(text, &end);
    return *end == '\0';
}

/* The shortest digits that read back as the same number, laid out as Java's Double.toString does. */
static char *print_real(double value) {
    if (value == 0) {
        return xstrdup("0.0");
    }
    if (isinf(value)) { /* what is too large to be told apart, as Java reads it */
        return xstrdup(value > 0 ? "Infinity" : "-Infinity");
    }
    char digits[40];
    int precision = 1;
    do {
        snprintf(digits, sizeof digits, "%.*e", precision - 1, value);
    } while (strtod(digits, NULL) != value && precision++ < DBL_DECIMAL_DIG);
    double size = fabs(value);
    char *exponent = strchr(digits, 'e');
    CHECK(exponent != NULL);
    if (size >= 1e-3 && size < 1e7) {
        int whole = atoi(exponent + 1) + 1;
        int decimals = precision - whole > 1 ? precision - whole : 1;
        return xasprintf("%.*f", decimals, value);
    }
    *exponent = '\0';
    return xasprintf("%s%sE%d", digits, strchr(digits, '.') == NULL ? ".0" : "", atoi(exponent + 1));
}

bool setting_list_next(const char **at, const char **ret_entry, int32_t *ret_size) {
    const char *from = *at;
    if (from == NULL) {
        return false;
    }
    size_t size = strcspn(from, ",");
    *at = from[size] == ',' ? from + size + 1 : NULL;
    while (size > 0 && isspace((unsigned char)*from)) {
        from++;
        size--;
    }
    while (size > 0 && isspace((unsigned char)from[size - 1])) {
        size--;
    }
    *ret_entry = from;
    *ret_size = (int32_t)size;
    return true;
}

static char *print_list(const char *text) {
    char *printed = xmalloc(strlen(text) + 1);
    size_t used = 0;
    const char *at = *text == '\0' ? NULL : text;
    const char *entry;
    int32_t size;
    bool is_first = true;
    while (setting_list_next(&at, &entry, &size)) {
        if (!is_first) {
            printed[used++] = ',';
        }
        is_first = false;
        memcpy(printed + used, entry, (size_t)size);
        used += (size_t)size;
    }
    printed[used] = '\0';
    return printed;
}

static bool is_choice(const char *choices, const char *value, int32_t size, bool any_case) {
    const char *at = choices;
    const char *entry;
    int32_t entry_size;
    while (setting_list_next(&at, &entry, &entry_size)) {
        if (entry_size == size &&
            (any_case ? strncasecmp(entry, value, (size_t)size) == 0 : memcmp(entry, value, (size_t)size) == 0)) {
            return true;
        }
    }
    return false;
}

static int check_choice(const struct setting *setting, const struct setting_value *value, char **ret_message) {
    bool any_case = setting->limit == LIMIT_ONE_OF_ANY_CASE;
    char *reason = xasprintf("String must be one of%s: %s", any_case ? " (case insensitive)" : "", setting->choices);
    int error = 0;
    if (setting->type != SETTING_LIST) {
        if (value->is_null || !is_choice(setting->choices, value->text, (int32_t)strlen(value->text), any_case)) {
            error = refuse(setting, value->text, ret_message, reason);
        }
    } else {
        const char *at = value->is_null || value->text[0] == '\0' ? NULL : value->text;
        const char *entry;
        int32_t size;
        while (error == 0 && setting_list_next(&at, &entry, &size)) {
            if (!is_choice(setting->choices, entry, size, any_case)) {
                char *shown = xstrndup(entry, (size_t)size);
                error = refuse(setting, shown, ret_message, reason);
                free(shown);
            }
        }
    }
    free(reason);
    return error;
}

static int check_range(const struct setting *setting, const struct setting_value *value, char **ret_message) {
    if (value->is_null) {
        return refuse(setting, NULL, ret_message, "Value must be non-null");
    }
    double number = setting->type == SETTING_DOUBLE ? value->real : (double)value->integer;
    char reason[80];
    if (number < setting->min) {
        snprintf(reason, sizeof reason, "Value must be at least %.17g", setting->min);
        return refuse(setting, value->text, ret_message, reason);
    }
    if (setting->limit == LIMIT_BETWEEN && number > setting->max) {
        snprintf(reason, sizeof reason, "Value must be no more than %.17g", setting->max);
        return refuse(setting, value->text, ret_message, reason);
    }
    return 0;
}

/* 0.8.0 to 4.0-IV1: "N.N", "N.N.N" or "N.N.N.N", each with an optional "-IVn". */
static bool is_release(const char *text) {
    int numbers = 0;
    int major = -1;
    for (;;) {
        size_t digits = strspn(text, "0123456789");
        if (digits == 0 || digits > 4 || ++numbers > 4) {
            return false;
        }
        if (numbers == 1) {
            major = atoi(text);
        }
        text += digits;
        if (*text != '.') {
            break;
        }
        text++;
    }
    if (strncmp(text, "-IV", 3) == 0) {
        text += 3;
        size_t digits = strspn(text, "0123456789");
        text += digits;
        if (digits == 0) {
            return false;
        }
    }
    return *text == '\0' && numbers >= 2 && major <= 4;
}

static bool is_throttled_list(const char *text) {
    if (strcmp(text, "*") == 0 || *text == '\0') {
        return true;
    }
    const char *at = text;
    const char *entry;
    int32_t size;
    while (setting_list_next(&at, &entry, &size)) {
        size_t partition = strspn(entry, "0123456789");
        if (partition == 0 || entry[partition] != ':') {
            return false;
        }
        size_t broker = strspn(entry + partition + 1, "0123456789");
        if (broker == 0 || partition + 1 + broker != (size_t)size) {
            return false;
        }
    }
    return true;
}

static int check_limit(const struct setting *setting, const struct setting_value *value, char **ret_message) {
    switch (setting->limit) {
    case LIMIT_NONE: return 0;
    case LIMIT_AT_LEAST:
    case LIMIT_BETWEEN: return check_range(setting, value, ret_message);
    case LIMIT_ONE_OF:
    case LIMIT_ONE_OF_ANY_CASE: return check_choice(setting, value, ret_message);
    case LIMIT_NON_NULL: return value->is_null ? refuse(setting, NULL, ret_message, "entry must be non null") : 0;
    case LIMIT_NON_EMPTY:
        return !value->is_null && value->text[0] == '\0'
                   ? refuse(setting, value->text, ret_message, "String must be non-empty")
                   : 0;
    case LIMIT_GZIP_LEVEL:
        return value->integer != -1 && (value->integer < 1 || value->integer > 9)
                   ? refuse(setting, value->text, ret_message, "Value must be between 1 and 9 or equal to -1")
                   : 0;
    case LIMIT_MINUS_ONE_OR_AT_LEAST:
        return value->integer != -1 && (double)value->integer < setting->min
                   ? refuse(setting, value->text, ret_message, "Value must be -1 or at least 1")
                   : 0;
    case LIMIT_RELEASE:
        if (value->is_null || !is_release(value->text)) {
            char *reason = xasprintf("Version %s is not a valid version", value->is_null ? "null" : value->text);
            int error = refuse(setting, value->text, ret_message, reason);
            free(reason);
            return error;
        }
        return 0;
    case LIMIT_THROTTLED_REPLICAS:
        if (!value->is_null && !is_throttled_list(value->text)) {
            char *reason = xasprintf("%s must be the literal '*' or a list of replicas in the following format: "
                                     "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
                                     setting->key);
            char *shown = xasprintf("[%s]", value->text); /* a list, as Kafka shows one */
            int error = refuse(setting, shown, ret_message, reason);
            free(shown);
            free(reason);
            return error;
        }
        return 0;
    }
    return 0;
}

static int parse_typed(const struct setting *setting, const char *text, struct setting_value *value,
                       char **ret_message) {
    static const struct {
        int64_t min, max;
        const char *reason;
    } integers[] = {
        [SETTING_INT] = {INT32_MIN, INT32_MAX, "Not a number of type INT"},
        [SETTING_LONG] = {INT64_MIN, INT64_MAX, "Not a number of type LONG"},
        [SETTING_SHORT] = {INT16_MIN, INT16_MAX, "Not a number of type SHORT"},
    };
    switch (setting->type) {
    case SETTING_BOOLEAN:
        value->boolean = strcasecmp(text, "true") == 0;
        if (!value->boolean && strcasecmp(text, "false") != 0) {
            return refuse(setting, text, ret_message, "Expected value to be either true or false");
        }
        value->text = xstrdup(value->boolean ? "true" : "false");
        return 0;
    case SETTING_INT:
    case SETTING_LONG:
    case SETTING_SHORT:
        if (!parse_integer(text, integers[setting->type].min, integers[setting->type].max, &value->integer)) {
            return refuse(setting, text, ret_message, integers[setting->type].reason);
        }
        value->text = xasprintf("%lld", (long long)value->integer);
        return 0;
    case SETTING_DOUBLE:
        if (!parse_real(text, &value->real)) {
            return refuse(setting, text, ret_message, "Not a number of type DOUBLE");
        }
        value->text = print_real(value->real);
        return 0;
    case SETTING_LIST: value->text = print_list(text); return 0;
    case SETTING_STRING:
    case SETTING_CLASS:
    case SETTING_PASSWORD: value->text = xstrdup(text); return 0;
    }
    return ERR_INVALID;
}

int setting_parse(const struct setting *setting, const char *text, struct setting_value *ret_value,
                  char **ret_message) {
    *ret_value = (struct setting_value){.is_null = text == NULL};
    int error = 0;
    if (text != NULL) {
        char *clean = trimmed(text);
        error = parse_typed(setting, clean, ret_value, ret_message);
        free(clean);
    }
    if (error == 0) {
        error = check_limit(setting, ret_value, ret_message);
    }
    if (error != 0) {
        setting_value_deinit(ret_value);
    }
    return error;
}

void setting_value_deinit(struct setting_value *value) {
    free(value->text);
    value->text = NULL;
}

void setting_limit_text(const struct setting *setting, char *ret_text, int32_t size) {
    size_t room = (size_t)size;
    switch (setting->limit) {
    case LIMIT_AT_LEAST: snprintf(ret_text, room, "at least %.17g", setting->min); return;
    case LIMIT_BETWEEN: snprintf(ret_text, room, "%.17g to %.17g", setting->min, setting->max); return;
    case LIMIT_ONE_OF:
    case LIMIT_ONE_OF_ANY_CASE: snprintf(ret_text, room, "one of: %s", setting->choices); return;
    case LIMIT_NON_EMPTY: snprintf(ret_text, room, "not empty"); return;
    case LIMIT_GZIP_LEVEL: snprintf(ret_text, room, "1 to 9, or -1"); return;
    case LIMIT_MINUS_ONE_OR_AT_LEAST: snprintf(ret_text, room, "-1, or at least %.17g", setting->min); return;
    case LIMIT_RELEASE: snprintf(ret_text, room, "a Kafka release, such as 3.9-IV0"); return;
    case LIMIT_THROTTLED_REPLICAS: snprintf(ret_text, room, "* or partition:broker pairs"); return;
    case LIMIT_NON_NULL:
    case LIMIT_NONE: snprintf(ret_text, room, "%s", ""); return;
    }
}
