/*
 * Print the rows of a relation's file as COPY does, by the code that saves lost rows.
 *
 *   lost_values VERSION TYPES RELATION [TOAST]
 *
 * VERSION is server_version_num. TYPES is as lost_types.h has it, the relation being type 0.
 * TOAST is the file of its TOAST table. Rows that were deleted or rolled back are left out where
 * hint bits say so. A value in hexadecimal is marked by "binary:", one that cannot be decoded by
 * "untold:".
 */
#include "base/array.h"
#include "format/page.h"
#include "io/file.h"
#include "lost/value_text.h"

#include "lost_types.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 8192
#define ITEM_NORMAL 1
#define XMIN_FLAGS 0x0300 /* HEAP_XMIN_COMMITTED, HEAP_XMIN_INVALID; both: frozen */
#define XMIN_INVALID 0x0200
#define XMAX_INVALID 0x0800
#define FILE_MAX ((size_t) 1024 * 1024 * 1024)

typedef struct Chunk
{
    Oid value;
    uint32_t sequence;
    Slice content;
} Chunk;

typedef struct Relation
{
    Types types; /* the first one is the relation */
    Buffer file, toast_file;
    Chunk *chunks;
    size_t chunk_count;
    ValueReader reader;
} Relation;

typedef bool (*TupleFunction)(Relation *relation, const HeapTuple *tuple, const char **reason);

static bool visit_tuples(Relation *relation, const Buffer *file, TupleFunction function,
                         Error *error)
{
    for (size_t start = 0; start + BLOCK_BYTES <= file->size; start += BLOCK_BYTES)
    {
        const uint8_t *page = file->bytes + start;

        if (page_is_new(page) || !page_has_header(page, BLOCK_BYTES))
            continue;
        for (size_t at = PAGE_HEADER_SIZE; at < load_u16(page + PAGE_LOWER_OFFSET);
             at += PAGE_ITEM_SIZE)
        {
            const uint32_t item = load_u32(page + at);
            const Slice bytes = {page + PAGE_ITEM_OFFSET(item), PAGE_ITEM_LENGTH(item)};
            HeapTuple tuple;
            const char *reason;

            if (PAGE_ITEM_FLAGS(item) != ITEM_NORMAL ||
                PAGE_ITEM_OFFSET(item) + bytes.size > BLOCK_BYTES)
                continue;
            if (!heap_tuple_parse(bytes, 0, &tuple, &reason))
                return error_set(error, ERROR_FAILED, "%s", reason);
            const uint16_t flags = load_u16(bytes.bytes + ROW_AT_INFOMASK);
            if ((flags & XMAX_INVALID) && (flags & XMIN_FLAGS) != XMIN_INVALID &&
                !function(relation, &tuple, &reason))
                return error_set(error, ERROR_FAILED, "%s", reason);
        }
    }
    return true;
}

static bool add_chunk(Relation *relation, const HeapTuple *tuple, const char **reason)
{
    static const Attribute attributes[3] = {{.storage = {4, 'i'}}, {.storage = {4, 'i'}},
                                            {.storage = {-1, 'i'}}};
    Slice values[3];
    Varlena content;

    if (!heap_tuple_split(tuple, attributes, 3, values, reason) ||
        !varlena_parse(values[2], &content, reason))
        return false;
    ARRAY_GROW(relation->chunks, relation->chunk_count);
    relation->chunks[relation->chunk_count++] =
        (Chunk){load_u32(values[0].bytes), load_u32(values[1].bytes), content.content};
    return true;
}

static Slice find_chunk(void *context, const Varlena *pointer, uint32_t sequence)
{
    const Relation *relation = context;

    for (size_t i = 0; i < relation->chunk_count; i++)
        if (relation->chunks[i].value == pointer->value &&
            relation->chunks[i].sequence == sequence)
            return relation->chunks[i].content;
    return (Slice){0};
}

/* As CopyAttributeOutText, commands/copyto.c. */
static void print_escaped(const uint8_t *bytes, size_t size)
{
    static const char escaped[] = "\b\f\n\r\t\v\\", letters[] = "bfnrtv\\";

    for (size_t i = 0; i < size; i++)
    {
        const char *at = bytes[i] != 0 ? strchr(escaped, bytes[i]) : NULL;

        if (at != NULL)
            printf("\\%c", letters[at - escaped]);
        else
            putchar(bytes[i]);
    }
}

static bool print_row(Relation *relation, const HeapTuple *tuple, const char **reason)
{
    const Type *row = &relation->types.items[0];
    Slice *values = memory_allocate_zeroed(row->attribute_count, sizeof(*values));
    const bool good = heap_tuple_split(tuple, row->attributes, row->attribute_count, values, reason);
    const char *separator = "";

    for (size_t i = 0; i < row->attribute_count && good; i++)
    {
        AUTO_BUFFER Buffer text = {0};
        ValueEncoding encoding;
        const char *why;

        if (row->attributes[i].type == 0)
            continue;
        fputs(separator, stdout);
        separator = "\t";
        if (values[i].bytes == NULL)
            fputs("\\N", stdout);
        else if (!value_text(&relation->reader, &row->attributes[i], values[i], &text, &encoding,
                             &why))
            printf("untold: %s", why);
        else
        {
            fputs(encoding == VALUE_BINARY ? "binary:" : encoding == VALUE_STORED ? "stored" : "", stdout);
            print_escaped(text.bytes, text.size);
        }
    }
    putchar('\n');
    free(values);
    return good;
}

static bool print_relation(Relation *relation, char **arguments, Error *error)
{
    const Version *version = version_of_server_number(atoi(arguments[1]));

    if (version == NULL)
        return error_set(error, ERROR_FAILED, "unknown version");
    relation->reader = (ValueReader){.version = version,
                                     .type = types_find,
                                     .context = &relation->types,
                                     .toast = {find_chunk, relation}};
    if (arguments[4] != NULL &&
        (!file_read_all(arguments[4], FILE_MAX, &relation->toast_file, NULL, error) ||
         !visit_tuples(relation, &relation->toast_file, add_chunk, error)))
        return false;
    return types_read(&relation->types, arguments[2], error) &&
           file_read_all(arguments[3], FILE_MAX, &relation->file, NULL, error) &&
           visit_tuples(relation, &relation->file, print_row, error);
}

int main(int count, char **arguments)
{
    static Error error;
    static Relation relation;

    if (count < 4 || count > 5)
    {
        fputs("usage: lost_values VERSION TYPES RELATION [TOAST]\n", stderr);
        return 2;
    }
    const bool good = print_relation(&relation, arguments, &error);
    if (!good)
        fprintf(stderr, "lost_values: %s\n", error.message);
    types_free(&relation.types);
    free(relation.chunks);
    buffer_free(&relation.file);
    buffer_free(&relation.toast_file);
    return good ? 0 : 1;
}
