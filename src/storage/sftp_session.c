/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "storage/sftp_session.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/mem.h"
#include "core/time.h"

#define CONNECT_MAX_MS 15000u
#define IDLE_US ((int64_t)10 * 1000000) /* after this it is asked first */
#define ASK_MS 10000
/* An idle connection: the kernel asks, so that no router forgets it. */
#define KEEPALIVE_IDLE_S 30
#define KEEPALIVE_EVERY_S 10

const char *
sftp_status_text(long status)
{
	switch (status) {
	case LIBSSH2_FX_NO_SUCH_FILE:
	case LIBSSH2_FX_NO_SUCH_PATH:
		return "no such file";
	case LIBSSH2_FX_PERMISSION_DENIED:
		return "permission denied";
	case LIBSSH2_FX_FAILURE:
		return "failure";
	case LIBSSH2_FX_OP_UNSUPPORTED:
		return "operation unsupported";
	case LIBSSH2_FX_FILE_ALREADY_EXISTS:
		return "file already exists";
	case LIBSSH2_FX_WRITE_PROTECT:
		return "write protected";
	case LIBSSH2_FX_NO_SPACE_ON_FILESYSTEM:
		return "no space on file system";
	case LIBSSH2_FX_QUOTA_EXCEEDED:
		return "quota exceeded";
	default:
		return "refused";
	}
}

/* Wait for a connection that is being made; 0, or an errno. */
static int
wait_connected(int fd, uint64_t timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	int64_t until = time_boottime() + (int64_t)timeout_ms * 1000;
	int64_t left;
	int error = 0, rc;
	socklen_t size = sizeof(error);

	do {
		left = (until - time_boottime()) / 1000;
		if (left <= 0 || cancel_requested())
			return cancel_requested() ? EINTR : ETIMEDOUT;
		rc = poll(&pfd, 1, (int)left);
	} while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return errno;
	if (rc == 0)
		return ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		return errno;
	return error;
}

/* Connect to one address: a descriptor, or -1 with errno. */
static int
connect_one(const struct addrinfo *a, uint64_t timeout_ms)
{
	const int idle = KEEPALIVE_IDLE_S, every = KEEPALIVE_EVERY_S, on = 1;
	int fd, error = 0;

	fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (fd < 0)
		return -1;
	if (connect(fd, a->ai_addr, a->ai_addrlen) != 0)
		error = errno == EINPROGRESS ?
		    wait_connected(fd, timeout_ms) : errno;
	if (error != 0) {
		(void)close(fd);
		errno = error;
		return -1;
	}
	/* Without them it is slower, or dead lines are noticed later. */
	(void)!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)!setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)!setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)!setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every,
	    sizeof(every));
	return fd;
}

static int
connect_host(const struct sftp_place *place, uint64_t timeout_ms, int *out,
    bool *again, struct err *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL, *a;
	char port[16];
	int rc, fd = -1, error = 0;

	(void)snprintf(port, sizeof(port), "%u", place->port);
	rc = getaddrinfo(place->host, port, &hints, &list);
	if (rc != 0) {
		*again = rc == EAI_AGAIN || rc == EAI_SYSTEM;
		err_set(err, ERR_STORAGE, "the address of host %s is not "
		    "found: %s", place->host, gai_strerror(rc));
		return err_hint(err, "is the name right, and does this host "
		    "reach a name server ('getent hosts %s')?", place->host);
	}
	if (timeout_ms > CONNECT_MAX_MS)
		timeout_ms = CONNECT_MAX_MS;
	for (a = list; a != NULL && fd < 0; a = a->ai_next) {
		fd = connect_one(a, timeout_ms);
		error = errno;
	}
	freeaddrinfo(list);
	if (fd < 0) {
		*again = !cancel_requested();
		err_set(err, ERR_STORAGE, "connect to %s, port %u: %s",
		    place->host, place->port, strerror(error));
		return err_hint(err, "does the SSH server run, and does a "
		    "firewall let this through ('ssh -p %u %s')?",
		    place->port, place->host);
	}
	*out = fd;
	return 0;
}

long
sftp_session_failed(struct sftp_session *s, int rc, const char *what,
    bool *again, struct err *err)
{
	char *said = NULL;
	unsigned long status;

	if (rc == LIBSSH2_ERROR_SFTP_PROTOCOL && s->sftp != NULL) {
		status = s->lib->sftp_last_error(s->sftp);
		if (status != LIBSSH2_FX_OK &&
		    status != LIBSSH2_FX_NO_CONNECTION &&
		    status != LIBSSH2_FX_CONNECTION_LOST) {
			err_set(err, ERR_STORAGE, "%s: the server says: %s "
			    "(status %lu)", what,
			    sftp_status_text((long)status), status);
			return (long)status;
		}
	}
	/* All else is a line that does not carry any more (TRAPS T120). */
	*again = true;
	(void)s->lib->session_last_error(s->ssh, &said, NULL, 0);
	err_set(err, ERR_STORAGE, "%s: %s (libssh2: %d)", what,
	    said != NULL && said[0] != '\0' ? said : "the connection failed",
	    rc);
	return -1;
}

