/*
 * The properties of a page of a relation (storage/bufpage.h, storage/itemid.h; alike in 9.3 to
 * 19).
 */
#ifndef FORMAT_PAGE_H
#define FORMAT_PAGE_H

#include "base/buffer.h"

#define PAGE_HEADER_SIZE 24
#define PAGE_SIZE_MAX 32768  /* --with-blocksize */
#define PAGE_LOWER_OFFSET 12 /* of a u16: items lie between the header and there */

/* ItemIdData: lp_off:15, lp_flags:2, lp_len:15, from the lowest bit on. */
#define PAGE_ITEM_SIZE 4
#define PAGE_ITEM_OFFSET(item) ((item) &0x7FFF)
#define PAGE_ITEM_FLAGS(item) ((item) >> 15 & 3)
#define PAGE_ITEM_LENGTH(item) ((item) >> 17)

/* HeapTupleHeaderData, access/htup_details.h: a row of a heap. The null bitmap follows. */
#define ROW_HEADER_SIZE 23
#define ROW_AT_XMIN 0
#define ROW_AT_XMAX 4
#define ROW_AT_INFOMASK2 18
#define ROW_AT_INFOMASK 20
#define ROW_AT_DATA_OFFSET 22
#define ROW_XMAX_IS_MULTI 0x1000 /* of t_infomask: HEAP_XMAX_IS_MULTI */

/* The page was never used, by its first PAGE_HEADER_SIZE bytes, as PageIsNew sees it. */
bool page_is_new(const uint8_t *page);

/* The page, of block_size bytes, begins as a page of a relation that is in use. Its first 24 bytes
 * are looked at. */
bool page_has_header(const uint8_t *page, size_t block_size);

/* A page of a heap, without its hole. */
typedef struct HeapImage
{
    const uint8_t *items;
    const uint8_t *rows;
    uint32_t item_count;
    uint32_t rows_offset; /* in the page */
    uint32_t block_size;
} HeapImage;

/* It points into the page. False: this is no page of a heap, or it was never used. */
bool heap_image_over(const uint8_t *page, uint32_t block_size, HeapImage *image);

/* The row that is item number `item`, from 1 on, with a whole header; bytes NULL: the page has no
 * such row. */
Slice heap_image_row(const HeapImage *image, uint16_t item);

/* This is the first page of a hash index. Its first PAGE_HASH_SIZE bytes are looked at. */
#define PAGE_HASH_SIZE 28
bool page_is_hash_index(const uint8_t *page);

/*
 * An index may have marked entries of this page as dead without WAL. True if there is an item that
 * is marked and kept (ItemIdMarkDead: btree, hash and gist do so; a heap's dead items have no
 * storage), and for pages that cannot be judged: of access methods that are not part of PostgreSQL,
 * with another special area than these have, and with an invalid header. An empty page has none.
 *
 * page holds size bytes, a block of the relation; false if there are fewer than a header has.
 */
bool page_may_have_dead_entries(const uint8_t *page, size_t size);

#endif
