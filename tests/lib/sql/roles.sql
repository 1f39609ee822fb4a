-- SPDX-License-Identifier: PostgreSQL
-- Roles: what is the cluster's, not a database's.
CREATE ROLE dump_owner LOGIN PASSWORD 'it''s "secret" \x';
CREATE ROLE dump_reader NOLOGIN CONNECTION LIMIT 7 VALID UNTIL '2030-01-01 00:00:00+00';
CREATE ROLE "quoted ""role"" %/" IN ROLE dump_reader;
ALTER ROLE dump_owner SET search_path = o, public;
COMMENT ON ROLE dump_reader IS E'reads\n\\.';