void
sftp_session_limit(struct sftp_session *s, uint64_t timeout_ms)
{
	s->lib->session_set_timeout(s->ssh, (long)timeout_ms);
}

/*
 * libssh2's own keep-alive is not used: while it is configured, a call that
 * waits for the server gives up when the next one is due, even after a second.
 */
bool
sftp_session_alive(struct sftp_session *s)
{
	LIBSSH2_SFTP_ATTRIBUTES attrs;
	int rc;

	if (time_boottime() - s->last_used < IDLE_US)
		return true;
	sftp_session_limit(s, ASK_MS);
	rc = s->lib->sftp_stat_ex(s->sftp, ".", 1, LIBSSH2_SFTP_STAT, &attrs);
	return rc == 0 || (rc == LIBSSH2_ERROR_SFTP_PROTOCOL &&
	    s->lib->sftp_last_error(s->sftp) != LIBSSH2_FX_OK);
}

static int
start(struct sftp_session *s, const struct sftp_login *login, bool *again,
    struct err *err)
{
	const struct sftp_place *place = &login->place;
	int rc;

	rc = s->lib->session_handshake(s->ssh, s->sock);
	if (rc != 0) {
		(void)sftp_session_failed(s, rc, "SSH handshake", again, err);
		err_wrap(err, "%s, port %u", place->host, place->port);
		/* No common method does not come by waiting. */
		if (rc == LIBSSH2_ERROR_KEX_FAILURE ||
		    rc == LIBSSH2_ERROR_METHOD_NONE) {
			*again = false;
			err->code = ERR_CONFIG;
			return err_hint(err, "the server and libssh2 have no "
			    "method in common; of RSA host keys libssh2 1.10 "
			    "knows only the old signature: let known-hosts "
			    "have the server's ed25519 or ecdsa key");
		}
		return -1;
	}
	if (sftp_hostkey_check(s, login, err) != 0 ||
	    sftp_auth(s, login, again, err) != 0)
		return -1;
	s->sftp = s->lib->sftp_init(s->ssh);
	if (s->sftp != NULL)
		return 0;
	rc = s->lib->session_last_error(s->ssh, NULL, NULL, 0);
	(void)sftp_session_failed(s, rc, "start SFTP", again, err);
	/* "Channel failure" is what a line that broke just now gives, too. */
	if (rc == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED) {
		*again = false; /* it said no */
		err->code = ERR_CONFIG;
	}
	return err_hint(err, "%s could log in, but the server starts no SFTP: "
	    "sshd_config needs a line 'Subsystem sftp internal-sftp'",
	    sftp_user(login));
}

int
sftp_session_open(struct sftp_session **out, const struct sftp_login *login,
    uint64_t timeout_ms, bool *again, struct err *err)
{
	struct sftp_session *s = xcalloc(1, sizeof(*s));

	s->sock = -1;
	if (libssh2_get(&s->lib, err) != 0 ||
	    connect_host(&login->place, timeout_ms, &s->sock, again, err) != 0)
		goto fail;
	s->ssh = s->lib->session_init_ex(NULL, NULL, NULL, NULL);
	if (s->ssh == NULL) {
		err_set(err, ERR_STORAGE, "no memory for an SSH session");
		goto fail;
	}
	s->lib->session_set_blocking(s->ssh, 1);
	sftp_session_limit(s, timeout_ms);
	if (sftp_hostkey_prefer(s, login, err) != 0 ||
	    start(s, login, again, err) != 0)
		goto fail;
	s->last_used = time_boottime();
	*out = s;
	return 0;
fail:
	sftp_session_close(s);
	return -1;
}

void
sftp_session_close(struct sftp_session *s)
{
	if (s == NULL)
		return;
	/* A dead line must not be waited for: nothing is said any more. */
	if (s->sock >= 0)
		(void)shutdown(s->sock, SHUT_RDWR);
	if (s->ssh != NULL) {
		sftp_session_limit(s, 1000);
		if (s->sftp != NULL)
			(void)s->lib->sftp_shutdown(s->sftp);
		(void)s->lib->session_free(s->ssh);
	}
	if (s->sock >= 0)
		(void)close(s->sock);
	free(s);
}
