/* Rules C81, O18, R1. */
#include "../../every_version.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan/decide.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef BLOCK /* tests/meson.build has other sizes */
#define BLOCK 8192
#endif
#define SEGMENT_BLOCKS 100 /* blocks of a relation segment: few, so that tests stay small */
#define WAL_SEGMENT 0x1000000u
#define ABSENT (-1)
#define DIRECTORY (-2)
#define LINK (-3)
#define OTHER (-4)
#define NO_ENTRY (-1)

#define NEXT_OID (16385 + 8192) /* the number of table was given away long before */

/* The target left timeline 1 at 0/5000028; before, both sides had timeline 1 from the start. */
#define DIVERGENCE 0x5000028u

static Error error;

/* The input of plan_make, with listings that add() fills, and the plan that comes out. */
typedef struct Case
{
    PlanInput input;
    Listing source, target;
    ListedFile source_files[64], target_files[64];
    ListedLink source_links[4], target_links[4]; /* to be added in the order of their paths */
    ScanResult scan;
    ScanDatabase databases[4];
    History history;
    HistoryEntry entries[2];
    Plan plan;
} Case;

static void begin(Case *c, int major)
{
    memset(c, 0, sizeof(*c));
    c->source.files = c->source_files;
    c->target.files = c->target_files;
    c->source.links = c->source_links;
    c->target.links = c->target_links;
    c->scan.blocks = blockmap_create();
    c->scan.databases = c->databases;
    c->entries[0] = (HistoryEntry){.timeline = 1, .begin = 0, .end = DIVERGENCE};
    c->entries[1] = (HistoryEntry){.timeline = 2, .begin = DIVERGENCE, .end = LSN_INVALID};
    c->history = (History){.entries = c->entries, .count = 2};
    c->input = (PlanInput){
        .version = version_of_major(major),
        .version_directory = directory_of_release(version_of_major(major)),
        .shape = {.version = version_of_major(major),
                  .segment_size = WAL_SEGMENT,
                  .block_size = BLOCK},
        .block_size = BLOCK,
        .relation_segment_blocks = SEGMENT_BLOCKS,
        .source = &c->source,
        .target = &c->target,
        .scan = &c->scan,
        .source_history = &c->history,
        .divergence = DIVERGENCE,
        .whole_from = DIVERGENCE,
        .next_oid = NEXT_OID,
        .every_relation = true,
    };
}

static void end(Case *c)
{
    plan_free(&c->plan);
    blockmap_destroy(c->scan.blocks);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const ListedFile *) a)->path, ((const ListedFile *) b)->path);
}

/* Sizes, or ABSENT, DIRECTORY, LINK, OTHER. */
static void add(Case *c, const char *path, int64_t source, int64_t target)
{
    const int64_t sizes[] = {source, target};
    Listing *listings[] = {&c->source, &c->target};

    for (int i = 0; i < 2; i++)
    {
        Listing *listing = listings[i];
        const char *const places[] = {"/at/source", "/at/target"};

        if (sizes[i] == ABSENT)
            continue;
        listing->files[listing->count++] =
            (ListedFile){.path = path,
                         .size = sizes[i] > 0 ? (uint64_t) sizes[i] & LISTED_SIZE_MAX : 0,
                         .type = sizes[i] == DIRECTORY ? FILE_DIRECTORY
                                 : sizes[i] == LINK    ? FILE_LINK
                                 : sizes[i] == OTHER   ? FILE_OTHER
                                                       : FILE_REGULAR};
        qsort(listing->files, listing->count, sizeof(*listing->files), by_path);
        if (sizes[i] == LINK)
            listing->links[listing->link_count++] = (ListedLink){.path = path, .target = places[i]};
    }
}

static bool make(Case *c)
{
    memset(&error, 0, sizeof(error));
    return plan_make(&c->input, &c->plan, &error);
}

static const PlanEntry *find(const Case *c, const char *path)
{
    for (size_t i = 0; i < c->plan.count; i++)
        if (strcmp(c->plan.entries[i].path, path) == 0)
            return &c->plan.entries[i];
    return NULL;
}

static int action_of(const Case *c, const char *path)
{
    const PlanEntry *entry = find(c, path);

    return entry == NULL ? NO_ENTRY : entry->action;
}

/* The ranges fetched of a file, as "offset+size offset+size", in blocks if they are whole blocks
 * ("3b"), else bytes. */
static const char *ranges_of(const Case *c, const char *path)
{
    static char text[512];
    const PlanEntry *entry = find(c, path);
    uint64_t offset = 0, size;
    int ranges = 0;

    text[0] = '\0';
    while (entry != NULL && plan_next_range(&c->plan, entry, &offset, &size))
    {
        size_t length = strlen(text);

        assert_true(++ranges < 20); /* plan_next_range must end */
        assert_true(size > 0 && offset + size <= entry->source_size);
        assert_int_equal(offset % BLOCK, 0);
        snprintf(text + length, sizeof(text) - length, "%s%" PRIu64 "b+%" PRIu64 "b",
                 length > 0 ? " " : "", offset / BLOCK, size / BLOCK);
        length = strlen(text);
        if (size % BLOCK != 0)
            snprintf(text + length, sizeof(text) - length, "+%" PRIu64, size % BLOCK);
        offset += size;
    }
    return text;
}

static const RelationId table = {.tablespace = 1663, .database = 5, .relation = 16384};

static void name_blocks_in(BlockMap *map, const char *blocks)
{
    for (char *next = (char *) blocks; *next != '\0';)
        blockmap_add(map, table, (BlockNumber) strtoul(next, &next, 10));
}

static void name_blocks(Case *c, const char *blocks)
{
    name_blocks_in(c->scan.blocks, blocks);
}

/* ---- one relation file ---- */

typedef struct RelationRow
{
    const char *path;
    int64_t source, target; /* bytes */
    const char *named;      /* blocks of the relation that the target's WAL names */
    int64_t truncated_to;   /* ABSENT: never */
    int action;
    const char *ranges;
} RelationRow;

#define F "base/5/16384"
#define B BLOCK

static const RelationRow relation_rows[] = {
    /* equal sizes */
    {F, 10 * B, 10 * B, "", ABSENT, ACTION_NONE, ""},
    {F, 10 * B, 10 * B, "0 3 4 9", ABSENT, ACTION_NONE, "0b+1b 3b+2b 9b+1b"},
    {F, 10 * B, 10 * B, "0 1 2 3 4 5 6 7 8 9", ABSENT, ACTION_NONE, "0b+10b"},
    {F, 0, 0, "0 1", ABSENT, ACTION_NONE, ""},
    /* named blocks that the source does not have */
    {F, 10 * B, 10 * B, "9 10 11 99", ABSENT, ACTION_NONE, "9b+1b"},
    /* the target is shorter: the tail, merged with what it touches */
    {F, 10 * B, 6 * B, "", ABSENT, ACTION_COPY_TAIL, "6b+4b"},
    {F, 10 * B, 6 * B, "1 7", ABSENT, ACTION_COPY_TAIL, "1b+1b 6b+4b"},
    {F, 10 * B, 6 * B, "4 5 6", ABSENT, ACTION_COPY_TAIL, "4b+6b"},
    {F, 10 * B, 0, "4 5 6", ABSENT, ACTION_COPY_TAIL, "0b+10b"},
    /* the target is longer */
    {F, 6 * B, 10 * B, "", ABSENT, ACTION_TRUNCATE, ""},
    {F, 6 * B, 10 * B, "5 6 7", ABSENT, ACTION_TRUNCATE, "5b+1b"},
    {F, 0, 10 * B, "5", ABSENT, ACTION_TRUNCATE, ""},
    /* the target cut it: all from there on was lost there, whatever it has now */
    {F, 10 * B, 10 * B, "", 7, ACTION_NONE, "7b+3b"},
    {F, 10 * B, 10 * B, "2 6 8", 7, ACTION_NONE, "2b+1b 6b+4b"},
    {F, 10 * B, 10 * B, "", 0, ACTION_NONE, "0b+10b"},
    {F, 10 * B, 8 * B, "", 5, ACTION_COPY_TAIL, "5b+5b"},
    {F, 10 * B, 4 * B, "", 5, ACTION_COPY_TAIL, "4b+6b"},
    {F, 6 * B, 12 * B, "", 5, ACTION_TRUNCATE, "5b+1b"},
    {F, 6 * B, 12 * B, "", 6, ACTION_TRUNCATE, ""},
    {F, 6 * B, 12 * B, "", 60, ACTION_TRUNCATE, ""},
    /* sizes that are no multiple of the block size: a crash while a file grew */
    {F, 10 * B + 100, 10 * B + 100, "10", ABSENT, ACTION_NONE, "10b+0b+100"},
    {F, 10 * B + 100, 10 * B + 100, "9 10 11", ABSENT, ACTION_NONE, "9b+1b+100"},
    {F, 10 * B, 6 * B + 100, "", ABSENT, ACTION_COPY_TAIL, "6b+4b"},
    {F, 10 * B + 100, 6 * B + 100, "2", ABSENT, ACTION_COPY_TAIL, "2b+1b 6b+4b+100"},
    {F, 10 * B, 10 * B - 1, "", ABSENT, ACTION_COPY_TAIL, "9b+1b"},
    {F, 10 * B + 100, 10 * B + 99, "", ABSENT, ACTION_COPY_TAIL, "10b+0b+100"},
    {F, 10 * B + 99, 10 * B + 100, "10", ABSENT, ACTION_TRUNCATE, "10b+0b+99"},
    {F, 100, 0, "", ABSENT, ACTION_COPY_TAIL, "0b+0b+100"},
    /* later relation segments: blocks count from the relation's begin */
    {F ".1", 10 * B, 10 * B, "3 99 100 105 200", ABSENT, ACTION_NONE, "0b+1b 5b+1b"},
    {F ".1", 10 * B, 6 * B, "3 101", ABSENT, ACTION_COPY_TAIL, "1b+1b 6b+4b"},
    {F ".1", 10 * B, 10 * B, "", 107, ACTION_NONE, "7b+3b"},
    {F ".1", 10 * B, 10 * B, "", 7, ACTION_NONE, "0b+10b"},
    {F ".1", 10 * B, 10 * B, "", 210, ACTION_NONE, ""},
    {F, 100 * B, 100 * B, "99 100", 100, ACTION_NONE, "99b+1b"},
    {F ".2", 1 * B, 100 * B, "200 201", ABSENT, ACTION_TRUNCATE, "0b+1b"},
    /* on one side only */
    {F, 10 * B, ABSENT, "3", ABSENT, ACTION_COPY, "0b+10b"},
    {F, 10 * B + 5, ABSENT, "", ABSENT, ACTION_COPY, "0b+10b+5"},
    {F, 0, ABSENT, "", ABSENT, ACTION_COPY, ""},
    {F ".1", 10 * B, ABSENT, "103", 100, ACTION_COPY, "0b+10b"},
    {F, ABSENT, 10 * B, "3", 2, ACTION_REMOVE, ""},
    {F ".1", ABSENT, 10 * B, "", ABSENT, ACTION_REMOVE, ""},
    /* a segment larger than any can be, or so far behind that its blocks have no number: whole */
    {F, 101 * B, 101 * B, "3", ABSENT, ACTION_COPY, "0b+101b"},
    {F, 10 * B, 101 * B, "3", ABSENT, ACTION_TRUNCATE, "3b+1b"},
    {F ".42949671", 10 * B, 10 * B, "3", ABSENT, ACTION_NONE, ""},
    {F ".42949672", 10 * B, 10 * B, "3", ABSENT, ACTION_COPY, "0b+10b"},
    {F ".4294967295", 10 * B, 10 * B, "3", 1, ACTION_COPY, "0b+10b"},
};

