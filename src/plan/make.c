#include "plan/decide.h"

#include "base/array.h"
#include "base/log.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define FETCHED_PART_MIN 2 /* at least this part of a replaced file is fetched */

#define RESERVED_OIDS 8192
#define LAST_OIDS (UINT32_MAX - (1u << 26)) /* from here on the counter may go round soon */

#define NAMED_MAX 10 /* things that are removed */

/* A plan while its files are decided upon one after the other. */
typedef struct PlanBuilder
{
    const PlanInput *input;
    Plan *plan;
    const char **left; /* ascending: what is below these paths is not looked at */
    size_t left_count;
    Foreign of_source, of_target;
    bool *told; /* for each tree of the target's: there is a remark */
    /* The database looked at last; no relation is in tablespace 0. */
    Oid tablespace, database;
    bool database_is_targets;
} PlanBuilder;

/* The database's directory was made or dropped since the sides were equal. Files of one database
 * follow each other, so databases are searched once for each. */
static bool is_in_database_of_target(PlanBuilder *builder, const RelationId *relation)
{
    const ScanResult *scan = builder->input->scan;

    if (builder->database == relation->database && builder->tablespace == relation->tablespace)
        return builder->database_is_targets;
    builder->database = relation->database;
    builder->tablespace = relation->tablespace;
    builder->database_is_targets = false;
    for (size_t i = 0; i < scan->database_count; i++)
    {
        const ScanDatabase *database = &scan->databases[i];

        if (database->database == relation->database &&
            database->lsn >= builder->input->whole_from &&
            (database->tablespace == relation->tablespace || database->tablespace == 0))
            builder->database_is_targets = true;
    }
    return builder->database_is_targets;
}

/*
 * The source dropped the relation's storage before recovery starts, and has made none of that
 * number since. A commit removes the files after its record, perhaps much later, as when it waits
 * for a synchronous standby; no checkpoint waits for that, and no further record tells it. So the
 * source may still have the files. Only the copy of a database makes storage without such a record.
 * (Rule C106.)
 */
static bool is_dropped_before(const PlanInput *input, RelationId id)
{
    const BlockMapRelation *relation =
        input->made_before != NULL ? blockmap_find(input->made_before, id) : NULL;

    return relation != NULL && relation->dropped_lsn >= relation->storage_lsn &&
           !scan_has_database_event(input->scan, WAL_EVENT_DATABASE_FILE_COPY, id,
                                    relation->dropped_lsn);
}

/*
 * A file of a relation that both sides have, of which nothing is fetched, cut or removed. Most are
 * such, so that memory depends on their number: they get no entry. A relation that the source may
 * have made since its WAL was read gets one: the file may have to go when all of its WAL is known.
 * An online checkpoint counts numbers as given away that the server has only reserved; and near its
 * end the counter may have gone round since, and have given out low numbers.
 * (VAR_OID_PREFETCH, varsup.c; CreateCheckPoint, xlog.c)
 */
static bool is_untouched_relation(const PlanInput *input, const FilePair *pair,
                                  const PlanEntry *entry)
{
    const RelationId *relation = &pair->file.relation;

    return entry->reason == REASON_BLOCKS_NAMED && entry->action == ACTION_NONE &&
           entry->blocks == NULL && entry->fetch_all_from == BLOCK_NONE &&
           input->next_oid < LAST_OIDS &&
           (uint64_t) relation->relation + RESERVED_OIDS < input->next_oid &&
           (uint64_t) relation->database + RESERVED_OIDS < input->next_oid;
}

/* The warnings about files, after their names. */
static const char *const warnings[REASON_MATCHES_NOTHING + 1] = {
    [REASON_MAY_BE_ODD] = "is copied as an empty file: the source server does not distinguish it "
                          "from a fifo, socket or device",
    [REASON_MOUNTED] = "is a mount point and is left alone",
    [REASON_ODD] = "is not a regular file and is left alone",
    [REASON_ODD_ON_SOURCE] = "in the source is not a regular file and is left alone",
    [REASON_SECOND_NAME] = "of the source is not copied: on the target it is the directory of "
                           "pg_wal or of a tablespace",
    [REASON_FOREIGN_TO_SOURCE] =
        "of the source is not copied: it is another cluster, or a directory "
        "of a tablespace or of pg_wal",
    [REASON_TYPES_DIFFER] = "is of different type in source and target and is left alone",
    [REASON_NAME_NOT_VALID] = "cannot be fetched and is left alone: its name is not valid in the "
                              "source's encoding",
};

