/* Rule W2. */
/* Summaries of WAL, as servers wrote them and as nobody may write them. */
#include "data.h"

#include "base/buffer.h"
#include "format/wal_summary.h"

#define NAME "0000000100000000010000280000000001000100.summary"

/* Facts of a summary, a line for each fork as the query in tests/data/summaries.sh prints them, and
 * the fork that is being read. */
typedef struct Said
{
    char text[1 << 20];
    size_t size;
    WalSummaryFork fork;
    uint64_t count, sum;
    bool begun;
} Said;

static Said said;
static const char *reason;

static void end_fork(void)
{
    const bool says = said.fork.limit != WAL_SUMMARY_NO_LIMIT || said.count > 0;

    if (said.begun && says)
        said.size += (size_t) snprintf(
            said.text + said.size, sizeof(said.text) - said.size, "%u %u %u %u %u %llu %llu\n",
            said.fork.relation.tablespace, said.fork.relation.database, said.fork.relation.relation,
            said.fork.fork, said.fork.limit, (unsigned long long) said.count,
            (unsigned long long) said.sum);
    said.begun = false;
}

static void take_fork(void *context, const WalSummaryFork *fork)
{
    (void) context;
    end_fork();
    said.begun = true;
    said.fork = *fork;
    said.count = said.sum = 0;
}

static void take_block(void *context, const WalSummaryFork *fork, BlockNumber block)
{
    (void) context;
    assert_memory_equal(fork, &said.fork, sizeof(*fork));
    said.count++;
    said.sum += block;
}

static bool read_bytes(const uint8_t *bytes, size_t size)
{
    const WalSummaryVisitor visitor = {take_fork, take_block, NULL};
    uint8_t *own = malloc(size + 1); /* what lies behind is not read */
    bool result;

    memcpy(own, bytes, size);
    said.size = 0;
    said.begun = false;
    said.text[0] = '\0';
    reason = NULL;
    own = realloc(own, size > 0 ? size : 1);
    result = wal_summary_read(own, size, &visitor, &reason);
    end_fork();
    free(own);
    return result;
}

static void each_file(void (*test)(const uint8_t *bytes, size_t size, const char *facts))
{
    const Version *version;
    int count = 0;

    for (size_t i = 0; (version = version_at(i)) != NULL; i++)
    {
        size_t size, facts_size;
        uint8_t *bytes, *facts;

        if (!version->has_wal_summaries)
            continue;
        bytes = data_read(version, "summary", &size);
        facts = data_read(version, "summary_facts", &facts_size);
        test(bytes, size, (const char *) facts);
        free(bytes);
        free(facts);
        count++;
    }
    assert_int_equal(count, 3);
}

static void says_what_the_server_says(const uint8_t *bytes, size_t size, const char *facts)
{
    WalSummaryRange range;
    char name[128] = "", again[WAL_SUMMARY_NAME_SIZE];
    const char *line = strchr(facts, '\n') + 1;

    memcpy(name, facts, (size_t) (line - facts - 1));
    assert_true(wal_summary_name_parse(name, &range));
    wal_summary_name(&range, again);
    assert_string_equal(again, name);
    if (!read_bytes(bytes, size))
        fail_msg("%s", reason);
    assert_string_equal(said.text, line);
    assert_non_null(strstr(line, " 0 0 0 0 0\n")); /* a database */
}

static void real_files(void **state)
{
    (void) state;
    each_file(says_what_the_server_says);
}

static void no_prefix_can_be_read(const uint8_t *bytes, size_t size, const char *facts)
{
    (void) facts;
    for (size_t length = 0; length < size; length++)
    {
        assert_false(read_bytes(bytes, length));
        assert_non_null(reason);
    }
}

static void prefixes(void **state)
{
    (void) state;
    each_file(no_prefix_can_be_read);
}

static void no_bit_can_be_flipped(const uint8_t *bytes, size_t size, const char *facts)
{
    uint8_t *copy = malloc(size);

    (void) facts;
    memcpy(copy, bytes, size);
    for (size_t bit = 0; bit < size * 8; bit += 3)
    {
        copy[bit / 8] ^= (uint8_t) (1 << bit % 8);
        assert_false(read_bytes(copy, size));
        assert_string_equal(said.text, ""); /* nothing of it was visited */
        copy[bit / 8] ^= (uint8_t) (1 << bit % 8);
    }
    free(copy);
}

static void flipped_bits(void **state)
{
    (void) state;
    each_file(no_bit_can_be_flipped);
}

