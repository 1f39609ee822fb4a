-- SPDX-License-Identifier: PostgreSQL
-- A table for each family of data types, with the values that are easily lost:
-- limits, specials, NULL beside empty, and what a session's settings could
-- round or reorder. psql 15 or newer; any server from 13 on.
SELECT :SERVER_VERSION_NUM >= 140000 AS v14, :SERVER_VERSION_NUM >= 170000 AS v17 \gset
SET client_min_messages = warning;
CREATE SCHEMA types;
SET search_path = types, public;

CREATE TABLE numbers (s smallint, i int, b bigint, n numeric, n2 numeric(12, 4), f4 float4, f8 float8, m money, o boolean);
INSERT INTO numbers VALUES
	(-32768, -2147483648, -9223372036854775808, 'NaN', -99999999.9999, 'NaN', 'NaN', '-92233720368547758.08', true),
	(32767, 2147483647, 9223372036854775807, 1e-16383, 0.0000, 'Infinity', 'Infinity', '92233720368547758.07', false),
	(0, 0, 0, 0.000, 1.5000, '-Infinity', '-Infinity', '0.01', NULL),
	(1, 2, 3, 123456789012345678901234567890.123456789012345678901234567890, 3.1416, 1.4e-45, 4.9406564584124654e-324, '1234.56', true),
	(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(4, 5, 6, 1e131071, 7, 3.4028235e38, 1.7976931348623157e308, '7', true),
	(5, 6, 7, -0.1, 8, '-0', '-0', '8', true),
	(6, 7, 8, 1.10, 9, 0.1::float4 + 0.2::float4, 0.1::float8 + 0.2::float8, '9', true);
\if :v14
INSERT INTO numbers (n) VALUES ('Infinity'), ('-Infinity');
\endif

CREATE TABLE times (d date, t time, tz timetz, ts timestamp, tstz timestamptz, ts0 timestamp(0), i interval, iy interval year to month);
INSERT INTO times VALUES
	('infinity', '24:00:00', '24:00:00-15:59', 'infinity', 'infinity', 'infinity', '178000000 years', '11 years 7 months'),
	('-infinity', '00:00', '00:00+15:59', '-infinity', '-infinity', '-infinity', '-178000000 years', '-1 year'),
	('4714-11-24 BC', '12:34:56.789012', '12:34:56.789012+05:45', '4714-11-24 00:00:00 BC', '4714-11-24 00:00:00+00 BC', '0044-03-15 BC', '-1 years +2 mons -3 days +04:05:06.789', '0'),
	('5874897-12-31', '23:59:59.999999', '23:59:59.999999-07', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '1999-12-31 23:59:59.6', '-0.000001 seconds', NULL),
	('2026-02-03', '01:02:03', '01:02:03+01', '2026-03-29 02:30:00', '2026-10-25 02:30:00+02', '2026-02-03', '1 day -1 hour', '1 month'),
	(NULL, NULL, NULL, NULL, NULL, NULL, '00:00', NULL);
\if :v17
INSERT INTO times (i) VALUES ('infinity'), ('-infinity');
\endif

-- Characters that COPY escapes, or that only look as if.
CREATE TABLE texts (id int PRIMARY KEY, t text, v varchar(20), c char(6), n name, ch "char");
INSERT INTO texts VALUES
	(1, '', '', '', '', ''), (2, NULL, NULL, NULL, NULL, NULL), (3, '\N', '\N', '\N', '\N', '\'),
	(4, '\.', '\.', '\.', '\.', '.'), (5, E'a\tb', E'\t', E'\t', 'x', E'\t'),
	(6, E'line 1\nline 2\n', E'\n', E'\n', 'y', E'\n'), (7, E'\r\n\r', E'\r', E'\r', 'z', E'\r'),
	(8, E'\x01\x08\x0b\x0c\x1b\x1f\x7f', 'b', 'c', 'd', E'\x7f'), (9, '  spaces  ', ' s ', 'a ', ' n ', ' '),
	(10, E'\\.\nCOPY other FROM stdin;\n\\.\nDROP TABLE texts;', E'\\.\n', '', '', ''),
	(11, '''"$$\\''; DROP TABLE x; --', '''', '"', '''', ''''), (12, repeat('\', 1001), '\\', '\\\', '\\', '\'),
	(13, U&'gr\00fc\00df\00e9 \65e5\672c\8a9e \+01f600 \202e\0301', U&'\00e4', U&'\00fc', U&'\00e9', 'u'),
	(14, repeat(E'x\\\n', 400000), 'long', 'long', 'long', 'l');
INSERT INTO texts (id, t) SELECT 1000 + n, chr(n) || '\' || chr(n) FROM generate_series(1, 300) n;

CREATE TABLE bytes (id int PRIMARY KEY, b bytea, u uuid, bi bit(9), vb bit varying, vbn bit varying(5));
INSERT INTO bytes VALUES
	(1, '', '00000000-0000-0000-0000-000000000000', B'000000000', B'', B''),
	(2, '\x00', 'ffffffff-ffff-ffff-ffff-ffffffffffff', B'111111111', B'1', B'10101'),
	(3, '\x5c2e0a5c4e', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', B'010101010', NULL, NULL), (4, NULL, NULL, NULL, NULL, NULL);
INSERT INTO bytes SELECT 5, string_agg(set_byte('\x00', 0, n % 256), '' ORDER BY n), NULL, NULL, repeat('01', 3000)::bit varying FROM generate_series(0, 70000) n;

CREATE TABLE net (i inet, c cidr, m macaddr, m8 macaddr8);
INSERT INTO net VALUES ('192.168.1.5/24', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05'),
	('::ffff:1.2.3.4/128', '2001:4f8:3:ba::/64', 'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff'), ('0.0.0.0/0', '0.0.0.0/0', NULL, NULL);

CREATE TABLE shapes (p point, l line, s lseg, b box, pa path, po path, g polygon, c circle);
INSERT INTO shapes VALUES
	('(0.1,-0)', '{1.1,-2.2,3.3}', '[(1,2),(3,4)]', '(3,4),(1,2)', '((0,0),(1,1),(2,0))', '[(0,0),(1,1)]', '((0,0),(0,1),(1,1))', '<(1,2),3.3333333333333335>'),
	('(Infinity,NaN)', NULL, NULL, '(1e300,1e300),(-1e300,-1e300)', NULL, NULL, NULL, '<(0,0),0>');

CREATE TABLE documents (j json, jb jsonb, x xml, tv tsvector, tq tsquery, jp jsonpath);
INSERT INTO documents VALUES
	(E'{"b": 1,   "a" : [1,2 , {"b\\u0000c": "\\\\ \\n"}], "a": 2}', E'{"k": "\\t\\\\\\"\\u00fc", "n": 12345678901234567890.0100, "e": {}, "z": [null, true]}',
	'<?xml version="1.0"?><a b="c">&lt;\&amp;</a>', $$'it''s':3A,4 '\\':1B 'x y':2$$, $$'fat' & ( 'rat':AB | !'c\\''at':* ) <-> 'q'$$, '$."a b"[*] ? (@ > 1.5)'),
	('null', 'null', '', '', '', '$'), ('""', '""', NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s "fine", \ really', '');
ALTER TYPE mood ADD VALUE 'between' BEFORE 'ok';
CREATE DOMAIN positive AS int CONSTRAINT "must be > 0" CHECK (VALUE > 0) DEFAULT 7;
CREATE DOMAIN word AS text COLLATE "C" NOT NULL CHECK (VALUE !~ '\s');
CREATE TYPE pair AS (a int, "B b" text, m mood);
CREATE TYPE nested AS (p pair, ps pair[]);
CREATE DOMAIN good_pair AS pair CHECK ((VALUE).a IS NOT NULL);
CREATE TYPE floatrange AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TABLE own (m mood, ms mood[], d positive, w word, p pair, n nested, gp good_pair, fr floatrange);
INSERT INTO own VALUES
	('it''s "fine", \ really', ARRAY['sad', '', 'between', NULL]::mood[], 1, 'w', ROW(1, 'x,"y"\(z)', 'ok'), ROW(ROW(NULL, '', NULL), ARRAY[ROW(1, NULL, 'sad')::pair, NULL]), ROW(1, NULL, NULL), '[1.5,)'),
	(NULL, '{}', NULL, '', ROW(NULL, NULL, NULL), NULL, ROW(0, '', ''), 'empty');

CREATE TABLE arrays (i int[], t text[], mt text[][], lb int[], n numeric[], b bytea[], j jsonb[], d date[], e positive[]);
INSERT INTO arrays VALUES
	('{1,NULL,3}', ARRAY['', NULL, 'NULL', '{', '"', '\', ',', ' ', E'\n'], '{{a,b},{c,d}}', '[-2:0]={1,2,3}', '{NaN,0.10}', ARRAY['\x', '\x5c00'::bytea], ARRAY['{"a": "b"}', 'null']::jsonb[], '{infinity,2026-01-01}', '{1,2}'),
	('{}', '{}', '{}', '[1:2][0:1]={{1,2},{3,4}}', NULL, NULL, NULL, NULL, NULL);

CREATE TABLE ranges (i int4range, b int8range, n numrange, t tsrange, tz tstzrange, d daterange);
INSERT INTO ranges VALUES ('[1,10)', '(,5]', '(1.5,NaN]', '[-infinity,infinity]', '["2026-01-01 00:00:00+00",)', '[2026-01-01,2026-12-31]'),
	('empty', '(,)', '[0,0]', '["2026-01-01 10:00", "2026-01-01 11:00")', NULL, '[,infinity)');
\if :v14
CREATE TABLE multiranges (i int4multirange, n nummultirange, t tsmultirange);
INSERT INTO multiranges VALUES ('{[1,3),[5,8)}', '{(,1.50],(2,)}', '{}'), ('{}', NULL, '{["2026-01-01 00:00:00",infinity)}');
\endif

CREATE TABLE system (o oid, rc regclass, rt regtype, rp regproc, l pg_lsn, t tid, x xid, c cid, s pg_snapshot, ov oidvector, iv int2vector, a aclitem);
INSERT INTO system VALUES (4294967295, 'types.texts', 'types.mood[]', 'pg_catalog.now', 'FFFFFFFF/FFFFFFFF', '(4294967295,65535)', '4294967295', '0', '10:20:10,14,15', '1 2 3', '-1 2', 'postgres=r*w/postgres'),
	(0, '-', '-', '-', '0/0', '(0,0)', '0', '0', '1:1:', '', '', NULL);

-- In pg_dump's tables rows keep their order only where nothing sorts them.
CREATE TABLE mixed AS SELECT n AS id, md5(n::text) AS t, n % 7 = 0 AS odd, (n * 1.37)::numeric(10, 3) AS amount,
	CASE WHEN n % 11 > 0 THEN jsonb_build_object('n', n, 't', repeat(chr(300 + n % 50), n % 40)) END AS doc,
	CASE WHEN n % 97 = 0 THEN decode(repeat(md5(n::text), n % 900), 'hex') END AS b FROM generate_series(1, 20000) n;
ALTER TABLE mixed ADD PRIMARY KEY (id);
