#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# The database that this program was first written for: shipments partitioned
# by year, uuid and jsonb, text search by trigrams, the settings and the
# authentication of its documentation, and its old archive_command replaced.
# shellcheck source=tests/lib/lib.sh
. "$(dirname "$0")/../lib/lib.sh"

pg_new src
pg_conf src "max_connections = 100" "shared_buffers = 256MB" "effective_cache_size = 1GB" \
	"max_wal_size = 1GB" "min_wal_size = 80MB" "random_page_cost = 1.1" \
	"effective_io_concurrency = 200" "log_min_duration_statement = 1000" \
	"log_line_prefix = '%t [%p]: [%l-1] '" "log_timezone = 'UTC'" "autovacuum = on" \
	"autovacuum_max_workers = 3" "log_statement = 'ddl'" "log_connections = on" \
	"log_disconnections = on" "log_duration = on" \
	"archive_command = 'cp %p $T/old-archive/%f'"
cat >"$T/src/pg_hba.conf" <<'END'
local   all             all                                     peer map=os
host    all             all             127.0.0.1/32            scram-sha-256
host    all             all             ::1/128                 scram-sha-256
host    dapk            dapk_user       172.25.0.0/16           scram-sha-256
END
printf "os $CLUSTER_USER %s\n" postgres dapk_user dapk_backup >"$T/src/pg_ident.conf"
as_user mkdir "$T/old-archive"
write_conf src
dapk init >/dev/null
pg_start src

note "the old way is replaced while the server runs"
archive_with src "$BIN --config $CONF archive-push %p"
pg_reload src
expect 0 dapk check

sql src "CREATE USER dapk_user WITH PASSWORD 'secure_password_here'"
sql src "CREATE DATABASE dapk OWNER dapk_user"
sql_file src dapk <<'END'
CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
CREATE EXTENSION IF NOT EXISTS "pg_trgm";
CREATE EXTENSION IF NOT EXISTS amcheck;
SET ROLE dapk_user;
CREATE TABLE warehouses (id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), name text NOT NULL);
CREATE TABLE shipments (
	id uuid NOT NULL DEFAULT gen_random_uuid(), awb_number text NOT NULL,
	origin_warehouse_id uuid REFERENCES warehouses, destination_warehouse_id uuid REFERENCES warehouses,
	status text NOT NULL DEFAULT 'pending', total_amount numeric(12, 2), extra jsonb,
	created_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz,
	PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
CREATE TABLE shipments_2026 PARTITION OF shipments FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE shipments_2027 PARTITION OF shipments FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
CREATE INDEX idx_shipments_origin ON shipments (origin_warehouse_id);
CREATE INDEX idx_shipments_status ON shipments (status, deleted_at);
CREATE INDEX idx_shipments_dates ON shipments (created_at, deleted_at);
CREATE INDEX idx_shipments_awb_trgm ON shipments USING gin (awb_number gin_trgm_ops);
INSERT INTO warehouses (name) SELECT 'Lager ' || n FROM generate_series(1, 20) n;
INSERT INTO shipments (awb_number, origin_warehouse_id, status, total_amount, extra, created_at)
	SELECT 'AWB' || n, (SELECT id FROM warehouses OFFSET n % 20 LIMIT 1),
	(ARRAY['pending', 'sent', 'delivered'])[1 + n % 3], n * 1.25,
	jsonb_build_object('weight', n % 40, 'tags', ARRAY['a', md5(n::text)]),
	timestamptz '2026-01-01' + n * interval '20 minutes' FROM generate_series(1, 40000) n;
CREATE MATERIALIZED VIEW daily_shipment_stats AS
	SELECT date(created_at AT TIME ZONE 'UTC') AS date, origin_warehouse_id, count(*) AS total,
	sum(total_amount) AS amount FROM shipments WHERE deleted_at IS NULL GROUP BY 1, 2;
END
take_backup
sql src "UPDATE shipments SET status = 'delivered', deleted_at = now() WHERE status = 'sent'" dapk
sql src "INSERT INTO shipments (awb_number, created_at) SELECT 'NEW' || n, '2027-03-01' FROM generate_series(1, 500) n" dapk
dump_db src "$T/then.dump" dapk
second=$(sql src "SELECT clock_timestamp()")
sleep 0.01
sql src "DELETE FROM shipments" dapk
sql src "INSERT INTO warehouses (name) VALUES ('later')" dapk
archive_now src

note "14:31:07, one second before"
restored new "$MAIN" --target-time "$second"
dump_db new "$T/new.dump" dapk
assert_same_dump "$T/then.dump" "$T/new.dump"
assert_eq "$(sql new "SELECT count(*) FROM shipments WHERE awb_number LIKE '%WB3999%'" dapk)" 11 \
	"rows found by trigrams"
assert_amcheck new dapk
assert_eq "$(sql new 'SHOW max_connections')" 100 "max_connections"
assert_eq "$(find "$T/old-archive" -type f -newer "$T/new/PG_VERSION" | wc -l)" 0 \
	"files that went the old way"
pg_stop new
assert_checksums new
