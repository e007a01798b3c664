#include "lost/row_changes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../wal/wal_writer.h"

#include <lz4.h>
#include <sys/stat.h>
#include <zstd.h>

#define XID 800
#define TOLD_LSN 1 /* divergence before the first WAL: all changes are lost */

#define INSERT 0x00
#define DELETE 0x10
#define UPDATE 0x20
#define INPLACE 0x70
#define INIT 0x80
#define MULTI_INSERT 0x50

#define IMAGE_PLAIN 0x03 /* a hole; to be restored: access/xlogrecord.h of 15 */
#define IMAGE_PGLZ 0x07
#define IMAGE_LZ4 0x0B
#define IMAGE_ZSTD 0x13

static Error error;
static const RelationId table = {1663, 5, 16400}, class = {1663, 5, 1259};

/* ---- Rows, pages and records ---- */

/* xl_heap_header with one column, a byte of padding, and the value. */
static void append_row(Buffer *buffer, const char *value)
{
    buffer_append_u16(buffer, 1);
    buffer_append_u16(buffer, 0x0802);
    buffer_append_u8(buffer, 24);
    buffer_append_u8(buffer, 0);
    buffer_append_string(buffer, value);
}

/* The value of a row that came out; "-": it is not known. */
static const char *value_of(Slice row)
{
    static char texts[2][64];
    static int next;
    char *text = texts[next ^= 1];

    if (row.bytes == NULL)
        return "-";
    assert_true(row.size >= 24 && row.size < 24 + sizeof(texts[0]));
    assert_int_equal(row.bytes[22], 24);
    memcpy(text, row.bytes + 24, row.size - 24);
    text[row.size - 24] = '\0';
    return text;
}

typedef struct Item
{
    uint32_t xmin, xmax;
    const char *value;
} Item;

static uint8_t page[DATA_BLOCK_SIZE];

/* A page of a heap with these rows, up to one without a value. */
static void make_page(const Item *items)
{
    size_t upper = DATA_BLOCK_SIZE, lower = 24;

    memset(page, 0, sizeof(page));
    for (; items->value != NULL; items++, lower += 4)
    {
        const size_t size = 24 + strlen(items->value);

        upper = (upper - size) & ~(size_t) 7;
        store_u32(page + lower, (uint32_t) (upper | 1 << 15 | size << 17));
        store_u32(page + upper, items->xmin);
        store_u32(page + upper + 4, items->xmax);
        put_u16(page + upper + 18, 1);
        put_u16(page + upper + 20, 0x0002);
        page[upper + 22] = 24;
        memcpy(page + upper + 24, items->value, size - 24);
    }
    put_u16(page + 12, (uint16_t) lower);
    put_u16(page + 14, (uint16_t) upper);
    put_u16(page + 16, DATA_BLOCK_SIZE);
    put_u16(page + 18, DATA_BLOCK_SIZE | 4);
}

/* pglz of bytes that have nothing in common. */
static size_t pack_pglz(const uint8_t *bytes, size_t size, uint8_t *packed)
{
    size_t at = 0;

    for (size_t i = 0; i < size; i++)
    {
        if (i % 8 == 0)
            packed[at++] = 0;
        packed[at++] = bytes[i];
    }
    return at;
}

/* The image of `page` as a record has it. Returns its size; *hole: how long its hole is. */
static size_t make_image(uint8_t info, uint8_t *image, uint16_t *hole)
{
    const uint16_t lower = load_u16(page + 12), upper = load_u16(page + 14);
    static uint8_t bytes[DATA_BLOCK_SIZE];
    const size_t size = lower + (size_t) (DATA_BLOCK_SIZE - upper);

    *hole = (uint16_t) (upper - lower);
    memcpy(bytes, page, lower);
    memcpy(bytes + lower, page + upper, DATA_BLOCK_SIZE - upper);
    if (info == IMAGE_PGLZ)
        return pack_pglz(bytes, size, image);
    if (info == IMAGE_LZ4)
        return (size_t) LZ4_compress_default((const char *) bytes, (char *) image, (int) size,
                                             DATA_BLOCK_SIZE);
    if (info == IMAGE_ZSTD)
        return ZSTD_compress(image, DATA_BLOCK_SIZE, bytes, size, 1);
    memcpy(image, bytes, size);
    return size;
}