/* A file of these numbers, with its checksum. */
static bool read_numbers(const uint32_t *numbers, size_t count, const uint16_t *words,
                         size_t word_count, bool ends)
{
    Buffer file = {0};
    bool result;

    for (size_t i = 0; i < count; i++)
        buffer_append_u32(&file, numbers[i]);
    for (size_t i = 0; i < word_count; i++)
        buffer_append_u16(&file, words[i]);
    for (int i = 0; ends && i < 6; i++)
        buffer_append_u32(&file, 0);
    buffer_append_u32(&file, crc32c(file.bytes, file.size));
    result = read_bytes(file.bytes, file.size);
    buffer_free(&file);
    return result;
}

#define MAGIC 0x652b137b
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void what_no_server_writes(void **state)
{
    const uint32_t empty[] = {MAGIC}, foreign[] = {MAGIC + 1};
    const uint32_t fork[] = {MAGIC, 1663, 5, 1259, 4, 0, 0};
    const uint32_t negative[] = {MAGIC, 1663, 5, 1259, 0xFFFFFFFF, 0, 0};
    const uint32_t twice[] = {MAGIC, 1663, 5, 1259, 0, 7, 0, 1663, 5, 1259, 0, 7, 0};
    const uint32_t order[] = {MAGIC, 1663, 5, 1259, 2, 7, 0, 1663, 5, 1259, 0, 7, 0};
    const uint32_t ordered[] = {MAGIC, 1663, 5, 1259, 0, 7, 0, 1663, 5, 1259, 2, 7, 0};
    const uint32_t chunks[] = {MAGIC, 1663, 5, 1259, 0, 7, 0x7FFFFFFF};
    const uint32_t most[] = {MAGIC, 1663, 5, 1259, 0, 7, 65537};
    const uint32_t chunk[] = {MAGIC, 1663, 5, 1259, 0, 7, 1};
    const uint32_t zeros[] = {MAGIC, 0, 0, 0, 0, 0, 0};
    const uint16_t too_large[] = {4097}, too_short[] = {4096, 1, 2}, two[] = {2, 1, 65535};

    (void) state;
    assert_true(read_numbers(empty, COUNT(empty), NULL, 0, true));
    assert_false(read_numbers(empty, COUNT(empty), NULL, 0, false));
    assert_false(read_numbers(NULL, 0, NULL, 0, true));
    assert_false(read_numbers(foreign, COUNT(foreign), NULL, 0, true));
    assert_false(read_numbers(fork, COUNT(fork), NULL, 0, true));
    assert_false(read_numbers(negative, COUNT(negative), NULL, 0, true));
    assert_false(read_numbers(twice, COUNT(twice), NULL, 0, true));
    assert_false(read_numbers(order, COUNT(order), NULL, 0, true));
    assert_true(read_numbers(ordered, COUNT(ordered), NULL, 0, true));
    assert_false(read_numbers(chunks, COUNT(chunks), NULL, 0, true));
    assert_false(read_numbers(most, COUNT(most), NULL, 0, true));
    assert_false(read_numbers(chunk, COUNT(chunk), too_large, COUNT(too_large), true));
    assert_false(read_numbers(chunk, COUNT(chunk), too_short, COUNT(too_short), true));
    assert_true(read_numbers(chunk, COUNT(chunk), two, COUNT(two), true));
    assert_string_equal(said.text, "1663 5 1259 0 7 2 65536\n");
    assert_false(read_numbers(zeros, COUNT(zeros), NULL, 0, true)); /* more behind the end */
}

static void names(void **state)
{
    WalSummaryRange range;

    (void) state;
    assert_true(wal_summary_name_parse(NAME, &range));
    assert_int_equal(range.timeline, 1);
    assert_int_equal(range.start, 0x1000028);
    assert_int_equal(range.end, 0x1000100);
    assert_false(wal_summary_name_parse("temp.summary", &range));
    assert_false(wal_summary_name_parse("", &range));
    assert_false(wal_summary_name_parse(NAME "x", &range));
    assert_false(wal_summary_name_parse("0" NAME, &range));
    assert_false(
        wal_summary_name_parse("000000010000000001000028000000000100010a.summary", &range));
    assert_false(
        wal_summary_name_parse("0000000100000000010000280000000001000028.summary", &range));
    assert_false(
        wal_summary_name_parse("0000000100000000010000280000000000000028.summary", &range));
    assert_false(
        wal_summary_name_parse("0000000000000000010000280000000001000100.summary", &range));
    assert_false(
        wal_summary_name_parse("000000010000000001000028FFFFFFFFFFFFFFFF.summary", &range));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_files),   cmocka_unit_test(prefixes),
        cmocka_unit_test(flipped_bits), cmocka_unit_test(what_no_server_writes),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
