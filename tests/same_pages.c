/*
 * Compare the relations of a standby with those of its primary, block by block.
 *
 *   same_pages STANDBY_DATA PRIMARY_DATA [--hints-without-images]
 *
 * Both servers have made a checkpoint (the standby a restartpoint) of the same checkpoint record,
 * and nothing was written since: the files have all that the servers know. Prints a line for each
 * block that differs, at most LINES_MAX, and what was compared. Exit status 0: all is equal, 1:
 * something differs, 2: the comparison failed.
 *
 * Compared are the main forks of permanent relations, visibility maps, the init forks of unlogged
 * relations, where mapped catalogs lie, and how transactions have ended. Left out are:
 *
 *   - the free space map, which is not WAL-logged (storage/freespace/README)
 *   - other forks of unlogged relations, and temporary relations
 *   - what a server changes on a page without WAL, and what replay does not do. The server has a
 *     list of these things for wal_consistency_checking: bufmask.c, and a mask function of each
 *     resource manager (heap_mask, btree_mask, ...), which are named below. Where that list leaves
 *     out more than is needed to compare two whole servers, it is not followed.
 *
 * A file that ends early is compared as if zeros followed: servers extend files without WAL.
 */
#include "base/array.h"
#include "format/control.h"
#include "format/page.h"
#include "format/relpath.h"
#include "io/dir.h"
#include "io/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 40
#define STATUS_FILE_SIZE 0x40000u /* SLRU_PAGES_PER_SEGMENT pages, access/slru.h */
#define STATUS_FILE_XIDS (4u * STATUS_FILE_SIZE)
#define PIECE_BLOCKS 64

/* PageHeaderData, storage/bufpage.h */
#define LSN_OFFSET 0
#define CHECKSUM_OFFSET 8
#define FLAGS_OFFSET 10
#define HINT_FLAGS 0x0003  /* PD_HAS_FREE_LINES, PD_PAGE_FULL */
#define ALL_VISIBLE 0x0004 /* PD_ALL_VISIBLE */
#define UPPER_OFFSET 14
#define SPECIAL_OFFSET 16
#define PRUNE_XID_OFFSET 20

/* HeapTupleHeaderData, access/htup_details.h */
#define ROW_AT_COMMAND 8
#define ROW_AT_CTID 12
#define ROW_COMBO_COMMAND 0x0020  /* HEAP_COMBOCID */
#define ROW_XMIN_COMMITTED 0x0100 /* HEAP_XMIN_COMMITTED and so on */
#define ROW_XMIN_INVALID 0x0200
#define ROW_XMAX_COMMITTED 0x0400
#define ROW_XMAX_INVALID 0x0800
#define ROW_XMAX_LOCKS 0x10D0  /* only a lock, or a multixact: hints say something else of these */
#define ROW_HINTS 0x0F00       /* HEAP_XMIN_COMMITTED to HEAP_XMAX_INVALID */
#define ROW_XMIN_FROZEN 0x0300 /* both hints of xmin: not a hint, but a fact */
#define SPECULATIVE_OFFSET 0xFFFEu /* SpecTokenOffsetNumber, storage/off.h */
#define ALIGNED(size) (((size) + 7u) & ~7u)

/* Constants of index pages and sequences: page types, and flags that are hints or not replayed. */
#define BTREE_LEAF 0x01             /* BTP_LEAF, access/nbtree.h */
#define BTREE_DELETED 0x04          /* BTP_DELETED */
#define BTREE_FULL_XID 0x100        /* BTP_HAS_FULLXID */
#define BTREE_UNLOGGED 0x60         /* BTP_SPLIT_END, BTP_HAS_GARBAGE */
#define HASH_PAGE_TYPES 0x0F        /* LH_PAGE_TYPE, access/hash.h */
#define HASH_WITH_ITEMS 0x03        /* LH_OVERFLOW_PAGE, LH_BUCKET_PAGE */
#define HASH_HAS_DEAD 0x80          /* LH_PAGE_HAS_DEAD_TUPLES */
#define GIST_BUILD_LSN 1            /* GistBuildLSN */
#define GIST_LEAF 0x01              /* F_LEAF, access/gist.h */
#define GIST_UNLOGGED 0x1C          /* F_TUPLES_DELETED, F_FOLLOW_RIGHT, F_HAS_GARBAGE */
#define GIN_DELETED 0x04            /* access/ginblock.h */
#define GIN_WITHOUT_ITEMS 0x09      /* GIN_DATA, GIN_META */
#define SPGIST_META 0x01            /* access/spgist_private.h */
#define BRIN_META 0xF091            /* BRIN_PAGETYPE_META, access/brin_page.h */
#define BRIN_REGULAR 0xF093         /* BRIN_PAGETYPE_REGULAR */
#define BRIN_EVACUATE 0x01          /* BRIN_EVACUATE_PAGE */
#define SEQUENCE_MAGIC 0x1717u      /* SEQ_MAGIC, commands/sequence.c */
#define SPGIST_META_CACHE_OFFSET 28 /* SpGistMetaPageData.lastUsedPages */

