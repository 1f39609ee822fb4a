/* SPDX-License-Identifier: PostgreSQL */
/* One object: checked, put, and looked at once more. */
#include "config.h"

#include <string.h>

#include "core/cancel.h"
#include "core/log.h"
#include "copy/copy_work.h"

static bool
must_stop(void *arg)
{
	const struct copy *c = arg;

	return cancel_requested() || atomic_load(&c->stop) ||
	    pool_failed(c->pool);
}

int
copy_failed_there(struct err *err)
{
	if (copy_is_of_object(err))
		err->code = ERR_STORAGE;
	return -1;
}

/* The name is taken: by the same bytes? */
static int
compare(struct copy_worker *w, const char *key, const void *data, size_t len,
    bool *taken, struct err *err)
{
	buf_clear(&w->other);
	err_clear(err);
	if (storage_get_all(w->to->st, key, &w->other, err) != 0)
		return copy_failed_there(err);
	*taken = w->other.len != len ||
	    (len > 0 && memcmp(w->other.data, data, len) != 0);
	if (*taken || storage_settle(w->to->st, key, err) == 0)
		return 0;
	return copy_failed_there(err);
}

void
copy_count_put(struct copy *c, size_t len)
{
	(void)pthread_mutex_lock(&c->lock);
	c->result.objects++;
	c->result.bytes += len;
	(void)pthread_mutex_unlock(&c->lock);
	if (c->p.progress != NULL)
		atomic_fetch_add(&c->p.progress->done_bytes, len);
}

int
copy_put(struct copy_worker *w, const char *key, const void *data,
    size_t len, bool *taken, struct err *err)
{
	struct copy *c = w->c;
	uint64_t size;

	*taken = false;
	if (!rate_take(&c->rate, len, must_stop, c))
		return err_set(err, ERR_CANCELLED, "stopped");
	if (storage_put(w->to->st, key, data, len, err) != 0)
		return err->code == ERR_EXISTS ?
		    compare(w, key, data, len, taken, err) : copy_failed_there(err);
	if (storage_stat(w->to->st, key, &size, NULL, err) != 0) {
		(void)copy_failed_there(err);
		return err_wrap(err, "look at what was just put");
	}
	if (size != len)
		return err_set(err, ERR_STORAGE, "%s/%s has %llu bytes, and "
		    "%zu were put", storage_url(w->to->st), key,
		    (unsigned long long)size, len);
	copy_count_put(c, len);
	return 0;
}

int
copy_check_pack(struct copy_worker *w, const struct buf *bytes,
    const char *name, const struct pack_id *id, struct err *err)
{
	const struct object_header *h;
	struct object_reader r;
	struct frame_header fh;
	uint32_t i;
	int rc = 0;

	if (object_reader_open_bytes(&r, w->from, bytes->data, bytes->len, name,
		OBJECT_PACK, w->c->inc.system_id, err) != 0)
		return -1;
	h = &r.header;
	if (!h->has_pack || h->attempt != id->attempt ||
	    h->number != id->number || strcmp(h->name, id->label) != 0)
		rc = err_set(err, ERR_DAMAGED, "%s holds another pack", name);
	for (i = 0; i < r.n && rc == 0; i++)
		rc = object_reader_prove(&r, w->codec, i,
		    bytes->data + r.entries[i].offset, &fh, w->plain,
		    FORMAT_FRAME_PLAIN_MAX, err);
	object_reader_close(&r);
	return rc;
}

bool
copy_is_of_object(const struct err *err)
{
	return err->code == ERR_DAMAGED || err->code == ERR_NOT_FOUND ||
	    err->code == ERR_UNSUPPORTED;
}

void
copy_note_damage(struct copy *c, const char *what, const struct err *err)
{
	log_warning("not copied: %s: %s", what, err->msg);
	(void)pthread_mutex_lock(&c->lock);
	c->result.damaged++;
	(void)pthread_mutex_unlock(&c->lock);
}

void
copy_note_conflict(struct copy *c, const char *what, const char *why)
{
	log_warning("not copied: %s: %s", what, why);
	(void)pthread_mutex_lock(&c->lock);
	c->result.conflicts++;
	(void)pthread_mutex_unlock(&c->lock);
}
