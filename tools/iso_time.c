/* The grammars of iso_time.h. */
#include "tools/iso_time.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

#define PARSE_EXCEPTION "java.text.ParseException"
#define DURATION_EXCEPTION "java.time.format.DateTimeParseException"
#define NO_DURATION "Text cannot be parsed to a Duration"
/* Java's Instant ends here. */
#define INSTANT_SECONDS_MIN INT64_C(-31557014167219200)
#define INSTANT_SECONDS_MAX INT64_C(31556889864403199)
#define NUMBER_MAX INT64_C(999999999) /* no field of a date is larger */

/* A field: blanks before it are skipped, as in Java, and it has as many digits as there are. */
static bool read_number(const char **at, int64_t *ret) {
    *at += strspn(*at, " \t");
    if (!isdigit((unsigned char)**at)) {
        return false;
    }
    for (*ret = 0; isdigit((unsigned char)**at); (*at)++) {
        *ret = *ret * 10 + (**at - '0');
        if (*ret > NUMBER_MAX) {
            return false;
        }
    }
    return true;
}

static bool read_two_digits(const char **at, int64_t max, int64_t *ret) {
    if (!isdigit((unsigned char)(*at)[0]) || !isdigit((unsigned char)(*at)[1])) {
        return false;
    }
    *ret = ((*at)[0] - '0') * 10 + ((*at)[1] - '0');
    *at += 2;
    return *ret <= max;
}

