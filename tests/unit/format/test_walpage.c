/* WAL pages: headers of real pages, changed ones, names and arithmetic. */
#include "../../every_version.h"
#include "data.h"

#include "format/walpage.h"

#define PAGE_SIZE 8192

static WalShape shape_of(const Version *version)
{
    Control control;

    data_control(version, CONTROL_SHUT_DOWN, &control);
    return (WalShape){.version = control.version,
                      .system_identifier = control.system_identifier,
                      .segment_size = control.wal_segment_size,
                      .block_size = control.wal_block_size};
}

static void headers_of_real_pages_are_read(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        WalShape shape = shape_of(version);
        WalPage first;
        WalPage second;
        Error error;
        size_t size;
        uint8_t *bytes = data_read(version, "pages", &size);
        Lsn lsn = load_u64(bytes + 8);
        assert_int_equal(lsn % shape.segment_size, 0);
        assert_true(walpage_parse(&shape, bytes, PAGE_SIZE, lsn, &first, &error));
        assert_int_equal(first.header_size, WAL_LONG_HEADER_SIZE);
        assert_true(first.flags & WAL_FLAG_LONG_HEADER);
        assert_true(first.timeline >= 1 && first.timeline <= 3);
        assert_true(
            walpage_parse(&shape, bytes + PAGE_SIZE, PAGE_SIZE, lsn + PAGE_SIZE, &second, &error));
        assert_int_equal(second.header_size, WAL_SHORT_HEADER_SIZE);
        assert_true(second.flags & WAL_FLAG_CONTRECORD);
        assert_true(second.remaining > 0);
        assert_true(second.timeline >= first.timeline);
        free(bytes);
    }
}

static void every_prefix_and_every_wrong_byte_is_refused(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        WalShape shape = shape_of(version);
        WalPage page;
        Error error;
        size_t size;
        uint8_t *bytes = data_read(version, "pages", &size);
        for (int second = 0; second < 2; second++)
        {
            uint8_t *start = bytes + (second ? PAGE_SIZE : 0);
            Lsn lsn = load_u64(start + 8);
            size_t header_size = wal_header_size_at(&shape, lsn);
            for (size_t prefix = 0; prefix < header_size; prefix++)
                assert_false(walpage_parse(&shape, start, prefix, lsn, &page, &error));
            for (size_t i = 0; i < header_size; i++)
            {
                /* Timeline and length are anyone's guess here, padding is not read. */
                bool checked = !(i >= 4 && i < 8) && !(i >= 16 && i < 24);
                start[i] ^= 0x20;
                assert_int_equal(!checked,
                                 walpage_parse(&shape, start, header_size, lsn, &page, &error));
                start[i] ^= 0x20;
            }
            /* A page of another place, as in a recycled segment. */
            assert_false(
                walpage_parse(&shape, start, header_size, lsn + shape.segment_size, &page, &error));
            assert_non_null(strstr(error.message, "unexpected pageaddr"));
        }
        free(bytes);
    }
}

/* A long header stands at the start of a segment only: its size would not be sure otherwise. */
static void the_long_header_must_be_where_it_belongs(void **state)
{
    WalShape shape = shape_of(version_of_major(15));
    WalPage page;
    Error error;
    size_t size;
    uint8_t *bytes = data_read(version_of_major(15), "pages", &size);
    Lsn lsn = load_u64(bytes + 8);

    (void) state;
    bytes[2] ^= WAL_FLAG_LONG_HEADER;
    assert_false(walpage_parse(&shape, bytes, PAGE_SIZE, lsn, &page, &error));
    assert_non_null(strstr(error.message, "invalid info bits"));
    bytes[PAGE_SIZE + 2] ^= WAL_FLAG_LONG_HEADER;
    assert_false(
        walpage_parse(&shape, bytes + PAGE_SIZE, PAGE_SIZE, lsn + PAGE_SIZE, &page, &error));
    free(bytes);
}

