/*
 * pg_control: what is refused, and the two files that we make. That fields are read right is shown
 * by test_versions.c.
 */
#include "../../every_version.h"
#include "data.h"

static bool parse(const void *bytes, size_t size, Control *control, bool *crc_wrong, Error *error)
{
    memset(error, 0, sizeof(*error));
    return control_parse(&(ControlFile){bytes, size, "global/pg_control", ""}, control, crc_wrong,
                         error);
}

static void a_file_of_another_size_is_refused(void **state)
{
    uint8_t bytes[CONTROL_FILE_SIZE + 1] = {0};
    Control control;
    Error error;
    bool crc_wrong;

    (void) state;
    data_control_bytes(version_of_major(15), CONTROL_OF_INITDB, bytes);
    for (size_t size = 0; size < CONTROL_FILE_SIZE; size += size < 600 ? 1 : 509)
        assert_false(parse(bytes, size, &control, &crc_wrong, &error));
    assert_false(parse(bytes, CONTROL_FILE_SIZE + 1, &control, &crc_wrong, &error));
    assert_string_equal(error.message, "unexpected control file size 8193, expected 8192");
    assert_false(crc_wrong);
    assert_true(parse(bytes, CONTROL_FILE_SIZE, &control, &crc_wrong, &error));
}

static void every_changed_byte_of_the_struct_is_noticed(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        uint8_t bytes[CONTROL_FILE_SIZE];
        data_control_bytes(version, CONTROL_OF_STANDBY, bytes);
        for (int i = 0; i < version->control.crc + 4; i++)
        {
            Control control;
            Error error;
            bool crc_wrong;
            bool in_versions = i >= 8 && i < 16;
            bytes[i] ^= 0x10;
            assert_false(parse(bytes, CONTROL_FILE_SIZE, &control, &crc_wrong, &error));
            /* A reader of a running server tries again where only the CRC does not fit. */
            assert_true(crc_wrong || in_versions);
            if (crc_wrong)
                assert_string_equal(error.message, "unexpected control file CRC");
            else
                assert_string_equal(error.message, "clusters are not compatible with this version "
                                                   "of pg_rewind");
            bytes[i] ^= 0x10;
        }
    }
}

/* Write a number into a good file, with a CRC that fits. */
static void refuse(const Version *version, uint16_t offset, uint32_t value, const char *message)
{
    uint8_t bytes[CONTROL_FILE_SIZE];
    Control control;
    Error error;
    bool crc_wrong;

    data_control_bytes(version, CONTROL_OF_INITDB, bytes);
    store_u32(bytes + offset, value);
    store_u32(bytes + version->control.crc, crc_of_version(version, bytes, version->control.crc));
    assert_false(parse(bytes, CONTROL_FILE_SIZE, &control, &crc_wrong, &error));
    assert_false(crc_wrong);
    assert_string_equal(error.message, message);
}

static void sizes_that_no_server_accepts_are_refused(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        const ControlOffsets *offsets = &version->control;
        refuse(version, offsets->wal_segment_size, 0,
               "invalid WAL segment size in control file (0 bytes)");
        refuse(version, offsets->wal_segment_size, 1u << 31,
               "invalid WAL segment size in control file (2147483648 bytes)");
        refuse(version, offsets->wal_segment_size, 3u << 20,
               "invalid WAL segment size in control file (3145728 bytes)");
        refuse(version, offsets->block_size, 512,
               "invalid block size in control file \"global/pg_control\": 512 bytes");
        refuse(version, offsets->wal_block_size, 131072,
               "invalid WAL block size in control file \"global/pg_control\": 131072 bytes");
        refuse(version, offsets->relation_segment_blocks, 0,
               "invalid relation segment size in control file \"global/pg_control\": 0 blocks");
    }
}

/* No other field tells them, and times of commits would be misread. */
static void floating_point_times_are_refused(void **state)
{
    const Version *version;
    int refused = 0;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        if (version->control.integer_times == OFFSET_NONE)
            continue;
        /* enableIntTimes is a bool: three bytes of padding follow. */
        refuse(version, version->control.integer_times, 0,
               "cluster with floating-point times is not supported");
        refused++;
    }
    assert_int_equal(refused, 4); /* 9.3 to 9.6 */
}

