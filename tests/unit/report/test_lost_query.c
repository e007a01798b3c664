#include "../../every_version.h"
#include "report/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

/* A transaction that inserts a row into the relation and commits. */
static void commit_insert(Lost *lost, uint32_t xid, Oid database, Oid relation)
{
    static const uint8_t time[12] = {0}; /* and no subtransactions, in 9.3 */
    const bool old = lost->version->old_wal;
    WalRecord record = {.lsn = 0x1000,
                        .rmgr = RM_HEAP,
                        .xid = xid,
                        .block_count = 1,
                        .blocks = {{.relation = {1663, database, relation}}}};
    Error error;

    assert_true(lost_add_record(lost, &record, &error));
    record = (WalRecord){.lsn = 0x1000,
                         .rmgr = RM_XACT,
                         .xid = xid,
                         .info = old ? 0x60 : 0,
                         .data = time,
                         .data_size = old ? 12 : 8};
    assert_true(lost_add_record(lost, &record, &error));
}

static Lost *make_lost(void)
{
    const LostWanted wanted = {.end = UINT64_MAX, .first_known_xid = 3};

    return lost_create(version_of_major(15), &wanted);
}

static void script_is(Lost *lost, const char *expected)
{
    Buffer text = {0};
    const char *script;

    lost_queries_text(lost, &text);
    script = strstr(buffer_string(&text), "-- database ");
    assert_string_equal(script != NULL ? script : "", expected);
    buffer_free(&text);
}

static void test_query(void **state)
{
    Lost *lost = make_lost();
    Buffer text = {0};

    (void) state;
    commit_insert(lost, 700, 5, 16400);
    commit_insert(lost, 701, 5, 16400);
    commit_insert(lost, 4000000000, 5, 16400);
    lost_query_append(lost, &lost->relations[0], &text);
    assert_string_equal(
        buffer_string(&text),
        "SELECT coalesce(max(format('SELECT tableoid::regclass, ctid, xmin, * FROM %s\n"
        "  WHERE xmin::text::bigint BETWEEN 700 AND 701\n"
        "    OR xmin::text = ''4000000000''', oid::regclass)), '') AS lost_rows\n"
        "  FROM pg_class WHERE oid = pg_filenode_relation(1663, 16400) AND relkind "
        "IN ('r', 'm') \\gset\n:lost_rows;");
    buffer_free(&text);
    lost_destroy(lost);
}

/* 9.3 finds a table by its storage in another way, and forgets who wrote rows that are frozen. */
static void test_query_of_93(void **state)
{
    const Version *version = version_of_server_number(90300);
    const LostWanted wanted = {.end = UINT64_MAX, .first_known_xid = 3};
    Lost *lost = lost_create(version, &wanted);
    Buffer text = {0};

    (void) state;
    commit_insert(lost, 700, 5, 16400);
    lost->relations[0].name = "public.a";
    lost_queries_text(lost, &text);
    assert_non_null(strstr(buffer_string(&text),
                           "  FROM pg_class WHERE pg_relation_filenode(oid) = 16400\n"
                           "    AND 1663 = coalesce(nullif(reltablespace, 0),\n"
                           "      (SELECT dattablespace FROM pg_database WHERE datname = "
                           "current_database()))\n"
                           "    AND relkind IN ('r', 'm') \\gset\n"));
    assert_non_null(strstr(buffer_string(&text), "froze since"));
    buffer_free(&text);
    lost_destroy(lost);
}

/* A name comes from the source: it does not end its comment. */
static void test_name_with_lines(void **state)
{
    Lost *lost = make_lost();

    (void) state;
    commit_insert(lost, 700, 5, 16400);
    lost->relations[0].name = "public.\"a\n\\! rm\"";
    lost->relations[0].database = "x\r\ny";
    script_is(lost,
              "-- database x??y\n"
              "\\set lost_host :HOST\n"
              "SELECT 'dbname=' || regexp_replace(datname, '(\\W)', '\\\\\\1', 'g') || coalesce(' "
              "host='\n"
              "    || regexp_replace(nullif(:'lost_host', ':HOST'), '(\\W)', '\\\\\\1', 'g'), '') AS "
              "conninfo\n"
              "  FROM pg_database WHERE oid = 5 \\gset\n"
              "\\connect -reuse-previous=on :\"conninfo\"\n"
              "-- public.\"a?\\! rm\": inserted 1, updated 0, deleted 0\n"
              "SELECT coalesce(max(format('SELECT tableoid::regclass, ctid, xmin, * FROM %s\n"
              "  WHERE xmin::text = ''700''', oid::regclass)), '') AS lost_rows\n"
              "  FROM pg_class WHERE oid = pg_filenode_relation(1663, 16400) AND relkind IN "
              "('r', 'm') \\gset\n:lost_rows;\n");
    lost_destroy(lost);
}

/* Nor is there a script where there is nothing to be found: catalogs, indexes and TOAST tables. */
static void test_nothing_to_find(void **state)
{
    Lost *lost = make_lost();

    (void) state;
    commit_insert(lost, 700, 5, 1259);
    commit_insert(lost, 701, 5, 16400);
    lost->relations[1].table = "public.a";
    assert_int_equal(lost->relation_count, 2);
    script_is(lost, "");
    lost_destroy(lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_query_of_93),
        cmocka_unit_test(test_name_with_lines),
        cmocka_unit_test(test_nothing_to_find),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
