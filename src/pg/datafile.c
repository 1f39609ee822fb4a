/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/datafile.h"

#include <stdio.h>
#include <string.h>

#define TEMP_PREFIX "pgsql_tmp"
#define RELCACHE_FILE "pg_internal.init"
#define TABLESPACE_DEFAULT 1663
#define TABLESPACE_GLOBAL 1664

/* At the top of the data directory. */
static const char *const excluded_at_top[] = {
	"postmaster.pid",
	"postmaster.opts",
	"postgresql.auto.conf.tmp",
	"current_logfiles.tmp",
	"backup_label",
	"backup_label.old",
	"tablespace_map",
	"tablespace_map.old",
	"backup_manifest",
	"recovery.signal", /* a restored copy would wait for ever (T44) */
	"standby.signal",
	"dapk-backup-start.log", /* tells of another start of another copy */
};

static const char *const emptied[] = {
	"pg_dynshmem",
	"pg_notify",
	"pg_replslot",
	"pg_serial",
	"pg_snapshots",
	"pg_stat_tmp",
	"pg_subtrans",
	"pg_wal",
	"pg_wal/archive_status",
	"pg_wal/summaries",
};

static bool
in_list(const char *s, const char *const *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(s, list[i]) == 0)
			return true;
	return false;
}

/*
 * A decimal number without leading zeros, 1..UINT32_MAX; moves *s behind it.
 */
static bool
take_number(const char **s, uint32_t *out)
{
	uint64_t v = 0;

	if (**s < '1' || **s > '9')
		return false;
	for (; **s >= '0' && **s <= '9'; (*s)++) {
		v = v * 10 + (uint64_t)(**s - '0');
		if (v > UINT32_MAX)
			return false;
	}
	*out = (uint32_t)v;
	return true;
}

static bool
take_prefix(const char **s, const char *prefix)
{
	size_t n = strlen(prefix);

	if (strncmp(*s, prefix, n) != 0)
		return false;
	*s += n;
	return true;
}

/* Is what goes before the file's name a place where relations are? */
static bool
take_relation_dir(const char **s, struct datafile *out)
{
	if (take_prefix(s, "global/")) {
		out->tablespace = TABLESPACE_GLOBAL;
		return true;
	}
	if (take_prefix(s, "base/")) {
		out->tablespace = TABLESPACE_DEFAULT;
		return take_number(s, &out->database) && take_prefix(s, "/");
	}
	if (!take_prefix(s, "pg_tblspc/") ||
	    !take_number(s, &out->tablespace) || !take_prefix(s, "/PG_"))
		return false;
	*s = strchr(*s, '/');
	if (*s == NULL)
		return false;
	(*s)++;
	return take_number(s, &out->database) && take_prefix(s, "/");
}

/* "[_fork][.segment]" to the end of the string. */
static bool
take_fork_and_segment(const char **s, struct datafile *out)
{
	out->fork = FORK_MAIN;
	if (take_prefix(s, "_fsm"))
		out->fork = FORK_FSM;
	else if (take_prefix(s, "_vm"))
		out->fork = FORK_VM;
	else if (take_prefix(s, "_init"))
		out->fork = FORK_INIT;
	if (take_prefix(s, ".") && !take_number(s, &out->segment))
		return false;
	return **s == '\0';
}

static bool
parse_relation(const char *name, struct datafile *out)
{
	return take_number(&name, &out->filenode) &&
	    take_fork_and_segment(&name, out);
}

/* "tBACKEND_FILENODE": temporary relations; the backend may be 0. */
static bool
parse_temp_relation(const char *name, struct datafile *out)
{
	size_t digits;

	if (!take_prefix(&name, "t"))
		return false;
	digits = strspn(name, "0123456789");
	if (digits == 0)
		return false;
	name += digits;
	return take_prefix(&name, "_") && parse_relation(name, out);
}

void
datafile_parse(const char *path, struct datafile *out)
{
	const char *name = path;
	struct datafile df;

	memset(out, 0, sizeof(*out));
	out->kind = DATAFILE_OTHER;
	memset(&df, 0, sizeof(df));
	if (!take_relation_dir(&name, &df))
		return;
	*out = df;
	out->kind = DATAFILE_RELATION;
	if (parse_relation(name, out))
		return;
	*out = df;
	out->kind = DATAFILE_TEMP_RELATION;
	if (parse_temp_relation(name, out))
		return;
	memset(out, 0, sizeof(*out));
	out->kind = DATAFILE_OTHER;
}

/* Does any part of the path begin with pgsql_tmp? */
static bool
has_temp_part(const char *path)
{
	const char *part = path;

	for (;;) {
		if (take_prefix(&part, TEMP_PREFIX))
			return true;
		part = strchr(part, '/');
		if (part == NULL)
			return false;
		part++;
	}
}

bool
datafile_excluded(const char *path)
{
	const char *name = strrchr(path, '/');
	struct datafile df;

	name = name == NULL ? path : name + 1;
	if (has_temp_part(path))
		return true;
	/* With the server's process id behind it while it is written. */
	if (strncmp(name, RELCACHE_FILE, strlen(RELCACHE_FILE)) == 0)
		return true;
	if (in_list(path, excluded_at_top,
	    sizeof(excluded_at_top) / sizeof(excluded_at_top[0])))
		return true;
	datafile_parse(path, &df);
	return df.kind == DATAFILE_TEMP_RELATION;
}

bool
datafile_dir_emptied(const char *path)
{
	return in_list(path, emptied, sizeof(emptied) / sizeof(emptied[0]));
}

const char *
datafile_tablespace_dir(int major, uint32_t catalog_version,
    char out[DATAFILE_TABLESPACE_DIR_MAX])
{
	(void)snprintf(out, DATAFILE_TABLESPACE_DIR_MAX, "PG_%d_%u", major,
	    catalog_version);
	return out;
}
