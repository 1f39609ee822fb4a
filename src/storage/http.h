/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_HTTP_H
#define STORAGE_HTTP_H

/*
 * HTTP/1.1 by libcurl: one request at a time over a connection that is kept.
 *
 *	http_new(&h, &options, err);
 *	http_answer_init(&a);
 *	http_do(h, &request, &a, err);		as often as needed
 *	http_answer_free(&a);
 *	http_free(h);
 *
 * An answer of any status is success here; what it means is the caller's to
 * say. Redirects are not followed. Certificates are verified always. Proxies
 * are those of curl's environment variables (https_proxy, no_proxy, ...).
 * A handle and an answer serve one thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

struct http;

struct http_options {
	const char *ca_file; /* NULL: the system's; copied */
	unsigned connect_ms; /* at most, to connect */
	unsigned stall_s; /* give up when less than 1 kB/s came for so long */
	bool no_proxy;
};

struct http_header {
	const char *name;
	const char *value;
};

struct http_request {
	const char *method;
	const char *url;
	const struct http_header *headers;
	size_t n_headers;
	const void *body; /* not copied; NULL: none */
	size_t body_len;
	uint64_t timeout_ms; /* of all; 0: only as the options say */
	/* Where the body of a status from 200 to 299 goes: */
	void *into; /* up to into_len bytes, or */
	size_t into_len;
	struct buf *into_buf; /* appended, up to its ceiling */
};

/* What became of a request that got no whole answer. */
enum http_failure {
	HTTP_ANSWERED,
	HTTP_AGAIN,  /* may go better another time */
	HTTP_NEVER,  /* certificate, address, cancelled: err says which */
	HTTP_TOO_LONG /* the body is larger than what it should go into */
};

struct http_answer {
	enum http_failure failure;
	int status; /* 0: not even that came */
	size_t got; /* bytes that lie in `into` or were appended to the buf */
	/*
	 * A connection that was kept broke, and curl may have sent the
	 * request once more: the first one may have been obeyed.
	 */
	bool resent;
	struct buf headers; /* as they came, of the last status */
	struct buf other; /* the body of any other status, cut at 64 kB */
};

void http_answer_init(struct http_answer *a);
void http_answer_free(struct http_answer *a);

int http_new(struct http **out, const struct http_options *options,
    struct err *err) ERR_USE;
void http_free(struct http *h); /* NULL is fine */

/*
 * 0: a whole answer is in *a (cleared first). -1: a->failure says what to
 * think of it; ERR_STORAGE, ERR_CONFIG, ERR_CANCELLED. A signal that comes
 * meanwhile ends it; one that came before does not (something is being
 * cleaned up).
 */
int http_do(struct http *h, const struct http_request *request,
    struct http_answer *a, struct err *err) ERR_USE;

/*
 * The first header of that name (small letters), trimmed, into out; false
 * when there is none or it is longer.
 */
bool http_header(const struct http_answer *a, const char *name, char *out,
    size_t size);

/* A header that is a time, as microseconds since 2000; false: none. */
bool http_header_time(const struct http *h, const struct http_answer *a,
    const char *name, int64_t *out);

/* What Retry-After asks for; 0: nothing. */
uint64_t http_retry_after_ms(const struct http *h,
    const struct http_answer *a);

#endif
