/* SPDX-License-Identifier: PostgreSQL */
/* Reading objects of an S3 store; see s3.c. */
#include "config.h"

#include "storage/s3.h"

#include <stdio.h>
#include <string.h>

#include "core/text.h"

/* "bytes 3-6/10"; a total that is not told is UINT64_MAX. */
struct content_range {
	uint64_t first, last, total;
};

static bool
read_range(const struct http_answer *a, struct content_range *r)
{
	char text[80], *dash, *slash;

	if (!http_header(a, "content-range", text, sizeof(text)) ||
	    strncmp(text, "bytes ", 6) != 0)
		return false;
	dash = strchr(text, '-');
	slash = strchr(text, '/');
	if (dash == NULL || slash == NULL || slash < dash)
		return false;
	*dash++ = '\0';
	*slash++ = '\0';
	r->total = UINT64_MAX;
	return text_u64(text + 6, UINT64_MAX, &r->first) &&
	    text_u64(dash, UINT64_MAX, &r->last) && r->last >= r->first &&
	    (strcmp(slash, "*") == 0 ||
	    text_u64(slash, UINT64_MAX - 1, &r->total));
}

static void
read_etag(const struct http_answer *a, char *out, size_t size)
{
	char text[80];
	size_t len;

	out[0] = '\0';
	if (!http_header(a, "etag", text, sizeof(text)))
		return;
	len = strlen(text);
	if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
		text[len - 1] = '\0';
		memmove(text, text + 1, len - 1);
	}
	if (strlen(text) < size)
		memcpy(out, text, strlen(text) + 1);
}

/* A bucket's default encryption makes of ETag something else than MD5. */
static bool
etag_is_md5(const struct http_answer *a, const char *etag)
{
	uint8_t unused[16];
	char method[32];

	return text_unhex(etag, unused, sizeof(unused)) &&
	    (!http_header(a, "x-amz-server-side-encryption", method,
		sizeof(method)) || strcmp(method, "AES256") == 0) &&
	    !http_header(a, "x-amz-server-side-encryption-customer-algorithm",
		method, sizeof(method));
}

/*
 * Asked for is the first byte: a HEAD's errors would come without a word of
 * what is wrong, and could not tell a missing object from a missing bucket.
 * Only of an empty object there is no first byte.
 */
enum s3_verdict
s3_try_meta(struct s3 *s3, const char *key, struct s3_meta *meta,
    struct s3_call *c, struct err *err)
{
	static const struct sigv4_pair first_byte = { "range", "bytes=0-0" };
	struct content_range range = { 0, 0, UINT64_MAX };
	enum s3_verdict verdict;
	char byte, text[32];

	c->method = "GET";
	c->key = key;
	c->headers = &first_byte;
	c->n_headers = 1;
	c->into = &byte;
	c->into_len = 1;
	verdict = s3_try(s3, c, err);
	if (verdict == S3_FAILED && err->code == ERR_DAMAGED) {
		c->method = "HEAD";
		c->n_headers = 0;
		verdict = s3_try(s3, c, err);
	}
	c->into = NULL;
	if (verdict == S3_FAILED && c->answer.failure == HTTP_TOO_LONG &&
	    c->answer.status == 200) { /* it does not know ranges */
		err_clear(err);
		verdict = S3_FINE;
	}
	if (verdict != S3_FINE)
		return verdict;
	meta->size = UINT64_MAX;
	if (c->answer.status == 206 && read_range(&c->answer, &range))
		meta->size = range.total;
	else if (c->answer.status == 200 &&
	    http_header(&c->answer, "content-length", text, sizeof(text)))
		(void)!text_u64(text, UINT64_MAX - 1, &meta->size);
	read_etag(&c->answer, meta->etag, sizeof(meta->etag));
	meta->etag_is_md5 = etag_is_md5(&c->answer, meta->etag);
	if (meta->size != UINT64_MAX && http_header_time(s3->http, &c->answer,
	    "last-modified", &meta->mtime))
		return S3_FINE;
	(void)err_set(err, ERR_STORAGE, "%s: the server does not tell size "
	    "and time of the object", c->what);
	return S3_AGAIN;
}

int
s3_stat(struct storage *st, const char *key, uint64_t *size, int64_t *mtime,
    struct err *err)
{
	struct s3 *s3 = (struct s3 *)st;
	enum s3_verdict verdict;
	struct s3_meta meta;
	struct s3_call c;
	struct retry r;

	s3_call_init(&c, "look up", "GET", key);
	retry_begin(&r, s3->shared->timeout_ms);
	do
		verdict = s3_try_meta(s3, key, &meta, &c, err);
	while (s3_again(verdict, &c, &r, err));
	s3_call_free(&c);
	if (verdict != S3_FINE)
		return -1;
	*size = meta.size;
	*mtime = meta.mtime;
	return 0;
}

/* A range being read, over as many requests as it takes. */
struct fetch {
	uint64_t off;
	size_t len;
	uint8_t *out;
	size_t got;
	char etag[72]; /* of the object that the first bytes came from */
};