typedef enum PageKind
{
    PAGE_NEW,
    PAGE_HEAP,
    PAGE_BTREE,
    PAGE_HASH,
    PAGE_GIST,
    PAGE_SPGIST,
    PAGE_GIN,
    PAGE_BRIN,
    PAGE_SEQUENCE,
    PAGE_MAP,
    PAGE_UNKNOWN
} PageKind;

static const char *const kind_names[] = {
    [PAGE_NEW] = "new",   [PAGE_HEAP] = "heap",   [PAGE_BTREE] = "btree",
    [PAGE_HASH] = "hash", [PAGE_GIST] = "gist",   [PAGE_SPGIST] = "spgist",
    [PAGE_GIN] = "gin",   [PAGE_BRIN] = "brin",   [PAGE_SEQUENCE] = "sequence",
    [PAGE_MAP] = "map",   [PAGE_UNKNOWN] = "odd",
};

/* A block of a relation, a copy that may be changed. */
typedef struct Page
{
    uint8_t bytes[PAGE_SIZE_MAX];
    size_t size;
} Page;

static void store_u16(uint8_t *bytes, unsigned value)
{
    bytes[0] = (uint8_t) value;
    bytes[1] = (uint8_t) (value >> 8);
}

static void clear_bits(uint8_t *bytes, unsigned bits)
{
    store_u16(bytes, load_u16(bytes) & ~bits);
}

static Lsn page_lsn(const Page *page)
{
    return (uint64_t) load_u32(page->bytes) << 32 | load_u32(page->bytes + 4);
}

/* The last u16 of the page tells the access methods apart: hash and those after it have a number of
 * their own there, btree and gin something smaller. */
static PageKind page_kind(const Page *page, uint8_t fork)
{
    const size_t special = load_u16(page->bytes + SPECIAL_OFFSET);
    const unsigned last = load_u16(page->bytes + page->size - 2);

    if (page_is_new(page->bytes))
        return PAGE_NEW;
    if (!page_has_header(page->bytes, page->size))
        return PAGE_UNKNOWN;
    if (fork == FORK_VM)
        return PAGE_MAP;
    if (special == page->size)
        return PAGE_HEAP;
    if (page->size - special == 16)
        return last == 0xFF80 ? PAGE_HASH : last == 0xFF81 ? PAGE_GIST : PAGE_BTREE;
    if (page->size - special != 8)
        return PAGE_UNKNOWN;
    if (load_u32(page->bytes + special) == SEQUENCE_MAGIC && last == 0)
        return PAGE_SEQUENCE;
    return last == 0xFF82                        ? PAGE_SPGIST
           : last >= BRIN_META && last <= 0xF093 ? PAGE_BRIN
                                                 : PAGE_GIN;
}

/* ---- Parts of a page that are not compared ---- */

/* mask_page_lsn_and_checksum, mask_page_hint_bits in bufmask.c, but the LSN and PD_ALL_VISIBLE are
 * compared. An init fork's page is written before it is logged, so the primary's has none
 * (btbuildempty in nbtree.c and the like, up to 15). */
static void mask_header(Page *page, uint8_t fork)
{
    if (fork == FORK_INIT)
        memset(page->bytes, 0, CHECKSUM_OFFSET);
    memset(page->bytes + CHECKSUM_OFFSET, 0, 2);
    clear_bits(page->bytes + FLAGS_OFFSET, HINT_FLAGS);
    memset(page->bytes + PRUNE_XID_OFFSET, 0, 4);
}

/* mask_unused_space. */
static void mask_hole(Page *page)
{
    const size_t lower = load_u16(page->bytes + PAGE_LOWER_OFFSET);
    const size_t upper = load_u16(page->bytes + UPPER_OFFSET);

    memset(page->bytes + lower, 0, upper - lower);
}

/* Some pages of gin, SP-GiST and BRIN have other content where items would begin. The revmap of
 * BRIN, and the meta pages up to 10, have pd_lower at the header's end all the same (gin_mask,
 * spg_mask and brin_mask). */
