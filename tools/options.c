/* The dialect of options.h. */
#include "tools/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/tool.h"

#define TABLE_WIDTH 80
#define TABLE_LEFT_MAX 38

static const struct option_spec *spec_find(const struct options *options, const char *name, size_t size) {
    for (size_t i = 0; i < options->spec_count; i++) {
        if (strlen(options->specs[i].name) == size && strncmp(options->specs[i].name, name, size) == 0) {
            return &options->specs[i];
        }
    }
    return NULL;
}

static bool looks_like_option(const char *word) {
    return word[0] == '-' && word[1] != '\0';
}

static void value_add(struct options *options, const struct option_spec *spec, const char *text) {
    options->values = xrealloc(options->values, (options->value_count + 1) * sizeof *options->values);
    options->values[options->value_count++] = (struct option_value){spec, text};
}

/* Takes one option at argv[*at]; moves *at past its argument. */
static int parse_option(struct options *options, int argc, char **argv, int *at, struct failure *failure) {
    const char *word = argv[*at];
    const char *name = word + (word[1] == '-' ? 2 : 1);
    const char *equals = strchr(name, '=');
    size_t size = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct option_spec *spec = spec_find(options, name, size);
    if (spec == NULL) {
        /* After one dash the library sees a cluster of one-letter options and complains of the first. */
        int shown = word[1] == '-' ? (int)size : 1;
        return failure_set(failure, "joptsimple.UnrecognizedOptionException", "%.*s is not a recognized option", shown,
                           name);
    }
    if (spec->argument == OPTION_FLAG) {
        value_add(options, spec, NULL);
        return 0;
    }
    if (equals != NULL) {
        value_add(options, spec, equals + 1);
        return 0;
    }
    bool has_next = *at + 1 < argc;
    if (spec->argument == OPTION_OPTIONAL) {
        bool taken = has_next && !looks_like_option(argv[*at + 1]);
        value_add(options, spec, taken ? argv[++*at] : NULL);
        return 0;
    }
    if (!has_next) {
        return failure_set(failure, "joptsimple.OptionMissingRequiredArgumentException",
                           "Option %s requires an argument", spec->name);
    }
    value_add(options, spec, argv[++*at]);
    return 0;
}

int options_parse(struct options *options, const struct option_spec *specs, size_t spec_count, int argc, char **argv,
                  struct failure *failure) {
    *options = (struct options){.specs = specs, .spec_count = spec_count};
    for (int at = 1; at < argc; at++) {
        if (strcmp(argv[at], "--") == 0) {
            break;
        }
        if (!looks_like_option(argv[at])) {
            continue;
        }
        int error = parse_option(options, argc, argv, &at, failure);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

void options_deinit(struct options *options) {
    free(options->values);
    *options = (struct options){0};
}

bool options_has(const struct options *options, const char *name) {
    for (size_t i = 0; i < options->value_count; i++) {
        if (strcmp(options->values[i].spec->name, name) == 0) {
            return true;
        }
    }
    return false;
}

size_t options_count(const struct options *options, const char *name) {
    size_t count = 0;
    for (size_t i = 0; i < options->value_count; i++) {
        count += strcmp(options->values[i].spec->name, name) == 0 && options->values[i].text != NULL;
    }
    return count;
}

const char *options_nth(const struct options *options, const char *name, size_t n) {
    for (size_t i = 0; i < options->value_count; i++) {
        if (strcmp(options->values[i].spec->name, name) == 0 && options->values[i].text != NULL && n-- == 0) {
            return options->values[i].text;
        }
    }
    return NULL;
}

const char *options_text(const struct options *options, const char *name) {
    return options_nth(options, name, 0);
}

int options_string(const struct options *options, const char *name, const char *fallback, const char **ret_text,
                   struct failure *failure) {
    if (options_count(options, name) > 1) {
        return failure_set(failure, "joptsimple.MultipleArgumentsForOptionException",
                           "Found multiple arguments for option %s, but you asked for only one", name);
    }
    const char *text = options_nth(options, name, 0);
    *ret_text = text != NULL ? text : fallback;
    return 0;
}

int options_long(const struct options *options, const char *name, int64_t fallback, int64_t *ret_value,
                 struct failure *failure) {
    const char *text;
    int error = options_string(options, name, NULL, &text, failure);
    if (error != 0) {
        return error;
    }
    *ret_value = fallback;
    if (text != NULL && parse_int64(text, ret_value) != 0) {
        return failure_set(failure, "joptsimple.OptionArgumentConversionException",
                           "Cannot parse argument '%s' of option %s", text, name);
    }
    return 0;
}

int options_int(const struct options *options, const char *name, int32_t fallback, int32_t *ret_value,
                struct failure *failure) {
    int64_t value;
    int error = options_long(options, name, fallback, &value, failure);
    if (error != 0) {
        return error;
    }
    if (value < INT32_MIN || value > INT32_MAX) {
        return failure_set(failure, "joptsimple.OptionArgumentConversionException",
                           "Cannot parse argument '%s' of option %s", options_text(options, name), name);
    }
    *ret_value = (int32_t)value;
    return 0;
}

int parse_int64(const char *text, int64_t *ret_value) {
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0') {
        return ERR_INVALID;
    }
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno != 0) {
        return ERR_INVALID;
    }
    *ret_value = value;
    return 0;
}

