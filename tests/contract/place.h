/* SPDX-License-Identifier: PostgreSQL */
#ifndef TESTS_CONTRACT_PLACE_H
#define TESTS_CONTRACT_PLACE_H

/* A storage of its own for each test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io.h"
#include "core/mem.h"
#include "core/time.h"
#include "storage/storage_ops.h"
#include "../unit/fixture_err.h"

struct place {
	struct storage *st;
	char *dir; /* posix: the directory the root is made in */
	char *root;
};

static inline int
setup_posix(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));
	char *url;

	p->dir = xasprintf("%s/dapk-storage-XXXXXX",
	    getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	if (mkdtemp(p->dir) == NULL)
		return -1;
	p->root = xasprintf("%s/repo", p->dir);
	url = xasprintf("file://%s/", p->root);
	if (storage_open(&p->st, &(struct storage_settings){ .url = url }, &err) != 0 ||
	    storage_create(p->st, &err) != 0)
		return -1;
	free(url);
	*state = p;
	return 0;
}

static inline int
teardown(void **state)
{
	struct place *p = *state;
	int rc = 0;

	storage_close(p->st);
	if (p->dir != NULL)
		rc = io_remove_tree(p->dir, &err);
	free(p->root);
	free(p->dir);
	free(p);
	return rc;
}

static inline uint8_t *
noise(size_t len)
{
	uint8_t *p = xmalloc(len);
	size_t i;
	uint32_t x = 1;

	for (i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (uint8_t)(x >> 24);
	}
	return p;
}

struct listing {
	char text[1000];
	int stop_after;
};

static inline int
compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline int
note(void *arg, const struct storage_entry *e, struct err *why)
{
	struct listing *l = arg;
	size_t len = strlen(l->text);

	if (l->stop_after > 0 && --l->stop_after == 0)
		return err_set(why, ERR_CANCELLED, "enough");
	if (e->is_directory)
		(void)snprintf(l->text + len, sizeof(l->text) - len, "%s ",
		    e->name);
	else
		(void)snprintf(l->text + len, sizeof(l->text) - len,
		    "%s=%llu ", e->name, (unsigned long long)e->size);
	return 0;
}

/* The entries in order, with a space behind each. */
static inline void
expect(struct storage *st, const char *prefix, bool delimiter,
    const char *wanted)
{
	struct listing l = { "", 0 };
	char *words[50], *save = NULL, *w, sorted[1000] = "";
	size_t n = 0, i;

	OK(storage_list(st, prefix, delimiter, note, &l, &err));
	for (w = strtok_r(l.text, " ", &save); w != NULL;
	     w = strtok_r(NULL, " ", &save))
		words[n++] = w;
	if (n > 1)
		qsort(words, n, sizeof(*words), compare_lines);
	for (i = 0; i < n; i++)
		(void)snprintf(sorted + strlen(sorted),
		    sizeof(sorted) - strlen(sorted), "%s ", words[i]);
	assert_string_equal(sorted, wanted);
}

#define TEST(s, f) cmocka_unit_test_setup_teardown(f, s, teardown)

#endif
