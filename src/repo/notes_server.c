/* SPDX-License-Identifier: PostgreSQL */
/* What a server says of its archiver. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "core/time.h"
#include "pg/conn.h"
#include "repo/notes.h"

bool
notes_command_archives(const char *command)
{
	/* Other tools have a command of the same name. */
	static const char *const others[] = { "pgbackrest ",
		"pg_probackup " };
	const char *p = strstr(command, "archive-push"), *other;
	size_t i;

	if (p == NULL || strstr(p, "%p") == NULL)
		return false;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		other = strstr(command, others[i]);
		if (other != NULL && other < p && (other == command ||
		    other[-1] == '/' || other[-1] == ' '))
			return false;
	}
	return true;
}

/* Microseconds since 1970 as text; "" and nonsense: 0. */
static int64_t
time_of(const char *text)
{
	char *end;
	long long t = strtoll(text, &end, 10);

	return end == text || *end != '\0' ? 0 : (int64_t)t -
	    TIME_UNIX_EPOCH_OFFSET * INT64_C(1000000);
}

static void
judge_settings(struct notes_server *s, const char *mode, const char *command,
    const char *library)
{
	const char *why = NULL;

	if (strcmp(mode, "off") == 0)
		why = "archive_mode is off";
	else if (library[0] != '\0')
		why = "archive_library is set, so archive_command is not used";
	else if (command[0] == '\0' || strcmp(command, "(disabled)") == 0)
		why = "archive_command is empty";
	else if (!notes_command_archives(command))
		why = "archive_command does not call archive-push";
	s->archives = why == NULL;
	if (why != NULL)
		(void)snprintf(s->trouble, sizeof(s->trouble), "%s", why);
}

int
notes_ask_server(struct pg_conn *conn, struct notes_server *out,
    bool *has_archiver, struct err *err)
{
	struct pg_result *res = NULL;
	const char *mode;
	int ret = -1;

	memset(out, 0, sizeof(*out));
	if (pg_query(conn, &res, err, 0, NULL, "SELECT"
	    " pg_catalog.current_setting('archive_mode'),"
	    " pg_catalog.current_setting('archive_command'), coalesce("
	    "pg_catalog.current_setting('archive_library', true), ''),"
	    " last_archived_wal, (extract(epoch FROM last_archived_time)"
	    " * 1000000)::pg_catalog.int8, last_failed_wal,"
	    " (extract(epoch FROM last_failed_time) * 1000000)"
	    "::pg_catalog.int8, failed_count, pg_catalog.pg_is_in_recovery()"
	    " FROM pg_catalog.pg_stat_archiver") != 0)
		return -1;
	if (pg_rows(res) != 1) {
		err_set(err, ERR_POSTGRES, "pg_stat_archiver has no row");
		goto out;
	}
	mode = pg_value(res, 0, 0);
	/* A standby does not archive unless it is told to. */
	*has_archiver = strcmp(pg_value(res, 0, 8), "t") != 0 ||
	    strcmp(mode, "always") == 0;
	judge_settings(out, mode, pg_value(res, 0, 1), pg_value(res, 0, 2));
	(void)snprintf(out->archived, sizeof(out->archived), "%s",
	    pg_value(res, 0, 3));
	(void)snprintf(out->failed, sizeof(out->failed), "%s",
	    pg_value(res, 0, 5));
	out->archived_time = time_of(pg_value(res, 0, 4));
	out->failed_time = time_of(pg_value(res, 0, 6));
	if (!text_u64(pg_value(res, 0, 7), INT64_MAX, &out->failures))
		out->failures = 0;
	ret = 0;
out:
	pg_result_free(res);
	return ret;
}
