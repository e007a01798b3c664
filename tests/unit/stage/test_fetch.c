/*
 * Results of comparing and fetching: the states of the plan's entries, and the staged bytes.
 */
#include "rewind.h"

#include <stdatomic.h>

static Error error;

/* ---- A source that counts, and can be made to misbehave ---- */

static struct
{
    _Atomic int requests; /* for bytes; several workers count */
    bool lost;            /* the connection, for good */
    bool talkative;       /* a byte more than was asked for */
} source_now;

static bool refuse(Error *failure)
{
    return error_set(failure, ERROR_RETRY, "connection lost");
}

static bool counting_fetch(Source *source, int worker, const FetchBatch *batch,
                           FetchDelivery deliver, void *context, Error *failure)
{
    static const uint8_t bytes[FETCH_SIZE_MAX + 1];

    if (batch->digests)
        return test_fetch(source, worker, batch, deliver, context, failure);
    source_now.requests += (int) batch->count;
    if (source_now.lost)
        return refuse(failure);
    if (source_now.talkative)
        return deliver(context, 0, bytes, batch->requests[0].size + 1, failure);
    return test_fetch(source, worker, batch, deliver, context, failure);
}

static const SourceOperations counting_operations = {.fetch = counting_fetch,
                                                     .start_workers = test_start_workers};
static Source of_directory = {
    .operations = &counting_operations, .directory = "source", .description = "a directory"};
static Source counting = {
    .operations = &counting_operations, .description = "a directory", .digest = DIGEST_MD5};

/*
 * A server whose file is removed while two workers fetch the file: the worker that asks for its
 * first bytes gets an answer only after the other worker's answer that the file is gone. Nothing
 * here orders the workers' accesses to memory: the thread sanitizer sees what the stage's own lock
 * leaves out.
 */
static _Atomic bool told_of_removal;

static bool removing_fetch(Source *source, int worker, const FetchBatch *batch,
                           FetchDelivery deliver, void *context, Error *failure)
{
    const FetchRequest *requests = batch->requests;
    static const uint8_t bytes[FETCH_SIZE_MAX];
    const bool of_begin = requests[0].offset == 0;
    bool ok = true;

    (void) source;
    (void) worker;
    while (of_begin && !atomic_load_explicit(&told_of_removal, memory_order_relaxed))
        usleep(100);
    for (size_t i = 0; ok && i < batch->count; i++)
        ok = deliver(context, i, of_begin ? bytes : NULL, of_begin ? requests[i].size : 0, failure);
    atomic_store_explicit(&told_of_removal, true, memory_order_relaxed);
    return ok;
}

static const SourceOperations removing_operations = {.fetch = removing_fetch,
                                                     .start_workers = test_start_workers};
static Source removing = {
    .operations = &removing_operations, .is_server = true, .description = "a server"};

/* ---- Helpers ---- */

/* A stage with everything fetched; one worker, so that nothing is by chance. */
static Stage *fetched_from(Source *source, Plan *plan)
{
    Stage *stage;

    measure_plan(plan);
    if (!stage_create("target", plan, 1, &stage, &error) || !stage_fetch(stage, source, &error))
        fail_msg("%s", error.message);
    return stage;
}

static Stage *fetched(Plan *plan)
{
    return fetched_from(&counting, plan);
}

static void fetch_from_fails(Source *source, Plan *plan)
{
    Stage *stage;

    measure_plan(plan);
    assert_true(stage_create("target", plan, 1, &stage, &error));
    assert_false(stage_fetch(stage, source, &error));
    stage_abandon(stage);
    stage_free(stage);
}

static void fetch_fails(Plan *plan)
{
    fetch_from_fails(&counting, plan);
}

static void done(Stage *stage)
{
    stage_abandon(stage);
    stage_free(stage);
}

/* Is the staged file of entry `index` the source's? */
static void check_staged(const Stage *stage, const Plan *plan, size_t index)
{
    Buffer local = {0};

    shell("cmp %s source/%s", stage_entry_local(stage, &plan->entries[index], &local),
          plan->entries[index].path);
    buffer_free(&local);
}

/* ---- Comparing ---- */

