#include "check/readiness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORD_SIZE 80

/* A string behind whose end nothing can be read. */
static char *put_before_gap(const char *text)
{
    const size_t page = (size_t) sysconf(_SC_PAGESIZE), size = strlen(text) + 1;
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(pages, MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
    return memcpy(pages + page - size, text, size);
}

/* The report that node_print_text prints for a node whose only finding has this text. */
static char *shown(const char *finding_text)
{
    Advice finding = {"name", ADVICE_OK, ADVICE_AT_ONCE, put_before_gap(finding_text), NULL, NULL};
    const Node node = {.target = "/target", .findings = {.items = &finding, .count = 1}};
    char *text;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    assert_non_null(stream);
    node_print_text(&node, true, stream);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static void lines_are_broken_between_words(void **state)
{
    char word[WORD_SIZE + 1] = {0}, expected[512], text[256];
    const char *indent = "                                 ";
    char *output;

    (void) state;
    memset(word, 'x', WORD_SIZE);
    output = shown(word);
    snprintf(expected, sizeof(expected), "ok       name                    %s\n", word);
    assert_non_null(strstr(output, expected));
    free(output);

    snprintf(text, sizeof(text), "It is %s\nor not %s.", word, word);
    output = shown(text);
    snprintf(expected, sizeof(expected),
             "ok       name                    It is\n%s%s\n%sor not\n%s%s.\n", indent, word,
             indent, indent, word);
    assert_non_null(strstr(output, expected));
    free(output);
}

static void a_terminal_gets_no_commands(void **state)
{
    char *output = shown("Files: \"a\033[2J\x7F\xC3\xA4\"");

    (void) state;
    assert_non_null(strstr(output, "Files: \"a?[2J?\xC3\xA4\"\n"));
    free(output);
}

static char *shown_in_short(const Node *node)
{
    char *text;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    assert_non_null(stream);
    node_print_text(node, false, stream);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static void what_is_in_order_is_only_counted(void **state)
{
    Advice findings[] = {{"a", ADVICE_OK, ADVICE_AT_ONCE, "A is in order.", NULL, NULL},
                         {"b", ADVICE_UNKNOWN, ADVICE_AT_ONCE, "B is not known.", NULL, NULL},
                         {"c", ADVICE_OK, ADVICE_AT_ONCE, "C is in order.", "but look", NULL},
                         {"d", ADVICE_WARNING, ADVICE_AT_ONCE, "D is odd.", "mend it", NULL}};
    Advice left_out[] = {{"e", ADVICE_UNKNOWN, ADVICE_AT_ONCE, "nobody asked", NULL, NULL},
                         {"f", ADVICE_UNKNOWN, ADVICE_AT_ONCE, "neither", NULL, NULL}};
    Node node = {.target = "/target",
                 .findings = {.items = findings, .count = 4},
                 .not_looked_at = {.items = left_out, .count = 2}};
    char *output = shown_in_short(&node);

    (void) state;
    assert_string_equal(output, "\"/target\": ready for a rewind\n\n"
                                "warning  d                       D is odd.\n"
                                "                                 to do: mend it\n"
                                "unknown  b                       B is not known.\n\n"
                                "2 checks passed; not looked at: e, f (--verbose shows all)\n");
    free(output);

    node.findings.count = 1;
    node.not_looked_at.count = 0;
    output = shown_in_short(&node);
    assert_string_equal(output, "\"/target\": ready for a rewind\n\n"
                                "1 check passed (--verbose shows all)\n");
    free(output);

    findings[0].severity = ADVICE_PROBLEM;
    output = shown_in_short(&node);
    assert_string_equal(output, "\"/target\": not ready for a rewind\n\n"
                                "problem  a                       A is in order.\n\n"
                                "0 checks passed (--verbose shows all)\n");
    free(output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_broken_between_words),
        cmocka_unit_test(a_terminal_gets_no_commands),
        cmocka_unit_test(what_is_in_order_is_only_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
