#include "lost/row_changes.h"

#include "base/arena.h"
#include "base/array.h"
#include "base/log.h"
#include "divergence/lost_transactions.h"
#include "format/heap_record.h"
#include "io/open_file.h"
#include "wal/heap_pages.h"

#include <stdlib.h>
#include <string.h>

/* A transaction or subtransaction that committed. */
typedef struct CommittedXid
{
    uint32_t xid;
    uint32_t commit; /* the index of the transaction's commit */
} CommittedXid;

/* ---- Transactions that committed ---- */

typedef struct PreparedXid
{
    uint32_t xid;
    bool before; /* the divergence */
    const char *gid;
} PreparedXid;

typedef struct ChangeReader
{
    const Clusters *clusters;
    const Divergence *diverged;
    const Version *version;
    uint32_t block_size;
    RowChanges *changes;
    PreparedXid *prepared;
    size_t prepared_count;
    HeapPages *pages;
    OpenFile file;
    Buffer row;
    uint8_t page[PAGE_SIZE_MAX];
} ChangeReader;

static void add_committed(ChangeReader *reader, Lsn lsn, const WalEvent *event)
{
    RowChanges *changes = reader->changes;
    const uint64_t next_xid = reader->diverged->common_checkpoint.checkpoint.next_xid;
    const uint32_t commit = (uint32_t) changes->count;
    const int32_t later = (int32_t) (event->xid - (uint32_t) next_xid);
    PreparedXid prepared = {event->xid, event->prepared, event->prepared ? "" : NULL};

    /* If the WAL that was read does not prepare a transaction, that came before. */
    for (size_t i = reader->prepared_count; event->prepared && i > 0; i--)
        if (reader->prepared[i - 1].xid == event->xid)
        {
            prepared = reader->prepared[i - 1];
            break;
        }
    if (event->prepared && event->gid_size > 0)
        prepared.gid = arena_strndup(changes->arena, event->gid, event->gid_size);
    ARRAY_ADD(changes->xids, changes->xid_count, (CommittedXid){event->xid, commit});
    for (uint32_t i = 0; i < event->subxid_count; i++)
        ARRAY_ADD(changes->xids, changes->xid_count,
                  (CommittedXid){wal_event_u32(event->subxids, i), commit});
    ARRAY_ADD(changes->commits, changes->count,
              (LostCommit){.xid = event->xid,
                           .lsn = lsn,
                           .time = event->time,
                           .gid = prepared.gid,
                           .full_xid = next_xid + (uint64_t) (int64_t) later,
                           .prepared_before = prepared.before,
                           .began_before = later < 0,
                           .session_database = event->database});
    if (lsn < reader->diverged->lsn)
        changes->common_count++;
}

/* A WalVisitor. */
static bool take_commit(void *context, const WalRecord *record, Error *error)
{
    ChangeReader *reader = context;
    RowChanges *changes = reader->changes;
    WalEvent event;

    if (record->rmgr != RM_XACT && record->rmgr != RM_SMGR && record->rmgr != RM_RELMAP &&
        record->rmgr != RM_XLOG)
        return true;
    if (!walrecord_event(reader->version, record, &event, error))
        return false;
    former_catalogs_add_record(&changes->former, reader->version, record, &event);
    if (event.kind == WAL_EVENT_PARAMETER_CHANGE && event.wal_level == WAL_LEVEL_MINIMAL &&
        changes->minimal_at == LSN_INVALID)
        changes->minimal_at = record->lsn;
    if (event.kind == WAL_EVENT_PREPARE)
        ARRAY_ADD(reader->prepared, reader->prepared_count,
                  (PreparedXid){event.xid, record->lsn < reader->diverged->lsn,
                                arena_strndup(changes->arena, event.gid, event.gid_size)});
    if (event.kind == WAL_EVENT_COMMIT && event.xid != 0 &&
        record->lsn < reader->diverged->target_end)
        add_committed(reader, record->lsn, &event);
    /* Rows are saved without a limit, since they go into a directory. Names have a limit of memory:
     * no run ends with this error. */
    return !changes->catalogs_alone ||
           changes->xid_count + reader->prepared_count <= ROW_CHANGES_XIDS_MAX ||
           error_set(error, ERROR_FAILED, "%s", "too many transactions committed");
}

/* ---- Their changes ---- */

/* Returns the transaction or subtransaction; NULL if the WAL has no commit of it. */
static const CommittedXid *find_committed(const RowChanges *changes, uint32_t xid)
{
    const CommittedXid key = {.xid = xid};

    return ARRAY_FIND(&key, changes->xids, changes->xid_count, compare_u32);
}

/* Returns the transaction of a change; NULL if it did not commit, or if the change is not
 * wanted. */
