/* An open-addressing table; see offset_map.h. */
#include "broker/log/offset_map.h"

/* The digest by its own functions, which OpenSSL 3 calls deprecated: by way of EVP a key of 16 bytes takes 91 ns and
 * not 52, and each record is hashed twice. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker/base/check.h"

#define SLOTS_MIN 1024
/* Two of them, so that one lies inside wherever the table begins. */
#define HUGE_PAGES_MIN ((size_t)4 * 1024 * 1024)

_Static_assert(sizeof(struct offset_slot) == OFFSET_MAP_SLOT_SIZE, "the bound counts slots of this size");

/* A large table lies on huge pages where the machine has them: it is read all over the place, and with small ones every
 * look costs a walk through the page tables besides. */
static void advise_huge_pages(void *memory, size_t size) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)memory + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)memory + size) / page * page;
    if (size >= HUGE_PAGES_MIN) {
        madvise((void *)begin, end - begin, MADV_HUGEPAGE); /* advice: what becomes of it does not matter */
    }
}

static struct offset_slot *free_slots(size_t count) {
    struct offset_slot *slots = xmalloc(count * sizeof *slots);
    advise_huge_pages(slots, count * sizeof *slots);
    for (size_t i = 0; i < count; i++) {
        slots[i].offset = -1;
    }
    return slots;
}

void offset_map_init(struct offset_map *map, int64_t bytes_max, double load_factor) {
    size_t slots_max = (size_t)MAX(bytes_max / OFFSET_MAP_SLOT_SIZE, 2);
    double share = MAX(MIN(load_factor, 0.95), 0.01); /* a probe must meet a free slot */
    *map = (struct offset_map){.slot_count = MIN((size_t)SLOTS_MIN, slots_max),
                               .slots_max = slots_max,
                               .entries_max = MAX((size_t)((double)slots_max * share), 1),
                               .latest_offset = -1};
    map->slots = free_slots(map->slot_count);
}

void offset_map_deinit(struct offset_map *map) {
    free(map->slots);
    *map = (struct offset_map){0};
}

/* Hashes are even, so their upper part is as good a place as their remainder, without a division; and in the order of
 * their places keys lie in any larger table too. */
static size_t place_of(const struct offset_key *key, size_t slot_count) {
    return (size_t)((unsigned __int128)key->hash[0] * slot_count >> 64);
}

struct offset_key offset_map_key(const struct offset_map *map, struct slice key) {
    uint8_t digest[SHA256_DIGEST_LENGTH];
    struct offset_key made;
    SHA256_CTX context;
    int ok = SHA256_Init(&context);
    CHECK(ok == 1);
    ok = SHA256_Update(&context, key.data, (size_t)MAX(key.size, 0));
    CHECK(ok == 1);
    ok = SHA256_Final(digest, &context);
    CHECK(ok == 1);
    memcpy(&made, digest, sizeof made);
    __builtin_prefetch(&map->slots[place_of(&made, map->slot_count)], 1);
    return made;
}

/* The slot that holds the key, or the free one where it belongs. */
static struct offset_slot *find_slot(struct offset_slot *slots, size_t count, const struct offset_key *key) {
    size_t at = place_of(key, count);
    while (slots[at].offset >= 0 && (slots[at].key.hash[0] != key->hash[0] || slots[at].key.hash[1] != key->hash[1])) {
        at = at + 1 == count ? 0 : at + 1;
    }
    return &slots[at];
}

static void grow(struct offset_map *map) {
    size_t count = map->slot_count > map->slots_max / 2 ? map->slots_max : map->slot_count * 2;
    struct offset_slot *slots = free_slots(count);
    for (size_t i = 0; i < map->slot_count; i++) {
        if (map->slots[i].offset >= 0) {
            *find_slot(slots, count, &map->slots[i].key) = map->slots[i];
        }
    }
    free(map->slots);
    map->slots = slots;
    map->slot_count = count;
}

size_t offset_map_room(const struct offset_map *map) {
    return map->entries_max - map->entries;
}

bool offset_map_put(struct offset_map *map, const struct offset_key *key, int64_t offset) {
    struct offset_slot *slot = find_slot(map->slots, map->slot_count, key);
    if (slot->offset < 0) {
        if (offset_map_room(map) == 0) {
            return false;
        }
        if (map->slot_count < map->slots_max && map->entries >= map->slot_count - map->slot_count / 4) {
            grow(map);
            slot = find_slot(map->slots, map->slot_count, key);
        }
        map->entries++;
    }
    *slot = (struct offset_slot){.key = *key, .offset = offset};
    return true;
}

int64_t offset_map_get(const struct offset_map *map, const struct offset_key *key) {
    return find_slot(map->slots, map->slot_count, key)->offset;
}
