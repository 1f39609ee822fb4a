/* SPDX-License-Identifier: PostgreSQL */
/* Trying a storage out: every operation once, on an object of its own. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "core/random.h"
#include "core/text.h"
#include "storage/storage.h"

#define PROBE_PREFIX "tmp-probe/"
#define PROBE_SIZE 4096

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
	if (storage_put(st, key, "other", 5, err) == 0)
		return err_set(err, ERR_STORAGE,
		    "%s/%s: a put replaced an object that was there",
		    storage_url(st), key);
	if (err->code != ERR_EXISTS)
		return err_wrap(err, "put under a name that is taken");
	err_clear(err);
	return 0;
}

int
storage_check(struct storage *st, struct err *err)
{
	uint8_t data[PROBE_SIZE], random[8];
	char key[64], hex[2 * sizeof(random) + 1];
	struct err second = ERR_INIT;
	uint64_t size;

	if (storage_probe_root(st, err) != 0 ||
	    random_bytes(random, sizeof(random), err) != 0 ||
	    random_bytes(data, sizeof(data), err) != 0)
		return -1;
	text_hex(random, sizeof(random), hex);
	(void)snprintf(key, sizeof(key), PROBE_PREFIX "%s", hex);
	if (storage_put(st, key, data, sizeof(data), err) != 0)
		return err_wrap(err, "put a probe");
	if (check_get(st, key, data, err) != 0 ||
	    check_list(st, key, 1, err) != 0 ||
	    check_taken(st, key, err) != 0 ||
	    check_get(st, key, data, err) != 0) {
		(void)!storage_remove(st, key, &second); /* err tells more */
		return -1;
	}
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
