/* SPDX-License-Identifier: PostgreSQL */
/* Putting objects into an S3 store; see s3.c. */
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

static bool
has_condition(struct s3 *s3)
{
	bool has;

	(void)pthread_mutex_lock(&s3->shared->lock);
	has = !s3->shared->no_condition;
	(void)pthread_mutex_unlock(&s3->shared->lock);
	return has;
}

static void
note_no_condition(struct s3 *s3)
{
	bool new;

	(void)pthread_mutex_lock(&s3->shared->lock);
	new = !s3->shared->no_condition;
	s3->shared->no_condition = true;
	(void)pthread_mutex_unlock(&s3->shared->lock);
	if (new)
		log_debug("%s: the server does not know or not surely obey "
		    "If-None-Match: each put is preceded by a look whether "
		    "the name is taken",
		    s3->st.url);
}

/* Is what lies there exactly this? S3_FINE: *same tells. */
static enum s3_verdict
compare(struct s3 *s3, const char *key, const void *data, size_t len,
    bool *same, struct err *err)
{
	uint8_t hash[MD5_SIZE];
	char hex[2 * MD5_SIZE + 1];
	enum s3_verdict verdict;
	struct s3_meta meta;
	struct s3_call c;
	void *there;

	*same = false;
	s3_call_init(&c, "look at what was put", "GET", key);
	verdict = s3_try_meta(s3, key, &meta, &c, err);
	s3_call_free(&c);
	if (verdict != S3_FINE || meta.size != len)
		return verdict;
	*same = len == 0;
	if (!*same && meta.etag_is_md5 && md5(data, len, hash, err) == 0) {
		text_hex(hash, sizeof(hash), hex);
		*same = strcasecmp(hex, meta.etag) == 0;
	}
	err_clear(err); /* no MD5 on this machine */
	if (*same)
		return S3_FINE;
	there = xmalloc(len);
	if (s3_get(&s3->st, key, 0, len, there, err) == 0)
		*same = memcmp(there, data, len) == 0;
	else
		verdict = S3_FAILED;
	free(there);
	return verdict;
}

/*
 * The name is taken. By us, if an earlier try was obeyed and only its answer
 * was lost: that is success.
 */
static enum s3_verdict
name_is_taken(struct s3 *s3, const struct s3_call *c, struct err *err)
{
	enum s3_verdict verdict = S3_FINE;
	bool same = false;

	if (c->maybe_obeyed)
		verdict = compare(s3, c->key, c->body, c->body_len, &same,
		    err);
	if (verdict == S3_FAILED && err->code == ERR_NOT_FOUND)
		return S3_AGAIN; /* removed meanwhile */
	if (verdict != S3_FINE || same)
		return verdict;
	(void)err_set(err, ERR_EXISTS, "the name is taken");
	return S3_FAILED;
}

/* Without conditions on the server's side: look first. */
static enum s3_verdict
check_free(struct s3 *s3, const struct s3_call *c, struct err *err)
{
	enum s3_verdict verdict;
	struct s3_meta meta;
	struct s3_call look;

	s3_call_init(&look, c->what, "GET", c->key);
	verdict = s3_try_meta(s3, c->key, &meta, &look, err);
	s3_call_free(&look);
	if (verdict == S3_FINE) {
		(void)err_set(err, ERR_EXISTS, "the name is taken");
		return S3_FAILED;
	}
	if (verdict == S3_FAILED && err->code == ERR_NOT_FOUND) {
		err_clear(err);
		return S3_FINE;
	}
	return verdict;
}

/*
 * In a bucket with versions some servers (Ceph 16) take the condition, ignore
 * it, and put a new version before the old one. Nothing is lost by that, but
 * the old one is hidden: so from now on each put is preceded by a look, unless
 * the server is Amazon's, which obeys.
 */
static void
note_versions(struct s3 *s3, const struct s3_call *c)
{
	char version[1024];

	if (s3->shared->place.host != NULL && http_header(&c->answer,
	    "x-amz-version-id", version, sizeof(version)) &&
	    version[0] != '\0')
		note_no_condition(s3);
}

static enum s3_verdict
put_once(struct s3 *s3, struct s3_call *c, struct err *err)
{
	struct sigv4_pair headers[S3_PUT_HEADERS_MAX + 2];
	struct s3_put_headers extra;
	enum s3_verdict verdict = S3_FINE;
	bool condition = has_condition(s3);

	if (s3_put_headers(&s3->shared->rules, c->key, c->body, c->body_len,
		s3_now(s3), &extra, err) != 0)
		return S3_FAILED;
	memcpy(headers, extra.pairs, extra.n * sizeof(*headers));
	c->n_headers = extra.n;
	headers[c->n_headers++] = (struct sigv4_pair){ "content-type",
		"application/octet-stream" };
	if (condition)
		headers[c->n_headers++] = (struct sigv4_pair){
			"if-none-match", "*" };
	c->headers = headers;
	if (!condition)
		verdict = check_free(s3, c, err);
	if (verdict == S3_FINE)
		verdict = s3_try(s3, c, err);
	c->headers = NULL;
	if (verdict == S3_FINE && condition)
		note_versions(s3, c);
	if (verdict != S3_FAILED)
		return verdict;
	if (err->code == ERR_EXISTS)
		return name_is_taken(s3, c, err);
	if (err->code == ERR_UNSUPPORTED && condition) {
		note_no_condition(s3);
		return put_once(s3, c, err);
	}
	return verdict;
}

int
s3_put(struct storage *st, const char *key, const void *data, size_t len,
    struct err *err)
{
	struct s3 *s3 = (struct s3 *)st;
	uint8_t hash[SHA256_SIZE];
	char hex[2 * SHA256_SIZE + 1];
	enum s3_verdict verdict;
	struct s3_call c;
	struct retry r;

	if (sha256(data, len, hash, err) != 0)
		return -1;
	text_hex(hash, sizeof(hash), hex);
	s3_call_init(&c, "put", "PUT", key);
	c.body = len == 0 ? "" : data;
	c.body_len = len;
	c.body_hash = hex;
	retry_begin(&r, s3->shared->timeout_ms);
	do
		verdict = put_once(s3, &c, err);
	while (s3_again(verdict, &c, &r, err));
	s3_call_free(&c);
	return verdict == S3_FINE ? 0 : -1;
}
