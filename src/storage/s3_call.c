/* SPDX-License-Identifier: PostgreSQL */
/* One request to an S3 server: built, signed, sent, and judged. */
#include "config.h"

#include "storage/s3.h"

#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"

#define ABSENCE_BYTES_MAX ((size_t)1 << 20)
#define URL_MAX_BYTES 8192
#define EMPTY_HASH \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define FIXES_MAX 3 /* clock, region, session: each at most once */
#define HEADERS_MAX 24
#define ERROR_STARTS ((size_t)1024) /* within so many bytes */
#define CLOCK_STEP ((int64_t)60 * 1000000)

/* What is written for one request. */
struct draft {
	struct buf host, path, url;
	char time[SIGV4_TIME_MAX];
	char *region;
	struct s3_keys keys;
	struct sigv4_text text;
	struct sigv4_pair headers[HEADERS_MAX];
	size_t n_headers;
	int64_t clock; /* as it was signed */
};

void
s3_call_init(struct s3_call *c, const char *what, const char *method,
    const char *key)
{
	memset(c, 0, sizeof(*c));
	c->what = what;
	c->method = method;
	c->key = key;
	c->was_cancelled = cancel_requested();
	http_answer_init(&c->answer);
}

void
s3_call_free(struct s3_call *c)
{
	http_answer_free(&c->answer);
}

static void
draft_init(struct draft *d)
{
	memset(d, 0, sizeof(*d));
	buf_init(&d->host, URL_MAX_BYTES);
	buf_init(&d->path, URL_MAX_BYTES);
	buf_init(&d->url, URL_MAX_BYTES);
	sigv4_text_init(&d->text);
}

static void
draft_free(struct draft *d)
{
	buf_free(&d->host);
	buf_free(&d->path);
	buf_free(&d->url);
	free(d->region);
	s3_keys_free(&d->keys);
	sigv4_text_free(&d->text);
}

static int
add(struct draft *d, const char *name, const char *value, struct err *err)
{
	if (d->n_headers == HEADERS_MAX)
		return err_set(err, ERR_BUG, "a request of too many headers");
	d->headers[d->n_headers++] = (struct sigv4_pair){ name, value };
	return 0;
}

static int
write_request(struct s3 *s3, const struct s3_call *c, struct draft *d,
    struct err *err)
{
	struct s3_shared *shared = s3->shared;
	size_t i;

	(void)pthread_mutex_lock(&shared->lock);
	d->region = xstrdup(shared->region);
	d->clock = shared->clock;
	(void)pthread_mutex_unlock(&shared->lock);
	s3_place_host(&shared->place, d->region, &d->host);
	s3_place_path(&shared->place, c->key, &d->path);
	buf_printf(&d->url, "%s://%s", shared->place.https ? "https" : "http",
	    buf_str(&d->host));
	sigv4_encode(&d->url, buf_str(&d->path), true);
	if (c->n_query > 0) {
		buf_add_byte(&d->url, '?');
		sigv4_query(&d->url, c->query, c->n_query);
	}
	if (buf_check(&d->path, "the object's name", err) != 0 ||
	    buf_check(&d->url, "the object's address", err) != 0 ||
	    s3_credentials_get(shared->credentials, &d->keys, err) != 0)
		return -1;
	sigv4_time(time_now() + d->clock, d->time);
	if (add(d, "host", buf_str(&d->host), err) != 0 ||
	    add(d, "x-amz-date", d->time, err) != 0 ||
	    add(d, "x-amz-content-sha256",
		c->body_hash == NULL ? EMPTY_HASH : c->body_hash, err) != 0)
		return -1;
	if (d->keys.token != NULL &&
	    add(d, "x-amz-security-token", d->keys.token, err) != 0)
		return -1;
	for (i = 0; i < c->n_headers; i++)
		if (add(d, c->headers[i].name, c->headers[i].value, err) != 0)
			return -1;
	return 0;
}

static int
sign(const struct s3_call *c, struct draft *d, struct err *err)
{
	struct sigv4_request r = { .method = c->method,
		.path = buf_str(&d->path), .query = c->query,
		.n_query = c->n_query, .headers = d->headers,
		.n_headers = d->n_headers,
		.payload_hash = c->body_hash == NULL ? EMPTY_HASH :
		    c->body_hash,
		.time = d->time, .region = d->region, .service = "s3",
		.key_id = d->keys.id, .secret = d->keys.secret };

	return sigv4_sign(&r, &d->text, err);
}

static int
need_http(struct s3 *s3, struct err *err)
{
	uint64_t quarter_s = s3->shared->timeout_ms / 4000;
	struct http_options o = { .ca_file = s3->shared->ca_file };

	if (s3->http != NULL)
		return 0;
	/* So short that a request which hangs is sent again in time. */
	o.stall_s = quarter_s < 2 ? 2 :
	    quarter_s > 30 ? 30 : (unsigned)quarter_s;
	o.connect_ms = o.stall_s > 10 ? 10000 : o.stall_s * 1000;
	return http_new(&s3->http, &o, err);
}