/* Beyond LSN_HIGHEST, where arithmetic on segments would wrap. */
static void positions_that_no_server_reaches_are_refused(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        const uint16_t redo =
            (uint16_t) (version->control.checkpoint_copy + version->checkpoint.redo);
        const uint16_t fields[] = {32, redo, version->control.min_recovery_point,
                                   version->control.backup_start_point,
                                   version->control.backup_end_point};
        const char *shown = version->lsn_padded ? "80000000/00000000" : "80000000/0";
        uint8_t bytes[CONTROL_FILE_SIZE];
        char message[128];

        for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        {
            Control control;
            Error error;
            bool crc_wrong;

            data_control_bytes(version, CONTROL_OF_INITDB, bytes);
            store_u64(bytes + fields[i], LSN_HIGHEST + 1);
            store_u32(bytes + version->control.crc,
                      crc_of_version(version, bytes, version->control.crc));
            snprintf(message, sizeof(message),
                     "invalid WAL location in control file \"global/pg_control\": %s", shown);
            assert_false(parse(bytes, CONTROL_FILE_SIZE, &control, &crc_wrong, &error));
            assert_string_equal(error.message, message);
        }
    }
}

static void a_promotion_shows_first_in_min_recovery_timeline(void **state)
{
    Control control;

    (void) state;
    data_control(version_of_major(13), CONTROL_ON_TIMELINE_3, &control);
    assert_int_equal(control_timeline(&control), 3);
    control.min_recovery_timeline = 4;
    assert_int_equal(control_timeline(&control), 4);
    control.min_recovery_timeline = 2;
    assert_int_equal(control_timeline(&control), 3);
}

/* Rule C107. */
static void a_stop_in_crash_recovery_is_told_from_that_of_a_standby(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        const ControlOffsets *offsets = &version->control;
        Control source, control;
        Error error;
        bool crc_wrong;

        data_control(version, CONTROL_ON_TIMELINE_3, &source);
        store_u32(source.bytes + 16, STATE_SHUTDOWNED_IN_RECOVERY);
        for (Lsn minimum = LSN_INVALID; minimum <= 0x2000000; minimum += 0x2000000)
        {
            store_u64(source.bytes + offsets->min_recovery_point, minimum);
            store_u32(source.bytes + offsets->crc,
                      crc_of_version(version, source.bytes, offsets->crc));
            assert_true(parse(source.bytes, CONTROL_FILE_SIZE, &control, &crc_wrong, &error));
            assert_int_equal(control.state, minimum == LSN_INVALID
                                                ? STATE_SHUTDOWNED_IN_CRASH_RECOVERY
                                                : STATE_SHUTDOWNED_IN_RECOVERY);
        }
        /* Rule C108: a promotion at or before minRecoveryPoint; without a stop, right there. */
        control.min_recovery_timeline = control.checkpoint.timeline;
        assert_false(control_may_be_of_promoted(&control));
        assert_false(control_is_like_promoted(&control, 0x2000000));
        control.min_recovery_timeline++;
        assert_true(control_may_be_of_promoted(&control));
        assert_true(control_is_like_promoted(&control, 0x2000000));
        assert_true(control_is_like_promoted(&control, 0x1fffff8));
        assert_false(control_is_like_promoted(&control, 0x2000008));
        assert_false(control_is_like_promoted(&control, LSN_INVALID));
        control.state = STATE_IN_ARCHIVE_RECOVERY;
        assert_true(control_may_be_of_promoted(&control));
        assert_true(control_is_like_promoted(&control, 0x2000000));
        assert_false(control_is_like_promoted(&control, 0x1fffff8));
        control.state = STATE_IN_PRODUCTION;
        assert_false(control_may_be_of_promoted(&control));
    }
}

