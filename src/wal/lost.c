#include "wal/lost.h"

#include "base/array.h"
#include "format/page.h"
#include "wal/scan.h"

#include <stdlib.h>
#include <string.h>

/* Strings of bytes, each held once, one after the other: a set of them, in which each has a number.
 */
typedef struct Interned
{
    Buffer bytes;
    size_t *ends; /* end of each string in `bytes` */
    size_t count;
    uint32_t *slots; /* by hash, open addressing: number + 1, or 0 */
    size_t capacity; /* a power of two */
} Interned;

typedef struct Item
{
    uint32_t relation;
    uint32_t what;
    uint64_t records;
    RowCounts rows;
} Item;

/* A transaction or subtransaction that has not ended. */
typedef struct Open
{
    uint64_t records;
    bool changes_schema;
    RecordWeight weight; /* weight of its heaviest record */
    Item *items;         /* by relation, ascending */
    size_t count;
} Open;

typedef struct LostWork
{
    Interned relation_ids; /* ids of relations, with the same indexes as Lost.relations */
    Interned sets;         /* LostSet */
    uint32_t open_xids[LOST_OPEN_MAX]; /* apart from the rest: they are searched one by one */
    Open *opens;
    size_t open_count;
    Buffer unowned;   /* u32: storage made by a record without transaction number */
    Buffer databases; /* u32 */
    Buffer scratch;
    WalRecord by_oid; /* see record_by_oid */
} LostWork;

/* ---- Interned strings ---- */

static void interned_free(Interned *interned)
{
    buffer_free(&interned->bytes);
    free(interned->ends);
    free(interned->slots);
}

static size_t interned_begin(const Interned *interned, size_t number)
{
    return number == 0 ? 0 : interned->ends[number - 1];
}

/* The slot of a string: it holds its number + 1, or 0. */
static uint32_t *interned_slot(const Interned *interned, const void *bytes, size_t size)
{
    const uint8_t *byte = bytes;
    uint64_t hash = 14695981039346656037u; /* FNV-1a */

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ byte[i]) * 1099511628211u;
    for (size_t at = (hash ^ hash >> 29) & (interned->capacity - 1);;
         at = (at + 1) & (interned->capacity - 1))
    {
        if (interned->slots[at] == 0)
            return &interned->slots[at];
        const size_t number = interned->slots[at] - 1, begin = interned_begin(interned, number);
        if (interned->ends[number] - begin == size &&
            memcmp(interned->bytes.bytes + begin, bytes, size) == 0)
            return &interned->slots[at];
    }
}

/* The number of a string, which is added if it is new. False if it is new and there is no room. */
static bool intern(Interned *interned, const void *bytes, size_t size, bool has_room,
                   uint32_t *number)
{
    uint32_t *slot;

    /* At most half of the slots are taken. */
    if (interned->count * 2 >= interned->capacity)
    {
        free(interned->slots);
        interned->capacity = interned->capacity == 0 ? 256 : interned->capacity * 2;
        interned->slots = memory_allocate_zeroed(interned->capacity, sizeof(uint32_t));
        for (size_t i = 0; i < interned->count; i++)
        {
            const size_t begin = interned_begin(interned, i);

            slot =
                interned_slot(interned, interned->bytes.bytes + begin, interned->ends[i] - begin);
            *slot = (uint32_t) i + 1;
        }
    }
    slot = interned_slot(interned, bytes, size);
    if (*slot == 0)
    {
        if (!has_room)
            return false;
        buffer_append(&interned->bytes, bytes, size);
        ARRAY_ADD(interned->ends, interned->count, interned->bytes.size);
        *slot = (uint32_t) interned->count;
    }
    *number = *slot - 1;
    return true;
}

Lost *lost_create(const Version *version, const LostWanted *wanted)
{
    Lost *lost = memory_allocate_zeroed(1, sizeof(Lost));

    lost->version = version;
    lost->wanted = *wanted;
    lost->work = memory_allocate_zeroed(1, sizeof(LostWork));
    return lost;
}

void lost_destroy(Lost *lost)
{
    if (lost == NULL)
        return;
    for (size_t i = 0; i < lost->work->open_count; i++)
        free(lost->work->opens[i].items);
    free(lost->work->opens);
    free(lost->wanted.catalogs.items);
    free(lost->transactions);
    free(lost->schema_changes);
    free(lost->relations);
    interned_free(&lost->work->relation_ids);
    interned_free(&lost->work->sets);
    buffer_free(&lost->work->unowned);
    buffer_free(&lost->work->databases);
    buffer_free(&lost->work->scratch);
    free(lost->work);
    free(lost);
}

