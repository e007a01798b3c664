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

/* ---- relations ---- */

/*
 * The listed file of the same relation with this suffix, which sorts after `file`; NULL if none is
 * listed. The sibling is usually the next file: a search of the whole listing would cost more than
 * all other decisions together.
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
    return listing_find_after(listing, file, path);
}

static uint64_t segment_bytes(const PlanInput *input)
{
    return (uint64_t) input->relation_segment_blocks * input->block_size;
}

/*
 * The size that a segment of a growing relation has by now. The source lists segments one after the
 * other: a segment that was listed as not full is full if the next one exists. If the segment
 * stayed short, replay would take its end for the relation's end, and write zeros over the next
 * segment.
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

/* True if block numbers identify the blocks of this file; false for a segment number or size that
 * no server gives. */
static bool has_block_numbers(const PlanInput *input, const FilePair *pair)
{
    return pair->file.segment < BLOCK_NONE / input->relation_segment_blocks &&
           pair->source->size <= segment_bytes(input);
}

/*
 * True for a hash index before 10, whose changes are not WAL-logged. The target gets the source's
 * file, as a base backup would. As on any standby the index needs REINDEX after a promotion.
 * (design/versions-9.md)
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

/* True if both sides have the file, but no block of the target's file can be trusted: blocks may
 * differ that no WAL names. */
static bool is_untrusted(const PlanInput *input, const FilePair *pair,
                         const BlockMapRelation *blocks)
{
    /* The target has created or dropped the relation's storage, or its database, since the sides
     * were equal. (Rule C71.) */
    if (pair->database_is_targets || (blocks != NULL && blocks->storage_lsn != LSN_INVALID &&
                                      blocks->storage_lsn >= input->whole_from))
        return true;
    /* The source has created the relation's storage since the divergence, so the target's file of
     * this number belongs to another relation. Perhaps no record names the target's relation: it
     * may be an index of an unlogged table, or a new relation whose first records were not on the
     * disk when the server crashed. */
    if (input->storage_of_source != NULL &&
        blockmap_find(input->storage_of_source, pair->file.relation) != NULL)
        return true;
    return find_sibling(input->target, pair->target, "_init") != NULL || /* unlogged there */
           !has_block_numbers(input, pair);
}

static Decision decide_relation(const PlanInput *input, const FilePair *pair)
{
    const ListedFile *source = pair->source, *target = pair->target;
    const BlockMapRelation *blocks = blockmap_find(input->scan->blocks, pair->file.relation);
    Action action = ACTION_COPY;
    Decision decision;
    PlanEntry *entry = &decision.entry;
    BlockNumber tail;
    Reason reason;

    if (source == NULL)
        return make_entry(pair, ACTION_REMOVE, REASON_NOT_ON_SOURCE);
    if (find_sibling(input->source, source, "_init") != NULL)
    {
        decision = make_entry(pair, ACTION_NONE, REASON_UNLOGGED);
        entry->source_size = entry->target_size;
        return decision;
    }
    if (target == NULL)
        reason = REASON_NOT_ON_TARGET;
    else if (is_untrusted(input, pair, blocks))
        reason = REASON_STORAGE_OF_TARGET;
    else if (is_hash_index(input, pair))
        reason = REASON_HASH_INDEX;
    else
    {
        reason = REASON_BLOCKS_NAMED;
        action = ACTION_NONE;
    }
    decision = make_entry(pair, action, reason);
    entry->source_size = settled_size(input, pair);
    entry->settled = entry->source_size > source->size;
    entry->compare = target != NULL && action == ACTION_COPY && entry->source_size == target->size;
    entry->has_other_segments =
        !entry->settled && (pair->file.segment > 0 || source->size >= segment_bytes(input));
    if (reason == REASON_BLOCKS_NAMED || (target == NULL && has_block_numbers(input, pair)))
    {
        entry->first_block = pair->file.segment * input->relation_segment_blocks;
        if (input->rebuilt != NULL)
            entry->rebuilt = blockmap_find(input->rebuilt, pair->file.relation);
    }
    if (reason != REASON_BLOCKS_NAMED)
        return decision;
    /* The file stays in place: fetched are the named blocks, all blocks after a truncation, and
     * the tail. A block that the target has only in part counts as missing. */
    entry->blocks = blocks;
    if (blocks != NULL && blocks->truncated_to != BLOCK_NONE)
        entry->fetch_all_from = blocks->truncated_to;
    if (entry->target_size > entry->source_size)
        entry->action = ACTION_TRUNCATE;
    if (entry->target_size >= entry->source_size)
        return decision;
    entry->action = ACTION_COPY_TAIL;
    tail = entry->first_block + (BlockNumber) (entry->target_size / input->block_size);
    if (tail < entry->fetch_all_from)
        entry->fetch_all_from = tail;
    return decision;
}

