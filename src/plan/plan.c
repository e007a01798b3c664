#include "plan/plan.h"

#include "base/array.h"
#include "plan/decide.h"

#include <stdlib.h>
#include <string.h>

#define LEFT_PREFIXES_MAX 1000

/* A file of at least this size is replaced where so small a part of it stays, and the greater part
 * is fetched. */
#define REPLACED_SIZE_MIN ((uint64_t) 16 * 1024 * 1024)
#define UNCHANGED_PART_MAX 8
#define FETCHED_PART_MIN 2

/* A plan while its files are decided upon one after the other. */
typedef struct PlanBuilder
{
    const PlanInput *input;
    Plan *plan;
    /* Directories that are left alone because the two sides have different types of file there. */
    const char *left_prefixes[LEFT_PREFIXES_MAX];
    size_t left_prefix_count;
    /* The database looked at last; no relation is in tablespace 0. */
    Oid tablespace, database;
    bool database_is_targets;
} PlanBuilder;

/* Was the database's directory made or dropped since the sides were equal? */
static bool is_database_of_target(const PlanInput *input, const RelationId *relation)
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

/* Files of one database follow each other, so databases are searched once for each. */
static bool is_in_database_of_target(PlanBuilder *builder, const RelationId *relation)
{
    if (builder->database != relation->database || builder->tablespace != relation->tablespace)
    {
        builder->database = relation->database;
        builder->tablespace = relation->tablespace;
        builder->database_is_targets = is_database_of_target(builder->input, relation);
    }
    return builder->database_is_targets;
}

static bool is_below_left(const PlanBuilder *builder, const char *path)
{
    for (size_t i = 0; i < builder->left_prefix_count; i++)
    {
        size_t length = strlen(builder->left_prefixes[i]);

        if (strncmp(path, builder->left_prefixes[i], length) == 0 && path[length] == '/')
            return true;
    }
    return false;
}

/* The first length bytes of a path. */
typedef struct PathPrefix
{
    const char *path;
    size_t length;
} PathPrefix;

static int compare_prefix(const void *key, const void *item)
{
    const PathPrefix *prefix = key;
    const PlanEntry *entry = item;
    const int order = strncmp(prefix->path, entry->path, prefix->length);

    return order == 0 && entry->path[prefix->length] != '\0' ? -1 : order;
}

/* The entry of what the first length bytes of path name, as a rule a directory; NULL: there is
 * none. */
static PlanEntry *find_entry_of_prefix(const Plan *plan, const char *path, size_t length)
{
    const PathPrefix prefix = {path, length};
    bool found;
    const size_t index = array_search(&prefix, plan->entries, plan->count, sizeof(*plan->entries),
                                      compare_prefix, &found);

    return found ? &plan->entries[index] : NULL;
}

const PlanEntry *plan_find(const Plan *plan, const char *path)
{
    return find_entry_of_prefix(plan, path, strlen(path));
}

/* What stays needs the directories that hold it, also those that the source lacks. */
static void keep_directories_of(PlanBuilder *builder, const FilePair *pair)
{
    const char *path = pair->path;

    if (pair->target == NULL)
        return;
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
    {
        PlanEntry *entry = find_entry_of_prefix(builder->plan, path, (size_t) (slash - path));

        if (entry == NULL || entry->action != ACTION_REMOVE || entry->type != FILE_DIRECTORY)
            continue;
        entry->action = ACTION_NONE;
        entry->reason = REASON_HOLDS_WHAT_STAYS;
    }
}

/* A file of a relation that both sides have, of which nothing is fetched, cut or removed. */
static bool is_untouched_relation(const Decision *decision)
{
    const PlanEntry *entry = &decision->entry;

    return decision->reason == REASON_BLOCKS_NAMED && entry->action == ACTION_NONE &&
           entry->blocks == NULL && entry->fetch_all_from == BLOCK_NONE;
}

/* Most files are untouched, so that memory depends on their number: they get no entry. */
static void add_entry(PlanBuilder *builder, const Decision *decision)
{
    Plan *plan = builder->plan;

    if (!builder->input->every_relation && is_untouched_relation(decision))
        return;
    ARRAY_GROW(plan->entries, plan->count);
    plan->entries[plan->count] = decision->entry;
    plan->entries[plan->count++].reason = (uint8_t) decision->reason;
}

static void add_remark(PlanBuilder *builder, const char *path, Reason reason, const char *kept_by)
{
    Plan *plan = builder->plan;

    ARRAY_GROW(plan->remarks, plan->remark_count);
    plan->remarks[plan->remark_count++] = (PlanRemark){path, kept_by, reason};
}