static int
send_request(struct s3 *s3, struct s3_call *c, const struct draft *d,
    struct err *err)
{
	struct http_header headers[HEADERS_MAX + 1];
	struct http_request r = { .method = c->method,
		.url = buf_str(&d->url), .headers = headers,
		.body = c->body, .body_len = c->body_len, .into = c->into,
		.into_len = c->into_len, .into_buf = c->into_buf };
	size_t i;

	for (i = 0; i < d->n_headers; i++)
		headers[i] = (struct http_header){ d->headers[i].name,
			d->headers[i].value };
	headers[i++] = (struct http_header){ "Authorization",
		buf_str(&d->text.authorization) };
	r.n_headers = i;
	if (http_do(s3->http, &r, &c->answer, err) == 0)
		return 0;
	return err_wrap(err, "%s://%s", s3->shared->place.https ? "https" :
	    "http", buf_str(&d->host));
}

/* Are these other keys than those that were refused? */
static bool
other_keys(struct s3 *s3, const struct s3_keys *used, struct err *err)
{
	struct s3_keys fresh = { NULL, NULL, NULL };
	struct err why = ERR_INIT;
	bool other;

	s3_credentials_refuse(s3->shared->credentials, used);
	if (s3_credentials_get(s3->shared->credentials, &fresh, &why) != 0) {
		*err = why;
		return false;
	}
	other = strcmp(fresh.id, used->id) != 0 ||
	    strcmp(fresh.secret, used->secret) != 0 ||
	    strcmp(fresh.token == NULL ? "" : fresh.token,
		used->token == NULL ? "" : used->token) != 0;
	s3_keys_free(&fresh);
	return other;
}

/* Sign with the server's time from now on? */
static bool
set_clock(struct s3 *s3, const struct s3_call *c, const struct draft *d)
{
	struct s3_shared *shared = s3->shared;
	int64_t theirs, offset;

	if (!http_header_time(s3->http, &c->answer, "date", &theirs))
		return false;
	offset = theirs - time_now();
	if (offset > d->clock - CLOCK_STEP && offset < d->clock + CLOCK_STEP)
		return false;
	(void)pthread_mutex_lock(&shared->lock);
	shared->clock = offset;
	(void)pthread_mutex_unlock(&shared->lock);
	log_debug("%s: this host's clock is %lld s off the server's",
	    s3->st.url, (long long)offset / 1000000);
	return true;
}

/* Go where the bucket is, unless the user said another region. */
static bool
set_region(struct s3 *s3, struct s3_call *c, const struct draft *d)
{
	struct s3_shared *shared = s3->shared;
	struct s3_failure *f = &c->failure;

	if (f->region[0] == '\0')
		(void)http_header(&c->answer, "x-amz-bucket-region",
		    f->region, sizeof(f->region)); /* "" when there is none */
	if (f->region[0] == '\0' || shared->region_given ||
	    strspn(f->region, "abcdefghijklmnopqrstuvwxyz0123456789-") !=
		strlen(f->region) || strcmp(f->region, d->region) == 0)
		return false;
	(void)pthread_mutex_lock(&shared->lock);
	free(shared->region);
	shared->region = xstrdup(f->region);
	(void)pthread_mutex_unlock(&shared->lock);
	log_debug("%s: the bucket is in region %s", s3->st.url, f->region);
	return true;
}

/* A 404 that may be the bucket's: list what begins with the key. */
static enum s3_verdict
settle_absence(struct s3 *s3, const struct s3_call *of, struct err *err)
{
	char *prefix = xasprintf("%s%s", s3->shared->place.prefix, of->key);
	const struct sigv4_pair query[] = { { "list-type", "2" },
		{ "max-keys", "1" }, { "prefix", prefix } };
	char *key = xasprintf("%s</Key>", of->key);
	enum s3_verdict verdict;
	struct s3_call c;
	struct buf body;
	bool is_list, listed;

	buf_init(&body, ABSENCE_BYTES_MAX);
	s3_call_init(&c, of->what, "GET", NULL);
	c.query = query;
	c.n_query = 3;
	c.into_buf = &body;
	c.is_xml = true;
	verdict = s3_try(s3, &c, err);
	s3_call_free(&c);
	/* It is the first of those that begin like it. */
	is_list = body.len > 0 &&
	    memmem(body.data, body.len, "<ListBucketResult", 17) != NULL;
	listed = body.len > 0 &&
	    memmem(body.data, body.len, key, strlen(key)) != NULL;
	buf_free(&body);
	free(key);
	free(prefix);
	if (verdict != S3_FINE)
		return verdict;
	if (is_list && !listed) {
		(void)err_set(err, ERR_NOT_FOUND, "no such object");
		return S3_FAILED;
	}
	(void)err_set(err, ERR_STORAGE, "%s: the server answers 404, and %s",
	    of->what, listed ? "lists the object" : "no listing when asked "
	    "for one");
	return S3_AGAIN;
}

