#include "plan/plan.h"

#include "base/log.h"
#include "format/history.h"
#include "plan/classify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEFT_PREFIXES_MAX 1000

/* What is known of a file from both sides while its action is decided. */
typedef struct Candidate
{
    const char *path;
    const ListedFile *source; /* NULL: not there */
    const ListedFile *target;
    PathClass class;
    RelationFile file;
    bool is_relation_file;
} Candidate;

typedef struct Planner
{
    const PlanInput *input;
    Plan *plan;
    size_t capacity;
    /* Directories that are left alone because the two sides have different types of file there. */
    const char *left_prefixes[LEFT_PREFIXES_MAX];
    size_t left_prefix_count;
    /* The database looked at last; no relation is in tablespace 0. */
    Oid tablespace, database;
    bool database_is_targets;
} Planner;

static PlanEntry *add_entry(Planner *planner, const Candidate *candidate, Action action)
{
    Plan *plan = planner->plan;
    const ListedFile *source = candidate->source;
    const ListedFile *target = candidate->target;
    PlanEntry *entry;

    if (plan->count == planner->capacity)
    {
        planner->capacity = planner->capacity == 0 ? 1024 : planner->capacity * 2;
        plan->entries = memory_resize(plan->entries, planner->capacity * sizeof(*plan->entries));
    }
    entry = &plan->entries[plan->count++];
    *entry = (PlanEntry){
        .path = candidate->path,
        .link_target = source != NULL ? source->link_target : NULL,
        .source_size = source != NULL ? source->size : 0,
        .target_size = target != NULL ? target->size : 0,
        .fetch_all_from = BLOCK_NONE,
        .action = (uint8_t) action,
        .type = (uint8_t) (source != NULL ? source->type : target->type),
        .kind =
            (uint8_t) path_kind(candidate->path, candidate->is_relation_file, candidate->file.fork),
        .on_target = target != NULL,
        .wal = candidate->class == PATH_WAL,
        .twophase = strncmp(candidate->path, "pg_twophase/", 12) == 0,
    };
    return entry;
}

/* ---- WAL ---- */

/* Is the range [begin, end) of a timeline part of the history before the divergence? */
static bool is_common(const PlanInput *input, Timeline timeline, Lsn begin, Lsn end)
{
    const History *history = input->source_history;

    if (end > input->divergence)
        return false;
    for (size_t i = 0; i < history->count; i++)
    {
        const HistoryEntry *entry = &history->entries[i];

        if (entry->timeline == timeline)
            return entry->begin < end && (entry->end == LSN_INVALID || entry->end > begin);
    }
    return false;
}

bool plan_keeps_segment(const PlanInput *input, Timeline timeline, uint64_t segment)
{
    return is_common(input, timeline, wal_segment_start(&input->shape, segment),
                     wal_segment_start(&input->shape, segment + 1));
}

/* A marker in archive_status stays where the file that it speaks of stays. */
static bool keeps_status(const PlanInput *input, const char *path)
{
    const char *name = path + strlen("pg_wal/archive_status/");
    const char *dot = strrchr(name, '.');
    char file[512];
    Timeline timeline;
    uint64_t segment;

    if (dot == NULL || (size_t) (dot - name) >= sizeof(file) - sizeof("pg_wal/"))
        return false;
    snprintf(file, sizeof(file), "%.*s", (int) (dot - name), name);
    if (wal_segment_name_parse(&input->shape, file, &timeline, &segment))
        return plan_keeps_segment(input, timeline, segment);
    snprintf(file, sizeof(file), "pg_wal/%.*s", (int) (dot - name), name);
    return listing_find(input->source, file) != NULL && listing_find(input->target, file) != NULL &&
           strstr(name, ".partial") == NULL;
}

/* pg_wal/summaries/TTTTTTTTSSSSSSSSSSSSSSSSEEEEEEEEEEEEEEEE.summary: timeline, start and end. */
static bool keeps_summary(const PlanInput *input, const char *path)
{
    unsigned timeline, start_high, start_low, end_high, end_low;
    const char *name = path + strlen("pg_wal/summaries/");

    if (strlen(name) != 48 || sscanf(name, "%8X%8X%8X%8X%8X.summary", &timeline, &start_high,
                                     &start_low, &end_high, &end_low) != 5)
        return false;
    return is_common(input, timeline, (Lsn) start_high << 32 | start_low,
                     (Lsn) end_high << 32 | end_low);
}

