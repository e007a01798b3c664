/*
 * WAL records: real ones of each version and what they mean, changed ones, and made ones that break
 * one rule each.
 */
#include "../../every_version.h"
#include "data.h"

#include "format/wal_event.h"

#define BLOCK_SIZE 8192
#define MADE_LSN 0x1000028

/* Facts from the records of one version, to be compared with what the statements of
 * tests/data/make.sh, or of a pair, did. */
typedef struct Seen
{
    unsigned kinds[WAL_EVENT_UNKNOWN_RELATION_UPDATE + 1];
    uint32_t prepared_xid; /* of "a gid" */
    uint32_t prepared_commit_xid;
    Oid tablespace;
    Oid tablespace_dropped;
    unsigned commits_with_drops;
    unsigned aborts_with_drops;
    unsigned commits_with_subxids;
} Seen;

static void look_at_xact(const WalEvent *event, const Version *version, Seen *seen)
{
    bool commit = event->kind == WAL_EVENT_COMMIT;

    assert_true(event->xid >= 3);
    assert_true(event->time > 0);
    if (event->dropped_count > 0)
    {
        RelationId relation = wal_event_dropped(event, event->dropped_count - 1);
        /* In a pair, initdb's as well: of a table that all databases share. */
        assert_true(relation.tablespace == 1663 || data_of_pair(version));
        assert_int_equal(relation.tablespace, relation.database > 0 ? 1663 : 1664);
        assert_true(relation.relation >= 1000);
        *(commit ? &seen->commits_with_drops : &seen->aborts_with_drops) += 1;
    }
    if (commit && event->subxid_count > 0)
        seen->commits_with_subxids++;
    if (commit && event->prepared)
        seen->prepared_commit_xid = event->xid;
    if (event->prepared && version->abort_has_dbinfo_origin_gid)
        assert_true(event->gid_size == strlen("a gid") || event->gid_size == strlen("other gid"));
}

static void look_at(const WalEvent *event, const Version *version, Seen *seen)
{
    seen->kinds[event->kind]++;
    switch (event->kind)
    {
    case WAL_EVENT_COMMIT:
    case WAL_EVENT_ABORT:
        look_at_xact(event, version, seen);
        break;
    case WAL_EVENT_PREPARE:
        if (event->gid_size == strlen("a gid"))
        {
            assert_memory_equal(event->gid, "a gid", event->gid_size);
            seen->prepared_xid = event->xid;
        }
        assert_true(event->time > 0);
        break;
    case WAL_EVENT_TABLESPACE_CREATE:
        assert_memory_equal(event->path + event->path_size - strlen("/tablespace"), "/tablespace",
                            strlen("/tablespace"));
        seen->tablespace = event->tablespace;
        break;
    case WAL_EVENT_TABLESPACE_DROP:
        seen->tablespace_dropped = event->tablespace;
        break;
    case WAL_EVENT_DATABASE_FILE_COPY:
        assert_true(event->source_database != event->database ||
                    event->source_tablespace != event->tablespace);
        break;
    case WAL_EVENT_DATABASE_DROP:
        assert_int_equal(event->list_count, 1);
        assert_true(wal_event_u32(event->list, 0) >= 1663);
        break;
    case WAL_EVENT_RELATION_TRUNCATE:
        assert_int_equal(event->relation.tablespace, 1663);
        assert_int_equal(event->flags, 7);
        break;
    case WAL_EVENT_RELATION_CREATE:
        assert_int_equal(event->relation.tablespace, 1663);
        break;
    case WAL_EVENT_END_OF_RECOVERY:
        assert_true(event->timeline == 2 || event->timeline == 3);
        assert_true(event->time > 0);
        break;
    case WAL_EVENT_PARAMETER_CHANGE:
        assert_true(event->wal_level == 1 || event->wal_level == 2);
        /* wal_log_hints with replica; in a pair, where the version has it. */
        assert_int_equal(event->flag, data_of_pair(version)
                                          ? version->parameter_wal_log_hints != OFFSET_NONE
                                          : event->wal_level == 1);
        break;
    case WAL_EVENT_RUNNING_XACTS:
        assert_true(event->next_xid > event->oldest_running_xid - 1);
        break;
    default:
        break;
    }
}

