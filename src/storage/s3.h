/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_S3_H
#define STORAGE_S3_H

/*
 * What the files of the S3 storage share; no one else includes it.
 *
 * An operation is a loop around s3_try(), which sends one request:
 *
 *	s3_call_init(&c, "list", "GET", key);
 *	retry_begin(&r, s3->shared->timeout_ms);
 *	do
 *		verdict = s3_try(s3, &c, err);
 *	while (s3_again(verdict, &c, &r, err));
 *	s3_call_free(&c);
 */
#include <pthread.h>

#include "storage/http.h"
#include "storage/retry.h"
#include "storage/s3_answer.h"
#include "storage/s3_credentials.h"
#include "storage/s3_place.h"
#include "storage/s3_put_headers.h"
#include "storage/sigv4.h"
#include "storage/storage_ops.h"

/* Of a handle and its clones. */
struct s3_shared {
	pthread_mutex_t lock; /* of what is below, up to the empty line */
	unsigned handles;
	char *region;
	int64_t clock; /* server's time less ours, microseconds */
	bool no_condition; /* the server does not know If-None-Match */
	bool no_batch; /* nor DeleteObjects */

	struct s3_place place;
	struct s3_put_rules rules;
	struct s3_credentials *credentials;
	bool region_given; /* by the settings: never followed elsewhere */
	uint64_t timeout_ms;
	char *ca_file;
};

struct s3 {
	struct storage st;
	struct s3_shared *shared;
	struct http *http; /* NULL until first used */
};

enum s3_verdict { S3_FINE, S3_AGAIN, S3_FAILED };

struct s3_call {
	const char *what; /* "put", for messages */
	const char *method;
	const char *key; /* NULL: the bucket */
	const struct sigv4_pair *query;
	size_t n_query;
	const struct sigv4_pair *headers; /* besides those of all requests */
	size_t n_headers;
	const void *body;
	size_t body_len;
	const char *body_hash; /* SHA-256, hexadecimal; NULL: no body */
	void *into; /* as in struct http_request */
	size_t into_len;
	struct buf *into_buf;
	bool is_xml; /* into_buf gets a document, which may be an error's */
	bool was_cancelled; /* before the operation began */

	struct http_answer answer;
	struct s3_failure failure; /* status 0: the request failed before */
	uint64_t retry_after_ms;
	bool maybe_obeyed; /* an earlier try may have been; the last one not */
};

void s3_call_init(struct s3_call *c, const char *what, const char *method,
    const char *key);
void s3_call_free(struct s3_call *c);

/*
 * One request. S3_FINE: an answer of status 200 to 299 that is no error.
 * Else err says why, by its code too: ERR_NOT_FOUND (certain), ERR_EXISTS
 * (a condition does not hold), ERR_DAMAGED (no such range), ERR_UNSUPPORTED
 * (the server does not have that), ERR_CONFIG, ERR_STORAGE. What can be
 * mended at once (clock, region, an ended session) is, and tried again here.
 */
enum s3_verdict s3_try(struct s3 *s3, struct s3_call *c, struct err *err);

/*
 * Is it to be tried again? Then the pause is over. If the time is, err says
 * how often it was tried.
 */
bool s3_again(enum s3_verdict verdict, const struct s3_call *c,
    struct retry *r, struct err *err);

/* s3_try() as often as needed; 0 or -1. */
int s3_run(struct s3 *s3, struct s3_call *c, struct err *err) ERR_USE;

/* The server's time, as far as it is known. */
int64_t s3_now(struct s3 *s3);

/* What is known of an object. */
struct s3_meta {
	uint64_t size;
	int64_t mtime;
	char etag[72]; /* without quotes */
	bool etag_is_md5;
};

enum s3_verdict s3_try_meta(struct s3 *s3, const char *key,
    struct s3_meta *meta, struct s3_call *c, struct err *err);

/* Operations: s3_get.c, s3_put.c, s3_remove.c, s3_list.c. */
int s3_get(struct storage *st, const char *key, uint64_t off, size_t len,
    void *out, struct err *err) ERR_USE;
int s3_get_all(struct storage *st, const char *key, struct buf *b,
    struct err *err) ERR_USE;
int s3_stat(struct storage *st, const char *key, uint64_t *size,
    int64_t *mtime, struct err *err) ERR_USE;
int s3_put(struct storage *st, const char *key, const void *data, size_t len,
    struct err *err) ERR_USE;
int s3_list(struct storage *st, const char *prefix, bool delimiter,
    storage_list_fn fn, void *arg, struct err *err) ERR_USE;
int s3_remove(struct storage *st, const char *key, struct err *err) ERR_USE;
int s3_remove_many(struct storage *st, const char *const *keys, size_t n,
    struct err *err) ERR_USE;

#endif
