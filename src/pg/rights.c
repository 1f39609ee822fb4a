/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "pg/rights.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define STATE_NO_RIGHT "42501"

int
rights_hint(struct pg_conn *conn, const char *before, const char *after,
    struct err *err)
{
	struct err ignored = ERR_INIT;
	char *role = NULL;

	if (err->code != ERR_POSTGRES ||
	    strcmp(pg_sqlstate(conn), STATE_NO_RIGHT) != 0)
		return -1;
	/* Only to say more: without an answer no name is told. */
	if (pg_in_transaction(conn) &&
	    pg_execute(conn, "ROLLBACK", &ignored) != 0)
		err_clear(&ignored);
	if (pg_query_value(conn, "SELECT pg_catalog.quote_ident("
	    "current_user)", &role, &ignored) != 0)
		role = NULL;
	err->hint[0] = '\0';
	(void)err_hint(err, "%s %s%s", before, role != NULL ? role :
	    "the role", after);
	free(role);
	return -1;
}

int
rights_check_calls(struct pg_conn *conn, const char *functions,
    struct err *err)
{
	struct pg_result *res = NULL;
	char *sql = xasprintf("SELECT pg_catalog.string_agg(f, ', '),"
	    " pg_catalog.quote_ident(current_user),"
	    " pg_catalog.quote_ident(pg_catalog.current_database())"
	    " FROM pg_catalog.unnest(ARRAY[%s]) AS f WHERE NOT"
	    " pg_catalog.has_function_privilege('pg_catalog.' || f,"
	    " 'EXECUTE')", functions);
	int rc = pg_query(conn, &res, err, 0, NULL, sql);

	free(sql);
	if (rc != 0)
		return err_wrap(err, "look at the role's rights");
	if (pg_rows(res) == 1 && !pg_is_null(res, 0, 0)) {
		rc = err_set(err, ERR_POSTGRES, "%s may not call %s",
		    pg_value(res, 0, 1), pg_value(res, 0, 0));
		(void)err_hint(err, "in database %s type: GRANT EXECUTE ON "
		    "FUNCTION %s TO %s;", pg_value(res, 0, 2),
		    pg_value(res, 0, 0), pg_value(res, 0, 1));
	}
	pg_result_free(res);
	return rc;
}