static void test_blocks_of_a_relation_file(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof(relation_rows) / sizeof(relation_rows[0]); i++)
    {
        const RelationRow *row = &relation_rows[i];
        Case c;

        begin(&c, 15);
        add(&c, row->path, row->source, row->target);
        name_blocks(&c, row->named);
        if (row->truncated_to != ABSENT)
            blockmap_truncate(c.scan.blocks, table, (BlockNumber) row->truncated_to);
        assert_true(make(&c));
        if (action_of(&c, row->path) != row->action ||
            strcmp(ranges_of(&c, row->path), row->ranges) != 0)
            fail_msg("row %zu (%s): %s %s, not %s %s", i, row->path,
                     action_name((Action) action_of(&c, row->path)), ranges_of(&c, row->path),
                     action_name((Action) row->action), row->ranges);
        assert_int_equal(find(&c, row->path)->source_size, row->source == ABSENT ? 0 : row->source);
        end(&c);
    }
}

/* A large file of which seven parts in eight are changed is replaced, if half of it is fetched;
 * blocks that recovery rebuilds are not fetched of it either. */
static void test_a_large_file_that_is_mostly_changed_is_replaced(void **state)
{
    const BlockNumber blocks = 16 * 1024 * 1024 / BLOCK;
    const struct
    {
        BlockNumber size, named, rebuilt; /* blocks; the first ones are named, of these the first
                                             rebuilt */
        Action action;
        uint64_t fetched;
    } rows[] = {
        {blocks, blocks / 8 * 7, 0, ACTION_COPY, blocks},
        {blocks, blocks / 8 * 7 - 1, 0, ACTION_NONE, blocks / 8 * 7 - 1},
        {blocks - 1, blocks - 1, 0, ACTION_NONE, blocks - 1},
        {blocks, blocks / 8 * 7, blocks / 8, ACTION_COPY, blocks / 8 * 7},
        {blocks, blocks, blocks / 2, ACTION_COPY, blocks / 2},
        {blocks, blocks, blocks / 2 + 1, ACTION_NONE, blocks / 2 - 1},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        BlockMap *rebuilt = blockmap_create();
        Case c;

        begin(&c, 15);
        c.input.relation_segment_blocks = 2 * blocks;
        c.input.rebuilt = rebuilt;
        add(&c, F, (int64_t) rows[i].size * BLOCK, (int64_t) rows[i].size * BLOCK);
        for (BlockNumber block = 0; block < rows[i].named; block++)
            blockmap_add(c.scan.blocks, table, block);
        for (BlockNumber block = 0; block < rows[i].rebuilt; block++)
            blockmap_add(rebuilt, table, block);
        assert_true(make(&c));
        assert_int_equal(action_of(&c, F), rows[i].action);
        assert_int_equal(find(&c, F)->reason, rows[i].action == ACTION_COPY ? REASON_MOSTLY_CHANGED
                                                                            : REASON_BLOCKS_NAMED);
        assert_false(find(&c, F)->compare);
        assert_int_equal(c.plan.fetch_bytes, rows[i].fetched * BLOCK);
        end(&c);
        blockmap_destroy(rebuilt);
    }
}

/* A sample of the bytes that both sides have was compared. Bytes of the source alone are fetched in
 * any case. */
static void test_a_sample_foretells_that_a_file_is_replaced(void **state)
{
    const uint64_t large = 16 * 1024 * 1024;
    const struct
    {
        uint64_t source_size, target_size;
        uint64_t sampled, differing; /* blocks */
        bool replaced;
    } rows[] = {
        {large, large, 512, 512, true},
        {large, large, 512, 448, true}, /* seven eighths */
        {large, large, 512, 447, false},
        {large, large, 512, 0, false},
        {large, large, 1, 1, true},
        {large, large, 0, 0, false},
        {large, 2 * large, 512, 448, true}, /* the target's end is cut off */
        {2 * large, large, 512, 384, true}, /* 1/2 is new, 3/8 of the file differ */
        {2 * large, large, 512, 383, false},
        {large, BLOCK, 1, 0, true},
        {large - BLOCK, large, 512, 512, false}, /* too small to be replaced */
        {(uint64_t) 1 << 45, (uint64_t) 1 << 45, 528, 462, true},
        {(uint64_t) 1 << 45, (uint64_t) 1 << 45, 528, 461, false},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        const Plan plan = {.block_size = BLOCK};
        const PlanEntry entry = {.reason = REASON_BLOCKS_NAMED,
                                 .source_size = rows[i].source_size,
                                 .target_size = rows[i].target_size};

        assert_int_equal(plan_replaces_by_sample(&plan, &entry, rows[i].sampled, rows[i].differing),
                         rows[i].replaced);
    }
}

/* Without every_relation only a file that nothing is done to has no entry; all others are as they
 * were. */
static void test_untouched_relations_have_no_entry(void **state)
{
    size_t left_out = 0;

    (void) state;
    for (size_t i = 0; i < sizeof(relation_rows) / sizeof(relation_rows[0]); i++)
    {
        const RelationRow *row = &relation_rows[i];
        const bool touched =
            row->action != ACTION_NONE || row->named[0] != '\0' || row->truncated_to != ABSENT;
        Case c;

        begin(&c, 15);
        c.input.every_relation = false;
        add(&c, row->path, row->source, row->target);
        name_blocks(&c, row->named);
        if (row->truncated_to != ABSENT)
            blockmap_truncate(c.scan.blocks, table, (BlockNumber) row->truncated_to);
        assert_true(make(&c));
        assert_int_equal(action_of(&c, row->path), touched ? row->action : NO_ENTRY);
        if (touched)
            assert_string_equal(ranges_of(&c, row->path), row->ranges);
        left_out += !touched;
        end(&c);
    }
    assert_in_range(left_out, 1, 5);
}

/* The source may have made these since its WAL was read: the relation, or its database. It had
 * reserved 8192 numbers. */
static void test_untouched_relations_of_new_numbers_have_an_entry(void **state)
{
    static const Oid next_oids[] = {1, 5, 16384, 16384 + 8192, 16385 + 8192, UINT32_MAX};
    size_t left_out = 0;

    (void) state;
    for (size_t i = 0; i < sizeof(next_oids) / sizeof(next_oids[0]); i++)
    {
        const bool is_old = table.relation + 8192 < next_oids[i] &&
                            table.database + 8192 < next_oids[i] &&
                            next_oids[i] != UINT32_MAX; /* the counter may go round soon */
        Case c;

        begin(&c, 15);
        c.input.every_relation = false;
        c.input.next_oid = next_oids[i];
        add(&c, F, 10 * B, 10 * B);
        assert_true(make(&c));
        assert_int_equal(action_of(&c, F), is_old ? NO_ENTRY : ACTION_NONE);
        left_out += is_old;
        end(&c);
    }
    assert_int_equal(left_out, 1);
}

/* Blocks that recovery rebuilds are left out, but for those from where the source cut the relation
 * on. */