static bool has_content_without_items(const Page *page, PageKind kind)
{
    const uint8_t *special = page->bytes + page->size - 8;

    return (kind == PAGE_GIN && (load_u16(special + 6) & GIN_WITHOUT_ITEMS) != 0) ||
           (kind == PAGE_SPGIST && (load_u16(special) & SPGIST_META) != 0) ||
           (kind == PAGE_BRIN && load_u16(special + 6) != BRIN_REGULAR);
}

/* A visibility map has pd_lower at the header's end although its bits follow. A page of items has
 * it there when a vacuum has removed the last item. What removed items left in the hole differs,
 * because an image in WAL leaves the hole out. */
static bool hole_is_unused(const Page *page, PageKind kind)
{
    return kind != PAGE_MAP && (load_u16(page->bytes + PAGE_LOWER_OFFSET) > PAGE_HEADER_SIZE ||
                                !has_content_without_items(page, kind));
}

/* mask_page_content: of a page that is not in use. */
static void mask_content(Page *page)
{
    memset(page->bytes + PAGE_HEADER_SIZE, 0,
           load_u16(page->bytes + SPECIAL_OFFSET) - (size_t) PAGE_HEADER_SIZE);
    memset(page->bytes + PAGE_LOWER_OFFSET, 0, 4);
}

/* mask_lp_flags: scans mark entries of dead rows. */
static void mask_item_flags(Page *page)
{
    const size_t lower = load_u16(page->bytes + PAGE_LOWER_OFFSET);

    for (size_t at = PAGE_HEADER_SIZE; at + PAGE_ITEM_SIZE <= lower; at += PAGE_ITEM_SIZE)
        if (PAGE_ITEM_LENGTH(load_u32(page->bytes + at)) > 0)
            clear_bits(page->bytes + at, 0x8000),
                clear_bits(page->bytes + at + 2, 0x0001); /* lp_flags */
}

/* Mask what replay does not set in a row of at least ROW_HEADER_SIZE bytes: hints, the command ID,
 * and the ctid of a speculative insertion that was given up. */
static void mask_row(uint8_t *row)
{
    const unsigned infomask = load_u16(row + ROW_AT_INFOMASK);
    const unsigned frozen = infomask & ROW_XMIN_FROZEN;

    clear_bits(row + ROW_AT_INFOMASK,
               (frozen == ROW_XMIN_FROZEN ? ROW_HINTS & ~ROW_XMIN_FROZEN : ROW_HINTS) |
                   ROW_COMBO_COMMAND);
    memset(row + ROW_AT_COMMAND, 0, 4);
    if (load_u16(row + ROW_AT_CTID + 4) == SPECULATIVE_OFFSET)
        memset(row + ROW_AT_CTID, 0, 6);
}

/* heap_mask in heapam.c and heapam_xlog.c. */
static void mask_heap(Page *page)
{
    const size_t lower = load_u16(page->bytes + PAGE_LOWER_OFFSET);

    for (size_t at = PAGE_HEADER_SIZE; at + PAGE_ITEM_SIZE <= lower; at += PAGE_ITEM_SIZE)
    {
        const uint32_t item = load_u32(page->bytes + at);
        const size_t offset = PAGE_ITEM_OFFSET(item), size = PAGE_ITEM_LENGTH(item);

        if (size == 0 || offset < lower || offset + ALIGNED(size) > page->size)
            continue;
        if (size >= ROW_HEADER_SIZE)
            mask_row(page->bytes + offset);
        memset(page->bytes + offset + size, 0, ALIGNED(size) - size);
    }
}

/* seq_mask in sequence.c. The row is WAL-logged some values ahead of the sequence: what it says is
 * compared by SQL. */
static void mask_sequence(Page *page)
{
    const uint32_t item = load_u32(page->bytes + PAGE_HEADER_SIZE);
    const size_t offset = PAGE_ITEM_OFFSET(item), size = PAGE_ITEM_LENGTH(item);

    if (size < ROW_HEADER_SIZE || offset + size > page->size)
        return;
    mask_row(page->bytes + offset);
    if (page->bytes[offset + ROW_AT_DATA_OFFSET] < size)
        memset(page->bytes + offset + page->bytes[offset + ROW_AT_DATA_OFFSET], 0,
               size - page->bytes[offset + ROW_AT_DATA_OFFSET]);
}

/* btree_mask in nbtxlog.c. Up to 13 a deleted page keeps its items, and replay makes it without
 * them and without BTP_LEAF (btree_xlog_unlink_page). From 14 on its content is the XID after which
 * the page can be used again (BTPageSetDeleted). */
