/* SPDX-License-Identifier: PostgreSQL */
#ifndef TESTS_FIXTURE_REPO_H
#define TESTS_FIXTURE_REPO_H

/* A repository in memory whose storage can be made to fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "repo/object.h"
#include "repo/repo.h"
#include "storage/storage_ops.h"
#include "fixture_err.h"

#define LABEL_A "20261122T133107Z-0123456789abcdef"
#define LABEL_B "20261123T020000Z-fedcba9876543210"

struct fixture {
	struct repo *repo;
	struct storage *st; /* the repository's own: a fault storage */
	struct incarnation inc;
};

static inline int
fixture_setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	bool created;

	f->st = storage_fault_new(storage_mem_new());
	if (repo_init_storage(&f->repo, f->st, NULL, &created, &err) != 0)
		return -1;
	memcpy(f->inc.cluster, "main", 5);
	f->inc.major = 15;
	f->inc.system_id = UINT64_C(7312345678901234567);
	*state = f;
	return 0;
}

static inline int
fixture_teardown(void **state)
{
	struct fixture *f = *state;

	repo_close(f->repo);
	free(f);
	return 0;
}

/* Bytes that look random; the same for the same seed. */
static inline void
fixture_noise(uint8_t *p, size_t len, uint32_t seed)
{
	size_t i;

	for (i = 0; i < len; i++) {
		seed = seed * 1664525u + 1013904223u;
		p[i] = (uint8_t)(seed >> 24);
	}
}

/* Replace an object by these bytes. */
static inline void
fixture_replace(struct fixture *f, const char *key, const void *data,
    size_t len)
{
	OK(storage_remove(f->st, key, &err));
	OK(storage_put(f->st, key, data, len, &err));
}

/* An object that is a pack without frames; the caller frees w. */
static inline void
fixture_empty_pack(struct object_writer *w, const struct repo *repo,
    const struct incarnation *inc, const struct pack_id *id)
{
	struct object_header h = { .type = OBJECT_PACK, .has_pack = true,
		.system_id = inc->system_id, .attempt = id->attempt,
		.number = id->number };

	memcpy(h.repository_id, repo->id, sizeof(h.repository_id));
	(void)snprintf(h.name, sizeof(h.name), "%s", id->label);
	object_writer_init(w, 1 << 16, &h);
	OK(object_writer_finish(w, &err));
}

#define TEST(f)                                                               \
	cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

#endif
