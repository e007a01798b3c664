/*
 * The settings of postgresql.conf, recovery.conf and the like: one line after the other, or all of
 * a file with what it includes. The values of two: primary_conninfo and restore_command.
 */
#ifndef FORMAT_SETTINGS_H
#define FORMAT_SETTINGS_H

#include "base/buffer.h"
#include "base/text_cursor.h"

/*
 * Take the next setting: its name in lower case, its value without quotes and escapes. Lines that
 * are no settings are passed over. False at the end of the text.
 */
bool setting_next(TextCursor *text, Buffer *name, Buffer *value);

/* Remove all lines of that setting from the text of a file, and append "name = 'value'\n" as in
 * postgresql.auto.conf. A final newline is added where the text has none. */
void setting_replace(Buffer *text, const char *name, const char *value);

/* True if the value of a boolean setting means on, as the server reads it (parse_bool in
 * utils/adt/bool.c): any case, "true" and "yes" also abbreviated. False for NULL. */
bool setting_is_on(const char *value);

/* The value of an integer setting that has no unit, as the server reads it (parse_int in
 * utils/misc/guc.c). False: it is none, and a server would not start with it. */
bool setting_integer(const char *value, int64_t *number);

typedef struct Setting
{
    const char *name; /* in lower case */
    const char *value;
} Setting;

typedef struct Settings
{
    Arena *arena;   /* the caller's; holds all strings and lists */
    Setting *items; /* ascending by name, each name once: the last one that was read */
    size_t count;
    const char **files; /* that were read and are there, in this order */
    size_t file_count;
    bool incomplete;    /* something was not read: there is too much of it, it could not be read, or
                           a file that must be there is not */
    const char *unread; /* what could not be read, the first; NULL: nothing, or only too much */
} Settings;

/* Supplies the files of a data directory, by paths relative to it. */
typedef struct SettingsReader
{
    /* Append the file's content. False: it cannot be read; *found false: there is no such file. */
    bool (*read)(void *context, const char *path, Buffer *content, bool *found);
    /* The names of the files in a directory, ascending by bytes, up to a NULL. The list may be in
     * the arena. NULL: the directory cannot be read, or is not there. */
    const char *const *(*list)(void *context, const char *directory, Arena *arena);
    /* The part of an absolute path that lies below the data directory, or NULL: place_below. */
    const char *(*below)(const char *path, const char *directory);
    const char *directory;
    void *context;
} SettingsReader;

#define SETTINGS_FILE_SIZE_MAX (1024 * 1024)

/*
 * Read a file and what it includes, over what settings hold already: call it for postgresql.conf,
 * then for postgresql.auto.conf. It cannot fail: lines that are no settings are passed over.
 */
void settings_read(Settings *settings, const SettingsReader *reader, const char *path);

void settings_set(Settings *settings, const char *name, const char *value);

/* Returns NULL if the setting is not set. */
const char *settings_value(const Settings *settings, const char *name);

/*
 * A value for people to see: what looks like a password, or is one by the setting's name, becomes
 * stars. So does all of a command, a script, and a setting of an extension (with a dot). In the
 * arena, or the value itself.
 */
const char *setting_masked(Arena *arena, const char *name, const char *value);

/* A command for people to see: its program, since passwords may stand in all that follows. Quoted,
 * in the arena. */
const char *setting_command_shown(Arena *arena, const char *command);

/* The path relative to the data directory, without ".", ".." and empty parts, of a file that a
 * setting in the file `base` names by a relative path; NULL: the path is absolute, or ".." leads
 * out of the data directory. As in the server, links are not resolved. Where base is absolute,
 * so is the path. In the arena. */
const char *settings_path(Arena *arena, const char *base, const char *value);

/* keyword=value, quoted for a connection string, blank before all but the first. */
void conninfo_append(Buffer *conninfo, const char *keyword, const char *value);

/*
 * The next keyword=value of a connection string (no URI) from *position on, which is moved past it;
 * the value without quotes and backslashes, as libpq's conninfo_parse reads it. False at the end,
 * where *position is at the NUL, and where the text has not that form.
 */
bool conninfo_next(const char **position, Buffer *keyword, Buffer *value);

/*
 * restore_command with %f file name, %p path, %r name of the segment with the last restartpoint's
 * redo, %% expanded. Anything else after % is an error worded as in PostgreSQL 16 (percentrepl.c).
 */
MUST_CHECK bool restore_command_expand(const char *command, const char *file_name, const char *path,
                                       const char *redo_file_name, Buffer *expanded, Error *error);

#endif