static void test_rebuilt_blocks_are_not_fetched(void **state)
{
    static const struct
    {
        const char *path;
        int64_t source, target;
        const char *named, *rebuilt;
        int truncated_to; /* by the source */
        const char *ranges;
        uint64_t bytes, rebuilt_bytes;
    } rows[] = {
        {F, 10 * B, 10 * B, "2 3 4 7", "3", ABSENT, "2b+1b 4b+1b 7b+1b", 3 * B, B},
        {F, 10 * B, 10 * B, "2 3 4 7", "2 4 5 7", ABSENT, "3b+1b", B, 3 * B},
        {F, 10 * B, 10 * B, "2 3", "2 3", ABSENT, "", 0, 2 * B},
        {F, 10 * B, 10 * B, "2 3", "5", ABSENT, "2b+2b", 2 * B, 0},
        {F, 10 * B, 6 * B, "1", "1 6 7 9", ABSENT, "8b+1b", B, 4 * B},
        {F, 10 * B, 6 * B, "1", "1 6 7 8 9", ABSENT, "", 0, 5 * B},
        {F, 10 * B, 10 * B, "2 3 4 7", "2 3 4 7", 4, "4b+1b 7b+1b", 2 * B, 2 * B},
        {F, 10 * B, 10 * B, "2 3 4 7", "2 3 4 7", 0, "2b+3b 7b+1b", 4 * B, 0},
        {F, 10 * B, ABSENT, "", "0 1 2 3 4 5 6 7 8 9", ABSENT, "", 0, 10 * B},
        {F, 10 * B, ABSENT, "", "0 1 5 9", ABSENT, "2b+3b 6b+3b", 6 * B, 4 * B},
        {F, 10 * B + 100, ABSENT, "", "0 1 2 3 4 5 6 7 8 9 10", ABSENT, "", 0, 10 * B + 100},
        {F, 10 * B + 100, ABSENT, "", "0 1 2 3 4 5 6 7 8 9", ABSENT, "10b+0b+100", 100, 10 * B},
        {F ".1", 10 * B, 10 * B, "100 101 105", "1 5 101", ABSENT, "0b+1b 5b+1b", 2 * B, B},
        {F ".1", 10 * B, ABSENT, "", "1 5 101", ABSENT, "0b+1b 2b+8b", 9 * B, B},
        {F ".42949672", 10 * B, ABSENT, "", "0 1 2", ABSENT, "0b+10b", 10 * B, 0},
        {F "_vm", 10 * B, ABSENT, "", "0 1 2", ABSENT, "0b+10b", 10 * B, 0},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        Case c;
        BlockMap *rebuilt = blockmap_create();

        begin(&c, 15);
        add(&c, rows[i].path, rows[i].source, rows[i].target);
        name_blocks(&c, rows[i].named);
        name_blocks_in(rebuilt, rows[i].rebuilt);
        if (rows[i].truncated_to != ABSENT)
            blockmap_truncate(rebuilt, table, (BlockNumber) rows[i].truncated_to);
        c.input.rebuilt = rebuilt;
        assert_true(make(&c));
        if (strcmp(ranges_of(&c, rows[i].path), rows[i].ranges) != 0)
            fail_msg("row %zu: %s, not %s", i, ranges_of(&c, rows[i].path), rows[i].ranges);
        assert_int_equal(c.plan.fetch_bytes, rows[i].bytes);
        assert_int_equal(c.plan.rebuilt_bytes, rows[i].rebuilt_bytes);
        assert_int_equal(find(&c, rows[i].path)->source_size, rows[i].source);
        end(&c);
        blockmap_destroy(rebuilt);
    }
}

/* If the target made the storage, which may hold anything, even rebuilt blocks are fetched. */
static void test_rebuilt_blocks_of_the_targets_storage_are_fetched(void **state)
{
    BlockMap *rebuilt = blockmap_create();
    Case c;

    (void) state;
    begin(&c, 15);
    add(&c, F, 10 * B, 10 * B);
    blockmap_storage_changed(c.scan.blocks, table, DIVERGENCE + 8);
    name_blocks_in(rebuilt, "1 2 3");
    c.input.rebuilt = rebuilt;
    assert_true(make(&c));
    assert_string_equal(ranges_of(&c, F), "0b+10b");
    end(&c);
    blockmap_destroy(rebuilt);
}

/* The source's first segment was listed before it was full, then the second one came. */
static void test_a_segment_that_is_followed_is_full(void **state)
{
    static const struct
    {
        int64_t first, second, target;
        int action;
        const char *ranges;
        uint64_t final_size;
    } rows[] = {
        {90 * B, 1 * B, 80 * B, ACTION_COPY_TAIL, "80b+20b", 100 * B},
        {90 * B, 1 * B, 90 * B, ACTION_COPY_TAIL, "90b+10b", 100 * B},
        {90 * B, 1 * B, 100 * B, ACTION_NONE, "", 100 * B},
        {90 * B, 1 * B, ABSENT, ACTION_COPY, "0b+100b", 100 * B},
        {90 * B, 0, 100 * B, ACTION_TRUNCATE, "", 90 * B}, /* truncation leaves empty segments */
        {90 * B, ABSENT, 100 * B, ACTION_TRUNCATE, "", 90 * B},
        {100 * B, 1 * B, 100 * B, ACTION_NONE, "", 100 * B},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        Case c;

        begin(&c, 15);
        add(&c, "base/5/16384", rows[i].first, rows[i].target);
        add(&c, "base/5/16384.1", rows[i].second, ABSENT);
        assert_true(make(&c));
        assert_int_equal(action_of(&c, "base/5/16384"), rows[i].action);
        assert_string_equal(ranges_of(&c, "base/5/16384"), rows[i].ranges);
        assert_int_equal(find(&c, "base/5/16384")->source_size, rows[i].final_size);
        end(&c);
    }
}

/* Number of bytes that the plan fetches of files of this kind. */
static uint64_t bytes_of_kind(const Plan *plan, FileKind kind)
{
    uint64_t bytes = 0, offset, size;

    for (size_t i = 0; i < plan->count; i++)
        if (plan->entries[i].kind == kind)
            for (offset = 0; plan_next_range(plan, &plan->entries[i], &offset, &size);
                 offset += size)
                bytes += size;
    return bytes;
}

static void test_bytes_are_counted_by_kind(void **state)
{
    Case c;

    (void) state;
    begin(&c, 15);
    add(&c, "base/5/16384", 10 * B, 8 * B);
    add(&c, "base/5/16384_vm", 3 * B, 3 * B);
    add(&c, "pg_xact/0000", 2 * B, 2 * B);
    add(&c, "pg_wal/000000010000000000000004", WAL_SEGMENT, WAL_SEGMENT);
    add(&c, "PG_VERSION", 3, 3);
    add(&c, "postgresql.conf", 1000, 3000);
    name_blocks(&c, "1");
    c.source.total_size = 12345;
    assert_true(make(&c));
    assert_int_equal(bytes_of_kind(&c.plan, KIND_RELATION), 3 * B);
    assert_int_equal(bytes_of_kind(&c.plan, KIND_FORK), 3 * B);
    assert_int_equal(bytes_of_kind(&c.plan, KIND_STATUS), 2 * B);
    assert_int_equal(bytes_of_kind(&c.plan, KIND_CONFIGURATION), 1000);
    assert_int_equal(bytes_of_kind(&c.plan, KIND_OTHER), 3);
    assert_int_equal(bytes_of_kind(&c.plan, KIND_WAL), 0);
    assert_int_equal(c.plan.fetch_bytes, 8 * B + 1003);
    assert_int_equal(c.plan.source_bytes, 12345);
    end(&c);
}

/* ---- relations whose blocks prove nothing ---- */

static void test_unlogged_relations(void **state)
{
    Case c;

    (void) state;
    begin(&c, 15);
    add(&c, "base/5/1", 10 * B, 20 * B); /* unlogged on both sides */
    add(&c, "base/5/1_init", 1, 1);
    add(&c, "base/5/2", 10 * B, ABSENT); /* new on the source */
    add(&c, "base/5/2_init", 1, ABSENT);
    add(&c, "base/5/3", 10 * B, 10 * B); /* on the source only */
    add(&c, "base/5/3_init", 1, ABSENT);
    add(&c, "base/5/3.1", 10 * B, ABSENT);
    add(&c, "base/5/4", 100 * B, 100 * B); /* on the target only: its blocks are in no WAL */
    add(&c, "base/5/4_init", ABSENT, 1);
    add(&c, "base/5/4.1", 10 * B, 11 * B);
    add(&c, "base/5/5", ABSENT, 10 * B); /* dropped by the source */
    add(&c, "base/5/5_init", ABSENT, 1);
    assert_true(make(&c));
    assert_int_equal(action_of(&c, "base/5/1"), ACTION_NONE);
    assert_string_equal(ranges_of(&c, "base/5/1"), "");
    assert_int_equal(find(&c, "base/5/1")->source_size, 20 * B);
    assert_int_equal(action_of(&c, "base/5/1_init"), ACTION_COPY);
    assert_int_equal(action_of(&c, "base/5/2"), ACTION_NONE);
    assert_string_equal(ranges_of(&c, "base/5/2"), "");
    assert_int_equal(action_of(&c, "base/5/2_init"), ACTION_COPY);
    assert_int_equal(action_of(&c, "base/5/3"), ACTION_NONE);
    assert_int_equal(action_of(&c, "base/5/3.1"), ACTION_NONE);
    assert_int_equal(action_of(&c, "base/5/4"), ACTION_COPY);
    assert_true(find(&c, "base/5/4")->compare);
    assert_int_equal(action_of(&c, "base/5/4.1"), ACTION_COPY);
    assert_false(find(&c, "base/5/4.1")->compare);
    assert_int_equal(action_of(&c, "base/5/4_init"), ACTION_REMOVE);
    assert_int_equal(action_of(&c, "base/5/5"), ACTION_REMOVE);
    end(&c);
}

/* Before 10 no WAL tells what changed in them. */
static void test_hash_indexes_before_10_are_taken_whole(void **state)
{
    static const int numbers[] = {90300, 90624, 100023};

    (void) state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
    {
        const int action = numbers[i] < 100000 ? ACTION_COPY : ACTION_NONE;
        Case c;

        begin(&c, 15);
        c.input.version = c.input.shape.version = version_of_server_number(numbers[i]);
        add(&c, "base/5/16384", 100 * B, 100 * B);
        add(&c, "base/5/16384.1", 10 * B, 10 * B);
        add(&c, "base/5/16385", 10 * B, 10 * B);
        c.target.files[0].hash_index = true;
        assert_true(make(&c));
        assert_int_equal(action_of(&c, "base/5/16384"), action);
        assert_int_equal(action_of(&c, "base/5/16384.1"), action);
        assert_int_equal(action_of(&c, "base/5/16385"), ACTION_NONE);
        assert_int_equal(c.plan.hash_index_count, action == ACTION_COPY ? 1 : 0);
        if (action == ACTION_COPY)
            assert_true(find(&c, "base/5/16384")->compare);
        end(&c);
    }
}