static void records_mean_what_the_statements_did(void **state)
{
    enum
    {
        KINDS_IN_A_PAIR = 10
    };
    static const WalEventKind kinds[] = {
        WAL_EVENT_CHECKPOINT,      WAL_EVENT_SWITCH,
        WAL_EVENT_END_OF_RECOVERY, WAL_EVENT_PREPARE,
        WAL_EVENT_COMMIT,          WAL_EVENT_ABORT,
        WAL_EVENT_RELATION_CREATE, WAL_EVENT_DATABASE_FILE_COPY,
        WAL_EVENT_RUNNING_XACTS,   WAL_EVENT_PARAMETER_CHANGE,
        WAL_EVENT_FPW_CHANGE,      WAL_EVENT_RELATION_TRUNCATE,
        WAL_EVENT_DATABASE_DROP,   WAL_EVENT_TABLESPACE_CREATE,
        WAL_EVENT_TABLESPACE_DROP,
    };

    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        Seen seen = {0};
        size_t size;
        uint8_t *bytes = data_read(version, "records", &size);
        for (size_t offset = 0; offset < size; offset += 8 + load_u32(bytes + offset + 8))
        {
            WalRecord record;
            WalEvent event;
            Error error;
            const uint8_t *start = bytes + offset + 8;
            if (!parse_record(version, BLOCK_SIZE, start, load_u32(start), load_u64(bytes + offset),
                              &record, &error) ||
                !walrecord_event(version, &record, &event, &error))
                fail_msg("%s: %s", version->name, error.message);
            look_at(&event, version, &seen);
        }
        const size_t expected =
            data_of_pair(version) ? KINDS_IN_A_PAIR : sizeof(kinds) / sizeof(kinds[0]);
        for (size_t i = 0; i < expected; i++)
            if (seen.kinds[kinds[i]] == 0)
                fail_msg("%s: no event of kind %d", version->name, (int) kinds[i]);
        assert_int_equal(seen.kinds[WAL_EVENT_UNKNOWN_RELATION_UPDATE], 0);
        if (!data_of_pair(version))
        {
            assert_true(seen.prepared_xid != 0);
            assert_int_equal(seen.prepared_commit_xid, seen.prepared_xid);
            assert_true(seen.tablespace >= 16384);
            assert_int_equal(seen.tablespace_dropped, seen.tablespace);
        }
        assert_true(seen.commits_with_drops > 0);
        assert_true(seen.aborts_with_drops > 0);
        assert_true(seen.commits_with_subxids > 0);
        free(bytes);
    }
}

static void fix_crc(const Version *version, uint8_t *bytes, size_t size)
{
    if (version->old_wal)
    {
        uint32_t old = old_crc_update(CRC32C_INIT, bytes + 32, size - 32);
        store_u32(bytes + 24, crc32c_finish(old_crc_update(old, bytes, 24)));
        return;
    }
    uint32_t running = crc32c_update(CRC32C_INIT, bytes + 24, size - 24);

    store_u32(bytes + 20, crc32c_finish(crc32c_update(running, bytes, 20)));
}

/* A copy of exactly this size, so that a sanitizer sees every read behind it. */
static uint8_t *copy_of(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);

    memcpy(copy, bytes, size);
    return copy;
}