#define COMPARED(name, blocks)                                                                     \
    {                                                                                              \
        FILE_ENTRY(name, ACTION_COPY, blocks, blocks), .compare = true                             \
    }

/* More than one piece of comparing, and they differ in the last byte only. */
#define LARGE (3 * DIGEST_PIECE_SIZE_MAX / 2 / BLOCK)

static void compare_from(Source *source)
{
    PlanEntry entries[] = {
        COMPARED("base/5/1007_vm", 2),  /* equal */
        COMPARED("base/5/1008_vm", 2),  /* another content */
        COMPARED("base/5/1009_fsm", 2), /* gone on a server; in a directory, another content */
        COMPARED("base/5/2000", 2),     /* gone on the target */
        COMPARED("base/5/2001", 2),     /* grown on the source */
        COMPARED("base/5/2002", 2),     /* grown on the target */
        COMPARED("base/5/2003", 2),     /* shorter on the target */
        COMPARED("base/5/2004", LARGE), /* equal */
        COMPARED("base/5/2005", LARGE), /* another last byte */
    };
    enum
    {
        SAME,
        OTHER,
        GONE
    } expected[] = {SAME, OTHER, GONE, OTHER, OTHER, OTHER, OTHER, SAME, OTHER};
    Plan plan = {.entries = entries, .count = 9, .block_size = BLOCK, .wal_directory = "pg_wal"};
    const bool is_directory = source->directory != NULL;

    if (is_directory)
    {
        put_blocks("source/base/5/1009_fsm", 'x', 2);
        expected[2] = OTHER;
    }
    put_blocks("source/base/5/2000", 'A', 2);
    put_blocks("source/base/5/2001", 'a', 2);
    put_blocks("source/base/5/2002", 'a', 2);
    put_blocks("source/base/5/2003", 'a', 2);
    put_blocks("source/base/5/2004", 'a', LARGE);
    shell("cd source/base/5 && cp 2001 2002 2003 2004 ../../../target/base/5 && cp 2004 2005 && "
          "cp 2004 ../../../target/base/5/2005");
    /* A directory does not grow: there the file is another one of the same size. */
    shell("cd target/base/5 && printf x %s../../../source/base/5/2001 && printf x >>2002 && "
          "truncate -s -1 2003 && truncate -s -1 2005 && printf x >>2005",
          is_directory ? "| dd status=none conv=notrunc of=" : ">>");

    Stage *stage = fetched_from(source, &plan);
    for (size_t i = 0; i < plan.count; i++)
    {
        const StagingState *found = &stage->staging_states[i];

        if (found->equal != (expected[i] == SAME) || found->left_out != (expected[i] == GONE))
            fail_msg("%s: equal %d, gone %d", entries[i].path, found->equal, found->left_out);
    }
    check_staged(stage, &plan, 1);
    check_staged(stage, &plan, 3);
    check_staged(stage, &plan, 8);
    assert_int_equal(stage->statistics.compared_bytes, (2 + LARGE) * BLOCK);
    /* Files that are equal, or gone on the source, are not fetched. */
    assert_int_equal(stage->statistics.fetched_bytes, (2 * (5 + is_directory) + LARGE) * BLOCK);
    done(stage);
    shell("rm -f source/base/5/1009_fsm");
}

static void test_compare(void **state)
{
    (void) state;
    compare_from(&counting);
}

/* A directory is asked for the bytes that are compared; what is copied is read here. */
static void test_compare_with_directory(void **state)
{
    (void) state;
    compare_from(&of_directory);
    assert_int_equal(source_now.requests, 13);
}

/* Nobody writes to a directory that is a source: neither to what is copied, nor to what was equal.
 */