static void decide_wal(Planner *planner, const Candidate *candidate)
{
    const PlanInput *input = planner->input;
    Timeline timeline;
    uint64_t segment;
    bool keep;

    if (candidate->target == NULL || candidate->target->type == FILE_DIRECTORY)
        return; /* segments that are needed are staged by name, when all else has been fetched */
    if (candidate->class == PATH_WAL)
        keep = wal_segment_name_parse(&input->shape, candidate->path + strlen("pg_wal/"), &timeline,
                                      &segment) &&
               plan_keeps_segment(input, timeline, segment) &&
               candidate->target->size == input->shape.segment_size;
    else if (candidate->class == PATH_WAL_STATUS)
        keep = keeps_status(input, candidate->path);
    else
        keep = false;
    add_entry(planner, candidate, keep ? ACTION_NONE : ACTION_REMOVE);
}

/* ---- relations ---- */

/* Was the database's directory made or dropped since the sides were equal? */
static bool database_is_targets(const PlanInput *input, const RelationId *relation)
{
    for (size_t i = 0; i < input->scan->database_count; i++)
    {
        const ScanDatabase *database = &input->scan->databases[i];

        if (database->database == relation->database && database->lsn >= input->whole_from &&
            (database->tablespace == relation->tablespace || database->tablespace == 0))
            return true;
    }
    return false;
}

/* The same of the relation's storage, or its whole database. Files of one database follow each
 * other, so databases are searched once for each. */
static bool storage_is_targets(Planner *planner, const RelationId *relation,
                               const BlockMapRelation *blocks)
{
    const PlanInput *input = planner->input;

    if (planner->database != relation->database || planner->tablespace != relation->tablespace)
    {
        planner->database = relation->database;
        planner->tablespace = relation->tablespace;
        planner->database_is_targets = database_is_targets(input, relation);
    }
    return planner->database_is_targets ||
           (blocks != NULL && blockmap_storage_lsn(blocks) != LSN_INVALID &&
            blockmap_storage_lsn(blocks) >= input->whole_from);
}

/*
 * The file of the same relation with this suffix, which sorts behind file; NULL: none is listed. It
 * is next to it as a rule, where a look into the whole listing would cost more than all else.
 */
static const ListedFile *find_sibling(const Listing *listing, const ListedFile *file,
                                      const char *suffix)
{
    const char *name = strrchr(file->path, '/') + 1;
    const size_t length = (size_t) (name - file->path) + strcspn(name, ".");
    char path[RELPATH_SIZE];

    if (length + strlen(suffix) >= sizeof(path))
        return NULL;
    memcpy(path, file->path, length);
    memcpy(path + length, suffix, strlen(suffix) + 1);
    return listing_find_behind(listing, file, path);
}

static bool has_init_fork(const Listing *listing, const ListedFile *file)
{
    return find_sibling(listing, file, "_init") != NULL;
}

/*
 * While a relation grows, its segments are listed one after the other: one that was not full yet
 * when it was looked at is full if the next one is there. Left short, replay would take its end for
 * the relation's and write zeros over the next one.
 */
static uint64_t settled_size(const PlanInput *input, const Candidate *candidate)
{
    uint64_t full = (uint64_t) input->relation_segment_blocks * input->block_size;
    RelationFile next = candidate->file;
    const ListedFile *listed;
    char path[RELPATH_SIZE];

    if (candidate->source->size >= full)
        return candidate->source->size;
    if (next.segment == 0)
        listed = find_sibling(input->source, candidate->source, ".1");
    else
    {
        next.segment++;
        relpath_make(input->version, &next, path);
        listed = listing_find(input->source, path); /* .10 sorts before .9 */
    }
    /* Truncation leaves segments of no size behind. */
    return listed != NULL && listed->size > 0 ? full : candidate->source->size;
}

