/* SPDX-License-Identifier: PostgreSQL */
/*
 * What all storages share: keys are checked here once, errors get the name
 * of the object, and a storage that cannot write in pieces has them collected.
 */
#include "config.h"

#include "storage/storage.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "storage/storage_ops.h"

struct scheme {
	const char *prefix;
	int (*open)(struct storage **out, const struct storage_settings *set,
	    struct err *err);
};

static const struct scheme schemes[] = {
	{ "file://", storage_posix_open },
	{ "s3://", storage_s3_open },
	{ "sftp://", storage_sftp_open },
};

static bool
part_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

/* The parts of s are a key's; with `open_end` the last one may be empty. */
static bool
parts_valid(const char *s, bool open_end)
{
	size_t part = 0, total = 0;

	for (; *s != '\0'; s++) {
		if (++total > STORAGE_KEY_MAX - 1)
			return false;
		if (*s == '/') {
			if (part == 0)
				return false;
			part = 0;
			continue;
		}
		if (!part_char(*s) || (part == 0 && *s == '.') || ++part > 255)
			return false;
	}
	return part > 0 || open_end;
}

bool
storage_key_valid(const char *key)
{
	return parts_valid(key, false);
}

static int
check_key(const struct storage *st, const char *key, struct err *err)
{
	if (storage_key_valid(key))
		return 0;
	return err_set(err, ERR_BUG, "%s: '%s' is not an object's name",
	    st->url, key);
}

static int
wrap(const struct storage *st, const char *key, struct err *err)
{
	return err_wrap(err, "%s/%s", st->url, key);
}

int
storage_open(struct storage **out, const struct storage_settings *set,
    struct err *err)
{
	const char *url = set->url;
	size_t i;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (strncmp(url, schemes[i].prefix,
			strlen(schemes[i].prefix)) == 0)
			return schemes[i].open(out, set, err);
	err_set(err, ERR_CONFIG, "'%s' is not a repository's address", url);
	return err_hint(err,
	    "write it as file:///absolute/path, with three slashes");
}

int
storage_clone(const struct storage *st, struct storage **out, struct err *err)
{
	return st->ops->clone(st, out, err);
}

void
storage_close(struct storage *st)
{
	if (st != NULL)
		st->ops->close(st);
}

bool
storage_is_local(const char *url)
{
	return strncmp(url, "file:", 5) == 0;
}

const char *
storage_url(const struct storage *st)
{
	return st->url;
}

int
storage_create(struct storage *st, struct err *err)
{
	if (st->ops->create(st, err) != 0)
		return err_wrap(err, "%s", st->url);
	return 0;
}

int
storage_probe_root(struct storage *st, struct err *err)
{
	if (st->ops->probe_root(st, err) != 0)
		return err_wrap(err, "%s", st->url);
	return 0;
}

static int
check_size(size_t len, struct err *err)
{
	if (len <= STORAGE_OBJECT_MAX)
		return 0;
	return err_set(err, ERR_BUG,
	    "an object of %zu bytes, more than the %zu that are allowed", len,
	    STORAGE_OBJECT_MAX);
}

int
storage_put(struct storage *st, const char *key, const void *data, size_t len,
    struct err *err)
{
	if (check_key(st, key, err) != 0)
		return -1;
	if (check_size(len, err) != 0 ||
	    st->ops->put(st, key, data, len, err) != 0)
		return wrap(st, key, err);
	return 0;
}

/* Pieces of a storage that puts only whole objects. */
struct collected {
	struct storage_put put;
	struct buf bytes;
};

int
storage_put_begin(struct storage *st, const char *key,
    struct storage_put **out, struct err *err)
{
	struct collected *c;

	if (check_key(st, key, err) != 0)
		return -1;
	if (st->ops->put_begin == NULL) {
		c = xcalloc(1, sizeof(*c));
		buf_init(&c->bytes, STORAGE_OBJECT_MAX);
		*out = &c->put;
	} else if (st->ops->put_begin(st, key, out, err) != 0)
		return wrap(st, key, err);
	(*out)->st = st;
	(*out)->key = xstrdup(key);
	return 0;
}

int
storage_put_append(struct storage_put *put, const void *data, size_t len,
    struct err *err)
{
	int rc;

	/* Sizes are compared so that a huge len cannot wrap the sum. */
	if (len > STORAGE_OBJECT_MAX - put->len)
		rc = check_size(STORAGE_OBJECT_MAX + 1, err);
	else if (put->st->ops->put_begin == NULL) {
		buf_add(&((struct collected *)put)->bytes, data, len);
		rc = 0;
	} else
		rc = put->st->ops->put_append(put, data, len, err);
	if (rc != 0) {
		put->failed = true;
		return wrap(put->st, put->key, err);
	}
	put->len += len;
	return 0;
}

