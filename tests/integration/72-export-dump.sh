#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# export of dumps, read by stock pg_restore of the dumping pg_dump's major and
# newer ones: every format and compression gives the SQL that an archive of
# pg_dump itself gives; lists, selection, parallel restores; plain SQL is what
# pg_dump prints. Nothing is overwritten and nothing is left of a failure.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

# A server of each, dumped by the pg_dump that belongs to it.
SERVERS=(15 17 18)
[ -z "${DAPK_TEST_MAJOR:-}" ] || SERVERS=("$DAPK_TEST_MAJOR")
READERS=(15 17 18)
FROM=() # where the server is
BACKUP_ROLE=postgres # one configuration for several servers, and for 13
tools() { client_dir "$1"; } # MAJOR
no_keys() { grep -avE '^\\(un)?restrict '; }

sql_of() { # MAJOR ARCHIVE: as pg_restore of this major prints it
	expect 0 as_user "$(tools "$1")/pg_restore" -f "$T/.sql" "$2"
	assert_eq "$ERR" "" "what pg_restore $1 said of $2"
	no_keys <"$T/.sql"
}

reads_it() { # MAJOR FORMAT COMPRESSION ARCHIVE
	sql_of "$1" "$4" >"$T/found.sql"
	cmp "$T/found.sql" "$T/stock.$v.by.$1.sql" ||
		fail "$2, $3, of pg_dump $v by pg_restore $1: $(diff -a "$T/stock.$v.by.$1.sql" "$T/found.sql" | head -n 10 || :)"
	expect 0 as_user "$(tools "$1")/pg_restore" -l "$4"
	grep -v '^; *\(Archive created\|Compression\|Format\)' <<<"$OUT" >"$T/found.list"
	cmp "$T/found.list" "$T/stock.$v.by.$1.list" || fail "pg_restore -l of $2, $3"
	grep -qi "Format: $2" <<<"$OUT" || fail "not $2: $OUT"
}


client_of() { # PROGRAM [ARGUMENT...]: on the server at hand
	client "$S" "$@"
}

into_database() { # ARCHIVE [option...]
	[ "$v" != 16 ] || return 0 # its pg_restore is 17's here, which 16 does not take
	new_db "$S" back
	expect 0 client_of pg_restore -d back --exit-on-error "${@:2}" "$1"
	assert_eq "$ERR" "" "what pg_restore said"
	assert_same_db "$S" shop "$S" back
	drop_db "$S" back
}

begin_server() { # MAJOR: leaves v, d (its pg_dump's), S, FROM
	v=$1 S=src$1 d=15
	[ "$v" -le 15 ] || d=17
	[ "$v" -le 17 ] || d=$v
	if [ -z "${CONF_WRITTEN:-}" ]; then
		dumps_with_repository "$S" "$v"
		CONF_WRITTEN=yes
	else
		pg_new "$S" "$v"
		pg_start "$S" archive_mode=off
	fi
	FROM=(-h "$(psql_host "$S")" -p "${PORT[$S]}" --pg-bin-dir "$(tools "$v")")
	new_db "$S" shop
	sql_file "$S" shop >"$T/shop.out" <<'END'
CREATE SCHEMA "odd ""schema/%";
CREATE TABLE big (id int PRIMARY KEY, t text, j jsonb);
INSERT INTO big SELECT n, repeat(md5(n::text), 8), jsonb_build_object('n', n, 's', E'a\\b\tc\nd')
	FROM generate_series(1, 60000) n;
CREATE TABLE "odd ""schema/%"."new
line" (a text, b int GENERATED ALWAYS AS IDENTITY);
INSERT INTO "odd ""schema/%"."new
line" (a) VALUES ('\.'), (E'\\.'), (''), (NULL), (E'\r\n');
CREATE TABLE empty (a int);
CREATE TABLE nothing ();
INSERT INTO nothing SELECT FROM generate_series(1, 3);
CREATE INDEX ON big (t);
COMMENT ON TABLE big IS 'a "quoted" \ comment';
CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM big;
SELECT lo_from_bytea(16500, decode(repeat('00ff5c', 100000), 'hex'));
SELECT lo_from_bytea(16501, '');
SELECT lo_from_bytea(4000000000, 'beyond two to the thirty-first');
COMMENT ON LARGE OBJECT 16500 IS 'an object';
GRANT SELECT ON LARGE OBJECT 16501 TO PUBLIC;
GRANT SELECT ON big TO PUBLIC;
END
}

