/* SPDX-License-Identifier: PostgreSQL */
#ifndef FIXTURE_PUSH_H
#define FIXTURE_PUSH_H

/* What tests of archive-push share. */

#include "fixture_wal.h"

#define SEG "000000010000000000000005"

/* One full segment number 5, with a commit in it. */
static inline struct made_wal
one_segment(const struct place *p)
{
	struct made_wal w = made_new(p->segment_size, 1, 5, 1);

	(void)made_commit(&w, 700, 5000000);
	made_fill(&w, p->segment_size);
	(void)made_record(&w, RM_HEAP, 0, 3, w.bytes, 4000);
	return w;
}

static inline int
compare_sink(void *arg, const uint8_t *data, size_t len, struct err *unused)
{
	const uint8_t **at = arg;

	(void)unused;
	assert_memory_equal(*at, data, len);
	*at += len;
	return 0;
}

static inline void
assert_stored(const struct place *p, const char *name, const uint8_t *bytes,
    size_t len)
{
	struct frame_codec *codec = frame_codec_new(1);
	const uint8_t *at = bytes;
	struct wal_stored ws;
	struct wal_file f;

	OK(wal_file_parse(name, &f, &err));
	OK(wal_store_pick(p->repo, &p->inc, &f, &ws, &err));
	OK(wal_store_read(p->repo, &p->inc, &ws, codec, compare_sink, &at,
	    &err));
	assert_true(at == bytes + len);
	frame_codec_free(codec);
}

#define T(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)
#define T16(f) \
	cmocka_unit_test_setup_teardown(f, place_setup_16, place_teardown)

#endif
