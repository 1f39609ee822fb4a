/* SPDX-License-Identifier: PostgreSQL */
#ifndef PG_PAGEFILTER_H
#define PG_PAGEFILTER_H

/*
 * Pages taken apart by what they are, so that a general compressor finds what
 * PostgreSQL wrote by rule lying together: fields of page headers, line
 * pointers, tuple headers and index tuples by column, what follows from
 * something else as a difference that is mostly 0, then the rows' own bytes,
 * of a page whose rows have one length column by column too. Pure: bytes in,
 * bytes out, exact for any bytes. Nothing is stored in this form so far.
 *
 *	f = pagefilter_new();
 *	n = pagefilter_encode(f, pages, count, blocks, out, max);	0: as it is
 *	ok = pagefilter_decode(f, out, n, pages, count, blocks);
 *	pagefilter_free(f);
 *
 * One thread each. Layouts: bufpage.h, itemid.h, htup_details.h, itup.h,
 * nbtree.h of PostgreSQL 13 to 18, which agree in all that is used here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGEFILTER_BLOCK 8192 /* other block sizes are not taken apart */
#define PAGEFILTER_PAGES 128  /* at most, in one call */

/* What encoding may need beyond the pages themselves. */
#define PAGEFILTER_SLACK 4096

struct pagefilter;

/* About 4.5 MiB, of which a frame touches what its rows need. */
struct pagefilter *pagefilter_new(void);
void pagefilter_free(struct pagefilter *f);

/*
 * Take `count` pages apart, whose numbers in the relation are `blocks` (any
 * numbers will do: they only make differences small). Returns the bytes
 * written to `out`, or 0 when the pages should stay as they are: too few of
 * them are heap or B-tree pages as expected. What is returned was decoded and
 * compared. `max` is at least count * PAGEFILTER_BLOCK + PAGEFILTER_SLACK.
 */
size_t pagefilter_encode(struct pagefilter *f, const uint8_t *pages,
    size_t count, const uint32_t *blocks, uint8_t *out, size_t max);

/*
 * Put `count` pages together again. false: these are not the streams of so
 * many pages; `pages` holds anything then. Hostile streams do no more harm.
 */
bool pagefilter_decode(struct pagefilter *f, const uint8_t *in, size_t len,
    uint8_t *pages, size_t count, const uint32_t *blocks);

#endif
