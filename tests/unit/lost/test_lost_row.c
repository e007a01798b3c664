/* Both files of --save-lost-rows, SQL and JSON, for made-up changes of one table. */
#include "lost/lost_sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#define DATABASE 5
#define TOAST 300
#define XID 751
#define MAX_INFO 0x0001 /* HEAP_HASNULL */

static const Attribute columns[] = {
    {.name = "id", .type = 23, .storage = {4, 'i'}},
    {.name = "a \"name\"", .type = 25, .storage = {-1, 'i'}},
    {.name = "weight", .type = 701, .storage = {8, 'd'}},
    {.name = "gone", .type = 0, .storage = {4, 'i'}},
    {.name = "doc", .type = 114, .storage = {-1, 'i'}},
    {.name = "odd", .type = 99999, .storage = {2, 's'}},
};
static const ColumnType types[] = {{.text = "integer"},
                                   {.text = "text"},
                                   {.text = "double precision"},
                                   {.text = NULL},
                                   {.text = "json", .base = "json"},
                                   {.text = "odd", .base = "odd"}};
static const uint16_t key[] = {1};
static const bool unique[6] = {true};
static Table table = {.oid = 200,
                      .database = DATABASE,
                      .schema = "public",
                      .name = "t",
                      .kind = 'r',
                      .attributes = columns,
                      .types = types,
                      .attribute_count = 6,
                      .key = key,
                      .key_count = 1,
                      .unique = unique};
static const Attribute chunk_columns[] = {{.name = "chunk_id", .type = 26, .storage = {4, 'i'}},
                                          {.name = "chunk_seq", .type = 23, .storage = {4, 'i'}},
                                          {.name = "chunk_data", .type = 17, .storage = {-1, 'i'}}};
static const Table toast = {.oid = TOAST,
                            .database = DATABASE,
                            .schema = "pg_toast",
                            .name = "pg_toast_200",
                            .kind = 't',
                            .attributes = chunk_columns,
                            .attribute_count = 3};

static LostCommit commit = {.xid = XID, .lsn = 0x2000};
static LostChange changes[4];
static size_t change_count;
static iconv_t conversion;

/* ---- Stand-ins for the WAL and the catalogs ---- */

const Table *schema_table(Schema *schema, const RelationId *storage, Moment moment,
                          const char **reason)
{
    (void) schema, (void) moment, (void) reason;
    return storage->relation == TOAST ? &toast : &table;
}

const Type *schema_type(Schema *schema, Oid database, Oid type, Moment moment)
{
    static const Type known[] = {{.oid = 23, .kind = 'b', .storage = {4, 'i'}},
                                 {.oid = 25, .kind = 'b', .storage = {-1, 'i'}},
                                 {.oid = 701, .kind = 'b', .storage = {8, 'd'}},
                                 {.oid = 1186, .kind = 'b', .storage = {16, 'd'}},
                                 {.oid = 114, .kind = 'b', .storage = {-1, 'i'}},
                                 {.oid = 99999, .kind = 'b', .storage = {2, 's'}}};

    (void) schema, (void) database, (void) moment;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].oid == type)
            return &known[i];
    return NULL;
}

CatalogSnapshot schema_snapshot(Schema *schema, Oid database, Moment moment)
{
    (void) schema, (void) database, (void) moment;
    return (CatalogSnapshot){.conversion = conversion};
}

/* ---- Rows ---- */

static Buffer bytes[8];
static size_t used;

/* A header for that many columns; the data follows it, aligned. */
static Buffer *begin_row(unsigned count, uint8_t nulls)
{
    Buffer *row = &bytes[used++];

    buffer_clear(row);
    for (int i = 0; i < 18; i++)
        buffer_append_u8(row, 0);
    buffer_append_u16(row, (uint16_t) count);
    buffer_append_u16(row, MAX_INFO);
    buffer_append_u8(row, 24);
    buffer_append_u8(row, nulls);
    return row;
}

static Slice slice(const Buffer *row)
{
    return (Slice){row->bytes, row->size};
}

