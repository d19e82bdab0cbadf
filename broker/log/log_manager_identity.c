/* meta.properties: whose directory this is (zookeeper-mode.md 2.4, rule 39). */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/log/log_manager_internal.h"
#include "broker/log/offset_checkpoint.h"

#define META_PROPERTIES_SIZE_MAX ((size_t)64 * 1024)

static struct str trim(struct str text) {
    while (text.size > 0 && strchr(" \t\r\f", *text.data) != NULL) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && strchr(" \t\r\f", text.data[text.size - 1]) != NULL) {
        text.size--;
    }
    return text;
}

static bool parse_id(struct str text, int32_t *ret) {
    int64_t value = 0;
    for (int32_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || value > INT32_MAX) {
            return false;
        }
        value = value * 10 + (text.data[i] - '0');
    }
    *ret = (int32_t)value;
    return text.size > 0 && value <= INT32_MAX;
}

/* Takes in one "key=value" line. */
static int read_property(struct log_directory *directory, struct str line, char **ret_message) {
    line = trim(line);
    if (line.size == 0 || *line.data == '#' || *line.data == '!') {
        return 0;
    }
    const char *equals = memchr(line.data, '=', (size_t)line.size);
    if (equals == NULL) {
        return 0;
    }
    struct str key = trim((struct str){line.data, (int32_t)(equals - line.data)});
    struct str value = trim((struct str){equals + 1, line.size - (int32_t)(equals + 1 - line.data)});
    if (str_equal_text(key, "version") && !str_equal_text(value, "0")) {
        *ret_message = xasprintf("%s/meta.properties has version %.*s; a ZooKeeper cluster needs version 0",
                                 directory->path, STR_ARGS(value));
        return ERR_INVALID;
    }
    if (str_equal_text(key, "broker.id") && !parse_id(value, &directory->broker_id)) {
        *ret_message = xasprintf("%s/meta.properties has the bad broker.id '%.*s'", directory->path, STR_ARGS(value));
        return ERR_INVALID;
    }
    if (str_equal_text(key, "cluster.id") && value.size > 0) {
        free(directory->cluster_id);
        directory->cluster_id = xstrndup(value.data, (size_t)value.size);
    }
    return 0;
}

int manager_read_identity(struct log_manager *manager, struct log_directory *directory, char **ret_message) {
    char path[LOG_PATH_SIZE];
    path_join(path, directory->path, "meta.properties");
    struct byte_buffer text = {0};
    directory->broker_id = -1;
    int error = file_read_whole(manager->disk, path, META_PROPERTIES_SIZE_MAX, &text);
    for (size_t at = 0; error == 0 && at < text.size;) {
        const uint8_t *begin = text.data + at;
        const uint8_t *newline = memchr(begin, '\n', text.size - at);
        size_t size = newline != NULL ? (size_t)(newline - begin) : text.size - at;
        error = read_property(directory, (struct str){(const char *)begin, (int32_t)size}, ret_message);
        at += size + 1;
    }
    byte_buffer_deinit(&text);
    directory->has_identity = error == 0;
    return error;
}

static void print_identity(struct byte_buffer *text, int64_t wall_ms, int32_t broker_id, const char *cluster_id) {
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    char date[64];
    gmtime_r(&seconds, &parts);
    size_t size = strftime(date, sizeof date, "%a %b %d %H:%M:%S UTC %Y", &parts);
    CHECK(size > 0);
    checkpoint_print(text, "#\n#%s\nbroker.id=%d\nversion=0\ncluster.id=%s\n", date, broker_id, cluster_id);
}

int log_manager_write_identity(struct log_manager *manager, int32_t broker_id, const char *cluster_id) {
    struct byte_buffer text = {0};
    int32_t written = 0;
    int last_error = ERR_IO;
    print_identity(&text, clock_wall_ms(manager->clock), broker_id, cluster_id);
    for (int32_t i = 0; i < manager->directory_count; i++) {
        struct log_directory *directory = &manager->directories[i];
        bool is_same = directory->has_identity && directory->broker_id == broker_id && directory->cluster_id != NULL &&
                       strcmp(directory->cluster_id, cluster_id) == 0;
        if (directory->is_offline) {
            continue;
        }
        char path[LOG_PATH_SIZE];
        path_join(path, directory->path, "meta.properties");
        int error = is_same ? 0 : file_replace(manager->disk, directory->path, path, text.data, text.size);
        if (error != 0) {
            manager_fail_directory(manager, i, error, "writing meta.properties");
            last_error = error;
            continue;
        }
        written++;
        directory->has_identity = true;
        directory->broker_id = broker_id;
        if (!is_same) {
            free(directory->cluster_id);
            directory->cluster_id = xstrdup(cluster_id);
        }
    }
    byte_buffer_deinit(&text);
    manager->broker_id = broker_id;
    char *copy = xstrdup(cluster_id);
    free(manager->cluster_id);
    manager->cluster_id = copy;
    return written > 0 ? 0 : last_error;
}
