/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/http.h"

#include <ctype.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "storage/libcurl.h"

#define HEADERS_MAX ((size_t)64 << 10)
#define OTHER_MAX ((size_t)64 << 10)
#define HEADER_LINE_MAX 16384
#define TRANSFER_BUFFER 524288L /* as large as older versions allow */
#define SLOW_BYTES_S 1024L
#define KEEP_ALIVE_S 30L
#define RETRY_AFTER_MAX_S 3600

struct http {
	const struct libcurl *curl;
	CURL *handle; /* NULL: none yet, or the last request failed */
	char *ca_file;
	unsigned connect_ms;
	unsigned stall_s;
	bool no_proxy;
	int fd; /* of the connection that was opened last; -1: none */
	bool used; /* a request went through: a connection may be kept */
};

/* A request under way. */
struct transfer {
	const struct http *http;
	const struct http_request *request;
	struct http_answer *answer;
	bool was_cancelled; /* before it began */
	bool too_long;
	bool head_ended; /* the empty line behind the headers came */
	bool stalled;
	curl_off_t moved; /* bytes, both ways */
	int64_t moved_at;
};

void
http_answer_init(struct http_answer *a)
{
	memset(a, 0, sizeof(*a));
	buf_init(&a->headers, HEADERS_MAX);
	buf_init(&a->other, OTHER_MAX);
}

void
http_answer_free(struct http_answer *a)
{
	buf_free(&a->headers);
	buf_free(&a->other);
}

int
http_new(struct http **out, const struct http_options *options,
    struct err *err)
{
	const struct libcurl *curl;
	struct http *h;

	if (libcurl_get(&curl, err) != 0)
		return -1;
	h = xcalloc(1, sizeof(*h));
	h->curl = curl;
	if (options->ca_file != NULL)
		h->ca_file = xstrdup(options->ca_file);
	h->fd = -1;
	h->connect_ms = options->connect_ms;
	h->stall_s = options->stall_s;
	h->no_proxy = options->no_proxy;
	*out = h;
	return 0;
}

/*
 * After a failure too: a handle of curl 7.88 whose host was not resolved
 * refuses all that follows.
 */
static void
forget_handle(struct http *h)
{
	if (h->handle != NULL)
		h->curl->easy_cleanup(h->handle);
	h->handle = NULL;
	h->used = false;
}

void
http_free(struct http *h)
{
	if (h == NULL)
		return;
	forget_handle(h);
	free(h->ca_file);
	free(h);
}

static int
need_handle(struct http *h, struct err *err)
{
	if (h->handle == NULL)
		h->handle = h->curl->easy_init();
	if (h->handle == NULL)
		return err_set(err, ERR_BUG, "curl_easy_init() failed");
	h->curl->easy_reset(h->handle);
	return 0;
}

/*
 * A server that sends head and body of an answer apart, and waits for our
 * kernel's acknowledgement of the head before it sends the body (Nagle's
 * algorithm; radosgw does), would make each small request take the 40 ms that
 * acknowledgements are put off. This sends it now.
 */
static void
acknowledge(const struct http *h)
{
	int on = 1;

	if (h->fd >= 0)
		(void)setsockopt(h->fd, IPPROTO_TCP, TCP_QUICKACK, &on,
		    sizeof(on)); /* only for speed */
}

static int
socket_opened(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	((struct http *)arg)->fd = fd;
	return CURL_SOCKOPT_OK;
}

static int
socket_closed(void *arg, curl_socket_t fd)
{
	struct http *h = arg;

	if (h->fd == fd)
		h->fd = -1;
	return close(fd);
}

/* Each status line begins anew: "100 Continue" may precede the answer. */
static size_t
take_header(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct http_answer *a = t->answer;
	char line[32];
	size_t len = size * n;

	if (len >= 5 && strncasecmp(data, "HTTP/", 5) == 0) {
		(void)snprintf(line, sizeof(line), "%.*s",
		    len > 31 ? 31 : (int)len, data);
		a->status = 0;
		(void)sscanf(line, "%*s %d", &a->status);
		buf_clear(&a->headers);
		t->head_ended = false;
		acknowledge(t->http);
		return len;
	}
	if (len > 0 && (data[0] == '\r' || data[0] == '\n'))
		t->head_ended = true;
	/* More than the ceiling: those that were first are enough. */
	if (len <= HEADER_LINE_MAX && len <= HEADERS_MAX - a->headers.len)
		buf_add(&a->headers, data, len);
	return len;
}

