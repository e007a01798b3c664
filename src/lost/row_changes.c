#include "lost/row_changes.h"

#include "base/arena.h"
#include "base/array.h"
#include "base/log.h"
#include "divergence/lost_transactions.h"
#include "format/relpath.h"
#include "io/open_file.h"
#include "lost/heap_pages.h"
#include "format/heap_record.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE_MAX 32768
#define INFOMASK_XMAX_IS_MULTI 0x1000 /* HEAP_XMAX_IS_MULTI, access/htup_details.h */

/* In the spool, of one transaction, by LSN. */
typedef struct Link
{
    RowChange change;
    struct Link *before, *after;
} Link;

typedef struct Chain
{
    Link *first, *last;
} Chain;

/* A transaction or subtransaction that committed. */
typedef struct CommittedXid
{
    uint32_t xid;
    uint32_t commit; /* the index of the transaction's commit */
} CommittedXid;

struct RowChanges
{
    Spool *spool;
    Arena *arena; /* of gids */
    LostCommit *commits;
    Chain *chains; /* of each commit */
    size_t count;
    CommittedXid *xids; /* by number */
    size_t xid_count;
};

/* ---- Transactions that committed ---- */

typedef struct PreparedXid
{
    uint32_t xid;
    const char *gid;
} PreparedXid;

typedef struct CommitReader
{
    const Clusters *clusters;
    const Divergence *diverged;
    RowChanges *changes;
    PreparedXid *prepared;
    size_t prepared_count;
} CommitReader;

static const char *gid_of(const CommitReader *reader, const WalEvent *event)
{
    if (!event->prepared)
        return NULL;
    if (event->gid_size > 0)
        return arena_strndup(reader->changes->arena, event->gid, event->gid_size);
    for (size_t i = reader->prepared_count; i > 0; i--)
        if (reader->prepared[i - 1].xid == event->xid)
            return reader->prepared[i - 1].gid;
    return "";
}

static void add_xid(RowChanges *changes, uint32_t xid)
{
    ARRAY_ADD(changes->xids, changes->xid_count, (CommittedXid){xid, (uint32_t) changes->count});
}

static void add_commit(CommitReader *reader, Lsn lsn, const WalEvent *event)
{
    RowChanges *changes = reader->changes;
    const uint64_t next_xid = reader->diverged->common_checkpoint.checkpoint.next_xid;

    add_xid(changes, event->xid);
    for (uint32_t i = 0; i < event->subxid_count; i++)
        add_xid(changes, wal_event_subxid(event, i));
    ARRAY_ADD(changes->commits, changes->count,
              (LostCommit){.xid = event->xid,
                           .lsn = lsn,
                           .time = event->time,
                           .gid = gid_of(reader, event),
                           .began_before = (int32_t) (event->xid - (uint32_t) next_xid) < 0});
}

/* A WalVisitor. */
static bool note_commit(void *context, const WalRecord *record, Error *error)
{
    CommitReader *reader = context;
    WalEvent event;

    if (record->rmgr != RM_XACT)
        return true;
    if (!walrecord_event(reader->clusters->shape.version, record, &event, error))
        return false;
    if (event.kind == WAL_EVENT_PREPARE)
        ARRAY_ADD(reader->prepared, reader->prepared_count,
                  (PreparedXid){event.xid,
                                arena_strndup(reader->changes->arena, event.gid, event.gid_size)});
    if (event.kind == WAL_EVENT_COMMIT && event.xid != 0 && record->lsn >= reader->diverged->lsn &&
        record->lsn < reader->diverged->target_end)
        add_commit(reader, record->lsn, &event);
    return true;
}

static int compare_xids(const void *left, const void *right)
{
    const CommittedXid *a = left, *b = right;

    return (a->xid > b->xid) - (a->xid < b->xid);
}

static bool read_commits(const Clusters *clusters, const Divergence *diverged, RowChanges *changes,
                         Error *error)
{
    CommitReader reader = {.clusters = clusters, .diverged = diverged, .changes = changes};
    const bool read = lost_wal_read(clusters, diverged, note_commit, &reader, error);

    free(reader.prepared);
    if (!read)
        return false;
    if (changes->xid_count > 0)
        qsort(changes->xids, changes->xid_count, sizeof(*changes->xids), compare_xids);
    changes->chains = memory_allocate_zeroed(changes->count + 1, sizeof(*changes->chains));
    return true;
}

/* ---- Their changes ---- */

typedef struct ChangeReader
{
    const Clusters *clusters;
    const Version *version;
    uint32_t block_size;
    RowChanges *changes;
    HeapPages *pages;
    OpenFile file;
    Buffer row;
    uint8_t page[BLOCK_SIZE_MAX];
} ChangeReader;

