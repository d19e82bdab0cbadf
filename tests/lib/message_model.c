/* Messages by their descriptors. */
#include "tests/lib/message_model.h"

#include <stdlib.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"

#define TEXT_MAX_BYTES 40

static bool is_carried(const struct field_descriptor *field, int version) {
    return field->version_first <= version && version <= field->version_last;
}

static bool may_be_null(const struct field_descriptor *field, int version) {
    return field->null_first <= version && version <= field->null_last;
}

static size_t element_size(const struct field_descriptor *field) {
    switch (field->kind) {
    case FIELD_BOOL: return sizeof(bool);
    case FIELD_INT8: return 1;
    case FIELD_INT16: return 2;
    case FIELD_INT32: return 4;
    case FIELD_INT64: return 8;
    case FIELD_FLOAT64: return sizeof(double);
    case FIELD_UUID: return sizeof(struct uuid);
    case FIELD_STRING: return sizeof(struct str);
    case FIELD_BYTES: return sizeof(struct slice);
    case FIELD_RECORDS: return sizeof(struct records);
    case FIELD_STRUCT: return field->structure->size;
    }
    return 0;
}

/* ---- Fill ---- */

static uint8_t *random_bytes(struct fill *fill, int32_t *ret_size) {
    *ret_size = (int32_t)random_below(&fill->random, TEXT_MAX_BYTES);
    uint8_t *bytes = arena_alloc(fill->arena, (size_t)*ret_size + 1);
    for (int32_t i = 0; i < *ret_size; i++) {
        bytes[i] = (uint8_t)random_u64(&fill->random);
    }
    return bytes;
}

static bool choose_null(struct fill *fill, const struct field_descriptor *field, int version) {
    if (!may_be_null(field, version)) {
        return false;
    }
    int index = fill->nullables_seen++;
    switch (fill->nulls) {
    case FILL_NONE_NULL: return false;
    case FILL_ALL_NULL: return true;
    case FILL_ONE_NULL: return index == fill->null_index;
    case FILL_RANDOM_NULL: return random_below(&fill->random, 2) == 0;
    }
    return false;
}

static void fill_value(struct fill *fill, const struct field_descriptor *field, int version, bool is_null, void *to) {
    int32_t size = -1;
    uint64_t value = random_u64(&fill->random);
    const uint8_t *bytes = is_null ? NULL : random_bytes(fill, &size);
    switch (field->kind) {
    case FIELD_BOOL: *(bool *)to = (value & 1U) != 0; break;
    case FIELD_INT8: *(int8_t *)to = (int8_t)value; break;
    case FIELD_INT16: *(int16_t *)to = (int16_t)value; break;
    case FIELD_INT32: *(int32_t *)to = (int32_t)value; break;
    case FIELD_INT64: *(int64_t *)to = (int64_t)value; break;
    case FIELD_FLOAT64: *(double *)to = (double)value / 7; break;
    case FIELD_UUID: memcpy(to, &value, sizeof value); break;
    case FIELD_STRING: *(struct str *)to = (struct str){.data = (const char *)bytes, .size = size}; break;
    case FIELD_BYTES: *(struct slice *)to = (struct slice){.data = bytes, .size = size}; break;
    case FIELD_RECORDS: *(struct records *)to = (struct records){.data = bytes, .size = size}; break;
    case FIELD_STRUCT: model_fill(fill, field->structure, version, to); break;
    }
}

/* The default of a field inside a struct that the arena zeroed: what _init would have set. */
static void set_default(const struct field_descriptor *field, uint8_t *message) {
    uint8_t *at = message + field->offset;
    if (field->is_list) {
        *(int32_t *)(void *)(message + field->count_offset) = field->default_is_null ? -1 : 0;
        return;
    }
    switch (field->kind) {
    case FIELD_BOOL: *(bool *)at = field->default_number != 0; break;
    case FIELD_INT8: *(int8_t *)at = (int8_t)field->default_number; break;
    case FIELD_INT16: *(int16_t *)(void *)at = (int16_t)field->default_number; break;
    case FIELD_INT32: *(int32_t *)(void *)at = (int32_t)field->default_number; break;
    case FIELD_INT64: *(int64_t *)(void *)at = field->default_number; break;
    case FIELD_FLOAT64: break;
    case FIELD_UUID: break;
    case FIELD_STRING: ((struct str *)(void *)at)->size = field->default_is_null ? -1 : 0; break;
    case FIELD_BYTES: ((struct slice *)(void *)at)->size = field->default_is_null ? -1 : 0; break;
    case FIELD_RECORDS: ((struct records *)(void *)at)->size = field->default_is_null ? -1 : 0; break;
    case FIELD_STRUCT:
        for (int i = 0; i < field->structure->field_count && !field->is_pointer; i++) {
            set_default(&field->structure->fields[i], at);
        }
        break;
    }
}