/* ---- Relations ---- */

static bool find_relation(Lost *lost, RelationId id, uint32_t *number)
{
    const size_t count = lost->relation_count;

    if (!intern(&lost->work->relation_ids, &id, sizeof(id), count < LOST_RELATIONS_MAX, number))
    {
        lost->incomplete = true;
        return false;
    }
    if (*number == count)
        ARRAY_ADD(lost->relations, lost->relation_count,
                  (LostRelation){.id = id, .oid = catalogs_oid(&lost->wanted.catalogs, &id)});
    return true;
}

const LostRelation *lost_relation(const Lost *lost, RelationId id)
{
    uint32_t number;

    return intern(&lost->work->relation_ids, &id, sizeof(id), false, &number)
               ? &lost->relations[number]
               : NULL;
}

static Item *find_item(Open *open, uint32_t relation)
{
    bool found;
    const size_t index =
        array_search(&relation, open->items, open->count, sizeof(Item), compare_u32, &found);

    if (!found)
        ARRAY_INSERT(open->items, open->count, index, (Item){.relation = relation});
    return &open->items[index];
}

/* The open transaction's item of the relation; NULL: no transaction is given, or there is no room.
 */
static Item *add_relation(Lost *lost, Open *open, RelationId id, unsigned what, unsigned records)
{
    uint32_t relation;
    Item *item;

    if (!find_relation(lost, id, &relation))
        return NULL;
    if (what & LOST_CREATED)
        lost->relations[relation].created = true;
    if (open == NULL)
        return NULL;
    item = find_item(open, relation);
    item->what |= what;
    item->records += records;
    return item;
}

/* ---- Transactions that have not ended ---- */

static Open *find_open(Lost *lost, uint32_t xid, bool make)
{
    for (size_t i = lost->work->open_count; i > 0; i--)
        if (lost->work->open_xids[i - 1] == xid)
            return &lost->work->opens[i - 1];
    if (!make)
        return NULL;
    if (lost->work->open_count == LOST_OPEN_MAX)
    {
        lost->incomplete = true;
        return NULL;
    }
    ARRAY_GROW(lost->work->opens, lost->work->open_count);
    lost->work->opens[lost->work->open_count] = (Open){0};
    lost->work->open_xids[lost->work->open_count] = xid;
    return &lost->work->opens[lost->work->open_count++];
}

static void forget_open(Lost *lost, uint32_t xid)
{
    Open *open = find_open(lost, xid, false);
    size_t index;

    if (open == NULL)
        return;
    index = (size_t) (open - lost->work->opens);
    free(open->items);
    lost->work->open_count--;
    lost->work->opens[index] = lost->work->opens[lost->work->open_count];
    lost->work->open_xids[index] = lost->work->open_xids[lost->work->open_count];
}

static void merge_open(Open *open, const Open *more)
{
    open->records += more->records;
    if (more->weight > open->weight)
        open->weight = more->weight;
    open->changes_schema = open->changes_schema || more->changes_schema;
    for (size_t i = 0; i < more->count; i++)
    {
        Item *item = find_item(open, more->items[i].relation);

        item->what |= more->items[i].what;
        item->records += more->items[i].records;
        row_counts_merge(&item->rows, &more->items[i].rows);
    }
}

/* ---- The end of a transaction ---- */

/* The number of the set; false: there is no room for it. */
static bool keep_set(Lost *lost, const Open *open, uint32_t *number)
{
    const LostSet head = {.changes_schema = open->changes_schema, .count = (uint32_t) open->count};
    Buffer *set = &lost->work->scratch;

    buffer_clear(set);
    buffer_append(set, &head, sizeof(head));
    for (size_t i = 0; i < open->count; i++)
    {
        const LostItem item = {open->items[i].relation & 0xFFFFFFF, open->items[i].what & 0xF};
        buffer_append(set, &item, sizeof(item));
    }
    return intern(&lost->work->sets, set->bytes, set->size,
                  lost->work->sets.bytes.size + set->size <= LOST_SETS_SIZE_MAX, number);
}

