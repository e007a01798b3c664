#include "../../every_version.h"
#include "report/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static LostPlace places[] = {{0, 1}, {0, 65535}, {7, 2}};

static LostRelation relation_of(const char *name)
{
    return (LostRelation){.id = {1663, 5, 16400},
                          .oid = 16400,
                          .transactions = 1,
                          .name = name,
                          .database = "shop",
                          .on_source = true,
                          .rows = {.updated = 2, .deleted = 1},
                          .places = places,
                          .place_count = 3};
}

static void query_is(const Lost *lost, const LostRelation *relation, const char *expected)
{
    AUTO_BUFFER Buffer text = {0};

    source_query_append(lost, relation, &text);
    assert_string_equal(buffer_string(&text), expected);
}

static void test_query(void **state)
{
    const LostRelation relation = relation_of("public.\"it's\"");
    Lost lost = {.version = version_of_major(15), .ended_before = 788};

    (void) state;
    query_is(&lost, &relation,
             "SELECT * FROM ONLY public.\"it's\"\n"
             "  WHERE ctid OPERATOR(pg_catalog.=) ANY ('{\"(0,1)\",\"(0,65535)\",\"(7,2)\"}'::pg_catalog.tid[])\n"
             "  AND pg_catalog.age(xmin) OPERATOR(pg_catalog.>) pg_catalog.age('788'::pg_catalog.xid)\n"
             "  AND pg_catalog.pg_relation_filenode('public.\"it''s\"'::pg_catalog.regclass)\n"
             "    OPERATOR(pg_catalog.=) '16400'::pg_catalog.oid;");
    lost.version = version_of_server_number(90300);
    lost.open_xids[0] = 700;
    lost.open_xids[1] = 710;
    lost.open_xid_count = 2;
    query_is(&lost, &relation,
             "SELECT * FROM ONLY public.\"it's\"\n"
             "  WHERE ctid OPERATOR(pg_catalog.=) ANY ('{\"(0,1)\",\"(0,65535)\",\"(7,2)\"}'::pg_catalog.tid[])\n"
             "  AND pg_catalog.age(xmin) OPERATOR(pg_catalog.>) pg_catalog.age('788'::pg_catalog.xid)\n"
             "  AND xmin::pg_catalog.text OPERATOR(pg_catalog.<>) '2'::pg_catalog.text\n"
             "  AND xmin::pg_catalog.text OPERATOR(pg_catalog.<>) ALL ('{700,710}'::pg_catalog.text[])\n"
             "  AND pg_catalog.pg_relation_filenode('public.\"it''s\"'::pg_catalog.regclass)\n"
             "    OPERATOR(pg_catalog.=) '16400'::pg_catalog.oid;");
}

/* standard_conforming_strings may be off. */
static void test_query_of_a_name_with_a_backslash(void **state)
{
    const LostRelation relation = relation_of("public.\"a\\'\"");
    const Lost lost = {.version = version_of_major(15), .ended_before = 788};

    (void) state;
    query_is(&lost, &relation,
             "SELECT * FROM ONLY public.\"a\\'\"\n"
             "  WHERE ctid OPERATOR(pg_catalog.=) ANY ('{\"(0,1)\",\"(0,65535)\",\"(7,2)\"}'::pg_catalog.tid[])\n"
             "  AND pg_catalog.age(xmin) OPERATOR(pg_catalog.>) pg_catalog.age('788'::pg_catalog.xid)\n"
             "  AND pg_catalog.pg_relation_filenode(E'public.\"a\\\\''\"'::pg_catalog.regclass)\n"
             "    OPERATOR(pg_catalog.=) '16400'::pg_catalog.oid;");
}