/* Each version's own directories are the server's; of another version's names they are not. */
static void test_wal_of_a_version_before_10(void **state)
{
    Case c;

    (void) state;
    begin(&c, 15);
    c.input.version = c.input.shape.version = version_of_server_number(90624);
    add(&c, "pg_clog/0000", 10, 10);
    add(&c, "pg_xlog", DIRECTORY, DIRECTORY);
    add(&c, "pg_xlog/000000010000000000000001", WAL_SEGMENT, WAL_SEGMENT);
    add(&c, "pg_xlog/archive_status/000000010000000000000001.done", ABSENT, 0);
    add(&c, "pg_xlog/000000010000000000000009", ABSENT, WAL_SEGMENT);
    assert_true(make(&c));
    assert_string_equal(c.plan.wal_directory, "pg_xlog");
    assert_int_equal(find(&c, "pg_clog/0000")->kind, KIND_STATUS);
    assert_int_equal(action_of(&c, "pg_xlog/000000010000000000000001"), ACTION_NONE);
    assert_int_equal(action_of(&c, "pg_xlog/archive_status/000000010000000000000001.done"),
                     ACTION_NONE);
    assert_int_equal(action_of(&c, "pg_xlog/000000010000000000000009"), ACTION_REMOVE);
    end(&c);
}

/* The target's file of that number is in no WAL. Other relations are not concerned. */
static void test_storage_made_by_the_source_is_taken_whole(void **state)
{
    BlockMap *made = blockmap_create();
    Case c;

    (void) state;
    begin(&c, 15);
    add(&c, "base/5/16384", 100 * B, 100 * B);
    add(&c, "base/5/16384.1", ABSENT, 10 * B);
    add(&c, "base/6/16384", 10 * B, 20 * B);
    blockmap_storage_changed(made, table, DIVERGENCE + 8);
    c.input.storage_of_source = made;
    assert_true(make(&c));
    assert_int_equal(action_of(&c, "base/5/16384"), ACTION_COPY);
    assert_int_equal(find(&c, "base/5/16384")->reason, REASON_STORAGE_OF_TARGET);
    assert_int_equal(find(&c, "base/6/16384")->reason, REASON_BLOCKS_NAMED);
    end(&c);
    blockmap_destroy(made);
}

/* Rule C106. The source has not yet removed the files of a relation that it dropped before recovery
 * starts, and the target may have them or not. */
static void test_storage_dropped_before_the_start_is_absent(void **state)
{
    static const struct
    {
        Lsn dropped, made, copied; /* copied: the database, by its files */
        int action;
    } rows[] = {{DIVERGENCE + 8, LSN_INVALID, LSN_INVALID, ACTION_REMOVE},
                {DIVERGENCE + 8, DIVERGENCE, DIVERGENCE, ACTION_REMOVE},
                {DIVERGENCE + 8, DIVERGENCE + 16, LSN_INVALID, ACTION_NONE},
                {DIVERGENCE + 8, LSN_INVALID, DIVERGENCE + 16, ACTION_COPY},
                {LSN_INVALID, DIVERGENCE + 8, LSN_INVALID, ACTION_NONE}};

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        BlockMap *before = blockmap_create();
        ScanDatabase copy = {rows[i].copied, WAL_EVENT_DATABASE_FILE_COPY, 1663, 5, 1663, 1};
        Case c;

        begin(&c, 15);
        add(&c, "base/5/16384", 10 * B, 10 * B);
        add(&c, "base/5/16384_vm", B, ABSENT);
        blockmap_storage_changed(before, table, rows[i].made);
        if (rows[i].dropped != LSN_INVALID)
            blockmap_dropped(before, table, rows[i].dropped);
        c.input.made_before = before;
        c.scan.databases = &copy;
        c.scan.database_count = rows[i].copied != LSN_INVALID;
        assert_true(make(&c));
        assert_int_equal(action_of(&c, "base/5/16384"), rows[i].action);
        assert_int_equal(find(&c, "base/5/16384_vm") == NULL, rows[i].action == ACTION_REMOVE);
        end(&c);
        blockmap_destroy(before);
    }
}

static void test_storage_made_by_the_target_is_taken_whole(void **state)
{
    static const struct
    {
        Lsn lsn;
        int action;
    } rows[] = {
        {DIVERGENCE - 1, ACTION_NONE}, {DIVERGENCE, ACTION_COPY}, {DIVERGENCE + 1, ACTION_COPY}};

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        Case c;

        begin(&c, 15);
        add(&c, "base/5/16384", 100 * B, 100 * B);
        add(&c, "base/5/16384.1", 10 * B, 10 * B);
        add(&c, "base/6/16384", 10 * B, 10 * B);
        blockmap_storage_changed(c.scan.blocks, table, rows[i].lsn);
        assert_true(make(&c));
        assert_int_equal(action_of(&c, "base/5/16384"), rows[i].action);
        assert_int_equal(action_of(&c, "base/5/16384.1"), rows[i].action);
        assert_int_equal(action_of(&c, "base/6/16384"), ACTION_NONE);
        end(&c);
    }
}

static void test_databases_made_by_the_target_are_taken_whole(void **state)
{
    static const struct
    {
        ScanDatabase event;
        int in_default, in_other; /* actions: base/5, pg_tblspc/16500/.../5 */
    } rows[] = {
        {{DIVERGENCE, WAL_EVENT_DATABASE_FILE_COPY, 1663, 5, 1663, 1}, ACTION_COPY, ACTION_NONE},
        {{DIVERGENCE, WAL_EVENT_DATABASE_CREATE, 1663, 5, 0, 0}, ACTION_COPY, ACTION_NONE},
        {{DIVERGENCE, WAL_EVENT_DATABASE_DROP, 1663, 5, 0, 0}, ACTION_COPY, ACTION_NONE},
        {{DIVERGENCE, WAL_EVENT_DATABASE_DROP, 16500, 5, 0, 0}, ACTION_NONE, ACTION_COPY},
        {{DIVERGENCE, WAL_EVENT_DATABASE_DROP, 0, 5, 0, 0}, ACTION_COPY, ACTION_COPY},
        {{DIVERGENCE - 1, WAL_EVENT_DATABASE_FILE_COPY, 1663, 5, 1663, 1},
         ACTION_NONE,
         ACTION_NONE},
        {{DIVERGENCE, WAL_EVENT_DATABASE_FILE_COPY, 1663, 6, 1663, 5}, ACTION_NONE, ACTION_NONE},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        Case c;

        begin(&c, 15);
        add(&c, "base/5/16384", 10 * B, 10 * B);
        add(&c, "pg_tblspc/16500/PG_15_202209061/5/16384", 10 * B, 10 * B);
        add(&c, "global/1262", 10 * B, 10 * B);
        c.databases[0] = rows[i].event;
        c.scan.database_count = 1;
        assert_true(make(&c));
        assert_int_equal(action_of(&c, "base/5/16384"), rows[i].in_default);
        assert_int_equal(action_of(&c, "pg_tblspc/16500/PG_15_202209061/5/16384"),
                         rows[i].in_other);
        assert_int_equal(action_of(&c, "global/1262"), ACTION_NONE);
        end(&c);
    }
}

/* ---- files of all classes ---- */

typedef struct FileRow
{
    const char *path;
    int64_t source, target;
    int action; /* NO_ENTRY: not in the plan */
    int first_major, last_major;
} FileRow;

#define ALL 10, 99

