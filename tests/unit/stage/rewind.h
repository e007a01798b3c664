/*
 * A small rewind for tests: a target and a source directory with a file of each kind, the plan that
 * joins them, a source that reads the directory, and what pg_rewind does with them from the first
 * look to the end.
 *
 * All of that runs in a child process, so that it can be killed.
 */
#ifndef TEST_APPLY_REWIND_H
#define TEST_APPLY_REWIND_H

#include "apply/apply.h"
#include "apply/journal.h"
#include "stage/staged_wal.h"
#include "base/log.h"
#include "format/backup_label.h"
#include "io/file.h"
#include "wal/blockmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef BLOCK /* tests/meson.build has other sizes */
#define BLOCK 8192
#endif
#define SEGMENT (1024 * 1024)
#define SEGMENT_BLOCKS (SEGMENT / BLOCK)
#define RUN_ID "00112233445566778899aabbccddeeff"
#define SNAPSHOT_SIZE 65536

typedef struct Fixture
{
    char directory[64];       /* holds target, source, pristine */
    char space_directory[64]; /* on another file system, where there is one: holds location */
} Fixture;

static Fixture fixture;

/* ---- Files ---- */

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
    char command[2048];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

/* A file of count blocks, each filled with its own letter from `letter` on. */
static void put_blocks(const char *path, char letter, int count)
{
    FILE *file = fopen(path, "w");
    char block[BLOCK];

    assert_non_null(file);
    for (int number = 0; number < count; number++)
    {
        memset(block, letter + number % 20, sizeof(block));
        assert_int_equal(fwrite(block, 1, sizeof(block), file), sizeof(block));
    }
    fclose(file);
}

/* The target's pg_control, which is as large in every build, filled with a letter. */
static void put_control(char letter)
{
    FILE *file = fopen("target/global/pg_control", "w");

    assert_non_null(file);
    for (int i = 0; i < CONTROL_FILE_SIZE; i++)
        fputc(letter, file);
    fclose(file);
}

/* A pg_control that a server has written. The first 512 bytes of the data file are one, without the
 * zeros after them. */
static inline void put_server_control(void)
{
    shell("head -c 512 '%s/15.control' >target/global/pg_control && "
          "truncate -s %d target/global/pg_control",
          getenv("TEST_DATA"), CONTROL_FILE_SIZE);
}

static inline void check_server_control(void)
{
    shell("cmp -n 512 '%s/15.control' target/global/pg_control", getenv("TEST_DATA"));
}

static inline void put_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* The first byte of a block. */
static inline int block_letter(const char *path, int number)
{
    const int fd = open(path, O_RDONLY);
    char byte = 0;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t) number * BLOCK), 1);
    close(fd);
    return byte;
}

static inline off_t size_of(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? status.st_size : -1;
}

/* ---- The two directories ---- */