static void test_existence(void **state)
{
    LostRelation relation = relation_of("public.a");
    Lost lost = {.version = version_of_major(15)};

    (void) state;
    assert_true(source_query_exists(&lost, &relation));
    relation.place_count = 0;
    assert_false(source_query_exists(&lost, &relation));
    relation = relation_of("public.a");
    relation.on_source = false;
    assert_false(source_query_exists(&lost, &relation));
    relation = relation_of("pg_toast.pg_toast_1");
    relation.table = "public.a";
    assert_false(source_query_exists(&lost, &relation));
    relation = relation_of("public.caf\xe9");
    assert_false(source_query_exists(&lost, &relation));
    relation = relation_of("public.a");
    lost.open_is_unknown = true;
    assert_false(source_query_exists(&lost, &relation));
}

/* psql would take the name for one in the encoding of the database. */
static void test_script_with_other_names(void **state)
{
    LostRelation relations[] = {relation_of("public.\"caf\u00e9\""), relation_of("public.\"caf\xff\"")};
    Lost lost = {.version = version_of_major(15), .relations = relations, .relation_count = 1,
                 .connected_encoding = 8};
    AUTO_BUFFER Buffer text = {0};

    (void) state;
    source_queries_text(&lost, &text);
    assert_non_null(strstr(buffer_string(&text), "-- database shop\n\\encoding UTF8\n-- public."));
    lost.connected_encoding = 0;
    buffer_clear(&text);
    source_queries_text(&lost, &text);
    assert_non_null(strstr(buffer_string(&text), "-- database shop\n-- public."));
    assert_non_null(strstr(buffer_string(&text), "FROM ONLY public.\"caf\u00e9\"\n"));
    lost.relations = &relations[1];
    lost.connected_encoding = 8;
    buffer_clear(&text);
    source_queries_text(&lost, &text);
    assert_null(strstr(buffer_string(&text), "FROM ONLY"));
    assert_null(strstr(buffer_string(&text), "\\encoding"));
    assert_non_null(strstr(buffer_string(&text), ": updated 2, deleted 1\n-- no query: the name is not valid in UTF-8\n"));
}

static void test_script(void **state)
{
    static const char with_more[] = "-- public.a?b: updated 9, deleted 1; only the first places "
                                    "are looked at\n-- no query: the name has control characters, "
                                    "which a terminal may take for commands\n";
    LostRelation relations[12];
    Lost lost = {.version = version_of_major(15), .relations = relations, .relation_count = 12};
    AUTO_BUFFER Buffer text = {0};

    (void) state;
    source_queries_text(NULL, &text);
    for (size_t i = 0; i < 12; i++)
        relations[i] = relation_of("public.t");
    relations[3].on_source = false;
    relations[11].name = "public.a\nb";
    relations[11].rows.updated = 9;
    relations[11].has_more_places = true;
    source_queries_text(&lost, &text);
    const char *const script = buffer_string(&text);
    const char *database = strstr(script, "-- database shop\n");
    assert_int_equal(script[0], '\n');
    assert_non_null(database);
    database += strlen("-- database shop\n");
    assert_memory_equal(database, with_more, sizeof(with_more) - 1);
    assert_non_null(
        strstr(script, "\n-- and 1 more: --report=json has the query for each\n"));
}

static void test_many_places(void **state)
{
    LostPlace many[LOST_PLACES_MAX];
    LostRelation relation = relation_of("public.a");
    const Lost lost = {.version = version_of_major(15), .ended_before = 788};
    AUTO_BUFFER Buffer text = {0};

    (void) state;
    for (size_t i = 0; i < LOST_PLACES_MAX; i++)
        many[i] = (LostPlace){4294967295, 65535};
    relation.places = many;
    relation.place_count = LOST_PLACES_MAX;
    source_query_append(&lost, &relation, &text);
    for (const char *line = buffer_string(&text); line != NULL;)
    {
        assert_true(strcspn(line, "\n") <= 100);
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_query_of_a_name_with_a_backslash),
        cmocka_unit_test(test_existence),
        cmocka_unit_test(test_script),
        cmocka_unit_test(test_script_with_other_names),
        cmocka_unit_test(test_many_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