static const FileRow file_rows[] = {
    /* ordinary */
    {"pg_xact/0000", 8192, 8192, ACTION_COPY, ALL},
    {"pg_xact/0001", 8192, ABSENT, ACTION_COPY, ALL},
    {"pg_xact/0002", ABSENT, 8192, ACTION_REMOVE, ALL},
    {"empty", 0, ABSENT, ACTION_COPY, ALL},
    {"base/5/16384_vm", 8192, 8192, ACTION_COPY, ALL},
    {"base/5/16384_fsm", ABSENT, 8192, ACTION_REMOVE, ALL},
    {"standby.signal", ABSENT, 0, ACTION_REMOVE, ALL},
    {"postgresql.conf", 10, 20, ACTION_COPY, ALL},
    {"base/6", DIRECTORY, ABSENT, ACTION_CREATE, ALL},
    {"base/7", ABSENT, DIRECTORY, ACTION_REMOVE, ALL},
    {"base/8", DIRECTORY, DIRECTORY, ACTION_NONE, ALL},
    {"pg_tblspc/16500", LINK, ABSENT, ACTION_CREATE, ALL},
    {"pg_tblspc/16501", LINK, LINK, ACTION_NONE, ALL},
    {"pg_tblspc/16502", ABSENT, LINK, ACTION_REMOVE, ALL},
    {"pg_tblspc/16501/PG_9.6_201608131", ABSENT, DIRECTORY, NO_ENTRY, ALL},
    {"pg_tblspc/16501/PG_9.6_201608131/5/1", 10, 8192, NO_ENTRY, ALL},

    /* ours, or nobody's */
    {"global/pg_control", 8192, 8192, NO_ENTRY, ALL},
    {"backup_label", ABSENT, 200, NO_ENTRY, ALL},
    {"postmaster.pid", 100, 100, NO_ENTRY, ALL},
    {"log/a.log", 100, 100, NO_ENTRY, ALL},
    {"log/b.log", ABSENT, 100, NO_ENTRY, ALL},
    {"postmaster.opts", 100, 100, NO_ENTRY, 10, 10},
    {".s.PGSQL.5432", ABSENT, OTHER, NO_ENTRY, ALL},
    {"a-socket", ABSENT, OTHER, NO_ENTRY, ALL},
    {"b-socket", OTHER, ABSENT, NO_ENTRY, ALL},
    {"c-socket", OTHER, OTHER, NO_ENTRY, ALL},

    /* made anew by the server */
    {"postmaster.opts", 100, 100, ACTION_REMOVE, 11, 99},
    {"pg_replslot", DIRECTORY, DIRECTORY, ACTION_NONE, ALL},
    {"pg_replslot/a", ABSENT, DIRECTORY, ACTION_REMOVE, 11, 99},
    {"pg_replslot/a/state", ABSENT, 100, ACTION_REMOVE, 11, 99},
    {"pg_replslot/b", DIRECTORY, ABSENT, NO_ENTRY, 11, 99},
    {"pg_replslot/b/state", 100, ABSENT, NO_ENTRY, 11, 99},
    {"pg_replslot/b/state", 100, ABSENT, ACTION_COPY, 10, 10},
    {"pg_notify/0000", 8192, 8192, ACTION_REMOVE, 11, 99},
    {"pg_stat_tmp", DIRECTORY, DIRECTORY, ACTION_NONE, ALL},
    {"pg_stat_tmp/db_0.stat", 1000, ABSENT, NO_ENTRY, ALL},
    {"pg_stat_tmp/global.stat", 1000, 1000, ACTION_REMOVE, ALL},
    {"base/5/pg_internal.init", 8192, 8192, ACTION_REMOVE, ALL},
    {"base/5/t3_100", 8192, ABSENT, NO_ENTRY, ALL},
    {"base/5/t4_100", ABSENT, 8192, ACTION_REMOVE, ALL},
    {"base/pgsql_tmp", DIRECTORY, DIRECTORY, ACTION_REMOVE, ALL},
    {"base/pgsql_tmp/x", 8192, 8192, ACTION_REMOVE, ALL},
    {"backup_manifest", 100, 100, ACTION_REMOVE, 13, 99},
    {"backup_manifest", 100, 100, ACTION_COPY, 10, 12},

    /* WAL: 0/5000028 is the divergence */
    {"pg_wal", DIRECTORY, DIRECTORY, ACTION_NONE, ALL},
    {"pg_wal/000000010000000000000001", ABSENT, WAL_SEGMENT, ACTION_NONE, ALL},
    {"pg_wal/000000010000000000000004", WAL_SEGMENT, WAL_SEGMENT, ACTION_NONE, ALL},
    {"pg_wal/000000010000000000000003", WAL_SEGMENT, WAL_SEGMENT / 2, ACTION_REMOVE, ALL},
    {"pg_wal/000000010000000000000005", WAL_SEGMENT, WAL_SEGMENT, ACTION_REMOVE, ALL},
    {"pg_wal/000000010000000000000006", ABSENT, WAL_SEGMENT, ACTION_REMOVE, ALL},
    {"pg_wal/000000020000000000000004", WAL_SEGMENT, WAL_SEGMENT, ACTION_REMOVE, ALL},
    {"pg_wal/000000020000000000000005", WAL_SEGMENT, WAL_SEGMENT, ACTION_REMOVE, ALL},
    {"pg_wal/000000020000000000000006", WAL_SEGMENT, ABSENT, NO_ENTRY, ALL},
    {"pg_wal/000000030000000000000001", ABSENT, WAL_SEGMENT, ACTION_REMOVE, ALL},
    {"pg_wal/000000010000000000000005.partial", WAL_SEGMENT, ABSENT, NO_ENTRY, ALL},
    {"pg_wal/000000010000000000000002.partial", ABSENT, WAL_SEGMENT, ACTION_REMOVE, ALL},
    {"pg_wal/xlogtemp.12", ABSENT, WAL_SEGMENT, ACTION_REMOVE, ALL},
    {"pg_wal/00000002.history", 50, 50, ACTION_COPY, ALL},
    {"pg_wal/00000003.history", ABSENT, 50, ACTION_REMOVE, ALL},
    {"pg_wal/00000004.history", 50, 50, ACTION_REMOVE, ALL},
    {"pg_wal/00000005.history", 50, ABSENT, NO_ENTRY, ALL},
    {"pg_wal/archive_status", DIRECTORY, DIRECTORY, ACTION_NONE, ALL},
    {"pg_wal/archive_status/000000010000000000000004.ready", ABSENT, 0, ACTION_NONE, ALL},
    {"pg_wal/archive_status/000000010000000000000004.done", 0, 0, ACTION_NONE, ALL},
    {"pg_wal/archive_status/000000010000000000000005.ready", ABSENT, 0, ACTION_REMOVE, ALL},
    {"pg_wal/archive_status/000000020000000000000006.ready", 0, ABSENT, NO_ENTRY, ALL},
    {"pg_wal/archive_status/00000002.history.ready", 0, 0, ACTION_NONE, ALL},
    {"pg_wal/archive_status/00000003.history.ready", ABSENT, 0, ACTION_REMOVE, ALL},
    {"pg_wal/archive_status/00000004.history.ready", 0, 0, ACTION_REMOVE, ALL},
    {"pg_wal/archive_status/000000010000000000000005.partial.ready", ABSENT, 0, ACTION_REMOVE, ALL},
    {"pg_wal/archive_status/odd", ABSENT, 0, ACTION_REMOVE, ALL},
    {"pg_wal/summaries", DIRECTORY, DIRECTORY, ACTION_NONE, 17, 99},
    {"pg_wal/summaries/0000000100000000010000280000000003000100.summary", ABSENT, 9, ACTION_NONE,
     17, 99},
    {"pg_wal/summaries/0000000100000000040000280000000005000028.summary", ABSENT, 9, ACTION_NONE,
     17, 99},
    {"pg_wal/summaries/0000000100000000040000280000000005000029.summary", ABSENT, 9, ACTION_REMOVE,
     17, 99},
    {"pg_wal/summaries/0000000300000000010000280000000003000100.summary", ABSENT, 9, ACTION_REMOVE,
     17, 99},
    {"pg_wal/summaries/0000000200000000050000280000000006000100.summary", 9, 9, ACTION_COPY, 17,
     99},
    {"pg_wal/summaries/temp.summary", ABSENT, 9, ACTION_REMOVE, 17, 99},
};

static const int majors[] = {10, 11, 12, 15, 17, 18, 19};

static void test_an_action_for_each_file(void **state)
{
    (void) state;
    for (size_t m = 0; m < sizeof(majors) / sizeof(majors[0]); m++)
        for (size_t i = 0; i < sizeof(file_rows) / sizeof(file_rows[0]); i++)
        {
            const FileRow *row = &file_rows[i];
            Case c;

            if (majors[m] < row->first_major || majors[m] > row->last_major)
                continue;
            begin(&c, majors[m]);
            add(&c, row->path, row->source, row->target);
            /* The history files that belong to the markers in archive_status. */
            if (strstr(row->path, "archive_status/00000002.history") != NULL)
                add(&c, "pg_wal/00000002.history", 50, 50);
            if (strstr(row->path, "archive_status/00000004.history") != NULL)
                add(&c, "pg_wal/00000004.history", 50, 50);
            if (strstr(row->path, "archive_status/00000003.history") != NULL)
                add(&c, "pg_wal/00000003.history", ABSENT, 50);
            assert_true(make(&c));
            if (action_of(&c, row->path) != row->action)
                fail_msg("%d: \"%s\" (source %d, target %d) has action %d, not %d", majors[m],
                         row->path, (int) row->source, (int) row->target, action_of(&c, row->path),
                         row->action);
            end(&c);
        }
}

static void test_equal_sizes_are_compared_first(void **state)
{
    Case c;

    (void) state;
    begin(&c, 15);
    add(&c, "a", 10, 10);
    add(&c, "b", 10, 11);
    add(&c, "c", 10, ABSENT);
    add(&c, "pg_twophase/000002BC", 100, ABSENT);
    add(&c, "pg_tblspc/16500", LINK, ABSENT);
    assert_true(make(&c));
    assert_true(find(&c, "a")->compare);
    assert_false(find(&c, "b")->compare);
    assert_false(find(&c, "c")->compare);
    assert_true(find(&c, "pg_twophase/000002BC")->twophase);
    assert_false(find(&c, "a")->twophase);
    assert_string_equal(find(&c, "pg_tblspc/16500")->link_target, "/at/source");
    end(&c);
}

static void test_entries_are_in_order(void **state)
{
    Case c;

    (void) state;
    begin(&c, 15);
    add(&c, "a", 1, ABSENT);
    add(&c, "a.b", ABSENT, DIRECTORY);
    add(&c, "a/b", ABSENT, 1);
    add(&c, "b", 1, 1);
    add(&c, "c", ABSENT, 1);
    assert_true(make(&c));
    assert_int_equal(c.plan.count, 5);
    for (size_t i = 1; i < c.plan.count; i++)
        assert_true(strcmp(c.plan.entries[i - 1].path, c.plan.entries[i].path) < 0);
    end(&c);
}

static void test_different_types(void **state)
{
    static const struct
    {
        const char *path;
        int64_t source, target;
        bool is_error;
    } rows[] = {
        {"base/5/16384", 8192, DIRECTORY, true},
        {"base/5", DIRECTORY, LINK, true},
        {"pg_xact/0000", 8192, LINK, true},
        {"pg_tblspc/16500", DIRECTORY, LINK, true},
        {"PG_VERSION", 3, OTHER, true},
        {"base/5", LINK, DIRECTORY, true},
        {"pg_wal", LINK, DIRECTORY, false}, /* fine: it is walked into */
        {"pg_wal", DIRECTORY, LINK, false},
        {"postgresql.conf", 100, LINK, false}, /* a user's choice, left alone */
        {"extra", DIRECTORY, 10, false},
        {"extra", 10, DIRECTORY, false},
        {"log", DIRECTORY, LINK, false},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        Case c;

        begin(&c, 15);
        add(&c, rows[i].path, rows[i].source, rows[i].target);
        add(&c, "extra/below", 10, ABSENT);
        add(&c, "extra/on-target", ABSENT, 10);
        add(&c, "extra-beside", 10, ABSENT);
        if (rows[i].is_error)
        {
            assert_true(make(&c));
            assert_int_equal(c.plan.conflict_count, 1);
            assert_string_equal(c.plan.conflicts[0].path, rows[i].path);
            assert_int_equal(c.plan.conflicts[0].reason, REASON_TYPES_DIFFER);
            assert_int_equal(action_of(&c, rows[i].path), NO_ENTRY);
        }
        else
        {
            assert_true(make(&c));
            assert_int_equal(action_of(&c, rows[i].path), NO_ENTRY);
            if (strcmp(rows[i].path, "extra") == 0)
            {
                assert_int_equal(action_of(&c, "extra/below"), NO_ENTRY);
                assert_int_equal(action_of(&c, "extra/on-target"), NO_ENTRY);
            }
            assert_int_equal(action_of(&c, "extra-beside"), ACTION_COPY);
        }
        end(&c);
    }
}

