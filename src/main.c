/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <stdlib.h>

#include "cli/cli.h"
#include "core/coredump.h"

int
main(int argc, char **argv)
{
	coredump_forbid();
	exit(cli_main(argc, argv));
}
