/* PCRE2 stands in for Java's regular expressions; the two agree on everything people write for topic names. */
#include "tools/topic_filter.h"

#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct topic_filter {
    pcre2_code *code;
    pcre2_match_data *match;
};

char *topic_filter_normalize(const char *pattern) {
    char *text = xstrdup(pattern);
    size_t size = 0;
    for (const char *at = pattern; *at != '\0'; at++) {
        if (*at != ' ' && *at != '\t') {
            text[size++] = *at == ',' ? '|' : *at;
        }
    }
    text[size] = '\0';
    while (size > 0 && strchr("\"'", text[size - 1]) != NULL) {
        text[--size] = '\0';
    }
    size_t quotes = strspn(text, "\"'");
    memmove(text, text + quotes, size - quotes + 1);
    return text;
}

struct topic_filter *topic_filter_create(const char *pattern) {
    char *text = topic_filter_normalize(pattern);
    int error;
    PCRE2_SIZE at;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                                     PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF, &error, &at, NULL);
    free(text);
    if (code == NULL) {
        return NULL;
    }
    struct topic_filter *filter = xcalloc(1, sizeof *filter);
    *filter = (struct topic_filter){code, pcre2_match_data_create_from_pattern(code, NULL)};
    CHECK(filter->match != NULL);
    return filter;
}

void topic_filter_destroy(struct topic_filter *filter) {
    if (filter != NULL) {
        pcre2_match_data_free(filter->match);
        pcre2_code_free(filter->code);
        free(filter);
    }
}

bool topic_filter_matches(const struct topic_filter *filter, struct str name) {
    return filter == NULL ||
           pcre2_match(filter->code, (PCRE2_SPTR)name.data, (PCRE2_SIZE)name.size, 0, 0, filter->match, NULL) >= 0;
}
