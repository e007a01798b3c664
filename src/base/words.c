#include "base/words.h"

#include <string.h>

#define BLANKS " \t\n"

/* Take the text after a backslash. quoted: in double quotes, where it may stand for itself. */
static const char *take_escaped(const char *at, bool quoted, char **out)
{
    if (quoted && strchr("\\\"$`\n", *at) == NULL)
        *(*out)++ = '\\';
    if (*at != '\n')
        *(*out)++ = *at;
    return at + 1;
}

/* One word from `at` on, which is no blank; returns where it ends, NULL: it does not. */
static const char *take_word(const char *at, char **out, const char **wrong)
{
    char quote = '\0';

    while (*at != '\0' && (quote != '\0' || strchr(BLANKS, *at) == NULL))
    {
        const char c = *at++;

        if (c == quote && quote != '\0')
            quote = '\0';
        else if (quote == '\0' && (c == '\'' || c == '"'))
            quote = c;
        else if (c != '\\' || quote == '\'')
            *(*out)++ = c;
        else if (*at != '\0')
            at = take_escaped(at, quote == '"', out);
        else
        {
            *wrong = "a backslash at the end";
            return NULL;
        }
    }
    if (quote == '\0')
        return at;
    *wrong = "a quote that is not closed";
    return NULL;
}

bool words_split(Arena *arena, const char *text, Words *words, const char **wrong)
{
    const size_t length = strlen(text);
    char *out = arena_allocate(arena, 2 * length + 1); /* each word and its NUL */

    *words = (Words){.words = arena_allocate(arena, (length / 2 + 1) * sizeof(char *))};
    for (text += strspn(text, BLANKS); *text != '\0'; text += strspn(text, BLANKS))
    {
        words->words[words->count++] = out;
        text = take_word(text, &out, wrong);
        if (text == NULL)
            return false;
        *out++ = '\0';
    }
    return true;
}