typedef struct Part
{
    const RelationId *relation;
    BlockNumber block;
    uint8_t image; /* IMAGE_...: of `page`; 0: none */
    const Buffer *data;
} Part;

static Lsn put_parts(WalWriter *writer, uint8_t rmgr, uint8_t info, uint32_t xid,
                     const Part *parts, unsigned count, const void *main_data, size_t size)
{
    static uint8_t image[2 * DATA_BLOCK_SIZE];
    AUTO_BUFFER Buffer body = {0}, contents = {0}, record = {0};

    for (unsigned i = 0; i < count; i++)
    {
        const size_t data_size = parts[i].data != NULL ? parts[i].data->size : 0;
        uint16_t hole;

        buffer_append_u8(&body, (uint8_t) i);
        buffer_append_u8(&body, (uint8_t) ((parts[i].image ? 0x10 : 0) | (data_size ? 0x20 : 0)));
        buffer_append_u16(&body, (uint16_t) data_size);
        if (parts[i].image)
        {
            const size_t image_size = make_image(parts[i].image, image, &hole);
            buffer_append_u16(&body, (uint16_t) image_size);
            buffer_append_u16(&body, load_u16(page + 12));
            buffer_append_u8(&body, parts[i].image);
            if (parts[i].image != IMAGE_PLAIN)
                buffer_append_u16(&body, hole);
            buffer_append(&contents, image, image_size);
        }
        buffer_append_u32(&body, parts[i].relation->tablespace);
        buffer_append_u32(&body, parts[i].relation->database);
        buffer_append_u32(&body, parts[i].relation->relation);
        buffer_append_u32(&body, parts[i].block);
        if (data_size)
            buffer_append(&contents, parts[i].data->bytes, data_size);
    }
    buffer_append_u8(&body, 254);
    buffer_append_u32(&body, (uint32_t) size);
    buffer_append(&body, contents.bytes, contents.size);
    buffer_append(&body, main_data, size);
    encode_record(writer, rmgr, info, xid, &body, &record);
    return writer->last = writer_put(writer, record.bytes, record.size, record.size);
}

/* A row is written to block 1 of the table; value NULL: the record does not have it. */
static Lsn put_insert(WalWriter *writer, uint32_t xid, uint8_t info, uint16_t item, uint8_t flags,
                      const char *value, uint8_t image)
{
    const uint8_t data[] = {(uint8_t) item, (uint8_t) (item >> 8), flags};
    AUTO_BUFFER Buffer row = {0};
    Part part = {&table, 1, image, &row};

    if (value != NULL)
        append_row(&row, value);
    return put_parts(writer, RM_HEAP, INSERT | info, xid, &part, 1, data, sizeof(data));
}

static Lsn put_delete(WalWriter *writer, uint32_t xid, uint16_t item, uint8_t flags, uint8_t image)
{
    uint8_t data[8] = {0};
    Part part = {&table, 1, image, NULL};

    store_u32(data, xid);
    put_u16(data + 4, item);
    data[7] = flags;
    return put_parts(writer, RM_HEAP, DELETE, xid, &part, 1, data, sizeof(data));
}

/* content: the sizes of what is common, if flags say so, and the row. */
static Lsn put_update(WalWriter *writer, uint32_t xid, uint16_t old_item, uint16_t new_item,
                      uint8_t flags, const Buffer *content, bool other_page)
{
    uint8_t data[14] = {0};
    const Part parts[] = {{&table, other_page ? 2 : 1, 0, content}, {&table, 1, 0, NULL}};

    store_u32(data, xid);
    put_u16(data + 4, old_item);
    data[7] = flags;
    put_u16(data + 12, new_item);
    return put_parts(writer, RM_HEAP, UPDATE, xid, parts, other_page ? 2 : 1, data, sizeof(data));
}