static LostCommit *find_commit(const RowChanges *changes, const RowChange *change)
{
    const CommittedXid *found = find_committed(changes, change->xid);

    return found != NULL && (found->commit >= changes->common_count ||
                             tells_schema(row_changes_catalog(changes, &change->relation)))
               ? &changes->commits[found->commit]
               : NULL;
}

static bool keep_change(RowChanges *changes, const RowChange *change, Error *error)
{
    LostCommit *commit = find_commit(changes, change);
    const Oid catalog = row_changes_catalog(changes, &change->relation);
    const size_t known = changes->catalogs.count;
    LostChange *link;

    if (commit == NULL)
        return true;
    if (catalog == CATALOG_UNSURE)
        former_catalogs_add_change(&changes->former, &change->relation,
                                   change->new.bytes != NULL ? change->new : change->old);
    /* Rule L29: a command that rewrites a catalog updates its row of pg_class. The target's file
     * may not have the new row, and may no longer have the old one. */
    if (catalog == CATALOGS_PG_CLASS)
    {
        catalogs_add_row(&changes->catalogs, change->relation.database, change->old);
        catalogs_add_row(&changes->catalogs, change->relation.database, change->new);
    }
    if (changes->catalogs.count != known)
        catalogs_sort(&changes->catalogs);
    link = spool_allocate(changes->spool, sizeof(*link), error);
    if (link == NULL)
        return false;
    *link = (LostChange){.row = *change, .before = commit->last};
    *(commit->last != NULL ? &commit->last->after : &commit->first) = link;
    commit->last = link;
    if (change->relation.database != 0) /* shared catalogs have none */
        commit->database = change->relation.database;
    return true;
}

/* A speculative insert of this transaction found a row that another one inserted first: neither the
 * insert nor this delete is a change. */
static void forget_insert(RowChanges *changes, const RowChange *deletes)
{
    LostCommit *commit = find_commit(changes, deletes);
    LostChange *link = commit != NULL ? commit->last : NULL;

    while (link != NULL &&
           (link->row.kind != ROW_INSERT || link->row.xid != deletes->xid ||
            link->row.new_place.block != deletes->old_place.block ||
            link->row.new_place.item != deletes->old_place.item ||
            memcmp(&link->row.relation, &deletes->relation, sizeof(deletes->relation)) != 0))
        link = link->before;
    if (link == NULL)
        return;
    *(link->before != NULL ? &link->before->after : &commit->first) = link->after;
    *(link->after != NULL ? &link->after->before : &commit->last) = link->before;
}

static bool has_image(const BlockReference *block)
{
    return block->fork == FORK_MAIN && block->has_image && block->image_applies;
}

/*
 * Put a record's full-page images on their pages. Images show pages after the record: a row that
 * the record deletes is still there, marked as deleted, as is the row that the record writes.
 */
static bool take_images(ChangeReader *reader, const WalRecord *record, Error *error)
{
    for (unsigned i = 0; i < record->block_count; i++)
    {
        const BlockReference *block = &record->blocks[i];
        const HeapImage *image = NULL;
        HeapPage *page;

        if (!has_image(block) &&
            (block->fork != FORK_MAIN || !walrecord_is_new_page(reader->version, record)))
            continue;
        if (walrecord_restore_image(reader->version, reader->block_size, record, i, reader->page) &&
            !heap_pages_copy_image(reader->pages, reader->page, reader->block_size, &image, error))
            return false;
        page = image != NULL ? heap_pages_make(reader->pages, &block->relation, block->block)
                             : heap_pages_find(reader->pages, &block->relation, block->block);
        if (page != NULL)
            heap_page_reset(page, image);
    }
    return true;
}

static bool row_is_deleted_by(Slice row, const HeapRecord *heap)
{
    const bool is_multi = (load_u16(row.bytes + ROW_AT_INFOMASK) & ROW_XMAX_IS_MULTI) != 0;

    return load_u32(row.bytes + ROW_AT_XMAX) == heap->old_xmax && is_multi == heap->of_multi;
}

/* A row of the target's file; its bytes are NULL where the file does not have it. After a crash a
 * page may be torn: then only rows of catalogs are taken, as catalog.c takes all their others. */
static bool find_row_of_file(ChangeReader *reader, const BlockReference *block, uint16_t item,
                             Slice *row, Error *error)
{
    const Target *target = &reader->clusters->target;
    const ControlState state = target->control.state;
    HeapImage image;
    bool found = false;

    *row = (Slice){0};
    if ((((state == STATE_SHUTDOWNED || state == STATE_SHUTDOWNED_IN_RECOVERY) &&
          !target_may_have_pages_of_crash(target)) ||
         tells_schema(row_changes_catalog(reader->changes, &block->relation))) &&
        !target_read_page(target, &reader->file, &block->relation, block->block, reader->page,
                          &found, error))
        return false;
    if (found && heap_image_over(reader->page, reader->block_size, &image))
        *row = heap_image_row(&image, item);
    return true;
}