/* ---- links, and directories that only one side has ---- */

/*
 * True for a link of the source among the server's files, other than pg_wal or a tablespace. The
 * server follows the link, but the listing does not show the files that it leads to. The same link
 * on the target would lead to the source's files. (Rule C81.)
 */
static bool hides_content(const PlanInput *input, const FilePair *pair)
{
    const char *in_tablespaces = relpath_below(pair->path, "pg_tblspc");

    return pair->source != NULL && pair->source->type == FILE_LINK &&
           path_server_reads(input->version, pair->path) &&
           (in_tablespaces == NULL || strchr(in_tablespaces, '/') != NULL) &&
           !path_is_recreated(pair->path);
}

/* True for an empty file of the source that may be a fifo, socket or device: its name is not the
 * server's, and the target has no empty file there. */
static bool may_be_odd(const PlanInput *input, const FilePair *pair)
{
    return input->source_hides_odd && pair->source->size == 0 &&
           (pair->target == NULL || pair->target->size > 0) &&
           !path_server_reads(input->version, pair->path) &&
           path_kind(input->version, pair->path, pair->class) != KIND_CONFIGURATION;
}

/* True if the target's link, pg_wal or pg_tblspc/N, also exists on the rewound target. */
static bool link_stays(const PlanInput *input, const char *link)
{
    return strcmp(link, input->version->wal_directory) == 0 ||
           listing_find(input->source, link) != NULL;
}

/* True if a link of the target that stays, pg_wal or a tablespace's, passes through this path. */
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

/* True for a directory of server logs, and for a directory or link on the path to one. */
static bool leads_to_logs(const PlanInput *input, const ListedFile *file)
{
    return file->type != FILE_REGULAR &&
           (strcmp(file->path, "log") == 0 || strcmp(file->path, "pg_log") == 0 ||
            (input->log_directory != NULL && path_is_within(file->path, input->log_directory)));
}

static const SecondName *second_name_at(const Listing *listing, const char *path)
{
    return path_find(listing->seconds, listing->second_count, sizeof(*listing->seconds), path,
                     strlen(path));
}

/* ---- the decision ---- */

void pair_classify(const PlanInput *input, FilePair *pair)
{
    const char *logs = input->log_directory;

    pair->class = path_classify(&input->version_directory, &input->shape, pair->path, &pair->file);
    /* The target's logs are in a directory that its configuration names. */
    if (logs != NULL && path_is_within(logs, pair->path) && strcmp(pair->path, logs) != 0)
        pair->class = PATH_LEFT;
}

/* True if all files in this directory would be left alone, so that an unreadable directory is no
 * conflict. */
static bool content_is_left(const PlanInput *input, const FilePair *pair)
{
    AUTO_BUFFER Buffer path = {0};
    FilePair inside = {.path = path_in(&path, pair->path, "x")};

    pair_classify(input, &inside);
    return inside.class == PATH_LEFT;
}

/* True for a file that -R writes. */
static bool is_own_file(const PlanInput *input, const FilePair *pair)
{
    return input->own_files != NULL && is_among(pair->path, input->own_files);
}

bool path_stays(const PlanInput *input, const char *path, FileType type)
{
    FilePair pair = {.path = path};

    /* pg_rewind writes its own files at the commit or the end, even if --keep names them. */
    if (path_is_own(path) || is_own_file(input, &pair))
        return false;
    /* A rewind is refused if --keep names a file that must come from the source. */
    if (keep_covers(input->keep, path))
        return !path_must_come_from_source(input->version, path);
    pair_classify(input, &pair);
    if (pair.class == PATH_LEFT && type != FILE_DIRECTORY)
        return true;
    /* An unreadable directory is a conflict unless everything in it is left alone, as in a
     * directory of logs. The location of a tablespace is listed, although files in it that are not
     * of this version are left alone. */
    return (type == FILE_DIRECTORY || type == FILE_LINK) &&
           (pair.class == PATH_LEFT || !path_server_reads(input->version, path)) &&
           content_is_left(input, &pair);
}