/* COMMIT (0x00), ABORT (0x20) or COMMIT PREPARED (0x30), with a subtransaction if that is not 0. */
static Lsn put_end(WalWriter *writer, uint8_t opcode, uint32_t xid, uint32_t subxid)
{
    uint8_t bytes[24] = {0};
    size_t size = 12;

    store_u64(bytes, 1000);
    store_u32(bytes + 8, (subxid != 0 ? 2 : 0) | (opcode == 0x30 ? 16 : 0));
    if (subxid != 0)
    {
        store_u32(bytes + 12, 1);
        store_u32(bytes + 16, subxid);
        size += 8;
    }
    if (opcode == 0x30)
    {
        store_u32(bytes + size, xid);
        size += 4;
    }
    return writer_record(writer, RM_XACT, opcode | 0x80, opcode == 0x30 ? 0 : xid, NULL, bytes, size);
}

/* ---- What is read ---- */

typedef struct Reading
{
    Clusters clusters;
    Divergence diverged;
    WalScan scan;
    RowChanges *changes;
    char directory[64];
} Reading;

static char told[4096];

static void tell(const RowChange *change)
{
    char *end = told + strlen(told);

    end += sprintf(end, "%c%u(%u,%u)(%u,%u) ", "IUD"[change->kind], change->xid,
                   change->old_place.block, change->old_place.item, change->new_place.block,
                   change->new_place.item);
    end += sprintf(end, "%s", value_of(change->old));
    end += sprintf(end, ">%s", value_of(change->new));
    sprintf(end, "%s\n", change->unknown != NULL ? "?" : "");
}

/* All changes of the commit, a line each. */
static const char *tell_all(const LostCommit *commit)
{
    told[0] = '\0';
    for (const LostChange *change = commit->first; change != NULL; change = change->after)
        tell(&change->row);
    return told;
}

