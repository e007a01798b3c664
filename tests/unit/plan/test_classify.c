#include "../../every_version.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan/classify.h"

#include <stdio.h>
#include <string.h>

/* Versions in which a row holds. */
#define ALL 10, 99
#define FROM(major) major, 99
#define ONLY_10 10, 10
#define UP_TO(major) 10, major

typedef struct Row
{
    const char *path; /* %s stands for the version's directory in a tablespace */
    PathClass class;
    int first_major, last_major;
} Row;

static const Row rows[] = {
    /* relations: main forks only */
    {"base/5/16384", PATH_RELATION, ALL},
    {"base/5/16384.1", PATH_RELATION, ALL},
    {"base/5/16384.131071", PATH_RELATION, ALL},
    {"global/1262", PATH_RELATION, ALL},
    {"pg_tblspc/16500/%s/5/16384", PATH_RELATION, ALL},
    {"pg_tblspc/16500/%s/5/16384.2", PATH_RELATION, ALL},
    {"base/5/16384_fsm", PATH_FORK, ALL},
    {"base/5/16384_vm.1", PATH_FORK, ALL},
    {"base/5/16384_init", PATH_FORK, ALL},
    {"base/5/016384", PATH_ORDINARY, ALL},
    {"base/5/16384.0", PATH_ORDINARY, ALL},
    {"base/5/16384.01", PATH_ORDINARY, ALL},
    {"base/5/16384x", PATH_ORDINARY, ALL},
    {"base/5/4294967296", PATH_ORDINARY, ALL},
    {"base/5", PATH_ORDINARY, ALL},
    {"base/5/PG_VERSION", PATH_ORDINARY, ALL},
    {"base/5/pg_filenode.map", PATH_ORDINARY, ALL},
    {"global/pg_filenode.map", PATH_ORDINARY, ALL},
    {"base/5/16384/1", PATH_ORDINARY, ALL},

    /* a tablespace's place that is shared with a cluster of another version */
    {"pg_tblspc/16500", PATH_ORDINARY, ALL},
    {"pg_tblspc/16500/%s", PATH_ORDINARY, ALL},
    {"pg_tblspc/16500/PG_9.6_201608131", PATH_LEFT, ALL},
    {"pg_tblspc/16500/PG_9.6_201608131/5/16384", PATH_LEFT, ALL},
    {"pg_tblspc/16500/%s_old/5/16384", PATH_LEFT, ALL},
    {"pg_tblspc/16500/lost+found", PATH_LEFT, ALL},

    /* temporary relations and files */
    {"base/5/t3_16384", PATH_EXCLUDED, ALL},
    {"base/5/t0_16384_fsm", PATH_EXCLUDED, ALL},
    {"pg_tblspc/16500/%s/5/t3_16384.1", PATH_EXCLUDED, ALL},
    {"base/pgsql_tmp", PATH_EXCLUDED, ALL},
    {"base/pgsql_tmp/pgsql_tmp123.0", PATH_EXCLUDED, ALL},
    {"pg_tblspc/16500/%s/pgsql_tmp/pgsql_tmp1.0", PATH_EXCLUDED, ALL},

    /* what the server makes anew: the content goes, the directory stays */
    {"pg_replslot", PATH_ORDINARY, ALL},
    {"pg_replslot/slot", PATH_EXCLUDED, FROM(11)},
    {"pg_replslot/slot/state", PATH_EXCLUDED, FROM(11)},
    {"pg_replslot/slot/state", PATH_ORDINARY, ONLY_10},
    {"pg_stat_tmp/global.stat", PATH_EXCLUDED, ALL},
    {"pg_dynshmem/mmap.1", PATH_EXCLUDED, FROM(11)},
    {"pg_notify/0000", PATH_EXCLUDED, FROM(11)},
    {"pg_serial/0000", PATH_EXCLUDED, FROM(11)},
    {"pg_snapshots/00000003-1", PATH_EXCLUDED, FROM(11)},
    {"pg_subtrans/0000", PATH_EXCLUDED, FROM(11)},
    {"pg_subtrans/0000", PATH_ORDINARY, ONLY_10},
    {"pg_subtrans_of_mine/0000", PATH_ORDINARY, ALL},
    {"base/pg_subtrans/0000", PATH_ORDINARY, ALL},
    {"base/5/pg_internal.init", PATH_EXCLUDED, ALL},
    {"base/5/pg_internal.init.4711", PATH_EXCLUDED, ALL},
    {"global/pg_internal.init", PATH_EXCLUDED, ALL},
    {"postgresql.auto.conf.tmp", PATH_EXCLUDED, ALL},
    {"current_logfiles.tmp", PATH_EXCLUDED, ALL},
    {"tablespace_map", PATH_EXCLUDED, ALL},
    {"somewhere/backup_label", PATH_EXCLUDED, ALL},
    {"postmaster.opts", PATH_EXCLUDED, FROM(11)},
    {"postmaster.opts", PATH_LEFT, ONLY_10},
    {"backup_manifest", PATH_EXCLUDED, FROM(13)},
    {"backup_manifest", PATH_ORDINARY, UP_TO(12)},

    /* nobody's business, or ours to write in its time */
    {"global/pg_control", PATH_LEFT, ALL},
    {"backup_label", PATH_LEFT, ALL},
    {"postmaster.pid", PATH_LEFT, ALL},
    {"pg_rewind.work", PATH_LEFT, ALL},
    {"pg_rewind.work/f1", PATH_LEFT, ALL},
    {"pg_rewind.work.wal/000000010000000000000001", PATH_LEFT, ALL},
    {"pg_tblspc/16500/pg_rewind.work/f1", PATH_LEFT, ALL},
    {"pg_wal/pg_rewind.work/f1", PATH_LEFT, ALL},
    {"log/postgresql-Mon.log", PATH_LEFT, ALL},
    {"pg_log/a", PATH_LEFT, ALL},
    {"server.log", PATH_LEFT, ALL},
    {"extra/server.log", PATH_ORDINARY, ALL},
    {"current_logfiles", PATH_LEFT, ALL},
    {".s.PGSQL.5432", PATH_LEFT, ALL},
    {"sockets/.s.PGSQL.5432.lock", PATH_LEFT, ALL},
    {"base/.DS_Store", PATH_LEFT, FROM(15)},
    {"base/.DS_Store", PATH_ORDINARY, UP_TO(14)},
    {"lost+found", PATH_LEFT, ALL},
    {"lost+found/#12", PATH_LEFT, ALL},
    {"lost+founder", PATH_ORDINARY, ALL},

    /* WAL; segments have 16 MB here */
    {"pg_wal", PATH_ORDINARY, ALL},
    {"pg_wal/000000010000000000000001", PATH_WAL, ALL},
    {"pg_wal/0000000A00000001000000FF", PATH_WAL, ALL},
    {"pg_wal/000000010000000000000100", PATH_ORDINARY, ALL}, /* segment numbers end at 000000FF */
    {"pg_wal/00000001000000000000000a", PATH_ORDINARY, ALL},
    {"pg_wal/000000010000000000000001.partial", PATH_WAL_REST, ALL},
    {"pg_wal/xlogtemp.4711", PATH_WAL_REST, ALL},
    {"pg_wal/RECOVERYXLOG", PATH_WAL_REST, ALL},
    {"pg_wal/RECOVERYHISTORY", PATH_WAL_REST, ALL},
    {"pg_wal/00000002.history", PATH_ORDINARY, ALL},
    {"pg_wal/000000010000000000000002.00000028.backup", PATH_WAL_REST, ALL},
    {"pg_wal/00000001.backup", PATH_ORDINARY, ALL},
    {"pg_wal/archive_status", PATH_ORDINARY, ALL},
    {"pg_wal/archive_status/000000010000000000000001.ready", PATH_WAL_STATUS, ALL},
    {"pg_wal/summaries/0000000100000000010000280000000001000100.summary", PATH_ORDINARY, ALL},
    {"pg_walls/000000010000000000000001", PATH_ORDINARY, ALL},

    /* taken from the source */
    {"PG_VERSION", PATH_ORDINARY, ALL},
    {"postgresql.conf", PATH_ORDINARY, ALL},
    {"postgresql.auto.conf", PATH_ORDINARY, ALL},
    {"standby.signal", PATH_ORDINARY, ALL},
    {"recovery.conf", PATH_ORDINARY, ALL},
    {"backup_label.old", PATH_ORDINARY, ALL},
    {"pg_xact/0000", PATH_ORDINARY, ALL},
    {"pg_multixact/offsets/0000", PATH_ORDINARY, ALL},
    {"pg_commit_ts/0000", PATH_ORDINARY, ALL},
    {"pg_twophase/00000300", PATH_ORDINARY, ALL},
    {"pg_logical/replorigin_checkpoint", PATH_ORDINARY, ALL},
    {"pg_stat/pgstat.stat", PATH_ORDINARY, ALL},
};

