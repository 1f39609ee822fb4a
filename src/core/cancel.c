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

const char *
cancel_signal_name(int signo)
{
#ifdef HAVE_SIGABBREV_NP
	const char *name = sigabbrev_np(signo);

	return name != NULL ? name : "?";
#else
	static const struct {
		int signo;
		const char *name;
	} known[] = { { SIGINT, "INT" }, { SIGTERM, "TERM" },
		{ SIGHUP, "HUP" }, { SIGQUIT, "QUIT" }, { SIGKILL, "KILL" },
		{ SIGPIPE, "PIPE" }, { SIGSEGV, "SEGV" }, { SIGABRT, "ABRT" },
		{ SIGBUS, "BUS" }, { SIGXFSZ, "XFSZ" } };
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].signo == signo)
			return known[i].name;
	}
	return "?";
#endif
}

int
cancel_error(struct err *err)
{
	return err_set(err, ERR_CANCELLED, "cancelled by SIG%s",
	    cancel_signal_name(caught));
}

int
cancel_check(struct err *err)
{
	return caught == 0 ? 0 : cancel_error(err);
}
