/* Reads a page of metrics from the standard input and says what is wrong with it. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "tests/lib/exposition.h"

#define PAGE_MAX ((size_t)64 * 1024 * 1024)

int main(void) {
    char *page = xmalloc(PAGE_MAX + 1);
    size_t size = fread(page, 1, PAGE_MAX, stdin);
    page[size] = '\0';
    int32_t samples;
    char *message = exposition_error(page, &samples);
    if (message != NULL) {
        puts(message);
    }
    printf("%zu bytes, %d samples\n", size, samples);
    int status = message != NULL || samples == 0;
    free(message);
    free(page);
    return status;
}
