-- SPDX-License-Identifier: PostgreSQL
-- Shipments partitioned by year, warehouses; uuid, jsonb, trigrams, soft
-- deletes, a report. :rows is how many shipments.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
CREATE TABLE warehouses (id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), code varchar(10) UNIQUE NOT NULL, name text NOT NULL,
	address jsonb NOT NULL DEFAULT '{}', deleted_at timestamptz);
CREATE TABLE shipments (
	id uuid NOT NULL DEFAULT gen_random_uuid(), awb_number varchar(30) NOT NULL,
	origin_warehouse_id uuid REFERENCES warehouses, destination_warehouse_id uuid REFERENCES warehouses,
	status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'sent', 'delivered')),
	total_amount numeric(12, 2), extra jsonb, tags text[],
	created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz, deleted_at timestamptz,
	PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
CREATE TABLE shipments_2025 PARTITION OF shipments FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE shipments_2026 PARTITION OF shipments FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE shipments_2027 PARTITION OF shipments FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
CREATE TABLE shipments_default PARTITION OF shipments DEFAULT;
CREATE INDEX idx_shipments_origin ON shipments (origin_warehouse_id);
CREATE INDEX idx_shipments_status ON shipments (status, deleted_at);
CREATE INDEX idx_shipments_dates ON shipments (created_at, deleted_at);
CREATE INDEX idx_shipments_awb_trgm ON shipments USING gin (awb_number gin_trgm_ops);
CREATE TABLE tracking_events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, awb_number text NOT NULL, at timestamptz NOT NULL,
	position point, detail jsonb);
INSERT INTO warehouses (code, name, address) SELECT 'W' || n, 'Lager ' || n, jsonb_build_object('city', 'Stadt ' || n, 'zip', 10000 + n)
	FROM generate_series(1, 20) n;
INSERT INTO shipments (awb_number, origin_warehouse_id, destination_warehouse_id, status, total_amount, extra, tags, created_at)
	SELECT 'AWB' || lpad(n::text, 9, '0'), w.ids[1 + n % 20], w.ids[1 + n * 7 % 20],
	(ARRAY['pending', 'sent', 'delivered'])[1 + n % 3], n * 1.25,
	jsonb_build_object('weight', n % 40, 'note', 'fragile \ ' || md5(n::text), 'dims', jsonb_build_array(n % 9, n % 8, n % 7)),
	ARRAY['a', md5((n % 100)::text)], timestamptz '2025-06-01 00:00+00' + n * (interval '700 days' / :rows)
	FROM generate_series(1, :rows) n, (SELECT array_agg(id ORDER BY code) AS ids FROM warehouses) w;
INSERT INTO tracking_events (awb_number, at, position, detail) SELECT 'AWB' || lpad((n % :rows)::text, 9, '0'),
	timestamptz '2026-01-01 00:00+00' + n * interval '1 minute', point(n % 180, n % 90), jsonb_build_object('step', n % 5, 'by', md5((n % 50)::text))
	FROM generate_series(1, :rows) n;
CREATE MATERIALIZED VIEW daily_shipment_stats AS
	SELECT date(created_at AT TIME ZONE 'UTC') AS date, origin_warehouse_id, count(*) AS total_shipments, sum(total_amount) AS total_amount
	FROM shipments WHERE deleted_at IS NULL GROUP BY 1, 2;
