/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/backupapi.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "core/time.h"
#include "pg/rights.h"

#define RENAMED_IN 150000 /* pg_start_backup() became pg_backup_start() */

/* The session writes times as time_parse() reads them. */
int
backup_api_time(struct pg_conn *conn, int64_t *out, struct err *err)
{
	char *text = NULL;
	bool local = false;
	int ret;

	if (pg_query_value(conn,
	    "SELECT pg_catalog.clock_timestamp()::pg_catalog.text", &text,
	    err) != 0)
		return -1;
	ret = time_parse(text != NULL ? text : "", out, &local, err);
	free(text);
	return ret;
}

/*
 * A primary tells the timeline that it writes; a standby that of its last
 * restartpoint, which is what goes into backup_label.
 */
static int
server_timeline(struct pg_conn *conn, uint32_t *out, struct err *err)
{
	char *text = NULL;
	uint64_t v = 0;
	int ret = -1;

	if (pg_query_value(conn,
	    "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN"
	    " pg_catalog.lpad(pg_catalog.to_hex((SELECT timeline_id FROM"
	    " pg_catalog.pg_control_checkpoint())), 8, '0')"
	    " ELSE pg_catalog.substr(pg_catalog.pg_walfile_name("
	    "pg_catalog.pg_current_wal_lsn()), 1, 8) END", &text, err) != 0)
		return -1;
	if (text != NULL && text_hex_u64(text, 8, &v) && v != 0 &&
	    v <= UINT32_MAX) {
		*out = (uint32_t)v;
		ret = 0;
	} else {
		(void)err_set(err, ERR_POSTGRES,
		    "PostgreSQL did not tell its timeline");
	}
	free(text);
	return ret;
}

int
backup_api_start(struct pg_conn *conn, const char *label, bool fast,
    struct backup_begin *out, struct err *err)
{
	const char *params[2] = { label, fast ? "true" : "false" };
	struct pg_result *res = NULL;
	const bool renamed = pg_server_version(conn) >= RENAMED_IN;
	const char *sql;
	bool parsed;

	memset(out, 0, sizeof(*out));
	/* That it may not be stopped would else be known after hours. */
	if (rights_check_calls(conn, renamed ?
	    "'pg_backup_start(text, boolean)', 'pg_backup_stop(boolean)'" :
	    "'pg_start_backup(text, boolean, boolean)', "
	    "'pg_stop_backup(boolean, boolean)'", err) != 0)
		return err_wrap(err, "start the backup");
	sql = renamed ?
	    "SELECT pg_catalog.pg_backup_start($1, $2::pg_catalog.bool)" :
	    "SELECT pg_catalog.pg_start_backup($1, $2::pg_catalog.bool, false)";
	if (pg_query(conn, &res, err, 2, params, sql) != 0)
		return err_wrap(err, "start the backup");
	parsed = pg_rows(res) == 1 &&
	    lsn_parse(pg_value(res, 0, 0), &out->start_lsn);
	pg_result_free(res);
	if (!parsed)
		return err_set(err, ERR_POSTGRES, "start the backup: "
		    "PostgreSQL did not tell the start location");
	if (server_timeline(conn, &out->timeline, err) != 0 ||
	    backup_api_time(conn, &out->start_time, err) != 0)
		return err_wrap(err, "start the backup");
	return 0;
}

/* "START TIMELINE: N" of a backup_label, 0 without one. */
static uint32_t
label_timeline(const char *label)
{
	const char *p = strstr(label, "\nSTART TIMELINE: ");
	uint64_t v = 0;

	if (p == NULL)
		return 0;
	p = strchr(p, ':') + 2;
	for (; *p >= '0' && *p <= '9' && v <= UINT32_MAX; p++)
		v = v * 10 + (uint64_t)(*p - '0');
	return v <= UINT32_MAX ? (uint32_t)v : 0;
}

int
backup_api_stop(struct pg_conn *conn, struct backup_end *out,
    struct err *err)
{
	struct pg_result *res = NULL;
	const char *sql;
	int ret = -1;

	memset(out, 0, sizeof(*out));
	sql = pg_server_version(conn) >= RENAMED_IN ?
	    "SELECT lsn, labelfile, spcmapfile"
	    " FROM pg_catalog.pg_backup_stop(false)" :
	    "SELECT lsn, labelfile, spcmapfile"
	    " FROM pg_catalog.pg_stop_backup(false, false)";
	if (pg_query(conn, &res, err, 0, NULL, sql) != 0)
		return err_wrap(err, "stop the backup");
	if (pg_rows(res) != 1 ||
	    !lsn_parse(pg_value(res, 0, 0), &out->stop_lsn) ||
	    *pg_value(res, 0, 1) == '\0') {
		(void)err_set(err, ERR_POSTGRES, "PostgreSQL did not give the "
		    "stop location and backup_label");
		goto out;
	}
	out->label = xstrdup(pg_value(res, 0, 1));
	out->label_len = strlen(out->label);
	out->tablespace_map = xstrdup(pg_value(res, 0, 2));
	out->tablespace_map_len = strlen(out->tablespace_map);
	out->label_timeline = label_timeline(out->label);
	ret = backup_api_time(conn, &out->stop_time, err);
out:
	pg_result_free(res);
	if (ret != 0) {
		backup_end_free(out);
		return err_wrap(err, "stop the backup");
	}
	return 0;
}

void
backup_end_free(struct backup_end *end)
{
	if (end == NULL)
		return;
	free(end->label);
	free(end->tablespace_map);
	memset(end, 0, sizeof(*end));
}
