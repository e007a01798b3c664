#include "plan/classify.h"

#include "base/array.h"
#include "base/text_cursor.h"
#include "format/control.h"
#include "target/unsynced.h"

#include <assert.h>
#include <string.h>

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool in_list(const char *text, size_t length, const char *const *list)
{
    for (; *list != NULL; list++)
    {
        if (strlen(*list) == length && memcmp(text, *list, length) == 0)
            return true;
    }
    return false;
}

/* A part of the path, as a directory or file, has this name, or with prefix_only begins with it. */
static bool has_part(const char *path, const char *name, bool prefix_only)
{
    size_t length = strlen(name);

    for (const char *part = path;; part++)
    {
        if (strncmp(part, name, length) == 0 &&
            (prefix_only || part[length] == '/' || part[length] == '\0'))
            return true;
        part = strchr(part, '/');
        if (part == NULL)
            return false;
    }
}

/* Directories whose content the server creates again: excludeDirContents of filemap.c, 11 and
 * later. */
static const char *const recreated_directories[] = {"pg_stat_tmp", "pg_replslot", "pg_dynshmem",
                                                    "pg_notify",   "pg_serial",   "pg_snapshots",
                                                    "pg_subtrans", NULL};

static const char *const server_directories[] = {
    "base",        "global",       "pg_commit_ts", "pg_dynshmem",
    "pg_logical",  "pg_multixact", "pg_notify",    "pg_replslot",
    "pg_serial",   "pg_snapshots", "pg_stat",      "pg_stat_tmp",
    "pg_subtrans", "pg_tblspc",    "pg_twophase",  NULL};

uint64_t twophase_xid(const char *path)
{
    TextCursor name = text_cursor(strrchr(path, '/') + 1);
    uint64_t xid = 0;
    uint32_t digits;

    while (text_take_hex(&name, 8, &digits))
        xid = xid << 32 | digits;
    return xid;
}

bool path_is_recreated(const char *path)
{
    return in_list(path, strlen(path), recreated_directories);
}

bool path_server_reads(const Version *version, const char *path)
{
    const char *slash = strchrnul(path, '/');

    return in_list(path, (size_t) (slash - path), server_directories) ||
           path_is_within(version->wal_directory, path) ||
           path_is_within(version->xact_directory, path) || strcmp(path, "PG_VERSION") == 0;
}

bool path_must_come_from_source(const Version *version, const char *path)
{
    return path_server_reads(version, path) || strcmp(path, "backup_label") == 0 ||
           strcmp(path, "tablespace_map") == 0;
}

bool path_has_cluster_mode(const Version *version, const char *path)
{
    static const char *const files[] = {"postgresql.conf", "postgresql.auto.conf", "pg_hba.conf",
                                        "pg_ident.conf",   "recovery.conf",        "recovery.done",
                                        "recovery.signal", "standby.signal",       NULL};

    return path_server_reads(version, path) || in_list(path, strlen(path), files);
}

bool path_is_own(const char *path)
{
    return strcmp(path, CONTROL_PATH) == 0 || strcmp(path, "backup_label") == 0 ||
           strcmp(path, "postmaster.pid") == 0 || has_prefix(path, "postmaster.pid.pg_rewind") ||
           has_part(path, "pg_rewind.work", true) || strcmp(path, UNSYNCED_PATH) == 0;
}

/* Files that are left alone on both sides: logs, sockets, files of the file system and our own. */
static bool is_left(const Version *version, const char *path, const char *base)
{
    const char *wal = relpath_below(path, version->wal_directory);

    if (path_is_own(path) || has_part(path, "lost+found", false))
        return true;
    if (has_prefix(path, "log/") || has_prefix(path, "pg_log/") ||
        strcmp(path, "current_logfiles") == 0)
        return true;
    if (base == path && text_ends_with(path, ".log"))
        return true;
    if (has_prefix(base, ".s.PGSQL."))
        return true;
    if ((wal != NULL && wal[0] == '.') || (version->excludes_ds_store && strstr(path, ".DS_Store")))
        return true;
    if (!version->exclusion_lists && strcmp(base, "postmaster.opts") == 0)
        return true;
    return false;
}

static bool is_excluded(const Version *version, const VersionDirectory *own, const char *path,
                        const char *base)
{
    const char *slash = strchr(path, '/');

    /* Rule I79: the content of pg_stat_tmp is left out in every version, as recovery removes it
     * (pgstat_reset_all in StartupXLOG). */
    if (slash != NULL && in_list(path, (size_t) (slash - path), recreated_directories) &&
        (version->exclusion_lists || path_is_within("pg_stat_tmp", path)))
        return true;
    if (has_part(path, "pgsql_tmp", true) || relpath_is_temporary(own, path))
        return true;
    if (has_prefix(base, "pg_internal.init") || strcmp(base, "tablespace_map") == 0 ||
        strcmp(base, "backup_label") == 0 || strcmp(base, "postmaster.pid") == 0 ||
        strcmp(base, "postmaster.opts") == 0 || strcmp(base, "postgresql.auto.conf.tmp") == 0 ||
        strcmp(base, "current_logfiles.tmp") == 0)
        return true;
    return version->excludes_backup_manifest && strcmp(base, "backup_manifest") == 0;
}

