#include "lost/lost_script.h"

#include "base/text_cursor.h"
#include "format/settings.h"

#include <string.h>

/* Append a part of lost_script.sql: the lines after the one that begins with its name. */
static void append_script_part(const char *name, Buffer *text)
{
    bool is_within = false;

    for (const char *const *line = lost_script_lines; *line != NULL; line++)
    {
        TextCursor mark = text_cursor(*line);

        if (!text_take(&mark, "--@ "))
            buffer_append_string(text, is_within ? *line : "");
        else
            is_within = text_take(&mark, name);
    }
}

void lost_script_begin(Buffer *text)
{
    buffer_append_u8(text, '\n');
    append_script_part("head", text);
}

/* Lost transactions may have given its name to another database. */
static void check_database(Oid number, Buffer *text)
{
    buffer_printf(text,
                  "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_database WHERE oid = %u\n"
                  "  AND datname = current_database()) THEN RAISE EXCEPTION USING\n"
                  "  MESSAGE = 'here ' || current_database() || ' is another database',\n"
                  "  HINT = 'Lost transactions renamed it. Do the same here first, or take this '\n"
                  "  'check out of the script.'; END IF; END $$;\n",
                  number);
}

/* A word of \connect, in the quotes in which a line break can be written. psql takes what is in
 * them for a name, whose own quotes are taken off afterwards. */
static void append_connect_word(const char *bare, Buffer *text)
{
    AUTO_BUFFER Buffer name = {0};
    const char *word;

    buffer_append_name(&name, bare);
    buffer_append_u8(text, '\'');
    for (word = buffer_string(&name); *word != '\0'; word++)
    {
        if (*word == '\n' || *word == '\r')
            buffer_append_string(text, *word == '\n' ? "\\n" : "\\r");
        else
            buffer_append_escaped(text, word, 1, "'\\", '\\');
    }
    buffer_append_u8(text, '\'');
}

void lost_script_connect(const char *name, Oid number, const Version *version, Buffer *text)
{
    AUTO_BUFFER Buffer value = {0};

    /* A connection string: a name alone could be taken for one. */
    conninfo_append(&value, "dbname", name);
    buffer_append_string(text, "\n" LOST_SCRIPT_UTF8 "\\connect -reuse-previous=on ");
    append_connect_word(buffer_string(&value), text);
    buffer_append_u8(text, '\n');
    append_script_part("session", text);
    if (version->sql.row_security)
        append_script_part("policies", text);
    append_script_part("role", text);
    if (number != 0)
        check_database(number, text);
    if (version->sql.row_security)
        buffer_append_string(text, "SET row_security = off;\n");
    append_script_part("settings", text);
    if (version->sql.publications)
        append_script_part("publications", text);
    append_script_part("applied", text);
    buffer_append_string(text, version->sql.publications ? "\\endif\n" : "");
    append_script_part("functions", text);
}