/* What an answer that is no success means; *fixed: send it again at once. */
static enum s3_verdict
judge(struct s3 *s3, struct s3_call *c, const struct draft *d, bool *fixed,
    struct err *err)
{
	enum s3_kind kind = s3_failure_kind(&c->failure);
	struct err why = ERR_INIT;

	switch (kind) {
	case S3_KIND_CLOCK:
		*fixed = set_clock(s3, c, d);
		break;
	case S3_KIND_REGION:
		*fixed = set_region(s3, c, d);
		break;
	case S3_KIND_EXPIRED:
		*fixed = other_keys(s3, &d->keys, &why);
		break;
	case S3_KIND_KEYS:
		*fixed = d->keys.token != NULL &&
		    other_keys(s3, &d->keys, &why);
		break;
	default:
		break;
	}
	if (kind == S3_KIND_UNCLEAR && c->key != NULL)
		return settle_absence(s3, c, err);
	(void)s3_failure_tell(&c->failure, s3->shared->place.bucket,
	    s3_credentials_source(s3->shared->credentials), err);
	if (why.code != ERR_NONE) /* why there are no other keys */
		*err = why;
	if (kind != S3_KIND_AGAIN)
		return S3_FAILED;
	c->retry_after_ms = http_retry_after_ms(s3->http, &c->answer);
	return S3_AGAIN;
}

/* Also an answer of status 200 can have an error for its body. */
static bool
says_error(struct s3_call *c)
{
	const struct http_answer *a = &c->answer;
	const struct buf *b = &a->other;
	char location[sizeof(c->failure.location)];

	if (a->status >= 200 && a->status <= 299 && c->into_buf != NULL) {
		b = c->into_buf;
		if (!c->is_xml || memmem(b->data, b->len < ERROR_STARTS ?
			b->len : ERROR_STARTS, "<Error", 6) == NULL)
			return false;
	}
	if (s3_failure_read(&c->failure, a->status, b->data, b->len))
		return true;
	if (http_header(a, "location", location, sizeof(location)))
		s3_failure_text(c->failure.location,
		    sizeof(c->failure.location), location);
	return false;
}

static enum s3_verdict
try_once(struct s3 *s3, struct s3_call *c, bool *fixed, struct err *err)
{
	struct draft d;
	enum s3_verdict verdict = S3_FAILED;

	*fixed = false;
	memset(&c->failure, 0, sizeof(c->failure));
	c->retry_after_ms = 0;
	draft_init(&d);
	if (write_request(s3, c, &d, err) != 0 || sign(c, &d, err) != 0 ||
	    need_http(s3, err) != 0)
		goto out;
	if (send_request(s3, c, &d, err) != 0) {
		if (c->answer.failure == HTTP_AGAIN)
			verdict = S3_AGAIN;
		goto out;
	}
	if (c->answer.resent)
		c->maybe_obeyed = true;
	if (!says_error(c) && c->answer.status >= 200 && c->answer.status <= 299)
		verdict = S3_FINE;
	else
		verdict = judge(s3, c, &d, fixed, err);
out:
	if (verdict == S3_AGAIN)
		c->maybe_obeyed = true;
	draft_free(&d);
	return verdict;
}

enum s3_verdict
s3_try(struct s3 *s3, struct s3_call *c, struct err *err)
{
	enum s3_verdict verdict;
	unsigned fixes = 0;
	bool fixed;

	do {
		err_clear(err);
		verdict = try_once(s3, c, &fixed, err);
	} while (fixed && ++fixes <= FIXES_MAX);
	if (verdict != S3_FINE)
		(void)err_wrap(err, "%s", c->what);
	return verdict;
}

bool
s3_again(enum s3_verdict verdict, const struct s3_call *c, struct retry *r,
    struct err *err)
{
	if (verdict != S3_AGAIN)
		return false;
	if (retry_wait(r, c->retry_after_ms))
		return true;
	if (cancel_requested() && !c->was_cancelled)
		(void)cancel_error(err);
	else if (r->tries > 1)
		(void)err_wrap(err, "tried %u times", r->tries);
	return false;
}

int
s3_run(struct s3 *s3, struct s3_call *c, struct err *err)
{
	enum s3_verdict verdict;
	struct retry r;

	retry_begin(&r, s3->shared->timeout_ms);
	do
		verdict = s3_try(s3, c, err);
	while (s3_again(verdict, c, &r, err));
	return verdict == S3_FINE ? 0 : -1;
}

int64_t
s3_now(struct s3 *s3)
{
	int64_t clock;

	(void)pthread_mutex_lock(&s3->shared->lock);
	clock = s3->shared->clock;
	(void)pthread_mutex_unlock(&s3->shared->lock);
	return time_now() + clock;
}