/* Makes target (pristine is its copy) and source below fixture.directory, and goes there. */
static void make_fixture(void)
{
    char first[] = "/dev/shm/test_apply.XXXXXX";
    char second[] = "/tmp/test_apply.XXXXXX";

    umask(0077);
    assert_non_null(mkdtemp(second));
    if (mkdtemp(first) == NULL)
    {
        strcpy(first, "/tmp/test_apply.XXXXXX");
        assert_non_null(mkdtemp(first));
    }
    strcpy(fixture.directory, first);
    strcpy(fixture.space_directory, second);
    assert_int_equal(chdir(fixture.directory), 0);

    shell("mkdir -p target/base/5 target/base/6 target/base/8 target/global "
          "target/pg_wal/archive_status "
          "target/pg_tblspc old_location/PG_15/5 source/base/5 source/base/7 source/global "
          "source/pg_wal source/pg_tblspc");
    put_text("target/PG_VERSION", "15\n");
    put_control('o');
    put_blocks("target/base/5/1000", 'a', 10); /* two blocks change */
    put_blocks("source/base/5/1000", 'A', 10);
    put_blocks("target/base/5/1001", 'a', 2); /* grows */
    put_blocks("source/base/5/1001", 'A', 300);
    put_blocks("target/base/5/1002", 'a', 10); /* is cut, a block changes */
    put_blocks("source/base/5/1002", 'A', 5);
    put_blocks("target/base/5/1003", 'a', 3); /* goes */
    put_blocks("target/base/5/1004", 'a', 3); /* replaced, keeps its mode */
    put_blocks("source/base/5/1004", 'A', 4);
    shell("chmod 0640 target/base/5/1004");
    put_text("source/base/5/1005", "");          /* new and empty */
    put_blocks("source/base/5/1006", 'A', 400);  /* new, several pieces */
    put_blocks("target/base/5/1007_vm", 'a', 2); /* equal */
    put_blocks("source/base/5/1007_vm", 'a', 2);
    put_blocks("target/base/5/1008_vm", 'a', 2); /* differs */
    put_blocks("source/base/5/1008_vm", 'A', 2);
    put_blocks("target/base/5/1009_fsm", 'a', 2); /* has vanished on the source */
    put_blocks("target/base/5/1010", 'a', 4);     /* has become shorter than the plan says */
    put_blocks("source/base/5/1010", 'A', 3);
    put_blocks("target/base/5/1011", 'a', 4); /* has vanished, but its blocks are laid out */
    put_blocks("target/base/5/1012", 'a', 4); /* comes after it in the data file */
    put_blocks("source/base/5/1012", 'A', 4);
    put_blocks("target/base/6/1", 'a', 1); /* a directory that goes */
    put_blocks("target/base/8/1", 'a', 1); /* one that stays, for something in it is not ours */
    put_text("target/base/8/server.log", "keep\n");
    put_blocks("source/base/7/1", 'A', 1);                  /* a directory that comes */
    put_text("target/postgresql.conf", "port=1\n");         /* equal to the source's listed bytes */
    put_text("source/postgresql.conf", "port=1\nport=2\n"); /* has grown since it was listed */
    put_text("target/standby.signal", "old");               /* removed by the plan, then created */
    put_blocks("target/pg_wal/000000010000000000000002", 'a', SEGMENT_BLOCKS); /* goes */
    put_blocks("target/pg_wal/000000010000000000000003", 'a',
               SEGMENT_BLOCKS); /* removed by the plan, staged from the source */
    put_blocks("source/pg_wal/000000010000000000000003", 'A', SEGMENT_BLOCKS);
    put_blocks("old_location/PG_15/5/1", 'a', 1); /* a tablespace that goes */
    shell("ln -s %s/old_location target/pg_tblspc/16400", fixture.directory);
    shell("ln -s %s/location source/pg_tblspc/16401", fixture.space_directory); /* one that comes */
    shell("mkdir -p source_location/PG_15/5");
    put_blocks("source_location/PG_15/5/1", 'A', 2);
    shell("mkdir pristine && cp -a target old_location pristine");
}

static void remove_fixture(void)
{
    shell("cd / && rm -rf %s %s", fixture.directory, fixture.space_directory);
}

/* The target as it was. */
static inline void reset_target(void)
{
    shell("rm -rf target old_location %s/location && cp -a pristine/target pristine/old_location .",
          fixture.space_directory);
}

/* ---- The source ---- */

/* The tablespace's content stands elsewhere, as the link's location is the target's to be. */
static int open_source(const char *path)
{
    static const char prefix[] = "pg_tblspc/16401/";
    char local[512];

    if (strncmp(path, prefix, strlen(prefix)) == 0)
        snprintf(local, sizeof(local), "source_location/%s", path + strlen(prefix));
    else
        snprintf(local, sizeof(local), "source/%s", path);
    return open(local, O_RDONLY);
}

static bool test_fetch(Source *source, int worker, const FetchBatch *batch, FetchDelivery deliver,
                       void *context, Error *error)
{
    const FetchRequest *requests = batch->requests;
    uint8_t *bytes = malloc(DIGEST_PIECE_SIZE_MAX);
    bool ok = true;

    (void) worker;
    for (size_t index = 0; ok && index < batch->count; index++)
    {
        const int fd = open_source(requests[index].path);
        uint8_t digest[DIGEST_SIZE];
        ssize_t length;

        if (fd < 0)
        {
            ok = deliver(context, index, NULL, 0, error);
            continue;
        }
        length = pread(fd, bytes, requests[index].size, (off_t) requests[index].offset);
        close(fd);
        if (length < 0)
            abort();
        if (batch->digests && !digest_bytes(source->digest, bytes, (size_t) length, digest))
            abort();
        ok = batch->digests ? deliver(context, index, digest, sizeof(digest), error)
                            : deliver(context, index, bytes, (size_t) length, error);
    }
    free(bytes);
    return ok;
}

static bool test_start_workers(Source *source, int jobs, uint64_t bytes, int *granted, Error *error)
{
    (void) bytes;
    (void) source;
    (void) error;
    *granted = jobs;
    return true;
}

static const SourceOperations test_operations = {.fetch = test_fetch,
                                                 .start_workers = test_start_workers};
