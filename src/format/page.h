/*
 * The properties of a page of a relation (storage/bufpage.h, storage/itemid.h; alike in 9.3 to
 * 19).
 */
#ifndef FORMAT_PAGE_H
#define FORMAT_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_HEADER_SIZE 24
#define PAGE_LOWER_OFFSET 12 /* of a u16: items lie between the header and there */

/* ItemIdData: lp_off:15, lp_flags:2, lp_len:15, from the lowest bit on. */
#define PAGE_ITEM_SIZE 4
#define PAGE_ITEM_OFFSET(item) ((item) &0x7FFF)
#define PAGE_ITEM_FLAGS(item) ((item) >> 15 & 3)
#define PAGE_ITEM_LENGTH(item) ((item) >> 17)

/* The page was never used, by its first PAGE_HEADER_SIZE bytes, as PageIsNew sees it. */
bool page_is_new(const uint8_t *page);

/* The page, of block_size bytes, begins as a page of a relation that is in use. Its first 24 bytes
 * are looked at. */
bool page_has_header(const uint8_t *page, size_t block_size);

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
