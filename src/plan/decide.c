#include "plan/decide.h"

#include <string.h>

static Decision make_entry(const FilePair *pair, Action action, Reason reason)
{
    const ListedFile *source = pair->source;
    const ListedFile *target = pair->target;

    return (Decision){
        .outcome = OUTCOME_ENTRY,
        .entry = {
            .path = pair->path,
            .reason = (uint8_t) reason,
            .link_target = pair->link_target,
            .source_size = source != NULL && action != ACTION_REMOVE ? source->size : 0,
            .target_size = target != NULL ? target->size : 0,
            .fetch_all_from = BLOCK_NONE,
            .action = (uint8_t) action,
            .type = (uint8_t) (source != NULL ? source->type : target->type),
            .on_target = target != NULL,
            .wal = pair->class == PATH_WAL,
            .twophase = strncmp(pair->path, "pg_twophase/", 12) == 0,
        }};
}

static Decision leave(Outcome outcome, Reason reason)
{
    return (Decision){.outcome = outcome, .entry = {.reason = (uint8_t) reason}};
}

/* ---- WAL ---- */

static Decision decide_wal(const PlanInput *input, const FilePair *pair)
{
    if (pair->target == NULL || pair->target->type == FILE_DIRECTORY)
        /* Segments that are needed are staged by name, when all else has been fetched. */
        return leave(OUTCOME_LEAVE, REASON_STAGED_APART);
    if (pair->class != PATH_WAL_REST && plan_keeps_wal_file(input, pair->target))
        return make_entry(pair, ACTION_NONE, REASON_COMMON_WAL);
    return make_entry(pair, ACTION_REMOVE, REASON_OTHER_WAL);
}

/* ---- relations ---- */

/* The target has made or dropped the relation's storage, or its database, since the sides were
 * equal. */
static bool storage_is_targets(const PlanInput *input, const FilePair *pair,
                               const BlockMapRelation *blocks)
{
    return pair->database_is_targets || (blocks != NULL && blocks->storage_lsn != LSN_INVALID &&
                                         blocks->storage_lsn >= input->whole_from);
}

/*
 * The source has made the relation's storage since the divergence, so the file of this number that
 * the target has is another relation's. No record need tell of that one: it may be an index of an
 * unlogged table, or a new relation whose first records were not on the disk when the server
 * crashed.
 */
static bool storage_is_new_on_source(const PlanInput *input, const FilePair *pair)
{
    return input->made != NULL && blockmap_find(input->made, pair->file.relation) != NULL;
}

/*
 * The file of the same relation with this suffix, which sorts after file; NULL: none is listed. It
 * is usually the next one; a search of the whole listing would cost more than all the rest.
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

static uint64_t segment_bytes(const PlanInput *input)
{
    return (uint64_t) input->relation_segment_blocks * input->block_size;
}

/*
 * While a relation grows, its segments are listed one after the other: one that was not full yet
 * when it was looked at is full if the next one is there. Left short, replay would take its end for
 * the relation's and write zeros over the next one.
 */
static uint64_t settled_size(const PlanInput *input, const FilePair *pair)
{
    const uint64_t full = segment_bytes(input);
    RelationFile next = pair->file;
    const ListedFile *listed;
    char path[RELPATH_SIZE];

    if (pair->source->size >= full)
        return pair->source->size;
    if (next.segment == 0)
        listed = find_sibling(input->source, pair->source, ".1");
    else
    {
        next.segment++;
        relpath_make(&input->version_directory, &next, path);
        listed = listing_find(input->source, path); /* .10 sorts before .9 */
    }
    /* Truncation leaves segments of size 0. */
    return listed != NULL && listed->size > 0 ? full : pair->source->size;
}

/* Do block numbers identify the blocks of this file? Not where no server would have a file of that
 * name or size. */
static bool has_block_numbers(const PlanInput *input, const FilePair *pair)
{
    return pair->file.segment < BLOCK_NONE / input->relation_segment_blocks &&
           pair->source->size <= segment_bytes(input);
}

static const BlockMapRelation *rebuilt_blocks(const PlanInput *input, const RelationFile *file)
{
    return input->rebuilt != NULL ? blockmap_find(input->rebuilt, file->relation) : NULL;
}

/*
 * A hash index before 10, whose changes WAL does not tell: what a base backup would hold of it, the
 * source's file. As on any standby it needs REINDEX after a promotion. design/versions-9.md
 */
static bool is_hash_index(const PlanInput *input, const FilePair *pair)
{
    RelationFile first = pair->file;
    const ListedFile *listed = pair->target;
    char path[RELPATH_SIZE];

    if (input->version->hash_indexes_logged)
        return false;
    if (first.segment != 0)
    {
        first.segment = 0;
        relpath_make(&input->version_directory, &first, path);
        listed = listing_find(input->target, path);
    }
    return listed != NULL && listed->hash_index;
}