for server in "${SERVERS[@]}"; do
	note "PostgreSQL $server"
	begin_server "$server"
	take_dump shop "${FROM[@]}"
	PGDATABASE=shop client_of pg_dump >"$T/stock.$v.sql"
	PGDATABASE=shop client_of pg_dump -Fc >"$T/stock.$v.dump"
	for r in "${READERS[@]}"; do
		[ "$r" -ge "$d" ] || continue
		sql_of "$r" "$T/stock.$v.dump" >"$T/stock.$v.by.$r.sql"
		as_user "$(tools "$r")/pg_restore" -l "$T/stock.$v.dump" |
			grep -v '^; *\(Archive created\|Compression\|Format\)' >"$T/stock.$v.by.$r.list"
	done
	for how in "custom none" "custom gzip" "custom gzip:9" "custom zstd" "custom zstd:7" \
		"directory none" "directory gzip" "directory zstd" "directory zstd:1" "tar none"; do
		read -r format compression <<<"$how"
		out=$T/x.$v.$format.${compression/:/}
		if [ "$d" = 15 ] && [[ $compression = zstd* ]]; then
			expect 2 dapk export "$LABEL" --format "$format" --compress "$compression" --output "$out"
			assert_clear_error 'pg_restore knows that from 16'
			[ ! -e "$out" ] || fail "a refused export left $out"
			continue
		fi
		expect 0 dapk export "$LABEL" --format "$format" --compress "$compression" --output "$out"
		for r in "${READERS[@]}"; do
			[ "$r" -lt "$d" ] || reads_it "$r" "$format" "$compression" "$out"
		done
		[ "$format" != custom ] || {
			# shellcheck disable=SC2024
			dapk export "$LABEL" --format custom --compress "$compression" --output - | cat >"$out.pipe"
			reads_it "$d" custom "$compression" "$out.pipe"
			as_user "$(tools "$v")/pg_restore" -f - <"$out.pipe" | no_keys |
				cmp - "$T/stock.$v.by.$d.sql" || fail "by standard input"
		}
	done
	default=gzip
	[ "$d" = 15 ] || default=zstd
	expect 0 dapk export "$LABEL" --output "$T/x.$v"
	as_user "$(tools "$v")/pg_restore" -l "$T/x.$v" | grep -i 'Format: CUSTOM' >/dev/null ||
		fail "the default of a dump is not custom"
	[ "$d" = 15 ] || as_user "$(tools "$v")/pg_restore" -l "$T/x.$v" |
		grep -i "Compression: $default" >/dev/null || fail "the default is not $default"

	# Restores in parallel, from a list, of one table.
	into_database "$T/x.$v.directory.gzip" -j2
	into_database "$T/x.$v.custom.$default" -j2
	into_database "$T/x.$v.custom.$default.pipe" -j2
	into_database "$T/x.$v.tar.none"
	as_user "$(tools "$v")/pg_restore" -l "$T/x.$v" | grep -v ' MATERIALIZED VIEW \| BLOB\| LARGE OBJECT' >"$T/list"
	chmod 644 "$T/list"
	new_db "$S" back
	expect 0 client_of pg_restore -d back --exit-on-error -L "$T/list" "$T/x.$v"
	assert_eq "$(sql "$S" "SELECT count(*), (SELECT count(*) FROM pg_matviews) FROM big" back)" \
		"60000|0" "restored from a list"
	drop_db "$S" back
	new_db "$S" back
	expect 0 client_of pg_restore -d back --exit-on-error -t empty -t big "$T/x.$v.directory.$default"
	assert_eq "$(sql "$S" "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
		WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace" back)" "big empty" "tables"
	drop_db "$S" back

	# Plain SQL.
	expect 0 dapk export "$LABEL" --format plain --pg-bin-dir "$(tools "$v")" --output "$T/x.$v.sql"
	assert_same_text <(no_keys <"$T/x.$v.sql") <(no_keys <"$T/stock.$v.sql") "plain of pg_dump $v"
	dapk export "$LABEL" --format plain --pg-bin-dir "$(tools "$v")" --output - >"$T/pipe.sql"
	assert_same_text <(no_keys <"$T/pipe.sql") <(no_keys <"$T/stock.$v.sql") "plain to a pipe"

	# Without a repository.
	expect 0 dapk dump shop "${FROM[@]}" --output "$T/out.$v.d"
	for r in "${READERS[@]}"; do
		[ "$r" -lt "$d" ] || reads_it "$r" directory default "$T/out.$v.d"
	done
	into_database "$T/out.$v.d" -j2
	expect 0 dapk dump shop "${FROM[@]}" --output "$T/out.$v.none" --compress none --dump-compress-level 19
	[ -z "$(find "$T/out.$v.none" -name '*.gz' -o -name '*.zst')" ] || fail "compressed all the same"
	reads_it "$d" directory none "$T/out.$v.none"
	expect 2 dapk dump shop "${FROM[@]}" --output "$T/no" --compress lz4
	[ "$d" != 15 ] || expect 2 dapk dump shop "${FROM[@]}" --output "$T/no" --compress zstd
	[ -z "$(find "$T" -maxdepth 1 -name 'no*')" ] || fail "a refused dump left something"
	expect 1 dapk dump shop "${FROM[@]}" --output "$T/out.$v.d"
	assert_clear_error 'exists already'
