/*
 * Each row of version numbers against files of a real server of that version.
 *
 * What pg_control holds is compared with what that server's own functions said of it; what WAL
 * holds with checksums, and with pg_control.
 */
#include "../../every_version.h"
#include "data.h"

#include "format/walpage.h"
#include "format/walrecord.h"

static Lsn lsn_of(const char *text)
{
    unsigned high;
    unsigned low;

    assert_int_equal(sscanf(text, "%X/%X", &high, &low), 2);
    return (Lsn) high << 32 | low;
}

static const char *next_word(char **position)
{
    const char *word = strtok_r(NULL, " \n", position);

    assert_non_null(word);
    return word;
}

static bool next_bool(char **position)
{
    const char *word = next_word(position);

    return strcmp(word, "t") == 0 || strcmp(word, "on") == 0;
}

static unsigned long long next_number(char **position)
{
    return strtoull(next_word(position), NULL, 10);
}

static int32_t wal_level_of(const char *name)
{
    return strcmp(name, "minimal") == 0 ? 0 : strcmp(name, "replica") == 0 ? 1 : 2;
}

/* In the order of facts_query in tests/data/make.sh. */
static void compare_with_facts(const Control *control, char *line)
{
    char *position;
    const char *state = strtok_r(line, " \n", &position);

    assert_non_null(state);
    assert_int_equal(control->state, strcmp(state, "production") == 0 ? STATE_IN_PRODUCTION
                                     : strcmp(state, "shutdown") == 0 ? STATE_SHUTDOWNED
                                                                      : STATE_IN_ARCHIVE_RECOVERY);
    assert_int_equal(control->control_version, next_number(&position));
    assert_int_equal(control->catalog_version, next_number(&position));
    assert_true(control->system_identifier == next_number(&position));
    assert_true(control->checkpoint_lsn == lsn_of(next_word(&position)));
    assert_true(control->checkpoint.redo == lsn_of(next_word(&position)));
    assert_int_equal(control->checkpoint.timeline, next_number(&position));
    (void) next_number(&position); /* PrevTimeLineID */
    assert_int_equal(control->checkpoint.full_page_writes, next_bool(&position));
    assert_int_equal(control->checkpoint.next_xid >> 32, next_number(&position));
    assert_int_equal(control->checkpoint.next_xid & 0xFFFFFFFF, next_number(&position));
    assert_int_equal(control->checkpoint.oldest_xid, next_number(&position));
    assert_int_equal(control->checkpoint.oldest_active_xid, next_number(&position));
    assert_int_equal(control->checkpoint.time, next_number(&position));
    assert_true(control->min_recovery_point == lsn_of(next_word(&position)));
    assert_int_equal(control->min_recovery_timeline, next_number(&position));
    assert_true(control->backup_start_point == lsn_of(next_word(&position)));
    assert_true(control->backup_end_point == lsn_of(next_word(&position)));
    assert_int_equal(control->backup_end_required, next_bool(&position));
    assert_int_equal(control->block_size, next_number(&position));
    assert_int_equal(control->relation_segment_blocks, next_number(&position));
    assert_int_equal(control->wal_block_size, next_number(&position));
    assert_int_equal(control->wal_segment_size, next_number(&position));
    assert_int_equal(control->data_checksum_version, next_number(&position));
    assert_int_equal(control->wal_level, wal_level_of(next_word(&position)));
    assert_int_equal(control->wal_log_hints, next_bool(&position));
}

static void each_number_of_pg_control_is_what_the_server_says(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        size_t size;
        char *facts = (char *) data_read(version, "facts", &size);
        char *position;
        char *line = strtok_r(facts, "\n", &position);
        const int step = data_of_pair(version) ? CONTROL_ON_TIMELINE_3 - CONTROL_IN_PRODUCTION : 1;
        for (int image = CONTROL_IN_PRODUCTION; image <= CONTROL_ON_TIMELINE_3; image += step)
        {
            Control control;
            assert_non_null(line);
            data_control(version, image, &control);
            assert_ptr_equal(control.version, version);
            compare_with_facts(&control, line);
            line = strtok_r(NULL, "\n", &position);
        }
        assert_null(line);
        free(facts);
    }
}

/* initdb knows neither of the settings that the other files have, and switched checksums on (-k).
 */