/* A record, with the images of the pages that it changes. */
typedef struct HeapChange
{
    const WalRecord *record;
    HeapRecord heap;
    const HeapImage *old_image, *new_image; /* after the change; NULL: none */
    const char *broken_image;               /* why an image is not known; NULL: none is broken */
} HeapChange;

static bool keep_change(ChangeReader *reader, const RowChange *change, Error *error)
{
    RowChanges *changes = reader->changes;
    const CommittedXid key = {.xid = change->xid};
    bool found;
    const size_t index = array_search(&key, changes->xids, changes->xid_count,
                                      sizeof(*changes->xids), compare_xids, &found);

    if (!found)
        return true;
    Chain *chain = &changes->chains[changes->xids[index].commit];
    Link *link = spool_allocate(changes->spool, sizeof(*link), error);
    if (link == NULL)
        return false;
    *link = (Link){.change = *change, .before = chain->last};
    if (chain->last != NULL)
        chain->last->after = link;
    else
        chain->first = link;
    chain->last = link;
    changes->commits[changes->xids[index].commit].change_count++;
    return true;
}

/* A speculative insert found a row that another transaction inserted first. */
static void take_back(RowChanges *changes, const RowChange *deleted)
{
    const CommittedXid key = {.xid = deleted->xid};
    bool found;
    const size_t index = array_search(&key, changes->xids, changes->xid_count,
                                      sizeof(*changes->xids), compare_xids, &found);

    if (!found)
        return;
    Chain *chain = &changes->chains[changes->xids[index].commit];
    for (Link *link = chain->last; link != NULL; link = link->before)
    {
        const RowChange *change = &link->change;
        if (change->kind != ROW_INSERT || change->xid != deleted->xid ||
            change->new_place.block != deleted->old_place.block ||
            change->new_place.item != deleted->old_place.item ||
            memcmp(&change->relation, &deleted->relation, sizeof(change->relation)) != 0)
            continue;
        *(link->before != NULL ? &link->before->after : &chain->first) = link->after;
        *(link->after != NULL ? &link->after->before : &chain->last) = link->before;
        changes->commits[changes->xids[index].commit].change_count--;
        return;
    }
}

/* ---- Images ---- */

/* *image is NULL if the record has none that counts. */
static bool take_image(ChangeReader *reader, const WalRecord *record, unsigned index,
                       const HeapImage **image, const char **reason, Error *error)
{
    const BlockReference *block = &record->blocks[index];

    *image = NULL;
    if (block->fork != FORK_MAIN || !block->has_image || !block->image_applies)
        return true;
    if (!walrecord_restore_image(reader->version, reader->block_size, record, index, reader->page,
                                 reason))
        return true;
    return heap_pages_copy_image(reader->pages, reader->page, reader->block_size, image, error);
}

static void put_image(ChangeReader *reader, const BlockReference *block, const HeapImage *image)
{
    HeapPage *page = heap_pages_find(reader->pages, block->relation, block->block);

    page->image = image;
    page->rows = NULL;
}

/* Of a record that changes no row. */
static bool put_images(ChangeReader *reader, const WalRecord *record, Error *error)
{
    for (unsigned i = 0; i < record->block_count; i++)
    {
        const BlockReference *block = &record->blocks[i];
        const HeapImage *image;
        const char *reason;

        if (block->fork != FORK_MAIN || !block->has_image || !block->image_applies)
            continue;
        if (!take_image(reader, record, i, &image, &reason, error))
            return false;
        put_image(reader, block, image);
    }
    return true;
}

/* ---- Rows ---- */

static bool row_is_deleted_by(Slice row, const HeapRecord *heap)
{
    const bool is_multi = (load_u16(row.bytes + ROW_AT_INFOMASK) & INFOMASK_XMAX_IS_MULTI) != 0;

    return load_u32(row.bytes + ROW_AT_XMAX) == heap->old_xmax && is_multi == heap->of_multi;
}

/*
 * Read a page of the target into image, which points into reader->page; *found is false unless the
 * target was shut down: the page may else be torn.
 */
static bool read_page(ChangeReader *reader, const BlockReference *block, HeapImage *image,
                      bool *found, Error *error)
{
    const Control *control = &reader->clusters->target.control;
    const uint32_t segment_blocks = control->relation_segment_blocks;
    RelationFile file = {.relation = block->relation, .fork = FORK_MAIN};
    char name[RELPATH_SIZE];
    AUTO_BUFFER Buffer path = {0};
    size_t length;

    *found = false;
    if (segment_blocks == 0 ||
        (control->state != STATE_SHUTDOWNED && control->state != STATE_SHUTDOWNED_IN_RECOVERY))
        return true;
    file.segment = block->block / segment_blocks;
    relpath_make(reader->version, &file, name);
    path_in(&path, reader->clusters->target.directory, name);
    if (!open_file_switch(&reader->file, buffer_string(&path), OPEN_TO_READ, NULL, error))
        return false;
    if (reader->file.fd < 0)
        return true;
    if (!file_read_at(reader->file.fd, buffer_string(&path), reader->page, reader->block_size,
                      (uint64_t) (block->block % segment_blocks) * reader->block_size, &length,
                      error))
        return false;
    *found =
        length == reader->block_size && heap_image_over(reader->page, reader->block_size, image);
    return true;
}

