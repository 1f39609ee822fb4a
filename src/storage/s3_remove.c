/* SPDX-License-Identifier: PostgreSQL */
/* Removing objects of an S3 store, one or many at once; see s3.c. */
#include "config.h"

#include "storage/s3.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/log.h"
#include "core/md5.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "core/text.h"
#include "core/time.h"
#include "storage/s3_xml.h"

#define BATCH_MAX 1000 /* of the protocol */
#define BATCH_BYTES_MAX ((size_t)4 << 20)
#define MD5_TEXT_MAX 25 /* in base64, with the 0 */

/*
 * It may have been refused because the object is locked (not where buckets
 * have versions: there a removal only hides it). Then it stays for now, which
 * ERR_REFUSED tells.
 */
static void
explain_refusal(struct s3 *s3, const char *key, struct err *err)
{
	char until[64], hold[8], text[TIME_TEXT_MAX];
	struct err none = ERR_INIT;
	struct s3_meta meta;
	struct s3_call c;
	int64_t ends = 0;
	bool local, held;

	s3_call_init(&c, "look at the lock", "GET", key);
	if (s3_try_meta(s3, key, &meta, &c, &none) == S3_FINE) {
		held = http_header(&c.answer, "x-amz-object-lock-legal-hold",
		    hold, sizeof(hold)) && strcasecmp(hold, "ON") == 0;
		if (!http_header(&c.answer,
			"x-amz-object-lock-retain-until-date", until,
			sizeof(until)) ||
		    time_parse(until, &ends, &local, &none) != 0)
			ends = 0;
		if (held || ends > s3_now(s3)) {
			err_clear(err);
			(void)err_set(err, ERR_REFUSED, "remove: the store "
			    "keeps it locked%s%s", held ? "" : " until ",
			    held ? "" : time_format(ends, text));
		}
	}
	s3_call_free(&c);
}

int
s3_remove(struct storage *st, const char *key, struct err *err)
{
	struct s3_call c;
	int rc;

	s3_call_init(&c, "remove", "DELETE", key);
	rc = s3_run((struct s3 *)st, &c, err);
	s3_call_free(&c);
	if (rc != 0 && err->code == ERR_CONFIG)
		explain_refusal((struct s3 *)st, key, err);
	if (rc == 0 || err->code != ERR_NOT_FOUND)
		return rc;
	err_clear(err);
	return 0;
}

/* A DeleteObjects request and what its answer says of each key. */
struct batch {
	const char *prefix; /* the place's */
	const char *const *keys;
	bool *gone;
	size_t n, at; /* answers mostly come in the order of the request */
	struct buf body, answer;
	char md5[MD5_TEXT_MAX], sha256[2 * SHA256_SIZE + 1];
	/* of the key at hand, and of the first that failed for good */
	struct buf key;
	struct s3_failure one, failed;
	char *failed_key;
	bool is_result;
};

/* The body for the keys that are not gone yet; false: all are. */
static int
write_body(struct batch *b, bool *any, struct err *err)
{
	uint8_t sum[MD5_SIZE], hash[SHA256_SIZE];
	size_t i;

	*any = false;
	buf_clear(&b->body);
	buf_add_str(&b->body, "<Delete xmlns=\"http://s3.amazonaws.com/doc/"
			      "2006-03-01/\">");
	for (i = 0; i < b->n; i++) {
		if (b->gone[i])
			continue;
		*any = true;
		buf_add_str(&b->body, "<Object><Key>");
		s3_xml_add(&b->body, b->prefix);
		s3_xml_add(&b->body, b->keys[i]);
		buf_add_str(&b->body, "</Key></Object>");
	}
	buf_add_str(&b->body, "</Delete>");
	if (buf_check(&b->body, "a list of objects", err) != 0 ||
	    md5(b->body.data, b->body.len, sum, err) != 0 ||
	    sha256(b->body.data, b->body.len, hash, err) != 0)
		return -1;
	text_base64(sum, sizeof(sum), b->md5);
	text_hex(hash, sizeof(hash), b->sha256);
	return 0;
}

static void
mark_gone(struct batch *b)
{
	const char *key = buf_str(&b->key);
	size_t i, skip = strlen(b->prefix);

	if (strncmp(key, b->prefix, skip) != 0)
		return;
	for (i = 0; i < b->n; i++, b->at++) {
		b->at %= b->n;
		if (strcmp(b->keys[b->at], key + skip) == 0) {
			b->gone[b->at] = true;
			return;
		}
	}
}

static void
note_failure(struct batch *b)
{
	enum s3_kind kind = s3_failure_kind(&b->one);

	if (kind == S3_KIND_NO_KEY)
		mark_gone(b);
	else if (kind != S3_KIND_AGAIN && b->failed_key == NULL) {
		b->failed = b->one;
		b->failed_key = xstrdup(buf_str(&b->key));
	}
}

static int
note(void *arg, const char *path, const char *text, struct err *err)
{
	struct batch *b = arg;

	if (strcmp(path, "/DeleteResult") == 0)
		b->is_result = true;
	else if (strcmp(path, "/DeleteResult/Deleted/Key") == 0 ||
	    strcmp(path, "/DeleteResult/Error/Key") == 0) {
		buf_clear(&b->key);
		buf_add_str(&b->key, text);
	} else if (strcmp(path, "/DeleteResult/Deleted") == 0)
		mark_gone(b);
	else if (strcmp(path, "/DeleteResult/Error/Code") == 0)
		s3_failure_text(b->one.code, sizeof(b->one.code), text);
	else if (strcmp(path, "/DeleteResult/Error/Message") == 0)
		s3_failure_text(b->one.message, sizeof(b->one.message), text);
	else if (strcmp(path, "/DeleteResult/Error") == 0) {
		note_failure(b);
		memset(&b->one, 0, sizeof(b->one));
	}
	return 0;
}