static void test_directory_changes(void **state)
{
    PlanEntry entries[] = {
        COMPARED("base/5/1007_vm", 2),
        {OTHER_ENTRY("other", ACTION_COPY, FILE_REGULAR, false), .source_size = 2 * BLOCK},
    };
    const struct
    {
        const char *path;
        int copied;
    } changes[] = {
        {"other", 2 * BLOCK + 1}, {"other", 2 * BLOCK - 1}, {"base/5/1007_vm", 2 * BLOCK + 1}};
    char expected[128];
    Plan plan = {.entries = entries, .count = 2, .block_size = BLOCK, .wal_directory = "pg_wal"};

    (void) state;
    put_blocks("source/other", 'a', 2);
    for (size_t i = 0; i < 3; i++)
    {
        shell("truncate -s %d source/other && truncate -s %d source/base/5/1007_vm",
              2 * BLOCK + (i == 0) - (i == 1), 2 * BLOCK + (i == 2));
        fetch_from_fails(&of_directory, &plan);
        snprintf(expected, sizeof(expected),
                 "source/%s\" changed concurrently: %d bytes expected, %d copied", changes[i].path,
                 2 * BLOCK, changes[i].copied);
        assert_non_null(strstr(error.message, expected));
        error = (Error){0};
    }
    shell("truncate -s %d source/base/5/1007_vm", 2 * BLOCK);
}

/* No digests (FIPS, and a server that knows no other than MD5): everything is fetched. */
static void test_no_digests(void **state)
{
    PlanEntry entries[] = {COMPARED("base/5/1007_vm", 2), COMPARED("base/5/1009_fsm", 2)};
    Plan plan = {.entries = entries, .count = 2, .block_size = BLOCK, .wal_directory = "pg_wal"};

    (void) state;
    counting.digest = DIGEST_NONE;
    Stage *stage = fetched(&plan);
    counting.digest = DIGEST_MD5;
    assert_false(stage->staging_states[0].equal);
    assert_true(stage->staging_states[1].left_out);
    check_staged(stage, &plan, 0);
    assert_int_equal(source_now.requests, 2);
    done(stage);
}

/* ---- Fetching ---- */

static int pieces_of(int blocks)
{
    return (int) (((size_t) blocks * BLOCK + FETCH_SIZE_MAX - 1) / FETCH_SIZE_MAX);
}

/* A file that is copied whole comes as long as it is now: a relation at most as long as listed, as
 * WAL makes it longer; another one, if it is small, also longer. */
static void test_sizes(void **state)
{
    PlanEntry entries[] = {
        {FILE_ENTRY("base/5/1006", ACTION_COPY, 400, 0)}, /* 4 pieces */
        {FILE_ENTRY("base/5/1010", ACTION_COPY, 4, 4)},   /* shorter by a block */
        {FILE_ENTRY("base/5/2001", ACTION_COPY, 300, 0)}, /* ends within the second piece */
        {FILE_ENTRY("base/5/2002", ACTION_COPY, 2, 0)},   /* longer */
        {OTHER_ENTRY("postgresql.conf", ACTION_COPY, FILE_REGULAR, true), .source_size = 7},
    };
    Plan plan = {.entries = entries, .count = 5, .block_size = BLOCK, .wal_directory = "pg_wal"};
    Buffer path = {0};

    (void) state;
    put_blocks("source/base/5/2001", 'A', 200);
    put_blocks("source/base/5/2002", 'A', 3);
    Stage *stage = fetched(&plan);
    assert_int_equal(source_now.requests, pieces_of(400) + 1 + pieces_of(300) + 1 + 1);
    check_staged(stage, &plan, 0);
    check_staged(stage, &plan, 1);
    check_staged(stage, &plan, 2);
    check_staged(stage, &plan, 4);
    assert_int_equal(stage_final_size(stage, &entries[2]), 200 * BLOCK);
    assert_int_equal(size_of(stage_entry_local(stage, &entries[3], &path)), 2 * BLOCK);
    buffer_free(&path);
    done(stage);
}