static void try_prefixes(const Version *version, const uint8_t *bytes, size_t size, Lsn lsn)
{
    for (size_t prefix = 0; prefix < size; prefix += prefix < 100 ? 1 : 13)
    {
        uint8_t *copy = copy_of(bytes, prefix);
        WalRecord record;
        WalEvent event;
        Error error;
        assert_false(parse_record(version, BLOCK_SIZE, copy, prefix, lsn, &record, &error));
        if (prefix >= walrecord_header_size(version))
        {
            /* And as if it had been written like that: never a crash. */
            store_u32(copy, (uint32_t) prefix);
            fix_crc(version, copy, prefix);
            if (parse_record(version, BLOCK_SIZE, copy, prefix, lsn, &record, &error))
                (void) !walrecord_event(version, &record, &event, &error);
        }
        free(copy);
    }
}

static void try_changes(const Version *version, const uint8_t *bytes, size_t size, Lsn lsn)
{
    uint8_t *copy = copy_of(bytes, size);

    for (size_t i = 0; i < size; i++)
    {
        static const uint8_t changes[] = {0x01, 0x80, 0xFF};
        WalRecord record;
        WalEvent event;
        Error error;
        /* Padding, but part of the CRC all the same; before 9.5 also padding that is not. */
        bool checked = version->old_wal ? i != 14 && i != 15 : i != 18 && i != 19;
        bool covered = !version->old_wal || i < 28 || i >= 32;
        copy[i] ^= 0x04;
        assert_int_not_equal(parse_record(version, BLOCK_SIZE, copy, size, lsn, &record, &error),
                             covered);
        assert_true(!covered || checked || strstr(error.message, "checksum") != NULL);
        copy[i] ^= 0x04;
        for (size_t change = 0; i >= 16 && change < sizeof(changes); change++)
        {
            copy[i] ^= changes[change];
            fix_crc(version, copy, size);
            if (parse_record(version, BLOCK_SIZE, copy, size, lsn, &record, &error))
                (void) !walrecord_event(version, &record, &event, &error);
            memcpy(copy, bytes, size);
        }
    }
    free(copy);
}

static void every_prefix_and_every_changed_byte_is_refused(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        size_t size;
        uint8_t *bytes = data_read(version, "records", &size);
        for (size_t offset = 0; offset < size; offset += 8 + load_u32(bytes + offset + 8))
        {
            const uint8_t *start = bytes + offset + 8;
            uint32_t length = load_u32(start);
            try_prefixes(version, start, length, load_u64(bytes + offset));
            if (length < 600)
                try_changes(version, start, length, load_u64(bytes + offset));
        }
        free(bytes);
    }
}

/* A record made of these bytes behind its header. */
static bool parse_made(const Version *version, uint8_t rmgr, uint8_t info, const void *body,
                       size_t body_size, WalRecord *record, Error *error)
{
    static uint8_t bytes[20000]; /* the record's pointers stay valid until the next call */

    memset(bytes, 0, 24);
    store_u32(bytes, (uint32_t) (24 + body_size));
    store_u64(bytes + 8, MADE_LSN - 64);
    bytes[16] = info;
    bytes[17] = rmgr;
    memcpy(bytes + 24, body, body_size);
    fix_crc(version, bytes, 24 + body_size);
    error->message[0] = '\0';
    return parse_record(version, BLOCK_SIZE, bytes, 24 + body_size, MADE_LSN, record, error);
}

#define RELATION 0x7F, 6, 0, 0, 5, 0, 0, 0, 0, 0x40, 0, 0 /* 1663, 5, 16384 */

static void refuse_body(const uint8_t *body, size_t size, const char *message)
{
    WalRecord record;
    Error error;

    assert_false(parse_made(version_of_major(15), 10, 0, body, size, &record, &error));
    if (strstr(error.message, message) == NULL)
        fail_msg("\"%s\" is not \"%s\"", error.message, message);
    assert_non_null(strstr(error.message, " at 0/1000028"));
}

#define REFUSE(message, ...)                                                                       \
    refuse_body((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), message)