/* A directory cannot be removed while something stays in it. */
static void test_directories_of_what_is_left_alone_stay(void **state)
{
    Case c;

    (void) state;
    begin(&c, 15);
    add(&c, "PG_VERSION", 3, 3);
    add(&c, "log", ABSENT, DIRECTORY);
    add(&c, "log-old", ABSENT, DIRECTORY);
    add(&c, "log/a.log", ABSENT, 100);
    add(&c, "mine", ABSENT, DIRECTORY);
    add(&c, "mine/deep", ABSENT, DIRECTORY);
    add(&c, "mine/deep/.s.PGSQL.5432", ABSENT, OTHER);
    add(&c, "mine/deep/gone", ABSENT, 100);
    add(&c, "mine/gone", ABSENT, DIRECTORY);
    add(&c, "mine/gone/too", ABSENT, 100);
    add(&c, "odd", ABSENT, DIRECTORY);
    add(&c, "odd/fifo", ABSENT, OTHER);
    add(&c, "pg_notify/x", ABSENT, DIRECTORY);
    add(&c, "pg_notify/x/fifo", ABSENT, OTHER);
    add(&c, "pg_tblspc/16500", ABSENT, LINK);
    add(&c, "pg_tblspc/16500/PG_9.6_201608131", ABSENT, DIRECTORY);
    assert_true(make(&c));
    assert_int_equal(action_of(&c, "log"), ACTION_NONE);
    assert_int_equal(action_of(&c, "log-old"), ACTION_REMOVE);
    assert_int_equal(action_of(&c, "mine"), ACTION_NONE);
    assert_int_equal(action_of(&c, "mine/deep"), ACTION_NONE);
    assert_int_equal(action_of(&c, "mine/deep/gone"), ACTION_REMOVE);
    assert_int_equal(action_of(&c, "mine/gone"), ACTION_REMOVE);
    assert_int_equal(action_of(&c, "mine/gone/too"), ACTION_REMOVE);
    assert_int_equal(action_of(&c, "odd"), ACTION_NONE);
    assert_int_equal(action_of(&c, "pg_notify/x"), ACTION_NONE);
    /* Removing a link does not need its place to be empty. */
    assert_int_equal(action_of(&c, "pg_tblspc/16500"), ACTION_REMOVE);
    end(&c);
}

/* The target's log directory and the directories above it stay, even if the source has none. */
static void test_log_directory_stays(void **state)
{
    Case c;

    (void) state;
    begin(&c, 15);
    c.input.log_directory = "mine/logs";
    add(&c, "PG_VERSION", 3, 3);
    add(&c, "log", ABSENT, LINK);
    add(&c, "mine", ABSENT, DIRECTORY);
    add(&c, "mine/gone", ABSENT, 10);
    add(&c, "mine/logs", ABSENT, LINK);
    add(&c, "mine/logs-old", ABSENT, DIRECTORY);
    add(&c, "pg_log", ABSENT, 10);
    assert_true(make(&c));
    assert_int_equal(action_of(&c, "log"), ACTION_NONE);
    assert_int_equal(action_of(&c, "mine"), ACTION_NONE);
    assert_int_equal(action_of(&c, "mine/gone"), ACTION_REMOVE);
    assert_int_equal(action_of(&c, "mine/logs"), ACTION_NONE);
    assert_int_equal(action_of(&c, "mine/logs-old"), ACTION_REMOVE);
    assert_int_equal(action_of(&c, "pg_log"), ACTION_REMOVE);
    end(&c);

    /* The same name on the source: its logs do not come, what is beside them does. */
    begin(&c, 15);
    c.input.log_directory = "mine/logs";
    add(&c, "PG_VERSION", 3, 3);
    add(&c, "mine", DIRECTORY, ABSENT);
    add(&c, "mine/beside", 10, ABSENT);
    add(&c, "mine/logs", DIRECTORY, ABSENT);
    add(&c, "mine/logs/a", 10, ABSENT);
    assert_true(make(&c));
    assert_int_equal(action_of(&c, "mine/beside"), ACTION_COPY);
    assert_int_equal(action_of(&c, "mine/logs"), ACTION_CREATE);
    assert_int_equal(action_of(&c, "mine/logs/a"), NO_ENTRY);
    end(&c);

    /* A link of the target is not gone through for the source's files. */
    begin(&c, 15);
    c.input.log_directory = "mine/logs";
    add(&c, "PG_VERSION", 3, 3);
    add(&c, "mine", DIRECTORY, LINK);
    add(&c, "mine/beside", 10, ABSENT);
    assert_true(make(&c));
    assert_int_equal(action_of(&c, "mine"), NO_ENTRY);
    assert_int_equal(action_of(&c, "mine/beside"), NO_ENTRY);
    end(&c);
}

/* A removed directory is reported once, with all files below, even if other names sort between. */
static void test_foreign_files_that_are_removed(void **state)
{
    static const PlanRemoved expected[] = {{"base/mine", 1, 30, false},
                                           {"mine", 3, 7, false},
                                           {"mine-too", 1, 100, true},
                                           {"mine.txt", 1, 1000, true}};
    Case c;

    (void) state;
    begin(&c, 15);
    add(&c, "PG_VERSION", 3, 3);
    add(&c, "backup_manifest", ABSENT, 10);
    add(&c, "base", DIRECTORY, DIRECTORY);
    add(&c, "base/16400", ABSENT, DIRECTORY);
    add(&c, "base/16400/1259", ABSENT, BLOCK);
    add(&c, "base/mine", ABSENT, DIRECTORY);
    add(&c, "base/mine/file", ABSENT, 30);
    add(&c, "base/pgsql_tmp", ABSENT, DIRECTORY);
    add(&c, "mine", ABSENT, DIRECTORY);
    add(&c, "mine-too", ABSENT, 100);
    add(&c, "mine.txt", ABSENT, 1000);
    add(&c, "mine/a", ABSENT, 1);
    add(&c, "mine/b", ABSENT, DIRECTORY);
    add(&c, "mine/b/c", ABSENT, 6);
    add(&c, "mine/b/link", ABSENT, LINK);
    add(&c, "pg_hba.conf", ABSENT, 10);
    add(&c, "pg_replslot", DIRECTORY, DIRECTORY);
    add(&c, "pg_replslot/slot", ABSENT, DIRECTORY);
    add(&c, "pg_wal/archive_status/000000010000000000000001.done", ABSENT, 0);
    assert_true(make(&c));
    assert_int_equal(c.plan.removed_count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < c.plan.removed_count; i++)
    {
        assert_string_equal(c.plan.removed[i].path, expected[i].path);
        assert_int_equal(c.plan.removed[i].file_count, expected[i].file_count);
        assert_int_equal(c.plan.removed[i].bytes, expected[i].bytes);
    }
    end(&c);
}

/* ---- WAL that stays ---- */

static void test_segments_of_the_common_history_stay(void **state)
{
    static const struct
    {
        Timeline timeline;
        uint64_t segment;
        bool keeps;
    } rows[] = {
        {1, 1, true},  {1, 4, true},  {1, 5, false}, {1, 6, false},
        {2, 4, false}, {2, 5, false}, {3, 1, false}, {1, 0, true},
    };
    Case c;

    (void) state;
    begin(&c, 15);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(plan_keeps_segment(&c.input, rows[i].timeline, rows[i].segment),
                         rows[i].keeps);
    /* Both were on timeline 2 from 0/3000100 on, and parted on it. */
    c.entries[0].end = c.entries[1].begin = 0x3000100;
    assert_true(plan_keeps_segment(&c.input, 1, 2));
    assert_true(plan_keeps_segment(&c.input, 1, 3));
    assert_true(plan_keeps_segment(&c.input, 2, 3));
    assert_false(plan_keeps_segment(&c.input, 1, 4));
    assert_true(plan_keeps_segment(&c.input, 2, 4));
    assert_false(plan_keeps_segment(&c.input, 2, 5));
    assert_false(plan_keeps_segment(&c.input, 2, 2));
    /* A divergence on a boundary. */
    c.input.divergence = 0x5000000;
    c.input.whole_from = 0x5000000;
    assert_true(plan_keeps_segment(&c.input, 2, 4));
    assert_false(plan_keeps_segment(&c.input, 2, 5));
    end(&c);
}

/* A server that summarizes its WAL would wait for what is missing between the oldest and the rest.
 */
static void test_wal_before_a_gap(void **state)
{
    Case c;

    (void) state;
    begin(&c, 16);
    c.input.wal_from = 0x6000028;
    assert_true(plan_keeps_segment(&c.input, 1, 4)); /* 16 summarizes no WAL */
    end(&c);
    begin(&c, 17);
    c.input.wal_from = 0x6000028;
    assert_false(plan_keeps_segment(&c.input, 1, 4));
    assert_true(plan_segment_is_common(&c.input, 1, 4));
    assert_null(plan_wal_before_gap(&c.input));
    /* A segment that waits to be archived (.ready) stays: no other server archives it. */
    add(&c, "pg_wal/000000010000000000000003", ABSENT, WAL_SEGMENT);
    add(&c, "pg_wal/archive_status/000000010000000000000003.ready", ABSENT, 0);
    assert_true(plan_keeps_segment(&c.input, 1, 3));
    assert_false(plan_keeps_segment(&c.input, 1, 4));
    assert_non_null(plan_wal_before_gap(&c.input));
    c.input.wal_from = 0x5FFFFFF;
    assert_null(plan_wal_before_gap(&c.input));
    assert_true(plan_keeps_segment(&c.input, 1, 4));
    end(&c);
}

