/*
 * The rows of heap pages as WAL shows them: of each page its last full-page image, and the rows
 * that later records put on it.
 *
 * Rows are never taken away: WAL deletes, updates or locks no row at a place that was not filled
 * before, and a row that is put at the place of a pruned one hides that one. So records of pruning,
 * freezing and truncation need not be read.
 */
#ifndef WAL_HEAP_PAGES_H
#define WAL_HEAP_PAGES_H

#include "format/page.h"
#include "format/walrecord.h"
#include "io/spool.h"

typedef struct HeapPage
{
    RelationId relation;
    BlockNumber block;
    bool used; /* slot of the hash table is taken */
    const HeapImage
        *image; /* the page before `rows`; NULL: it was empty, or its content is unknown */
    struct NewRow
        *rows; /* rows put on the page since the image: at most one entry for each place */
} HeapPage;

typedef struct HeapPages HeapPages;

HeapPages *heap_pages_create(Spool *spool);
void heap_pages_free(HeapPages *pages); /* NULL is allowed; what is in the spool stays */

/* The page; NULL: nothing is known of it. The pointer is valid until heap_pages_make is called. */
HeapPage *heap_pages_find(const HeapPages *pages, const RelationId *relation, BlockNumber block);

/* Find the page, or create it empty (image NULL, no rows) if nothing is known of it. The pointer is
 * valid until the next call. */
HeapPage *heap_pages_make(HeapPages *pages, const RelationId *relation, BlockNumber block);

/* Copy the content of a heap page into the spool; *copy is NULL if the page is not a heap's. */
MUST_CHECK bool heap_pages_copy_image(HeapPages *pages, const uint8_t *page, uint32_t block_size,
                                      const HeapImage **copy, Error *error);

/* Replace the page's content by the image, which is in the spool; NULL: by nothing. Rows are
 * dropped. */
void heap_page_reset(HeapPage *page, const HeapImage *image);

/* Put a row at a place (item) of the page, copied into the spool: *copy, which stays as it is when
 * the place is filled again. A row whose bytes are NULL notes that the place was filled with an
 * unknown row. */
MUST_CHECK bool heap_page_put(HeapPages *pages, HeapPage *page, uint16_t item, Slice row,
                              Slice *copy, Error *error);

/* The row at a place of the page, in the spool; bytes NULL: unknown. page may be NULL. */
Slice heap_page_row(const HeapPage *page, uint16_t item);

#endif