static void fill_list(struct fill *fill, const struct field_descriptor *field, int version, uint8_t *message) {
    bool is_null = choose_null(fill, field, version);
    int32_t count = is_null ? -1 : (int32_t)random_below(&fill->random, (uint64_t)fill->list_count_max + 1);
    if (fill->nulls != FILL_RANDOM_NULL && !is_null) {
        count = fill->list_count_max; /* so that whatever is inside is there */
    }
    *(int32_t *)(void *)(message + field->count_offset) = count;
    if (count <= 0) {
        return;
    }
    uint8_t *elements = arena_alloc(fill->arena, (size_t)count * element_size(field));
    *(void **)(void *)(message + field->offset) = elements;
    for (int32_t i = 0; i < count; i++) {
        fill_value(fill, field, version, false, elements + (size_t)i * element_size(field));
    }
}

void model_fill(struct fill *fill, const struct struct_descriptor *type, int version, void *message) {
    uint8_t *base = message;
    for (int i = 0; i < type->field_count; i++) {
        const struct field_descriptor *field = &type->fields[i];
        bool is_left_at_default =
            field->tag >= 0 && fill->nulls == FILL_RANDOM_NULL && random_below(&fill->random, 2) == 0;
        if (!is_carried(field, version) || is_left_at_default) {
            set_default(field, base);
        } else if (field->is_list) {
            fill_list(fill, field, version, base);
        } else if (field->is_pointer) {
            if (!choose_null(fill, field, version)) {
                void *held = arena_alloc(fill->arena, field->structure->size);
                *(void **)(void *)(base + field->offset) = held;
                model_fill(fill, field->structure, version, held);
            }
        } else {
            fill_value(fill, field, version, choose_null(fill, field, version), base + field->offset);
        }
    }
}

/* ---- Encode ---- */

struct model_encoder {
    struct writer *w;
    int version;
    bool is_flexible;
};

static void put_size(struct model_encoder *e, int32_t size) {
    if (e->is_flexible) {
        writer_uvarint(e->w, (uint32_t)(size + 1));
    } else {
        writer_i32(e->w, size);
    }
}

static void put_struct(struct model_encoder *e, const struct struct_descriptor *type, const uint8_t *message);

static void put_value(struct model_encoder *e, const struct field_descriptor *field, const uint8_t *from) {
    const struct str *text = (const void *)from;
    const struct slice *bytes = (const void *)from;
    const struct records *records = (const void *)from;
    int64_t bits;
    switch (field->kind) {
    case FIELD_BOOL: writer_i8(e->w, *(const bool *)from ? 1 : 0); break;
    case FIELD_INT8: writer_i8(e->w, (int8_t)*from); break;
    case FIELD_INT16: writer_i16(e->w, *(const int16_t *)(const void *)from); break;
    case FIELD_INT32: writer_i32(e->w, *(const int32_t *)(const void *)from); break;
    case FIELD_INT64: writer_i64(e->w, *(const int64_t *)(const void *)from); break;
    case FIELD_FLOAT64:
        memcpy(&bits, from, sizeof bits);
        writer_i64(e->w, bits);
        break;
    case FIELD_UUID: writer_bytes(e->w, from, 16); break;
    case FIELD_STRING:
        if (e->is_flexible && !field->is_classic) {
            put_size(e, text->size);
        } else {
            writer_i16(e->w, (int16_t)text->size);
        }
        writer_bytes(e->w, text->data, (size_t)MAX(text->size, 0));
        break;
    case FIELD_BYTES:
        put_size(e, bytes->size);
        writer_bytes(e->w, bytes->data, (size_t)MAX(bytes->size, 0));
        break;
    case FIELD_RECORDS:
        put_size(e, records->size);
        writer_bytes(e->w, records->data, (size_t)MAX(records->size, 0));
        break;
    case FIELD_STRUCT: put_struct(e, field->structure, from); break;
    }
}

static void put_field(struct model_encoder *e, const struct field_descriptor *field, const uint8_t *message) {
    const uint8_t *at = message + field->offset;
    if (field->is_list) {
        int32_t count = *(const int32_t *)(const void *)(message + field->count_offset);
        const uint8_t *elements = *(const uint8_t *const *)(const void *)at;
        put_size(e, count);
        for (int32_t i = 0; i < count; i++) {
            put_value(e, field, elements + (size_t)i * element_size(field));
        }
    } else if (field->is_pointer) {
        const uint8_t *held = *(const uint8_t *const *)(const void *)at;
        writer_i8(e->w, held == NULL ? -1 : 1);
        if (held != NULL) {
            put_struct(e, field->structure, held);
        }
    } else {
        put_value(e, field, at);
    }
}

