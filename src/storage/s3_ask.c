/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/s3_ask.h"

#include <string.h>

#include "core/secret.h"
#include "core/time.h"

#define BODY_MAX ((size_t)64 << 10)
#define LOCAL_CONNECT_MS 1000
#define LOCAL_TIMEOUT_MS 5000
#define WIDE_CONNECT_MS 10000
#define WIDE_TIMEOUT_MS 20000
#define STALL_S 10

int
s3_ask_begin(struct s3_ask *ask, const struct s3_source_context *c,
    enum s3_ask_network network, struct err *err)
{
	const bool local = network == S3_ASK_LOCAL;
	const struct http_options options = {
		.ca_file = c->ca_file,
		.connect_ms = local ? LOCAL_CONNECT_MS : WIDE_CONNECT_MS,
		.stall_s = STALL_S,
		.no_proxy = local,
	};

	memset(ask, 0, sizeof(*ask));
	http_answer_init(&ask->answer);
	buf_init(&ask->body, BODY_MAX);
	(void)buf_reserve(&ask->body, BODY_MAX); /* it is never moved */
	ask->timeout_ms = local ? LOCAL_TIMEOUT_MS : WIDE_TIMEOUT_MS;
	ask->patient = c->patience_ms > 0;
	retry_begin(&ask->retry, c->patience_ms);
	return http_new(&ask->http, &options, err);
}

void
s3_ask_end(struct s3_ask *ask)
{
	http_free(ask->http);
	http_answer_free(&ask->answer);
	secret_buf_free(&ask->body);
	memset(ask, 0, sizeof(*ask));
}

static bool
may_go_better(int status)
{
	return status >= 500 || status == 408 || status == 429;
}

int
s3_ask(struct s3_ask *ask, const struct http_request *request,
    const char *what, struct err *err)
{
	struct http_request r = *request;
	bool again;
	int rc;

	r.timeout_ms = ask->timeout_ms;
	r.into_buf = &ask->body;
	do {
		err_clear(err);
		buf_clear(&ask->body);
		rc = http_do(ask->http, &r, &ask->answer, err);
		again = rc != 0 ? ask->answer.failure == HTTP_AGAIN :
				  may_go_better(ask->answer.status);
	} while (again && ask->patient &&
	    retry_wait(&ask->retry, rc != 0 ? 0 :
		http_retry_after_ms(ask->http, &ask->answer)));
	ask->status = ask->answer.status;
	if (rc != 0)
		return err_wrap(err, "%s", what);
	if (!http_header_time(ask->http, &ask->answer, "date", &ask->now))
		ask->now = time_now();
	return 0;
}
