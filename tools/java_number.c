#include "tools/java_number.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 17 /* what a double ever needs */

/* The fewest digits that read back equal, as "d.ddde±xx". */
static void shortest(double value, bool is_float, char *ret_text, size_t size) {
    for (int digits = 1; digits <= DIGITS_MAX; digits++) {
        snprintf(ret_text, size, "%.*e", digits - 1, value);
        double back = strtod(ret_text, NULL);
        if (is_float ? (float)back == (float)value : back == value) {
            return;
        }
    }
}

static void format(double value, bool is_float, char ret_text[JAVA_DOUBLE_SIZE]) {
    if (isnan(value) || isinf(value)) {
        snprintf(ret_text, JAVA_DOUBLE_SIZE, "%s", isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity");
        return;
    }
    if (value == 0) {
        snprintf(ret_text, JAVA_DOUBLE_SIZE, "%s", signbit(value) ? "-0.0" : "0.0");
        return;
    }
    char text[JAVA_DOUBLE_SIZE];
    shortest(fabs(value), is_float, text, sizeof text);
    char *mark = strchr(text, 'e');
    int exponent = (int)strtol(mark + 1, NULL, 10);
    *mark = '\0';
    char digits[DIGITS_MAX + 1];
    snprintf(digits, sizeof digits, "%c%.16s", text[0], text[1] == '.' ? text + 2 : "");
    const char *sign = value < 0 ? "-" : "";
    int count = (int)strlen(digits);
    if (exponent < -3 || exponent >= 7) {
        snprintf(ret_text, JAVA_DOUBLE_SIZE, "%s%c.%sE%d", sign, digits[0], count > 1 ? digits + 1 : "0", exponent);
    } else if (exponent < 0) {
        snprintf(ret_text, JAVA_DOUBLE_SIZE, "%s0.%.*s%s", sign, -exponent - 1, "000", digits);
    } else if (count <= exponent + 1) {
        snprintf(ret_text, JAVA_DOUBLE_SIZE, "%s%s%.*s.0", sign, digits, exponent + 1 - count, "0000000");
    } else {
        snprintf(ret_text, JAVA_DOUBLE_SIZE, "%s%.*s.%s", sign, exponent + 1, digits, digits + exponent + 1);
    }
}

void java_double_format(double value, char ret_text[JAVA_DOUBLE_SIZE]) {
    format(value, false, ret_text);
}

void java_float_format(float value, char ret_text[JAVA_DOUBLE_SIZE]) {
    format((double)value, true, ret_text);
}