/* At once, when it is known how much will come. */
static void
make_room(const struct http_answer *a, struct buf *b)
{
	char text[32];
	uint64_t len;

	if (http_header(a, "content-length", text, sizeof(text)) &&
	    text_u64(text, b->max - b->len, &len))
		(void)buf_reserve(b, (size_t)len); /* there is room for it */
}

static size_t
take_body(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	const struct http_request *r = t->request;
	struct http_answer *a = t->answer;
	size_t len = size * n, room;

	if (a->status < 200 || a->status > 299) {
		room = OTHER_MAX - a->other.len;
		buf_add(&a->other, data, len < room ? len : room);
		return len;
	}
	if (r->into_buf != NULL) {
		if (a->got == 0)
			make_room(a, r->into_buf);
		if (len > r->into_buf->max - r->into_buf->len) {
			t->too_long = true;
			return 0;
		}
		buf_add(r->into_buf, data, len);
		a->got += len;
		return len;
	}
	if (r->into == NULL) { /* of no interest, but shown in errors */
		room = OTHER_MAX - a->other.len;
		buf_add(&a->other, data, len < room ? len : room);
		return len;
	}
	room = r->into_len - a->got;
	if (len > room) {
		memcpy((char *)r->into + a->got, data, room);
		a->got += room;
		t->too_long = true;
		return 0;
	}
	memcpy((char *)r->into + a->got, data, len);
	a->got += len;
	return len;
}

/* Once a second and more often: 1 ends the transfer. */
static int
look_around(void *arg, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
    curl_off_t up)
{
	struct transfer *t = arg;
	int64_t now = time_monotonic();

	if (down + up != t->moved) {
		t->moved = down + up;
		t->moved_at = now;
	} else if (now - t->moved_at > (int64_t)t->http->stall_s * 1000000)
		t->stalled = true; /* sooner than curl's average tells */
	return t->stalled || (!t->was_cancelled && cancel_requested());
}

static int
add_headers(const struct http *h, const struct http_request *r,
    struct curl_slist **out, struct err *err)
{
	struct curl_slist *list = NULL, *next;
	char *line;
	size_t i;

	for (i = 0; i <= r->n_headers; i++) {
		if (i == r->n_headers) /* a round trip before each upload */
			line = xstrdup("Expect:");
		else
			line = xasprintf("%s: %s", r->headers[i].name,
			    r->headers[i].value);
		next = h->curl->slist_append(list, line);
		explicit_bzero(line, strlen(line)); /* session tokens */
		free(line);
		if (next == NULL) {
			h->curl->slist_free_all(list);
			return err_set(err, ERR_BUG, "curl_slist_append() failed");
		}
		list = next;
	}
	*out = list;
	return 0;
}

/* What every request has. */
static CURLcode
set_common(struct http *h, struct transfer *t, char *message)
{
	CURLcode rc = CURLE_OK;

#define SET(option, value)                                              \
	do {                                                            \
		if (rc == CURLE_OK)                                     \
			rc = h->curl->easy_setopt(h->handle, option, value); \
	} while (0)

	SET(CURLOPT_ERRORBUFFER, message);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TCP_KEEPIDLE, KEEP_ALIVE_S);
	SET(CURLOPT_TCP_KEEPINTVL, KEEP_ALIVE_S);
	SET(CURLOPT_BUFFERSIZE, TRANSFER_BUFFER);
	SET(CURLOPT_UPLOAD_BUFFERSIZE, TRANSFER_BUFFER);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)h->connect_ms);
	SET(CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES_S);
	SET(CURLOPT_LOW_SPEED_TIME, (long)h->stall_s);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	if (h->ca_file != NULL) { /* those, and not the system's too */
		SET(CURLOPT_CAINFO, h->ca_file);
		SET(CURLOPT_CAPATH, NULL);
	}
	if (h->no_proxy)
		SET(CURLOPT_PROXY, "");
	SET(CURLOPT_HEADERFUNCTION, take_header);
	SET(CURLOPT_HEADERDATA, t);
	SET(CURLOPT_WRITEFUNCTION, take_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_SOCKOPTFUNCTION, socket_opened);
	SET(CURLOPT_SOCKOPTDATA, h);
	SET(CURLOPT_CLOSESOCKETFUNCTION, socket_closed);
	SET(CURLOPT_CLOSESOCKETDATA, h);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_XFERINFOFUNCTION, look_around);
	SET(CURLOPT_XFERINFODATA, t);
	return rc;
}

