/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/io.h"
#include "core/mem.h"

#define TRIES 3

/* A byte at a time: what was typed after the line feed is somebody else's. */
static int
read_line(int tty, char *out, size_t size, struct err *err)
{
	size_t len = 0;
	ssize_t got;
	char c = 0;

	for (;;) {
		got = read(tty, &c, 1);
		if (got < 0 && errno == EINTR) {
			if (cancel_check(err) != 0)
				return -1;
			continue;
		}
		if (got < 0)
			return err_sys(err, errno, "read from the terminal");
		if (got == 0 && len == 0)
			return err_set(err, ERR_CANCELLED, "nothing was "
			    "typed");
		if (got == 0 || c == '\n')
			break;
		if (len + 1 < size)
			out[len] = c;
		len++;
	}
	c = 0;
	if (len + 1 > size)
		return err_set(err, ERR_USAGE, "what was typed is longer than "
		    "%zu bytes", size - 1);
	out[len] = '\0';
	return 0;
}

int
prompt_secret(const char *question, char *out, size_t size, struct err *err)
{
	struct termios shown, hidden;
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY), rc;

	memset(out, 0, size);
	if (tty < 0 || tcgetattr(tty, &shown) != 0) {
		if (tty >= 0)
			(void)close(tty); /* not used */
		return err_set(err, ERR_NOT_FOUND, "there is no terminal to "
		    "ask at");
	}
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	rc = tcsetattr(tty, TCSAFLUSH, &hidden) != 0 ?
	    err_sys(err, errno, "the terminal") :
	    io_write_full(tty, question, strlen(question), "the terminal",
		err);
	if (rc == 0)
		rc = read_line(tty, out, size, err);
	(void)tcsetattr(tty, TCSAFLUSH, &shown); /* nothing else can be done */
	if (rc == 0)
		rc = io_write_full(tty, "\n", 1, "the terminal", err);
	(void)close(tty); /* all was written at once */
	if (rc != 0)
		explicit_bzero(out, size);
	return rc;
}

int
prompt_new_secret(const char *what, char *out, size_t size, struct err *err)
{
	char question[128], *again = xcalloc(1, size);
	int rc = -1, i;

	for (i = 0; i < TRIES; i++) {
		(void)snprintf(question, sizeof(question), "%s%s: ",
		    i == 0 ? "" : "They differ. ", what);
		rc = prompt_secret(question, out, size, err);
		(void)snprintf(question, sizeof(question), "%s again: ", what);
		if (rc == 0)
			rc = prompt_secret(question, again, size, err);
		if (rc != 0 || strcmp(out, again) == 0)
			break;
		rc = err_set(err, ERR_USAGE, "what was typed differed %d "
		    "times", i + 1);
	}
	if (rc == 0)
		err_clear(err);
	else
		explicit_bzero(out, size);
	explicit_bzero(again, size);
	free(again);
	return rc;
}
