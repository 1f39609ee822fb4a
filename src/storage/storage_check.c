/* SPDX-License-Identifier: PostgreSQL */
/* Trying a storage out: every operation once, on an object of its own. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/random.h"
#include "core/text.h"
#include "core/time.h"
#include "storage/storage.h"

#define PROBE_PREFIX "tmp-probe/"
#define PROBE_SIZE 4096
#define KEY_MAX 64
#define SECOND INT64_C(1000000)
#define CLOCK_BLUR (SECOND / 20) /* kernels stamp files by a coarse clock */

/* What is sent to measure: more when the first went quickly. */
#define MEASURE_FIRST ((size_t)1 << 20)
#define MEASURE_MORE ((size_t)8 << 20)
#define MEASURE_QUICK_US (SECOND / 2)

struct seen {
	const char *name;
	unsigned n;
	uint64_t size;
};

static int
note_entry(void *arg, const struct storage_entry *entry, struct err *err)
{
	struct seen *seen = arg;

	if (strcmp(entry->name, seen->name) == 0) {
		seen->n++;
		seen->size = entry->size;
	}
	return 0;
}

static int
check_get(struct storage *st, const char *key, const uint8_t *data,
    struct err *err)
{
	uint8_t back[PROBE_SIZE];
	uint64_t size;

	if (storage_stat(st, key, &size, NULL, err) != 0)
		return err_wrap(err, "look up the object just put");
	if (size != PROBE_SIZE)
		return err_set(err, ERR_STORAGE,
		    "%s/%s: %d bytes were put, %llu are there",
		    storage_url(st), key, PROBE_SIZE,
		    (unsigned long long)size);
	if (storage_get(st, key, 0, PROBE_SIZE, back, err) != 0)
		return err_wrap(err, "read the object just put");
	if (memcmp(back, data, PROBE_SIZE) != 0)
		return err_set(err, ERR_STORAGE,
		    "%s/%s: other bytes came back than were put",
		    storage_url(st), key);
	if (storage_get(st, key, 1000, 24, back, err) != 0)
		return err_wrap(err, "read a part of the object just put");
	if (memcmp(back, data + 1000, 24) != 0)
		return err_set(err, ERR_STORAGE,
		    "%s/%s: a part that was read has other bytes",
		    storage_url(st), key);
	return 0;
}

static int
check_list(struct storage *st, const char *key, unsigned expected,
    struct err *err)
{
	struct seen seen = { .name = key + strlen(PROBE_PREFIX) };

	if (storage_list(st, PROBE_PREFIX, true, note_entry, &seen, err) != 0)
		return err_wrap(err, "list the probe");
	if (seen.n != expected || (expected > 0 && seen.size != PROBE_SIZE))
		return err_set(err, ERR_STORAGE,
		    "%s/%s: listed %u times with %llu bytes, should be %u",
		    storage_url(st), key, seen.n,
		    (unsigned long long)seen.size, expected);
	return 0;
}

/* A name that is taken must be refused. */
static int
check_taken(struct storage *st, const char *key, struct err *err)
{
	if (storage_put(st, key, "other", 5, err) == 0) {
		err_set(err, ERR_STORAGE,
		    "%s/%s: a put replaced an object that was there",
		    storage_url(st), key);
		return err_hint(err, "this store takes the condition that "
		    "forbids it (If-None-Match) and does not obey it: use "
		    "another server, or a newer version of it");
	}
	if (err->code != ERR_EXISTS)
		return err_wrap(err, "put under a name that is taken");
	err_clear(err);
	return 0;
}

static int
new_key(char key[KEY_MAX], struct err *err)
{
	uint8_t random[8];
	char hex[2 * sizeof(random) + 1];

	if (random_bytes(random, sizeof(random), err) != 0)
		return -1;
	text_hex(random, sizeof(random), hex);
	(void)snprintf(key, KEY_MAX, PROBE_PREFIX "%s", hex);
	return 0;
}

/*
 * The store's clock against ours: its time of an object that was put between
 * two moments of ours. Many stores give whole seconds, cut off.
 */
static int
check_clock(struct storage *st, const char *key, int64_t before,
    int64_t after, int64_t *offset, struct err *err)
{
	int64_t mtime, low, high;
	uint64_t size;

	if (storage_stat(st, key, &size, &mtime, err) != 0)
		return err_wrap(err, "look up the object just put");
	low = mtime - after;
	high = mtime + (mtime % SECOND == 0 ? SECOND : 0) - before;
	*offset = low > CLOCK_BLUR ? low : high < -CLOCK_BLUR ? high : 0;
	return 0;
}

static int
check_operations(struct storage *st, const char *key, const uint8_t *data,
    struct storage_check *out, struct err *err)
{
	int64_t begun;
	uint8_t byte;

