#include "source/source.h"

#include "format/history.h"
#include "io/dir.h"

#include <fnmatch.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#define CONTROL_ATTEMPTS_MAX 10
#define CONTROL_PAUSE_NANOSECONDS 20000000L
#define CPUID_SHA (1u << 29) /* bit of EBX in CPUID's leaf 7: the SHA instructions */

bool source_control_read(SourceControlRead read, void *context, ControlFile file, Control *control,
                         Error *error)
{
    const struct timespec pause = {.tv_nsec = CONTROL_PAUSE_NANOSECONDS};
    AUTO_BUFFER Buffer buffer = {0};
    bool crc_wrong = true;

    for (int attempt = 1; attempt <= CONTROL_ATTEMPTS_MAX && crc_wrong; attempt++)
    {
        if (attempt > 1) /* a running server may have been writing the file */
            nanosleep(&pause, NULL);
        buffer_clear(&buffer);
        if (!read(context, &buffer, error))
            return false;
        file.bytes = buffer.bytes;
        file.size = buffer.size;
        if (control_parse(&file, control, &crc_wrong, error))
            return true;
    }
    return false;
}

/* Set *is_on if the standby may be on this timeline: it descends from pg_control's, and begins at a
 * position that the standby has replayed. */
static bool is_on_timeline(Source *source, const Control *control, Timeline timeline, Lsn replayed,
                           bool *is_on, Error *error)
{
    const Timeline old = control_timeline(control);
    char name[HISTORY_NAME_SIZE], path[64];
    AUTO_ARENA Arena *arena = arena_create();
    AUTO_BUFFER Buffer text = {0};
    History history;
    bool found;

    *is_on = false;
    history_file_name(timeline, name);
    snprintf(path, sizeof(path), "%s/%s", control->version->wal_directory, name);
    if (!source->operations->read_file(source, path, HISTORY_SIZE_MAX, &text, &found, error))
        return false;
    if (!found)
        return true;
    if (!history_parse(arena, timeline, (const char *) text.bytes, text.size, &history, error))
        return false;
    for (size_t i = 0; i + 1 < history.count; i++)
        *is_on = *is_on || (history.entries[i].timeline == old &&
                            history.entries[i].end >= control->min_recovery_point);
    if (replayed != LSN_INVALID && history.entries[history.count - 1].begin > replayed)
        *is_on = false;
    return true;
}

/* True if a file among the names is a segment of this timeline. */
static bool has_segment(const char *const *names, const WalShape *shape, Timeline timeline)
{
    Timeline found;
    uint64_t segment;

    for (; *names != NULL; names++)
        if (wal_segment_name_parse(shape, *names, &found, &segment) && found == timeline)
            return true;
    return false;
}

bool source_standby_timeline(Source *source, const Control *control, Lsn replayed,
                             Timeline *timeline, Error *error)
{
    const WalShape shape = control_wal_shape(control);
    AUTO_ARENA Arena *arena = arena_create();
    const char **names;
    Timeline candidate;
    bool is_on;

    *timeline = control_timeline(control);
    if (!source->operations->names(source, control->version->wal_directory, arena, &names, error))
        return false;
    for (const char **name = names; *name != NULL; name++)
    {
        if (!history_file_name_parse(*name, &candidate) || candidate <= *timeline ||
            !has_segment(names, &shape, candidate))
            continue;
        if (!is_on_timeline(source, control, candidate, replayed, &is_on, error))
            return false;
        if (is_on)
            *timeline = candidate;
    }
    return true;
}

void source_close(Source *source)
{
    if (source != NULL)
        source->operations->close(source);
}

/* ---- Digests ---- */

bool digest_bytes(DigestKind kind, const void *bytes, size_t size, uint8_t digest[DIGEST_SIZE])
{
    uint8_t whole[EVP_MAX_MD_SIZE];

    if (kind == DIGEST_NONE || EVP_Digest(bytes, size, whole, NULL,
                                          kind == DIGEST_MD5 ? EVP_md5() : EVP_sha256(), NULL) != 1)
        return false;
    memcpy(digest, whole, DIGEST_SIZE);
    return true;
}

const char *digest_name(DigestKind kind)
{
    static const char *const names[DIGEST_KINDS] = {"no digest", "MD5", "SHA-256"};

    return names[kind];
}

bool digest_has_instructions(void)
{
#if defined(__x86_64__)
    uint32_t eax, ebx = 0, ecx, edx;

    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & CPUID_SHA) != 0;
#elif defined(__aarch64__)
    return (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0;
#else
    return false;
#endif
}

DigestKind digest_preferred(const Version *version, bool has_instructions)
{
    return version->has_sha256 && has_instructions ? DIGEST_SHA256 : DIGEST_MD5;
}

/* ---- Encrypted clusters ---- */

/* A product that encrypts clusters, and the files in which it keeps its keys. */
typedef struct KeyFiles
{
    const char *directory;
    const char *pattern; /* fnmatch pattern for a key file's name in the directory */
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

const char *encryption_directory(size_t index)
{
    return index < sizeof(key_files) / sizeof(*key_files) ? key_files[index].directory : NULL;
}

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
