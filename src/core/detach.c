/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/detach.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Close what the server or the shell have handed down. Such descriptors have
 * survived an exec, so they lack the close-on-exec flag, which all of ours
 * have.
 */
static void
close_inherited(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	long fd;
	int null, flags;

	if (d != NULL) {
		while ((e = readdir(d)) != NULL) {
			fd = strtol(e->d_name, NULL, 10);
			flags = fd > 2 ? fcntl((int)fd, F_GETFD) : -1;
			if (flags >= 0 && (flags & FD_CLOEXEC) == 0)
				(void)close((int)fd);
		}
		(void)closedir(d); /* only read from */
	}
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (fd = 0; fd <= 2; fd++)
		if (null < 0 || dup2(null, (int)fd) < 0)
			(void)close((int)fd);
}

pid_t
detach_fork(void)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)setsid();
	close_inherited();
	(void)!chdir("/"); /* holds no mount */
	return 0;
}
