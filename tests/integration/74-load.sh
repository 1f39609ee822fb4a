#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# A dump is loaded: a table in ranges by several connections, into a new
# database, over what is there, single tables with what is theirs, a schema
# into another, rows only; globals into another server, with passwords. An
# error says which object and what was loaded. A dump's large objects need
# the rights that pg_dump needs.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

BACKUP_ROLE=postgres # for passwords of roles, and since loads give owners back
dumps_with_repository src
new_db src shop
sql_file src shop >/dev/null <<'SQL'
CREATE ROLE keeper LOGIN PASSWORD 'hidden';
CREATE ROLE reader;
CREATE SCHEMA shop AUTHORIZATION keeper;
SET search_path = shop;
CREATE TYPE color AS ENUM ('red', 'blue');
CREATE TABLE shop (id serial PRIMARY KEY, customer int, c color DEFAULT 'red');
CREATE TABLE customer (id int PRIMARY KEY, shop_id int REFERENCES shop, name text);
INSERT INTO shop (customer) SELECT g FROM generate_series(1, 500) g;
INSERT INTO customer SELECT g, 1 + g % 500, repeat(md5(g::text), 7) FROM generate_series(1, 400000) g;
CREATE INDEX ON customer (shop_id);
CREATE VIEW pairs AS SELECT shop.id, shop.customer, customer.name FROM shop JOIN customer ON customer.shop_id = shop.id;
CREATE FUNCTION names() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM shop.customer $$;
CREATE FUNCTION here() RETURNS bigint LANGUAGE sql SET search_path = shop AS 'SELECT count(*) FROM customer';
CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'stopped'; END $$;
CREATE TRIGGER stop BEFORE INSERT ON customer FOR EACH ROW EXECUTE FUNCTION stop();
CREATE MATERIALIZED VIEW sums AS SELECT count(*) FROM customer;
COMMENT ON TABLE customer IS 'of the shop';
GRANT SELECT ON customer TO reader;
CREATE TABLE public.other (id int REFERENCES customer, d int DEFAULT nextval('shop.shop_id_seq'));
INSERT INTO public.other VALUES (7);
CREATE TABLE public.years (y int, v text, PRIMARY KEY (y, v)) PARTITION BY RANGE (y);
CREATE TABLE public.years_2025 PARTITION OF public.years FOR VALUES FROM (2025) TO (2026);
CREATE TABLE public.a_rest PARTITION OF public.years DEFAULT;
CREATE INDEX ON public.years (v);
CREATE TABLE public.tickets (id serial, what text);
SELECT lo_from_bytea(0, decode(repeat('00ff5c0a', g * 90000), 'hex')), lo_creat(-1) FROM generate_series(1, 5) g;
SQL
sql src "COMMENT ON DATABASE shop IS 'sells'"
sql src "ALTER DATABASE shop SET work_mem = '5MB'"
take_dump shop
L=$LABEL
into=(-h "$(psql_host src)" -p "${PORT[src]}")
db_text src shop "$T/shop.text"

same_as_shop() { # DATABASE
	db_text src "$1" "$T/$1.text"
	assert_same_text "$T/$1.text" "$T/shop.text" "database $1"
}

note "where to is asked for, since conninfo names the source; the plan changes nothing"
before=$(sql src "SELECT count(*) FROM pg_class")
expect 2 dapk load "$L" "${into[@]}"
assert_contains "$ERR" "--database" "what to do"
assert_eq "$(sql src "SELECT count(*) FROM pg_class")" "$before" "what is in the database of conninfo"
new_db src plan
expect 0 dapk load "$L" --dry-run "${into[@]}" --database plan
assert_match "$OUT" '400000 rows  "shop"\."customer"'
assert_match "$OUT" 'large objects'
assert_eq "$(sql src "SELECT count(*) FROM pg_namespace WHERE nspname = 'shop'" plan)" 0 "schemas after a dry run"

note "into a new database, over it, and with --create"
load_dump src "$L" copy --jobs 3
same_as_shop copy
assert_contains "$OUT" "10 large objects" "what load said"
expect 0 dapk load "$L" --clean --jobs 3 "${into[@]}" --database copy
same_as_shop copy
sql src "ALTER DATABASE shop RENAME TO kept"
expect 0 dapk load "$L" --create "${into[@]}"
same_as_shop shop
assert_eq "$(sql src "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'shop'")" \
	sells "the comment on the database"
assert_eq "$(sql src "SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
	WHERE datname = 'shop'")" '{work_mem=5MB}' "the database's setting"

note "what is there already is an error that says so"
expect 4 dapk load "$L" "${into[@]}" --database copy
assert_contains "$ERR" 'schema "shop" already exists' "the error"
assert_contains "$ERR" "into an empty database" "its hint"
assert_contains "$ERR" "definitions in part, no rows" "what was loaded"
assert_contains "$ERR" "--clean" "what to do"