/* Read what was written, of which all from `lsn` on is lost: *commits. */
static void make_directory(const Reading *reading, const char *name)
{
    char path[100];

    snprintf(path, sizeof(path), "%s/%s", reading->directory, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static size_t read_changes(WalWriter *writer, Lsn lsn, Reading *reading,
                           const LostCommit **commits)
{
    size_t count;

    strcpy(reading->directory, "/tmp/test_row_changes_XXXXXX");
    assert_non_null(mkdtemp(reading->directory));
    make_directory(reading, "base");
    make_directory(reading, "pg_tblspc");
    reading->clusters.shape = writer->shape;
    reading->clusters.target.control.version = writer->shape.version;
    reading->clusters.target.directory = reading->directory;
    reading->clusters.target.control.block_size = DATA_BLOCK_SIZE;
    reading->clusters.target.control.relation_segment_blocks = 131072;
    reading->clusters.target.control.state = STATE_SHUTDOWNED;
    reading->scan.stream = &writer->stream;
    reading->diverged = (Divergence){.lsn = lsn, .target_end = writer->position, .scan = &reading->scan};
    reading->diverged.common_checkpoint.checkpoint.redo = SEGMENT_SIZE;
    reading->diverged.common_checkpoint.checkpoint.next_xid = XID;
    reading->changes =
        row_changes_read(&reading->clusters, &reading->diverged, reading->directory, &error);
    if (reading->changes == NULL)
        fail_msg("%s", error.message);
    *commits = row_changes_commits(reading->changes, &count);
    return count;
}

static void end_reading(WalWriter *writer, Reading *reading)
{
    char command[128];

    row_changes_free(reading->changes);
    snprintf(command, sizeof(command), "rm -rf '%s'", reading->directory);
    assert_int_equal(system(command), 0);
    free(writer);
}

/* ---- Tests ---- */

static void test_rows_of_records(void **state)
{
    WalWriter *writer = writer_create();
    AUTO_BUFFER Buffer content = {0};
    Reading reading = {0};
    const LostCommit *commits;
    uint8_t multi[8] = {0, 0, 2, 0, 5, 0, 7, 0};

    (void) state;
    put_insert(writer, XID, INIT, 1, 0, "abcdef", 0);
    buffer_append_u16(&content, 2); /* bytes shared with the old row: first 2, last 3 */
    buffer_append_u16(&content, 3);
    append_row(&content, "XY");
    put_update(writer, XID, 1, 2, 0x60, &content, false);
    buffer_clear(&content);
    append_row(&content, "elsewhere");
    put_update(writer, XID, 2, 1, 0, &content, true);
    put_insert(writer, XID, 0, 2, 0, "at the place of a pruned one", 0);
    put_delete(writer, XID, 2, 0, 0);
    buffer_clear(&content);
    for (const char *const *value = (const char *const[]){"odd", "even", NULL}; *value; value++)
    {
        if (content.size % 2)
            buffer_append_u8(&content, 0);
        buffer_append_u16(&content, (uint16_t) (strlen(*value) + 1));
        append_row(&content, *value);
    }
    put_parts(writer, RM_HEAP2, MULTI_INSERT, XID, &(Part){&table, 1, 0, &content}, 1, multi,
              sizeof(multi));
    buffer_clear(&content);
    buffer_append_string(&content, "EVEN");
    put_parts(writer, RM_HEAP, INPLACE, XID, &(Part){&table, 1, 0, &content}, 1, multi + 6, 2);
    put_delete(writer, XID, 7, 0, 0);
    put_parts(writer, RM_HEAP2, MULTI_INSERT | INIT, XID,
              &(Part){&table, 1, 0, NULL}, 1, (uint8_t[]){0, 0, 0, 0}, 4);
    put_end(writer, 0x00, XID, 0);
    assert_int_equal(read_changes(writer, TOLD_LSN, &reading, &commits), 1);
    assert_int_equal(commits[0].xid, XID);
    assert_int_equal(commits[0].time, 1000);
    assert_null(commits[0].gid);
    assert_false(commits[0].began_before);
    assert_string_equal(tell_all(&commits[0]),
                        "I800(0,0)(1,1) ->abcdef\n"
                        "U800(1,1)(1,2) abcdef>abXYdef\n"
                        "U800(1,2)(2,1) abXYdef>elsewhere\n"
                        "I800(0,0)(1,2) ->at the place of a pruned one\n"
                        "D800(1,2)(0,0) at the place of a pruned one>-\n"
                        "I800(0,0)(1,5) ->odd\n"
                        "I800(0,0)(1,7) ->even\n"
                        "D800(1,7)(0,0) EVEN>-\n");
    end_reading(writer, &reading);
}

/* The image is the page after the change. */
static void test_images(void **state)
{
    static const uint8_t kinds[] = {IMAGE_PLAIN, IMAGE_PGLZ, IMAGE_LZ4, IMAGE_ZSTD};

    (void) state;
    for (size_t i = 0; i < sizeof(kinds); i++)
    {
        WalWriter *writer = writer_create();
        Reading reading = {0};
        const LostCommit *commits;

        make_page((Item[]){{700, XID, "deleted"}, {701, 0, "later"}, {0, 0, NULL}});
        put_delete(writer, XID, 1, 0, kinds[i]);
        put_delete(writer, XID, 2, 0, 0);
        make_page((Item[]){{XID, 0, "new"}, {702, 0, "of a hint"}, {0, 0, NULL}});
        put_insert(writer, XID, 0, 1, 0, NULL, kinds[i]);
        put_insert(writer, XID, 0, 2, 0, "hides the image's", 0);
        put_delete(writer, XID, 2, 0, 0);
        make_page((Item[]){{702, 0, "other"}, {702, 0, "of a hint"}, {0, 0, NULL}});
        put_parts(writer, RM_XLOG, XLOG_FPI_FOR_HINT, 0, &(Part){&table, 1, kinds[i], NULL}, 1, "", 0);
        put_delete(writer, XID, 2, 0, 0);
        put_end(writer, 0x00, XID, 0);
        assert_int_equal(read_changes(writer, TOLD_LSN, &reading, &commits), 1);
        assert_string_equal(tell_all(&commits[0]), "D800(1,1)(0,0) deleted>-\n"
                                                             "D800(1,2)(0,0) later>-\n"
                                                             "I800(0,0)(1,1) ->new\n"
                                                             "I800(0,0)(1,2) ->hides the image's\n"
                                                             "D800(1,2)(0,0) hides the image's>-\n"
                                                             "D800(1,2)(0,0) of a hint>-\n");
        end_reading(writer, &reading);
    }
}

/* Nothing is guessed. */
static void test_unknown_rows(void **state)
{
    WalWriter *writer = writer_create();
    AUTO_BUFFER Buffer content = {0};
    Reading reading = {0};
    const LostCommit *commits;

    (void) state;
    put_delete(writer, XID, 1, 0, 0); /* no image */
    buffer_append_u16(&content, 2);
    append_row(&content, "XY");
    put_update(writer, XID, 2, 3, 0x20, &content, false);
    put_delete(writer, XID, 3, 0, 0);
    make_page((Item[]){{700, XID + 1, "of another"}, {701, 0, "not new"}, {0, 0, NULL}});
    put_delete(writer, XID, 1, 0, IMAGE_PLAIN);
    put_insert(writer, XID, 0, 2, 0, NULL, IMAGE_PLAIN);
    put_delete(writer, XID, 9, 0, 0); /* no such item */
    put_end(writer, 0x00, XID, 0);
    assert_int_equal(read_changes(writer, TOLD_LSN, &reading, &commits), 1);
    assert_string_equal(tell_all(&commits[0]), "D800(1,1)(0,0) ->-?\n"
                                                         "U800(1,2)(1,3) ->-?\n"
                                                         "D800(1,3)(0,0) ->-?\n"
                                                         "D800(1,1)(0,0) ->-?\n"
                                                         "I800(0,0)(1,2) ->-?\n"
                                                         "D800(1,9)(0,0) ->-?\n");
    end_reading(writer, &reading);
}

/* With REPLICA IDENTITY FULL the record has the old row. */
static void test_old_row_of_record(void **state)
{
    WalWriter *writer = writer_create();
    AUTO_BUFFER Buffer data = {0};
    Reading reading = {0};
    const LostCommit *commits;

    (void) state;
    buffer_append_u32(&data, XID);
    buffer_append_u16(&data, 4);
    buffer_append_u8(&data, 0);
    buffer_append_u8(&data, 0x02);
    append_row(&data, "whole");
    put_parts(writer, RM_HEAP, DELETE, XID, &(Part){&table, 1, 0, NULL}, 1, data.bytes, data.size);
    data.bytes[7] = 0x04; /* the key alone: the other columns are not known */
    put_parts(writer, RM_HEAP, DELETE, XID, &(Part){&table, 1, 0, NULL}, 1, data.bytes, data.size);
    put_end(writer, 0x00, XID, 0);
    assert_int_equal(read_changes(writer, TOLD_LSN, &reading, &commits), 1);
    assert_string_equal(tell_all(&commits[0]), "D800(1,4)(0,0) whole>-\n"
                                                         "D800(1,4)(0,0) ->-?\n");
    end_reading(writer, &reading);
}

/* The file of a relation, whose block 1 is `page`. */
static void write_file(const Reading *reading, const RelationId *relation)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "mkdir -p %s/base/5", reading->directory);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof(path), "%s/base/5/%u", reading->directory, relation->relation);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fseek(file, DATA_BLOCK_SIZE, SEEK_SET), 0);
    assert_int_equal(fwrite(page, sizeof(page), 1, file), 1);
    fclose(file);
}