static void mask_btree(Page *page)
{
    uint8_t *flags = page->bytes + page->size - 4; /* BTPageOpaqueData: flags, cycle ID */

    if ((load_u16(flags) & (BTREE_DELETED | BTREE_FULL_XID)) == BTREE_DELETED)
    {
        mask_content(page);
        clear_bits(flags, BTREE_LEAF);
    }
    else if ((load_u16(flags) & (BTREE_DELETED | BTREE_LEAF)) == BTREE_LEAF)
        mask_item_flags(page);
    clear_bits(flags, BTREE_UNLOGGED);
    memset(flags + 2, 0, 2);
}

/* hash_mask in hash_xlog.c. */
static void mask_hash(Page *page)
{
    uint8_t *flags = page->bytes + page->size - 4; /* HashPageOpaqueData: flags, page ID */

    if ((load_u16(flags) & HASH_PAGE_TYPES) == 0)
        mask_content(page);
    else if (load_u16(flags) & HASH_WITH_ITEMS)
        mask_item_flags(page);
    clear_bits(flags, HASH_HAS_DEAD);
}

/* gist_mask in gistxlog.c. Replay notes that tuples were deleted, gistprunepage does not
 * (gistRedoDeleteRecord). */
static void mask_gist(Page *page)
{
    uint8_t *flags = page->bytes + page->size - 4; /* GISTPageOpaqueData: flags, page ID */

    if (load_u16(flags) & GIST_LEAF)
        mask_item_flags(page);
    clear_bits(flags, GIST_UNLOGGED);
}

/* gin_mask in ginxlog.c. Replay makes a deleted page from nothing, without its rightlink. */
static void mask_gin(Page *page)
{
    if ((load_u16(page->bytes + page->size - 2) & GIN_DELETED) == 0)
        return;
    mask_content(page);
    memset(page->bytes + page->size - 8, 0, 6); /* GinPageOpaqueData: rightlink, maxoff, flags */
}

/* spg_mask in spgxlog.c; SpGistUpdateMetaPage in spgutils.c writes no WAL. */
static void mask_spgist(Page *page)
{
    if (load_u16(page->bytes + page->size - 8) & SPGIST_META)
        memset(page->bytes + SPGIST_META_CACHE_OFFSET, 0,
               page->size - 8 - SPGIST_META_CACHE_OFFSET);
}

/* brin_mask in brin_xlog.c. */
static void mask_brin(Page *page)
{
    clear_bits(page->bytes + page->size - 4, BRIN_EVACUATE);
}

/* ---- Changes that some versions do not replay ---- */

/* Before 11 replay of XLOG_HEAP2_VISIBLE sets no LSN, although it is set on the primary
 * (heap_xlog_visible, visibilitymap_set). */
static void mask_lsn_of_visible(const Version *version, Page *page, PageKind kind)
{
    if (version->number < 1100 && kind == PAGE_HEAP &&
        (load_u16(page->bytes + FLAGS_OFFSET) & ALL_VISIBLE) != 0)
        memset(page->bytes, 0, CHECKSUM_OFFSET);
}

/* Up to 16 the root of a gist index that is built by sorting is written before it is logged, so
 * only standbys have its LSN; and a standby may become the primary (gist_indexsortbuild). */
static void mask_lsn_of_build(Page *one, Page *other)
{
    if (page_lsn(one) != GIST_BUILD_LSN && page_lsn(other) != GIST_BUILD_LSN)
        return;
    memset(one->bytes, 0, CHECKSUM_OFFSET);
    memset(other->bytes, 0, CHECKSUM_OFFSET);
}

/* A relation that CREATE DATABASE copied has a lower number than its database: relations and
 * databases take their numbers from one counter. One that was made or rewritten there has a higher
 * number. */
static bool is_copied_with_database(RelationId relation)
{
    return relation.relation < relation.database;
}

/*
 * From 15 on a database that is copied block by block has empty visibility maps on a standby: their
 * images are logged like those of a page with a hole, which is all of the map
 * (RelationCopyStorageUsingBuffer in bufmgr.c). So bits may be missing on the standby.
 *
 * From 19 on a record that clears bits sets the LSN of the map's page. Replay leaves the page as it
 * is where it finds no bit to clear, so the standby's LSN may be older. A record that sets bits
 * sets the LSN on both.
 */
static void mask_lost_map(const Version *version, RelationId relation, Page *standby, Page *primary)
{
    if (version->number < 1500 || !is_copied_with_database(relation))
        return;
    for (size_t at = PAGE_HEADER_SIZE; at < primary->size; at++)
        primary->bytes[at] &= standby->bytes[at];
    if (version->number >= 1900 && page_lsn(standby) < page_lsn(primary))
        memcpy(standby->bytes, primary->bytes, CHECKSUM_OFFSET);
}

