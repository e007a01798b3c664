/* CRC-32C: known values (RFC 3720, B.4), in pieces, at any alignment. */
#include "data.h"

static void known_values(void **state)
{
    uint8_t zeros[32] = {0};
    uint8_t ones[32];

    (void) state;
    memset(ones, 0xFF, sizeof(ones));
    assert_int_equal(crc32c("123456789", 9), 0xE3069283);
    assert_int_equal(crc32c(zeros, 32), 0x8A9136AA);
    assert_int_equal(crc32c(ones, 32), 0x62A8AB43);
    assert_int_equal(crc32c(NULL, 0), 0);
}

static void pieces_give_what_the_whole_gives(void **state)
{
    uint8_t bytes[300];

    (void) state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t) (i * 37 + 11);
    for (size_t start = 0; start < 9; start++)
        for (size_t cut = start; cut <= sizeof(bytes); cut++)
        {
            uint32_t running = crc32c_update(CRC32C_INIT, bytes + start, cut - start);
            running = crc32c_update(running, bytes + cut, sizeof(bytes) - cut);
            assert_int_equal(crc32c_finish(running), crc32c(bytes + start, sizeof(bytes) - start));
        }
}

/* Short pieces and long ones are computed in different ways. */
static void joined_pieces_give_what_the_whole_gives(void **state)
{
    uint8_t bytes[700];

    (void) state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t) (i * i * 31 + i * 7 + 5);
    for (size_t start = 0; start < 9; start++)
        for (size_t end = start; end <= sizeof(bytes); end += 1 + end / 300 * 13)
            for (size_t cut = start; cut <= end; cut++)
                assert_int_equal(crc32c_joined(bytes + start, cut - start, bytes + cut, end - cut),
                                 crc32c(bytes + start, end - start));
}

/* Bit by bit, as the polynomial says. */
static uint32_t by_definition(const uint8_t *bytes, size_t size)
{
    uint32_t running = CRC32C_INIT;

    for (size_t i = 0; i < size; i++)
    {
        running ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            running = running >> 1 ^ (running & 1 ? 0x82F63B78 : 0);
    }
    return crc32c_finish(running);
}

/* The processor's instruction, ISA-L, and neither. */
static void all_ways_give_the_same(void **state)
{
    uint8_t bytes[600];

    (void) state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t) (i * i * 59 + i * 3 + 201);
    for (size_t size = 0; size <= sizeof(bytes); size++)
    {
        const uint32_t expected = by_definition(bytes, size);

        assert_int_equal(crc32c(bytes, size), expected);
        assert_int_equal(crc32c_joined(bytes, size / 3, bytes + size / 3, size - size / 3),
                         expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(pieces_give_what_the_whole_gives),
        cmocka_unit_test(joined_pieces_give_what_the_whole_gives),
        cmocka_unit_test(all_ways_give_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