static void test_each_path_is_of_its_class(void **state)
{
    (void) state;
    for (int major = 10; version_of_major(major) != NULL; major++)
    {
        const Version *version = version_of_major(major);
        const WalShape shape = {
            .version = version, .segment_size = 16 * 1024 * 1024, .block_size = 8192};
        const VersionDirectory own = directory_of_release(version);

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        {
            const Row *row = &rows[i];
            const char *place = strstr(row->path, "%s");
            char path[256];
            RelationFile file;
            PathClass class;

            if (version->number < 100 * row->first_major || version->number > 100 * row->last_major)
                continue;
            if (place != NULL)
                snprintf(path, sizeof(path), "%.*s%s%s", (int) (place - row->path), row->path,
                         own.name, place + 2);
            else
                snprintf(path, sizeof(path), "%s", row->path);
            class = path_classify(&own, &shape, path, &file);
            if (class != row->class)
                fail_msg("%s: \"%s\" is of class %d, not %d", version->name, path, class,
                         row->class);
            if (class == PATH_RELATION)
                assert_int_equal(file.fork, FORK_MAIN);
        }
    }
}

static void test_relation_files_are_taken_apart(void **state)
{
    const Version *version = version_of_major(15);
    const VersionDirectory own = directory_of_release(version);
    const WalShape shape = {.version = version, .segment_size = 16 << 20, .block_size = 8192};
    RelationFile file;

    (void) state;
    assert_int_equal(path_classify(&own, &shape, "base/5/16384.3", &file), PATH_RELATION);
    assert_int_equal(file.relation.tablespace, TABLESPACE_DEFAULT);
    assert_int_equal(file.relation.database, 5);
    assert_int_equal(file.relation.relation, 16384);
    assert_int_equal(file.segment, 3);
    assert_int_equal(path_classify(&own, &shape, "base/5/16384_vm", &file), PATH_FORK);
    assert_int_equal(file.fork, FORK_VM);
    assert_int_equal(path_classify(&own, &shape, "PG_VERSION", &file), PATH_ORDINARY);
}

