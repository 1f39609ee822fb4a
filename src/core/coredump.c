/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/coredump.h"

#include <stdbool.h>
#include <sys/resource.h>

static struct rlimit before;
static bool forbidden;

void
coredump_forbid(void)
{
	struct rlimit none;

	if (getrlimit(RLIMIT_CORE, &before) != 0)
		return;
	none = before;
	none.rlim_cur = before.rlim_max == 0 ? 0 : 1;
	forbidden = setrlimit(RLIMIT_CORE, &none) == 0;
}

void
coredump_allow(void)
{
	if (forbidden)
		(void)setrlimit(RLIMIT_CORE, &before); /* see the header */
}