static void bodies_that_a_server_refuses_are_refused(void **state)
{
    (void) state;
    REFUSE("invalid block_id", 33, 0, 0, 0);
    REFUSE("invalid block_id", 251, 0, 0, 0);
    REFUSE("out-of-order block_id", 1, 0, 0, 0, RELATION, 7, 0, 0, 0, 1, 0x80, 0, 0, 8, 0, 0, 0);
    REFUSE("BKPBLOCK_SAME_REL set but no previous rel", 0, 0x80, 0, 0, 7, 0, 0, 0);
    REFUSE("BKPBLOCK_HAS_DATA set, but no data included", 0, 0x20, 0, 0, RELATION, 7, 0, 0, 0);
    REFUSE("BKPBLOCK_HAS_DATA not set", 0, 0x00, 1, 0, RELATION, 7, 0, 0, 0, 9);
    REFUSE("record with invalid length", 0, 0x00, 0, 0, RELATION, 7, 0, 0);
    REFUSE("record with invalid length", 0, 0x00, 0);
    REFUSE("record with invalid length", 0, 0x00, 0, 0, 1, 2, 3);
    REFUSE("record with invalid length", 255);
    REFUSE("record with invalid length", 255, 2, 1);
    REFUSE("record with invalid length", 255, 2, 1, 2, 3);
    REFUSE("record with invalid length", 254, 1, 0, 0);
    REFUSE("record with invalid length", 254, 0xFF, 0xFF, 0xFF, 0xFF, 1);
    REFUSE("record with invalid length", 253, 1);
    REFUSE("record with invalid length", 252, 1, 2, 3);
    /* Images: length, hole offset, bimg_info, [hole length]. */
    REFUSE("BKPIMAGE_HAS_HOLE set, but no hole", 0, 0x10, 0, 0, 1, 0, 0, 0, 1, RELATION, 7, 0, 0,
           0);
    REFUSE("BKPIMAGE_HAS_HOLE not set, but a hole", 0, 0x10, 0, 0, 1, 0, 1, 0, 4, RELATION, 7, 0, 0,
           0);
    REFUSE("neither BKPIMAGE_HAS_HOLE nor BKPIMAGE_COMPRESSED set", 0, 0x10, 0, 0, 1, 0, 0, 0, 0,
           RELATION, 7, 0, 0, 0, 9);
    REFUSE("BKPIMAGE_COMPRESSED set", 0, 0x10, 0, 0, 0, 0x20, 0, 0, 4, RELATION, 7, 0, 0, 0);
    REFUSE("block image longer than a block", 0, 0x10, 0, 0, 1, 0x20, 0, 0, 0, RELATION, 7, 0, 0,
           0);
    REFUSE("record with invalid length", 0, 0x10, 0, 0, 1, 0, 1, 0, 5, 1);
}

static void headers_that_a_server_refuses_are_refused(void **state)
{
    uint8_t bytes[24] = {24};
    WalRecord record;
    Error error;

    (void) state;
    /* Custom resource managers came with 15; 22 to 127 are nobody's. */
    assert_true(parse_made(version_of_major(14), 21, 0, "", 0, &record, &error));
    assert_false(parse_made(version_of_major(14), 22, 0, "", 0, &record, &error));
    assert_string_equal(error.message, "invalid resource manager ID 22 at 0/1000028");
    assert_false(parse_made(version_of_major(14), 128, 0, "", 0, &record, &error));
    assert_true(parse_made(version_of_major(15), 128, 0, "", 0, &record, &error));
    assert_false(parse_made(version_of_major(15), 127, 0, "", 0, &record, &error));
    assert_true(walrecord_header_parse(version_of_major(15), bytes, 24, 1, &record, &error));
    assert_false(walrecord_header_parse(version_of_major(15), bytes, 23, 1, &record, &error));
    bytes[0] = 23;
    assert_false(walrecord_header_parse(version_of_major(19), bytes, 24, 1, &record, &error));
    assert_string_equal(error.message,
                        "invalid record length at 0/00000001: expected at least 24, got 23");
    store_u32(bytes, WAL_RECORD_SIZE_MAX + 1);
    assert_false(walrecord_header_parse(version_of_major(15), bytes, 24, 1, &record, &error));
    store_u32(bytes, 24);
    store_u64(bytes + 8, 0x28);
    assert_false(walrecord_header_parse(version_of_major(15), bytes, 24, 0x28, &record, &error));
    assert_string_equal(error.message, "record with incorrect prev-link 0/28 at 0/28");
}

