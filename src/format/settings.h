/*
 * All settings of a postgresql.conf, with what it includes.
 */
#ifndef FORMAT_SETTINGS_H
#define FORMAT_SETTINGS_H

#include "base/arena.h"
#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

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
    bool incomplete; /* something was not read: it lies outside of the data directory, there is
                        too much of it, or it could not be read */
} Settings;

/* Where files come from; paths are relative to the data directory. */
typedef struct SettingsReader
{
    /* Append the file's content. False: it cannot be read; *found false: it is not there. */
    bool (*read)(void *context, const char *path, Buffer *content, bool *found);
    /* The names of the files in a directory, ascending by bytes; the list may be in the arena. */
    void (*list)(void *context, const char *directory, Arena *arena, const char *const **names,
                 size_t *count);
    /* The part of an absolute path that lies below the data directory, or NULL. */
    const char *(*below)(void *context, const char *path);
    void *context;
} SettingsReader;

#define SETTINGS_FILE_SIZE_MAX (1024 * 1024)

/*
 * Read a file and what it includes, over what settings hold already: call it for postgresql.conf,
 * then for postgresql.auto.conf. It cannot fail: lines that are no settings are passed over.
 */
void settings_read(Settings *settings, const SettingsReader *reader, const char *path);

void settings_set(Settings *settings, const char *name, const char *value);

/* NULL: it is not set. */
const char *settings_value(const Settings *settings, const char *name);

/*
 * A value for people to see: what looks like a password, or is one by the setting's name, becomes
 * stars. In the arena, or the value itself.
 */
const char *setting_masked(Arena *arena, const char *name, const char *value);

/* The path relative to the data directory, without ".", ".." and empty parts, of a file that a
 * setting in the file `base` names by a relative path; NULL: the path is absolute, or ".." leads
 * out of the data directory. As the server does, links are not thought of. Where base is absolute,
 * so is the path. In the arena. */
const char *settings_path(Arena *arena, const char *base, const char *value);

#endif
