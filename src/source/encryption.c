#include "source/encryption.h"

#include "io/dir.h"
#include "io/file.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

/* The files in which a program keeps the keys of a cluster that it encrypts. */
typedef struct KeyFiles
{
    const char *directory;
    const char *pattern; /* of a name in it */
    const char *program;
    const char *hint;
} KeyFiles;

static const KeyFiles key_files[] = {
    /* A server that only loads pg_tde makes the directory, with the file keys_version: without a
     * principal key (DATABASE_keys) nothing can be encrypted, without wal_keys no WAL. */
    {"pg_tde", "*_keys", "pg_tde",
     "Use pg_tde_rewind of pg_tde 2.2.1 or later (before that it corrupts encrypted relations), or "
     "make a new base backup with pg_tde_basebackup."},
    /* initdb --data-encryption */
    {"pg_encryption", "key.bin", "EDB Transparent Data Encryption",
     "Use the pg_rewind that was installed with this server, with --key-unwrap-command."},
    /* initdb -K, with a password that the key is derived from */
    {"global", "kdf_params", "CYBERTEC's Transparent Data Encryption",
     "Use the pg_rewind that was installed with this server, with its option -K."},
    /* initdb --cluster-key-command */
    {"pg_cryptokeys/live", "relation.wkey", "Apache Cloudberry's cluster file encryption",
     "Use the pg_rewind that was installed with this server."},
};

typedef struct KeySearch
{
    const KeyFiles *files;
    char found[NAME_MAX + 1]; /* the name of the first one; empty: none */
} KeySearch;

/* A visitor of dir_names, and of a source's names. */
static bool note_key_file(void *context, const char *name, Error *error)
{
    KeySearch *search = context;

    (void) error;
    if (search->found[0] == '\0' && fnmatch(search->files->pattern, name, 0) == 0)
        snprintf(search->found, sizeof(search->found), "%s", name);
    return true;
}

/* where: a sentence's words before the path. */
static bool error_encrypted(const KeySearch *search, const char *where, Error *error)
{
    error_set(error, ERROR_FAILED, "cluster is encrypted by %s, which pg_rewind cannot decrypt",
              search->files->program);
    error_detail(error,
                 "%s has the key file \"%s/%s\". Source and target may have encrypted the same "
                 "block with different keys.",
                 where, search->files->directory, search->found);
    return error_hint(error, "%s", search->files->hint);
}

bool encryption_check_source(Source *source, Error *error)
{
    if (source->directory != NULL)
        return encryption_check_directory(source->directory, error);
    for (size_t i = 0; i < sizeof(key_files) / sizeof(*key_files); i++)
    {
        KeySearch search = {.files = &key_files[i]};

        if (!source->operations->names(source, search.files->directory, note_key_file, &search,
                                       error))
            return false;
        if (search.found[0] != '\0')
            return error_encrypted(&search, "The source server", error);
    }
    return true;
}

bool encryption_check_directory(const char *directory, Error *error)
{
    for (size_t i = 0; i < sizeof(key_files) / sizeof(*key_files); i++)
    {
        KeySearch search = {.files = &key_files[i]};
        AUTO_BUFFER Buffer path = {0};
        AUTO_BUFFER Buffer where = {0};
        struct stat status;
        bool found;

        path_in(&path, directory, search.files->directory);
        if (!file_stat(buffer_string(&path), &status, &found, error))
            return false;
        if (!found || !S_ISDIR(status.st_mode))
            continue;
        if (!dir_names(buffer_string(&path), note_key_file, &search, &found, error))
            return false;
        buffer_printf(&where, "Directory \"%s\"", directory);
        if (search.found[0] != '\0')
            return error_encrypted(&search, buffer_string(&where), error);
    }
    return true;
}