/* The journal, in blocks: -REMOVED, PATCHED=SIZE, and of its ranges OFFSET@DATA_OFFSET+SIZE. */
static void check_journal(Stage *stage, const char *expected)
{
    const JournalHead head = make_head();
    Arena *arena = arena_create();
    Buffer text = {0};
    JournalReader *reader;
    JournalHead read;
    JournalEntry entry;
    bool found, end;

    if (!stage_finish(stage, &head, SYNC_BY_DEFAULT, &error) ||
        !journal_open("target", arena, &reader, &read, &found, &error))
        fail_msg("%s", error.message);
    while (journal_next(reader, &entry, &end, &error) && !end)
        if (entry.kind == JOURNAL_REMOVE)
            buffer_printf(&text, "-%s ", entry.path);
        else if (entry.kind == JOURNAL_PATCH)
            buffer_printf(&text, "%s=%d ", entry.path, (int) (entry.size / BLOCK));
        else if (entry.kind == JOURNAL_RANGE)
            buffer_printf(&text, "%d@%d+%d ", (int) (entry.offset / BLOCK),
                          (int) (entry.data_offset / BLOCK), (int) (entry.size / BLOCK));
    assert_string_equal(buffer_string(&text), expected);
    buffer_free(&text);
    journal_close_reader(reader);
    arena_destroy(arena);
}

/* Blocks of files that stay get a place in the data file, which the journal names; what did not
 * come keeps its place. */
static void test_blocks_are_laid_out(void **state)
{
    BlockMap *map = blockmap_create();
    PlanEntry entries[] = {{FILE_ENTRY("base/5/1010", ACTION_NONE, 4, 4)},
                           {FILE_ENTRY("base/5/1011", ACTION_NONE, 4, 4)},
                           {FILE_ENTRY("base/5/1012", ACTION_NONE, 4, 4)}};
    Plan plan = {.entries = entries, .count = 3, .block_size = BLOCK, .wal_directory = "pg_wal"};

    (void) state;
    name_block(map, 1010, 1);
    name_block(map, 1010, 3); /* not there any more */
    name_block(map, 1011, 1); /* the file is gone */
    name_block(map, 1012, 2);
    for (Oid i = 0; i < 3; i++)
        entries[i].blocks = blockmap_find(
            map, (RelationId){.tablespace = 1663, .database = 5, .relation = 1010 + i});
    Stage *stage = fetched(&plan);
    assert_int_equal(block_letter("target/" WORK_DIRECTORY "/data", 0), 'B');
    assert_int_equal(block_letter("target/" WORK_DIRECTORY "/data", 1), 0);
    assert_int_equal(block_letter("target/" WORK_DIRECTORY "/data", 2), 0);
    assert_int_equal(block_letter("target/" WORK_DIRECTORY "/data", 3), 'C');
    assert_int_equal(stage_final_size(stage, &entries[0]), 3 * BLOCK);
    assert_true(stage->staging_states[1].left_out);
    assert_false(stage->staging_states[0].left_out || stage->staging_states[2].left_out);
    check_journal(stage, "-base/5/1011 base/5/1010=3 1@0+1 base/5/1012=4 2@3+1 ");
    done(stage);
    blockmap_destroy(map);
}

/* No block and no file is missing in a directory, unless somebody else has changed it. */
static void test_blocks_of_directory_are_laid_out(void **state)
{
    BlockMap *map = blockmap_create();
    PlanEntry entries[] = {{FILE_ENTRY("base/5/1010", ACTION_NONE, 3, 3)}};
    Plan plan = {.entries = entries, .count = 1, .block_size = BLOCK, .wal_directory = "pg_wal"};

    (void) state;
    name_block(map, 1010, 1);
    entries[0].blocks =
        blockmap_find(map, (RelationId){.tablespace = 1663, .database = 5, .relation = 1010});
    Stage *stage = fetched_from(&of_directory, &plan);
    assert_int_equal(block_letter("target/" WORK_DIRECTORY "/data", 0), 'B');
    check_journal(stage, "base/5/1010=3 1@0+1 ");
    done(stage);

    entries[0].source_size = 4 * BLOCK;
    fetch_from_fails(&of_directory, &plan);
    assert_non_null(strstr(error.message, "source/base/5/1010\" changed concurrently: "));
    error = (Error){0};
    entries[0].settled = true;
    done(fetched_from(&of_directory, &plan));
    shell("mv source/base/5/1010 source/base/5/away");
    fetch_from_fails(&of_directory, &plan);
    assert_string_equal(error.message, "source file \"source/base/5/1010\" has vanished");
    error = (Error){0};
    shell("mv source/base/5/away source/base/5/1010");
    blockmap_destroy(map);
}