	if (check_get(st, key, data, err) != 0 ||
	    check_list(st, key, 1, err) != 0 ||
	    check_taken(st, key, err) != 0 ||
	    check_get(st, key, data, err) != 0)
		return -1;
	begun = time_monotonic();
	if (storage_get(st, key, 0, 1, &byte, err) != 0)
		return err_wrap(err, "read a part of the object just put");
	out->request_us = (uint64_t)(time_monotonic() - begun);
	storage_facts(st, &out->facts);
	return 0;
}

static int
check_removed(struct storage *st, const char *key, struct err *err)
{
	uint64_t size;

	if (storage_remove(st, key, err) != 0)
		return err_wrap(err, "remove the probe");
	if (check_list(st, key, 0, err) != 0)
		return -1;
	if (storage_stat(st, key, &size, NULL, err) == 0)
		return err_set(err, ERR_STORAGE,
		    "%s/%s: still there after it was removed",
		    storage_url(st), key);
	if (err->code != ERR_NOT_FOUND)
		return err_wrap(err, "look up the removed probe");
	err_clear(err);
	return 0;
}

static uint64_t
speed(size_t bytes, int64_t begun)
{
	const int64_t took = time_monotonic() - begun;

	return (uint64_t)((double)bytes * 1e6 / (double)(took > 0 ? took : 1));
}

/* Some MiB there and back; *took: how long the way there was. */
static int
transfer(struct storage *st, size_t size, uint8_t *bytes, int64_t *took,
    struct storage_check *out, struct err *err)
{
	struct err second = ERR_INIT;
	uint8_t *back = NULL;
	char key[KEY_MAX];
	int64_t begun;
	int rc;

	if (new_key(key, err) != 0)
		return -1;
	begun = time_monotonic();
	if (storage_put(st, key, bytes, size, err) != 0)
		return err_wrap(err, "put %zu MiB", size >> 20);
	*took = time_monotonic() - begun;
	out->up = speed(size, begun);
	back = xmalloc(size);
	begun = time_monotonic();
	rc = storage_get(st, key, 0, size, back, err);
	out->down = speed(size, begun);
	if (rc != 0)
		(void)err_wrap(err, "read %zu MiB", size >> 20);
	else if (memcmp(back, bytes, size) != 0)
		rc = err_set(err, ERR_STORAGE, "%s/%s: other bytes came back "
		    "than were put", storage_url(st), key);
	free(back);
	if (storage_remove(st, key, rc == 0 ? err : &second) != 0 && rc == 0)
		return err_wrap(err, "remove the probe");
	return rc;
}

static int
measure_speed(struct storage *st, struct storage_check *out, struct err *err)
{
	uint8_t *bytes = xmalloc(MEASURE_MORE);
	int64_t took = 0;
	int rc;

	/* Nothing on the way should be able to compress it. */
	rc = random_bytes(bytes, MEASURE_MORE, err);
	if (rc == 0)
		rc = transfer(st, MEASURE_FIRST, bytes, &took, out, err);
	if (rc == 0 && took < MEASURE_QUICK_US)
		rc = transfer(st, MEASURE_MORE, bytes, &took, out, err);
	free(bytes);
	return rc;
}

int
storage_check(struct storage *st, bool measure, struct storage_check *out,
    struct err *err)
{
	uint8_t data[PROBE_SIZE];
	struct err second = ERR_INIT;
	char key[KEY_MAX];
	int64_t before, after;

	memset(out, 0, sizeof(*out));
	if (storage_probe_root(st, err) != 0 || new_key(key, err) != 0 ||
	    random_bytes(data, sizeof(data), err) != 0)
		return -1;
	before = time_now();
	if (storage_put(st, key, data, sizeof(data), err) != 0)
		return err_wrap(err, "put a probe");
	after = time_now();
	if (check_clock(st, key, before, after, &out->clock_us, err) != 0 ||
	    check_operations(st, key, data, out, err) != 0) {
		(void)!storage_remove(st, key, &second); /* err tells more */
		return -1;
	}
	if (check_removed(st, key, err) != 0)
		return -1;
	return measure ? measure_speed(st, out, err) : 0;
}

static void
add_speed(struct buf *out, uint64_t bytes, const char *way)
{
	buf_printf(out, bytes < 10000000 ? ", %.1f MB/s %s" : ", %.0f MB/s %s",
	    (double)bytes / 1e6, way);
}

void
storage_check_text(const struct storage_check *c, struct buf *out)
{
	const double off = (double)c->clock_us / 1e6;

	buf_printf(out, "put, get, range, list, create-if-absent (%s), "
	    "remove; ", c->facts.refuses_taken ?
	    "the store refuses a taken name itself" :
	    "looked up before each put");
	if (c->clock_us == 0)
		buf_add_str(out, "clock agrees");
	else
		buf_printf(out, "clock %.1f s %s", off < 0 ? -off : off,
		    off < 0 ? "behind" : "ahead");
	buf_printf(out, "; %.1f ms a request", (double)c->request_us / 1e3);
	if (c->up > 0) {
		add_speed(out, c->up, "up");
		add_speed(out, c->down, "down");
	}
	if (c->facts.more[0] != '\0')
		buf_printf(out, "; %s", c->facts.more);
}