static Decision take_whole(const FilePair *pair, Reason reason, uint64_t source_size)
{
    Decision decision = make_entry(pair, ACTION_COPY, reason);

    decision.entry.source_size = source_size;
    decision.entry.compare = source_size == pair->target->size;
    return decision;
}

/* A relation file on both sides: named blocks, what follows a truncation, the tail. */
static Decision decide_common_relation(const PlanInput *input, const FilePair *pair)
{
    const RelationFile *file = &pair->file;
    const BlockMapRelation *blocks = blockmap_find(input->scan->blocks, file->relation);
    const uint64_t source_size = settled_size(input, pair);
    const uint64_t target_size = pair->target->size;
    Decision decision;
    PlanEntry *entry = &decision.entry;

    if (storage_is_targets(input, pair, blocks) || storage_is_new_on_source(input, pair) ||
        has_init_fork(input->target, pair->target) || !has_block_numbers(input, pair))
        /* The target's blocks may be in no WAL: nothing of this file can be trusted. */
        return take_whole(pair, REASON_STORAGE_OF_TARGET, source_size);
    if (is_hash_index(input, pair))
        return take_whole(pair, REASON_HASH_INDEX, source_size);
    decision = make_entry(pair,
                          target_size < source_size   ? ACTION_COPY_TAIL
                          : target_size > source_size ? ACTION_TRUNCATE
                                                      : ACTION_NONE,
                          REASON_BLOCKS_NAMED);
    entry->source_size = source_size;
    entry->blocks = blocks;
    entry->rebuilt = rebuilt_blocks(input, file);
    entry->first_block = file->segment * input->relation_segment_blocks;
    if (blocks != NULL && blocks->truncated_to != BLOCK_NONE)
        entry->fetch_all_from = blocks->truncated_to;
    if (target_size < source_size)
    {
        /* A block that the target has only in part counts as not there. */
        const BlockNumber tail =
            entry->first_block + (BlockNumber) (target_size / input->block_size);

        if (tail < entry->fetch_all_from)
            entry->fetch_all_from = tail;
    }
    return decision;
}

/* A relation file that only the source has. */
static Decision decide_new_relation(const PlanInput *input, const FilePair *pair)
{
    Decision decision = make_entry(pair, ACTION_COPY, REASON_NOT_ON_TARGET);

    decision.entry.source_size = settled_size(input, pair);
    if (!has_block_numbers(input, pair))
        return decision;
    decision.entry.rebuilt = rebuilt_blocks(input, &pair->file);
    decision.entry.first_block = pair->file.segment * input->relation_segment_blocks;
    return decision;
}

static Decision decide_relation(const PlanInput *input, const FilePair *pair)
{
    Decision decision;

    if (pair->source == NULL)
        return make_entry(pair, ACTION_REMOVE, REASON_NOT_ON_SOURCE);
    if (has_init_fork(input->source, pair->source))
    {
        decision = make_entry(pair, ACTION_NONE, REASON_UNLOGGED);
        decision.entry.source_size = decision.entry.target_size;
        return decision;
    }
    decision = pair->target == NULL ? decide_new_relation(input, pair)
                                    : decide_common_relation(input, pair);
    decision.entry.several = decision.entry.source_size == pair->source->size &&
                             (pair->file.segment > 0 || pair->source->size >= segment_bytes(input));
    return decision;
}

/* ---- all else ---- */

/* The sides have different types of file here. */
static Decision decide_different_types(const PlanInput *input, const FilePair *pair)
{
    const bool is_odd = pair->source->type == FILE_OTHER || pair->target->type == FILE_OTHER;
    const char *slash = strchr(pair->path, '/');

    if (strcmp(pair->path, input->version->wal_directory) ==
        0) /* a link on one side, a directory on the other: alike */
        return leave(OUTCOME_LEAVE, REASON_STAGED_APART);
    if (path_is_servers(input->version, pair->path) && !(slash == NULL && pair->class == PATH_LEFT))
        return leave(OUTCOME_CONFLICT, REASON_TYPES_DIFFER);
    return leave(OUTCOME_LEAVE_TREE, is_odd ? REASON_ODD : REASON_TYPES_DIFFER);
}

/*
 * A link of the source among the server's files, other than pg_wal or a tablespace: the server
 * follows it, but a list of a directory does not show what it leads to. Made on the target, it
 * would lead into the source.
 */
static bool hides_content(const PlanInput *input, const FilePair *pair)
{
    const char *in_tablespaces = relpath_below(pair->path, "pg_tblspc");

    return pair->source != NULL && pair->source->type == FILE_LINK &&
           path_is_servers(input->version, pair->path) &&
           (in_tablespaces == NULL || strchr(in_tablespaces, '/') != NULL) &&
           !path_is_recreated(pair->path);
}