static void mask_page(Page *page, PageKind kind, uint8_t fork)
{
    static void (*const masks[])(Page *) = {
        [PAGE_BTREE] = mask_btree, [PAGE_HASH] = mask_hash,         [PAGE_GIST] = mask_gist,
        [PAGE_GIN] = mask_gin,     [PAGE_SPGIST] = mask_spgist,     [PAGE_BRIN] = mask_brin,
        [PAGE_HEAP] = mask_heap,   [PAGE_SEQUENCE] = mask_sequence, [PAGE_UNKNOWN] = NULL,
    };

    if (kind == PAGE_UNKNOWN || kind == PAGE_NEW)
        return;
    mask_header(page, fork);
    if (hole_is_unused(page, kind))
        mask_hole(page);
    if (masks[kind] != NULL)
        masks[kind](page);
}

/* ---- Two blocks ---- */

/* A heap's or map's page that was initialised and never WAL-logged says no more than one of
 * zeros. */
static bool says_nothing(const Page *page, PageKind kind)
{
    if (kind == PAGE_NEW)
        return true;
    if ((kind != PAGE_HEAP && kind != PAGE_MAP) || load_u64(page->bytes + LSN_OFFSET) != 0)
        return false;
    for (size_t at = PAGE_HEADER_SIZE; at < page->size; at++)
        if (page->bytes[at] != 0)
            return false;
    return true;
}

typedef struct Comparison
{
    const Control *control;
    Buffer ends; /* the primary's pg_xact, which says how each transaction ended */
    uint64_t blocks, files, other_bytes, unlogged, different;
    bool hints_without_images; /* full_page_writes was off on the primary at some time */
} Comparison;

