/* Rule W2. */
/* Summaries that cover a whole range of WAL, and the changes that they name. */
#include "wal_store/source_summaries.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../blockmap_count.h"
#include "base/buffer.h"
#include "format/crc32c.h"

#define MAGIC 0x652b137b
#define PAGE 8192
#define SEGMENT (16 * 1024 * 1024)
#define AT(offset) ((Lsn) SEGMENT + (offset))
#define RELATION(n) ((RelationId){1663, 5, 16384 + (n)})

/* The source: its files, by name. */
typedef struct File
{
    char name[128];
    Buffer bytes;
    bool gone; /* after the names were asked for */
} File;

static File files[200];
static size_t file_count;
static WalShape shape;
static SourceSummaries summaries;
static Error error;

static bool list_names(Source *source, const char *directory, Arena *arena, const char ***names,
                       Error *why)
{
    (void) source;
    (void) why;
    assert_string_equal(directory, "pg_wal/summaries");
    *names = arena_allocate(arena, (file_count + 1) * sizeof(**names));
    for (size_t i = 0; i < file_count; i++)
        (*names)[i] = files[i].name;
    return true;
}

static bool read_one(Source *source, const char *path, size_t limit, Buffer *buffer, bool *found,
                     Error *why)
{
    (void) source;
    (void) limit;
    (void) why;
    *found = false;
    for (size_t i = 0; i < file_count; i++)
        if (strcmp(strrchr(path, '/') + 1, files[i].name) == 0 && !files[i].gone)
        {
            *found = true;
            buffer_append(buffer, files[i].bytes.bytes, files[i].bytes.size);
        }
    return true;
}

static bool fetch_some(Source *source, int worker, const FetchBatch *batch, FetchDelivery deliver,
                       void *context, Error *why)
{
    const FetchRequest *requests = batch->requests;

    (void) worker;
    for (size_t i = 0; i < batch->count; i++)
    {
        Buffer bytes = {0};
        bool found, delivered;

        assert_true(read_one(source, requests[i].path, SIZE_MAX, &bytes, &found, why));
        delivered = deliver(context, i, found ? bytes.bytes : NULL,
                            bytes.size < requests[i].size ? bytes.size : requests[i].size, why);
        buffer_free(&bytes);
        if (!delivered)
            return false;
    }
    return true;
}

static const SourceOperations operations = {
    .names = list_names, .read_file = read_one, .fetch = fetch_some};

/* An entry with at most one chunk of at most one block; BLOCK_NONE: none. */
static void add_fork(File *file, RelationId id, uint32_t fork, BlockNumber limit, BlockNumber block)
{
    const uint32_t numbers[] = {id.tablespace, id.database, id.relation,
                                fork,          limit,       block != BLOCK_NONE};

    for (size_t i = 0; i < 6; i++)
        buffer_append_u32(&file->bytes, numbers[i]);
    if (block == BLOCK_NONE)
        return;
    buffer_append_u16(&file->bytes, 1);
    buffer_append_u16(&file->bytes, (uint16_t) block);
}

static void end_file(File *file)
{
    for (int i = 0; i < 6; i++)
        buffer_append_u32(&file->bytes, 0);
    buffer_append_u32(&file->bytes, crc32c(file->bytes.bytes, file->bytes.size));
}

static File *begin_file(Timeline timeline, Lsn start, Lsn end)
{
    File *file = &files[file_count++];

    wal_summary_name(&(WalSummaryRange){timeline, start, end}, file->name);
    buffer_append_u32(&file->bytes, MAGIC);
    return file;
}

/* A summary that names one block, of a relation of its own. */
static File *add_file(Timeline timeline, Lsn start, Lsn end)
{
    File *file = begin_file(timeline, start, end);

    add_fork(file, RELATION((Oid) file_count), FORK_MAIN, WAL_SUMMARY_NO_LIMIT, 7);
    end_file(file);
    return file;
}

static void clear(void)
{
    for (size_t i = 0; i < file_count; i++)
        buffer_free(&files[i].bytes);
    memset(files, 0, sizeof(files));
    file_count = 0;
    source_summaries_free(&summaries);
}

static int set_up(void **state)
{
    (void) state;
    for (size_t i = 0; version_at(i) != NULL; i++)
        shape.version = version_at(i);
    shape.segment_size = SEGMENT;
    shape.block_size = PAGE;
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    clear();
    return 0;
}

