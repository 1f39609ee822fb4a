#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# What a database, a role or the environment sets must change nothing that is
# read: functions of the same names in front of PostgreSQL's own (T62), time
# limits on idle and working sessions (T32), styles and encodings (T63).
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$(dirname "$0")/../lib/dumps.sh"

pg_with_repository src
sql src "CREATE TABLE kept AS SELECT g AS id, now() + g * interval '1 s' AS at, g / 7.0::float8 AS f
	FROM generate_series(1, 20000) AS g"

note "a trap in front of each function that is called, and short limits"
sql_file src postgres <<'SQL'
CREATE SCHEMA evil;
DO $$
DECLARE f record;
BEGIN
	FOR f IN SELECT DISTINCT ON (proname, args) proname, pg_get_function_identity_arguments(oid) AS args,
			pg_get_function_result(oid) AS result
		FROM (SELECT p.*, pg_get_function_identity_arguments(p.oid) AS args FROM pg_proc AS p) AS p
		WHERE pronamespace = 'pg_catalog'::regnamespace AND NOT proretset AND pronargs < 4
		AND (proname ~ '^pg_(backup|start|stop|switch|current_wal|is_in|create_restore|walfile|control|export|last_|wal_)'
			OR proname IN ('current_setting', 'set_config', 'version', 'now', 'clock_timestamp', 'format', 'lower',
				'pg_table_is_visible', 'pg_relation_size', 'pg_get_expr', 'age', 'has_table_privilege'))
	LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN '
				'RAISE LOG ''SPRUNG %%'', %L; RAISE EXCEPTION ''a trap''; END $f$',
				f.proname, regexp_replace(f.args, 'OUT [^,]*,? ?', '', 'g'), f.result, f.proname);
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
	IF (SELECT count(*) FROM pg_proc WHERE pronamespace = 'evil'::regnamespace) < 15 THEN
		RAISE EXCEPTION 'too few traps';
	END IF;
END $$;
CREATE VIEW evil.pg_settings AS SELECT 1 / 0 AS name, ''::text AS setting;
CREATE VIEW evil.pg_class AS SELECT 1 / 0 AS oid;
CREATE VIEW evil.pg_database AS SELECT 1 / 0 AS oid;
SQL
sql src "ALTER ROLE postgres SET search_path = evil, pg_catalog, public"
for setting in "statement_timeout = '150ms'" "idle_in_transaction_session_timeout = '150ms'" \
	"idle_session_timeout = '150ms'" "lock_timeout = '1ms'" "datestyle = 'German, DMY'" "intervalstyle = 'iso_8601'" \
	"timezone = 'Asia/Kathmandu'" "extra_float_digits = -15" "bytea_output = 'escape'" "standard_conforming_strings = off" \
	"client_min_messages = 'debug1'" "default_transaction_read_only = on"; do
	PGOPTIONS="-c statement_timeout=0" sql src "ALTER ROLE postgres SET $setting"
done
with_rights() { PGOPTIONS="-c default_transaction_read_only=off -c client_min_messages=error -c statement_timeout=0" sql src "$1"; }
with_rights "ALTER DATABASE postgres SET search_path = evil, pg_catalog"

run sql src "SELECT version()"
assert_match "$ERR" 'a trap' "who does not beware falls into one"
sprung() { grep -c 'LOG:  SPRUNG' "$T/src.log"; } # the log forgets no statement that failed
assert_eq "$(sprung)" 1 "traps that were sprung on purpose"

in_bad_company() {
	expect 0 as_user env PGOPTIONS='-c statement_timeout=100 -c search_path=evil,pg_catalog -c datestyle=Postgres,DMY' \
		PGDATESTYLE='SQL, DMY' PGTZ='Pacific/Chatham' PGCLIENTENCODING=LATIN1 PGGEQO=off "$BIN" --config "$CONF" "$@"
}

note "backup (slower than the limits), check, dump"
in_bad_company check
in_bad_company backup --max-rate 24MB
in_bad_company backup
in_bad_company dump postgres
label=$(newest_dump)
with_rights "ALTER ROLE postgres RESET ALL"
with_rights "ALTER DATABASE postgres RESET ALL"
assert_eq "$(sprung)" 1 "traps that were sprung"

note "what comes back is what there was"
truth="SELECT count(*), sum(id), sum(f)::numeric(20, 6), max(at) AT TIME ZONE 'UTC' FROM public.kept"
wanted=$(sql src "$truth")
archive_now src
restored new "$MAIN" --target latest
assert_eq "$(sql new "$truth")" "$wanted" "rows of the backup"
load_dump new "$label" loaded
assert_eq "$(sql new "$truth" loaded)" "$wanted" "rows of the dump"
