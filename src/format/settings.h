/*
 * Settings of postgresql.conf, recovery.conf and the like: line by line, or all settings of a file
 * with its includes. Also the form of two values: primary_conninfo and restore_command.
 */
#ifndef FORMAT_SETTINGS_H
#define FORMAT_SETTINGS_H

#include "base/buffer.h"
#include "base/text_cursor.h"

/*
 * Take the next setting: name in lower case, value without quotes and escapes; both buffers are
 * replaced. Include directives count as settings; other lines are skipped. Returns false at the end
 * of the text.
 */
bool setting_next(TextCursor *text, Buffer *name, Buffer *value);

/* Remove all lines of the setting from the text of a file, and append "name = 'value'\n" as in
 * postgresql.auto.conf. A missing final newline of the text is added first. */
void setting_replace(Buffer *text, const char *name, const char *value);

/* Take each line with the setting out of the text of a configuration file. */
void setting_remove(Buffer *text, const char *name);

/* True if the value of a boolean setting means on, as the server reads it (parse_bool in
 * utils/adt/bool.c): any case, "true" and "yes" can be abbreviated. False for NULL. */
bool setting_is_on(const char *value);

/* Read the value of an integer setting without a unit, as the server does (parse_int in
 * utils/misc/guc.c). Returns false for a value with which a server would not start. */
bool setting_integer(const char *value, int64_t *number);

typedef struct Setting
{
    const char *name; /* lower case */
    const char *value;
    bool is_doubtful; /* the value is of a file that the server may not read (settings_doubt) */
} Setting;

typedef struct Settings
{
    Arena *arena;   /* owned by the caller; holds all strings and lists */
    Setting *items; /* ascending by name; of several lines the last one that was read counts */
    size_t count;
    const char **files; /* paths of all files that count, including those that do not exist or
                           cannot be read, in this order, and of directories of include_dir before
                           the files in them; "": the data directory */
    size_t file_count;
    bool incomplete; /* not everything was read: a limit was reached, a file could not be read, or a
                        required file is missing */
    const char *unread; /* path of the first one that could not be read; NULL if none */
} Settings;

/* Functions that read the files of a data directory, by paths relative to it. */
typedef struct SettingsReader
{
    /* Append the file's content. Returns false if it cannot be read; *found is false if it does not
     * exist. */
    bool (*read)(void *context, const char *path, Buffer *content, bool *found);
    /* The names of the files in a directory, ascending by bytes, ended by a NULL; the list may be
     * in the arena. NULL if the directory cannot be read or does not exist. */
    const char *const *(*list)(void *context, const char *directory, Arena *arena);
    /* The rest of an absolute path below the data directory, or NULL (place_below). Without this
     * function absolute paths are passed to read and list as they are. */
    const char *(*below)(const char *path, const char *directory);
    const char *directory; /* the data directory, for `below`; NULL: not known */
    void *context;
} SettingsReader;

#define SETTINGS_FILE_SIZE_MAX (1024 * 1024)

/*
 * Read a file with its includes, and override the settings that were read before: call this for
 * postgresql.conf, then for postgresql.auto.conf. Cannot fail: lines that are not settings are
 * skipped, and what cannot be read is noted in settings. Returns false if the file does not exist,
 * which is not noted.
 */
bool settings_read(Settings *settings, const SettingsReader *reader, const char *path);

void settings_set(Settings *settings, const char *name, const char *value);

/* Mark all settings as doubtful, and the list as incomplete: they are of a file that the server may
 * not read. A setting that is set again is no longer doubtful. */
void settings_doubt(Settings *settings);

/* True if the server's value of a setting is not known: the list is incomplete, and the setting is
 * not in it or doubtful. */
bool settings_value_is_unknown(const Settings *settings, const char *name);

/* The value of a setting; NULL if it is not set. */
const char *settings_value(const Settings *settings, const char *name);

/*
 * A value to be printed: what looks like a password, or is one by the setting's name, is replaced
 * by asterisks. So is the whole value of a command, a script, and a setting of an extension (with a
 * dot). The result is in the arena, or is the value itself.
 */
const char *setting_masked(Arena *arena, const char *name, const char *value);

/* A command to be printed: only its program, quoted, since its arguments may contain passwords;
 * "not shown" if the command does not begin with a plain program name. The result is in the arena
 * or static. */
const char *setting_command_shown(Arena *arena, const char *command);

/*
 * Resolve a relative path that is the value of a setting in the file `base`. The result is relative
 * to the data directory if base is, absolute if base is absolute, and has no ".", ".." and empty
 * parts. As in the server, links are not resolved. NULL if value is absolute or empty, or if ".."
 * leads out of the data directory. The result is in the arena.
 */
const char *settings_path(Arena *arena, const char *base, const char *value);

/* Append keyword=value, quoted for a connection string, after a blank unless it is the first. */
void conninfo_append(Buffer *conninfo, const char *keyword, const char *value);

/*
 * Take the next keyword=value of a connection string (not a URI) at *position, which is moved after
 * it. The value is without quotes and backslashes, as libpq's conninfo_parse reads it. Returns
 * false at the end, where *position is at the NUL, and for text that does not have this form.
 */
bool conninfo_next(const char **position, Buffer *keyword, Buffer *value);

/*
 * Replace %f in restore_command by the file name, %p by the path, %r by the name of the segment
 * with the last restartpoint's redo position, and %% by %. Any other character after % is an error,
 * with the message of PostgreSQL 16 (percentrepl.c).
 */
MUST_CHECK bool restore_command_expand(const char *command, const char *file_name, const char *path,
                                       const char *redo_file_name, Buffer *expanded, Error *error);

#endif