static void keep_transaction(Lost *lost, const Open *open, const WalRecord *record,
                             const WalEvent *event)
{
    LostTransaction transaction = {.lsn = record->lsn,
                                   .time = event->time,
                                   .records = open->records,
                                   .xid = event->xid,
                                   .subtransactions = event->subxid_count,
                                   .prepared = event->prepared};

    transaction.maintenance = open->weight == RECORD_MAINTENANCE &&
                              !xid_precedes(event->xid, lost->wanted.first_known_xid);
    lost->maintenance_count += transaction.maintenance;
    for (size_t i = 0; i < open->count; i++)
    {
        LostRelation *relation = &lost->relations[open->items[i].relation];

        relation->transactions++;
        relation->records += open->items[i].records;
        relation->what |= open->items[i].what;
        row_counts_merge(&relation->rows, &open->items[i].rows);
    }
    if (!lost->wanted.list)
        return;
    if (lost->transaction_count == LOST_TRANSACTIONS_MAX || !keep_set(lost, open, &transaction.set))
    {
        lost->incomplete = true;
        return;
    }
    ARRAY_ADD(lost->transactions, lost->transaction_count, transaction);
}

static void add_commit(Lost *lost, const WalRecord *record, const WalEvent *event)
{
    Open whole = {0};
    const Open *open = find_open(lost, event->xid, false);

    if (open != NULL)
        merge_open(&whole, open);
    for (uint32_t i = 0; i < event->subxid_count; i++)
    {
        open = find_open(lost, wal_event_u32(event->subxids, i), false);
        if (open != NULL)
            merge_open(&whole, open);
    }
    /* The record of COMMIT PREPARED carries no transaction number. */
    whole.records += record->xid != event->xid;
    for (uint32_t i = 0; i < event->dropped_count; i++)
        add_relation(lost, &whole, wal_event_dropped(event, i), LOST_DROPPED, 0);
    keep_transaction(lost, &whole, record, event);
    free(whole.items);
}

static bool is_common(const Lost *lost, const WalRecord *record)
{
    return record->lsn < lost->wanted.from;
}

/* ---- Records ---- */

/*
 * The first statement of a transaction makes its storage before the transaction has a number. The
 * owner is found from what follows: the transaction that writes the next row of pg_class in that
 * database (wrong only if two do so at once), or the first that touches the storage.
 */
static void assign_created_relation(Lost *lost, Open *open, const RelationId *touched,
                                    bool is_new_relation)
{
    uint32_t *unowned = (uint32_t *) (void *) lost->work->unowned.bytes;
    size_t count = lost->work->unowned.size / sizeof(uint32_t);

    for (size_t i = 0; i < count; i++)
    {
        const RelationId *made = &lost->relations[unowned[i]].id;

        if (memcmp(made, touched, sizeof(*made)) != 0 &&
            !(is_new_relation && made->database == touched->database))
            continue;
        find_item(open, unowned[i])->what |= LOST_CREATED;
        memmove(&unowned[i], &unowned[i + 1], (count - 1 - i) * sizeof(uint32_t));
        lost->work->unowned.size -= sizeof(uint32_t);
        return;
    }
}

static bool add_event(Lost *lost, Open *open, const WalRecord *record, Error *error)
{
    WalEvent event;
    uint32_t relation;

    if (!walrecord_event(lost->version, record, &event, error))
        return false;
    switch (event.kind)
    {
    case WAL_EVENT_COMMIT:
    case WAL_EVENT_ABORT:
        if (event.kind == WAL_EVENT_COMMIT && !is_common(lost, record))
            add_commit(lost, record, &event);
        forget_open(lost, event.xid);
        for (uint32_t i = 0; i < event.subxid_count; i++)
            forget_open(lost, wal_event_u32(event.subxids, i));
        break;
    case WAL_EVENT_RUNNING_XACTS:
        /* Drop transactions that a crash ended without a record. */
        for (size_t i = lost->work->open_count; i > 0; i--)
            if (xid_precedes(lost->work->open_xids[i - 1], event.oldest_running_xid))
                forget_open(lost, lost->work->open_xids[i - 1]);
        break;
    case WAL_EVENT_RELATION_CREATE:
        if (is_common(lost, record) || event.fork != FORK_MAIN)
            break;
        add_relation(lost, open, event.relation, LOST_CREATED, 1);
        if (open == NULL && lost->work->unowned.size < 4096 &&
            find_relation(lost, event.relation, &relation))
            buffer_append(&lost->work->unowned, &relation, sizeof(relation));
        break;
    case WAL_EVENT_RELATION_TRUNCATE:
        if (!is_common(lost, record))
            add_relation(lost, open, event.relation, LOST_TRUNCATED, 1);
        break;
    case WAL_EVENT_DATABASE_FILE_COPY:
    case WAL_EVENT_DATABASE_CREATE:
        if (!is_common(lost, record))
            buffer_append(&lost->work->databases, &event.database, sizeof(event.database));
        break;
    default:
        break;
    }
    return true;
}