/* Empty, of a name that the server does not give, and not there already: it may be anything. */
static bool may_be_odd(const PlanInput *input, const FilePair *pair)
{
    return input->source_hides_odd && pair->source->size == 0 &&
           (pair->target == NULL || pair->target->size > 0) &&
           !path_is_servers(input->version, pair->path) &&
           path_kind(input->version, pair->path, pair->class) != KIND_CONFIGURATION;
}

static Decision decide_ordinary_of_source(const PlanInput *input, const FilePair *pair)
{
    const ListedFile *source = pair->source;
    const ListedFile *target = pair->target;
    const Reason reason = target == NULL ? REASON_NOT_ON_TARGET : REASON_ON_BOTH_SIDES;
    Decision decision;

    if (source->type == FILE_OTHER)
        return leave(OUTCOME_LEAVE, REASON_ODD_ON_SOURCE);
    if (source->type != FILE_REGULAR)
        return make_entry(pair, target == NULL ? ACTION_CREATE : ACTION_NONE, reason);
    decision = make_entry(pair, ACTION_COPY, may_be_odd(input, pair) ? REASON_MAY_BE_ODD : reason);
    decision.entry.compare = target != NULL && source->size == target->size;
    return decision;
}

/* The logs of the target in a place that its configuration names. */
static bool is_log(const PlanInput *input, const char *path)
{
    return input->log_directory != NULL && path_is_within(input->log_directory, path) &&
           strcmp(path, input->log_directory) != 0;
}

/* The link of the target, pg_wal or pg_tblspc/N, will be on the rewound target as well. */
static bool link_stays(const PlanInput *input, const char *link)
{
    return strcmp(link, input->version->wal_directory) == 0 ||
           listing_find(input->source, link) != NULL;
}

/* It is a directory or link that only the target has, and that such a link needs. */
static bool leads_to_tablespace(const PlanInput *input, const char *path)
{
    for (size_t i = 0; i < input->target->passed_count; i++)
    {
        const SecondName *passed = &input->target->passed[i];

        if (strcmp(passed->path, path) == 0 && link_stays(input, passed->link))
            return true;
    }
    return false;
}

static const SecondName *second_name_at(const Listing *listing, const char *path)
{
    return path_find(listing->seconds, listing->second_count, sizeof(*listing->seconds), path,
                     strlen(path));
}

/*
 * What is in it is rewound by another name, or is nothing that the other side has there. The
 * location of a tablespace that goes stays as an empty directory, as after DROP TABLESPACE, unless
 * the source has something of that name.
 */
static bool is_second_name(const PlanInput *input, const FilePair *pair)
{
    const SecondName *of_target = second_name_at(input->target, pair->path);

    return second_name_at(input->source, pair->path) != NULL ||
           (of_target != NULL && (link_stays(input, of_target->link) || pair->source == NULL));
}

/* It is a directory of logs, or a directory or link on the way to it, which only the target has. */
static bool leads_to_logs(const PlanInput *input, const FilePair *pair)
{
    if (pair->source != NULL || pair->target->type == FILE_REGULAR)
        return false;
    return strcmp(pair->path, "log") == 0 || strcmp(pair->path, "pg_log") == 0 ||
           (input->log_directory != NULL && path_is_within(pair->path, input->log_directory));
}

static Decision decide_ordinary(const PlanInput *input, const FilePair *pair)
{
    if (pair->source != NULL && pair->target != NULL && pair->source->type != pair->target->type)
        return decide_different_types(input, pair);
    if (hides_content(input, pair))
        return leave(OUTCOME_CONFLICT, REASON_LINK_OF_SOURCE);
    if (plan_is_later_history(input, pair->path))
        return pair->target != NULL ? make_entry(pair, ACTION_REMOVE, REASON_OTHER_WAL)
                                    : leave(OUTCOME_LEAVE, REASON_OTHER_WAL);
    if (pair->source != NULL)
        return decide_ordinary_of_source(input, pair);
    if (pair->target->type == FILE_OTHER)
        return leave(OUTCOME_LEAVE, REASON_ODD);
    if (leads_to_logs(input, pair))
        return make_entry(pair, ACTION_NONE, REASON_LEADS_TO_LOGS);
    if (leads_to_tablespace(input, pair->path))
        return make_entry(pair, ACTION_NONE, REASON_LEADS_TO_TABLESPACE);
    if (plan_keeps_wal_file(input, pair->target))
        return make_entry(pair, ACTION_NONE, REASON_COMMON_WAL);
    return make_entry(pair, ACTION_REMOVE, REASON_NOT_ON_SOURCE);
}

void pair_classify(const PlanInput *input, FilePair *pair)
{
    pair->class = path_classify(&input->version_directory, &input->shape, pair->path, &pair->file);
    if (is_log(input, pair->path))
        pair->class = PATH_LEFT;
}