/* S3_AGAIN: some keys are left. */
static enum s3_verdict
read_answer(struct s3 *s3, struct batch *b, struct err *err)
{
	size_t i, left = 0;

	b->is_result = false;
	b->at = 0;
	memset(&b->one, 0, sizeof(b->one));
	buf_clear(&b->key);
	if (s3_xml_read(b->answer.data, b->answer.len, note, b, err) != 0 ||
	    !b->is_result) {
		(void)err_set(err, ERR_STORAGE, "remove: the server's answer "
		    "is none to the removal of several objects");
		return S3_AGAIN;
	}
	if (b->failed_key != NULL) {
		b->failed.status = 200;
		(void)s3_failure_tell(&b->failed, s3->shared->place.bucket,
		    s3_credentials_source(s3->shared->credentials), err);
		(void)err_wrap(err, "remove %s", b->failed_key);
		return S3_FAILED;
	}
	for (i = 0; i < b->n; i++)
		left += !b->gone[i];
	if (left == 0)
		return S3_FINE;
	(void)err_set(err, ERR_STORAGE, "remove: %zu of %zu objects are left",
	    left, b->n);
	return S3_AGAIN;
}

static enum s3_verdict
try_batch(struct s3 *s3, struct batch *b, struct s3_call *c, struct err *err)
{
	const struct sigv4_pair query = { "delete", "" };
	const struct sigv4_pair headers[] = { { "content-md5", b->md5 },
		{ "content-type", "application/xml" } };
	enum s3_verdict verdict;
	bool any;

	if (write_body(b, &any, err) != 0)
		return S3_FAILED;
	if (!any)
		return S3_FINE;
	c->query = &query;
	c->n_query = 1;
	c->headers = headers;
	c->n_headers = 2;
	c->body = b->body.data;
	c->body_len = b->body.len;
	c->body_hash = b->sha256;
	buf_clear(&b->answer);
	c->into_buf = &b->answer;
	c->is_xml = true;
	verdict = s3_try(s3, c, err);
	if (verdict == S3_FINE)
		verdict = read_answer(s3, b, err);
	c->query = c->headers = NULL;
	return verdict;
}

/*
 * *unknown: not by this server, or not without MD5 on this machine. *denied:
 * of an object, which may be locked.
 */
static int
remove_batch(struct s3 *s3, const char *const *keys, size_t n, bool *unknown,
    bool *denied, struct err *err)
{
	struct batch b = { .prefix = s3->shared->place.prefix, .keys = keys,
		.n = n };
	enum s3_verdict verdict;
	enum s3_kind kind;
	struct s3_call c;
	struct retry r;

	b.gone = xcalloc(n, sizeof(*b.gone));
	buf_init(&b.body, BATCH_BYTES_MAX);
	buf_init(&b.answer, BATCH_BYTES_MAX);
	buf_init(&b.key, S3_XML_TEXT_MAX);
	s3_call_init(&c, "remove", "POST", NULL);
	retry_begin(&r, s3->shared->timeout_ms);
	do
		verdict = try_batch(s3, &b, &c, err);
	while (s3_again(verdict, &c, &r, err));
	kind = s3_failure_kind(&c.failure);
	*unknown = verdict == S3_FAILED && b.failed_key == NULL &&
	    (err->code == ERR_UNSUPPORTED ||
	    (c.failure.status != 0 && kind == S3_KIND_REFUSED));
	*denied = verdict == S3_FAILED && b.failed_key != NULL &&
	    s3_failure_kind(&b.failed) == S3_KIND_DENIED;
	s3_call_free(&c);
	buf_free(&b.body);
	buf_free(&b.answer);
	buf_free(&b.key);
	free(b.failed_key);
	free(b.gone);
	return verdict == S3_FINE ? 0 : -1;
}

static bool
has_batch(struct s3 *s3)
{
	bool has;

	(void)pthread_mutex_lock(&s3->shared->lock);
	has = !s3->shared->no_batch;
	(void)pthread_mutex_unlock(&s3->shared->lock);
	return has;
}

static void
note_no_batch(struct s3 *s3, const struct err *why)
{
	log_debug("objects are removed one by one: %s", why->msg);
	(void)pthread_mutex_lock(&s3->shared->lock);
	s3->shared->no_batch = true;
	(void)pthread_mutex_unlock(&s3->shared->lock);
}

int
s3_remove_many(struct storage *st, const char *const *keys, size_t n,
    struct err *err)
{
	struct s3 *s3 = (struct s3 *)st;
	size_t i, step, alone = 0;
	bool unknown, denied;

	for (i = 0; i < n; i += step) {
		step = n - i < BATCH_MAX ? n - i : BATCH_MAX;
		if (step > 1 && i >= alone && has_batch(s3)) {
			if (remove_batch(s3, keys + i, step, &unknown,
				&denied, err) == 0)
				continue;
			if (!unknown && !denied)
				return -1;
			if (unknown)
				note_no_batch(s3, err);
			alone = i + step; /* to see why it was denied */
			err_clear(err);
		}
		step = 1;
		if (s3_remove(st, keys[i], err) != 0)
			return err_wrap(err, "%s", keys[i]);
	}
	return 0;
}