static void another_cluster_is_refused(void **state)
{
    WalShape shape = shape_of(version_of_major(18));
    WalPage page;
    Error error;
    size_t size;
    uint8_t *bytes = data_read(version_of_major(18), "pages", &size);

    (void) state;
    shape.system_identifier++;
    assert_false(walpage_parse(&shape, bytes, PAGE_SIZE, load_u64(bytes + 8), &page, &error));
    assert_non_null(strstr(error.message, "WAL file is from different database system"));
    free(bytes);
}

static void arithmetic(void **state)
{
    WalShape shape = {version_of_major(15), 1, 1u << 20, 8192};

    (void) state;
    assert_int_equal(wal_segment_of(&shape, 0x100000), 1);
    assert_int_equal(wal_segment_before(&shape, 0x100000), 0);
    assert_int_equal(wal_segment_before(&shape, 0x100001), 1);
    assert_true(wal_segment_start(&shape, 0x123456) == 0x12345600000);
    assert_int_equal(wal_header_size_at(&shape, 0x100000), 40);
    assert_int_equal(wal_header_size_at(&shape, 0x102000), 24);
    assert_true(wal_skip_header(&shape, 0x100000) == 0x100028);
    assert_true(wal_skip_header(&shape, 0x102000) == 0x102018);
    assert_true(wal_skip_header(&shape, 0x102018) == 0x102018);
    assert_true(wal_record_end(&shape, 0x102018, 0x1FE8) == 0x104000);
    assert_true(wal_record_end(&shape, 0x102018, 0x1FE9) == 0x104019);
    assert_true(wal_record_end(&shape, 0x1FDFF8, 0x8 + 0x1FE8 + 0x1FD8 + 0x3) == 0x20201B);
}

static void check_name(uint32_t segment_size, Timeline timeline, uint64_t segment,
                       const char *expected)
{
    WalShape shape = {version_of_major(15), 1, segment_size, 8192};
    char name[WAL_NAME_SIZE];
    Timeline timeline_read;
    uint64_t segment_read;

    wal_segment_name(&shape, timeline, segment, name);
    assert_string_equal(name, expected);
    assert_true(wal_segment_name_parse(&shape, name, &timeline_read, &segment_read));
    assert_int_equal(timeline_read, timeline);
    assert_true(segment_read == segment);
}

static void segment_names_go_both_ways(void **state)
{
    (void) state;
    check_name(16u << 20, 1, 1, "000000010000000000000001");
    check_name(16u << 20, 10, 0x1FF, "0000000A00000001000000FF");
    check_name(1u << 20, 1, 0x1FFF, "000000010000000100000FFF");
    check_name(1u << 30, 0xFFFFFFFF, 7, "FFFFFFFF0000000100000003");
    check_name(1u << 30, 2, 0x3FFFFFFFF, "00000002FFFFFFFF00000003");
}

static void other_names_are_no_segments(void **state)
{
    static const char *const names[] = {
        "",
        "00000001000000000000000",
        "0000000100000000000000011",
        "00000001000000000000000a",
        "00000001000000000000000G",
        "00000002.history",
        "000000010000000000000100", /* with 16 MB the last part ends at FF */
        "000000000000000000000001",
        "000000010000000000000001.partial",
    };
    WalShape shape = {version_of_major(15), 1, 16u << 20, 8192};
    Timeline timeline;
    uint64_t segment;

    (void) state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_false(wal_segment_name_parse(&shape, names[i], &timeline, &segment));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_of_real_pages_are_read),
        cmocka_unit_test(every_prefix_and_every_wrong_byte_is_refused),
        cmocka_unit_test(the_long_header_must_be_where_it_belongs),
        cmocka_unit_test(another_cluster_is_refused),
        cmocka_unit_test(arithmetic),
        cmocka_unit_test(segment_names_go_both_ways),
        cmocka_unit_test(other_names_are_no_segments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