/* True for the name of the history file of a base backup (IsBackupHistoryFileName in
 * access/xlog_internal.h). */
static bool is_backup_history(const char *name)
{
    return strspn(name, "0123456789ABCDEF") == WAL_NAME_SIZE - 1 && text_ends_with(name, ".backup");
}

PathClass path_classify(const VersionDirectory *own, const WalShape *shape, const char *path,
                        RelationFile *file)
{
    const Version *version = shape->version;
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    const char *name, *in_tablespace;
    Timeline timeline;
    uint64_t segment;

    /* Relation files first, as most files are: no other class has such a name. */
    if (relpath_parse(own, path, file))
        return file->fork == FORK_MAIN ? PATH_RELATION : PATH_FORK;
    if (is_left(version, path, base))
        return PATH_LEFT;
    assert(own->name[0] != '\0');
    /* In pg_tblspc/N/OTHER_VERSION a tablespace's location is shared with a cluster of another
     * version. */
    name = relpath_below(path, "pg_tblspc");
    in_tablespace = name != NULL ? strchr(name, '/') : NULL;
    if (in_tablespace != NULL && !path_is_within(own->name, in_tablespace + 1))
        return PATH_LEFT;
    if (is_excluded(version, own, path, base))
        return PATH_EXCLUDED;
    name = relpath_below(path, version->wal_directory);
    if (name == NULL)
        return PATH_ORDINARY;
    if (has_prefix(name, "archive_status/"))
        return PATH_WAL_STATUS;
    if (wal_segment_name_parse(shape, name, &timeline, &segment))
        return PATH_WAL;
    if (text_ends_with(name, ".partial") || has_prefix(name, "xlogtemp.") ||
        strcmp(name, "RECOVERYXLOG") == 0 || strcmp(name, "RECOVERYHISTORY") == 0 ||
        is_backup_history(name)) /* Rule O15. */
        return PATH_WAL_REST;
    return PATH_ORDINARY;
}

FileKind path_kind(const Version *version, const char *path, PathClass class)
{
    if (class == PATH_RELATION || class == PATH_FORK)
        return class == PATH_RELATION ? KIND_RELATION : KIND_FORK;
    if (relpath_below(path, version->wal_directory) != NULL)
        return KIND_WAL;
    if (relpath_below(path, version->xact_directory) != NULL || has_prefix(path, "pg_multixact/") ||
        has_prefix(path, "pg_commit_ts/") || has_prefix(path, "pg_subtrans/"))
        return KIND_STATUS;
    if (text_ends_with(path, ".conf") || text_ends_with(path, ".signal"))
        return KIND_CONFIGURATION;
    return KIND_OTHER;
}

bool path_is_safe(const char *path)
{
    size_t length = strlen(path);

    if (length == 0 || length > PATH_LENGTH_MAX || path[0] == '/')
        return false;
    for (const char *part = path;;)
    {
        const char *slash = strchrnul(part, '/');
        size_t size = (size_t) (slash - part);

        if (size == 0 || (size == 1 && part[0] == '.') ||
            (size == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        if (*slash == '\0')
            return true;
        part = slash + 1;
    }
}

bool path_is_within(const char *directory, const char *path)
{
    const size_t length = strlen(directory);

    return strncmp(path, directory, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

bool path_take_part(const char *path, Buffer *part)
{
    const size_t length = part->size;

    if (path[length] == '\0')
        return false;
    buffer_clear(part);
    buffer_append(part, path, length + 1 + strcspn(path + length + 1, "/"));
    return true;
}

size_t path_parent_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? (size_t) (slash - path) : 0;
}

bool path_parent_next(PathParent *last, const char *path)
{
    const size_t length = path_parent_length(path);
    const bool is_same =
        last->path != NULL && last->length == length && memcmp(last->path, path, length) == 0;

    *last = (PathParent){path, length};
    return !is_same;
}

/* An ArrayCompare: the key is the first bytes of a path. */
static int compare_with_path(const void *key, const void *item)
{
    const PathParent *first = key;
    const char *path = *(const char *const *) item;
    const int order = strncmp(first->path, path, first->length);

    return order == 0 && path[first->length] != '\0' ? -1 : order;
}

void *path_find(const void *items, size_t count, size_t item_size, const char *path, size_t length)
{
    const PathParent key = {path, length};
    bool found;
    const size_t index = array_search(&key, items, count, item_size, compare_with_path, &found);

    return found ? (char *) items + index * item_size : NULL;
}

void *path_find_above(const void *items, size_t count, size_t item_size, const char *path)
{
    void *found = NULL;

    for (size_t length = 0; count > 0 && found == NULL && path[length] != '\0';)
    {
        length += 1 + strcspn(path + length + 1, "/");
        found = path_find(items, count, item_size, path, length);
    }
    return found;
}
