#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Debian keeps postgresql.conf, pg_hba.conf and pg_ident.conf outside the data
# directory. They are in the backup, and restore --start uses the saved ones,
# never those that stand in their old place.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_new src
as_user mkdir -p "$T/etc/conf.d"
as_user mv "$T/src/postgresql.conf" "$T/src/pg_hba.conf" "$T/src/pg_ident.conf" "$T/etc/"
cat >>"$T/etc/postgresql.conf" <<END
data_directory = '$T/src'
hba_file = '$T/etc/pg_hba.conf'
ident_file = '$T/etc/pg_ident.conf'
external_pid_file = '$T/src.sock/main.pid'
include_dir = 'conf.d'
cluster_name = 'from etc'
END
cat >"$T/etc/conf.d/extra.conf" <<'END'
work_mem = '7MB'
END
write_conf src
dapk init >/dev/null
start_src() {
	as_user "${PGBIN[src]}/pg_ctl" -D "$T/src" -l "$T/src.log" -w \
		-o "-c config_file=$T/etc/postgresql.conf" start >/dev/null
}
start_src
make_role src
sql src "CREATE TABLE t AS SELECT 1 AS n"
sql src "ALTER SYSTEM SET maintenance_work_mem = '33MB'"
take_backup
sql src "INSERT INTO t VALUES (2)"
archive_now src

note "the old place now holds something else; the saved files count"
as_user sed -i "s/^cluster_name.*/cluster_name = 'from another time'/" "$T/etc/postgresql.conf"
echo "work_mem = '99MB'" >"$T/etc/conf.d/extra.conf"
echo 'local all all reject' >"$T/etc/pg_hba.conf"
chmod a+r "$T/etc/conf.d/extra.conf"
restored new "$MAIN"
assert_eq "$(sql new 'SELECT count(*) FROM t')" 2 "rows"
assert_eq "$(sql new 'SHOW cluster_name')" 'from etc' "cluster_name"
assert_eq "$(sql new 'SHOW work_mem')" 7MB "a setting of the include directory"
assert_eq "$(sql new 'SHOW maintenance_work_mem')" 33MB "a setting of postgresql.auto.conf"
assert_eq "$(sql new 'SHOW data_directory')" "$T/new" "data_directory"
for setting in config_file hba_file ident_file; do
	assert_contains "$(sql new "SHOW $setting")" "$T/new/" "$setting"
done
assert_lacks "$(sql new 'SHOW external_pid_file')" "$T/src.sock" "external_pid_file"
# What the command line overrides counts as "could not be applied" there.
assert_eq "$(sql new "SELECT string_agg(name || ': ' || error, ', ') FROM pg_file_settings
	WHERE error IS NOT NULL AND error NOT LIKE 'setting could not be applied'")" '' "errors in the files"
pg_running "$T/src" || fail "the source was disturbed"
drop new

note "without --start the saved files stand beside the data, under names that say so"
expect 0 dapk restore -D "$T/new"
found=$(find "$T/new" "$T" -maxdepth 3 -name 'pg_hba.conf' ! -path "$T/etc/*")
assert_contains "$found" "$T/new" "the saved pg_hba.conf"
as_user "${PGBIN[src]}/pg_ctl" -D "$T/src" -m fast stop >/dev/null

note "the restored cluster takes the lost one's place: its backups come back too"
as_user rm -rf "$T/src"
as_user mv "$T/new" "$T/src"
as_user sed -i '/archive_mode/d' "$T/src/postgresql.auto.conf"
echo 'local all all trust' >"$T/etc/pg_hba.conf"
start_src
make_role src
wait_for 60 "the end of recovery" sql_true src "SELECT NOT pg_is_in_recovery()"
take_backup
expect 0 dapk restore -D "$T/again"
assert_contains "$(cat "$T/again/dapk-backup-config/conf.d/extra.conf")" 99MB \
	"the file in use, not the one that the restore left"
as_user rm -rf "$T/again"
as_user "${PGBIN[src]}/pg_ctl" -D "$T/src" -m fast stop >/dev/null

note "the same when it runs with the configuration that the restore left"
as_user "${PGBIN[src]}/pg_ctl" -D "$T/src" -l "$T/src.log" -w \
	-o "-c hba_file=$T/etc/pg_hba.conf -c config_file=$T/src/dapk-backup-config/postgresql.conf -c data_directory=$T/src" \
	start >/dev/null
take_backup
expect 0 dapk restore -D "$T/again"
for file in postgresql.conf pg_hba.conf 2-pg_hba.conf; do
	[ -e "$T/again/dapk-backup-config/$file" ] || fail "$file did not come back"
done

note "a restored cluster can be backed up and restored again, with the same settings"
as_user "${PGBIN[src]}/pg_ctl" -D "$T/src" -m fast stop >/dev/null
rm -rf "$T/new"
restored new "$MAIN" --keep-archiving
sed -e "s,^pgdata = .*,pgdata = $T/new," \
	-e "s,^conninfo = .*,conninfo = host=${SOCK[new]} port=${PORT[new]} user=postgres dbname=postgres," \
	"$CONF" >"$T/new.conf"
expect 0 as_user "$BIN" --config "$T/new.conf" backup
archive_now new
pg_stop new
mv "$T/new" "$T/gone"
restored third "$MAIN"
assert_eq "$(sql third 'SELECT count(*) FROM t')" 2 "rows of the copy's copy"
assert_eq "$(sql third 'SHOW cluster_name')" 'from etc' "cluster_name"
assert_eq "$(sql third 'SHOW work_mem')" 7MB "a setting of the include directory"
for setting in data_directory config_file hba_file ident_file; do
	assert_contains "$(sql third "SHOW $setting")" "$T/third" "$setting"
done
drop third