/* Count what came, also before a cut, if it is what was asked for. */
static int
take(struct fetch *f, const struct s3_call *c, struct err *err)
{
	struct content_range range;
	char etag[sizeof(f->etag)];

	if (c->answer.status == 206) {
		if (!read_range(&c->answer, &range) ||
		    range.first != f->off + f->got)
			return err_set(err, ERR_STORAGE,
			    "get: the server sent another range");
	} else if (c->answer.status != 200 || f->off + f->got != 0)
		return err_set(err, ERR_STORAGE, "get: the server sent all "
		    "where a part was asked for");
	read_etag(&c->answer, etag, sizeof(etag));
	if (f->got == 0)
		memcpy(f->etag, etag, sizeof(etag));
	f->got += c->answer.got;
	return 0;
}

static enum s3_verdict
fetch_more(struct s3 *s3, struct fetch *f, struct s3_call *c,
    struct err *err)
{
	char range[64], etag[sizeof(f->etag) + 2];
	struct sigv4_pair headers[] = { { "range", range },
		{ "if-match", etag } };
	struct content_range got;
	struct err why = ERR_INIT;
	enum s3_verdict verdict;

	(void)snprintf(range, sizeof(range), "bytes=%llu-%llu",
	    (unsigned long long)(f->off + f->got),
	    (unsigned long long)(f->off + f->len - 1));
	(void)snprintf(etag, sizeof(etag), "\"%s\"", f->etag);
	c->headers = headers;
	c->n_headers = f->got > 0 && f->etag[0] != '\0' ? 2 : 1;
	c->into = f->out + f->got;
	c->into_len = f->len - f->got;
	verdict = s3_try(s3, c, err);
	if (verdict == S3_FAILED && err->code == ERR_EXISTS) {
		f->got = 0; /* it is another object now */
		return S3_AGAIN;
	}
	if (c->answer.status < 200 || c->answer.status > 299 ||
	    c->failure.code[0] != '\0')
		return verdict;
	if (take(f, c, &why) != 0) {
		f->got = 0;
		*err = why;
		return S3_AGAIN;
	}
	if (f->got == f->len) {
		err_clear(err);
		return S3_FINE;
	}
	if (verdict != S3_FINE)
		return verdict;
	if (c->answer.status == 200 || (read_range(&c->answer, &got) &&
	    got.total < f->off + f->len)) {
		(void)err_set(err, ERR_DAMAGED, "ends at offset %llu, %zu "
		    "bytes were expected from %llu",
		    (unsigned long long)(f->off + f->got), f->len,
		    (unsigned long long)f->off);
		return S3_FAILED;
	}
	(void)err_set(err, ERR_STORAGE, "get: less came than was asked for");
	return S3_AGAIN;
}

/*
 * All of an object, whose size is not known, by one request. 200 to 299 and a
 * cut: f goes on with the rest.
 */
static enum s3_verdict
fetch_all(struct s3 *s3, struct fetch *f, struct buf *b, struct s3_call *c,
    struct err *err)
{
	enum s3_verdict verdict;
	const size_t before = b->len;
	char text[32];
	uint64_t len;
	bool known;

	c->into_buf = b;
	verdict = s3_try(s3, c, err);
	c->into_buf = NULL;
	b->len = before;
	if (verdict == S3_FINE)
		b->len += c->answer.got;
	if (c->answer.failure == HTTP_TOO_LONG) {
		(void)err_set(err, ERR_REFUSED, "more than %zu bytes", b->max);
		return S3_FAILED;
	}
	known = http_header(&c->answer, "content-length", text,
	    sizeof(text)) && text_u64(text, b->max - b->len, &len);
	if (verdict != S3_AGAIN || c->answer.status != 200 || !known ||
	    c->answer.got > len)
		return verdict;
	f->len = (size_t)len;
	f->out = buf_reserve(b, f->len);
	f->got = c->answer.got;
	read_etag(&c->answer, f->etag, sizeof(f->etag));
	return S3_AGAIN;
}

int
s3_get_all(struct storage *st, const char *key, struct buf *b,
    struct err *err)
{
	struct s3 *s3 = (struct s3 *)st;
	struct fetch f = { .len = 0 };
	enum s3_verdict verdict;
	struct s3_call c;
	struct retry r;

	s3_call_init(&c, "get", "GET", key);
	retry_begin(&r, s3->shared->timeout_ms);
	do
		verdict = f.len == 0 ? fetch_all(s3, &f, b, &c, err) :
		    fetch_more(s3, &f, &c, err);
	while (s3_again(verdict, &c, &r, err));
	s3_call_free(&c);
	/* Not earlier: what came before a cut is kept behind b->len. */
	if (verdict == S3_FINE)
		b->len += f.len;
	if (b->data != NULL)
		b->data[b->len] = 0;
	return verdict == S3_FINE ? 0 : -1;
}

int
s3_get(struct storage *st, const char *key, uint64_t off, size_t len,
    void *out, struct err *err)
{
	struct s3 *s3 = (struct s3 *)st;
	struct fetch f = { .off = off, .len = len, .out = out };
	enum s3_verdict verdict;
	struct s3_call c;
	struct retry r;
	uint64_t size;
	int64_t mtime;

	if (len == 0) /* no range of HTTP is empty */
		return s3_stat(st, key, &size, &mtime, err);
	s3_call_init(&c, "get", "GET", key);
	retry_begin(&r, s3->shared->timeout_ms);
	do
		verdict = fetch_more(s3, &f, &c, err);
	while (s3_again(verdict, &c, &r, err));
	s3_call_free(&c);
	return verdict == S3_FINE ? 0 : -1;
}
