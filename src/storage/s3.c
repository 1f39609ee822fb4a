/* SPDX-License-Identifier: PostgreSQL */
/*
 * A bucket of an S3 server as a storage. An object is put whole by one
 * request, under If-None-Match: * so that none is ever replaced, and counts
 * as stored when the server says so. A request is tried again when it may go
 * better (s3_answer.c), and is always the whole operation: only reading goes
 * on where it was cut.
 */
#include "config.h"

#include "storage/s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

static const struct storage_ops s3_ops;

static struct storage *
handle_new(struct s3_shared *shared, const char *url)
{
	struct s3 *s3 = xcalloc(1, sizeof(*s3));

	s3->st.ops = &s3_ops;
	s3->st.url = xstrdup(url);
	s3->shared = shared;
	return &s3->st;
}

static void
shared_free(struct s3_shared *shared)
{
	(void)pthread_mutex_destroy(&shared->lock); /* nobody holds it */
	s3_place_free(&shared->place);
	s3_put_rules_free(&shared->rules);
	s3_credentials_free(shared->credentials);
	free(shared->region);
	free(shared->ca_file);
	free(shared);
}

static int
s3_clone(const struct storage *st, struct storage **out, struct err *err)
{
	struct s3_shared *shared = ((const struct s3 *)st)->shared;

	(void)pthread_mutex_lock(&shared->lock);
	shared->handles++;
	(void)pthread_mutex_unlock(&shared->lock);
	*out = handle_new(shared, st->url);
	return 0;
}

static void
s3_close(struct storage *st)
{
	struct s3 *s3 = (struct s3 *)st;
	unsigned left;

	(void)pthread_mutex_lock(&s3->shared->lock);
	left = --s3->shared->handles;
	(void)pthread_mutex_unlock(&s3->shared->lock);
	if (left == 0)
		shared_free(s3->shared);
	http_free(s3->http);
	free(st->url);
	free(s3);
}

/* The bucket is there and may be listed. */
static int
s3_probe_root(struct storage *st, struct err *err)
{
	struct s3 *s3 = (struct s3 *)st;
	const struct sigv4_pair query[] = { { "list-type", "2" },
		{ "max-keys", "1" }, { "prefix", s3->shared->place.prefix } };
	struct s3_call c;
	int rc;

	s3_call_init(&c, "look at the bucket", "GET", NULL);
	c.query = query;
	c.n_query = 3;
	rc = s3_run(s3, &c, err);
	s3_call_free(&c);
	return rc;
}

static void
s3_facts(struct storage *st, struct storage_facts *out)
{
	struct s3_shared *shared = ((struct s3 *)st)->shared;

	(void)pthread_mutex_lock(&shared->lock);
	out->refuses_taken = !shared->no_condition;
	(void)pthread_mutex_unlock(&shared->lock);
	if (shared->rules.object_lock_days > 0)
		(void)snprintf(out->more, sizeof(out->more),
		    "objects locked for %u days",
		    shared->rules.object_lock_days);
}

static int64_t
s3_lock_until(struct storage *st)
{
	struct s3 *s3 = (struct s3 *)st;

	return s3_put_lock_until(&s3->shared->rules, s3_now(s3));
}

int
storage_s3_open(struct storage **out, const struct storage_settings *set,
    struct err *err)
{
	struct s3_shared *shared = xcalloc(1, sizeof(*shared));
	char *url;

	(void)pthread_mutex_init(&shared->lock, NULL); /* no error on Linux */
	shared->handles = 1;
	s3_put_rules_init(&shared->rules, set);
	shared->timeout_ms = set->timeout_ms == 0 ?
	    STORAGE_TIMEOUT_DEFAULT_MS : set->timeout_ms;
	if (set->ca_file != NULL)
		shared->ca_file = xstrdup(set->ca_file);
	shared->region = s3_credentials_region(set);
	shared->region_given = set->region != NULL;
	if (s3_place_init(&shared->place, set, err) != 0 ||
	    s3_put_rules_check(&shared->rules, err) != 0 ||
	    s3_credentials_new(&shared->credentials, set, err) != 0) {
		shared_free(shared);
		return err_wrap(err, "%s", set->url);
	}
	/* Locks imply versions: see note_versions() of s3_put.c. */
	shared->no_condition = set->object_lock_days > 0 &&
	    shared->place.host != NULL;
	url = xasprintf("s3://%s/%s", shared->place.bucket,
	    shared->place.prefix);
	url[strlen(url) - 1] = '\0'; /* the '/' */
	*out = handle_new(shared, url);
	free(url);
	return 0;
}

static const struct storage_ops s3_ops = {
	.scheme = "s3",
	.clone = s3_clone,
	.close = s3_close,
	.create = s3_probe_root, /* buckets are made by their owners */
	.probe_root = s3_probe_root,
	.put = s3_put,
	.get = s3_get,
	.stat = s3_stat,
	.list = s3_list,
	.remove = s3_remove,
	.facts = s3_facts,
	.lock_until = s3_lock_until,
	.get_all = s3_get_all,
	.remove_many = s3_remove_many,
};