/* A summarizer starts with the oldest timeline of which WAL stays. */
static void test_what_a_summarizer_reads(void **state)
{
    Case c;

    (void) state;
    begin(&c, 17);
    c.input.wal_from = DIVERGENCE;
    assert_false(plan_summarizer_reads(&c.input, 1)); /* none stays */
    add(&c, "pg_wal/000000010000000000000003", ABSENT, WAL_SEGMENT);
    assert_true(plan_summarizer_reads(&c.input, 1));
    assert_true(plan_summarizer_reads(&c.input, 2));
    c.input.wal_from = 0x6000028; /* segment 3 lies before a gap, and is removed */
    assert_false(plan_summarizer_reads(&c.input, 1));
    end(&c);
    begin(&c, 17);
    c.input.wal_from = DIVERGENCE;
    c.entries[0].end = c.entries[1].begin = 0x3000100;
    add(&c, "pg_wal/000000020000000000000003", ABSENT, WAL_SEGMENT);
    assert_false(plan_summarizer_reads(&c.input, 1));
    assert_true(plan_summarizer_reads(&c.input, 2));
    end(&c);
    begin(&c, 16);
    c.input.wal_from = DIVERGENCE;
    add(&c, "pg_wal/000000010000000000000003", ABSENT, WAL_SEGMENT);
    assert_false(plan_summarizer_reads(&c.input, 1));
    end(&c);
}

/* The target's file stays, what only the source has does not come, a directory is kept whole. */
static void test_kept_files(void **state)
{
    Keep keep = {.configuration = true};
    Case c;

    (void) state;
    begin(&c, 15);
    assert_true(keep_add(&keep, "./conf/", &error));
    assert_true(keep_add(&keep, "own/*", &error));
    keep_add_file(&keep, version_of_major(15), "sub/named");
    keep_add_file(&keep, version_of_major(15), "base/named");
    add(&c, "pg_hba.conf", 10, 20);
    add(&c, "server.key", 10, ABSENT);
    add(&c, "conf", DIRECTORY, DIRECTORY);
    add(&c, "conf-x", 1, ABSENT);
    add(&c, "conf/a", 1, ABSENT);
    add(&c, "conf/b", ABSENT, 1);
    add(&c, "own", ABSENT, DIRECTORY);
    add(&c, "own/x", ABSENT, 1);
    add(&c, "sub", DIRECTORY, DIRECTORY);
    add(&c, "sub/named", 1, 2);
    add(&c, "sub/pg_hba.conf", 1, 2);
    c.input.keep = &keep;
    assert_true(make(&c));
    assert_null(find(&c, "pg_hba.conf"));
    assert_null(find(&c, "server.key"));
    assert_null(find(&c, "conf"));
    assert_null(find(&c, "conf/a"));
    assert_null(find(&c, "conf/b"));
    assert_int_equal(find(&c, "conf-x")->action, ACTION_COPY);
    assert_int_equal(find(&c, "own")->action, ACTION_NONE);
    assert_null(find(&c, "own/x"));
    assert_null(find(&c, "sub/named"));
    assert_int_equal(find(&c, "sub/pg_hba.conf")->action, ACTION_COPY);
    assert_true(plan_keeps(&c.plan, "conf/b"));
    assert_false(plan_keeps(&c.plan, "conf-x"));
    assert_ptr_equal(plan_find(&c.plan, "conf-x"), find(&c, "conf-x"));
    assert_null(plan_find(&c.plan, "conf"));
    end(&c);
    keep_free(&keep);
}

static void test_what_must_not_be_kept(void **state)
{
    static const char *const cases[][2] = {
        {"*", "PG_VERSION"},           {"base/1/1259", "base/1/1259"},
        {"pg_?al", "pg_wal"},          {"backup_label", "backup_label"},
        {"*_map", "tablespace_map"},   {"global/pg_control", "global/pg_control"},
        {"pg_replslot", "pg_replslot"}};

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    {
        Keep keep = {0};
        Case c;

        begin(&c, 15);
        assert_true(keep_add(&keep, cases[i][0], &error));
        add(&c, cases[i][1], 10, 10);
        c.input.keep = &keep;
        assert_false(make(&c));
        assert_non_null(strstr(error.message, cases[i][1]));
        end(&c);
        keep_free(&keep);
    }
}

/* Whatever the source has there, the plan does nothing to a path that stays by its name. A path
 * that is not known to stay may be changed, read or refused. (Rule O18.) */
static void test_what_stays_by_its_name(void **state)
{
    static const struct
    {
        const char *path;
        int64_t type;
        bool stays;
    } rows[] = {
        {"lost+found", DIRECTORY, true},
        {"base/lost+found", DIRECTORY, true},
        {"pg_tblspc/lost+found", DIRECTORY, true},
        {"server.log", 10, true},
        {"old.log", DIRECTORY, false}, /* not its files */
        {"log", DIRECTORY, true},
        {"log", LINK, true},
        {"log", 10, false},
        {"logs/own", DIRECTORY, true}, /* log_directory */
        {"logs", DIRECTORY, false},
        {".s.PGSQL.5432", OTHER, true},
        {"pg_hba.conf", 10, true}, /* --keep-config */
        {"own", DIRECTORY, true},  /* --keep=own */
        {"own/file", 10, true},
        {"some", DIRECTORY, false}, /* --keep=some/file */
        {"other", DIRECTORY, false},
        {"other", 10, false},
        {"pg_wal", LINK, false},
        {"pg_tblspc/16500", LINK, false},
        {"pg_tblspc/empty", DIRECTORY, false},
        {"base", DIRECTORY, false},
        {"base/pgsql_tmp", DIRECTORY, false},
        /* written apart, though the plan leaves them, or an option names them */
        {"global/pg_control", 10, false},
        {"backup_label", 10, false},
        {"postmaster.pid", 10, false},
        {"pg_rewind.work", DIRECTORY, false},
        {"postgresql.auto.conf", 10, false}, /* -R */
        {"global/1262", 10, false},          /* --keep=global/1262 is refused */
    };
    static const char *const own_files[] = {"postgresql.auto.conf", "standby.signal", NULL};
    static const char *const patterns[] = {"own", "some/file", "postmaster.pid", "global/1262"};
    static const int64_t sources[] = {ABSENT, DIRECTORY, LINK, 20};

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t source = 0; source < sizeof(sources) / sizeof(sources[0]); source++)
        {
            Keep keep = {.configuration = true};
            const PlanEntry *entry;
            Case c;

            begin(&c, 15);
            for (size_t k = 0; k < sizeof(patterns) / sizeof(patterns[0]); k++)
                assert_true(keep_add(&keep, patterns[k], &error));
            c.input.keep = &keep;
            c.input.own_files = own_files;
            c.input.log_directory = "logs/own";
            add(&c, rows[i].path, sources[source], rows[i].type);
            c.target.files[0].unreadable = rows[i].type == DIRECTORY;
            assert_int_equal(path_stays(&c.input, rows[i].path, c.target.files[0].type),
                             rows[i].stays);
            if (path_is_within("own", rows[i].path) && strcmp(rows[i].path, "own") != 0)
                add(&c, "own", DIRECTORY, DIRECTORY); /* listed before its files */
            if (rows[i].stays)
            {
                assert_true(make(&c));
                assert_int_equal(c.plan.conflict_count, 0);
                entry = find(&c, rows[i].path);
                assert_true(entry == NULL || entry->action == ACTION_NONE);
            }
            end(&c);
            keep_free(&keep);
        }
}

static void test_what_a_rewind_may_have_to_read(void **state)
{
    static const char *const own_files[] = {"postgresql.auto.conf", "standby.signal", NULL};
    Case c;

    (void) state;
    begin(&c, 15);
    assert_true(path_is_read(&c.input, "base/5/1259"));
    assert_true(path_is_read(&c.input, "PG_VERSION"));
    assert_true(path_is_read(&c.input, "backup_label"));
    assert_false(path_is_read(&c.input, "pg_hba.conf"));
    assert_false(path_is_read(&c.input, "postgresql.auto.conf"));
    c.input.own_files = own_files;
    assert_true(path_is_read(&c.input, "postgresql.auto.conf"));
    end(&c);
}

/* ---- reasons and remarks ---- */

static int reason_of(const Case *c, const char *path)
{
    const PlanEntry *entry = find(c, path);

    return entry == NULL ? NO_ENTRY : entry->reason;
}

static void test_each_entry_has_its_reason(void **state)
{
    static const char *const written[] = {"postgresql.auto.conf", "standby.signal", NULL};
    static const struct
    {
        const char *path;
        int64_t source, target;
        Action action;
        Reason reason;
    } rows[] = {
        {"PG_VERSION", 3, 3, ACTION_COPY, REASON_ON_BOTH_SIDES},
        {"base", DIRECTORY, DIRECTORY, ACTION_NONE, REASON_ON_BOTH_SIDES},
        {"base/5/100", BLOCK, BLOCK, ACTION_NONE, REASON_BLOCKS_NAMED},
        {"base/5/101", BLOCK, ABSENT, ACTION_COPY, REASON_NOT_ON_TARGET},
        {"base/5/102", ABSENT, BLOCK, ACTION_REMOVE, REASON_NOT_ON_SOURCE},
        {"base/5/103", BLOCK, 0, ACTION_NONE, REASON_UNLOGGED},
        {"base/5/103_init", BLOCK, BLOCK, ACTION_COPY, REASON_ON_BOTH_SIDES},
        {"base/7/100", BLOCK, BLOCK, ACTION_COPY, REASON_STORAGE_OF_TARGET},
        {"empty", 0, ABSENT, ACTION_COPY, REASON_MAY_BE_ODD},
        {"log", ABSENT, DIRECTORY, ACTION_NONE, REASON_LEADS_TO_LOGS},
        {"mine", ABSENT, DIRECTORY, ACTION_NONE, REASON_HOLDS_WHAT_STAYS},
        {"new", DIRECTORY, ABSENT, ACTION_CREATE, REASON_NOT_ON_TARGET},
        {"pg_wal/000000010000000000000002", ABSENT, WAL_SEGMENT, ACTION_NONE, REASON_COMMON_WAL},
        {"pg_wal/000000010000000000000007", ABSENT, WAL_SEGMENT, ACTION_REMOVE, REASON_OTHER_WAL},
        {"postgresql.auto.conf", 10, 20, ACTION_NONE, REASON_STANDBY},
        {"postmaster.opts", 10, 20, ACTION_REMOVE, REASON_EXCLUDED},
        {"recovery.signal", 0, 0, ACTION_REMOVE, REASON_STANDBY},
        {"standby.signal", ABSENT, 0, ACTION_NONE, REASON_STANDBY},
    };
    Case c;

    (void) state;
    begin(&c, 15);
    c.input.source_hides_odd = true;
    c.input.own_files = written;
    c.input.unwanted = "recovery.signal";
    c.databases[0] = (ScanDatabase){.database = 7, .lsn = DIVERGENCE};
    c.scan.database_count = 1;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        add(&c, rows[i].path, rows[i].source, rows[i].target);
    add(&c, "mine/fifo", ABSENT, OTHER);
    assert_true(make(&c));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        if (action_of(&c, rows[i].path) != (int) rows[i].action ||
            reason_of(&c, rows[i].path) != (int) rows[i].reason)
            fail_msg("%s: action %d, reason %d", rows[i].path, action_of(&c, rows[i].path),
                     reason_of(&c, rows[i].path));
    }
    assert_int_equal(c.plan.removed_count, 0);
    end(&c);
}

