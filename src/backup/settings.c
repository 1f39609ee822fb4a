/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "backup/settings.h"

#include <string.h>

int
settings_add(struct manifest_writer *manifest, struct pg_conn *conn,
    struct err *err)
{
	struct manifest_entry line;
	struct pg_result *res = NULL;
	int i, rc = 0;

	if (pg_query(conn, &res, err, 0, NULL,
	    "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ("
	    "'max_connections', 'max_worker_processes', 'max_wal_senders',"
	    "'max_prepared_transactions', 'max_locks_per_transaction',"
	    "'wal_level', 'wal_segment_size', 'block_size', 'data_checksums',"
	    "'data_directory', 'config_file', 'hba_file', 'ident_file',"
	    "'port', 'unix_socket_directories', 'shared_preload_libraries',"
	    "'server_version', 'server_encoding', 'lc_collate', 'lc_ctype',"
	    "'lc_messages', 'TimeZone', 'ssl', 'huge_pages',"
	    "'shared_buffers', 'max_wal_size', 'recovery_prefetch')"
	    " ORDER BY name COLLATE pg_catalog.\"C\"") != 0)
		return -1;
	for (i = 0; i < pg_rows(res) && rc == 0; i++) {
		memset(&line, 0, sizeof(line));
		line.type = MANIFEST_SETTING;
		line.path = pg_value(res, i, 0);
		line.data = pg_value(res, i, 1);
		line.data_len = strlen(line.data);
		rc = manifest_writer_add(manifest, &line, err);
	}
	pg_result_free(res);
	return rc;
}