static void the_top_level_xid_came_with_14(void **state)
{
    static const uint8_t body[] = {253, 1, 0, 252, 1, 0, 0, 0, 255, 1, 9};
    WalRecord record;
    Error error;

    (void) state;
    assert_false(parse_made(version_of_major(13), 10, 0, body, sizeof(body), &record, &error));
    assert_true(parse_made(version_of_major(14), 10, 0, body, sizeof(body), &record, &error));
    assert_int_equal(record.data_size, 1);
    assert_int_equal(record.data[0], 9);
    assert_int_equal(record.origin, 1);
    assert_int_equal(record.block_count, 0);
}

static void block_references_are_read(void **state)
{
    /* Blocks 2 and 5: an image without a hole that is not applied, then the same relation's vm. */
    static uint8_t body[9 + 12 + 4 + 8 + 2 + 8192 + 3 + 1] = {
        2, 0x10, 0, 0, 0, 0x20, 0, 0, 0, RELATION, 7, 0, 0, 0, 5, 0xE2, 3, 0, 8, 0, 0, 0, 255, 1};
    WalRecord record;
    Error error;

    (void) state;
    assert_true(parse_made(version_of_major(15), 10, 0x80, body, sizeof(body), &record, &error));
    assert_int_equal(record.block_count, 2);
    assert_int_equal(record.blocks[0].id, 2);
    assert_true(record.blocks[0].has_image);
    assert_false(record.blocks[0].image_applies);
    assert_false(record.blocks[0].will_init);
    assert_int_equal(record.blocks[0].fork, FORK_MAIN);
    assert_int_equal(record.blocks[0].block, 7);
    assert_int_equal(record.blocks[1].id, 5);
    assert_int_equal(record.blocks[1].fork, FORK_VM);
    assert_false(record.blocks[1].has_image);
    assert_true(record.blocks[1].will_init);
    assert_int_equal(record.blocks[1].block, 8);
    assert_int_equal(record.blocks[1].relation.tablespace, 1663);
    assert_int_equal(record.blocks[1].relation.database, 5);
    assert_int_equal(record.blocks[1].relation.relation, 16384);
    assert_int_equal(record.data_size, 1);
    /* The bit that says "applied" moved in 15. */
    body[8] = 0x02;
    assert_true(parse_made(version_of_major(15), 10, 0x80, body, sizeof(body), &record, &error));
    assert_true(record.blocks[0].image_applies);
    assert_false(parse_made(version_of_major(14), 10, 0x80, body, sizeof(body), &record, &error));
    body[8] = 0x04;
    assert_true(parse_made(version_of_major(14), 10, 0x80, body, sizeof(body), &record, &error));
    assert_true(record.blocks[0].image_applies);
}

static WalEventKind kind_of_made(const Version *version, uint8_t rmgr, uint8_t info)
{
    WalRecord record;
    WalEvent event;
    Error error;

    assert_true(parse_made(version, rmgr, info, "", 0, &record, &error));
    if (!walrecord_event(version, &record, &event, &error))
    {
        assert_non_null(strstr(error.message, "unexpected data of 0 bytes in record at"));
        return WAL_EVENT_NONE;
    }
    return event.kind;
}

