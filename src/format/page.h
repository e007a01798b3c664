/*
 * Pages of relations: header, items, rows (storage/bufpage.h, storage/itemid.h; the same in 9.3 to
 * 19).
 */
#ifndef FORMAT_PAGE_H
#define FORMAT_PAGE_H

#include "base/buffer.h"

#define PAGE_HEADER_SIZE 24
#define PAGE_SIZE_MAX 32768 /* --with-blocksize */
/* offset of pd_lower, a u16: items lie from the header's end to pd_lower */
#define PAGE_LOWER_OFFSET 12

/* Fields of an item, a u32 (ItemIdData): lp_off:15, lp_flags:2, lp_len:15, from the lowest bit
 * on. */
#define PAGE_ITEM_SIZE 4
#define PAGE_ITEM_OFFSET(item) ((item) &0x7FFF)
#define PAGE_ITEM_FLAGS(item) ((item) >> 15 & 3)
#define PAGE_ITEM_LENGTH(item) ((item) >> 17)

/* Offsets in the header of a heap's row, which the null bitmap follows (HeapTupleHeaderData,
 * access/htup_details.h). */
#define ROW_HEADER_SIZE 23
#define ROW_AT_XMIN 0
#define ROW_AT_XMAX 4
#define ROW_AT_INFOMASK2 18
#define ROW_AT_INFOMASK 20
#define ROW_AT_DATA_OFFSET 22
#define ROW_XMAX_IS_MULTI 0x1000 /* HEAP_XMAX_IS_MULTI, a bit of t_infomask */

/* True if the page was never used, like PageIsNew. Reads PAGE_HEADER_SIZE bytes. */
bool page_is_new(const uint8_t *page);

/* True if a page of block_size bytes has a valid header of a relation's page in use. Reads
 * PAGE_HEADER_SIZE bytes. */
bool page_has_header(const uint8_t *page, size_t block_size);

/* A page of a heap, whose items and rows can be in separate places: a page without its hole. */
typedef struct HeapImage
{
    const uint8_t *items; /* PAGE_ITEM_SIZE bytes each */
    const uint8_t *rows;  /* bytes of the page from pd_upper on */
    uint32_t item_count;
    uint32_t rows_offset; /* offset of `rows` in the page */
    uint32_t block_size;
} HeapImage;

/* Set image to a whole page, into which it points. Returns false if the page is not of a heap, or
 * was never used. */
bool heap_image_over(const uint8_t *page, uint32_t block_size, HeapImage *image);

/* The row of item number `item`, from 1 on; it has a whole header. bytes NULL if the page lacks the
 * row. */
Slice heap_image_row(const HeapImage *image, uint16_t item);

/* True if the page is the first page of a hash index. Reads PAGE_HASH_SIZE bytes. */
#define PAGE_HASH_SIZE 28
bool page_is_hash_index(const uint8_t *page);

/*
 * True if the page, of size bytes, of an index may have entries that were marked as dead without
 * WAL (ItemIdMarkDead): an item is marked as dead and still has storage, as in btree, hash and
 * gist. (Dead items of a heap have no storage.)
 *
 * Also true for a page that cannot be judged: with an invalid header, or with a special area that
 * no access method of PostgreSQL has. False for an empty page, and if size is less than a page
 * header.
 */
bool page_may_have_dead_entries(const uint8_t *page, size_t size);

#endif
