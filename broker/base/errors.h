/* Operating errors: negative codes with one name and one text each. To add one, add a row.
 *
 * These never travel on the wire; Kafka's error codes are protocol/errors.tbl.h. */
#ifndef OTTLA_BASE_ERRORS_H
#define OTTLA_BASE_ERRORS_H

#define OTTLA_ERRORS(X)                                                                                                \
    X(ERR_IO, -1, "input/output error")                                                                                \
    X(ERR_NO_SPACE, -2, "no space left on device")                                                                     \
    X(ERR_NOT_FOUND, -3, "not found")                                                                                  \
    X(ERR_EXISTS, -4, "already exists")                                                                                \
    X(ERR_CORRUPT, -5, "corrupt data")                                                                                 \
    X(ERR_INVALID, -6, "invalid argument")                                                                             \
    X(ERR_TOO_LARGE, -7, "too large")                                                                                  \
    X(ERR_OUT_OF_RANGE, -8, "out of range")                                                                            \
    X(ERR_FENCED, -9, "fenced after an earlier error")                                                                 \
    X(ERR_TIMED_OUT, -10, "timed out")                                                                                 \
    X(ERR_DISCONNECTED, -11, "disconnected")                                                                           \
    X(ERR_CONNECTION_LOSS, -12, "connection to the coordinator lost; the operation may have been applied")             \
    X(ERR_SESSION_EXPIRED, -13, "coordinator session expired")                                                         \
    X(ERR_BAD_VERSION, -14, "version does not match")                                                                  \
    X(ERR_NOT_EMPTY, -15, "not empty")                                                                                 \
    X(ERR_LOCKED, -16, "locked by another process")                                                                    \
    X(ERR_DENIED, -17, "permission denied")                                                                            \
    X(ERR_ROLLED_BACK, -18, "another part of the multi failed")                                                        \
    X(ERR_CLOSING, -19, "closing")                                                                                     \
    X(ERR_NOT_DIRECTORY, -20, "not a directory")                                                                       \
    X(ERR_FILE_LIMIT, -21, "too many open files; raise LimitNOFILE of the service (ulimit -n)")                        \
    X(ERR_SYSTEM_FILE_LIMIT, -22, "too many open files in the whole system; raise fs.file-max (sysctl)")

enum ottla_error {
#define X(name, number, text) name = number,
    OTTLA_ERRORS(X)
#undef X
};

/* "ERR_IO" or "ERR_UNKNOWN"; 0 is "OK". */
const char *error_name(int error);
/* The text of the table. */
const char *error_text(int error);
/* The nearest code for an errno value; ERR_IO when there is no better one. */
int error_from_errno(int system_errno);

#endif