static Source test_source = {
    .operations = &test_operations, .description = "a directory", .digest = DIGEST_MD5};

/* ---- The plan ---- */

#define FILE_ENTRY(name, what, source, target)                                                     \
    .path = name, .action = what, .type = FILE_REGULAR, .kind = KIND_RELATION,                     \
    .source_size = (source) *BLOCK, .target_size = (target) *BLOCK, .fetch_all_from = BLOCK_NONE,  \
    .on_target = (target) > 0
#define OTHER_ENTRY(name, what, kind_of_file, present)                                             \
    .path = name, .action = what, .type = kind_of_file, .kind = KIND_OTHER,                        \
    .fetch_all_from = BLOCK_NONE, .on_target = present

static PlanEntry plan_entries[] = {
    {OTHER_ENTRY("base/5", ACTION_NONE, FILE_DIRECTORY, true)},
    {FILE_ENTRY("base/5/1000", ACTION_NONE, 10, 10)},
    {FILE_ENTRY("base/5/1001", ACTION_COPY_TAIL, 300, 2)},
    {FILE_ENTRY("base/5/1002", ACTION_TRUNCATE, 5, 10)},
    {FILE_ENTRY("base/5/1003", ACTION_REMOVE, 0, 3)},
    {FILE_ENTRY("base/5/1004", ACTION_COPY, 4, 3)},
    {FILE_ENTRY("base/5/1005", ACTION_COPY, 0, 0)},
    {FILE_ENTRY("base/5/1006", ACTION_COPY, 400, 0)},
    {FILE_ENTRY("base/5/1007_vm", ACTION_COPY, 2, 2), .compare = true},
    {FILE_ENTRY("base/5/1008_vm", ACTION_COPY, 2, 2), .compare = true},
    {FILE_ENTRY("base/5/1009_fsm", ACTION_COPY, 3, 2)},
    {FILE_ENTRY("base/5/1010", ACTION_NONE, 4, 4)},
    {FILE_ENTRY("base/5/1011", ACTION_NONE, 4, 4)},
    {FILE_ENTRY("base/5/1012", ACTION_NONE, 4, 4)},
    {OTHER_ENTRY("base/6", ACTION_REMOVE, FILE_DIRECTORY, true)},
    {FILE_ENTRY("base/6/1", ACTION_REMOVE, 0, 1)},
    {OTHER_ENTRY("base/7", ACTION_CREATE, FILE_DIRECTORY, false)},
    {FILE_ENTRY("base/7/1", ACTION_COPY, 1, 0)},
    {OTHER_ENTRY("base/8", ACTION_REMOVE, FILE_DIRECTORY, true)},
    {FILE_ENTRY("base/8/1", ACTION_REMOVE, 0, 1)},
    {OTHER_ENTRY("pg_tblspc/16400", ACTION_REMOVE, FILE_LINK, true)},
    {OTHER_ENTRY("pg_tblspc/16400/PG_15", ACTION_REMOVE, FILE_DIRECTORY, true)},
    {OTHER_ENTRY("pg_tblspc/16400/PG_15/5", ACTION_REMOVE, FILE_DIRECTORY, true)},
    {FILE_ENTRY("pg_tblspc/16400/PG_15/5/1", ACTION_REMOVE, 0, 1)},
    {OTHER_ENTRY("pg_tblspc/16401", ACTION_CREATE, FILE_LINK, false)},
    {OTHER_ENTRY("pg_tblspc/16401/PG_15", ACTION_CREATE, FILE_DIRECTORY, false)},
    {OTHER_ENTRY("pg_tblspc/16401/PG_15/5", ACTION_CREATE, FILE_DIRECTORY, false)},
    {FILE_ENTRY("pg_tblspc/16401/PG_15/5/1", ACTION_COPY, 2, 0)},
    {FILE_ENTRY("pg_wal/000000010000000000000002", ACTION_REMOVE, 0, SEGMENT_BLOCKS), .wal = true},
    {FILE_ENTRY("pg_wal/000000010000000000000003", ACTION_REMOVE, 0, SEGMENT_BLOCKS), .wal = true},
    {.path = "postgresql.conf",
     .action = ACTION_COPY,
     .type = FILE_REGULAR,
     .kind = KIND_CONFIGURATION,
     .source_size = 7,
     .target_size = 7,
     .compare = true,
     .on_target = true},
    {.path = "standby.signal",
     .action = ACTION_REMOVE,
     .type = FILE_REGULAR,
     .kind = KIND_CONFIGURATION,
     .target_size = 3,
     .on_target = true},
};