static void test_row_on_the_disk(void **state)
{
    for (int shut_down = 0; shut_down < 2; shut_down++)
    {
        WalWriter *writer = writer_create();
        AUTO_BUFFER Buffer content = {0};
        Reading reading = {0};
        const LostCommit *commits;
        uint8_t data[8] = {0};

        (void) state;
        put_delete(writer, XID, 1, 0, 0);
        put_delete(writer, XID, 2, 0, 0);
        buffer_append_u16(&content, 2); /* bytes shared with an old row that is on no page */
        append_row(&content, "XY");
        put_update(writer, XID, 4, 3, 0x20, &content, false);
        put_update(writer, XID, 5, 2, 0x20, &content, false);
        store_u32(data, XID);
        put_u16(data + 4, 1);
        put_parts(writer, RM_HEAP, DELETE, XID, &(Part){&class, 1, 0, NULL}, 1, data, sizeof(data));
        put_end(writer, 0x00, XID, 0);
        read_changes(writer, TOLD_LSN, &reading, &commits);
        row_changes_free(reading.changes);
        make_page((Item[]){{700, XID, "deleted"}, {700, XID + 1, "by another"}, {XID, 0, "new"}, {0, 0, NULL}});
        write_file(&reading, &table);
        write_file(&reading, &class);
        /* After a crash the page may be torn; catalogs are read nevertheless. */
        reading.clusters.target.control.state = shut_down ? STATE_SHUTDOWNED : STATE_IN_PRODUCTION;
        reading.changes =
            row_changes_read(&reading.clusters, &reading.diverged, reading.directory, &error);
        assert_non_null(reading.changes);
        commits = row_changes_commits(reading.changes, &(size_t){0});
        assert_string_equal(tell_all(&commits[0]),
                            shut_down ? "D800(1,1)(0,0) deleted>-\nD800(1,2)(0,0) ->-?\n"
                                        "U800(1,4)(1,3) ->new?\nU800(1,5)(1,2) ->-?\n"
                                        "D800(1,1)(0,0) deleted>-\n"
                                      : "D800(1,1)(0,0) ->-?\nD800(1,2)(0,0) ->-?\n"
                                        "U800(1,4)(1,3) ->-?\nU800(1,5)(1,2) ->-?\n"
                                        "D800(1,1)(0,0) deleted>-\n");
        end_reading(writer, &reading);
    }
}