/* name: with a short header. doc: as stored, or NULL. */
static Slice make_row(uint32_t id, const char *name, uint64_t weight, const void *doc, size_t size)
{
    Buffer *row = begin_row(6, doc != NULL ? 0x17 : 0x07);

    buffer_append_u32(row, id);
    buffer_append_u8(row, (uint8_t) ((strlen(name) + 1) << 1 | 1));
    buffer_append_string(row, name);
    while ((row->size - 24) % 8 != 0)
        buffer_append_u8(row, 0);
    buffer_append_u64(row, weight);
    buffer_append(row, doc, doc != NULL ? size : 0);
    return slice(row);
}

static Slice make_chunk(uint32_t value, const char *data)
{
    Buffer *row = begin_row(3, 0x07);

    buffer_append_u32(row, value);
    buffer_append_u32(row, 0);
    buffer_append_u8(row, (uint8_t) ((strlen(data) + 1) << 1 | 1));
    buffer_append_string(row, data);
    return slice(row);
}

/* A pointer to a TOASTed value of 5 bytes: va_header, tag, va_rawsize, extsize, value, relation. */
static const uint8_t pointer[] = "\x01\x12\x09\0\0\0\x05\0\0\0\x2A\0\0\0\x2C\x01\0";
#define POINTER_SIZE 18

#define ONE UINT64_C(0x3FF0000000000000)
#define NOT_A_NUMBER UINT64_C(0x7FF8000000000000)

static RowReader *reader;
static Buffer text;
static const char *reason;

static void add(RowChangeKind kind, Oid relation, Slice old, Slice new)
{
    changes[change_count].row =
        (RowChange){.kind = kind,
                    .lsn = 0x1001 + change_count,
                    .xid = XID,
                    .relation = {.database = DATABASE, .relation = relation},
                    .old = old,
                    .new = new};
    change_count++;
}

static const LostRow *read_row(size_t index)
{
    for (size_t i = 0; i < change_count; i++)
        changes[i].after = i + 1 < change_count ? &changes[i + 1] : NULL;
    commit.first = changes;
    row_reader_begin(reader, &commit);
    return row_reader_read(reader, &changes[index].row, &table);
}

static const char *json(size_t index)
{
    static LostFile file;
    Error error;

    buffer_clear(&file.text);
    assert_true(lost_json_row(read_row(index), "0/1001", &file, &error));
    return buffer_string(&file.text);
}

static const char *sql(size_t index)
{
    reason = NULL;
    buffer_clear(&text);
    return lost_sql_row(read_row(index), "0/1001", &text, &reason) ? buffer_string(&text) : NULL;
}

static int set_up(void **state)
{
    (void) state;
    change_count = used = 0;
    conversion = NO_CONVERSION;
    table.key_count = 1;
    row_reader_free(reader);
    reader = row_reader_create(version_of_server_number(180000), NULL);
    return 0;
}

#define NONE ((Slice){NULL, 0})

static void test_insert(void **state)
{
    (void) state;
    add(ROW_INSERT, 200, NONE, make_row(7, "it's", ONE, NULL, 0));
    assert_string_equal(
        json(0), "{\"action\":\"I\",\"xid\":751,\"lsn\":\"0/1001\",\"schema\":\"public\","
                 "\"table\":\"t\",\"columns\":[{\"name\":\"id\",\"type\":\"integer\",\"value\":7},"
                 "{\"name\":\"a \\\"name\\\"\",\"type\":\"text\",\"value\":\"it's\"},"
                 "{\"name\":\"weight\",\"type\":\"double precision\",\"value\":1},"
                 "{\"name\":\"doc\",\"type\":\"json\",\"value\":null},"
                 "{\"name\":\"odd\",\"type\":\"odd\",\"value\":null}]}\n");
    assert_string_equal(
        sql(0),
        "WITH done AS (INSERT INTO \"public\".\"t\" (\"id\", \"a \"\"name\"\"\", \"weight\", "
        "\"doc\", \"odd\") OVERRIDING SYSTEM VALUE VALUES ('7', 'it''s', '1', NULL, NULL) "
        "ON CONFLICT DO NOTHING RETURNING 1)\n"
        "  SELECT lost_rows.not_done(lost_rows.holds('EXISTS (SELECT 1 FROM ONLY \"public\".\"t\" "
        "WHERE \"id\" = ''7'' AND \"a \"\"name\"\"\" = ''it''''s'' AND \"weight\" = ''1'' AND "
        "format(''%L'', \"doc\") = ''NULL'' AND format(''%L'', \"odd\") = ''NULL'')'::text), "
        "': INSERT of \"public\".\"t\" WHERE \"id\" = ''7'' "
        "(0/1001)'::text) WHERE NOT EXISTS (TABLE done);\n");
}