static bool holds_default(const struct field_descriptor *field, const uint8_t *message) {
    struct struct_descriptor alone = {.name = field->name, .fields = field, .field_count = 1};
    uint8_t *other = xcalloc(1, field->offset + 256 + element_size(field));
    size_t count_end = field->is_list ? field->count_offset + 4 : 0;
    CHECK(count_end <= field->offset + 256);
    set_default(field, other);
    bool is_equal = model_difference(&alone, message, other) == NULL;
    free(other);
    return is_equal;
}

static void put_struct(struct model_encoder *e, const struct struct_descriptor *type, const uint8_t *message) {
    uint32_t tags = 0;
    int tag_max = -1;
    for (int i = 0; i < type->field_count; i++) {
        const struct field_descriptor *field = &type->fields[i];
        if (!is_carried(field, e->version)) {
            continue;
        }
        if (field->tag < 0) {
            put_field(e, field, message);
        } else if (!holds_default(field, message)) {
            tags++;
            tag_max = MAX(tag_max, field->tag);
        }
    }
    if (!e->is_flexible) {
        return;
    }
    writer_uvarint(e->w, tags);
    for (int tag = 0; tag <= tag_max; tag++) {
        for (int i = 0; i < type->field_count; i++) {
            const struct field_descriptor *field = &type->fields[i];
            if (field->tag == tag && is_carried(field, e->version) && !holds_default(field, message)) {
                size_t room = (size_t)(e->w->end - e->w->at);
                uint8_t *apart = xmalloc(room);
                struct writer w = writer_of(apart, room);
                struct model_encoder inner = {.w = &w, .version = e->version, .is_flexible = true};
                put_field(&inner, field, message);
                writer_uvarint(e->w, (uint32_t)tag);
                writer_uvarint(e->w, (uint32_t)writer_size(&w));
                writer_bytes(e->w, apart, writer_size(&w));
                free(apart);
            }
        }
    }
}

void model_encode(const struct struct_descriptor *type, int version, int flexible_min, const void *message,
                  struct writer *w) {
    struct model_encoder e = {.w = w, .version = version, .is_flexible = version >= flexible_min};
    put_struct(&e, type, message);
}

/* ---- Compare ---- */

static bool bytes_are_equal(const void *a, int32_t a_size, const void *b, int32_t b_size) {
    return a_size == b_size && (a_size <= 0 || memcmp(a, b, (size_t)a_size) == 0);
}

static const char *value_difference(const struct field_descriptor *field, const uint8_t *a, const uint8_t *b) {
    bool is_equal = false;
    switch (field->kind) {
    case FIELD_STRING:
        is_equal = str_equal(*(const struct str *)(const void *)a, *(const struct str *)(const void *)b);
        break;
    case FIELD_BYTES: {
        const struct slice *left = (const void *)a;
        const struct slice *right = (const void *)b;
        is_equal = bytes_are_equal(left->data, left->size, right->data, right->size);
        break;
    }
    case FIELD_RECORDS: {
        const struct records *left = (const void *)a;
        const struct records *right = (const void *)b;
        is_equal = bytes_are_equal(left->data, left->size, right->data, right->size);
        break;
    }
    case FIELD_STRUCT: return model_difference(field->structure, a, b);
    default: is_equal = memcmp(a, b, element_size(field)) == 0; break;
    }
    return is_equal ? NULL : field->name;
}

static const char *field_difference(const struct field_descriptor *field, const uint8_t *a, const uint8_t *b) {
    const uint8_t *left = a + field->offset;
    const uint8_t *right = b + field->offset;
    if (!field->is_list && !field->is_pointer) {
        return value_difference(field, left, right);
    }
    left = *(const uint8_t *const *)(const void *)left;
    right = *(const uint8_t *const *)(const void *)right;
    if (field->is_pointer) {
        if (left == NULL || right == NULL) {
            return left == right ? NULL : field->name;
        }
        return value_difference(field, left, right);
    }
    int32_t count = *(const int32_t *)(const void *)(a + field->count_offset);
    if (count != *(const int32_t *)(const void *)(b + field->count_offset)) {
        return field->name;
    }
    const char *difference = NULL;
    for (int32_t i = 0; i < count && difference == NULL; i++) {
        difference =
            value_difference(field, left + (size_t)i * element_size(field), right + (size_t)i * element_size(field));
    }
    return difference;
}

const char *model_difference(const struct struct_descriptor *type, const void *a, const void *b) {
    for (int i = 0; i < type->field_count; i++) {
        const char *difference = field_difference(&type->fields[i], a, b);
        if (difference != NULL) {
            return difference;
        }
    }
    return NULL;
}
