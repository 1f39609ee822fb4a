#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Tables of extensions whose rows are dumped by a condition (PostGIS'
# spatial_ref_sys with a row of our own), and extensions as such.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"
# shellcheck source=tests/lib/dumps.sh
. "$TEST_TOP/tests/lib/dumps.sh"

dumps_with_repository src 15
new_db src geo
sql src 'CREATE EXTENSION postgis; CREATE EXTENSION "uuid-ossp"; CREATE EXTENSION pg_trgm; CREATE EXTENSION pg_stat_statements' geo
sql_file src geo <<'END'
INSERT INTO spatial_ref_sys (srid, auth_name, auth_srid, srtext, proj4text) VALUES (990001, 'ours', 1, 'LOCAL_CS["x"]', '+proj=longlat \.');
UPDATE spatial_ref_sys SET auth_name = 'changed' WHERE srid = 4326;
CREATE TABLE places (id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), name text, at geometry(Point, 4326), area geography);
INSERT INTO places (name, at, area) SELECT 'place ' || n, ST_SetSRID(ST_MakePoint(n % 180, n % 90), 4326),
	ST_Buffer(ST_MakePoint(n % 180, n % 80)::geography, 100) FROM generate_series(1, 2000) n;
INSERT INTO places (name, at) VALUES ('ours', NULL);
CREATE INDEX ON places USING gist (at);
CREATE INDEX ON places USING gin (name gin_trgm_ops);
END
round_trip src geo
assert_eq "$(PGDATABASE=geo client src psql -XqAtc "SELECT count(*) FROM spatial_ref_sys WHERE srid = 990001")" 1 "rows of ours"

note "the condition is in what is stored"
expect 0 dapk export "$LABEL" --format plain --output "$T/x.sql"
assert_eq "$(sed -n '/^COPY public.spatial_ref_sys/,/^\\\.$/p' "$T/x.sql" | grep -c ours)" 1 "rows of spatial_ref_sys"
