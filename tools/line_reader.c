/* See line_reader.h. Lines are bytes; separators are found as bytes. */
#include "tools/line_reader.h"

#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define KAFKA_EXCEPTION "org.apache.kafka.common.KafkaException"

static const char *property_or(const struct property_list *properties, const char *key, const char *fallback) {
    const char *value = property_list_get(properties, key);
    return value != NULL ? value : fallback;
}

static int check_separators(const struct line_reader *reader, struct failure *failure) {
    const struct {
        const char *name;
        const char *value;
    } all[] = {{"null.marker", reader->null_marker},
               {"key.separator", reader->key_separator},
               {"headers.delimiter", reader->headers_delimiter},
               {"headers.separator", reader->headers_separator},
               {"headers.key.separator", reader->headers_key_separator}};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        for (size_t j = i + 1; j < ARRAY_SIZE(all); j++) {
            /* A key's separator may be that of the headers: they are looked for one after the other. */
            bool may_be_equal = i == 1;
            if (!may_be_equal && all[i].value != NULL && strcmp(all[i].value, all[j].value) == 0) {
                return failure_set(failure, KAFKA_EXCEPTION, "%s and %s may not be equal", all[i].name, all[j].name);
            }
        }
    }
    return 0;
}

int line_reader_init(struct line_reader *reader, const struct property_list *properties, struct failure *failure) {
    *reader = (struct line_reader){
        .parse_key = property_list_bool(properties, "parse.key", false),
        .parse_headers = property_list_bool(properties, "parse.headers", false),
        .ignore_error = property_list_bool(properties, "ignore.error", false),
        .key_separator = property_or(properties, "key.separator", "\t"),
        .headers_delimiter = property_or(properties, "headers.delimiter", "\t"),
        .headers_separator = property_or(properties, "headers.separator", ","),
        .headers_key_separator = property_or(properties, "headers.key.separator", ":"),
        .null_marker = property_list_get(properties, "null.marker"),
    };
    int error = check_separators(reader, failure);
    if (error != 0) {
        return error;
    }
    int code;
    PCRE2_SIZE at;
    reader->separator_code =
        pcre2_compile((PCRE2_SPTR)reader->headers_separator, PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL);
    if (reader->separator_code == NULL) {
        return failure_set(failure, "java.util.regex.PatternSyntaxException", "headers.separator: %s",
                           reader->headers_separator);
    }
    return 0;
}

void line_reader_deinit(struct line_reader *reader) {
    pcre2_code_free(reader->separator_code);
    free(reader->headers);
    *reader = (struct line_reader){0};
}

/* The part of `line` from `begin` up to the separator; null when it is not there and errors are ignored. */
static int take_part(const struct line_reader *reader, struct str line, int32_t begin, const char *separator,
                     const char *name, struct str *ret_part, struct failure *failure) {
    const char *found = memmem(line.data + begin, (size_t)(line.size - begin), separator, strlen(separator));
    if (found != NULL) {
        *ret_part = (struct str){line.data + begin, (int32_t)(found - line.data) - begin};
        return 0;
    }
    *ret_part = STR_NULL;
    if (reader->ignore_error) {
        return 0;
    }
    return failure_set(failure, KAFKA_EXCEPTION, "No %s found on line number %lld: '%.*s'", name,
                       (long long)reader->line_number, STR_ARGS(line));
}

static bool is_null_marker(const struct line_reader *reader, struct str text) {
    return reader->null_marker != NULL && str_equal_text(text, reader->null_marker);
}

static struct slice slice_unless_null(const struct line_reader *reader, struct str text) {
    return str_is_null(text) || is_null_marker(reader, text) ? SLICE_NULL
                                                             : (struct slice){(const uint8_t *)text.data, text.size};
}

static int add_header(struct line_reader *reader, struct str pair, struct failure *failure) {
    reader->headers = xrealloc(reader->headers, ((size_t)reader->header_count + 1) * sizeof *reader->headers);
    struct producer_header *header = &reader->headers[reader->header_count++];
    size_t separator_size = strlen(reader->headers_key_separator);
    const char *found = memmem(pair.data, (size_t)pair.size, reader->headers_key_separator, separator_size);
    if (found == NULL) {
        *header = (struct producer_header){pair, SLICE_NULL};
        if (reader->ignore_error) {
            return 0;
        }
        return failure_set(failure, KAFKA_EXCEPTION, "No header key separator found in pair '%.*s' on line number %lld",
                           STR_ARGS(pair), (long long)reader->line_number);
    }
    struct str key = {pair.data, (int32_t)(found - pair.data)};
    if (is_null_marker(reader, key)) {
        return failure_set(failure, KAFKA_EXCEPTION,
                           "Header keys should not be equal to the null marker '%s' as they can't be null",
                           reader->null_marker);
    }
    struct str value = {found + separator_size, pair.size - key.size - (int32_t)separator_size};
    *header = (struct producer_header){key, slice_unless_null(reader, value)};
    return 0;
}

/* Splits as Java's Pattern.split: empty parts at the end are dropped. */
static int take_headers(struct line_reader *reader, struct str text, struct failure *failure) {
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(reader->separator_code, NULL);
    CHECK(match != NULL);
    PCRE2_SIZE begin = 0;
    PCRE2_SIZE size = (PCRE2_SIZE)text.size;
    int error = 0;
    while (error == 0) {
        PCRE2_SIZE end = size;
        PCRE2_SIZE next = size;
        bool found = pcre2_match(reader->separator_code, (PCRE2_SPTR)text.data, size, begin, 0, match, NULL) > 0;
        if (found) {
            const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(match);
            found = bounds[1] > bounds[0];
            end = found ? bounds[0] : end;
            next = found ? bounds[1] : next;
        }
        if (end > begin || (found && next < size) || begin == 0) {
            error = add_header(reader, (struct str){text.data + begin, (int32_t)(end - begin)}, failure);
        }
        begin = next;
        if (!found || begin >= size) {
            break;
        }
    }
    pcre2_match_data_free(match);
    return error;
}

int line_reader_parse(struct line_reader *reader, struct str line, struct producer_record *ret_record,
                      struct failure *failure) {
    reader->line_number++;
    reader->header_count = 0;
    struct str headers = STR_NULL;
    struct str key = STR_NULL;
    int32_t at = 0;
    int error = 0;
    if (reader->parse_headers) {
        error = take_part(reader, line, at, reader->headers_delimiter, "headers delimiter", &headers, failure);
        at += str_is_null(headers) ? 0 : headers.size + (int32_t)strlen(reader->headers_delimiter);
    }
    if (error == 0 && reader->parse_key) {
        error = take_part(reader, line, at, reader->key_separator, "key separator", &key, failure);
        at += str_is_null(key) ? 0 : key.size + (int32_t)strlen(reader->key_separator);
    }
    if (error == 0 && !str_is_null(headers) && !is_null_marker(reader, headers)) {
        error = take_headers(reader, headers, failure);
    }
    *ret_record = (struct producer_record){
        .key = slice_unless_null(reader, key),
        .value = slice_unless_null(reader, (struct str){line.data + at, line.size - at}),
        .headers = reader->headers,
        .header_count = reader->header_count,
    };
    return error;
}