/* Find the old row: on its page in memory; otherwise in the target's file, if this transaction
 * deleted it there; otherwise, with REPLICA IDENTITY FULL, in the record. */
static bool find_old_row(ChangeReader *reader, const WalRecord *record, const HeapRecord *heap,
                         RowChange *row, Error *error)
{
    const BlockReference *block = &record->blocks[heap->old_index];
    const HeapPage *page = heap_pages_find(reader->pages, &block->relation, block->block);
    Slice there;

    row->old = heap_page_row(page, heap->old_item);
    if (row->old.bytes != NULL && (!has_image(block) || row_is_deleted_by(row->old, heap)))
        return true;
    row->old = (Slice){0};
    if (!find_row_of_file(reader, block, heap->old_item, &there, error))
        return false;
    if (there.bytes == NULL || !row_is_deleted_by(there, heap))
        there = heap_row_build(&heap->old_row, (Slice){0}, 0, reader->block_size, &reader->row);
    if (there.bytes != NULL)
        return spool_copy(reader->changes->spool, there, &row->old, error);
    row->unknown = "WAL has no full-page image from before the change of the row";
    return true;
}

/* The row that the record writes; it is put on its page. */
static bool find_new_row(ChangeReader *reader, const WalRecord *record, const HeapRecord *heap,
                         RowChange *row, Error *error)
{
    const BlockReference *block = &record->blocks[heap->new_index];
    HeapPage *page = heap_pages_make(reader->pages, &block->relation, block->block);
    Slice built;

    if (has_image(block) && page->image != NULL)
    {
        row->new = heap_page_row(page, heap->new_item);
        if (row->new.bytes != NULL && load_u32(row->new.bytes + ROW_AT_XMIN) == row->xid)
            return true;
        row->new = (Slice){0};
        row->unknown = "the full-page image does not have the new row";
        return true;
    }
    built = heap_row_build(&heap->new_row, row->old, row->xid, reader->block_size, &reader->row);
    if (built.bytes == NULL && !find_row_of_file(reader, block, heap->new_item, &built, error))
        return false;
    if (built.bytes != NULL && load_u32(built.bytes + ROW_AT_XMIN) != row->xid)
        built = (Slice){0};
    if (built.bytes == NULL && row->unknown == NULL)
        row->unknown = "WAL does not have the whole new row";
    return heap_page_put(reader->pages, page, heap->new_item, built, &row->new, error);
}

/* An update in place keeps the row's header and its size. */
static bool put_in_place(ChangeReader *reader, const WalRecord *record, const HeapRecord *heap,
                         Error *error)
{
    const BlockReference *block = &record->blocks[heap->new_index];
    HeapPage *page = heap_pages_find(reader->pages, &block->relation, block->block);
    const Slice old = heap_page_row(page, heap->new_item), values = heap->new_row.rest;
    Slice copy;

    if (has_image(block) || old.bytes == NULL)
        return true;
    buffer_clear(&reader->row);
    if (values.size > old.size)
        return heap_page_put(reader->pages, page, heap->new_item, (Slice){0}, &copy, error);
    buffer_append(&reader->row, old.bytes, old.size - values.size);
    buffer_append(&reader->row, values.bytes, values.size);
    return heap_page_put(reader->pages, page, heap->new_item,
                         (Slice){reader->row.bytes, reader->row.size}, &copy, error);
}

static bool error_heap_record(const ChangeReader *reader, const WalRecord *record, Error *error)
{
    return error_set(error, ERROR_FAILED, "could not read WAL record at %s: %s",
                     LSN_TEXT(reader->version, record->lsn), "it is shorter than its kind is");
}

static bool apply_rows(ChangeReader *reader, const WalRecord *record, HeapRecord *heap,
                       Error *error)
{
    const BlockReference *new = &record->blocks[heap->new_index];
    RowChange row = {.lsn = record->lsn, .xid = record->xid, .relation = new->relation};
    const bool deletes = heap->kind == HEAP_RECORD_UPDATE || heap->kind == HEAP_RECORD_DELETE;
    const bool inserts = heap->kind != HEAP_RECORD_DELETE;

    if (deletes)
        row.old_place = (LostPlace){record->blocks[heap->old_index].block, heap->old_item};
    if (inserts)
        row.new_place = (LostPlace){new->block, heap->new_item};
    if (heap->kind == HEAP_RECORD_INPLACE)
        return put_in_place(reader, record, heap, error);
    if (heap->kind == HEAP_RECORD_MULTI_INSERT)
    {
        for (uint16_t i = 0; i < heap->row_count; i++)
        {
            if (!heap_record_next_row(heap, i))
                return error_heap_record(reader, record, error);
            row.new_place.item = heap->new_item;
            row.new = (Slice){0};
            row.unknown = NULL;
            if (!find_new_row(reader, record, heap, &row, error) ||
                !keep_change(reader->changes, &row, error))
                return false;
        }
        return true;
    }
    if (deletes && heap->speculative)
    {
        forget_insert(reader->changes, &row);
        return true;
    }
    row.kind = !deletes ? ROW_INSERT : inserts ? ROW_UPDATE : ROW_DELETE;
    return (!deletes || find_old_row(reader, record, heap, &row, error)) &&
           (!inserts || find_new_row(reader, record, heap, &row, error)) &&
           keep_change(reader->changes, &row, error);
}