static void add_blocks(Lost *lost, Open *open, const WalRecord *record, const WalRecord *by_oid)
{
    const RelationId *last = NULL;

    for (unsigned i = 0; i < record->block_count; i++)
    {
        const RelationId *id = &record->blocks[i].relation;
        Item *item;

        if (last != NULL && memcmp(last, id, sizeof(*id)) == 0)
            continue;
        last = id;
        item = add_relation(lost, open, *id, LOST_TOUCHED, !is_common(lost, record));
        if (i == 0 && item != NULL)
            row_counts_add(&item->rows, record);
    }
    if (lost->work->unowned.size > 0 && record->block_count > 0)
        assign_created_relation(lost, open, &record->blocks[0].relation,
                                record_is_new_relation(by_oid));
    open->changes_schema = open->changes_schema || record_changes_catalog(by_oid);
}

/* Note a sequence's value. Layout: xl_seq_rec, commands/sequence.h, then the sequence's row. The
 * transaction does not matter: after its rollback the sequence keeps the value. */
static void note_sequence(Lost *lost, const WalRecord *record)
{
    Cursor cursor = cursor_over(record->data, record->data_size);
    const uint8_t *id = cursor_bytes(&cursor, RELATION_ID_SIZE);
    uint32_t relation;
    int64_t value;

    cursor_skip(&cursor, ROW_AT_DATA_OFFSET);
    cursor_seek(&cursor, RELATION_ID_SIZE + cursor_u8(&cursor) + lost->version->sequence_value);
    value = (int64_t) cursor_u64(&cursor);
    if (cursor.failed || !find_relation(lost, relation_at(id), &relation))
        return;
    lost->relations[relation].is_sequence = true;
    lost->relations[relation].last_value = value;
}

/* The record as it would be if the storage of catalogs had their numbers, by which heap_changes.c
 * knows them. */
static const WalRecord *record_by_oid(Lost *lost, const WalRecord *record)
{
    const Catalogs *catalogs = &lost->wanted.catalogs;

    if (catalogs->count == 0)
        return record;
    lost->work->by_oid = *record;
    for (unsigned i = 0; i < record->block_count; i++)
        lost->work->by_oid.blocks[i].relation.relation =
            catalogs_oid(catalogs, &record->blocks[i].relation);
    return &lost->work->by_oid;
}

bool lost_add_record(void *context, const WalRecord *record, Error *error)
{
    Lost *lost = context;
    Open *open = NULL;
    RecordWeight weight;

    if (record->lsn < lost->wanted.known_from || record->lsn >= lost->wanted.end)
        return true;
    if (record->xid != 0)
        open = find_open(lost, record->xid, true);
    if (open != NULL)
    {
        const WalRecord *by_oid = record_by_oid(lost, record);

        open->records += !is_common(lost, record);
        weight = record_weight(by_oid);
        if (weight > open->weight)
            open->weight = weight;
        if (!walrecord_is_hint_image(record))
            add_blocks(lost, open, record, by_oid);
    }
    if (record->rmgr == RM_SEQ && !is_common(lost, record))
        note_sequence(lost, record);
    if (record->rmgr > RM_STANDBY)
        return true;
    return add_event(lost, open, record, error);
}

/* ---- Results ---- */

/* A sequence that a transaction made and rolled back is gone. */
bool lost_relation_is_reported(const LostRelation *relation)
{
    return relation->transactions > 0 || (relation->is_sequence && !relation->created);
}

const LostSet *lost_set(const Lost *lost, const LostTransaction *transaction)
{
    const Interned *sets = &lost->work->sets;

    return (const LostSet *) (const void *) (sets->bytes.bytes +
                                             interned_begin(sets, transaction->set));
}

bool lost_database_is_new(const Lost *lost, Oid database)
{
    const uint32_t *databases = (const uint32_t *) (const void *) lost->work->databases.bytes;

    for (size_t i = 0; i < lost->work->databases.size / sizeof(uint32_t); i++)
        if (databases[i] == database)
            return true;
    return false;
}