int parse_int32(const char *text, int32_t *ret_value) {
    int64_t value;
    if (parse_int64(text, &value) != 0 || value < INT32_MIN || value > INT32_MAX) {
        return ERR_INVALID;
    }
    *ret_value = (int32_t)value;
    return 0;
}

/* Prints at most `width` columns of `text`, broken at a blank where there is one; returns what is left. */
static const char *print_wrapped(FILE *out, const char *text, int width) {
    int size = (int)strlen(text);
    int cut = size;
    if (size > width) {
        cut = width;
        while (cut > 0 && text[cut] != ' ') {
            cut--;
        }
        cut = cut == 0 ? width : cut;
    }
    fprintf(out, "%.*s", cut, text);
    for (int i = cut; i < width; i++) {
        fputc(' ', out);
    }
    text += cut;
    return text + strspn(text, " ");
}

static void print_row(FILE *out, const char *left, const char *right, int left_width) {
    int right_width = TABLE_WIDTH - left_width - 1;
    bool first = true;
    while (*left != '\0' || *right != '\0') {
        if (first) {
            left = print_wrapped(out, left, left_width);
        } else {
            fputs("  ", out);
            left = print_wrapped(out, left, left_width - 2);
        }
        fputc(' ', out);
        if (first) {
            right = print_wrapped(out, right, right_width);
        } else {
            fputs("  ", out);
            right = print_wrapped(out, right, right_width - 2);
        }
        fputc('\n', out);
        first = false;
    }
}

void options_print_table(const struct options *options, FILE *out) {
    int width = (int)strlen("Option");
    char **left = xcalloc(options->spec_count + 1, sizeof *left);
    for (size_t i = 0; i < options->spec_count; i++) {
        const struct option_spec *spec = &options->specs[i];
        switch (spec->argument) {
        case OPTION_FLAG: left[i] = xasprintf("--%s", spec->name); break;
        case OPTION_REQUIRED: left[i] = xasprintf("--%s <%s>", spec->name, spec->label); break;
        case OPTION_OPTIONAL: left[i] = xasprintf("--%s [%s]", spec->name, spec->label); break;
        }
        width = MAX(width, (int)strlen(left[i]));
    }
    width = MIN(width, TABLE_LEFT_MAX);
    print_row(out, "Option", "Description", width);
    print_row(out, "------", "-----------", width);
    for (size_t i = 0; i < options->spec_count; i++) {
        print_row(out, left[i], options->specs[i].help, width);
        free(left[i]);
    }
    free(left);
}

int options_help(const struct options *options, int argc, bool help_without_arguments, const char *summary) {
    if ((argc <= 1 && help_without_arguments) || options_has(options, "help")) {
        fprintf(stderr, "%s\n", summary);
        options_print_table(options, stderr);
        return 1;
    }
    if (options_has(options, "version")) {
        printf("%s\n", TOOL_VERSION);
        return 0;
    }
    return -1;
}

int options_usage(const struct options *options, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    options_print_table(options, stderr);
    return 1;
}

int options_check_required(const struct options *options, const char *const *names) {
    for (; *names != NULL; names++) {
        if (!options_has(options, *names)) {
            return options_usage(options, "Missing required argument \"[%s]\"", *names);
        }
    }
    return 0;
}

int options_check_conflicts(const struct options *options, const char *name, const char *const *others) {
    for (; options_has(options, name) && *others != NULL; others++) {
        if (options_has(options, *others)) {
            return options_usage(options, "Option \"[%s]\" can't be used with option \"[%s]\"", name, *others);
        }
    }
    return 0;
}
