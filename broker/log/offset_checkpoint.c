/* Line by line, trusting nothing. */
#include "broker/log/offset_checkpoint.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

/* The next line without its newline; false at the end. */
static bool next_line(struct checkpoint_reader *reader, struct str *ret_line) {
    if (reader->at >= reader->end) {
        return false;
    }
    const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    const char *end = newline != NULL ? newline : reader->end;
    *ret_line = (struct str){reader->at, (int32_t)(end - reader->at)};
    reader->at = newline != NULL ? newline + 1 : reader->end;
    return true;
}

/* Takes the word before the next space off the line. */
static struct str next_word(struct str *line) {
    while (line->size > 0 && (*line->data == ' ' || *line->data == '\t')) {
        line->data++;
        line->size--;
    }
    struct str word = {line->data, 0};
    while (word.size < line->size && line->data[word.size] != ' ' && line->data[word.size] != '\t' &&
           line->data[word.size] != '\r') {
        word.size++;
    }
    line->data += word.size;
    line->size -= word.size;
    return word;
}

static bool parse_number(struct str word, int64_t *ret) {
    bool negative = word.size > 0 && word.data[0] == '-';
    int64_t value = 0;
    int32_t i = negative ? 1 : 0;
    if (i == word.size) {
        return false;
    }
    for (; i < word.size; i++) {
        int digit = word.data[i] - '0';
        if (digit < 0 || digit > 9 || value > (INT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret = negative ? -value : value;
    return true;
}

int checkpoint_read_numbers(struct checkpoint_reader *reader, int64_t *ret_numbers, int count) {
    struct str line;
    if (!next_line(reader, &line)) {
        return ERR_CORRUPT;
    }
    for (int i = 0; i < count; i++) {
        if (!parse_number(next_word(&line), &ret_numbers[i])) {
            return ERR_CORRUPT;
        }
    }
    return next_word(&line).size == 0 ? 0 : ERR_CORRUPT;
}

int checkpoint_read_begin(struct checkpoint_reader *reader, const struct byte_buffer *text) {
    *reader = (struct checkpoint_reader){0};
    if (text->size == 0) {
        return 0;
    }
    reader->at = (const char *)text->data;
    reader->end = reader->at + text->size;
    int64_t version;
    int64_t count;
    if (checkpoint_read_numbers(reader, &version, 1) != 0 || version != 0 ||
        checkpoint_read_numbers(reader, &count, 1) != 0 || count < 0 || count > (int64_t)text->size) {
        return ERR_CORRUPT;
    }
    reader->count = (int32_t)count;
    return 0;
}

int checkpoint_read_offset(struct checkpoint_reader *reader, struct str *ret_topic, int32_t *ret_partition,
                           int64_t *ret_offset) {
    struct str line;
    int64_t partition;
    if (!next_line(reader, &line)) {
        return ERR_CORRUPT;
    }
    *ret_topic = next_word(&line);
    if (ret_topic->size == 0 || !parse_number(next_word(&line), &partition) || partition < 0 || partition > INT32_MAX ||
        !parse_number(next_word(&line), ret_offset) || next_word(&line).size != 0) {
        return ERR_CORRUPT;
    }
    *ret_partition = (int32_t)partition;
    return 0;
}

void checkpoint_print(struct byte_buffer *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    CHECK(size >= 0);
    char *to = (char *)byte_buffer_reserve(text, (size_t)size + 1);
    va_start(arguments, format);
    vsnprintf(to, (size_t)size + 1, format, arguments);
    va_end(arguments);
    text->size += (size_t)size;
}

/* Digits of a number that is not negative, before `end`; where they begin. */
static char *print_digits(char *end, int64_t number) {
    do {
        *--end = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return end;
}

void checkpoint_print_offset(struct byte_buffer *text, const char *topic, int32_t partition, int64_t offset) {
    char numbers[2 + 19 + 1 + 10]; /* a space, a partition, a space, an offset, a newline */
    char *end = numbers + sizeof numbers;
    char *at = end;
    CHECK(partition >= 0 && offset >= 0);
    *--at = '\n';
    at = print_digits(at, offset);
    *--at = ' ';
    at = print_digits(at, partition);
    *--at = ' ';
    byte_buffer_append(text, topic, strlen(topic));
    byte_buffer_append(text, at, (size_t)(end - at));
}
