/* SPDX-License-Identifier: PostgreSQL */
#ifndef TESTS_FIXTURE_REACH_H
#define TESTS_FIXTURE_REACH_H

/* Archives for what is found in them. */
#include "fixture_wal.h"
#include "repo/walreach.h"

#define T0 INT64_C(100000000) /* the backup's stop */
#define SEC INT64_C(1000000)

/*
 * An archive of segments 4..9 on timeline 1 and a backup that starts in 4 and
 * stops in 4. `at` holds LSNs of interest.
 */
struct archive {
	struct made_wal w;
	struct commit backup;
	struct history path;
	uint64_t commit_1, commit_2, commit_3, abort_1, point, across;
	uint64_t last, switched;
};

static inline void
make_backup(const struct place *p, struct archive *a, uint64_t start,
    uint64_t stop)
{
	memset(&a->backup, 0, sizeof(a->backup));
	(void)snprintf(a->backup.label, sizeof(a->backup.label), "test");
	a->backup.inc = p->inc;
	a->backup.timeline = 1;
	a->backup.wal_segment_size = p->segment_size;
	a->backup.start_lsn = start;
	a->backup.stop_lsn = stop;
	a->backup.start_time = T0 - 10 * SEC;
	a->backup.stop_time = T0;
}

static inline void
push_range(const struct place *p, const struct made_wal *w, uint64_t from,
    uint64_t to)
{
	char name[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t i;

	for (i = from; i <= to; i++) {
		place_segment(p, w, i, name);
		place_push(p, name);
	}
}

static inline void
build(const struct place *p, struct archive *a)
{
	struct made_wal *w = &a->w;
	uint64_t start, stop;

	*w = made_new(p->segment_size, 1, 4, 6);
	made_fill(w, 10000);
	start = made_commit(w, 800, T0 - 5 * SEC);
	made_fill(w, 50000);
	(void)made_point(w, "before", T0 - 2 * SEC);
	made_fill(w, 100000);
	stop = (made_lsn(w) + 7) & ~UINT64_C(7);
	made_fill(w, 200000);
	a->commit_1 = made_commit(w, 810, T0 + 10 * SEC);
	made_fill(w, 2 * MB + 300000); /* segment 6 */
	a->commit_2 = made_commit(w, 812, T0 + 20 * SEC);
	a->abort_1 = made_abort(w, 811, T0 + 21 * SEC);
	made_fill(w, 3 * MB);
	/* A commit across the end of segment 6: 16 bytes before it. */
	(void)made_record(w, RM_HEAP, 0, 3, w->bytes,
	    (uint32_t)(3 * MB - 16 - w->off - 29 - 3) & ~7u);
	w->off = (w->off + 7) & ~UINT64_C(7);
	assert_int_equal(w->off, 3 * MB - 16);
	a->across = made_commit(w, 820, T0 + 30 * SEC);
	made_fill(w, 3 * MB + 500000);
	a->point = made_point(w, "here", T0 + 40 * SEC);
	made_fill(w, 5 * MB + 400000); /* segment 9 */
	a->commit_3 = made_commit(w, 830, T0 + 50 * SEC);
	a->last = made_point(w, "last", T0 + 90 * SEC);
	(void)made_record(w, RM_HEAP, 0, 3, w->bytes, 100);
	a->switched = made_switch(w);
	push_range(p, w, 4, 9);
	make_backup(p, a, start, stop);
	history_single(1, &a->path);
}

static inline void
drop(struct archive *a)
{
	history_free(&a->path);
	made_free(&a->w);
}

static inline void
find(const struct place *p, struct archive *a, struct wal_target t,
    struct wal_found *out)
{
	struct wal_reach reach;

	OK(wal_reach(p->repo, &a->backup, &a->path, &reach, &err));
	OK(wal_reach_find(p->repo, &a->backup, &a->path, &reach, &t, out,
	    &err));
}

static inline void
remove_segment(const struct place *p, const char *name)
{
	struct keys k;

	place_keys(p, name, &k);
	assert_int_equal(k.n, 1);
	OK(storage_remove(p->repo->st, k.key[0], &err));
}

/*
 * Timeline 2 leaves 1 in segment 6, whose start it copies, and goes on to 8;
 * timeline 1 goes on to 7 by itself.
 */
struct fork {
	struct made_wal one, two;
	uint64_t at, commit_on_1, commit_on_2;
};

static inline void
build_fork(const struct place *p, struct archive *a, struct fork *f)
{
	char text[64], lsn[LSN_TEXT_MAX];
	struct made_wal *w = &f->one;
	uint64_t start, stop, prev;

	*w = made_new(p->segment_size, 1, 4, 4);
	start = made_commit(w, 800, T0 - SEC);
	made_fill(w, 50000);
	stop = (made_lsn(w) + 7) & ~UINT64_C(7);
	made_fill(w, 2 * MB + 400000);
	(void)made_commit(w, 801, T0 + 10 * SEC);
	w->off = (w->off + 7) & ~UINT64_C(7);
	f->at = made_lsn(w);
	prev = w->prev;
	f->two = made_new(p->segment_size, 2, 6, 3);
	f->two.off = w->off - 2 * MB;
	memcpy(f->two.bytes, w->bytes + 2 * MB, f->two.off);
	f->two.prev = prev;
	f->commit_on_1 = made_commit(w, 802, T0 + 20 * SEC);
	made_fill(w, 4 * MB);
	(void)made_record(w, RM_HEAP, 0, 3, w->bytes, 2000);
	f->commit_on_2 = made_commit(&f->two, 802, T0 + 25 * SEC);
	made_fill(&f->two, 3 * MB);
	(void)made_record(&f->two, RM_HEAP, 0, 3, w->bytes, 2000);
	push_range(p, w, 4, 7);
	push_range(p, &f->two, 6, 8);
	(void)snprintf(text, sizeof(text), "1\t%s\tx\n",
	    lsn_format(f->at, lsn));
	place_push_text(p, "00000002.history", text);
	make_backup(p, a, start, stop);
}

static inline void
drop_fork(struct fork *f)
{
	made_free(&f->one);
	made_free(&f->two);
}

#endif