static void the_rewound_file_differs_in_the_named_fields_only(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        const ControlOffsets *offsets = &version->control;
        uint8_t bytes[CONTROL_FILE_SIZE];
        Control source;
        Control made;
        Error error;
        bool crc_wrong;
        data_control(version, CONTROL_ON_TIMELINE_3, &source);
        control_make_rewound(&source, 0x1200000028u, true, 0x1234567890u, 7, 1800000000, bytes);
        assert_true(parse(bytes, CONTROL_FILE_SIZE, &made, &crc_wrong, &error));
        assert_int_equal(made.state, STATE_IN_ARCHIVE_RECOVERY);
        assert_true(made.min_recovery_point == 0x1234567890u);
        assert_int_equal(made.min_recovery_timeline, 7);
        assert_true(made.backup_start_point == 0x1200000029u);
        assert_true(made.backup_end_point == LSN_INVALID);
        assert_true(made.backup_end_required);
        assert_int_equal(load_u64(bytes + 24) == 1800000000, version->number >= 1500);

        /* With those fields put back, the source's file. */
        store_u32(bytes + 16, source.state);
        memcpy(bytes + 24, source.bytes + 24, 8);
        store_u64(bytes + offsets->min_recovery_point, source.min_recovery_point);
        store_u32(bytes + offsets->min_recovery_timeline, source.min_recovery_timeline);
        store_u64(bytes + offsets->backup_start_point, source.backup_start_point);
        store_u64(bytes + offsets->backup_end_point, source.backup_end_point);
        bytes[offsets->backup_end_required] = source.backup_end_required;
        store_u32(bytes + offsets->crc, crc_of_version(version, bytes, offsets->crc));
        assert_memory_equal(bytes, source.bytes, CONTROL_FILE_SIZE);

        if (offsets->commit_timestamps == OFFSET_NONE)
            continue;
        source.bytes[offsets->commit_timestamps] = 1;
        control_make_rewound(&source, 1, true, 1, 1, 1, bytes);
        assert_int_equal(bytes[offsets->commit_timestamps], 1);
        control_make_rewound(&source, 1, false, 1, 1, 1, bytes);
        assert_int_equal(bytes[offsets->commit_timestamps], 0);
    }
}

/* Invariant 5: no record can start where the poison says that the checkpoint is. */
static void the_poison_is_readable_and_points_to_a_page_boundary(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        uint8_t bytes[CONTROL_FILE_SIZE];
        Control target;
        Control made;
        Error error;
        bool crc_wrong;
        data_control(version, CONTROL_OF_STANDBY, &target);
        if (data_of_pair(version))
            store_u64(target.bytes + version->control.min_recovery_point, 0x1234568);
        else
            assert_true(target.min_recovery_point != LSN_INVALID);
        control_make_poison(&target, 0x5000028, 9, bytes);
        assert_true(parse(bytes, CONTROL_FILE_SIZE, &made, &crc_wrong, &error));
        assert_int_equal(made.state, STATE_SHUTDOWNED);
        assert_true(made.checkpoint_lsn == 0x5002000);
        assert_true(control_is_poison(&made));
        assert_false(control_is_poison(&target));
        assert_int_equal(made.checkpoint.timeline, 9);
        assert_int_equal(control_timeline(&made), 9);
        assert_true(made.min_recovery_point == LSN_INVALID);
        assert_int_equal(made.min_recovery_timeline, 0);
        assert_true(made.backup_start_point == LSN_INVALID);
        assert_true(made.backup_end_point == LSN_INVALID);
        assert_false(made.backup_end_required);
        assert_true(made.checkpoint.redo == target.checkpoint.redo);
        assert_true(made.system_identifier == target.system_identifier);
        assert_true(control_is_this_poison(&made, bytes));
        assert_false(control_is_this_poison(&target, bytes));
        /* A poison's poison is another one. */
        control_make_poison(&made, 0x5002000, 9, bytes);
        assert_true(load_u64(bytes + 32) == 0x5004000);
        assert_false(control_is_this_poison(&made, bytes));
        for (uint32_t size = 1024; size <= 65536; size *= 2)
        {
            target.wal_block_size = size;
            control_make_poison(&target, 0x5000028, 9, bytes);
            assert_true(load_u64(bytes + 32) == 0x5000000 + size);
            control_make_poison(&target, 0x5000000 + size, 9, bytes);
            assert_true(load_u64(bytes + 32) == 0x5000000 + 2 * size);
        }
    }
}