static void test_update(void **state)
{
    (void) state;
    add(ROW_UPDATE, 200, make_row(7, "a", ONE, "\x05{}", 3), make_row(7, "b", ONE, "\x05{}", 3));
    assert_string_equal(
        sql(0),
        "WITH done AS (UPDATE ONLY \"public\".\"t\" SET \"a \"\"name\"\"\" = 'b' WHERE "
        "\"id\" = '7' AND \"a \"\"name\"\"\" = 'a' AND \"weight\" = '1' AND "
        "format('%L', \"doc\") = format('%L', CAST('{' AS json)) AND "
        "format('%L', \"odd\") = 'NULL' RETURNING 1)\n"
        "  SELECT lost_rows.not_done(lost_rows.holds('EXISTS (SELECT 1 FROM ONLY \"public\".\"t\" "
        "WHERE \"id\" = ''7'' AND \"a \"\"name\"\"\" = ''b'' AND \"weight\" = ''1'' AND "
        "format(''%L'', \"doc\") = format(''%L'', CAST(''{'' AS json)) AND "
        "format(''%L'', \"odd\") = ''NULL'')'::text), ': UPDATE of \"public\".\"t\" WHERE \"id\" = "
        "''7'' "
        "(0/1001)'::text) WHERE NOT EXISTS (TABLE done);\n");
    /* The same row again has nothing to do. */
    changes[0].row.new = changes[0].row.old;
    assert_string_equal(sql(0), "");
}

/* The server refuses what is not UTF-8. */
static void test_encoding(void **state)
{
    (void) state;
    add(ROW_DELETE, 200, make_row(7, "a", ONE, NULL, 0), NONE);
    table.name = "caf\xE9";
    assert_null(sql(0));
    assert_string_equal(reason, "a name is not valid in UTF-8");
    table.name = "t";
}

/* By =, a month is 30 days, and a text of json has no =. */
static void test_equality(void **state)
{
    (void) state;
    assert_true(row_reader_has_equality(reader, 701));
    assert_false(row_reader_has_equality(reader, 114));
    assert_false(row_reader_has_equality(reader, 1186));
}

/* By some collations, and for some types of a key, what differs is equal. */
static void test_nondeterministic(void **state)
{
    static Attribute others[6];
    static const uint16_t keys[] = {2, 5};

    (void) state;
    memcpy(others, columns, sizeof(others));
    others[1].nondeterministic = true;
    table.attributes = others;
    add(ROW_DELETE, 200, make_row(7, "a", ONE, "\x05{}", 3), NONE);
    assert_non_null(strstr(sql(0), " AND \"a \"\"name\"\"\" COLLATE \"C\" = 'a' AND "));
    table.key = keys;
    table.key_count = 2;
    assert_non_null(strstr(sql(0), " AND \"a \"\"name\"\"\" = 'a' AND \"a \"\"name\"\"\" COLLATE "
                                   "\"C\" = 'a' AND \"weight\" = '1' AND "
                                   "format('%L', \"doc\") = format('%L', CAST('{' AS json)) AND "));
    assert_non_null(strstr(sql(0), "WHERE \"a \"\"name\"\"\" = ''a'' AND format(''%L'', \"doc\") "
                                   "= format(''%L'', CAST(''{'' AS json)))'"));
    table.key = key;
    table.key_count = 1;
    table.attributes = columns;
}

/* A unique index may have the new value already; ON CONFLICT does not work where it is deferrable.
 */
/* A text that is longer than what it is made of by so much is none: the value is kept as it is
 * stored. In a transaction of one row, the chunk is the value's first. */
