/* Names and texts of operating errors, from the table in errors.h. */
#include "broker/base/errors.h"

#include <errno.h>

const char *error_name(int error) {
    switch (error) {
    case 0: return "OK";
#define X(name, number, text)                                                                                          \
    case number: return #name;
        OTTLA_ERRORS(X)
#undef X
    default: return "ERR_UNKNOWN";
    }
}

const char *error_text(int error) {
    switch (error) {
    case 0: return "ok";
#define X(name, number, text)                                                                                          \
    case number: return text;
        OTTLA_ERRORS(X)
#undef X
    default: return "unknown error";
    }
}

int error_from_errno(int system_errno) {
    switch (system_errno) {
    case ENOSPC:
    case EDQUOT: return ERR_NO_SPACE;
    case ENOENT: return ERR_NOT_FOUND;
    case EEXIST: return ERR_EXISTS;
    case ENOTEMPTY: return ERR_NOT_EMPTY;
    case ENOTDIR:
    case EISDIR: return ERR_NOT_DIRECTORY;
    case EROFS:
    case EACCES:
    case EPERM: return ERR_DENIED;
    case EWOULDBLOCK: return ERR_LOCKED;
    case EMFILE: return ERR_FILE_LIMIT;
    case ENFILE: return ERR_SYSTEM_FILE_LIMIT;
    default: return ERR_IO;
    }
}