/* All in this directory is left alone, so that it does not matter what it is. */
static bool content_is_left(const PlanInput *input, const FilePair *pair)
{
    AUTO_BUFFER Buffer path = {0};
    FilePair inside = {.path = path_in(&path, pair->path, "x")};

    pair_classify(input, &inside);
    return inside.class == PATH_LEFT;
}

/* By the class of its path, once it is known that it can be read and fetched. */
static Decision decide_by_class(const PlanInput *input, const FilePair *pair)
{
    const bool regular = (pair->source == NULL || pair->source->type == FILE_REGULAR) &&
                         (pair->target == NULL || pair->target->type == FILE_REGULAR);

    switch (pair->class)
    {
    case PATH_LEFT:
        return leave(OUTCOME_LEAVE, REASON_NOT_THE_SERVERS);
    case PATH_EXCLUDED:
        if (pair->target == NULL || pair->target->type == FILE_OTHER)
            return leave(OUTCOME_LEAVE, REASON_EXCLUDED);
        return make_entry(pair, ACTION_REMOVE, REASON_EXCLUDED);
    case PATH_WAL:
    case PATH_WAL_REST:
    case PATH_WAL_STATUS:
        return decide_wal(input, pair);
    case PATH_RELATION:
        if (regular)
            return decide_relation(input, pair);
        break;
    case PATH_FORK:
    case PATH_ORDINARY:
        break;
    }
    return decide_ordinary(input, pair);
}

/* pg_rewind writes the file itself, whatever source and target have there. */
static void take_for_standby(const PlanInput *input, PlanEntry *entry)
{
    if (input->written != NULL && is_among(entry->path, input->written))
    {
        entry->action = ACTION_NONE;
        entry->reason = REASON_STANDBY;
    }
    if (input->unwanted == NULL || strcmp(entry->path, input->unwanted) != 0 ||
        entry->action == ACTION_REMOVE)
        return;
    entry->action = entry->on_target ? ACTION_REMOVE : ACTION_NONE;
    entry->reason = REASON_STANDBY;
    entry->source_size = 0;
}

/* Somebody has mounted it, no server needs it, and it would have to be replaced or removed. */
static bool is_mounted_by_user(const PlanInput *input, const FilePair *pair, const PlanEntry *entry)
{
    return entry->type == FILE_REGULAR && pair->target != NULL && pair->target->mounted &&
           !plan_stays_in_place(entry) && !path_is_servers(input->version, pair->path);
}

/* The action would remove or replace what the source cannot give back. */
static bool hurts_foreign(const FilePair *pair, const PlanEntry *entry)
{
    return pair->target != NULL && entry->action != ACTION_NONE &&
           foreign_tree_of(pair->foreign_on_target, pair->path) != NULL;
}

/* A directory that is left with all that is in it, on both sides. */
static bool is_left_whole(const PlanInput *input, const FilePair *pair, Reason *reason)
{
    if (is_second_name(input, pair))
        *reason = REASON_SECOND_NAME;
    else if (foreign_is_closed(pair->foreign_on_target, pair->path))
        *reason = REASON_FOREIGN;
    else if (foreign_is_of_server(pair->foreign_on_source, pair->path))
        *reason = REASON_FOREIGN_TO_SOURCE;
    else
        return false;
    return true;
}

Decision decide_file(const PlanInput *input, const FilePair *pair)
{
    Decision decision = leave(OUTCOME_KEEP, REASON_KEPT);
    PlanEntry *entry = &decision.entry;
    Reason reason;

    if (keep_matches(input->keep, pair->path, &decision.kept_by))
        return decision;
    if (is_left_whole(input, pair, &reason))
        return leave(OUTCOME_LEAVE_TREE, reason);
    if (pair->target != NULL && pair->target->unreadable && !content_is_left(input, pair))
        return leave(OUTCOME_CONFLICT, REASON_UNREADABLE);
    if (pair->source != NULL && pair->source->unreadable && pair->class != PATH_LEFT)
        return leave(OUTCOME_LEAVE_TREE, REASON_NAME_NOT_VALID);
    decision = decide_by_class(input, pair);
    if (decision.outcome != OUTCOME_ENTRY)
        return decision;
    entry->kind = (uint8_t) path_kind(input->version, pair->path, pair->class);
    entry->clusters = path_is_clusters(input->version, pair->path);
    take_for_standby(input, entry);
    if (is_mounted_by_user(input, pair, entry))
    {
        entry->action = ACTION_NONE;
        entry->reason = REASON_MOUNTED;
    }
    else if (hurts_foreign(pair, entry))
    {
        entry->action = ACTION_NONE;
        entry->reason = REASON_FOREIGN;
    }
    return decision;
}