/* With -R an unwanted file is neither fetched from the source nor left on the target. */
static void test_unwanted_file(void **state)
{
    Case c;

    (void) state;
    begin(&c, 15);
    c.input.unwanted = "recovery.signal";
    add(&c, "recovery.signal", 0, ABSENT);
    assert_true(make(&c));
    assert_int_equal(action_of(&c, "recovery.signal"), ACTION_NONE);
    end(&c);
    begin(&c, 15);
    c.input.unwanted = "recovery.signal";
    add(&c, "PG_VERSION", 3, 3);
    add(&c, "recovery.signal", ABSENT, 0);
    assert_true(make(&c));
    assert_int_equal(action_of(&c, "recovery.signal"), ACTION_REMOVE);
    assert_int_equal(c.plan.removed_count, 1);
    end(&c);
}

/* A server follows these links; a list of its directory does not show what they lead to. */
static void test_links_of_source(void **state)
{
    const struct
    {
        const char *path;
        int64_t target;
        bool is_conflict;
    } rows[] = {
        {"base/5", LINK, true},
        {"base/5", ABSENT, true}, /* a copied link would lead to the source's files */
        {"base/5/16384", LINK, true},
        {"pg_xact", LINK, true},
        {"pg_wal/summaries", LINK, true},
        {"pg_tblspc/16500/PG_15_202209061/5", LINK, true},
        {"pg_tblspc/16500", LINK, false},
        {"pg_stat_tmp", LINK, false}, /* the directory's content does not matter */
        {"log", LINK, false},
        {"server.key", LINK, false},
        {"server.key", ABSENT, false},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        Case c;

        begin(&c, 15);
        add(&c, rows[i].path, LINK, rows[i].target);
        assert_true(make(&c));
        assert_int_equal(c.plan.conflict_count, rows[i].is_conflict);
        if (rows[i].is_conflict)
            assert_int_equal(c.plan.conflicts[0].reason, REASON_LINK_OF_SOURCE);
        end(&c);
    }
}

static void test_remarks(void **state)
{
    static const PlanRemark expected[] = {
        {"conf", "conf", REASON_KEPT, FOREIGN_CLUSTER},
        {"empty", NULL, REASON_MAY_BE_ODD, FOREIGN_CLUSTER},
        {"fifo", NULL, REASON_ODD, FOREIGN_CLUSTER},
        {"other", NULL, REASON_TYPES_DIFFER, FOREIGN_CLUSTER},
        {"postmaster.pid", NULL, REASON_PATH_LEFT, FOREIGN_CLUSTER},
        {"socket", NULL, REASON_ODD_ON_SOURCE, FOREIGN_CLUSTER},
        {"nothing", NULL, REASON_MATCHES_NOTHING, FOREIGN_CLUSTER},
    };
    Keep keep = {0};
    Case c;

    (void) state;
    begin(&c, 15);
    assert_true(keep_add(&keep, "conf", &error));
    assert_true(keep_add(&keep, "nothing", &error));
    keep_add_file(&keep, version_of_major(15), "named");
    c.input.keep = &keep;
    c.input.source_hides_odd = true;
    add(&c, "base", DIRECTORY, LINK); /* a conflict is reported where the plan is checked */
    add(&c, "conf", 1, 2);
    add(&c, "empty", 0, ABSENT);
    add(&c, "fifo", ABSENT, OTHER);
    add(&c, "other", 1, LINK);
    add(&c, "postmaster.opts", ABSENT, 1); /* the source has none that could be excluded */
    add(&c, "postmaster.pid", 1, ABSENT);
    add(&c, "socket", OTHER, ABSENT);
    assert_true(make(&c));
    assert_int_equal(c.plan.remark_count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < c.plan.remark_count; i++)
    {
        assert_string_equal(c.plan.remarks[i].path, expected[i].path);
        assert_int_equal(c.plan.remarks[i].reason, expected[i].reason);
        if (expected[i].kept_by != NULL)
            assert_string_equal(c.plan.remarks[i].kept_by, expected[i].kept_by);
    }
    end(&c);
    keep_free(&keep);
}

/* Mounted files stay, with the directories above them, except files that a server needs. */
static void test_mounted_files(void **state)
{
    Case c;

    (void) state;
    begin(&c, 15);
    add(&c, "PG_VERSION", 3, 3);
    add(&c, "mine", ABSENT, DIRECTORY);
    add(&c, "mine/file", ABSENT, 10);
    add(&c, "mine/mounted", ABSENT, 10);
    add(&c, "pg_hba.conf", 10, 20);
    add(&c, "volume", DIRECTORY, DIRECTORY);
    add(&c, "volume/both", 10, 20);
    add(&c, "volume/in", ABSENT, DIRECTORY);
    add(&c, "volume/in/file", ABSENT, 20);
    add(&c, "volume/new", 10, ABSENT);
    for (size_t i = 0; i < c.target.count; i++)
        c.target_files[i].mounted = strcmp(c.target_files[i].path, "mine/file") != 0 &&
                                    strcmp(c.target_files[i].path, "mine") != 0 &&
                                    strncmp(c.target_files[i].path, "volume/", 7) != 0;
    assert_true(make(&c));
    assert_int_equal(action_of(&c, "PG_VERSION"), ACTION_COPY);
    assert_int_equal(action_of(&c, "mine"), ACTION_NONE);
    assert_int_equal(action_of(&c, "mine/file"), ACTION_REMOVE);
    assert_int_equal(action_of(&c, "mine/mounted"), ACTION_NONE);
    assert_int_equal(action_of(&c, "pg_hba.conf"), ACTION_NONE);
    assert_int_equal(reason_of(&c, "pg_hba.conf"), REASON_MOUNTED);
    assert_int_equal(action_of(&c, "volume/both"), ACTION_NONE);
    assert_int_equal(action_of(&c, "volume/in"), ACTION_NONE);
    assert_int_equal(action_of(&c, "volume/in/file"), ACTION_NONE);
    assert_int_equal(action_of(&c, "volume/new"), ACTION_COPY);
    assert_int_equal(c.plan.remark_count, 3);
    end(&c);
}

/* A plan that is made again with more blocks is the same but for these. */
static void test_a_plan_is_made_again(void **state)
{
    Case c;

    (void) state;
    begin(&c, 15);
    add(&c, F, 10 * BLOCK, 10 * BLOCK);
    assert_true(make(&c));
    assert_string_equal(ranges_of(&c, F), "");
    plan_free(&c.plan);
    name_blocks(&c, "2 3 7");
    assert_true(make(&c));
    assert_string_equal(ranges_of(&c, F), "2b+2b 7b+1b");
    assert_int_equal(c.plan.fetch_bytes, 3 * BLOCK);
    end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_of_a_relation_file),
        cmocka_unit_test(test_a_large_file_that_is_mostly_changed_is_replaced),
        cmocka_unit_test(test_a_sample_foretells_that_a_file_is_replaced),
        cmocka_unit_test(test_untouched_relations_have_no_entry),
        cmocka_unit_test(test_untouched_relations_of_new_numbers_have_an_entry),
        cmocka_unit_test(test_rebuilt_blocks_are_not_fetched),
        cmocka_unit_test(test_rebuilt_blocks_of_the_targets_storage_are_fetched),
        cmocka_unit_test(test_a_segment_that_is_followed_is_full),
        cmocka_unit_test(test_bytes_are_counted_by_kind),
        cmocka_unit_test(test_unlogged_relations),
        cmocka_unit_test(test_hash_indexes_before_10_are_taken_whole),
        cmocka_unit_test(test_wal_of_a_version_before_10),
        cmocka_unit_test(test_storage_made_by_the_source_is_taken_whole),
        cmocka_unit_test(test_storage_dropped_before_the_start_is_absent),
        cmocka_unit_test(test_storage_made_by_the_target_is_taken_whole),
        cmocka_unit_test(test_databases_made_by_the_target_are_taken_whole),
        cmocka_unit_test(test_an_action_for_each_file),
        cmocka_unit_test(test_equal_sizes_are_compared_first),
        cmocka_unit_test(test_entries_are_in_order),
        cmocka_unit_test(test_different_types),
        cmocka_unit_test(test_directories_of_what_is_left_alone_stay),
        cmocka_unit_test(test_log_directory_stays),
        cmocka_unit_test(test_foreign_files_that_are_removed),
        cmocka_unit_test(test_wal_before_a_gap),
        cmocka_unit_test(test_what_a_summarizer_reads),
        cmocka_unit_test(test_kept_files),
        cmocka_unit_test(test_each_entry_has_its_reason),
        cmocka_unit_test(test_unwanted_file),
        cmocka_unit_test(test_links_of_source),
        cmocka_unit_test(test_remarks),
        cmocka_unit_test(test_mounted_files),
        cmocka_unit_test(test_a_plan_is_made_again),
        cmocka_unit_test(test_what_must_not_be_kept),
        cmocka_unit_test(test_what_stays_by_its_name),
        cmocka_unit_test(test_what_a_rewind_may_have_to_read),
        cmocka_unit_test(test_segments_of_the_common_history_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