static Lsn end_by_names;

/* Timeline 1 up to AT(0x5000), then 2. */
static bool complete(Lsn from, Lsn to)
{
    HistoryEntry entries[] = {{1, 0, AT(0x5000)}, {2, AT(0x5000), LSN_INVALID}};
    const History history = {.entries = entries, .count = 2};
    Source source = {.operations = &operations};

    const Clusters clusters = {.source = &source, .shape = shape, .source_history = history};

    source_summaries_free(&summaries);
    assert_true(source_summaries_read(&clusters, from, to, true, &summaries, &error));
    end_by_names = summaries.end;
    source_summaries_free(&summaries);
    assert_true(source_summaries_read(&clusters, from, to, false, &summaries, &error));
    return wal_skip_header(&shape, summaries.end) == wal_skip_header(&shape, to);
}

static void a_chain_along_the_history(void **state)
{
    (void) state;
    add_file(2, AT(0x6000 + 24), AT(0x7128));
    add_file(1, AT(0x1028), AT(0x3128));
    add_file(2, AT(0x5000), AT(0x6000));
    add_file(1, AT(0x3128), AT(0x5000));
    assert_true(complete(AT(0x1028), AT(0x7128)));
    for (Oid i = 1; i <= 4; i++)
        assert_true(blockmap_names(summaries.blocks, RELATION(i), 7));
    assert_int_equal(end_by_names, summaries.end);
    /* Block 0 is named, too: the relation may be an SP-GiST index, whose meta page changes without
     * WAL. */
    assert_true(blockmap_names(summaries.blocks, RELATION(1), 0));

    assert_true(complete(AT(0x3128), AT(0x6000 + 24)));
    assert_true(complete(AT(0x3128), AT(0x6000)));
    /* Both ends must be where one begins or ends. */
    assert_false(complete(AT(0x1030), AT(0x7128)));
    assert_false(complete(AT(0x1020), AT(0x7128)));
    assert_false(complete(AT(0x1028), AT(0x7120)));
    assert_false(complete(AT(0x1028), AT(0x7130)));
    clear();
}

static void a_gap(void **state)
{
    const Lsn ends[] = {AT(0x1028), AT(0x3128), AT(0x5000), AT(0x7128)};

    (void) state;
    for (size_t missing = 0; missing < 3; missing++)
    {
        for (size_t i = 0; i < 3; i++)
            if (i != missing)
                add_file(i < 2 ? 1 : 2, ends[i], ends[i + 1]);
        assert_false(complete(AT(0x1028), AT(0x7128)));
        clear();
    }
    /* A byte is enough. */
    add_file(1, AT(0x1028), AT(0x3120));
    add_file(1, AT(0x3128), AT(0x5000));
    assert_false(complete(AT(0x1028), AT(0x5000)));
    clear();
    assert_false(complete(AT(0x1028), AT(0x5000)));
}

static void of_another_timeline(void **state)
{
    (void) state;
    add_file(1, AT(0x1028), AT(0x5000));
    add_file(1, AT(0x5000), AT(0x7128));
    add_file(3, AT(0x5000), AT(0x7128));
    assert_false(complete(AT(0x1028), AT(0x7128)));
    clear();
    /* Past the end of its timeline. */
    add_file(1, AT(0x1028), AT(0x5008));
    add_file(2, AT(0x5000), AT(0x7128));
    assert_false(complete(AT(0x1028), AT(0x7128)));
    clear();
    add_file(2, AT(0x1028), AT(0x5000));
    add_file(2, AT(0x5000), AT(0x7128));
    assert_false(complete(AT(0x1028), AT(0x7128)));
    clear();
}

static void overlapping(void **state)
{
    (void) state;
    add_file(1, AT(0x1028), AT(0x5000));
    add_file(2, AT(0x5000), AT(0x7128));
    add_file(1, AT(0x1008), AT(0x2128)); /* begins elsewhere */
    add_file(1, AT(0x1028), AT(0x2128)); /* starts with a longer one */
    add_file(1, AT(0x3000), AT(0x6128)); /* past the end of its timeline */
    assert_true(complete(AT(0x1028), AT(0x7128)));
    clear();
    /* Summaries that overlap do not continue each other. */
    add_file(1, AT(0x1028), AT(0x4000));
    add_file(1, AT(0x3128), AT(0x5000));
    assert_false(complete(AT(0x1028), AT(0x5000)));
    clear();
}