bool path_is_read(const PlanInput *input, const char *path)
{
    return path_server_reads(input->version, path) || path_is_own(path) ||
           is_own_file(input, &(FilePair){.path = path});
}

/* Decide about a file that can be read and fetched, first by its class, then by the sides that have
 * the file. */
static Decision decide_action(const PlanInput *input, const FilePair *pair)
{
    const ListedFile *source = pair->source, *target = pair->target;
    Decision decision;

    switch (pair->class)
    {
    case PATH_LEFT: /* logs, and files that commit and apply write in their own order */
        return leave(OUTCOME_LEAVE, REASON_PATH_LEFT);
    case PATH_EXCLUDED: /* the server creates the file again */
        return target != NULL && target->type != FILE_OTHER
                   ? make_entry(pair, ACTION_REMOVE, REASON_EXCLUDED)
                   : leave(OUTCOME_LEAVE, REASON_EXCLUDED);
    case PATH_WAL: /* needed segments are staged by name, after all other files were fetched */
    case PATH_WAL_REST:
    case PATH_WAL_STATUS:
        if (target == NULL || target->type == FILE_DIRECTORY)
            return leave(OUTCOME_LEAVE, REASON_STAGED_APART);
        if (pair->class != PATH_WAL_REST && plan_keeps_wal_file(input, target))
            return make_entry(pair, ACTION_NONE, REASON_COMMON_WAL);
        return make_entry(pair, ACTION_REMOVE, REASON_OTHER_WAL);
    case PATH_RELATION: /* decided by blocks, unless a directory or link has the relation's name */
        if ((source == NULL || source->type == FILE_REGULAR) &&
            (target == NULL || target->type == FILE_REGULAR))
            return decide_relation(input, pair);
        break;
    case PATH_FORK: /* forks are treated as ordinary files */
    case PATH_ORDINARY:
        break;
    }
    if (source != NULL && target != NULL && source->type != target->type)
    {
        if (strcmp(pair->path, input->version->wal_directory) == 0) /* a link on one side */
            return leave(OUTCOME_LEAVE, REASON_STAGED_APART);
        /* A source server follows such a link, and lists a directory. A link in place of
         * pg_replslot is refused, since the target's slots would stay. (Rule C81.) */
        if (source->type == FILE_DIRECTORY && target->type == FILE_LINK &&
            path_is_recreated(pair->path) && strcmp(pair->path, "pg_replslot") != 0)
            return leave(OUTCOME_LEAVE_TREE, REASON_EXCLUDED);
        if (target->type == FILE_LINK && is_own_file(input, pair))
            return make_entry(pair, ACTION_NONE, REASON_STANDBY); /* the file replaces the link */
        if (path_server_reads(input->version, pair->path))
            return leave(OUTCOME_CONFLICT, REASON_TYPES_DIFFER);
        return leave(OUTCOME_LEAVE_TREE, source->type == FILE_OTHER || target->type == FILE_OTHER
                                             ? REASON_ODD
                                             : REASON_TYPES_DIFFER);
    }
    if (hides_content(input, pair))
        return leave(OUTCOME_CONFLICT, REASON_LINK_OF_SOURCE);
    if (plan_is_later_history(input, pair->path))
        return target != NULL ? make_entry(pair, ACTION_REMOVE, REASON_OTHER_WAL)
                              : leave(OUTCOME_LEAVE, REASON_OTHER_WAL);
    if (source != NULL)
    {
        const Reason reason = target == NULL ? REASON_NOT_ON_TARGET : REASON_ON_BOTH_SIDES;

        if (source->type == FILE_OTHER)
            return leave(OUTCOME_LEAVE, REASON_ODD_ON_SOURCE);
        if (source->type != FILE_REGULAR)
            return make_entry(pair, target == NULL ? ACTION_CREATE : ACTION_NONE, reason);
        decision =
            make_entry(pair, ACTION_COPY, may_be_odd(input, pair) ? REASON_MAY_BE_ODD : reason);
        decision.entry.compare = target != NULL && source->size == target->size;
        return decision;
    }
    if (target->type == FILE_OTHER)
        return leave(OUTCOME_LEAVE, REASON_ODD);
    if (leads_to_logs(input, target))
        return make_entry(pair, ACTION_NONE, REASON_LEADS_TO_LOGS);
    if (leads_to_tablespace(input, pair->path))
        return make_entry(pair, ACTION_NONE, REASON_LEADS_TO_TABLESPACE);
    if (plan_keeps_wal_file(input, target)) /* a summary of common WAL */
        return make_entry(pair, ACTION_NONE, REASON_COMMON_WAL);
    return make_entry(pair, ACTION_REMOVE, REASON_NOT_ON_SOURCE);
}

