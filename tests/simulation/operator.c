/* The operator's one duty so far. */
#include "tests/simulation/outside.h"

#include "tests/simulation/operator.h"

#include <stdio.h>
#include <string.h>

#include "broker/log/disk.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/sim_coord.h"
#include "tests/simulation/sim_disk.h"

#define NAME_SIZE 200
#define PATH_SIZE (3 * NAME_SIZE)
#define ID_MARK "\"topic_id\":\""
#define ID_SIZE 22

/* The registered id of the topic whose partition has that name; false when there is no such topic. */
static bool registered_id(const struct cluster *cluster, const char *name, char ret[ID_SIZE + 1]) {
    char path[PATH_SIZE];
    struct slice data;
    struct coord_stat stat;
    const char *end = strrchr(name, '-');
    snprintf(path, sizeof path, "/brokers/topics/%.*s", (int)(end - name), name);
    if (!sim_coord_server_get(cluster->coord, path, &data, &stat)) {
        return false;
    }
    const char *found = memmem(data.data, (size_t)data.size, ID_MARK, strlen(ID_MARK));
    if (found == NULL || found + strlen(ID_MARK) + ID_SIZE > (const char *)data.data + data.size) {
        return false;
    }
    memcpy(ret, found + strlen(ID_MARK), ID_SIZE);
    ret[ID_SIZE] = '\0';
    return true;
}

static bool is_of(const struct machine *machine, const char *directory, const char *id) {
    char path[PATH_SIZE + NAME_SIZE];
    struct slice bytes;
    snprintf(path, sizeof path, "%s/partition.metadata", directory);
    return sim_disk_peek(machine->disk, path, &bytes) && memmem(bytes.data, (size_t)bytes.size, id, strlen(id)) != NULL;
}

void operator_read(struct machine *machine, const char *message) {
    char name[NAME_SIZE], id[ID_SIZE + 1], places[2][NAME_SIZE];
    if (sscanf(message, "Duplicate log directories for %199s are found in both %199s and %199[^.].", name, places[0],
               places[1]) != 3) {
        return;
    }
    bool is_registered = registered_id(machine->cluster, name, id);
    bool was_spectator = sim_disk_spectate(true);
    for (int i = 0; i < 2; i++) {
        char from[PATH_SIZE], to[PATH_SIZE + NAME_SIZE];
        snprintf(from, sizeof from, "%s/%s", places[i], name);
        snprintf(to, sizeof to, "%s/%s.%032d-stray", places[i], name, i);
        if (!is_registered || !is_of(machine, from, id)) {
            CHECK(machine->disk->ops->rename(machine->disk, from, to) == 0);
            CHECK(machine->disk->ops->sync_directory(machine->disk, places[i]) == 0);
        }
    }
    sim_disk_spectate(was_spectator);
}