static void test_stored(void **state)
{
    static const uint8_t compressed[] = "\x01\x12\x04\0\x10\0\x05\0\0\0\x2A\0\0\0\x2C\x01\0";

    (void) state;
    add(ROW_INSERT, TOAST, NONE, make_chunk(42, "hello"));
    add(ROW_INSERT, 200, NONE, make_row(7, "a", ONE, compressed, POINTER_SIZE));
    assert_non_null(strstr(json(1), "{\"name\":\"doc\",\"type\":\"json\",\"value\":\"68656c6c6f\","
                                    "\"encoding\":\"binary\",\"compressed\":true}"));
    assert_false(lost_sql_row(read_row(1), "0/1001", &text, &reason));
    assert_string_equal(reason, "the text of a value is too long");
}

static void test_unique(void **state)
{
    (void) state;
    add(ROW_UPDATE, 200, make_row(7, "a", ONE, NULL, 0), make_row(8, "a", ONE, NULL, 0));
    assert_non_null(strstr(sql(0),
                           "WITH done AS (SELECT 1 WHERE lost_rows.attempt('UPDATE ONLY "
                           "\"public\".\"t\" SET \"id\" = ''8'' WHERE \"id\" = ''7'' AND "));
    change_count = 0;
    table.refuses_on_conflict = true;
    add(ROW_INSERT, 200, NONE, make_row(7, "a", ONE, NULL, 0));
    assert_non_null(strstr(sql(0),
                           "OVERRIDING SYSTEM VALUE SELECT ''7'', ''a'', ''1'', NULL, NULL WHERE "
                           "NOT EXISTS (SELECT 1 FROM ONLY \"public\".\"t\" WHERE \"id\" = "
                           "''7'')'::text))"));
    table.refuses_on_conflict = false;
}

/* Servers before 10 have no identity columns, those before 9.5 no ON CONFLICT. */
static void test_old_servers(void **state)
{
    (void) state;
    row_reader_free(reader);
    reader = row_reader_create(version_of_server_number(90600), NULL);
    add(ROW_INSERT, 200, NONE, make_row(7, "a", ONE, NULL, 0));
    assert_non_null(strstr(sql(0),
                           "\"odd\") VALUES ('7', 'a', '1', NULL, NULL) ON CONFLICT DO NOTHING "
                           "RETURNING 1)"));
    row_reader_free(reader);
    reader = row_reader_create(version_of_server_number(90400), NULL);
    assert_non_null(strstr(sql(0), "WITH done AS (SELECT 1 WHERE lost_rows.attempt('INSERT INTO "
                                   "\"public\".\"t\" ("));
    assert_non_null(strstr(sql(0),
                           "\"odd\") SELECT ''7'', ''a'', ''1'', NULL, NULL WHERE NOT EXISTS "
                           "(SELECT 1 FROM ONLY \"public\".\"t\" WHERE \"id\" = ''7'')'::text))"));
    table.key_count = 0;
    table.unique = (bool[6]){false};
    assert_non_null(strstr(sql(0), "WITH done AS (INSERT INTO \"public\".\"t\" (\"id\", \"a "
                                   "\"\"name\"\"\", \"weight\", \"doc\", \"odd\") SELECT '7', 'a', "
                                   "'1', NULL, NULL RETURNING 1)"));
    table.key_count = 1;
    table.unique = unique;
}

static void test_without_key(void **state)
{
    (void) state;
    table.key_count = 0;
    add(ROW_DELETE, 200, make_row(7, "a", ONE, NULL, 0), NONE);
    assert_string_equal(
        sql(0), "WITH done AS (DELETE FROM ONLY \"public\".\"t\" WHERE ctid = (SELECT ctid FROM "
                "ONLY \"public\".\"t\" WHERE \"id\" = '7' AND \"a \"\"name\"\"\" = 'a' AND "
                "\"weight\" = '1' AND format('%L', \"doc\") = 'NULL' AND format('%L', \"odd\") = "
                "'NULL' LIMIT 1 FOR UPDATE) "
                "RETURNING 1)\n"
                "  SELECT lost_rows.not_done(lost_rows.holds('false'::text), ': DELETE of "
                "\"public\".\"t\" (0/1001)'::text) WHERE NOT EXISTS (TABLE done);\n");
    /* A row with a NULL in its key (here doc) is treated as a row without a key. */
    table.key = (uint16_t[]){1, 5};
    table.key_count = 2;
    assert_non_null(strstr(sql(0), "WHERE ctid = (SELECT ctid FROM ONLY "));
    assert_non_null(
        strstr(sql(0), "of \"public\".\"t\" (0/1001)'::text) WHERE NOT EXISTS (TABLE done)"));
    table.key = key;
    table.key_count = 1;
}