/* Each size that a server can be built with, and none that it cannot. */
static void sizes_of_other_builds_are_read(void **state)
{
    static const struct
    {
        uint32_t sizes[3]; /* block_size, relation_segment_blocks, wal_block_size */
        bool valid;
    } rows[] = {{{1024, 1, 1024}, true},        {{4096, 262144, 16384}, true},
                {{16384, 1000, 65536}, true},   {{32768, UINT32_MAX, 4096}, true},
                {{65536, 131072, 8192}, false}, {{8192, 131072, 131072}, false},
                {{8192, 0, 8192}, false},       {{8000, 131072, 8192}, false},
                {{8192, 131072, 12288}, false}};
    const Version *version;
    uint8_t bytes[CONTROL_FILE_SIZE];
    Control control;
    Error error;
    bool crc_wrong;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        data_control(version, CONTROL_OF_STANDBY, &control);
        const ControlOffsets *offsets = &version->control;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        {
            data_control(version, CONTROL_OF_STANDBY, &control);
            memcpy(bytes, control.bytes, sizeof(bytes));
            store_u32(bytes + offsets->block_size, rows[i].sizes[0]);
            store_u32(bytes + offsets->relation_segment_blocks, rows[i].sizes[1]);
            store_u32(bytes + offsets->wal_block_size, rows[i].sizes[2]);
            store_u32(bytes + offsets->crc, crc_of_version(version, bytes, offsets->crc));
            assert_int_equal(parse(bytes, sizeof(bytes), &control, &crc_wrong, &error),
                             rows[i].valid);
            if (!rows[i].valid)
                continue;
            assert_int_equal(control.block_size, rows[i].sizes[0]);
            assert_int_equal(control.relation_segment_blocks, rows[i].sizes[1]);
            assert_int_equal(control.wal_block_size, rows[i].sizes[2]);
        }
    }
}

static void a_short_checkpoint_is_refused(void **state)
{
    static WalRecord record = {.rmgr = RM_XLOG, .info = 0x10};
    uint8_t bytes[96] = {0};
    const Version *version;
    WalEvent event;
    Error error;

    (void) state;
    record.data = bytes;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        const uint32_t size = version->checkpoint.size;

        for (record.data_size = 0; record.data_size < size; record.data_size++)
            assert_false(walrecord_event(version, &record, &event, &error));
        assert_true(walrecord_event(version, &record, &event, &error));
        assert_int_equal(event.kind, WAL_EVENT_CHECKPOINT);
    }
}

static void states_have_the_names_of_pg_controldata(void **state)
{
    (void) state;
    assert_string_equal(control_state_name(STATE_STARTUP), "starting up");
    assert_string_equal(control_state_name(STATE_SHUTDOWNED_IN_RECOVERY), "shut down in recovery");
    assert_string_equal(control_state_name(STATE_IN_PRODUCTION), "in production");
    assert_string_equal(control_state_name(STATE_SHUTDOWNED_IN_CRASH_RECOVERY),
                        "shut down in crash recovery");
    assert_string_equal(control_state_name((ControlState) 8), "unrecognized status code");
    assert_string_equal(control_state_name((ControlState) -1), "unrecognized status code");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_another_size_is_refused),
        cmocka_unit_test(every_changed_byte_of_the_struct_is_noticed),
        cmocka_unit_test(floating_point_times_are_refused),
        cmocka_unit_test(sizes_that_no_server_accepts_are_refused),
        cmocka_unit_test(positions_that_no_server_reaches_are_refused),
        cmocka_unit_test(a_promotion_shows_first_in_min_recovery_timeline),
        cmocka_unit_test(a_stop_in_crash_recovery_is_told_from_that_of_a_standby),
        cmocka_unit_test(the_rewound_file_differs_in_the_named_fields_only),
        cmocka_unit_test(the_poison_is_readable_and_points_to_a_page_boundary),
        cmocka_unit_test(sizes_of_other_builds_are_read),
        cmocka_unit_test(a_short_checkpoint_is_refused),
        cmocka_unit_test(states_have_the_names_of_pg_controldata),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