int
storage_put_finish(struct storage_put *put, struct err *err)
{
	struct storage *st = put->st;
	struct collected *c;
	char *key = put->key;
	int rc;

	if (put->failed) {
		err_set(err, ERR_BUG, "%s/%s: finished after a failed write",
		    st->url, key);
		storage_put_abort(put);
		return -1;
	}
	if (st->ops->put_begin == NULL) {
		c = (struct collected *)put;
		rc = st->ops->put(st, key, c->bytes.data == NULL ? "" :
		    (const void *)c->bytes.data, c->bytes.len, err);
		buf_free(&c->bytes);
		free(c);
	} else
		rc = st->ops->put_finish(put, err);
	if (rc != 0)
		wrap(st, key, err);
	free(key);
	return rc;
}

void
storage_put_abort(struct storage_put *put)
{
	char *key;

	if (put == NULL)
		return;
	key = put->key;
	if (put->st->ops->put_begin == NULL) {
		buf_free(&((struct collected *)put)->bytes);
		free(put);
	} else
		put->st->ops->put_abort(put);
	free(key);
}

int
storage_get(struct storage *st, const char *key, uint64_t off, size_t len,
    void *out, struct err *err)
{
	if (check_key(st, key, err) != 0)
		return -1;
	if (st->ops->get(st, key, off, len, out, err) != 0)
		return wrap(st, key, err);
	return 0;
}

int
storage_get_all(struct storage *st, const char *key, struct buf *b,
    struct err *err)
{
	uint64_t size;
	uint8_t *p;

	if (check_key(st, key, err) != 0)
		return -1;
	if (st->ops->get_all != NULL) {
		if (st->ops->get_all(st, key, b, err) != 0)
			return wrap(st, key, err);
		return 0;
	}
	if (storage_stat(st, key, &size, NULL, err) != 0)
		return -1;
	if (size > STORAGE_OBJECT_MAX || size > b->max - b->len) {
		err_set(err, ERR_REFUSED, "%llu bytes are more than %zu",
		    (unsigned long long)size, b->max);
		return wrap(st, key, err);
	}
	p = buf_reserve(b, (size_t)size);
	if (p == NULL) /* b was marked before already */
		return err_set(err, ERR_BUG, "%s/%s: no room to read into",
		    st->url, key);
	if (size > 0 && storage_get(st, key, 0, (size_t)size, p, err) != 0)
		return -1;
	b->len += (size_t)size;
	b->data[b->len] = 0;
	return 0;
}

int
storage_stat(struct storage *st, const char *key, uint64_t *size,
    int64_t *mtime, struct err *err)
{
	int64_t unused;

	if (check_key(st, key, err) != 0)
		return -1;
	if (st->ops->stat(st, key, size, mtime == NULL ? &unused : mtime,
		err) != 0)
		return wrap(st, key, err);
	return 0;
}

int
storage_list(struct storage *st, const char *prefix, bool delimiter,
    storage_list_fn fn, void *arg, struct err *err)
{
	if (!parts_valid(prefix, true))
		return err_set(err, ERR_BUG,
		    "%s: '%s' is not the start of a name", st->url, prefix);
	if (st->ops->list(st, prefix, delimiter, fn, arg, err) != 0)
		return err_wrap(err, "list %s/%s", st->url, prefix);
	return 0;
}

uint64_t
storage_folder_margin(struct storage *st)
{
	return st->ops->folder_margin == NULL ? 0 : st->ops->folder_margin(st);
}

int
storage_settle(struct storage *st, const char *key, struct err *err)
{
	if (check_key(st, key, err) != 0)
		return -1;
	if (st->ops->settle != NULL && st->ops->settle(st, key, err) != 0)
		return wrap(st, key, err);
	return 0;
}

int
storage_sweep(struct storage *st, uint64_t older_than_us, uint64_t *removed,
    struct err *err)
{
	uint64_t n = 0;

	if (st->ops->sweep != NULL &&
	    st->ops->sweep(st, older_than_us, &n, err) != 0)
		return err_wrap(err, "%s: remove unfinished files", st->url);
	if (removed != NULL)
		*removed = n;
	return 0;
}

int
storage_remove_many(struct storage *st, const char *const *keys, size_t n,
    struct err *err)
{
	size_t i;

	if (st->ops->remove_many == NULL) {
		for (i = 0; i < n; i++)
			if (storage_remove(st, keys[i], err) != 0)
				return -1;
		return 0;
	}
	for (i = 0; i < n; i++)
		if (check_key(st, keys[i], err) != 0)
			return -1;
	if (st->ops->remove_many(st, keys, n, err) != 0)
		return err_wrap(err, "%s", st->url);
	return 0;
}

int
storage_remove(struct storage *st, const char *key, struct err *err)
{
	if (check_key(st, key, err) != 0)
		return -1;
	if (st->ops->remove(st, key, err) != 0)
		return wrap(st, key, err);
	return 0;
}

void
storage_facts(struct storage *st, struct storage_facts *out)
{
	memset(out, 0, sizeof(*out));
	out->refuses_taken = true;
	if (st->ops->facts != NULL)
		st->ops->facts(st, out);
}

int64_t
storage_lock_until(struct storage *st)
{
	return st->ops->lock_until != NULL ? st->ops->lock_until(st) : 0;
}
