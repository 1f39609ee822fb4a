/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/cancel.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t caught;

static void
note(int signo)
{
	caught = signo;
}

void
cancel_install(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = note;
	(void)sigemptyset(&sa.sa_mask);
	/* No SA_RESTART: a wait ends at once. sigaction cannot fail here. */
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGHUP, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &sa, NULL);
}

int
cancel_signal(void)
{
	return caught;
}

bool
cancel_requested(void)
{
	return caught != 0;
}

int
cancel_error(struct err *err)
{
	return err_set(err, ERR_CANCELLED, "cancelled by SIG%s",
	    caught == 0 ? "?" : sigabbrev_np(caught));
}

int
cancel_check(struct err *err)
{
	return caught == 0 ? 0 : cancel_error(err);
}
