/* backup_label: what we write, what we read, what no server takes. */
#include "../../every_version.h"
#include "data.h"

#include "format/backup_label.h"

static WalShape shape_of(int major)
{
    return (WalShape){version_of_major(major), 1, 16u << 20, 8192};
}

static void the_label_has_the_five_lines_of_the_original(void **state)
{
    WalShape shape = shape_of(15);
    Buffer text = {0};
    Error error;
    bool valid;
    Lsn redo;
    Lsn checkpoint;
    Timeline timeline;

    (void) state;
    setenv("TZ", "UTC", 1);
    assert_true(backup_label_make(&shape, 0xA166B8, 0x1A0A166F0, 12, 1795159930, &text, &error));
    assert_string_equal(buffer_string(&text),
                        "START WAL LOCATION: 0/A166B8 (file 0000000C0000000000000000)\n"
                        "CHECKPOINT LOCATION: 1/A0A166F0\n"
                        "BACKUP METHOD: pg_rewind\n"
                        "BACKUP FROM: standby\n"
                        "START TIME: 2026-11-20 07:32:10 UTC\n");
    backup_label_parse((const char *) text.bytes, text.size, &valid, &redo, &checkpoint, &timeline);
    assert_true(valid);
    assert_true(redo == 0xA166B8);
    assert_true(checkpoint == 0x1A0A166F0);
    assert_int_equal(timeline, 12);

    shape = shape_of(19);
    assert_true(backup_label_make(&shape, 0x18, 0x28, 1, 1795159930, &text, &error));
    assert_non_null(strstr(buffer_string(&text), "START WAL LOCATION: 0/00000018 (file 0000"));
    assert_non_null(strstr(buffer_string(&text), "CHECKPOINT LOCATION: 0/00000028\n"));
    buffer_free(&text);
}

static bool is_valid(const char *text, size_t size)
{
    char *copy = malloc(size + (size == 0)); /* exactly as long: nothing may be read behind */
    bool valid;
    Lsn redo;
    Lsn checkpoint;
    Timeline timeline;

    memcpy(copy, text, size);
    backup_label_parse(copy, size, &valid, &redo, &checkpoint, &timeline);
    free(copy);
    return valid;
}

#define LINE_1 "START WAL LOCATION: 0/A166B8 (file 00000001000000000000000A)\n"
#define LINE_2 "CHECKPOINT LOCATION: 0/A166F0\n"

static void foreign_texts_are_not_valid(void **state)
{
    static const char *const texts[] = {
        "",
        "\n",
        "foreign text\n",
        LINE_1,
        LINE_2 LINE_1,
        LINE_1 "CHECKPOINT LOCATION: 0/A166F0", /* the server wants the newline */
        LINE_1 "CHECKPOINT LOCATION: A166F0\n",
        LINE_1 LINE_1 LINE_2,
        LINE_1 "CHECKPOINT LOCATION: 80000000/0\n", /* beyond LSN_HIGHEST */
        "START WAL LOCATION: FFFFFFFF/A166B8 (file 00000001000000000000000A)\n" LINE_2,
        LINE_1 LINE_2 "LABEL: x\nSTART TIMELINE: 2\n",
        LINE_1 LINE_2 "START TIMELINE: one\n",
    };

    (void) state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (is_valid(texts[i], strlen(texts[i])))
            fail_msg("taken for valid: %s", texts[i]);
    assert_true(is_valid(LINE_1 LINE_2, strlen(LINE_1 LINE_2)));
    assert_true(is_valid(LINE_1 LINE_2 "LABEL: x\nSTART TIMELINE: 1\n",
                         strlen(LINE_1 LINE_2 "LABEL: x\nSTART TIMELINE: 1\n")));
}

static void every_prefix_and_every_changed_byte_can_be_read(void **state)
{
    char text[] = LINE_1 LINE_2;
    size_t size = sizeof(text) - 1;

    (void) state;
    for (size_t prefix = 0; prefix < size; prefix++)
        assert_false(is_valid(text, prefix));
    for (size_t i = 0; i < size; i++)
    {
        text[i] = (char) (text[i] ^ 0x80);
        assert_false(is_valid(text, size));
        text[i] = (char) (text[i] ^ 0x80);
    }
}

/* Invariant 5: the server takes no such file (read_backup_label wants START WAL LOCATION first). */
static void the_blocker_is_known_by_its_run_only(void **state)
{
    Buffer text = {0};

    (void) state;
    backup_label_make_blocker("20261120-1a2b", &text);
    assert_false(is_valid((const char *) text.bytes, text.size));
    assert_non_null(strstr(buffer_string(&text), "run the same pg_rewind command again"));
    assert_non_null(strstr(buffer_string(&text), "20261120-1a2b"));
    assert_true(backup_label_is_blocker((const char *) text.bytes, text.size, "20261120-1a2b"));
    assert_false(backup_label_is_blocker((const char *) text.bytes, text.size, "20261120-1a2"));
    assert_false(backup_label_is_blocker((const char *) text.bytes, text.size, "20261120-1a2c"));
    for (size_t prefix = 0; prefix < text.size; prefix++)
        assert_false(backup_label_is_blocker((const char *) text.bytes, prefix, "20261120-1a2b"));
    assert_false(backup_label_is_blocker(LINE_1 LINE_2, strlen(LINE_1 LINE_2), "20261120-1a2b"));
    buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_label_has_the_five_lines_of_the_original),
        cmocka_unit_test(foreign_texts_are_not_valid),
        cmocka_unit_test(every_prefix_and_every_changed_byte_can_be_read),
        cmocka_unit_test(the_blocker_is_known_by_its_run_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