/* Can blocks of this file be told by their numbers? Not where no server would have a file of that
 * name or size. */
static bool has_block_numbers(const PlanInput *input, const Candidate *candidate)
{
    uint64_t segment_size = (uint64_t) input->relation_segment_blocks * input->block_size;

    return candidate->file.segment < BLOCK_NONE / input->relation_segment_blocks &&
           candidate->source->size <= segment_size;
}

static const BlockMapRelation *rebuilt_blocks(const PlanInput *input, const RelationFile *file)
{
    return input->rebuilt != NULL ? blockmap_find(input->rebuilt, file->relation) : NULL;
}

/* A relation file on both sides: named blocks, what follows a truncation, the tail. */
static void decide_common_relation(Planner *planner, const Candidate *candidate)
{
    const PlanInput *input = planner->input;
    const RelationFile *file = &candidate->file;
    const BlockMapRelation *blocks = blockmap_find(input->scan->blocks, file->relation);
    uint64_t source_size = settled_size(input, candidate);
    uint64_t target_size = candidate->target->size;
    BlockNumber first_block = file->segment * input->relation_segment_blocks;
    PlanEntry *entry;

    if (storage_is_targets(planner, &file->relation, blocks) ||
        has_init_fork(input->target, candidate->target) || !has_block_numbers(input, candidate))
    {
        /* The target's blocks may be in no WAL: nothing of this file can be trusted. */
        entry = add_entry(planner, candidate, ACTION_COPY);
        entry->source_size = source_size;
        entry->compare = source_size == target_size;
        return;
    }
    entry = add_entry(planner, candidate,
                      target_size < source_size   ? ACTION_COPY_TAIL
                      : target_size > source_size ? ACTION_TRUNCATE
                                                  : ACTION_NONE);
    entry->source_size = source_size;
    entry->by_blocks = true;
    entry->blocks = blocks;
    entry->rebuilt = rebuilt_blocks(input, file);
    entry->first_block = first_block;
    if (blocks != NULL && blockmap_truncated_to(blocks) != BLOCK_NONE)
        entry->fetch_all_from = blockmap_truncated_to(blocks);
    if (target_size < source_size)
    {
        /* A block that the target has only in part counts as not there. */
        BlockNumber tail = first_block + (BlockNumber) (target_size / input->block_size);

        if (tail < entry->fetch_all_from)
            entry->fetch_all_from = tail;
    }
}

/* A relation file that only the source has. */
static void decide_new_relation(Planner *planner, const Candidate *candidate)
{
    const PlanInput *input = planner->input;
    PlanEntry *entry = add_entry(planner, candidate, ACTION_COPY);

    entry->source_size = settled_size(input, candidate);
    if (!has_block_numbers(input, candidate))
        return;
    entry->rebuilt = rebuilt_blocks(input, &candidate->file);
    entry->first_block = candidate->file.segment * input->relation_segment_blocks;
}

static void decide_relation(Planner *planner, const Candidate *candidate)
{
    if (candidate->source == NULL)
        add_entry(planner, candidate, ACTION_REMOVE);
    else if (has_init_fork(planner->input->source, candidate->source))
        /* Unlogged: the server makes the main fork anew from the init fork. */
        add_entry(planner, candidate, ACTION_NONE)->source_size =
            candidate->target != NULL ? candidate->target->size : 0;
    else if (candidate->target == NULL)
        decide_new_relation(planner, candidate);
    else
        decide_common_relation(planner, candidate);
}

/* ---- all else ---- */

static bool is_below_left(const Planner *planner, const char *path)
{
    for (size_t i = 0; i < planner->left_prefix_count; i++)
    {
        size_t length = strlen(planner->left_prefixes[i]);

        if (strncmp(path, planner->left_prefixes[i], length) == 0 && path[length] == '/')
            return true;
    }
    return false;
}

/* The entry of what the first length bytes of path name, as a rule a directory; NULL: there is
 * none. */