static void initdb_leaves_a_shut_down_cluster(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        Control control;
        if (data_of_pair(version))
            continue;
        data_control(version, CONTROL_OF_INITDB, &control);
        assert_int_equal(control.state, STATE_SHUTDOWNED);
        assert_int_equal(control.control_version, control.version->control_version);
        assert_int_equal(control.catalog_version, control.version->catalog_version);
        assert_false(control.wal_log_hints);
        assert_int_equal(control.data_checksum_version, 1);
        assert_int_equal(control.wal_segment_size, (version->number == 1000 ? 16u : 1u) << 20);
        /* A shutdown checkpoint begins at its own redo position. */
        assert_true(control.checkpoint.redo == control.checkpoint_lsn);
    }
}

/* The struct ends behind the CRC, and where the row says; behind it all is zero. */
static void pg_control_ends_where_the_row_says(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        const ControlOffsets *offsets = &version->control;
        for (int image = 0; image < CONTROL_IMAGES; image++)
        {
            uint8_t bytes[CONTROL_FILE_SIZE];
            data_control_bytes(version, image, bytes);
            assert_int_equal(crc_of_version(version, bytes, offsets->crc),
                             load_u32(bytes + offsets->crc));
            assert_true(offsets->size >= offsets->crc + 4);
            for (int i = offsets->size; i < CONTROL_IMAGE_SIZE; i++)
                assert_int_equal(bytes[i], 0);
        }
    }
}

static void wal_pages_carry_the_magic_and_flags_of_the_row(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        size_t size;
        uint8_t *pages = data_read(version, "pages", &size);
        assert_int_equal(size, 2 * 8192);
        for (int i = 0; i < 2; i++)
        {
            uint16_t flags = load_u16(pages + i * 8192 + 2);
            assert_int_equal(load_u16(pages + i * 8192), version->wal_magic);
            assert_int_equal(flags & ~version->wal_page_flags, 0);
            assert_int_equal(flags & version->wal_overwrite_contrecord_flag, 0);
        }
        free(pages);
    }
}

/*
 * All records of a version have a right CRC, whole fragments and a payload of the row's layout; and
 * pg_control's checkpoint is a checkpoint record with the same content.
 */
static void records_and_their_payloads_fit_the_row(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        Control control;
        size_t size;
        uint8_t *records = data_read(version, "records", &size);
        int of_control = 0;
        unsigned images = 0;
        unsigned images_applied = 0;

        data_control(version, CONTROL_SHUT_DOWN, &control);
        for (size_t offset = 0; offset < size;)
        {
            WalRecord record;
            WalEvent event;
            Error error;
            Lsn lsn = load_u64(records + offset);
            uint32_t length = load_u32(records + offset + 8);
            if (!parse_record(version, control.block_size, records + offset + 8, length, lsn,
                              &record, &error) ||
                !walrecord_event(version, &record, &event, &error))
                fail_msg("%s: %s", version->name, error.message);
            assert_int_not_equal(event.kind, WAL_EVENT_UNKNOWN_RELATION_UPDATE);
            if (event.kind == WAL_EVENT_CHECKPOINT && lsn == control.checkpoint_lsn)
            {
                assert_memory_equal(record.data, control.bytes + version->control.checkpoint_copy,
                                    version->checkpoint.size);
                assert_false(event.online);
                of_control++;
            }
            for (int i = 0; i < record.block_count; i++)
            {
                images += record.blocks[i].has_image;
                images_applied += record.blocks[i].image_applies;
            }
            offset += 8 + length;
        }
        assert_int_equal(of_control, 1);
        assert_true(images > 5);
        assert_int_equal(images, images_applied); /* wal_consistency_checking was off */
        free(records);
    }
}

static void rows_are_found_by_their_numbers(void **state)
{
    const char *const names[] = {"9.3", "9.4", "9.5", "9.6", "10", "11", "12",
                                 "13",  "14",  "15",  "16",  "17", "18", "19"};
    const Version *before = NULL;
    const Version *row;
    TextCursor text;

    (void) state;
    assert_int_equal(version_count(), 14);
    for (size_t i = 0; (row = version_at(i)) != NULL; i++)
    {
        const int number = row->number < 1000 ? 100 * row->number + 24 : 100 * row->number + 4;

        assert_string_equal(row->name, names[i]);
        assert_ptr_equal(version_of_server_number(number), row);
        text = text_cursor(names[i]);
        assert_true(version_take_name(&text, row) && text_at_end(&text));
        assert_ptr_equal(version_find(row->control_version, row->catalog_version, ""), row);
        assert_ptr_equal(version_of_wal_magic(row->wal_magic), row);
        if (before != NULL)
            assert_true(row->wal_magic > before->wal_magic && row->number > before->number);
        before = row;
    }
    assert_null(version_of_server_number(90224));
    assert_null(version_of_major(20));
    assert_null(version_find(1902, 202606281, "19\n")); /* a beta of 19 */
    text = text_cursor("9.60");
    assert_false(version_take_name(&text, version_of_server_number(90600)));
    assert_null(version_find(0, 0, ""));
}