/* Bytes in the spool. */
static bool copy_row(ChangeReader *reader, Slice row, Slice *copy, Error *error)
{
    uint8_t *bytes = spool_allocate(reader->changes->spool, row.size, error);

    if (bytes == NULL)
        return false;
    memcpy(bytes, row.bytes, row.size);
    *copy = (Slice){bytes, row.size};
    return true;
}

/* The row that an update or delete found. */
static bool find_old_row(ChangeReader *reader, const HeapChange *change, RowChange *row,
                         Error *error)
{
    const HeapRecord *heap = &change->heap;
    const BlockReference *block = &change->record->blocks[heap->old_index];
    HeapImage image;
    bool found;

    if (change->old_image != NULL)
    {
        row->old = heap_image_row(change->old_image, heap->old_item);
        if (row->old.bytes != NULL && row_is_deleted_by(row->old, heap))
            return true;
    }
    row->old = heap_page_row(heap_pages_find(reader->pages, block->relation, block->block),
                             heap->old_item);
    if (row->old.bytes != NULL)
        return true;
    if (!read_page(reader, block, &image, &found, error))
        return false;
    const Slice there = found ? heap_image_row(&image, heap->old_item) : (Slice){0};
    if (there.bytes != NULL && row_is_deleted_by(there, heap))
        return copy_row(reader, there, &row->old, error);
    buffer_clear(&reader->row);
    if (heap->old_row.header.bytes != NULL &&
        heap_row_build(&heap->old_row, (Slice){0}, 0, reader->block_size, &reader->row))
        return copy_row(reader, (Slice){reader->row.bytes, reader->row.size}, &row->old, error);
    row->unknown = change->broken_image != NULL
                       ? change->broken_image
                       : "WAL has no full-page image of the page with the old row";
    return true;
}

/* The row that the record writes is put on its page. */
static bool find_new_row(ChangeReader *reader, const HeapChange *change, RowChange *row,
                         Error *error)
{
    const HeapRecord *heap = &change->heap;
    const BlockReference *block = &change->record->blocks[heap->new_index];
    HeapPage *page = heap_pages_find(reader->pages, block->relation, block->block);
    Slice built = {0};

    if (change->new_image != NULL)
    {
        const Slice there = heap_image_row(change->new_image, heap->new_item);
        if (there.bytes != NULL && load_u32(there.bytes + ROW_AT_XMIN) == row->xid)
            row->new = there;
        else
            row->unknown = "the full-page image does not have the new row";
        return true;
    }
    buffer_clear(&reader->row);
    if (heap->new_row.header.bytes != NULL &&
        heap_row_build(&heap->new_row, row->old, row->xid, reader->block_size, &reader->row))
        built = (Slice){reader->row.bytes, reader->row.size};
    else if (row->unknown == NULL)
        row->unknown = change->broken_image != NULL ? change->broken_image
                                                    : "its record does not have the new row";
    return heap_page_put(reader->pages, page, heap->new_item, built, &row->new, error);
}

/* An update in place keeps the row's header. */
static bool put_in_place(ChangeReader *reader, const HeapChange *change, Error *error)
{
    const HeapRecord *heap = &change->heap;
    const BlockReference *block = &change->record->blocks[heap->new_index];
    HeapPage *page = heap_pages_find(reader->pages, block->relation, block->block);
    const Slice old = heap_page_row(page, heap->new_item), values = heap->new_row.rest;
    Slice copy;

    if (change->new_image != NULL || old.bytes == NULL)
        return true;
    const size_t offset = old.bytes[ROW_AT_DATA_OFFSET];
    buffer_clear(&reader->row);
    if (offset <= old.size && old.size - offset == values.size)
    {
        buffer_append(&reader->row, old.bytes, offset);
        buffer_append(&reader->row, values.bytes, values.size);
    }
    return heap_page_put(reader->pages, page, heap->new_item,
                         (Slice){reader->row.size > 0 ? reader->row.bytes : NULL, reader->row.size},
                         &copy, error);
}

