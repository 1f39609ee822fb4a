/* SPDX-License-Identifier: PostgreSQL */
#ifndef STORAGE_S3_ASK_H
#define STORAGE_S3_ASK_H

/*
 * Asking a service for keys over HTTP, again and again as long as there is
 * patience, with all that was read wiped afterwards. One thread.
 *
 *	s3_ask_begin(&ask, context, &options, err);
 *	s3_ask(&ask, &request, err);		ask.status, ask.body, ask.now
 *	s3_ask_end(&ask);
 */
#include "storage/http.h"
#include "storage/retry.h"
#include "storage/s3_source.h"

struct s3_ask {
	struct http *http;
	struct http_answer answer;
	struct retry retry;
	bool patient;
	uint64_t timeout_ms; /* of one request */
	int status;
	struct buf body; /* of status 200 */
	int64_t now; /* the server's clock, else ours */
};

enum s3_ask_network {
	S3_ASK_LOCAL, /* beside us: no proxy, answers at once or never */
	S3_ASK_WIDE
};

int s3_ask_begin(struct s3_ask *ask, const struct s3_source_context *c,
    enum s3_ask_network network, struct err *err) ERR_USE;
void s3_ask_end(struct s3_ask *ask); /* fine on a zeroed one */

/*
 * 0: an answer of any status below 500 but 408 and 429, or the last one when
 * patience is over. `what` for messages.
 */
int s3_ask(struct s3_ask *ask, const struct http_request *request,
    const char *what, struct err *err) ERR_USE;

#endif