static const char *const foreign_kinds[] = {
    [FOREIGN_CLUSTER] = "is another cluster",
    [FOREIGN_BACKUP] = "is a base backup",
    [FOREIGN_TABLESPACE] = "is the directory of a tablespace",
    [FOREIGN_WAL] = "holds WAL",
    [FOREIGN_MOUNT] = "is a mount point",
};

/* Something other than directories is below it in the source. A second name's content is not
 * listed. */
static bool has_files_on_source(const PlanInput *input, const FilePair *pair)
{
    const ListedFile *file = pair->source;
    const ListedFile *end = input->source->files + input->source->count;

    for (; file != NULL && file < end && strncmp(file->path, pair->path, strlen(pair->path)) == 0;
         file++)
    {
        if (file->type != FILE_DIRECTORY && path_is_within(pair->path, file->path))
            return true;
    }
    return false;
}

static bool is_remarkable(const PlanInput *input, const FilePair *pair, const Decision *decision)
{
    const Reason reason = decision->entry.reason;

    if (reason == REASON_SECOND_NAME)
        return has_files_on_source(input, pair) &&
               !foreign_is_of_server(pair->foreign_on_source, pair->path);
    if (reason == REASON_EXCLUDED || reason == REASON_PATH_LEFT)
        return pair->source != NULL;
    return decision->outcome != OUTCOME_CONFLICT &&
           (reason == REASON_KEPT || warnings[reason] != NULL);
}

/* Enter the decision, and what follows from it for the directories of the file and what is below
 * it.
 */
static void add_decision(PlanBuilder *builder, const FilePair *pair, const Decision *decision)
{
    const Reason reason = decision->entry.reason;
    Plan *plan = builder->plan;

    switch (decision->outcome)
    {
    case OUTCOME_ENTRY:
        if (builder->input->every_relation ||
            !is_untouched_relation(builder->input, pair, &decision->entry))
            ARRAY_ADD(plan->entries, plan->count, decision->entry);
        if (reason == REASON_HASH_INDEX && pair->file.segment == 0)
            plan->hash_index_count++;
        if (reason != REASON_LEADS_TO_LOGS && reason != REASON_LEADS_TO_TABLESPACE &&
            reason != REASON_MOUNTED && reason != REASON_FOREIGN)
            return;
        break;
    case OUTCOME_LEAVE:
        break;
    case OUTCOME_LEAVE_TREE:
        ARRAY_ADD(builder->left, builder->left_count, pair->path);
        break;
    case OUTCOME_KEEP:
        ARRAY_ADD(plan->kept, plan->kept_count,
                  (PlanKept){.path = pair->path, .on_target = pair->target != NULL});
        break;
    case OUTCOME_CONFLICT:
        ARRAY_ADD(plan->conflicts, plan->conflict_count,
                  (PlanRemark){.path = pair->path, .reason = reason});
        ARRAY_ADD(builder->left, builder->left_count, pair->path);
        return;
    }
    if (pair->target == NULL)
        return;
    /* Every directory above a file that stays must stay, even if the source lacks the directory. */
    for (const char *slash = strchr(pair->path, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
    {
        PlanEntry *entry = path_find(plan->entries, plan->count, sizeof(*plan->entries), pair->path,
                                     (size_t) (slash - pair->path));

        if (entry == NULL || entry->action != ACTION_REMOVE || entry->type != FILE_DIRECTORY)
            continue;
        entry->action = ACTION_NONE;
        entry->reason = REASON_HOLDS_WHAT_STAYS;
    }
}

static bool decide_file_pair(PlanBuilder *builder, FilePair *pair, Error *error)
{
    Plan *plan = builder->plan;
    Decision decision;

    if (path_find_above(builder->left, builder->left_count, sizeof(*builder->left), pair->path) !=
            NULL ||
        plan_keeps(plan, pair->path))
        return true;
    pair_classify(builder->input, pair);
    if (pair->class == PATH_RELATION)
        pair->database_is_targets = is_in_database_of_target(builder, &pair->file.relation);
    if ((pair->class == PATH_RELATION || pair->class == PATH_FORK) && pair->source != NULL &&
        pair->source->type == FILE_REGULAR &&
        is_dropped_before(builder->input, pair->file.relation))
        pair->source = NULL;
    if (pair->source == NULL && pair->target == NULL)
        return true;
    decision = decide_file(builder->input, pair);
    if (decision.outcome == OUTCOME_KEEP &&
        path_must_come_from_source(builder->input->version, pair->path))
    {
        error_set(error, ERROR_FAILED, "\"%s\" cannot be kept: it must come from the source",
                  pair->path);
        error_detail(error, "The pattern \"%s\" matches it.", decision.kept_by);
        return error_hint(error, "--keep is only for files that the server itself does not write, "
                                 "such as its configuration.");
    }
    if (decision.entry.reason == REASON_FOREIGN)
    {
        const ForeignTree *tree = foreign_tree_of(&builder->of_target, pair->path);
        bool *told = &builder->told[tree - builder->of_target.trees];

        if (!*told) /* one remark for all in a tree */
            ARRAY_ADD(plan->remarks, plan->remark_count,
                      (PlanRemark){tree->path, tree->found, REASON_FOREIGN, tree->kind});
        *told = true;
    }
    else if (is_remarkable(builder->input, pair, &decision))
        ARRAY_ADD(plan->remarks, plan->remark_count,
                  (PlanRemark){.path = pair->path,
                               .kept_by = decision.kept_by,
                               .reason = decision.entry.reason});
    add_decision(builder, pair, &decision);
    return true;
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
                         .target = order >= 0 ? target : NULL,
                         .foreign_on_source = &builder->of_source,
                         .foreign_on_target = &builder->of_target};

        if (pair.source != NULL && pair.source->type == FILE_LINK)
            pair.link_target = listing_link_target(sources, pair.path);
        if (!decide_file_pair(builder, &pair, error))
            return false;
        s += order <= 0;
        t += order >= 0;
    }
    return true;
}