static void journal_fails(Stage *stage, const char *message)
{
    const JournalHead head = make_head();

    assert_false(stage_finish(stage, &head, SYNC_BY_DEFAULT, &error));
    assert_string_equal(error.message, message);
    done(stage);
}

/* Each file's bytes are where its ranges are written from, or there is no journal. */
static void test_blocks_are_laid_out_otherwise(void **state)
{
    static const char message[] =
        "what was staged of file \"base/5/1001\" is not what the plan says";
    PlanEntry entries[] = {{FILE_ENTRY("base/5/1001", ACTION_COPY_TAIL, 300, 2)},
                           {FILE_ENTRY("base/5/1002", ACTION_COPY_TAIL, 6, 4)}};
    Plan plan = {.entries = entries, .count = 2, .block_size = BLOCK, .wal_directory = "pg_wal"};
    Stage *stage;

    (void) state;
    entries[0].fetch_all_from = 2;
    entries[1].fetch_all_from = 4;
    stage = fetched(&plan);
    entries[0].fetch_all_from = 1; /* one block more than was fetched, one less, another place */
    journal_fails(stage, message);
    entries[0].fetch_all_from = 2;
    stage = fetched(&plan);
    entries[0].fetch_all_from = 3;
    journal_fails(stage, message);
    entries[0].fetch_all_from = 2;
    stage = fetched(&plan);
    stage->staging_states[0].data_offset += BLOCK;
    journal_fails(stage, message);
    stage = fetched(&plan);
    stage->staging_states[0].copied = true; /* all of it is left out */
    journal_fails(stage, "what was staged of file \"base/5/1002\" is not what the plan says");
}

/* Pieces of one range lie together: the journal has them as one. */
static void test_pieces_of_a_range_lie_together(void **state)
{
    PlanEntry entries[] = {{FILE_ENTRY("base/5/1001", ACTION_COPY_TAIL, 300, 2)}};
    Plan plan = {.entries = entries, .count = 1, .block_size = BLOCK, .wal_directory = "pg_wal"};

    (void) state;
    entries[0].fetch_all_from = 2;
    Stage *stage = fetched(&plan);
    assert_int_equal(source_now.requests, pieces_of(298));
    check_journal(stage, "base/5/1001=300 2@0+298 ");
    done(stage);
}

/* A file that is left out counts as gone on the source. */
static void test_what_is_left_out(void **state)
{
    PlanEntry entries[] = {{FILE_ENTRY("base/5/1006", ACTION_COPY, 400, 0)}};
    Plan plan = {.entries = entries, .count = 1, .block_size = BLOCK, .wal_directory = "pg_wal"};

    (void) state;
    Stage *stage = fetched(&plan);
    assert_true(stage_is_whole(stage, &entries[0]));
    stage_state_of(stage, &entries[0])->left_out = true;
    assert_false(stage_is_whole(stage, &entries[0]));
    assert_true(stage->staging_states[0].left_out);
    assert_int_equal(stage_final_size(stage, &entries[0]), 0);
    done(stage);
}

static void test_a_source_that_fails(void **state)
{
    PlanEntry entries[] = {{FILE_ENTRY("base/5/1006", ACTION_COPY, 400, 0)}};
    Plan plan = {.entries = entries, .count = 1, .block_size = BLOCK, .wal_directory = "pg_wal"};

    (void) state;
    source_now.lost = true;
    fetch_fails(&plan);
    assert_int_equal(error.kind, ERROR_RETRY); /* by hand: the source has tried long enough */
    assert_string_equal(error.message, "connection lost");
    source_now.lost = false;
    source_now.talkative = true;
    fetch_fails(&plan);
    assert_string_equal(error.message, "received more of file \"base/5/1006\" than was asked for");
}

/* ---- WAL ---- */

#define WAL_NAME "000000010000000000000003"

static Plan empty_plan(void)
{
    return (Plan){.block_size = BLOCK, .wal_directory = "pg_wal"};
}