static void put_prepare(WalWriter *writer, uint32_t xid, const char *gid)
{
    const Version *version = writer->shape.version;
    uint8_t bytes[128] = {0};

    store_u32(bytes + 8, xid);
    put_u16(bytes + version->twophase_gid_size_offset, (uint16_t) (strlen(gid) + 1));
    strcpy((char *) bytes + version->twophase_gid_offset, gid);
    writer_record(writer, RM_XACT, 0x10, xid, NULL, bytes, sizeof(bytes));
}

static void test_transactions(void **state)
{
    WalWriter *writer = writer_create();
    Reading reading = {0};
    const LostCommit *commits, *common;
    const uint8_t data[] = {9, 0, 0};
    AUTO_BUFFER Buffer row = {0};
    Lsn lsn;

    (void) state;
    append_row(&row, "catalog's");
    put_insert(writer, XID, INIT, 1, 0, "before", 0);
    put_insert(writer, XID + 5, 0, 2, 0, "common", 0);
    put_parts(writer, RM_HEAP, INSERT, XID + 5, &(Part){&class, 1, 0, &row}, 1, data, sizeof(data));
    put_end(writer, 0x00, XID + 5, 0);
    put_insert(writer, XID + 6, 0, 3, 0, "prepared", 0);
    put_prepare(writer, XID + 6, "a gid");
    lsn = put_insert(writer, XID + 1, 0, 4, 0, "sub", 0);
    put_insert(writer, XID + 2, 0, 5, 0, "sub that is rolled back", 0);
    put_insert(writer, XID, 0, 6, 0, "after", 0);
    put_insert(writer, XID + 3, 0, 7, 0, "rolled back", 0);
    put_insert(writer, XID + 4, 0, 8, 0, "open", 0);
    put_insert(writer, XID - 1, 0, 9, 0, "old", 0);
    put_end(writer, 0x20, XID + 2, 0);
    put_end(writer, 0x20, XID + 3, 0);
    put_end(writer, 0x00, XID, XID + 1);
    put_end(writer, 0x30, XID + 6, 0);
    put_end(writer, 0x30, XID - 1, 0);
    assert_int_equal(read_changes(writer, lsn, &reading, &commits), 3);
    assert_string_equal(tell_all(&commits[0]), "I800(0,0)(1,1) ->before\n"
                                                         "I801(0,0)(1,4) ->sub\n"
                                                         "I800(0,0)(1,6) ->after\n");
    assert_string_equal(tell_all(&commits[1]), "I806(0,0)(1,3) ->prepared\n");
    assert_string_equal(commits[1].gid, "a gid");
    assert_false(commits[1].began_before);
    assert_string_equal(tell_all(&commits[2]), "I799(0,0)(1,9) ->old\n");
    assert_string_equal(commits[2].gid, "");
    assert_true(commits[2].began_before);
    common = reading.changes->commits;
    assert_int_equal(reading.changes->common_count, 1);
    assert_string_equal(tell_all(&common[0]), "I805(0,0)(1,9) ->catalog's\n");
    for (uint32_t xid = XID - 1; xid <= XID + 6; xid++)
        assert_int_equal(row_changes_committed(reading.changes, xid),
                         xid < XID + 2 || xid > XID + 4);
    end_reading(writer, &reading);
}