note "a table with what is its own"
new_db src one
sql src "CREATE SCHEMA shop; CREATE TYPE shop.color AS ENUM ('red', 'blue')" one
expect 4 dapk load "$L" --table shop.customer "${into[@]}" --database one
assert_contains "$ERR" "stop() does not exist" "a trigger whose function is not there"
drop_db src one
new_db src one
sql src "CREATE SCHEMA shop; CREATE TYPE shop.color AS ENUM ('red', 'blue')" one
expect 0 dapk load "$L" -t 'shop.sho?' "${into[@]}" --database one
assert_eq "$(sql src "SELECT count(*), nextval('shop.shop_id_seq'), max(id) FROM shop.shop" one)" \
	"500|502|500" "rows, sequence, and its default's sequence"
assert_eq "$(sql src "SELECT count(*) FROM pg_index WHERE indrelid = 'shop.shop'::regclass" one)" 1 "its index"
expect 1,2,3 dapk load "$L" -t nothing.there "${into[@]}" --database one
assert_contains "$ERR" 'no table "nothing.there"' "the error"

note "rows only, triggers and foreign keys asleep"
sql src "DELETE FROM shop.shop" one
expect 0 dapk load "$L" --data-only -t shop.shop "${into[@]}" --database one
assert_eq "$(sql src "SELECT count(*) FROM shop.shop" one)" 500 "rows"
sql src "DELETE FROM public.other; DELETE FROM shop.customer" copy
expect 4 dapk load "$L" --data-only -t shop.customer "${into[@]}" --database copy
assert_contains "$ERR" "table shop.customer: PostgreSQL: stopped" "the object of the error"
expect 0 dapk load "$L" --data-only --disable-triggers -t shop.customer "${into[@]}" --database copy
assert_eq "$(sql src "SELECT count(*) FROM shop.customer" copy)" 400000 "rows past the trigger"
assert_eq "$(sql src "SELECT tgenabled FROM pg_trigger WHERE tgname = 'stop'" copy)" O "the trigger afterwards"

note "a schema into another, beside it"
expect 0 dapk load "$L" --schema shop --into-schema 'new "shop"' "${into[@]}" --database kept
assert_contains "$ERR" "function names(): its body names schema shop" "the warning"
assert_contains "$ERR$OUT" "400500 in 2 tables" "rows"
assert_eq "$(sql src 'SELECT count(*), (SELECT count FROM "new ""shop""".sums) FROM "new ""shop""".pairs' kept)" \
	"400000|400000" "views of the new schema"
sql src 'DROP TRIGGER stop ON "new ""shop""".customer; DELETE FROM "new ""shop""".customer' kept
assert_eq "$(sql src 'SELECT "new ""shop""".here(), "new ""shop""".names()' kept)" "0|400000" \
	"a function with a search path, and one with a body"
assert_eq "$(sql src "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname LIKE 'new%'" kept)" keeper "its owner"
sql src "DROP SCHEMA shop CASCADE" kept 2>/dev/null
assert_eq "$(sql src 'INSERT INTO "new ""shop""".shop DEFAULT VALUES RETURNING id, c' kept | head -n 1)" "502|red" \
	"defaults do not lean on the old schema"
expect 2 dapk load "$L" --into-schema x "${into[@]}" --database kept
assert_contains "$ERR" "nothing was changed in database kept" "that nothing happened"
assert_contains "$ERR" "--schema" "what --into-schema needs"

note "large objects need what pg_dump needs"
expect 4 dapk dump kept -U keeper -h 127.0.0.1 -p "${PORT[src]}"
assert_contains "$ERR" "permission denied" "the error of a user who may not"

note "a table that is left out takes its sequence with it"
new_db src less
expect 0 dapk load "$L" "${into[@]}" --database less --schema-only -T tickets
assert_eq "$(sql src "SELECT count(*) FROM pg_class WHERE relname LIKE 'tickets%'" less)" 0 "what is left of it"
assert_eq "$(sql src "SELECT count(*) FROM pg_class WHERE relname = 'shop_id_seq'" less)" 1 "another's sequence"

note "globals into another server"
expect 0 dapk dump --globals
G=$(newest_dump)
expect 1,2 dapk load "$G" --create "${into[@]}"
pg_new other
pg_conf other "archive_mode = off"
pg_start other
expect 0 dapk load "$G" -h "$(psql_host other)" -p "${PORT[other]}"
expect 0 dapk load "$G" -h "$(psql_host other)" -p "${PORT[other]}"
assert_eq "$(sql other "SELECT rolpassword FROM pg_authid WHERE rolname = 'keeper'")" \
	"$(sql src "SELECT rolpassword FROM pg_authid WHERE rolname = 'keeper'")" "the password"
expect 1 dapk dump --globals -U keeper -h 127.0.0.1 -p "${PORT[src]}"
assert_contains "$ERR" "--no-role-passwords" "what helps who is no superuser"
expect 0 dapk dump --globals --no-role-passwords -U keeper -h 127.0.0.1 -p "${PORT[src]}"
expect 0 dapk load "$L" --create --no-owner --no-privileges -h "$(psql_host other)" -p "${PORT[other]}"
assert_eq "$(sql other "SELECT count(*) FROM shop.customer" shop)" 400000 "rows in another server"
expect 0 dapk info
assert_contains "$OUT" "${L%%-*}" info
