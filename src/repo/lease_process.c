/* SPDX-License-Identifier: PostgreSQL */
/*
 * Which process holds a lease: "BOOT/NAMESPACE/START". Host names are no
 * proof (containers share them), so a pid means something only within one
 * boot of one machine and one pid namespace; the start time, in ticks since
 * the boot, tells it from a later process with the same pid.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/text.h"
#include "repo/lease.h"

#define START_FIELD 20 /* starttime, counted from the command's name: proc(5) */

/* The first line of a small file, without its end; "" when there is none. */
static void
first_line(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "re");

	out[0] = '\0';
	if (f == NULL)
		return;
	if (fgets(out, (int)size, f) == NULL)
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	(void)fclose(f); /* only read */
}

/* State and start time from /proc/PID/stat; false when that is not to be had. */
static bool
read_stat(long pid, char *state, uint64_t *start)
{
	char path[64], stat[1024];
	char *p, *save;
	int i;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	first_line(path, stat, sizeof(stat));
	p = strrchr(stat, ')'); /* the name may have spaces and brackets */
	if (p == NULL)
		return false;
	p = strtok_r(p + 1, " ", &save);
	*state = p == NULL ? '\0' : *p;
	for (i = 1; i < START_FIELD && p != NULL; i++)
		p = strtok_r(NULL, " ", &save);
	return p != NULL && text_u64(p, UINT64_MAX, start);
}

void
lease_process(char out[LEASE_PROCESS_MAX])
{
	char boot[64], ns[64], state;
	uint64_t start;
	ssize_t len;

	out[0] = '\0';
	first_line("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
	len = readlink("/proc/self/ns/pid", ns, sizeof(ns) - 1);
	if (boot[0] == '\0' || len <= 0 ||
	    !read_stat((long)getpid(), &state, &start))
		return;
	ns[len] = '\0';
	(void)snprintf(out, LEASE_PROCESS_MAX, "%s/%s/%llu", boot, ns,
	    (unsigned long long)start);
}

bool
lease_process_dead(const struct lease_info *info, const char *process)
{
	const char *theirs = strrchr(info->process, '/');
	const char *ours = strrchr(process, '/');
	uint64_t start, then;
	char state;

	if (theirs == NULL || ours == NULL || info->pid <= 0 ||
	    theirs - info->process != ours - process ||
	    strncmp(info->process, process, (size_t)(ours - process)) != 0 ||
	    !text_u64(theirs + 1, UINT64_MAX, &then))
		return false; /* another host, as far as pids go */
	if (kill((pid_t)info->pid, 0) != 0 && errno == ESRCH)
		return true;
	if (!read_stat(info->pid, &state, &start))
		return false; /* hidden from us: not known */
	return start != then || state == 'Z' || state == 'X';
}
