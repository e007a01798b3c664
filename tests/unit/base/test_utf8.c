#include "base/text_cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_what_is_valid(void **state)
{
    static const struct
    {
        const char *text;
        bool valid;
    } rows[] = {
        {"", true},
        {"base/5/1259 \n\x7f", true},
        {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\x98", true},
        {"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", true},
        {"\xff", false},
        {"a\xc3", false},           /* ends early */
        {"\xe2\x82", false},        /* the same */
        {"\x80", false},            /* begins late */
        {"\xc0\xaf", false},        /* overlong */
        {"\xe0\x80\xaf", false},    /* the same */
        {"\xed\xa0\x80", false},    /* a surrogate */
        {"\xf4\x90\x80\x80", false} /* beyond the last one */
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(utf8_is_valid(rows[i].text), rows[i].valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_valid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