/* The rest of a segment that is copied in part reads as zeros. */
static void test_part_of_segment(void **state)
{
    static const char from[] = "source/pg_wal/" WAL_NAME;
    const int half = SEGMENT_BLOCKS / 2;
    Plan plan = empty_plan();
    Stage *stage;

    (void) state;
    assert_true(stage_create("target", &plan, 2, &stage, &error));
    assert_true(stage_wal_segment(
        stage, &(StagedSegment){WAL_NAME, 4 * SEGMENT, SEGMENT / 2, from, false, NULL, 0}, &error));
    assert_int_equal(size_of(stage_wal_path(stage, WAL_NAME)), 4 * SEGMENT);
    assert_int_equal(block_letter(stage_wal_path(stage, WAL_NAME), half - 1),
                     'A' + (half - 1) % 20);
    assert_int_equal(block_letter(stage_wal_path(stage, WAL_NAME), half), 0);

    /* A segment's file that ends too early is an error: it was whole when its WAL was read. */
    assert_false(stage_wal_segment(
        stage, &(StagedSegment){WAL_NAME, 2 * SEGMENT, 2 * SEGMENT, from, false, NULL, 0}, &error));
    assert_non_null(strstr(error.message, "is shorter than 2097152 bytes"));
    done(stage);
}

