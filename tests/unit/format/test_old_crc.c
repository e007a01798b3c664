/* The CRC of 9.3 and 9.4: real pg_control files and WAL records have it (test_control,
 * test_walrecord); here its definition, at any length and alignment. */
#include "data.h"

/* utils/pg_crc.c: byte by byte, with the mirrored table. */
static uint32_t by_definition(const uint8_t *bytes, size_t size)
{
    uint32_t running = 0xFFFFFFFF;

    for (size_t i = 0; i < size; i++)
    {
        uint32_t entry = running >> 24 ^ bytes[i];
        for (int bit = 0; bit < 8; bit++)
            entry = entry >> 1 ^ (entry & 1 ? 0xEDB88320 : 0);
        running = running << 8 ^ entry;
    }
    return running ^ 0xFFFFFFFF;
}

static void any_length_at_any_alignment_is_as_defined(void **state)
{
    uint8_t bytes[300];

    (void) state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t) (i * i * 31 + i * 7 + 5);
    for (size_t start = 0; start < 17; start++)
        for (size_t end = start; end <= sizeof(bytes); end++)
            assert_int_equal(crc32c_finish(old_crc_update(CRC32C_INIT, bytes + start, end - start)),
                             by_definition(bytes + start, end - start));
}

static void pieces_give_what_the_whole_gives(void **state)
{
    uint8_t bytes[100];

    (void) state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t) (i * 37 + 11);
    for (size_t cut = 0; cut <= sizeof(bytes); cut++)
    {
        uint32_t running = old_crc_update(CRC32C_INIT, bytes, cut);
        running = old_crc_update(running, bytes + cut, sizeof(bytes) - cut);
        assert_int_equal(crc32c_finish(running), by_definition(bytes, sizeof(bytes)));
    }
}

static void each_version_has_its_crc(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
        assert_int_equal(crc_of_version(version, "123456789", 9),
                         version->number < 905 ? by_definition((const uint8_t *) "123456789", 9)
                                               : 0xE3069283);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_length_at_any_alignment_is_as_defined),
        cmocka_unit_test(pieces_give_what_the_whole_gives),
        cmocka_unit_test(each_version_has_its_crc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