static CURLcode
set_request(const struct http *h, const struct http_request *r,
    struct curl_slist *headers)
{
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_URL, r->url);
	SET(CURLOPT_HTTPHEADER, headers);
	if (r->timeout_ms > 0)
		SET(CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
	if (r->body != NULL) {
		/* Read from where it is, and after a cut from its start. */
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDS, (const char *)r->body);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
		SET(CURLOPT_CUSTOMREQUEST, r->method);
	} else if (strcmp(r->method, "HEAD") == 0)
		SET(CURLOPT_NOBODY, 1L);
	else {
		SET(CURLOPT_HTTPGET, 1L);
		SET(CURLOPT_CUSTOMREQUEST, r->method);
	}
	return rc;
}
#undef SET

static int
fail_tls(const struct http *h, const char *why, struct err *err)
{
	err_set(err, ERR_CONFIG, "the server's certificate: %s", why);
	if (h->ca_file != NULL)
		return err_hint(err, "is %s (ca-file) the certificate of the "
		    "authority that signed the server's?", h->ca_file);
	return err_hint(err, "set ca-file to the certificate of the authority "
	    "that signed the server's");
}

/* What curl says, sorted by whether it can get better by itself. */
static int
fail(const struct http *h, CURLcode rc, const char *message,
    struct http_answer *a, struct err *err)
{
	const char *why = message[0] != '\0' ? message :
	    h->curl->easy_strerror(rc);

	a->failure = HTTP_NEVER;
	switch (rc) {
	case CURLE_ABORTED_BY_CALLBACK:
		return cancel_error(err);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
		return fail_tls(h, why, err);
	case CURLE_URL_MALFORMAT:
		return err_set(err, ERR_CONFIG, "the address: %s", why);
	case CURLE_FAILED_INIT:
	case CURLE_OUT_OF_MEMORY:
	case CURLE_BAD_FUNCTION_ARGUMENT:
	case CURLE_UNKNOWN_OPTION:
	case CURLE_NOT_BUILT_IN:
		return err_set(err, ERR_BUG, "libcurl: %s", why);
	case CURLE_SSL_CONNECT_ERROR:
		if (strstr(why, "wrong version number") != NULL) {
			err_set(err, ERR_CONFIG, "no TLS is spoken there: %s",
			    why);
			return err_hint(err, "http:// instead of https://?");
		}
		break;
	default:
		break;
	}
	a->failure = HTTP_AGAIN;
	err_set(err, ERR_STORAGE, "%s", why);
	if (rc == CURLE_COULDNT_RESOLVE_HOST || rc == CURLE_COULDNT_CONNECT ||
	    rc == CURLE_COULDNT_RESOLVE_PROXY)
		return err_hint(err, "is the address right, and the server up? "
		    "A proxy would be that of the environment (https_proxy)");
	return -1;
}

/*
 * curl takes an answer that ended within its head for one without a body, and
 * a body of unknown length for complete wherever it ended.
 */
static bool
is_whole(const struct transfer *t)
{
	const struct http_request *r = t->request;
	char text[64];

	if (!t->head_ended)
		return false;
	return strcmp(r->method, "HEAD") == 0 ||
	    (r->into == NULL && r->into_buf == NULL) ||
	    http_header(t->answer, "content-length", text, sizeof(text)) ||
	    http_header(t->answer, "transfer-encoding", text, sizeof(text));
}