/* Up to 9.5 the gid is a field of 200 bytes, and ends where its NUL is. */
static void a_gid_in_an_array_ends_with_its_nul(void **state)
{
    const Version *version = version_of_server_number(90526);
    enum
    {
        FIELD = 200,
        SIZE = 45 + FIELD + 3
    };
    char body[2 + SIZE] = {(char) 0xFF, (char) SIZE}, *data = body + 2; /* short main data */

    (void) state;
    for (int length = 0; length <= FIELD; length++)
    {
        WalRecord record;
        WalEvent event;
        Error error;

        memset(data, 0, SIZE);
        memset(data + 45, 'g', (size_t) length);
        memset(data + 45 + FIELD, 'x', 3);
        assert_true(parse_made(version, RM_XACT, 0x10, body, sizeof(body), &record, &error));
        assert_int_equal(walrecord_event(version, &record, &event, &error), length < FIELD);
        if (length == FIELD)
            break;
        assert_int_equal(event.kind, WAL_EVENT_PREPARE);
        assert_int_equal(event.gid_size, length);
        assert_memory_equal(event.gid, data + 45, (size_t) length);
    }
}

/* The kinds that the original of each version knows; for all others it stops. */
static void an_unknown_relation_update_is_told(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        const WalEventKind unknown = WAL_EVENT_UNKNOWN_RELATION_UPDATE;
        if (version->old_wal)
            continue; /* records before 9.5 lack the flag: test_walrecord_old.c */
        assert_int_equal(kind_of_made(version, RM_SMGR, 0x11), WAL_EVENT_NONE);
        assert_int_equal(kind_of_made(version, RM_SMGR, 0x31), unknown);
        assert_int_equal(kind_of_made(version, RM_DBASE, 0x01), WAL_EVENT_NONE);
        assert_int_equal(kind_of_made(version, RM_DBASE, 0x11), WAL_EVENT_NONE);
        assert_int_equal(kind_of_made(version, RM_DBASE, 0x21),
                         version->number >= 1500 ? WAL_EVENT_NONE : unknown);
        assert_int_equal(kind_of_made(version, RM_XACT, 0x81),
                         version->number >= 1400 ? WAL_EVENT_NONE : unknown);
        assert_int_equal(kind_of_made(version, RM_XACT, 0x51), unknown);
        assert_int_equal(kind_of_made(version, RM_TBLSPC, 0x01), unknown);
        assert_int_equal(kind_of_made(version, 10, 0x01), unknown);
        assert_int_equal(kind_of_made(version, version->rmgr_max, 0x01), unknown);
        assert_int_equal(kind_of_made(version, 10, 0x00), WAL_EVENT_NONE);
    }
    assert_int_equal(kind_of_made(version_of_major(18), 200, 0x01),
                     WAL_EVENT_UNKNOWN_RELATION_UPDATE);
}

static void resource_managers_have_their_names(void **state)
{
    (void) state;
    assert_string_equal(walrecord_rmgr_name(RM_XLOG), "XLOG");
    assert_string_equal(walrecord_rmgr_name(RM_STANDBY), "Standby");
    assert_string_equal(walrecord_rmgr_name(16), "SPGist");
    assert_string_equal(walrecord_rmgr_name(21), "LogicalMessage");
    assert_string_equal(walrecord_rmgr_name(22), "unknown");
    assert_string_equal(walrecord_rmgr_name(128), "custom");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_mean_what_the_statements_did),
        cmocka_unit_test(a_gid_in_an_array_ends_with_its_nul),
        cmocka_unit_test(every_prefix_and_every_changed_byte_is_refused),
        cmocka_unit_test(bodies_that_a_server_refuses_are_refused),
        cmocka_unit_test(headers_that_a_server_refuses_are_refused),
        cmocka_unit_test(the_top_level_xid_came_with_14),
        cmocka_unit_test(block_references_are_read),
        cmocka_unit_test(an_unknown_relation_update_is_told),
        cmocka_unit_test(resource_managers_have_their_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