static void test_the_servers_files(void **state)
{
    static const char *const servers[] = {"base",    "base/5/16384", "global/1262",    "pg_wal/x",
                                          "pg_xact", "PG_VERSION",   "pg_tblspc/16500"};
    static const char *const others[] = {"postgresql.conf", "basement", "server.crt", "log",
                                         "log/base"};

    const Version *version = version_of_major(15);

    (void) state;
    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
        assert_true(path_server_reads(version, servers[i]));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(path_server_reads(version, others[i]));
}

static void test_kinds_for_the_report(void **state)
{
    const Version *version = version_of_major(15);

    (void) state;
    assert_int_equal(path_kind(version, "base/5/16384", PATH_RELATION), KIND_RELATION);
    assert_int_equal(path_kind(version, "base/5/16384_vm", PATH_FORK), KIND_FORK);
    assert_int_equal(path_kind(version, "pg_wal/00000002.history", PATH_ORDINARY), KIND_WAL);
    assert_int_equal(path_kind(version, "pg_xact/0000", PATH_ORDINARY), KIND_STATUS);
    assert_int_equal(path_kind(version, "pg_multixact/members/0000", PATH_ORDINARY), KIND_STATUS);
    assert_int_equal(path_kind(version, "postgresql.conf", PATH_ORDINARY), KIND_CONFIGURATION);
    assert_int_equal(path_kind(version, "standby.signal", PATH_ORDINARY), KIND_CONFIGURATION);
    assert_int_equal(path_kind(version, "PG_VERSION", PATH_ORDINARY), KIND_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_path_is_of_its_class),
        cmocka_unit_test(test_relation_files_are_taken_apart),
        cmocka_unit_test(test_the_servers_files),
        cmocka_unit_test(test_kinds_for_the_report),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