static void what_cannot_be_read(void **state)
{
    File *file = add_file(1, AT(0x1028), AT(0x5000));

    (void) state;
    assert_true(complete(AT(0x1028), AT(0x5000)));
    file->bytes.bytes[9] ^= 1;
    assert_false(complete(AT(0x1028), AT(0x5000)));
    file->bytes.bytes[9] ^= 1;
    file->bytes.size--;
    assert_false(complete(AT(0x1028), AT(0x5000)));
    file->bytes.size++;
    file->gone = true;
    assert_false(complete(AT(0x1028), AT(0x5000)));
    clear();
}

static void what_it_says_of_storage(void **state)
{
    File *file = begin_file(1, AT(0x1028), AT(0x5000));
    const BlockMapRelation *relation;

    (void) state;
    add_fork(file, (RelationId){1663, 7, 0}, FORK_MAIN, 0, BLOCK_NONE);
    add_fork(file, (RelationId){1664, 5, 1}, FORK_MAIN, 40, 3);
    add_fork(file, (RelationId){1664, 5, 2}, FORK_MAIN, 0, 3);
    add_fork(file, (RelationId){1664, 5, 3}, FORK_VM, 0, 3);
    add_fork(file, (RelationId){1664, 5, 4}, FORK_INIT, 0, 3);
    end_file(file);
    assert_true(complete(AT(0x1028), AT(0x5000)));
    assert_int_equal(summaries.database_count, 1);
    assert_int_equal(summaries.databases[0].tablespace, 1663);
    assert_int_equal(summaries.databases[0].database, 7);
    assert_int_equal(summaries.databases[0].lsn, AT(0x5000));
    relation = blockmap_find(summaries.blocks, (RelationId){1664, 5, 1});
    assert_int_equal(relation->truncated_to, 40);
    assert_int_equal(relation->storage_lsn, LSN_INVALID);
    relation = blockmap_find(summaries.blocks, (RelationId){1664, 5, 2});
    assert_int_equal(relation->truncated_to, 0);
    assert_int_equal(relation->storage_lsn, AT(0x5000));
    assert_null(blockmap_find(summaries.blocks, (RelationId){1664, 5, 3}));
    relation = blockmap_find(summaries.blocks, (RelationId){1664, 5, 4});
    assert_int_equal(relation->storage_lsn, AT(0x5000));
    assert_false(blockmap_names(summaries.blocks, (RelationId){1664, 5, 4}, 3));
    clear();
}

/* More than are asked for at once, and one that is larger than a piece. */
static void many(void **state)
{
    File *large;

    (void) state;
    for (Lsn i = 0; i < 150; i++)
        if (i != 70)
            add_file(1, AT(0x100 + i * 8), AT(0x108 + i * 8));
    large = begin_file(1, AT(0x100 + 70 * 8), AT(0x108 + 70 * 8));
    for (Oid i = 0; i < 50000; i++)
        add_fork(large, RELATION(1000 + i), FORK_MAIN, WAL_SUMMARY_NO_LIMIT, i % 1000);
    end_file(large);
    assert_true(large->bytes.size > FETCH_SIZE_MAX);
    assert_true(complete(AT(0x100), AT(0x100 + 150 * 8)));
    for (Oid i = 1; i <= 149; i++)
        assert_true(blockmap_names(summaries.blocks, RELATION(i), 7));
    for (Oid i = 0; i < 50000; i++)
        assert_true(blockmap_names(summaries.blocks, RELATION(1000 + i), i % 1000));
    large->bytes.bytes[large->bytes.size - 1] ^= 1;
    assert_false(complete(AT(0x100), AT(0x100 + 150 * 8)));
    assert_int_equal(summaries.end, AT(0x100 + 70 * 8));
    large->bytes.bytes[large->bytes.size - 1] ^= 1;
    files[100].gone = true;
    assert_false(complete(AT(0x100), AT(0x100 + 150 * 8)));
    assert_int_equal(summaries.end, AT(0x100 + 101 * 8));
    clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_along_the_history),
        cmocka_unit_test(a_gap),
        cmocka_unit_test(of_another_timeline),
        cmocka_unit_test(overlapping),
        cmocka_unit_test(what_cannot_be_read),
        cmocka_unit_test(what_it_says_of_storage),
        cmocka_unit_test(many),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