static PlanEntry *plan_entry(const char *path)
{
    for (size_t index = 0; index < sizeof(plan_entries) / sizeof(plan_entries[0]); index++)
    {
        if (strcmp(plan_entries[index].path, path) == 0)
            return &plan_entries[index];
    }
    abort();
}

static void name_block(BlockMap *map, Oid relation, BlockNumber block)
{
    blockmap_add(map, (RelationId){.tablespace = 1663, .database = 5, .relation = relation}, block);
}

/* As plan_make does it. */
static inline void measure_plan(const Plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        plan_measure_ranges(plan, &plan->entries[i]);
}

/* The plan; its map lives as long. */
static Plan make_plan(BlockMap *map)
{
    static const Oid patched[] = {1000, 1002, 1010, 1011, 1012};
    static char location[128];
    Plan plan = {.entries = plan_entries,
                 .count = sizeof(plan_entries) / sizeof(plan_entries[0]),
                 .block_size = BLOCK,
                 .version_directory = {"PG_15"},
                 .wal_directory = "pg_wal"};

    name_block(map, 1000, 3);
    name_block(map, 1000, 7);
    name_block(map, 1002, 1);
    name_block(map, 1002, 8);
    name_block(map, 1010, 0);
    name_block(map, 1010, 3);
    name_block(map, 1011, 1);
    name_block(map, 1012, 2);
    for (size_t index = 0; index < sizeof(patched) / sizeof(patched[0]); index++)
    {
        char path[32];

        snprintf(path, sizeof(path), "base/5/%u", patched[index]);
        plan_entry(path)->blocks = blockmap_find(
            map, (RelationId){.tablespace = 1663, .database = 5, .relation = patched[index]});
    }
    plan_entry("base/5/1001")->fetch_all_from = 2;
    snprintf(location, sizeof(location), "%s/location", fixture.space_directory);
    plan_entry("pg_tblspc/16401")->link_target = location;
    measure_plan(&plan);
    return plan;
}

static JournalHead make_head(void)
{
    JournalHead head = {.run_id = RUN_ID,
                        .source = "a directory",
                        .divergence = "0/3000148 on timeline 1",
                        .backup_label = "the real label\n",
                        .options = ""};

    memset(head.old_control, 'o', sizeof(head.old_control));
    memset(head.poison, 'p', sizeof(head.poison));
    memset(head.new_control, 'n', sizeof(head.new_control));
    return head;
}

/* ---- The run ---- */

static bool stage_all(Stage *stage, Error *error)
{
    const JournalHead head = make_head();
    const char *const wal = "source/pg_wal/000000010000000000000003";
    const StagedSegment part = {
        "000000010000000000000003", SEGMENT, SEGMENT / 2 + 5, wal, false, NULL, 0};
    const StagedSegment whole = {"000000010000000000000004", SEGMENT, SEGMENT, wal, false, NULL, 0};

    return stage_fetch(stage, &test_source, error) && stage_wal_segment(stage, &part, error) &&
           stage_wal_segment(stage, &whole, error) &&
           stage_content(stage, "pg_wal/archive_status/000000010000000000000003.done", "", 0,
                         error) &&
           stage_content(stage, "standby.signal", "new", 3, error) &&
           stage_finish(stage, &head, SYNC_BY_DEFAULT, error);
}

static bool stage_and_commit(Interlock *interlock, bool *committed, Error *error)
{
    BlockMap *map = blockmap_create();
    Plan plan = make_plan(map);
    Stage *stage = NULL;
    bool ok = stage_check("target", &plan, &(WalSpace){.written_bytes = 2 * SEGMENT}, error) &&
              stage_create("target", &plan, 2, &stage, error);

    if (ok)
    {
        ok = stage_all(stage, error) && apply_commit("target", interlock, committed, error);
        if (!ok && !*committed)
            stage_abandon(stage);
    }
    stage_free(stage);
    blockmap_destroy(map);
    return ok;
}