/* INSERT ... ON CONFLICT that another transaction was faster with. */
static void test_speculative_insert(void **state)
{
    WalWriter *writer = writer_create();
    Reading reading = {0};
    const LostCommit *commits;

    (void) state;
    put_insert(writer, XID, INIT, 1, 0x04, "first", 0);
    put_delete(writer, XID, 1, 0x08, 0);
    put_insert(writer, XID, 0, 2, 0x04, "taken back", 0);
    put_insert(writer, XID + 1, 0, 3, 0, "other", 0);
    put_delete(writer, XID, 2, 0x08, 0);
    put_insert(writer, XID, 0, 4, 0x04, "last", 0);
    put_end(writer, 0x00, XID, XID + 1);
    assert_int_equal(read_changes(writer, TOLD_LSN, &reading, &commits), 1);
    assert_string_equal(tell_all(&commits[0]), "I801(0,0)(1,3) ->other\n"
                                                         "I800(0,0)(1,4) ->last\n");
    end_reading(writer, &reading);
}

static void test_many_changes(void **state)
{
    WalWriter *writer = writer_create();
    Reading reading = {0};
    const LostCommit *commits;
    unsigned count = 0, visited = 0;

    (void) state;
    put_insert(writer, XID, INIT, 1, 0, "first", 0);
    for (; writer->position < 20 * SEGMENT_SIZE; count++)
        put_insert(writer, XID, 0, 2, 0, "more", 0);
    put_end(writer, 0x00, XID, 0);
    assert_int_equal(read_changes(writer, TOLD_LSN, &reading, &commits), 1);
    for (const LostChange *change = commits[0].first; change != NULL; change = change->after)
        visited++;
    assert_int_equal(visited, count + 1);
    end_reading(writer, &reading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_records),   cmocka_unit_test(test_images),
        cmocka_unit_test(test_unknown_rows),      cmocka_unit_test(test_old_row_of_record),
        cmocka_unit_test(test_row_on_the_disk),   cmocka_unit_test(test_transactions),
        cmocka_unit_test(test_speculative_insert), cmocka_unit_test(test_many_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
