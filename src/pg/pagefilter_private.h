/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_PAGEFILTER_PRIVATE_H
#define PG_PAGEFILTER_PRIVATE_H

/*
 * Internal to pagefilter*.c:
 *
 *	pagefilter.c		pages into columns and back
 *	pagefilter_streams.c	columns into bytes and back
 */
#include "pg/pagefilter.h"

#define BLOCK PAGEFILTER_BLOCK
#define PAGES PAGEFILTER_PAGES

/* bufpage.h, itemid.h */
#define PAGE_HEADER 24
#define PAGE_VERSION 4
#define LINE_POINTER 4
#define LP_NORMAL 1

/* A page of 8 kB has at most 291 heap tuples, 408 index tuples. */
#define ITEMS_PAGE 409
#define ITEMS (PAGES * ITEMS_PAGE)

/* htup_details.h, itup.h, nbtree.h */
#define HEAP_HEADER 23
#define INDEX_HEADER 8
#define BTREE_SPECIAL 16

enum pagefilter_kind { KIND_HEAP = 1, KIND_BTREE = 2 };

#define STREAMS_VERSION 1

/* Of each page taken apart. */
struct pagefilter_pages {
	uint64_t lsn[PAGES]; /* difference to the page's before */
	uint32_t prune[PAGES]; /* heap: pd_prune_xid */
	uint32_t prev[PAGES], next[PAGES], level[PAGES]; /* B-tree */
	uint16_t checksum[PAGES], flags[PAGES], items[PAGES];
	uint16_t upper[PAGES]; /* difference to the lowest item */
	uint16_t special[PAGES], cycle[PAGES]; /* B-tree: flags, cycle id */
	uint8_t turned[PAGES]; /* are its rows stored column by column */
};

/* Of each line pointer: length and flags. Of each tuple: the others. */
struct pagefilter_items {
	uint16_t pointer[ITEMS];
	uint16_t odd[ITEMS];	/* offset of what has no tuple */
	uint16_t offset[ITEMS]; /* difference to where it would follow */
	uint32_t a[ITEMS]; /* heap: xmin; index: block of the TID */
	uint32_t xmax[ITEMS], cid[ITEMS], block[ITEMS];
	uint16_t position[ITEMS];
	uint16_t info2[ITEMS], info[ITEMS];
	uint8_t hoff[ITEMS];
};

struct pagefilter {
	struct pagefilter_pages page;
	struct pagefilter_items item;
	size_t pages, pointers, odds, tuples;
	uint8_t whole[PAGES]; /* 1: the page is taken apart */
	uint8_t plain[PAGES]; /* 1: it must not be */
	/* What is of no fixed length: null bitmaps, rows, pages as they are. */
	uint8_t *bits, *rows;
	size_t bits_len, rows_len;
	uint8_t turn[BLOCK];
	uint8_t *check; /* PAGES pages: what was encoded, decoded again */
};

struct pagefilter_writer {
	uint8_t *p, *end;
	bool failed;
};

struct pagefilter_reader {
	const uint8_t *p, *end;
	bool failed;
};

/* The next n bytes; NULL, and r->failed: there are not so many. */
const uint8_t *pagefilter_take(struct pagefilter_reader *r, size_t n);

/* All columns, rows, and then the pages that are not taken apart. */
void pagefilter_put(const struct pagefilter *f, enum pagefilter_kind kind,
    struct pagefilter_writer *w, const uint8_t *pages, size_t count);

/* Up to those pages, which follow. false: these are no such streams. */
bool pagefilter_get(struct pagefilter *f, enum pagefilter_kind *kind,
    struct pagefilter_reader *r, size_t count);

#endif