static void report(Comparison *comparison, const char *format, ...) PRINTF_LIKE(2, 3);
static void report(Comparison *comparison, const char *format, ...)
{
    va_list arguments;

    if (comparison->different++ >= LINES_MAX)
        return;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

/* A file of both sides, and a block in it. */
typedef struct BlockPlace
{
    const char *path;
    RelationFile file;
    uint64_t block;
} BlockPlace;

static void report_page(Comparison *comparison, const BlockPlace *place, const char *how, Lsn lsn,
                        Lsn expected)
{
    report(comparison, "%s block %" PRIu64 ": %s, LSN %X/%08X of %X/%08X", place->path,
           place->block, how, LSN_ARGS(lsn), LSN_ARGS(expected));
}

/* ---- Hints ---- */

#define FIRST_XID 3      /* FirstNormalTransactionId, access/transam.h */
#define END_COMMITTED 1u /* TRANSACTION_STATUS_COMMITTED, access/clog.h */

/* By pg_xact. *known: it tells. */
static bool is_committed(const Comparison *comparison, uint32_t xid, bool *known)
{
    *known = xid >= FIRST_XID && xid / 4 < comparison->ends.size &&
             xid < (comparison->control->checkpoint.next_xid & UINT32_MAX);
    return *known && (comparison->ends.bytes[xid / 4] >> (xid % 4 * 2) & 3u) == END_COMMITTED;
}

static bool hint_is_wrong(const Comparison *comparison, uint32_t xid, bool committed, bool invalid)
{
    bool known;
    const bool really = is_committed(comparison, xid, &known);

    return known && ((committed && !invalid && !really) || (invalid && !committed && really));
}

/* Hints may be missing, but what they say must be true: those of a lost history may not be, whose
 * numbers of transactions the primary has given to others. */
static bool has_wrong_hint(const Comparison *comparison, const uint8_t *row)
{
    const unsigned hints = load_u16(row + ROW_AT_INFOMASK);

    return hint_is_wrong(comparison, load_u32(row + ROW_AT_XMIN), (hints & ROW_XMIN_COMMITTED) != 0,
                         (hints & ROW_XMIN_INVALID) != 0) ||
           ((hints & ROW_XMAX_LOCKS) == 0 &&
            hint_is_wrong(comparison, load_u32(row + ROW_AT_XMAX),
                          (hints & ROW_XMAX_COMMITTED) != 0, (hints & ROW_XMAX_INVALID) != 0));
}

static void check_hints(Comparison *comparison, const BlockPlace *place, const Page *page)
{
    HeapImage heap;

    if (!heap_image_over(page->bytes, (uint32_t) page->size, &heap))
        return;
    for (uint16_t item = 1; item <= heap.item_count; item++)
    {
        const Slice row = heap_image_row(&heap, item);

        if (row.bytes != NULL && has_wrong_hint(comparison, row.bytes))
            report(comparison,
                   "%s block %" PRIu64 ": hints %04X of item %u are wrong, xmin %u, xmax %u, LSN "
                   "%X/%08X",
                   place->path, place->block, load_u16(row.bytes + ROW_AT_INFOMASK), item,
                   load_u32(row.bytes + ROW_AT_XMIN), load_u32(row.bytes + ROW_AT_XMAX),
                   LSN_ARGS(page_lsn(page)));
    }
}

static void compare_pages(Comparison *comparison, const BlockPlace *place, Page *standby,
                          Page *primary)
{
    const Version *version = comparison->control->version;
    const uint8_t fork = place->file.fork;
    const PageKind kind = page_kind(standby, fork), expected = page_kind(primary, fork);
    const Lsn lsn = page_lsn(standby), expected_lsn = page_lsn(primary);
    size_t offset = CHECKSUM_OFFSET;
    char how[120];

    comparison->other_bytes++;
    if (says_nothing(standby, kind) && says_nothing(primary, expected))
        return;
    if (kind == PAGE_HEAP)
        check_hints(comparison, place, standby);
    mask_page(standby, kind, fork);
    mask_page(primary, expected, fork);
    mask_lsn_of_visible(version, standby, kind);
    mask_lsn_of_visible(version, primary, expected);
    if (kind == PAGE_GIST && expected == PAGE_GIST)
        mask_lsn_of_build(standby, primary);
    if (kind == PAGE_MAP && expected == PAGE_MAP)
        mask_lost_map(version, place->file.relation, standby, primary);
    if (memcmp(standby->bytes, primary->bytes, standby->size) == 0)
        return;
    while (offset < standby->size && standby->bytes[offset] == primary->bytes[offset])
        offset++;
    if (offset < standby->size)
        snprintf(how, sizeof(how), "%s page, on the primary %s: offset %zu is %02X of %02X",
                 kind_names[kind], kind_names[expected], offset, standby->bytes[offset],
                 primary->bytes[offset]);
    else if (comparison->hints_without_images && lsn < expected_lsn)
        return; /* where a hint is logged without an image, replay sets no LSN (xlog_redo) */
    else
        snprintf(how, sizeof(how), "%s page: only the LSN differs", kind_names[kind]);
    report_page(comparison, place, how, lsn, expected_lsn);
}

/* ---- Two files ---- */

typedef struct OpenFile
{
    char path[PATH_SIZE];
    int fd; /* -1: there is none */
} OpenFile;

static bool open_below(const char *root, const char *path, OpenFile *file, Error *error)
{
    bool found;

    snprintf(file->path, sizeof(file->path), "%s/%s", root, path);
    return file_open_read(file->path, &file->fd, &found, error);
}

/* Fills the piece with zeros after the end of the file; *length says what the file had. */
static bool read_piece(const OpenFile *file, uint8_t *piece, size_t size, uint64_t offset,
                       size_t *length, Error *error)
{
    *length = 0;
    if (file->fd >= 0 && !file_read_at(file->fd, file->path, piece, size, offset, length, error))
        return false;
    memset(piece + *length, 0, size - *length);
    return true;
}

static bool compare_open(Comparison *comparison, BlockPlace *place, const OpenFile files[2],
                         Error *error)
{
    static uint8_t pieces[2][PIECE_BLOCKS * PAGE_SIZE_MAX];
    const size_t block_size = comparison->control->block_size, size = PIECE_BLOCKS * block_size;

    for (uint64_t block = 0;; block += PIECE_BLOCKS)
    {
        size_t lengths[2];

        for (int side = 0; side < 2; side++)
            if (!read_piece(&files[side], pieces[side], size, block * block_size, &lengths[side],
                            error))
                return false;
        const size_t length = lengths[0] > lengths[1] ? lengths[0] : lengths[1];
        comparison->blocks += length / block_size;
        for (size_t at = 0; at < length; at += block_size)
        {
            static Page pages[2];

            if (memcmp(pieces[0] + at, pieces[1] + at, block_size) == 0)
                continue;
            for (int side = 0; side < 2; side++)
            {
                pages[side].size = block_size;
                memcpy(pages[side].bytes, pieces[side] + at, block_size);
            }
            place->block = block + at / block_size;
            compare_pages(comparison, place, &pages[0], &pages[1]);
        }
        if (length < size)
            return true;
    }
}

static bool compare_relation_file(Comparison *comparison, const char *const roots[2],
                                  BlockPlace *place, Error *error)
{
    OpenFile files[2] = {{.fd = -1}, {.fd = -1}};

    bool good = open_below(roots[0], place->path, &files[0], error) &&
                open_below(roots[1], place->path, &files[1], error) &&
                compare_open(comparison, place, files, error);
    file_close(files[0].fd);
    file_close(files[1].fd);
    comparison->files++;
    return good;
}

/* pg_filenode.map, PG_VERSION. */
static bool compare_whole_file(Comparison *comparison, const char *const roots[2], const char *path,
                               Error *error)
{
    AUTO_BUFFER Buffer full = {0};
    AUTO_BUFFER Buffer one = {0};
    AUTO_BUFFER Buffer other = {0};
    bool one_found, other_found;

    if (!file_read_all(path_in(&full, roots[0], path), 65536, &one, &one_found, error) ||
        !file_read_all(path_in(&full, roots[1], path), 65536, &other, &other_found, error))
        return false;
    comparison->files++;
    if (one_found != other_found || one.size != other.size ||
        (one.size > 0 && memcmp(one.bytes, other.bytes, one.size) != 0))
        report(comparison, "%s differs", path);
    return true;
}

/* Compare a file of pg_xact: two bits for each transaction (CLOG_XACTS_PER_PAGE in clog.c), up to
 * the next XID. Later bits are not cleared on all servers alike. */
static bool compare_status_file(Comparison *comparison, const char *const roots[2],
                                const char *path, Error *error)
{
    static uint8_t pieces[2][STATUS_FILE_SIZE];
    const uint64_t first = strtoul(strrchr(path, '/') + 1, NULL, 16) * STATUS_FILE_XIDS;
    const uint64_t next = comparison->control->checkpoint.next_xid & UINT32_MAX;
    size_t lengths[2], offset = 0;
    bool good = true;

    for (int side = 0; good && side < 2; side++)
    {
        OpenFile file = {.fd = -1};

        good = open_below(roots[side], path, &file, error) &&
               read_piece(&file, pieces[side], STATUS_FILE_SIZE, 0, &lengths[side], error);
        file_close(file.fd);
    }
    comparison->files++;
    while (good && offset < STATUS_FILE_SIZE && first + 4 * offset + 4 <= next &&
           pieces[0][offset] == pieces[1][offset])
        offset++;
    if (good && offset < STATUS_FILE_SIZE && first + 4 * offset + 4 <= next)
        report(comparison, "%s: transactions from %" PRIu64 " on: %02X of %02X", path,
               first + 4 * offset, pieces[0][offset], pieces[1][offset]);
    return good;
}

/* ---- Two clusters ---- */

typedef struct Files
{
    Arena *arena;
    const char **paths;
    size_t count;
} Files;

/* A name in the location of a tablespace that is not the server's directory there. The location may
 * be a directory with other content, even the data directory. */
static bool is_beside_tablespace(const DirEntry *entry)
{
    const size_t length = (size_t) (strrchr(entry->path, '/') - entry->path);
    AUTO_BUFFER Buffer parent = {0};

    buffer_append(&parent, entry->path, length);
    return relpath_is_tablespace(buffer_string(&parent)) &&
           (!S_ISDIR(entry->status->st_mode) || strncmp(entry->path + length, "/PG_", 4) != 0);
}

static bool note_file(void *context, const DirEntry *entry, bool *descend, Error *error)
{
    static const char *const compared[] = {"base", "global", "pg_tblspc", "pg_xact", "pg_clog"};
    Files *files = context;

    (void) error;
    if (strchr(entry->path, '/') == NULL)
    {
        *descend = false;
        for (size_t i = 0; i < sizeof(compared) / sizeof(compared[0]); i++)
            *descend = *descend || strcmp(entry->path, compared[i]) == 0;
    }
    else if (is_beside_tablespace(entry))
        *descend = false;
    else if (S_ISREG(entry->status->st_mode))
        ARRAY_ADD(files->paths, files->count, arena_strdup(files->arena, entry->path));
    return true;
}

static bool is_tablespace(void *context, const char *path)
{
    (void) context;
    return relpath_is_tablespace(path);
}

static int compare_paths(const void *one, const void *other)
{
    return strcmp(*(const char *const *) one, *(const char *const *) other);
}

/* The paths of both sides, ascending, each once. */
static bool list_files(const char *const roots[2], Files *files, Error *error)
{
    size_t count = 0;

    for (int side = 0; side < 2; side++)
        if (!dir_walk(roots[side], note_file, is_tablespace, files, error))
            return false;
    ARRAY_SORT(files->paths, files->count, compare_paths);
    for (size_t i = 0; i < files->count; i++)
        if (count == 0 || strcmp(files->paths[count - 1], files->paths[i]) != 0)
            files->paths[count++] = files->paths[i];
    files->count = count;
    return true;
}

static bool is_unlogged(const Files *files, const VersionDirectory *own, RelationFile file)
{
    char path[RELPATH_SIZE];
    const char *key = path;

    file.fork = FORK_INIT;
    file.segment = 0;
    relpath_make(own, &file, path);
    return ARRAY_FIND(&key, files->paths, files->count, compare_paths) != NULL;
}

static bool compare_file(Comparison *comparison, const char *const roots[2], const Files *files,
                         const char *path, Error *error)
{
    const VersionDirectory *own = &comparison->control->version_directory;
    const char *name = strrchr(path, '/') + 1;
    BlockPlace place = {.path = path};

    if (strcmp(name, "pg_filenode.map") == 0 || strcmp(name, "PG_VERSION") == 0)
        return compare_whole_file(comparison, roots, path, error);
    if (relpath_below(path, comparison->control->version->xact_directory) != NULL)
        return compare_status_file(comparison, roots, path, error);
    if (!relpath_parse(own, path, &place.file) || place.file.fork == FORK_FSM)
        return true;
    if (place.file.fork != FORK_INIT && is_unlogged(files, own, place.file))
    {
        comparison->unlogged++;
        return true;
    }
    return compare_relation_file(comparison, roots, &place, error);
}

static bool read_control(const char *root, Control *control, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    AUTO_BUFFER Buffer bytes = {0};
    AUTO_BUFFER Buffer version = {0};
    bool crc_wrong;

    return file_read_all(path_in(&path, root, "PG_VERSION"), 100, &version, NULL, error) &&
           file_read_all(path_in(&path, root, CONTROL_PATH), 2 * CONTROL_FILE_SIZE, &bytes, NULL,
                         error) &&
           control_parse(&(ControlFile){bytes.bytes, bytes.size, buffer_string(&path),
                                        buffer_string(&version)},
                         control, &crc_wrong, error);
}

/* Read the primary's pg_xact, up to the first file that is missing or short. */
static bool read_ends(Comparison *comparison, const char *root, Error *error)
{
    bool found = true;

    for (unsigned number = 0; found; number++)
    {
        char path[PATH_SIZE];

        snprintf(path, sizeof(path), "%s/%s/%04X", root,
                 comparison->control->version->xact_directory, number);
        if (comparison->ends.size != number * STATUS_FILE_SIZE)
            return true;
        if (!file_read_all(path, STATUS_FILE_SIZE, &comparison->ends, &found, error))
            return false;
    }
    return true;
}

static bool compare_clusters(const char *const roots[2], Arena *arena, Comparison *comparison,
                             Error *error)
{
    static Control controls[2];
    Files files = {.arena = arena};

    for (int side = 0; side < 2; side++)
        if (!read_control(roots[side], &controls[side], error))
            return false;
    if (controls[0].checkpoint_lsn != controls[1].checkpoint_lsn)
        return error_set(error, ERROR_FAILED,
                         "the last checkpoint is that at %X/%08X on the standby, at %X/%08X on the "
                         "primary",
                         LSN_ARGS(controls[0].checkpoint_lsn),
                         LSN_ARGS(controls[1].checkpoint_lsn));
    comparison->control = &controls[1];
    bool good = read_ends(comparison, roots[1], error) && list_files(roots, &files, error);
    for (size_t i = 0; good && i < files.count; i++)
        good = compare_file(comparison, roots, &files, files.paths[i], error);
    free(files.paths);
    return good;
}

int main(int count, char **arguments)
{
    static Error error;
    Comparison comparison = {0};

    comparison.hints_without_images =
        count == 4 && strcmp(arguments[3], "--hints-without-images") == 0;
    if (count != (comparison.hints_without_images ? 4 : 3))
    {
        fputs("usage: same_pages STANDBY_DATA PRIMARY_DATA [--hints-without-images]\n", stderr);
        return 2;
    }
    Arena *arena = arena_create();
    bool good = compare_clusters((const char *const *) arguments + 1, arena, &comparison, &error);
    arena_destroy(arena);
    buffer_free(&comparison.ends);
    if (!good)
    {
        fprintf(stderr, "same_pages: %s\n", error.message);
        return 2;
    }
    printf("%" PRIu64 " blocks in %" PRIu64 " files: %" PRIu64 " differ, of %" PRIu64
           " with other bytes; %" PRIu64 " files of unlogged relations\n",
           comparison.blocks, comparison.files, comparison.different, comparison.other_bytes,
           comparison.unlogged);
    return comparison.different > 0 ? 1 : 0;
}
