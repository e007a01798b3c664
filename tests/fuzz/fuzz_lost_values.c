/*
 * A stored value of a stranger. The first byte chooses the type, of tests/data/lost_types; the second how
 * the rest is taken: as it is stored, with a header before it, compressed by either method, or as a tuple with two columns of that
 * type. Chunks of TOAST are parts of the rest.
 */
#include "lost/value_text.h"

#include "../lost_types.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum
{
    AS_IT_IS,
    WITH_HEADER,
    COMPRESSED,
    AS_TUPLE,
    WAY_COUNT
};

static Types types;

static void read_types(void)
{
    static Error error;
    char path[4096];

    snprintf(path, sizeof(path), "%s", __FILE__);
    snprintf(strstr(path, "fuzz/fuzz_lost_values.c"), 32, "data/lost_types");
    if (!types_read(&types, path, &error))
        __builtin_trap();
}

static Slice find_chunk(void *context, const Varlena *pointer, uint32_t sequence)
{
    const Slice *rest = context;

    if (sequence > 4 || pointer->stored_size == 0)
        return (Slice){0};
    return (Slice){rest->bytes, rest->size / (sequence + 1)};
}

static void print(const Type *type, Slice stored, Slice *rest, const Version *version)
{
    const ValueReader reader = {.version = version,
                                .type = types_find,
                                .context = &types,
                                .toast = {find_chunk, rest}};
    const Attribute attribute = {.type = type->oid, .storage = type->storage};
    AUTO_BUFFER Buffer text = {0};
    ValueEncoding encoding;
    const char *reason = NULL;

    if (!value_text(&reader, &attribute, stored, &text, &encoding, &reason) &&
        (reason == NULL || text.size != 0))
        __builtin_trap();
}

static void print_tuple(const Type *type, Slice bytes, const Version *version)
{
    const Attribute attributes[2] = {{.storage = type->storage}, {.storage = type->storage}};
    Slice values[2];
    HeapTuple tuple;
    const char *reason;

    if (!heap_tuple_parse(bytes, 0, &tuple, &reason) ||
        !heap_tuple_split(&tuple, attributes, 2, values, &reason))
        return;
    for (int i = 0; i < 2; i++)
        if (values[i].bytes != NULL)
            print(type, values[i], &bytes, version);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    AUTO_BUFFER Buffer stored = {0};

    if (types.count == 0)
        read_types();
    if (size < 3)
        return 0;
    const Type *type = &types.items[1 + bytes[0] % (types.count - 1)];
    const Version *version = version_of_server_number(bytes[1] & 0x80 ? 190000 : 150000);
    Slice rest = {bytes + 2, size - 2};

    switch (bytes[1] % WAY_COUNT)
    {
    case WITH_HEADER:
        buffer_append_u32(&stored, (uint32_t) (rest.size + 4) << 2);
        break;
    case COMPRESSED:
        buffer_append_u32(&stored, (uint32_t) (rest.size + 4) << 2 | 2);
        break;
    case AS_TUPLE:
        print_tuple(type, rest, version);
        return 0;
    default:
        break;
    }
    buffer_append(&stored, rest.bytes, rest.size);
    print(type, (Slice){stored.bytes, stored.size}, &rest, version);
    return 0;
}
