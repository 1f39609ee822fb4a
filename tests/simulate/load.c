/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "simulate.h"

#define SEGMENT_BLOCKS 131072u /* 1 GiB */
#define HEAD_NIGHTS 1000 /* in which the head goes once through the tables */

static uint64_t
next_random(struct sim *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random;
}

static double
unit(struct sim *s)
{
	return (double)(next_random(s) >> 11) * 0x1p-53;
}

static void
add_file(struct sim *s, uint32_t *done, uint32_t n, uint32_t node,
    uint32_t segment)
{
	struct sim_file *f = &s->files[s->n_files++];

	memset(f, 0, sizeof(*f));
	f->first = *done;
	f->n = n;
	*done += n;
	if (segment == 0)
		(void)snprintf(f->path, sizeof(f->path), "base/16384/%u",
		    node);
	else
		(void)snprintf(f->path, sizeof(f->path), "base/16384/%u.%u",
		    node, segment);
}

/*
 * 85 % in few large relations, 10 % in relations of 8 to 64 MiB, 5 % in small
 * files.
 */
void
sim_make_files(struct sim *s)
{
	uint32_t done = 0, node = 16385, left, segment, n;
	uint32_t large = s->blocks / 100 * 85, middle = s->blocks / 100 * 95;

	s->files = xcalloc(s->blocks / 8 + 64, sizeof(*s->files));
	while (done < large) {
		/* Tables and their indexes: each half of what is left. */
		left = (large - done) / 2 > 16384 ? (large - done) / 2 :
						    large - done;
		for (segment = 0; left > 0; segment++) {
			n = left < SEGMENT_BLOCKS ? left : SEGMENT_BLOCKS;
			add_file(s, &done, n, node, segment);
			left -= n;
		}
		node++;
	}
	while (done < s->blocks) {
		n = done < middle ? 1024 + next_random(s) % 7168 :
				    1 + next_random(s) % 64;
		if (n > s->blocks - done)
			n = s->blocks - done;
		add_file(s, &done, n, node++, 0);
	}
}

/* Pages that were written lately are written again, the newest most. */
static uint32_t
recent_page(struct sim *s)
{
	uint64_t head = (uint64_t)s->blocks * (unsigned)s->night /
	    HEAD_NIGHTS;
	double width = s->blocks / 200.0; /* half a percent */
	uint64_t back = (uint64_t)(-log(1.0 - unit(s)) * width);

	return (uint32_t)((head + 2 * (uint64_t)s->blocks -
	    back % s->blocks) % s->blocks);
}

/*
 * Zipf's law with exponent 1 in one part of the pages, such as the indexes
 * and the tables in use; the ranks are scattered over it.
 */
static uint32_t
zipf_page(struct sim *s)
{
	uint32_t n = s->blocks / s->load.zipf_part;
	uint64_t rank = (uint64_t)exp(unit(s) * log(n));

	return s->blocks - n +
	    (uint32_t)(rank * UINT64_C(2654435761) % n);
}

void
sim_change_pages(struct sim *s)
{
	uint32_t want = s->blocks / 100, n[3], i, k, page;

	memset(s->changed, 0, s->blocks);
	n[0] = want * s->load.recent / 100;
	n[1] = want * s->load.zipf / 100;
	n[2] = want - n[0] - n[1];
	for (k = 0; k < 3; k++) {
		for (i = 0; i < n[k];) {
			page = k == 0 ? recent_page(s) : k == 1 ?
				zipf_page(s) :
				(uint32_t)(next_random(s) % s->blocks);
			i += !s->changed[page];
			s->changed[page] = 1;
		}
	}
}