static void
note_resent(struct http *h, struct http_answer *a)
{
	long connects = 0;

	/* It ought to have gone over the connection that was kept. */
	(void)h->curl->easy_getinfo(h->handle, CURLINFO_NUM_CONNECTS,
	    &connects); /* a valid handle and option */
	a->resent = h->used && connects > 0;
	h->used = true;
}

int
http_do(struct http *h, const struct http_request *request,
    struct http_answer *a, struct err *err)
{
	struct transfer t = { .http = h, .request = request, .answer = a,
		.was_cancelled = cancel_requested(),
		.moved_at = time_monotonic() };
	char message[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers = NULL;
	int64_t begun = time_monotonic();
	CURLcode rc;

	a->failure = HTTP_NEVER;
	a->status = 0;
	a->got = 0;
	buf_clear(&a->headers);
	buf_clear(&a->other);
	if (need_handle(h, err) != 0 ||
	    add_headers(h, request, &headers, err) != 0)
		return -1;
	rc = set_common(h, &t, message);
	if (rc == CURLE_OK)
		rc = set_request(h, request, headers);
	if (rc == CURLE_OK)
		rc = h->curl->easy_perform(h->handle);
	note_resent(h, a);
	h->curl->slist_free_all(headers);
	log_debug("%s %s: %d after %lld ms%s%s", request->method, request->url,
	    a->status, (long long)(time_monotonic() - begun) / 1000,
	    rc == CURLE_OK ? "" : ", ",
	    rc == CURLE_OK ? "" : h->curl->easy_strerror(rc));
	if (rc != CURLE_OK)
		forget_handle(h);
	if (rc == CURLE_WRITE_ERROR && t.too_long) {
		a->failure = HTTP_TOO_LONG;
		return err_set(err, ERR_STORAGE,
		    "the answer is longer than expected");
	}
	if (t.stalled) {
		a->failure = HTTP_AGAIN;
		return err_set(err, ERR_STORAGE, "nothing moved for %u s",
		    h->stall_s);
	}
	if (rc == CURLE_OK && !is_whole(&t)) {
		a->failure = HTTP_AGAIN;
		return err_set(err, ERR_STORAGE, "the answer was cut");
	}
	if (rc != CURLE_OK)
		return fail(h, rc, message, a, err);
	a->failure = HTTP_ANSWERED;
	return 0;
}

bool
http_header(const struct http_answer *a, const char *name, char *out,
    size_t size)
{
	const char *line = buf_str(&a->headers), *end, *value;
	size_t len = strlen(name);

	for (; *line != '\0'; line = *end == '\0' ? end : end + 1) {
		end = strchrnul(line, '\n');
		if (strncasecmp(line, name, len) != 0 || line[len] != ':')
			continue;
		value = line + len + 1;
		while (value < end && isspace((unsigned char)*value))
			value++;
		while (end > value && isspace((unsigned char)end[-1]))
			end--;
		if ((size_t)(end - value) >= size)
			return false;
		memcpy(out, value, (size_t)(end - value));
		out[end - value] = '\0';
		return true;
	}
	return false;
}

bool
http_header_time(const struct http *h, const struct http_answer *a,
    const char *name, int64_t *out)
{
	char text[64];
	time_t t;

	if (!http_header(a, name, text, sizeof(text)))
		return false;
	t = h->curl->getdate(text, NULL);
	if (t == (time_t)-1)
		return false;
	*out = time_from_unix(t);
	return true;
}

uint64_t
http_retry_after_ms(const struct http *h, const struct http_answer *a)
{
	char text[64];
	uint64_t seconds;
	int64_t at, now = time_now();

	if (!http_header(a, "retry-after", text, sizeof(text)))
		return 0;
	if (text_u64(text, RETRY_AFTER_MAX_S, &seconds))
		return seconds * 1000;
	if (!http_header_time(h, a, "retry-after", &at) || at <= now)
		return 0;
	seconds = (uint64_t)(at - now) / 1000000 + 1;
	return (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) *
	    1000;
}