static void the_row_of_a_fork(void **state)
{
    (void) state;
    /* 1300 is 13 to 16: PG_VERSION must decide. */
    assert_null(version_find(1300, 202307072, ""));
    for (int major = 13; major <= 16; major++)
    {
        char pg_version[8];

        snprintf(pg_version, sizeof(pg_version), "%d\n", major);
        assert_ptr_equal(version_find(1300, 202307072, pg_version), version_of_major(major));
        /* A release's catalog version is no fork's, whatever PG_VERSION contains. */
        assert_ptr_equal(version_find(1300, 202307071, pg_version), version_of_major(16));
    }
    assert_ptr_equal(version_find(942, 0, "9.4"), version_of_server_number(90400));
    assert_ptr_equal(version_find(942, 0, "9.5"), version_of_server_number(90500));
    assert_ptr_equal(version_find(1800, 1, "18"), version_of_major(18));
    assert_null(version_find(1800, 1, "17"));
    assert_null(version_find(1800, 1, "180"));
    assert_null(version_find(1800, 1, ""));
    assert_string_equal(version_directory(version_of_major(16), 1).name, "PG_16_1");
}

/* The names in the order of pg_control, of versions with three, four and five. */
static void limits_have_the_names_of_their_version(void **state)
{
    static const char *const all[] = {"max_connections", "max_worker_processes", "max_wal_senders",
                                      "max_prepared_transactions", "max_locks_per_transaction"};
    static const struct
    {
        int number;
        int places[LIMITS_MAX], count, locks;
    } cases[] = {{90300, {0, 3, 4}, 3, 64},
                 {90400, {0, 1, 3, 4}, 4, 64},
                 {110000, {0, 1, 3, 4}, 4, 64},
                 {120000, {0, 1, 2, 3, 4}, 5, 64},
                 {190000, {0, 1, 2, 3, 4}, 5, 128}};

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    {
        const Version *version = version_of_server_number(cases[i].number);

        assert_int_equal(version_limit_count(version), cases[i].count);
        for (int k = 0; k < cases[i].count; k++)
            assert_string_equal(version_limit(version, (uint32_t) k).name, all[cases[i].places[k]]);
        assert_int_equal(version_limit(version, (uint32_t) cases[i].count - 1).by_default,
                         cases[i].locks);
        assert_int_equal(version_limit(version, (uint32_t) cases[i].count - 2).by_default, 0);
    }
}

static void replication_origins_have_a_setting_of_their_own_since_18(void **state)
{
    (void) state;
    assert_null(version_of_server_number(90300)->origins_setting);
    assert_string_equal(version_of_server_number(90400)->origins_setting, "max_replication_slots");
    assert_string_equal(version_of_server_number(90600)->origins_setting, "max_replication_slots");
    assert_int_equal(version_of_server_number(90600)->origins_by_default, 0);
    assert_string_equal(version_of_server_number(170000)->origins_setting, "max_replication_slots");
    assert_int_equal(version_of_server_number(170000)->origins_by_default, 10);
    assert_string_equal(version_of_server_number(180000)->origins_setting,
                        "max_active_replication_origins");
}

static void lsns_are_printed_as_their_server_does(void **state)
{
    char text[LSN_TEXT_SIZE];

    (void) state;
    assert_string_equal(lsn_text(version_of_major(18), 0x10A19768u, text), "0/10A19768");
    assert_string_equal(lsn_text(version_of_major(10), 0x1F00000028u, text), "1F/28");
    assert_string_equal(lsn_text(version_of_major(19), 0x1F00000028u, text), "1F/00000028");
    assert_string_equal(lsn_text(version_of_major(19), UINT64_MAX, text), "FFFFFFFF/FFFFFFFF");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_number_of_pg_control_is_what_the_server_says),
        cmocka_unit_test(initdb_leaves_a_shut_down_cluster),
        cmocka_unit_test(pg_control_ends_where_the_row_says),
        cmocka_unit_test(wal_pages_carry_the_magic_and_flags_of_the_row),
        cmocka_unit_test(records_and_their_payloads_fit_the_row),
        cmocka_unit_test(rows_are_found_by_their_numbers),
        cmocka_unit_test(the_row_of_a_fork),
        cmocka_unit_test(limits_have_the_names_of_their_version),
        cmocka_unit_test(replication_origins_have_a_setting_of_their_own_since_18),
        cmocka_unit_test(lsns_are_printed_as_their_server_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
