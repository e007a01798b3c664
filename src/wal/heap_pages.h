/*
 * The rows of heap pages as WAL makes them, from its full-page images and new rows on.
 *
 * Nothing is ever taken away: WAL deletes, updates or locks no row at a place that was not filled
 * before, and a row that is put at the place of one that was pruned hides that one. So records of
 * pruning, freezing and truncation need not be read.
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
    bool used;
    const HeapImage *image;    /* NULL: nothing was on it, or it is not known */
    const struct NewRow *rows; /* since the image: newest first */
} HeapPage;

typedef struct HeapPages HeapPages;

HeapPages *heap_pages_create(Spool *spool);
void heap_pages_free(HeapPages *pages); /* NULL is allowed; what is in the spool stays */

/* Valid until a page is made. NULL: nothing is known of the page. */
HeapPage *heap_pages_find(const HeapPages *pages, const RelationId *relation, BlockNumber block);

/* The same, with nothing on it at first. */
HeapPage *heap_pages_make(HeapPages *pages, const RelationId *relation, BlockNumber block);

/* A copy in the spool; *copy is NULL if it is no page of a heap. */
MUST_CHECK bool heap_pages_copy_image(HeapPages *pages, const uint8_t *page, uint32_t block_size,
                                      const HeapImage **copy, Error *error);

/* The page begins again as the image, which is in the spool, or as NULL with nothing on it. */
void heap_page_reset(HeapPage *page, const HeapImage *image);

/* Put a row at a place; bytes NULL: it is not known which one is there. *copy is in the spool. */
MUST_CHECK bool heap_page_put(HeapPages *pages, HeapPage *page, uint16_t item, Slice row,
                              Slice *copy, Error *error);

/* In the spool; bytes NULL: it is not known. page may be NULL. */
Slice heap_page_row(const HeapPage *page, uint16_t item);

#endif
