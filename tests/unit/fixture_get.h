/* SPDX-License-Identifier: PostgreSQL */
#ifndef FIXTURE_GET_H
#define FIXTURE_GET_H

/* What tests of archive-get share. */

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "fixture_wal.h"

static inline int
try_get(const struct place *p, const char *name, uint64_t prefetch)
{
	struct wal_get_params params = { .repo = p->repo, .cluster = "main",
		.pgdata = p->pgdata, .name = name,
		.dest = "pg_wal/RECOVERYXLOG", .state_directory = p->state,
		.prefetch = prefetch };

	return wal_get(&params, &err);
}

static inline void
dest_path(const struct place *p, char out[192])
{
	place_wal_path(p, "RECOVERYXLOG", out);
}

/* The delivered file; then it is removed. */
static inline void
assert_delivered(const struct place *p, const uint8_t *bytes, size_t len)
{
	struct buf b;
	char path[192];

	dest_path(p, path);
	buf_init(&b, (size_t)64 << 20);
	OK(io_read_file(path, &b, &err));
	assert_int_equal(b.len, len);
	if (len > 0)
		assert_memory_equal(b.data, bytes, len);
	buf_free(&b);
	assert_int_equal(unlink(path), 0);
}

/* Segments 5, 6, .. of timeline 1, pushed; the caller frees. */
static inline struct made_wal
push_some(const struct place *p, uint64_t n)
{
	struct made_wal w = made_new(p->segment_size, 1, 5, n);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t i;

	made_fill(&w, n * p->segment_size);
	(void)made_record(&w, RM_HEAP, 0, 3, w.bytes, 4000);
	for (i = 0; i < n; i++) {
		place_segment(p, &w, 5 + i, name);
		place_push(p, name);
	}
	return w;
}

#define T(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)
#define T16(f) \
	cmocka_unit_test_setup_teardown(f, place_setup_16, place_teardown)

#endif