done

note "options that archives do not carry"
for options in "-O -x" "--no-comments --no-tablespaces" "--schema=public" "-s" "-a"; do
	read -ra list <<<"$options"
	take_dump shop "${FROM[@]}" "${list[@]}"
	PGDATABASE=shop client_of pg_dump "${list[@]}" >"$T/stock.sql"
	expect 0 dapk export "$LABEL" --format plain --pg-bin-dir "$(tools "$v")" --output "$T/some.sql"
	assert_same_text <(no_keys <"$T/some.sql") <(no_keys <"$T/stock.sql") "plain with $options"
	rm "$T/some.sql"
done

note "what is refused"
take_dump shop "${FROM[@]}"
expect 2 dapk export "$LABEL"
assert_hint output
expect 2 dapk export "$LABEL" --output "$T/no" --compress lz4
expect 2 dapk export "$LABEL" --output "$T/no" --compress gzip:10
expect 2 dapk export "$LABEL" --output "$T/no" --format plain --compress gzip
expect 2 dapk export "$LABEL" --output - --format directory
expect 1 dapk export nonsense --output "$T/no"
assert_clear_error 'no backup or dump nonsense'
echo precious >"$T/precious"
mkdir "$T/precious.d"
echo precious >"$T/precious.d/file"
chown -R "$CLUSTER_USER" "$T/precious" "$T/precious.d"
for format in custom tar plain directory; do
	expect 1 dapk export "$LABEL" --output "$T/precious" --format "$format" --pg-bin-dir "$(tools "$v")"
	assert_clear_error 'exists already'
done
expect 1 dapk export "$LABEL" --output "$T/precious.d" --format directory
assert_eq "$(cat "$T/precious" "$T/precious.d/file")" $'precious\nprecious' "what was there"
as_user mkdir "$T/empty.d"
expect 0 dapk export "$LABEL" --output "$T/empty.d/" --format directory
reads_it "$d" directory default "$T/empty.d"
[ ! -e "$T/no" ] || fail "a refused export left something"

note "damage"
dumps=$(dirname "$(dump_dir "$LABEL")")
read -r of attempt number < <(tail -n +2 "$dumps/$LABEL/commit" |
	jq -r '.packs | max_by(.live) | "\(.label) \(.attempt) \(.number)"')
pack=$dumps/$of/$(printf 'pack-%02d-%06d.zst' "$attempt" "$number")
[ -s "$pack" ] || fail "no pack $pack"
for format in custom tar plain directory; do
	cp -p "$pack" "$T/pack.saved"
	chmod u+w "$pack"
	for at in 3000 9000 15000; do
		printf 'damage!' | dd of="$pack" bs=1 seek="$at" conv=notrunc status=none
	done
	expect 5 dapk export "$LABEL" --output "$T/no" --format "$format" --pg-bin-dir "$(tools "$v")"
	assert_clear_error 'pack|frame|chunk'
	cp -p "$T/pack.saved" "$pack"
	[ -z "$(find "$T" -maxdepth 1 -name 'no*')" ] || fail "a failed export of $format left something"
done
rm -f "$T/pack.saved"

note "globals"
sql "$S" "CREATE ROLE alice LOGIN PASSWORD 'secret'; CREATE ROLE \"odd role\""
expect 0 dapk dump --globals "${FROM[@]}"
LABEL=$(newest_dump)
client_of pg_dumpall --globals-only >"$T/globals.stock"
expect 0 dapk export "$LABEL" --output "$T/globals.sql"
assert_same_text <(no_keys <"$T/globals.sql") <(no_keys <"$T/globals.stock") "globals"
expect 2 dapk export "$LABEL" --output "$T/no" --format custom
assert_clear_error 'plain SQL only'