/* A limit of the rate holds within a segment: after a second no more than that is there. */
static void test_segment_comes_slowly(void **state)
{
    static const char from[] = "source/pg_wal/" WAL_NAME;
    Plan plan = empty_plan();
    Stage *stage;
    int status;
    pid_t child;

    (void) state;
    assert_true(stage_create("target", &plan, 2, &stage, &error));
    child = fork();
    if (child == 0)
    {
        const StagedSegment slow = {
            WAL_NAME, SEGMENT, SEGMENT, from, false, rate_create(SEGMENT / 2), 0};

        alarm(1);
        _exit(stage_wal_segment(stage, &slow, &error));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
    assert_in_range(size_of("target/pg_rewind.work/" WAL_NAME), 0, SEGMENT * 3 / 4);
    done(stage);
}

static void check_taken(Stage *stage, const char *name, const char *from)
{
    assert_true(stage_wal_segment(
        stage, &(StagedSegment){name, SEGMENT, SEGMENT, from, true, NULL, 0}, &error));
    assert_int_equal(size_of(from), -1);
    shell("cmp source/pg_wal/" WAL_NAME " %s", stage_wal_path(stage, name));
}

/* A part is taken from a file that was fetched, but never from one that has another name: an
 * archive's. */
static void test_take_part_of_segment(void **state)
{
    static const char other[] = "000000010000000000000004";
    Plan plan = empty_plan();
    Stage *stage;

    (void) state;
    assert_true(stage_create("target", &plan, 1, &stage, &error));
    shell("cp source/pg_wal/" WAL_NAME " brought && cp brought archived && ln archived restored");
    for (int i = 0; i < 2; i++)
    {
        const char *name = i == 0 ? WAL_NAME : other, *from = i == 0 ? "brought" : "restored";

        assert_true(stage_wal_segment(
            stage, &(StagedSegment){name, SEGMENT, SEGMENT / 2, from, true, NULL, 0}, &error));
        assert_int_equal(size_of(from), -1);
        assert_int_equal(size_of(stage_wal_path(stage, name)), SEGMENT);
        shell("cmp -n %d source/pg_wal/" WAL_NAME " %s", SEGMENT / 2, stage_wal_path(stage, name));
        assert_int_equal(block_letter(stage_wal_path(stage, name), SEGMENT_BLOCKS / 2), 0);
    }
    shell("cmp source/pg_wal/" WAL_NAME " archived");
    done(stage);
}

/* A segment is moved; from another mount it is copied, and removed there. */
static void test_take_segment(void **state)
{
    static const char other[] = "000000010000000000000004";
    Plan plan = empty_plan();
    char elsewhere[128];
    Stage *stage;

    (void) state;
    snprintf(elsewhere, sizeof(elsewhere), "%s/brought", fixture.space_directory);
    assert_true(stage_create("target", &plan, 1, &stage, &error));
    shell("cp source/pg_wal/" WAL_NAME " brought && cp brought %s", elsewhere);
    check_taken(stage, WAL_NAME, "brought");
    check_taken(stage, other, elsewhere);
    assert_int_equal(source_now.requests, 0);

    assert_false(stage_wal_segment(
        stage,
        &(StagedSegment){"000000010000000000000005", SEGMENT, SEGMENT, "none", true, NULL, 0},
        &error));
    assert_int_equal(error.error_number, ENOENT);
    assert_null(stage_wal_path(stage, "000000010000000000000005"));
    done(stage);
}

/* Whole segments that were taken go back, also to another mount, and count as fetched no more. A
 * part, of which the rest was cut off, does not. */
static void test_return_wal(void **state)
{
    static const char other[] = "000000010000000000000004", part[] = "000000010000000000000005";
    Plan plan = empty_plan();
    char elsewhere[128];
    Stage *stage;

    (void) state;
    snprintf(elsewhere, sizeof(elsewhere), "%s/brought", fixture.space_directory);
    assert_true(stage_create("target", &plan, 1, &stage, &error));
    shell("cp source/pg_wal/" WAL_NAME " brought && cp brought %s && cp brought in_part",
          elsewhere);
    assert_true(stage_wal_segment(
        stage, &(StagedSegment){WAL_NAME, SEGMENT, SEGMENT, "brought", true, NULL, 10}, &error));
    assert_true(stage_wal_segment(
        stage, &(StagedSegment){other, SEGMENT, SEGMENT, elsewhere, true, NULL, 20}, &error));
    assert_true(stage_wal_segment(
        stage, &(StagedSegment){part, SEGMENT, SEGMENT / 2, "in_part", true, NULL, 40}, &error));
    assert_int_equal(stage->statistics.fetched_bytes, 70);
    stage_return_wal(stage);
    shell("cmp source/pg_wal/" WAL_NAME " brought && cmp brought %s", elsewhere);
    assert_int_equal(size_of("in_part"), -1);
    assert_int_equal(stage->statistics.fetched_bytes, 40);
    assert_int_equal(stage->statistics.fetched_bytes_by_kind[KIND_WAL], 40);
    done(stage);
    shell("rm brought %s", elsewhere);
}

static int fresh_target(void **state)
{
    (void) state;
    reset_target();
    shell("rm -f source/base/5/200?");
    memset(&source_now, 0, sizeof(source_now));
    return 0;
}

static int set_up(void **state)
{
    (void) state;
    file_set_modes(false);
    make_fixture();
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    remove_fixture();
    return 0;
}

#define FRESH(test) cmocka_unit_test_setup(test, fresh_target)

/* Files that are large enough to be written past the cache are where workers differ most. */
static void test_gone_while_another_worker_writes(void **state)
{
    PlanEntry entries[] = {{FILE_ENTRY("base/5/1006", ACTION_COPY, 32 * 1024 * 1024 / BLOCK, 0)}};
    Plan plan = {.entries = entries, .count = 1, .block_size = BLOCK, .wal_directory = "pg_wal"};
    Stage *stage;

    (void) state;
    if (!stage_create("target", &plan, 2, &stage, &error) || !stage_fetch(stage, &removing, &error))
        fail_msg("%s", error.message);
    assert_true(stage->staging_states[0].left_out);
    assert_int_equal(stage_final_size(stage, &entries[0]), 0);
    done(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(test_compare),
        FRESH(test_compare_with_directory),
        FRESH(test_directory_changes),
        FRESH(test_no_digests),
        FRESH(test_sizes),
        FRESH(test_blocks_are_laid_out),
        FRESH(test_blocks_of_directory_are_laid_out),
        FRESH(test_blocks_are_laid_out_otherwise),
        FRESH(test_pieces_of_a_range_lie_together),
        FRESH(test_what_is_left_out),
        FRESH(test_gone_while_another_worker_writes),
        FRESH(test_a_source_that_fails),
        FRESH(test_part_of_segment),
        FRESH(test_segment_comes_slowly),
        FRESH(test_take_part_of_segment),
        FRESH(test_take_segment),
        FRESH(test_return_wal),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