/* Run a rewind as the program does; returns the program's exit status: 0, 1 or 2. */
static inline int run_rewind(void)
{
    const Options options = {.jobs = 2};
    Arena *arena = arena_create();
    Interlock *interlock = NULL;
    PendingRewind pending = {.state = PENDING_NONE};
    Error error;
    bool committed = false;
    bool ok = interlock_acquire("target", &interlock, &error) &&
              interlock_claim_pid_file(interlock, &error) &&
              apply_pending("target", arena, &pending, &error);

    file_set_modes(false);
    committed = pending.state == PENDING_APPLY;
    if (ok && (pending.state == PENDING_NONE || pending.state == PENDING_STALE))
        ok = stage_remove_stale("target", &error);
    if (ok && pending.state != PENDING_CLEANUP &&
        block_letter("target/global/pg_control", 0) != 'n' && !committed)
        ok = stage_and_commit(interlock, &committed, &error);
    if (ok && (committed || pending.state == PENDING_CLEANUP))
        ok = apply_finish("target", interlock, &options, 0, &error);
    if (!ok)
        log_error(&error);
    interlock_release(interlock);
    arena_destroy(arena);
    return ok ? 0 : committed ? 2 : 1;
}

/* Wait for a child: its exit status, or minus the signal. */
static inline int wait_for(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- Messages on stderr ---- */

static int kept_stderr = -1;

/* From here on into the file "said" of the working directory. */
static inline void begin_said(void)
{
    const int fd = open("said", O_WRONLY | O_CREAT | O_TRUNC, 0666);

    assert_true(fd >= 0);
    kept_stderr = dup(STDERR_FILENO);
    assert_true(kept_stderr >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    close(fd);
}

/* The end of it; the caller frees. */
static inline char *end_said(void)
{
    Buffer buffer = {0};
    Error error;

    assert_true(dup2(kept_stderr, STDERR_FILENO) >= 0);
    close(kept_stderr);
    if (!file_read_all("said", SNAPSHOT_SIZE, &buffer, NULL, &error))
        fail_msg("%s", error.message);
    buffer_append_u8(&buffer, 0);
    return (char *) buffer.bytes;
}

/* Number of times that `part` is in `text`. */
static inline int count_in(const char *text, const char *part)
{
    int count = 0;

    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
        count++;
    return count;
}

/* ---- Comparing ---- */

/* The snapshot being taken. */
static struct
{
    bool server_only;
    char lines[512][128];
    size_t count;
} taking;

static uint64_t hash_file(const char *path)
{
    static uint64_t words[8192];
    const int fd = open(path, O_RDONLY);
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a, by words */
    ssize_t length;

    assert_true(fd >= 0);
    while ((length = read(fd, words, sizeof(words))) > 0)
    {
        memset((uint8_t *) words + length, 0, sizeof(words) - (size_t) length);
        for (ssize_t index = 0; index < (length + 7) / 8; index++)
            hash = ((hash ^ words[index]) * 0x100000001B3u) ^ (hash >> 32);
        hash ^= (uint64_t) length;
    }
    close(fd);
    return hash;
}

static int take_file(const char *path, const struct stat *status, int type, struct FTW *where)
{
    const char *name = path + where->base;
    char link[64] = "";
    uint64_t hash = 0;
    int length;

    if (taking.server_only &&
        (strcmp(name, WORK_DIRECTORY) == 0 || strncmp(name, "postmaster.pid", 14) == 0))
        return FTW_SKIP_SUBTREE;
    if (type == FTW_F)
        hash = hash_file(path);
    if (type == FTW_SL)
        assert_true(readlink(path, link, sizeof(link) - 1) > 0);
    assert_true(taking.count < 512);
    length = snprintf(taking.lines[taking.count++], 128, "%s %o %016llx %s\n", path,
                      (unsigned) status->st_mode, (unsigned long long) hash, link);
    assert_in_range(length, 1, 127);
    return FTW_CONTINUE;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(a, b);
}

/*
 * Every path of the target with type, mode, content or link. With server_only: as a server sees it,
 * so without the work directories and the pid file, and without the location of the new tablespace.
 */
static inline void take_snapshot(bool server_only, char snapshot[SNAPSHOT_SIZE])
{
    taking.server_only = server_only;
    taking.count = 0;
    assert_int_equal(nftw("target", take_file, 16, FTW_PHYS | FTW_ACTIONRETVAL), 0);
    assert_int_equal(nftw("old_location", take_file, 16, FTW_PHYS | FTW_ACTIONRETVAL), 0);
    if (!server_only)
        assert_int_equal(nftw(fixture.space_directory, take_file, 16, FTW_PHYS | FTW_ACTIONRETVAL),
                         0);
    qsort(taking.lines, taking.count, sizeof(taking.lines[0]), compare_lines);
    snapshot[0] = '\0';
    for (size_t index = 0, length = 0; index < taking.count; index++)
    {
        assert_true(length + 128 < SNAPSHOT_SIZE);
        length += (size_t) sprintf(snapshot + length, "%s", taking.lines[index]);
    }
}

#endif