static bool apply_multi_insert(ChangeReader *reader, HeapChange *change, RowChange *row,
                               Error *error)
{
    HeapRecord *heap = &change->heap;

    for (uint16_t i = 0; i < heap->row_count; i++)
    {
        if (!heap_record_next_row(heap, i))
            return error_set(error, ERROR_FAILED, "unexpected multi-insert record at %s",
                             LSN_TEXT(reader->version, change->record->lsn));
        row->new_place.item = heap->new_item;
        row->new = (Slice){0};
        row->unknown = NULL;
        if (!find_new_row(reader, change, row, error) || !keep_change(reader, row, error))
            return false;
    }
    return true;
}

/* The rows of a record, and the pages as it leaves them but for images. */
static bool apply_rows(ChangeReader *reader, HeapChange *change, Error *error)
{
    const HeapRecord *heap = &change->heap;
    const WalRecord *record = change->record;
    const BlockReference *old = &record->blocks[heap->old_index];
    const BlockReference *new = &record->blocks[heap->new_index];
    RowChange row = {.lsn = record->lsn, .xid = record->xid, .relation = new->relation};

    row.old_place = (RowPlace){old->block, heap->old_item};
    row.new_place = (RowPlace){new->block, heap->new_item};
    switch (heap->kind)
    {
    case HEAP_RECORD_MULTI_INSERT:
        return apply_multi_insert(reader, change, &row, error);
    case HEAP_RECORD_INPLACE:
        return put_in_place(reader, change, error);
    case HEAP_RECORD_INSERT:
        row.kind = ROW_INSERT;
        row.old_place = (RowPlace){0};
        return find_new_row(reader, change, &row, error) && keep_change(reader, &row, error);
    case HEAP_RECORD_UPDATE:
        row.kind = ROW_UPDATE;
        return find_old_row(reader, change, &row, error) &&
               find_new_row(reader, change, &row, error) && keep_change(reader, &row, error);
    default:
        row.kind = ROW_DELETE;
        row.new_place = (RowPlace){0};
        if (heap->speculative)
        {
            take_back(reader->changes, &row);
            return true;
        }
        return find_old_row(reader, change, &row, error) && keep_change(reader, &row, error);
    }
}

static bool apply_heap_record(ChangeReader *reader, const WalRecord *record, Error *error)
{
    HeapChange change = {.record = record};
    HeapRecord *heap = &change.heap;

    if (!heap_record_parse(reader->version, reader->block_size, record, heap))
        return error_set(error, ERROR_FAILED, "unexpected heap record at %s",
                         LSN_TEXT(reader->version, record->lsn));
    if (heap->kind == HEAP_RECORD_OTHER)
        return put_images(reader, record, error);
    const BlockReference *old = &record->blocks[heap->old_index];
    const BlockReference *new = &record->blocks[heap->new_index];
    if (!take_image(reader, record, heap->new_index, &change.new_image, &change.broken_image,
                    error))
        return false;
    change.old_image = change.new_image;
    if (old != new && !take_image(reader, record, heap->old_index, &change.old_image,
                                  &change.broken_image, error))
        return false;
    if (heap->inits_page)
        put_image(reader, new, NULL);
    if (!apply_rows(reader, &change, error))
        return false;
    if (old != new && old->has_image && old->image_applies)
        put_image(reader, old, change.old_image);
    if (new->has_image &&new->image_applies)
        put_image(reader, new, change.new_image);
    return true;
}

/* A WalVisitor. Images of indexes come with records of other resource managers, which change no
 * row. */
static bool apply_record(void *context, const WalRecord *record, Error *error)
{
    if (record->rmgr == RM_HEAP || record->rmgr == RM_HEAP2)
        return apply_heap_record(context, record, error);
    return record->rmgr != RM_XLOG || put_images(context, record, error);
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
    changes->arena = arena_create();
    changes->spool = spool_create(directory, error);
    reader->clusters = clusters;
    reader->version = clusters->shape.version;
    reader->block_size = clusters->target.control.block_size;
    reader->changes = changes;
    reader->pages = heap_pages_create(changes->spool);
    open_file_init(&reader->file, NULL);
    read = changes->spool != NULL && reader->block_size <= BLOCK_SIZE_MAX &&
           read_commits(clusters, diverged, changes, error) &&
           lost_wal_read(clusters, diverged, apply_record, reader, error);
    open_file_close(&reader->file);
    heap_pages_free(reader->pages);
    buffer_free(&reader->row);
    free(reader);
    progress_end(read);
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
    free(changes->chains);
    free(changes->xids);
    free(changes);
}

const LostCommit *row_changes_commits(const RowChanges *changes, size_t *count)
{
    *count = changes->count;
    return changes->commits;
}

bool row_changes_visit(const RowChanges *changes, const LostCommit *commit, RowChangeVisitor visit,
                       void *context, Error *error)
{
    for (const Link *link = changes->chains[commit - changes->commits].first; link != NULL;
         link = link->after)
        if (!visit(context, &link->change, error))
            return false;
    return true;
}
