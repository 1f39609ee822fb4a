# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# What a site that burnt down gets back from S3 or SFTP alone (82, 83).
#
#	remote_pitr s3 [option that a bare host needs...]

# On a host that has never seen the program: no configuration, no state, no
# local repository. BARE_ENV: what the administrator's environment has.
bare_restore() { # NAME OPTION...
	local name=$1
	shift
	free_port
	as_user mkdir -p "$T/bare"
	expect 0 as_user env -i "PATH=$PATH" "HOME=$T/bare" "${BARE_ENV[@]}" \
		${DAPK_BACKUP_PGBIN:+"DAPK_BACKUP_PGBIN=$(pg_bin "$MAIN")"} \
		"$BIN" restore -D "$T/$name" --start --port "$FREE_PORT" "$@"
	pg_running "$T/$name" || fail "restore --start said 0 and nothing runs"
	pg_adopt "$name" "$FREE_PORT" "$MAIN" "$(sed -n 5p "$T/$name/postmaster.pid")"
	wait_for 60 "the end of recovery" sql_true "$name" "SELECT NOT pg_is_in_recovery()"
	assert_no_secret
}

rows() { sql "$1" "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, ' ' ORDER BY n)), '') FROM shipments t"; }

remote_pitr() { # REPOSITORY OPTION...: how a bare host says where it is
	local kind=$1 then_time then_rows end_rows lost
	shift
	note "a cluster with a local repository, and $kind as its mirror"
	pg_with_stores src local "$kind"
	bench_init src 2
	sql src "CREATE TABLE shipments (n int PRIMARY KEY, d jsonb);
		INSERT INTO shipments SELECT g, jsonb_build_object('to', md5(g::text)) FROM generate_series(1, 5000) g"
	expect 0 dapk backup
	bench_for src 400
	sql src "UPDATE shipments SET d = d || '{\"sent\": true}' WHERE n % 3 = 0"
	archive_now src
	bench_start src 2
	expect 0 dapk backup
	bench_stop
	sql src "INSERT INTO shipments SELECT g, '{\"new\": 1}' FROM generate_series(5001, 5100) g"
	then_rows=$(rows src)
	dump_db src "$T/then.dump"
	then_time=$(sql src "SELECT clock_timestamp()")
	sleep 0.01
	sql src "DELETE FROM shipments WHERE n > 10"
	end_rows=$(rows src)
	assert_ne "$end_rows" "$then_rows"
	archive_now src
	expect 0 dapk copy
	assert_no_secret

	note "the site burns down: the cluster, its repository, its state"
	pg_stop src immediate
	rm -rf "$REPO" "$T/state" "$T/src" "$CONF"

	note "as it was before the accident, from $kind alone"
	bare_restore new --target-time "$then_time" "$@"
	assert_eq "$(rows new)" "$then_rows" "rows before the accident"
	dump_db new "$T/new.dump"
	assert_same_dump "$T/then.dump" "$T/new.dump"
	assert_bench_invariant new
	assert_amcheck new
	pg_stop new
	assert_checksums new
	drop new
	note "and the last that was archived"
	bare_restore new "$@"

	# Nothing is read before archiving is on again: the first reading sets hint
	# bits, which with checksums are WAL, and a segment that fills up while
	# archiving is off is a gap.
	note "life goes on with $kind as the only repository"
	stores_conf new "$kind"
	sql new "ALTER SYSTEM SET archive_mode = on"
	sql new "ALTER SYSTEM SET archive_command = '$BIN --config $CONF archive-push %p'"
	pg_stop new
	as_user mkdir "$T/new.sock"
	SOCK[new]=$T/new.sock
	pg_start new "unix_socket_directories=$T/new.sock"
	assert_eq "$(rows new)" "$end_rows" "rows at the archive's end"
	assert_bench_invariant new
	expect 0 dapk backup
	sql new "INSERT INTO shipments SELECT g, '{\"after\": 1}' FROM generate_series(6001, 6500) g"
	lost=$(rows new)
	archive_now new
	expect 0 dapk verify
	expect 0 dapk info
	assert_no_secret
	pg_stop new immediate
	rm -rf "$T/state" "$T/new"
	bare_restore again "$@"
	assert_eq "$(rows again)" "$lost" "rows with $kind alone"
	assert_bench_invariant again
}