/* A WalVisitor: apply a record to the pages in memory, and note changed rows. Records of indexes,
 * which may have images too, change no row. */
static bool apply_record(void *context, const WalRecord *record, Error *error)
{
    ChangeReader *reader = context;
    RowChange emptied = {.kind = ROW_TRUNCATE, .lsn = record->lsn, .xid = record->xid};
    HeapRecord heap;
    WalEvent event;

    if (reader->changes->catalogs_alone &&
        (record->block_count == 0 ||
         !tells_schema(row_changes_catalog(reader->changes, &record->blocks[0].relation))))
        return true;
    if (record->rmgr == RM_SMGR)
    {
        /* By VACUUM, or by TRUNCATE of storage that the same transaction made. Other commands that
         * empty a table give it another storage. */
        if (!walrecord_event(reader->version, record, &event, error))
            return false;
        emptied.relation = event.relation;
        return event.kind != WAL_EVENT_RELATION_TRUNCATE || !(event.flags & TRUNCATE_HEAP) ||
               event.block != 0 || keep_change(reader->changes, &emptied, error);
    }
    if (record->rmgr != RM_HEAP && record->rmgr != RM_HEAP2)
        return record->rmgr != RM_XLOG || take_images(reader, record, error);
    if (!heap_record_parse(reader->version, reader->block_size, record, &heap))
        return error_heap_record(reader, record, error);
    if (heap.inits_page)
    {
        const BlockReference *block = &record->blocks[heap.new_index];
        heap_page_reset(heap_pages_make(reader->pages, &block->relation, block->block), NULL);
    }
    return take_images(reader, record, error) &&
           (heap.kind == HEAP_RECORD_OTHER || apply_rows(reader, record, &heap, error));
}

/* ---- The interface ---- */

RowChanges *row_changes_read(const Clusters *clusters, const Divergence *diverged,
                             const char *directory, Error *error)
{
    RowChanges *changes = memory_allocate_zeroed(1, sizeof(*changes));
    ChangeReader *reader = memory_allocate_zeroed(1, sizeof(*reader));
    const Lsn from = diverged->common_checkpoint.checkpoint.redo;
    bool read;

    progress_begin(PROGRESS_SCAN_LOST, 2 * (diverged->target_end - from));
    changes->catalogs_alone = directory == NULL;
    changes->arena = arena_create();
    changes->spool = spool_create(directory, error);
    reader->clusters = clusters;
    reader->diverged = diverged;
    reader->version = clusters->shape.version;
    reader->block_size = clusters->target.control.block_size;
    reader->changes = changes;
    reader->pages = heap_pages_create(changes->spool);
    open_file_init(&reader->file, NULL);
    read = changes->spool != NULL && reader->block_size <= PAGE_SIZE_MAX &&
           target_catalogs_read(&clusters->target, &changes->catalogs, error) &&
           lost_wal_read(clusters, diverged, take_commit, reader, error);
    ARRAY_SORT(changes->xids, changes->xid_count, compare_u32);
    read = read && lost_wal_read(clusters, diverged, apply_record, reader, error);
    free(reader->prepared);
    open_file_close(&reader->file);
    heap_pages_free(reader->pages);
    buffer_free(&reader->row);
    free(reader);
    progress_end(read);
    former_catalogs_end(&changes->former);
    if (read)
        return changes;
    row_changes_free(changes);
    return NULL;
}

void row_changes_free(RowChanges *changes)
{
    if (changes == NULL)
        return;
    spool_free(changes->spool);
    arena_destroy(changes->arena);
    free(changes->commits);
    free(changes->xids);
    free(changes->catalogs.items);
    former_catalogs_free(&changes->former);
    free(changes);
}

const LostCommit *row_changes_commits(const RowChanges *changes, size_t *count)
{
    *count = changes->count - changes->common_count;
    return *count > 0 ? changes->commits + changes->common_count : NULL;
}

Oid row_changes_catalog(const RowChanges *changes, const RelationId *storage)
{
    const Oid oid = catalogs_oid(&changes->catalogs, storage);

    return oid != storage->relation ? oid : catalogs_oid(&changes->former.storages, storage);
}

bool row_changes_committed(const RowChanges *changes, uint32_t xid)
{
    return find_committed(changes, xid) != NULL;
}