/* "Z", "+02:00", or "+02", of which whatever follows is not looked at. */
static bool read_zone(const char *at, int64_t *ret_seconds) {
    at += strspn(at, " \t");
    *ret_seconds = 0;
    if (*at == 'Z') {
        return true;
    }
    if (*at != '+' && *at != '-') {
        return false;
    }
    int64_t sign = *at++ == '-' ? -1 : 1;
    int64_t hours;
    int64_t minutes = 0;
    if (!read_two_digits(&at, 23, &hours)) {
        return false;
    }
    if (*at == ':') {
        at++;
        if (!read_two_digits(&at, 59, &minutes)) {
            minutes = 0;
        }
    }
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

static bool is_leap(int64_t year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 in the Gregorian calendar; the year's days are counted from its March. */
static int64_t days_of(int64_t year, int64_t month, int64_t day) {
    int64_t shifted = month > 2 ? year : year - 1;
    int64_t era = shifted / 400;
    int64_t of_era = shifted % 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool parse_datetime(const char *text, int64_t *ret_ms) {
    static const char separators[] = "--T::.";
    static const int8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t field[7];
    const char *at = text;
    for (size_t i = 0; i < ARRAY_SIZE(field); i++) {
        if (!read_number(&at, &field[i])) {
            return false;
        }
        if (i < ARRAY_SIZE(field) - 1 && *at++ != separators[i]) {
            return false;
        }
    }
    int64_t zone;
    int64_t month = field[1];
    if (!read_zone(at, &zone) || field[0] < 1 || month < 1 || month > 12 || field[2] < 1 || field[3] > 23 ||
        field[4] > 59 || field[5] > 59 || field[6] > 999) {
        return false;
    }
    if (field[2] > month_days[month - 1] + (month == 2 && is_leap(field[0]))) {
        return false;
    }
    int64_t seconds = days_of(field[0], month, field[2]) * 86400 + field[3] * 3600 + field[4] * 60 + field[5];
    *ret_ms = (seconds - zone) * 1000 + field[6];
    return true;
}

int iso_datetime_parse(const char *text, int64_t *ret_ms, struct failure *failure) {
    /* Java splits at the T and drops empty ends. */
    const char *t = strchr(text, 'T');
    if (t == NULL || t[1 + strspn(t + 1, "T")] == '\0') {
        return failure_set(failure, PARSE_EXCEPTION,
                           "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format");
    }
    size_t time_size = strcspn(t + 1, "T");
    bool has_zone = strcspn(t + 1, "+-Z") < time_size;
    char *whole = xasprintf("%s%s", text, has_zone ? "" : "Z");
    int error =
        parse_datetime(whole, ret_ms) ? 0 : failure_set(failure, PARSE_EXCEPTION, "Unparseable date: \"%s\"", whole);
    free(whole);
    return error;
}

/* One part of a duration: an integer with its letter. Returns 1 when it is there, 0 when not, -1 when it is too large.
 */
static int read_part(const char **at, char letter, int64_t unit, int64_t *seconds) {
    const char *digits = *at + (**at == '-' || **at == '+');
    size_t size = strspn(digits, "0123456789");
    if (size == 0 || toupper((unsigned char)digits[size]) != letter) {
        return 0;
    }
    int64_t value = 0;
    int64_t sign = **at == '-' ? -1 : 1;
    for (size_t i = 0; i < size; i++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, sign * (digits[i] - '0'), &value)) {
            return -1;
        }
    }
    if (__builtin_mul_overflow(value, unit, &value) || __builtin_add_overflow(*seconds, value, seconds)) {
        return -1;
    }
    *at = digits + size + 1;
    return 1;
}

/* Seconds, which may have a fraction of up to nine digits. */
static int read_seconds(const char **at, int64_t *seconds, int64_t *nanos) {
    const char *digits = *at + (**at == '-' || **at == '+');
    size_t size = strspn(digits, "0123456789");
    if (size == 0 || (digits[size] != '.' && digits[size] != ',')) {
        return read_part(at, 'S', 1, seconds);
    }
    const char *fraction = digits + size + 1;
    size_t fraction_size = strspn(fraction, "0123456789");
    if (fraction_size > 9 || toupper((unsigned char)fraction[fraction_size]) != 'S') {
        return 0;
    }
    for (size_t i = 0; i < 9; i++) {
        *nanos = *nanos * 10 + (i < fraction_size ? fraction[i] - '0' : 0);
    }
    *nanos = **at == '-' ? -*nanos : *nanos;
    char *whole = xasprintf("%.*sS", (int)(digits + size - *at), *at);
    const char *inner = whole;
    int found = read_part(&inner, 'S', 1, seconds);
    free(whole);
    *at = fraction + fraction_size + 1;
    return found;
}

/* 0, or ERR_INVALID. */
static int parse_duration(const char *text, int64_t *ret_seconds, int64_t *ret_nanos) {
    static const struct {
        char letter;
        int64_t unit;
    } parts[] = {{'H', 3600}, {'M', 60}};
    bool is_negative = *text == '-';
    const char *at = text + (*text == '-' || *text == '+');
    int64_t seconds = 0;
    int64_t nanos = 0;
    if (toupper((unsigned char)*at++) != 'P') {
        return ERR_INVALID;
    }
    int found = read_part(&at, 'D', 86400, &seconds);
    bool has_any = found > 0;
    if (found >= 0 && toupper((unsigned char)*at) == 'T') {
        at++;
        bool has_time = false;
        for (size_t i = 0; i < ARRAY_SIZE(parts) && found >= 0; i++) {
            found = read_part(&at, parts[i].letter, parts[i].unit, &seconds);
            has_time = has_time || found > 0;
        }
        found = found >= 0 ? read_seconds(&at, &seconds, &nanos) : found;
        has_any = has_time || found > 0;
    }
    if (found < 0 || !has_any || *at != '\0') {
        return ERR_INVALID;
    }
    *ret_nanos = is_negative ? -nanos : nanos;
    return is_negative ? (__builtin_sub_overflow(0, seconds, ret_seconds) ? ERR_INVALID : 0)
                       : (*ret_seconds = seconds, 0);
}

int iso_duration_before(const char *text, int64_t now_ms, int64_t *ret_ms, struct failure *failure) {
    int64_t seconds;
    int64_t nanos;
    if (parse_duration(text, &seconds, &nanos) != 0) {
        return failure_set(failure, DURATION_EXCEPTION, NO_DURATION);
    }
    int64_t then;
    if (__builtin_sub_overflow(now_ms / 1000, seconds, &then) || then < INSTANT_SECONDS_MIN ||
        then > INSTANT_SECONDS_MAX) {
        return failure_set(failure, "java.time.DateTimeException", "Instant exceeds minimum or maximum instant");
    }
    /* Down to whole milliseconds, as a moment is cut. */
    int64_t rest_nanos = now_ms % 1000 * 1000000 - nanos;
    int64_t rest_ms = rest_nanos >= 0 ? rest_nanos / 1000000 : -((-rest_nanos + 999999) / 1000000);
    if (__builtin_mul_overflow(then, 1000, ret_ms) || __builtin_add_overflow(*ret_ms, rest_ms, ret_ms)) {
        return failure_set(failure, "java.lang.ArithmeticException", "long overflow");
    }
    return 0;
}