static bool is_remarkable(const FilePair *pair, const Decision *decision)
{
    switch (decision->reason)
    {
    case REASON_EXCLUDED:
    case REASON_NOT_THE_SERVERS:
        return pair->source != NULL;
    case REASON_TYPES_DIFFER:
        return decision->outcome != OUTCOME_CONFLICT;
    case REASON_MAY_BE_ODD:
    case REASON_MOUNTED:
    case REASON_ODD:
    case REASON_ODD_ON_SOURCE:
    case REASON_NAME_NOT_VALID:
    case REASON_KEPT:
        return true;
    default:
        return false;
    }
}

/* What is below path is not looked at. */
static bool leave_below(PlanBuilder *builder, const char *path, Error *error)
{
    if (builder->left_prefix_count == LEFT_PREFIXES_MAX)
        return error_set(error, ERROR_FAILED,
                         "too many files of different type in source and target");
    builder->left_prefixes[builder->left_prefix_count++] = path;
    return true;
}

static bool add_conflict(PlanBuilder *builder, const char *path, bool unreadable, Error *error)
{
    Plan *plan = builder->plan;

    ARRAY_GROW(plan->conflicts, plan->conflict_count);
    plan->conflicts[plan->conflict_count++] = (PlanConflict){path, unreadable};
    return leave_below(builder, path, error);
}

/* Replay, or the state that it begins with, would not fit what the target has in these. */
static bool must_come_from_source(const Version *version, const char *path)
{
    return path_is_servers(version, path) || strcmp(path, "backup_label") == 0 ||
           strcmp(path, "tablespace_map") == 0;
}

static bool error_not_to_be_kept(const char *path, const char *kept_by, Error *error)
{
    error_set(error, ERROR_FAILED, "\"%s\" cannot be kept: it must come from the source", path);
    error_detail(error, "The pattern \"%s\" matches it.", kept_by);
    return error_hint(error, "--keep is only for files that the server itself does not write, such "
                             "as its configuration.");
}