static void test_toast(void **state)
{
    (void) state;
    add(ROW_INSERT, TOAST, NONE, make_chunk(42, "[1,2]"));
    add(ROW_INSERT, 200, NONE, make_row(7, "a", ONE, pointer, POINTER_SIZE));
    assert_non_null(strstr(json(1), "\"type\":\"json\",\"value\":\"[1,2]\"}"));
    /* Without its chunk the value is not known, and the statement is left out. */
    change_count = 0;
    add(ROW_INSERT, 200, NONE, make_row(7, "a", ONE, pointer, POINTER_SIZE));
    assert_non_null(strstr(json(0), "\"type\":\"json\",\"unknown\":\"a chunk of the TOASTed"));
    assert_null(sql(0));
    assert_string_equal(reason, "a chunk of the TOASTed value is missing");
    /* The same pointer before and after. */
    change_count = 0;
    add(ROW_UPDATE, 200, make_row(7, "a", ONE, pointer, POINTER_SIZE),
        make_row(7, "b", ONE, pointer, POINTER_SIZE));
    assert_non_null(strstr(json(0), "\"type\":\"json\",\"unchanged\":true}"));
    assert_null(strstr(sql(0), "doc"));
    /* Other rows may differ in nothing else. */
    table.key_count = 0;
    assert_non_null(strstr(
        sql(0), "LIMIT 1 FOR UPDATE) AND (SELECT count(*) FROM ONLY \"public\".\"t\" WHERE "));
    table.key_count = 1;
    table.key = (const uint16_t[]){5};
    assert_null(sql(0));
    assert_non_null(strstr(reason, "of its key did not change"));
    table.key = key;
}

static void test_values(void **state)
{
    (void) state;
    add(ROW_INSERT, 200, NONE, make_row(7, "caf\xE9", NOT_A_NUMBER, NULL, 0));
    assert_non_null(strstr(json(0), "\"value\":\"636166e9\",\"encoding\":\"binary\"}"));
    assert_non_null(strstr(json(0), "\"double precision\",\"value\":\"NaN\"}"));
    assert_null(sql(0));
    set_up(state);
    conversion = iconv_open("UTF-8", "LATIN1");
    add(ROW_INSERT, 200, NONE, make_row(7, "caf\xE9", ONE, NULL, 0));
    assert_non_null(strstr(json(0), "\"value\":\"caf\xC3\xA9\"}"));
    iconv_close(conversion);
}

static void test_unknown(void **state)
{
    (void) state;
    add(ROW_DELETE, 200, NONE, NONE);
    changes[0].row.unknown = "no page image";
    assert_string_equal(json(0), "{\"action\":\"D\",\"xid\":751,\"lsn\":\"0/1001\",\"schema\":"
                                 "\"public\",\"table\":\"t\",\"unknown\":\"no page image\"}\n");
    assert_null(sql(0));
    assert_string_equal(reason, "no page image");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_insert, set_up),
        cmocka_unit_test_setup(test_update, set_up),
        cmocka_unit_test_setup(test_encoding, set_up),
        cmocka_unit_test_setup(test_equality, set_up),
        cmocka_unit_test_setup(test_nondeterministic, set_up),
        cmocka_unit_test_setup(test_stored, set_up),
        cmocka_unit_test_setup(test_unique, set_up),
        cmocka_unit_test_setup(test_old_servers, set_up),
        cmocka_unit_test_setup(test_without_key, set_up),
        cmocka_unit_test_setup(test_toast, set_up),
        cmocka_unit_test_setup(test_values, set_up),
        cmocka_unit_test_setup(test_unknown, set_up),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);

    row_reader_free(reader);
    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
        buffer_free(&bytes[i]);
    buffer_free(&text);
    return failed;
}