/* All that a pattern matches is kept. */
static void find_idle_patterns(const Keep *keep, Plan *plan)
{
    for (size_t i = 0; keep != NULL && i < keep->count; i++)
    {
        const KeepPattern *pattern = &keep->patterns[i];
        size_t k = 0;

        while (k < plan->kept_count && !keep_pattern_matches(pattern, plan->kept[k].path))
            k++;
        if (!pattern->file && k == plan->kept_count)
            ARRAY_ADD(plan->remarks, plan->remark_count,
                      (PlanRemark){.path = pattern->text, .reason = REASON_MATCHES_NOTHING});
    }
}

/* ---- what else is removed ---- */

/*
 * By its name it is not one of the server's. In the directories of the server only directories
 * count: those of databases and tablespaces have numbers. Slots and configuration are reported as
 * what comes next.
 */
static bool is_foreign(const PlanInput *input, const PlanEntry *entry)
{
    const char *slash = strrchr(entry->path, '/');
    const char *base = slash != NULL ? slash + 1 : entry->path;
    RelationFile file;

    if (path_server_reads(input->version, entry->path) &&
        (entry->type != FILE_DIRECTORY || base[strspn(base, "0123456789")] == '\0' ||
         relpath_below(entry->path, "pg_tblspc") != NULL ||
         relpath_below(entry->path, "pg_replslot") != NULL))
        return false;
    return !keep_is_configuration(entry->path) &&
           path_classify(&input->version_directory, &input->shape, entry->path, &file) ==
               PATH_ORDINARY;
}

static void list_removed(const PlanInput *input, Plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
    {
        const PlanEntry *entry = &plan->entries[i];
        PlanRemoved *removed;

        if (entry->action != ACTION_REMOVE || entry->reason == REASON_STANDBY)
            continue;
        removed =
            path_find_above(plan->removed, plan->removed_count, sizeof(*removed), entry->path);
        if (removed == NULL && is_foreign(input, entry))
        {
            ARRAY_GROW(plan->removed, plan->removed_count);
            removed = &plan->removed[plan->removed_count++];
            *removed = (PlanRemoved){.path = entry->path, .is_file = entry->type != FILE_DIRECTORY};
        }
        if (removed == NULL)
            continue;
        removed->file_count += entry->type != FILE_DIRECTORY;
        removed->bytes += entry->target_size;
    }
}

/*
 * Note how much is fetched of a file. A large one of which hardly a block stays is replaced, not
 * patched: what is fetched is written once instead of twice, and asked for in large pieces. A small
 * one would be a file more to sync.
 */
static void measure_entry(Plan *plan, PlanEntry *entry)
{
    const uint64_t size = entry->source_size;
    PlanEntry all; /* with the blocks that recovery rebuilds */

    plan_measure_ranges(plan, entry);
    all = *entry;
    all.rebuilt = NULL;
    if (entry->rebuilt != NULL)
        plan_measure_ranges(plan, &all);
    if (entry->reason == REASON_BLOCKS_NAMED && plan_replaces(size, all.fetch_bytes) &&
        entry->fetch_bytes >= size / FETCHED_PART_MIN)
    {
        entry->action = ACTION_COPY;
        entry->reason = REASON_MOSTLY_CHANGED;
        plan_measure_ranges(plan, entry);
        all.fetch_bytes = size;
    }
    plan->fetch_bytes += entry->fetch_bytes;
    plan->rebuilt_bytes += all.fetch_bytes - entry->fetch_bytes;
}