/* The target keeps its own file, or has none as before. */
static void add_kept(Plan *plan, const FilePair *pair)
{
    const ListedFile *file = pair->target != NULL ? pair->target : pair->source;

    ARRAY_GROW(plan->kept, plan->kept_count);
    plan->kept[plan->kept_count++] = (PlanKept){
        .path = pair->path,
        .on_target = pair->target != NULL,
        .is_directory = file->type == FILE_DIRECTORY,
    };
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
static bool is_below_kept(const PlanBuilder *builder, const char *path)
{
    const char *slash = strchr(path, '/');

    return builder->plan->kept_count > 0 && slash != NULL &&
           !path_is_servers(builder->input->version, path) && plan_keeps(builder->plan, path);
}

/* Enter the decision, and what follows from it for the directories of the file and what is below
 * it.
 */
static bool add_decision(PlanBuilder *builder, const FilePair *pair, const Decision *decision,
                         Error *error)
{
    switch (decision->outcome)
    {
    case OUTCOME_ENTRY:
        add_entry(builder, decision);
        if (decision->reason == REASON_HASH_INDEX && pair->file.segment == 0)
            builder->plan->hash_index_count++;
        if (decision->reason == REASON_LEADS_TO_LOGS || decision->reason == REASON_MOUNTED)
            keep_directories_of(builder, pair);
        break;
    case OUTCOME_LEAVE:
        keep_directories_of(builder, pair);
        break;
    case OUTCOME_LEAVE_TREE:
        keep_directories_of(builder, pair);
        return leave_below(builder, pair->path, error);
    case OUTCOME_KEEP:
        add_kept(builder->plan, pair);
        keep_directories_of(builder, pair);
        break;
    case OUTCOME_CONFLICT:
        return add_conflict(builder, pair->path, decision->reason == REASON_UNREADABLE, error);
    }
    return true;
}

static bool decide_file_pair(PlanBuilder *builder, FilePair *pair, Error *error)
{
    Decision decision;

    if (is_below_left(builder, pair->path) || is_below_kept(builder, pair->path))
        return true;
    pair_classify(builder->input, pair);
    if (pair->class == PATH_RELATION)
        pair->database_is_targets = is_in_database_of_target(builder, &pair->file.relation);
    decision = decide_file(builder->input, pair);
    if (decision.outcome == OUTCOME_KEEP &&
        must_come_from_source(builder->input->version, pair->path))
        return error_not_to_be_kept(pair->path, decision.kept_by, error);
    if (is_remarkable(pair, &decision))
        add_remark(builder, pair->path, decision.reason, decision.kept_by);
    return add_decision(builder, pair, &decision, error);
}

static bool decide_all_files(PlanBuilder *builder, Error *error)
{
    const Listing *sources = builder->input->source;
    const Listing *targets = builder->input->target;
    size_t s = 0, t = 0;

    while (s < sources->count || t < targets->count)
    {
        const ListedFile *source = s < sources->count ? &sources->files[s] : NULL;
        const ListedFile *target = t < targets->count ? &targets->files[t] : NULL;
        const int order = source == NULL   ? 1
                          : target == NULL ? -1
                                           : strcmp(source->path, target->path);
        FilePair pair = {.path = order <= 0 ? source->path : target->path,
                         .source = order <= 0 ? source : NULL,
                         .target = order >= 0 ? target : NULL};

        if (pair.source != NULL && pair.source->type == FILE_LINK)
            pair.link_target = listing_link_target(sources, pair.path);
        if (!decide_file_pair(builder, &pair, error))
            return false;
        s += order <= 0;
        t += order >= 0;
    }
    return true;
}

/* What a pattern matches is kept. */
static bool matches_kept(const KeepPattern *pattern, const Plan *plan)
{
    for (size_t i = 0; i < plan->kept_count; i++)
    {
        if (keep_pattern_matches(pattern, plan->kept[i].path))
            return true;
    }
    return false;
}

static void find_idle_patterns(PlanBuilder *builder)
{
    const Keep *keep = builder->input->keep;

    for (size_t i = 0; keep != NULL && i < keep->count; i++)
    {
        if (!keep->patterns[i].file && !matches_kept(&keep->patterns[i], builder->plan))
            add_remark(builder, keep->patterns[i].text, REASON_MATCHES_NOTHING, NULL);
    }
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

    if (path_is_servers(input->version, entry->path) &&
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

        if (path_is_within(removed->path, path))
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

        if (entry->action != ACTION_REMOVE || entry->reason == REASON_STANDBY)
            continue;
        removed = find_removed(plan, entry->path);
        if (removed == NULL && is_foreign(input, entry))
        {
            ARRAY_GROW(plan->removed, plan->removed_count);
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

/* The same with the blocks that recovery rebuilds. */
static uint64_t changed_bytes(const Plan *plan, const PlanEntry *entry)
{
    PlanEntry all = *entry;

    all.rebuilt = NULL;
    return bytes_to_fetch(plan, &all);
}

/*
 * A large file of which hardly a block stays is replaced, not patched: what is fetched is written
 * once instead of twice, and asked for in large pieces. A small one would be a file more to sync.
 */
static void replace_mostly_changed(Plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
    {
        PlanEntry *entry = &plan->entries[i];
        const uint64_t size = entry->source_size;

        if (entry->reason != REASON_BLOCKS_NAMED || size < REPLACED_SIZE_MIN ||
            changed_bytes(plan, entry) < size - size / UNCHANGED_PART_MAX ||
            bytes_to_fetch(plan, entry) < size / FETCHED_PART_MIN)
            continue;
        entry->action = ACTION_COPY;
        entry->reason = REASON_MOSTLY_CHANGED;
    }
}

static void count_bytes(Plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
    {
        const PlanEntry *entry = &plan->entries[i];
        const uint64_t bytes = bytes_to_fetch(plan, entry);

        plan->fetch_bytes_by_kind[entry->kind] += bytes;
        plan->fetch_bytes += bytes;
        if (entry->rebuilt != NULL)
            plan->rebuilt_bytes += changed_bytes(plan, entry) - bytes;
    }
}

bool plan_make(const PlanInput *input, Plan *plan, Error *error)
{
    PlanBuilder builder = {.input = input, .plan = plan};

    *plan = (Plan){.tablespaces = input->tablespaces,
                   .wal_directory = input->version->wal_directory,
                   .block_size = input->block_size,
                   .source_bytes = input->source->total_size};
    if (!decide_all_files(&builder, error))
        return false;
    find_idle_patterns(&builder);
    list_removed(input, plan);
    replace_mostly_changed(plan);
    count_bytes(plan);
    return true;
}

void plan_free(Plan *plan)
{
    free(plan->entries);
    free(plan->conflicts);
    free(plan->kept);
    free(plan->removed);
    free(plan->remarks);
    *plan = (Plan){0};
}

bool plan_stays_in_place(const PlanEntry *entry)
{
    return entry->action == ACTION_NONE || entry->action == ACTION_COPY_TAIL ||
           entry->action == ACTION_TRUNCATE;
}

uint64_t plan_final_size(const PlanEntry *entry)
{
    return entry->action == ACTION_REMOVE ? 0 : entry->source_size;
}