/* Change the action where it would be wrong for this path: pg_rewind writes the file itself, the
 * file must not exist, or the file's content could not be restored from the source. */
static void restrict_action(const PlanInput *input, const FilePair *pair, PlanEntry *entry)
{
    const ListedFile *target = pair->target;

    if (is_own_file(input, pair))
    {
        entry->action = ACTION_NONE;
        entry->reason = REASON_STANDBY;
    }
    if (input->unwanted != NULL && strcmp(entry->path, input->unwanted) == 0 &&
        entry->action != ACTION_REMOVE)
    {
        entry->action = entry->on_target ? ACTION_REMOVE : ACTION_NONE;
        entry->reason = REASON_STANDBY;
        entry->source_size = 0;
    }
    if (target == NULL)
        return;
    if (entry->type == FILE_REGULAR && target->mounted && !plan_stays_in_place(entry) &&
        !path_server_reads(input->version, pair->path))
    {
        /* The file is a mount, which cannot be replaced or removed. */
        entry->action = ACTION_NONE;
        entry->reason = REASON_MOUNTED;
    }
    else if (entry->action != ACTION_NONE &&
             foreign_tree_of(pair->foreign_on_target, pair->path) != NULL)
    {
        /* The source has no copy of the foreign file that would be removed or replaced. (Rule O10.)
         */
        entry->action = ACTION_NONE;
        entry->reason = REASON_FOREIGN;
    }
}

Decision decide_file(const PlanInput *input, const FilePair *pair)
{
    const ListedFile *source = pair->source, *target = pair->target;
    const SecondName *second = second_name_at(input->target, pair->path);
    Decision decision = leave(OUTCOME_KEEP, REASON_KEPT);

    if (keep_matches(input->keep, pair->path, &decision.kept_by))
        return decision;
    /* The files of a directory with a second name are rewound by its other name, below the link.
     * The location of a tablespace that is removed stays as an empty directory, as after DROP
     * TABLESPACE, unless the source has a file of that name. (Rule O8.) */
    if (second_name_at(input->source, pair->path) != NULL ||
        (second != NULL && (link_stays(input, second->link) || source == NULL)))
        return leave(OUTCOME_LEAVE_TREE, REASON_SECOND_NAME);
    if (foreign_is_closed(pair->foreign_on_target, pair->path))
        return leave(OUTCOME_LEAVE_TREE, REASON_FOREIGN);
    if (foreign_is_of_server(pair->foreign_on_source, pair->path))
        return leave(OUTCOME_LEAVE_TREE, REASON_FOREIGN_TO_SOURCE);
    if (target != NULL && target->unreadable && !content_is_left(input, pair))
        return leave(OUTCOME_CONFLICT, REASON_UNREADABLE);
    if (source != NULL && source->unreadable && pair->class != PATH_LEFT)
        return leave(OUTCOME_LEAVE_TREE, REASON_NAME_NOT_VALID);
    decision = decide_action(input, pair);
    if (decision.outcome != OUTCOME_ENTRY)
        return decision;
    decision.entry.kind = (uint8_t) path_kind(input->version, pair->path, pair->class);
    decision.entry.cluster_mode = path_has_cluster_mode(input->version, pair->path);
    restrict_action(input, pair, &decision.entry);
    return decision;
}