bool plan_make(const PlanInput *input, Plan *plan, Error *error)
{
    PlanBuilder builder = {.input = input, .plan = plan};
    bool decided;

    *plan = (Plan){.target = input->target,
                   .tablespaces = input->tablespaces,
                   .version = input->version,
                   .version_directory = input->version_directory,
                   .wal_directory = input->version->wal_directory,
                   .block_size = input->block_size,
                   .source_bytes = input->source->total_size};
    foreign_find(input->version, input->source, &builder.of_source);
    foreign_find(input->version, input->target, &builder.of_target);
    builder.told = memory_allocate_zeroed(builder.of_target.tree_count + 1, sizeof(*builder.told));
    decided = decide_all_files(&builder, error);
    free(builder.left);
    free(builder.told);
    foreign_free(&builder.of_source);
    foreign_free(&builder.of_target);
    if (!decided)
        return false;
    find_idle_patterns(input->keep, plan);
    list_removed(input, plan);
    for (size_t i = 0; i < plan->count; i++)
        measure_entry(plan, &plan->entries[i]);
    return true;
}

/* ---- Printing ---- */

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

/* A file at the top of the data directory, such as a server or cluster manager leaves there, whose
 * removal needs no warning. */
static bool is_left_by_programs(const char *name)
{
    static const char *const patterns[] = {"*.conf", "*.conf.*", "*.signal", "*.done",
                                           "*.old",  "*.json",   "*.pid",    "*.opts",
                                           "*.tmp",  "promote",  "logrotate"};

    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
    {
        if (fnmatch(patterns[i], name, FNM_PATHNAME) == 0)
            return true;
    }
    return false;
}

void plan_append_keep_option(Buffer *options, const char *path)
{
    AUTO_BUFFER Buffer pattern = {0};

    for (; *path != '\0'; path++)
        buffer_printf(&pattern, "%s%c", strchr("*?[\\", *path) != NULL ? "\\" : "", *path);
    buffer_append_string(options, " --keep=");
    buffer_append_shown_word(options, buffer_string(&pattern));
}

static void print_removed(const Plan *plan)
{
    AUTO_BUFFER Buffer options = {0};
    size_t count = 0;

    for (size_t i = 0; i < plan->removed_count; i++)
    {
        const PlanRemoved *removed = &plan->removed[i];

        /* The original removes such a user's file silently, although the file has no other copy.
         * --keep can keep the file, as it is not in a directory of the server. */
        if (removed->bytes == 0 || path_server_reads(plan->version, removed->path) ||
            (removed->is_file && is_left_by_programs(removed->path)) || count++ >= NAMED_MAX)
            continue;
        log_warning(
            "\"%s\" is removed, since the source does not have it: %llu file%s, %llu byte%s",
            removed->path, (unsigned long long) removed->file_count,
            removed->file_count == 1 ? "" : "s", (unsigned long long) removed->bytes,
            removed->bytes == 1 ? "" : "s");
        plan_append_keep_option(&options, removed->path);
    }
    if (count > NAMED_MAX)
        log_warning("%zu more of the target are removed that the source does not have",
                    count - NAMED_MAX);
    if (count > 0)
        log_hint("To keep them use:%s", buffer_string(&options));
}

void plan_print_remarks(const Plan *plan, bool first_time)
{
    bool has_foreign = false;

    for (size_t i = 0; i < plan->remark_count; i++)
    {
        const PlanRemark *remark = &plan->remarks[i];
        const char *warning = warnings[remark->reason];

        has_foreign = has_foreign || remark->reason == REASON_FOREIGN;
        if (warning != NULL)
            log_warning("\"%s\" %s", remark->path, warning);
        else if (remark->reason == REASON_KEPT)
            log_debug("\"%s\" is kept (%s)", remark->path, remark->kept_by);
        else if (remark->reason == REASON_FOREIGN)
            log_warning("\"%s\" %s: nothing in \"%s\" is removed or replaced", remark->kept_by,
                        foreign_kinds[remark->kind], remark->path);
        else if (remark->reason != REASON_MATCHES_NOTHING)
            log_debug("entry \"%s\" excluded from source file list", remark->path);
        else if (first_time)
            log_warning("--keep pattern \"%s\" matches no file", remark->path);
    }
    if (has_foreign)
        log_hint("Remove by hand what nobody needs there.");
    if (first_time)
        print_removed(plan);
}
