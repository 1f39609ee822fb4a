/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "cli/cli.h"

#include "verify/check.h"

static void
say(void *arg, enum check_result result, const char *what,
    const char *detail, const char *next)
{
	static const char *const words[] = {
		[CHECK_OK] = "ok",
		[CHECK_NOTE] = "note",
		[CHECK_FAILED] = "FAILED",
	};
	const bool *quiet = arg;

	if (*quiet && result != CHECK_FAILED)
		return;
	(void)printf("%-7s %s: %s\n", words[result], what, detail);
	if (next != NULL)
		(void)printf("        next: %s\n", next);
	/* Someone watches while the last check waits. */
	(void)fflush(stdout); /* cli_flush() tells an error at the end */
}

int
cmd_check(const struct config *cfg, struct err *err)
{
	bool quiet = cfg->quiet;
	unsigned failed = 0;

	if (check_run(cfg, say, &quiet, &failed, err) != 0)
		return -1;
	if (failed > 0)
		(void)printf("%u check%s failed\n", failed, failed == 1 ? "" :
		    "s");
	else if (!cfg->quiet)
		(void)printf("all is well\n");
	return failed > 0 ? EXIT_FOUND : EXIT_DONE;
}
