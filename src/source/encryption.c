#include "source/encryption.h"

#include "io/dir.h"

#include <fnmatch.h>

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

bool encryption_check(Source *source, const char *directory, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();

    for (size_t i = 0; i < sizeof(key_files) / sizeof(*key_files); i++)
    {
        const KeyFiles *files = &key_files[i];
        const char **name;
        bool found;

        if (directory == NULL
                ? !source->operations->names(source, files->directory, arena, &name, error)
                : !dir_list(arena_printf(arena, "%s/%s", directory, files->directory), arena, &name,
                            &found, error))
            return false;
        while (*name != NULL && fnmatch(files->pattern, *name, 0) != 0)
            name++;
        if (*name == NULL)
            continue;
        error_set(error, ERROR_FAILED, "cluster is encrypted by %s, which pg_rewind cannot decrypt",
                  files->program);
        error_detail(error,
                     "%s has the key file \"%s/%s\". Source and target may have encrypted the same "
                     "block with different keys.",
                     directory == NULL ? "The source server"
                                       : arena_printf(arena, "Directory \"%s\"", directory),
                     files->directory, *name);
        return error_hint(error, "%s", files->hint);
    }
    return true;
}
