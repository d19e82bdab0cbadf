/* The console producer's reading of lines: "headers<TAB>key<TAB>value", each part if asked for (cli.md, section 2). */
#ifndef OTTLA_TOOLS_LINE_READER_H
#define OTTLA_TOOLS_LINE_READER_H

#include "tools/client/producer.h"
#include "tools/property_list.h"
#include "tools/report.h"

struct line_reader {
    bool parse_key;
    bool parse_headers;
    bool ignore_error;
    const char *key_separator;
    const char *headers_delimiter;
    const char *headers_separator; /* a regular expression */
    const char *headers_key_separator;
    const char *null_marker; /* NULL: none */
    void *separator_code;    /* headers_separator, compiled */
    int64_t line_number;     /* of the line last parsed, from 1 */
    struct producer_header *headers;
    int32_t header_count;
};

/* The texts stay the properties'. ERR_INVALID with the failure set when two separators are equal. */
int line_reader_init(struct line_reader *reader, const struct property_list *properties, struct failure *failure);
void line_reader_deinit(struct line_reader *reader);
/* Parses the next line; the record points into it and into the reader until the next call. */
int line_reader_parse(struct line_reader *reader, struct str line, struct producer_record *ret_record,
                      struct failure *failure);

#endif