static PlanEntry *find_directory(const Plan *plan, const char *path, size_t length)
{
    size_t low = 0, high = plan->count;

    while (low < high)
    {
        size_t middle = low + (high - low) / 2;
        PlanEntry *entry = &plan->entries[middle];
        int order = strncmp(path, entry->path, length);

        if (order == 0 && entry->path[length] == '\0')
            return entry;
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

PlanEntry *plan_find(const Plan *plan, const char *path)
{
    return find_directory(plan, path, strlen(path));
}

/* The target's file stays: so must the directories that hold it, also those that the source lacks.
 */
static void leave_on_target(Planner *planner, const Candidate *candidate)
{
    const char *path = candidate->path;

    if (candidate->target == NULL)
        return;
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
    {
        PlanEntry *entry = find_directory(planner->plan, path, (size_t) (slash - path));

        if (entry != NULL && entry->action == ACTION_REMOVE && entry->type == FILE_DIRECTORY)
            entry->action = ACTION_NONE;
    }
}

/* What is below path is not looked at. */
static bool leave_below(Planner *planner, const char *path, Error *error)
{
    if (planner->left_prefix_count == LEFT_PREFIXES_MAX)
        return error_set(error, ERROR_FAILED,
                         "too many files of different type in source and target");
    planner->left_prefixes[planner->left_prefix_count++] = path;
    return true;
}

static bool add_conflict(Planner *planner, const char *path, bool unreadable, Error *error)
{
    Plan *plan = planner->plan;

    plan->conflicts =
        memory_resize(plan->conflicts, (plan->conflict_count + 1) * sizeof(*plan->conflicts));
    plan->conflicts[plan->conflict_count++] = (PlanConflict){path, unreadable};
    return leave_below(planner, path, error);
}

/* The sides have different types of file here. */
static bool decide_conflict(Planner *planner, const Candidate *candidate, Error *error)
{
    bool is_odd = candidate->source->type == FILE_OTHER || candidate->target->type == FILE_OTHER;
    const char *slash = strchr(candidate->path, '/');

    if (strcmp(candidate->path, "pg_wal") == 0)
        return true; /* a link on one side, a directory on the other: alike */
    if (path_is_servers(candidate->path) && !(slash == NULL && candidate->class == PATH_LEFT))
        return add_conflict(planner, candidate->path, false, error);
    log_warning("\"%s\" is %s and is left alone", candidate->path,
                is_odd ? "not a regular file" : "of different type in source and target");
    return leave_below(planner, candidate->path, error);
}

/* Empty, of a name that the server does not give, and not there already: it may be anything. */
static bool may_be_odd(const PlanInput *input, const Candidate *candidate)
{
    return input->source_hides_odd && candidate->source->size == 0 &&
           (candidate->target == NULL || candidate->target->size > 0) &&
           !path_is_servers(candidate->path) &&
           path_kind(candidate->path, false, FORK_MAIN) != KIND_CONFIGURATION;
}

static void decide_ordinary_source(Planner *planner, const Candidate *candidate)
{
    const ListedFile *source = candidate->source;
    const ListedFile *target = candidate->target;
    PlanEntry *entry;

    if (source->type == FILE_OTHER)
    {
        log_warning("\"%s\" in the source is not a regular file and is left alone",
                    candidate->path);
        return;
    }
    if (source->type != FILE_REGULAR)
    {
        add_entry(planner, candidate, target == NULL ? ACTION_CREATE : ACTION_NONE);
        return;
    }
    if (may_be_odd(planner->input, candidate))
        log_warning("\"%s\" is copied as an empty file: the source server does not distinguish it "
                    "from a fifo, socket or device",
                    candidate->path);
    entry = add_entry(planner, candidate, ACTION_COPY);
    entry->compare = target != NULL && source->size == target->size;
}

/* Is `path` the same as `directory`, or below it? */
static bool is_within(const char *directory, const char *path)
{
    const size_t length = strlen(directory);

    return strncmp(path, directory, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

/* The logs of the target in a place that its configuration names. */
static bool is_log(const PlanInput *input, const char *path)
{
    return input->log_directory != NULL && is_within(input->log_directory, path) &&
           strcmp(path, input->log_directory) != 0;
}

/* Is it a directory of logs, or a directory or link on the way to it, which only the target has? */
static bool leads_to_logs(const PlanInput *input, const Candidate *candidate)
{
    if (candidate->source != NULL || candidate->target->type == FILE_REGULAR)
        return false;
    return strcmp(candidate->path, "log") == 0 || strcmp(candidate->path, "pg_log") == 0 ||
           (input->log_directory != NULL && is_within(candidate->path, input->log_directory));
}

static bool decide_ordinary(Planner *planner, const Candidate *candidate, Error *error)
{
    const PlanInput *input = planner->input;

    if (candidate->source != NULL && candidate->target != NULL &&
        candidate->source->type != candidate->target->type)
        return decide_conflict(planner, candidate, error);
    if (candidate->source != NULL)
        decide_ordinary_source(planner, candidate);
    else if (candidate->target->type == FILE_OTHER)
    {
        log_warning("\"%s\" is not a regular file and is left alone", candidate->path);
        leave_on_target(planner, candidate);
    }
    else if (leads_to_logs(input, candidate))
    {
        add_entry(planner, candidate, ACTION_NONE);
        leave_on_target(planner, candidate);
    }
    else if (strncmp(candidate->path, "pg_wal/summaries/", 17) == 0 &&
             keeps_summary(input, candidate->path))
        add_entry(planner, candidate, ACTION_NONE);
    else
        add_entry(planner, candidate, ACTION_REMOVE);
    return true;
}

/* Is all in this directory left alone, so that it does not matter what it is? */
static bool content_is_left(const Planner *planner, const Candidate *candidate)
{
    char *inside = memory_allocate(strlen(candidate->path) + 3);
    RelationFile file;
    bool is_relation_file;
    PathClass class;

    sprintf(inside, "%s/x", candidate->path);
    class = is_log(planner->input, inside)
                ? PATH_LEFT
                : path_classify(planner->input->version, &planner->input->shape, inside, &file,
                                &is_relation_file);
    free(inside);
    return class == PATH_LEFT;
}

/* Replay, or the state that it begins with, would not fit what the target has in these. */
static bool must_come_from_source(const char *path)
{
    return path_is_servers(path) || strcmp(path, "backup_label") == 0 ||
           strcmp(path, "tablespace_map") == 0;
}

/* The target keeps its own file, or has none as before. */
static bool decide_kept(Planner *planner, const Candidate *candidate, const char *kept_by,
                        Error *error)
{
    Plan *plan = planner->plan;
    const ListedFile *target = candidate->target;
    const bool is_directory = (target != NULL ? target : candidate->source)->type == FILE_DIRECTORY;

    if (must_come_from_source(candidate->path))
    {
        error_set(error, ERROR_FAILED, "\"%s\" cannot be kept: it must come from the source",
                  candidate->path);
        error_detail(error, "The pattern \"%s\" matches it.", kept_by);
        return error_hint(error, "--keep is only for files that the server itself does not write, "
                                 "such as its configuration.");
    }
    log_debug("\"%s\" is kept (%s)", candidate->path, kept_by);
    plan->kept = memory_resize(plan->kept, (plan->kept_count + 1) * sizeof(*plan->kept));
    plan->kept[plan->kept_count++] =
        (PlanKept){candidate->path, .on_target = target != NULL, .is_directory = is_directory};
    leave_on_target(planner, candidate);
    return true;
}

bool plan_keeps(const Plan *plan, const char *path)
{
    for (size_t i = 0; i < plan->kept_count; i++)
    {
        size_t length = strlen(plan->kept[i].path);

        if (strncmp(path, plan->kept[i].path, length) == 0 &&
            (path[length] == '\0' || path[length] == '/'))
            return true;
    }
    return false;
}

/* Was the directory that it is in kept? What is below one stands next to it, but for names that
 * sort between. */
static bool is_below_kept(const Planner *planner, const char *path)
{
    const char *slash = strchr(path, '/');

    return planner->plan->kept_count > 0 && slash != NULL && !path_is_servers(path) &&
           plan_keeps(planner->plan, path);
}

static bool decide(Planner *planner, Candidate *candidate, Error *error)
{
    const PlanInput *input = planner->input;
    const char *kept_by;
    bool regular = (candidate->source == NULL || candidate->source->type == FILE_REGULAR) &&
                   (candidate->target == NULL || candidate->target->type == FILE_REGULAR);

    if (is_below_left(planner, candidate->path) || is_below_kept(planner, candidate->path))
        return true;
    if (keep_matches(input->keep, candidate->path, &kept_by))
        return decide_kept(planner, candidate, kept_by, error);
    candidate->class = path_classify(input->version, &input->shape, candidate->path,
                                     &candidate->file, &candidate->is_relation_file);
    if (is_log(input, candidate->path))
        candidate->class = PATH_LEFT;
    if (candidate->target != NULL && candidate->target->unreadable &&
        !content_is_left(planner, candidate))
        return add_conflict(planner, candidate->path, true, error);
    if (candidate->source != NULL && candidate->source->unreadable && candidate->class != PATH_LEFT)
    {
        log_warning("\"%s\" cannot be fetched and is left alone: its name is not valid in the "
                    "source's encoding",
                    candidate->path);
        leave_on_target(planner, candidate);
        return leave_below(planner, candidate->path, error);
    }
    switch (candidate->class)
    {
    case PATH_LEFT:
        if (candidate->source != NULL)
            log_debug("entry \"%s\" excluded from source file list", candidate->path);
        leave_on_target(planner, candidate);
        return true;
    case PATH_EXCLUDED:
        if (candidate->source != NULL)
            log_debug("entry \"%s\" excluded from source file list", candidate->path);
        if (candidate->target != NULL && candidate->target->type != FILE_OTHER)
            add_entry(planner, candidate, ACTION_REMOVE)->source_size = 0;
        else
            leave_on_target(planner, candidate);
        return true;
    case PATH_WAL:
    case PATH_WAL_REST:
    case PATH_WAL_STATUS:
        decide_wal(planner, candidate);
        return true;
    case PATH_RELATION:
        if (regular)
        {
            decide_relation(planner, candidate);
            return true;
        }
        break;
    case PATH_ORDINARY:
        break;
    }
    return decide_ordinary(planner, candidate, error);
}

/* ---- what else is removed ---- */

/*
 * Is it none of the server's, by its name? In the directories of the server only directories count:
 * those of databases and tablespaces have numbers. Slots and configuration are reported as what is
 * next.
 */
static bool is_foreign(const PlanInput *input, const PlanEntry *entry)
{
    const char *slash = strrchr(entry->path, '/');
    const char *base = slash != NULL ? slash + 1 : entry->path;
    RelationFile file;
    bool is_relation_file;

    if (path_is_servers(entry->path) &&
        (entry->type != FILE_DIRECTORY || base[strspn(base, "0123456789")] == '\0' ||
         strncmp(entry->path, "pg_tblspc/", 10) == 0 ||
         strncmp(entry->path, "pg_replslot/", 12) == 0))
        return false;
    return !keep_is_configuration(entry->path) &&
           path_classify(input->version, &input->shape, entry->path, &file, &is_relation_file) ==
               PATH_ORDINARY;
}

/* The listed directory that path is in, or NULL. */
static PlanRemoved *find_removed(const Plan *plan, const char *path)
{
    for (size_t i = plan->removed_count; i-- > 0;)
    {
        PlanRemoved *removed = &plan->removed[i];

        if (is_within(removed->path, path))
            return removed;
        if (strncmp(removed->path, path, strcspn(path, "/")) != 0)
            break; /* what sorts between a directory and its content begins like it */
    }
    return NULL;
}

static void list_removed(const PlanInput *input, Plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
    {
        const PlanEntry *entry = &plan->entries[i];
        PlanRemoved *removed;

        if (entry->action != ACTION_REMOVE)
            continue;
        removed = find_removed(plan, entry->path);
        if (removed == NULL && is_foreign(input, entry))
        {
            plan->removed =
                memory_resize(plan->removed, (plan->removed_count + 1) * sizeof(*plan->removed));
            removed = &plan->removed[plan->removed_count++];
            *removed = (PlanRemoved){.path = entry->path};
        }
        if (removed == NULL)
            continue;
        removed->file_count += entry->type != FILE_DIRECTORY;
        removed->bytes += entry->target_size;
    }
}

static uint64_t bytes_to_fetch(const Plan *plan, const PlanEntry *entry)
{
    uint64_t offset = 0, size, bytes = 0;

    for (; plan_next_range(plan, entry, &offset, &size); offset += size)
        bytes += size;
    return bytes;
}

static void count_bytes(Plan *plan)
{
    memset(plan->fetch_bytes_by_kind, 0, sizeof(plan->fetch_bytes_by_kind));
    plan->fetch_bytes = plan->rebuilt_bytes = 0;
    for (size_t i = 0; i < plan->count; i++)
    {
        const PlanEntry *entry = &plan->entries[i];
        const uint64_t bytes = bytes_to_fetch(plan, entry);

        plan->fetch_bytes_by_kind[entry->kind] += bytes;
        plan->fetch_bytes += bytes;
        if (entry->rebuilt != NULL)
        {
            PlanEntry all = *entry;

            all.rebuilt = NULL;
            plan->rebuilt_bytes += bytes_to_fetch(plan, &all) - bytes;
        }
    }
}

bool plan_make(const PlanInput *input, Plan *plan, Error *error)
{
    Planner planner = {.input = input, .plan = plan};
    size_t s = 0, t = 0;

    *plan = (Plan){.block_size = input->block_size, .source_bytes = input->source->total_size};
    while (s < input->source->count || t < input->target->count)
    {
        const ListedFile *source = s < input->source->count ? &input->source->files[s] : NULL;
        const ListedFile *target = t < input->target->count ? &input->target->files[t] : NULL;
        int order = source == NULL ? 1 : target == NULL ? -1 : strcmp(source->path, target->path);
        Candidate candidate = {.path = order <= 0 ? source->path : target->path,
                               .source = order <= 0 ? source : NULL,
                               .target = order >= 0 ? target : NULL};

        if (!decide(&planner, &candidate, error))
        {
            plan_free(plan);
            return false;
        }
        s += order <= 0;
        t += order >= 0;
    }
    keep_warn(input->keep);
    list_removed(input, plan);
    count_bytes(plan);
    return true;
}

uint64_t plan_compared_size(const Plan *plan, const PlanEntry *entry)
{
    if (!entry->by_blocks)
        return 0;
    if (entry->source_size <= entry->target_size)
        return entry->source_size;
    return entry->target_size - entry->target_size % plan->block_size; /* the tail is fetched */
}

void plan_name_blocks(const PlanInput *input, Plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
    {
        PlanEntry *entry = &plan->entries[i];
        RelationFile file;

        if (entry->by_blocks && relpath_parse(input->version, entry->path, &file))
            entry->blocks = blockmap_find(input->scan->blocks, file.relation);
    }
    count_bytes(plan);
}

void plan_free(Plan *plan)
{
    free(plan->entries);
    free(plan->conflicts);
    free(plan->kept);
    free(plan->removed);
    *plan = (Plan){0};
}

/* The next run of blocks within [from, end) that cannot be trusted on the target. */
static bool next_doubtful_run(const PlanEntry *entry, BlockNumber from, BlockNumber end,
                              BlockNumber *first, BlockNumber *count)
{
    *first = BLOCK_NONE;
    if (entry->action == ACTION_COPY)
        *first = from;
    else if (entry->blocks == NULL || !blockmap_next_run(entry->blocks, from, end, first, count))
        *first = BLOCK_NONE;
    if (entry->action == ACTION_COPY)
        *count = end - from;
    else if (entry->fetch_all_from != BLOCK_NONE)
    {
        BlockNumber all_from = entry->fetch_all_from > from ? entry->fetch_all_from : from;

        if (all_from < end && (*first == BLOCK_NONE || *first + *count >= all_from))
        {
            *first = *first == BLOCK_NONE || *first > all_from ? all_from : *first;
            *count = end - *first;
        }
    }
    return *first != BLOCK_NONE;
}

/*
 * Of a run of blocks, the first part that recovery does not rebuild. False: there is none. From
 * where the source cut the relation on, recovery is not relied on.
 */
static bool leave_out_rebuilt(const PlanEntry *entry, BlockNumber *first, BlockNumber *count)
{
    BlockNumber end = *first + *count, limit, run, run_count;

    if (entry->rebuilt == NULL)
        return true;
    limit = blockmap_truncated_to(entry->rebuilt);
    limit = limit < end ? limit : end;
    while (*first < limit && blockmap_next_run(entry->rebuilt, *first, limit, &run, &run_count))
    {
        if (run > *first)
        {
            end = run;
            break;
        }
        *first += run_count;
    }
    *count = end - *first;
    return *first < end;
}

/* The next range of a file whose blocks are told by their numbers. */
static bool next_block_range(const Plan *plan, const PlanEntry *entry, uint64_t *offset,
                             uint64_t *size)
{
    uint64_t block_size = plan->block_size;
    BlockNumber end = /* the last block may be incomplete */
        entry->first_block + (BlockNumber) ((entry->source_size + block_size - 1) / block_size);
    BlockNumber from = entry->first_block + (BlockNumber) (*offset / block_size);
    BlockNumber first, count;
    uint64_t range_end;

    if (*offset >= entry->source_size)
        return false;
    for (;; from = first + count)
    {
        if (from >= end || !next_doubtful_run(entry, from, end, &first, &count))
            return false;
        if (leave_out_rebuilt(entry, &first, &count))
            break;
    }
    *offset = (uint64_t) (first - entry->first_block) * block_size;
    range_end = *offset + (uint64_t) count * block_size;
    *size = (range_end < entry->source_size ? range_end : entry->source_size) - *offset;
    return true;
}

bool plan_next_range(const Plan *plan, const PlanEntry *entry, uint64_t *offset, uint64_t *size)
{
    if (entry->type != FILE_REGULAR || entry->gone || entry->equal || entry->dropped)
        return false;
    if (entry->action == ACTION_COPY && entry->rebuilt == NULL)
    {
        if (*offset >= entry->source_size)
            return false;
        *size = entry->source_size - *offset;
        return true;
    }
    if (entry->kind != KIND_RELATION || (entry->action != ACTION_COPY && entry->blocks == NULL &&
                                         entry->fetch_all_from == BLOCK_NONE))
        return false;
    return next_block_range(plan, entry, offset, size);
}

bool plan_stays_in_place(const PlanEntry *entry)
{
    return entry->action == ACTION_NONE || entry->action == ACTION_COPY_TAIL ||
           entry->action == ACTION_TRUNCATE;
}

uint64_t plan_final_size(const PlanEntry *entry)
{
    return entry->action == ACTION_REMOVE || entry->gone || entry->dropped ? 0 : entry->source_size;
}

const char *action_name(Action action)
{
    static const char *const names[] = {"NONE",     "COPY",   "COPY_TAIL",
                                        "TRUNCATE", "CREATE", "REMOVE"};

    return names[action];
}

void plan_print(const Plan *plan)
{
    if (!log_debug_on())
        return;
    for (size_t i = 0; i < plan->count; i++)
    {
        const PlanEntry *entry = &plan->entries[i];
        BlockNumber from = entry->first_block, first, count;
        BlockNumber end =
            entry->first_block + (BlockNumber) (entry->source_size / plan->block_size);

        if (entry->action == ACTION_NONE && entry->blocks == NULL && !entry->wal)
            continue;
        if (entry->wal && entry->action == ACTION_NONE && entry->source_size == 0)
        {
            log_debug("Not removing file \"%s\" because it is required for recovery", /* contract */
                      entry->path);
            continue;
        }
        log_debug("%s (%s)", entry->path, action_name((Action) entry->action)); /* contract */
        while (entry->blocks != NULL && blockmap_next_run(entry->blocks, from, end, &first, &count))
        {
            for (BlockNumber block = first; block < first + count; block++)
                log_debug("  block %u", block - entry->first_block); /* contract */
            from = first + count;
        }
    }
}
