-- SPDX-License-Identifier: PostgreSQL
-- Every name that could break a path, a line, a quoted string or an option,
-- as the name of a schema, a table, its columns, index, constraint, sequence,
-- trigger, function, type and comment. psql 15 or newer.
SET client_min_messages = warning;
SET check_function_bodies = off;
CREATE TABLE public.horrors (n int PRIMARY KEY, name text NOT NULL);
INSERT INTO public.horrors VALUES
	(1, 'with "double" quotes'), (2, 'it''s'), (3, E'two\nlines'), (4, E'tab\there'), (5, 'percent %s %n %25 %'),
	(6, 'slash/../../etc'), (7, U&'\00fc\00df \65e5\672c\8a9e \+01f600'), (8, 'dots.in.it'), (9, '-dash'), (10, '--help'),
	(11, 'back\slash\'), (12, '$$dollar$$'), (13, '; DROP TABLE public.horrors; --'), (14, '*'), (15, '.'), (16, '..'),
	(17, ' '), (18, 'SELECT'), (19, 'Camel Case'), (20, '[a-z]?+|()^'), (21, '{"json": "\u0000"}'), (22, E'cr\rhere'),
	(23, '%2F%'), (24, 'con:1|2,3'), (25, E'\\.'), (26, E'\x01\x1b[31m'), (27, 'toc.dat'), (28, U&'e\0301 nfd'), (29, U&'\00e9 nfc'),
	(30, 'x' || repeat('y', 62)), (31, U&'\00fc' || repeat(U&'\00fc', 30)), (32, E'--\ntype: x'), (33, 'a=b host=nowhere');
DO $do$
DECLARE
	h record;
	s text;
BEGIN
	FOR h IN SELECT * FROM public.horrors ORDER BY n LOOP
		EXECUTE format('CREATE SCHEMA %I', h.name);
		s := format('%I.%1$I', h.name);
		EXECUTE format('CREATE TABLE %1$s (%2$I serial CONSTRAINT %2$I CHECK (%2$I > 0), %3$I text DEFAULT %4$L, "other" text)', s,
			h.name, left(h.name, 25) || ' 2', h.name);
		EXECUTE format('CREATE INDEX %I ON %s (%I)', left(h.name, 25) || ' idx', s, h.name);
		EXECUTE format('INSERT INTO %s ("other") SELECT %L || n FROM generate_series(1, 20) n', s, h.name);
		EXECUTE format('INSERT INTO %s VALUES (99, %L, E''\\.\n'')', s, h.name);
		EXECUTE format('ALTER TABLE %s DROP COLUMN "other", ADD COLUMN %I int DEFAULT 5', s, left(h.name, 25) || ' 3');
		EXECUTE format('CREATE SEQUENCE %I.%I START 7', h.name, left(h.name, 25) || ' seq');
		EXECUTE format('CREATE FUNCTION %I.%1$I() RETURNS trigger LANGUAGE plpgsql AS %L', h.name,
			E'BEGIN\n\tRETURN NEW; END -- \\. $$ '' "');
		EXECUTE format('CREATE TRIGGER %1$I BEFORE UPDATE ON %2$s FOR EACH ROW EXECUTE FUNCTION %1$I.%1$I()', h.name, s);
		EXECUTE format('CREATE VIEW %1$I.%2$I AS SELECT %1$I AS %1$I, %1$L::text AS "%%" FROM %3$s', h.name,
			left(h.name, 25) || ' v', s);
		EXECUTE format('COMMENT ON TABLE %s IS %L', s, h.name || E'\n\\. -- "$$''');
		EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', s, h.name, h.name);
		EXECUTE format('CREATE TYPE %I.%I AS ENUM (%L, %L)', h.name, left(h.name, 25) || ' e', h.name, '');
	END LOOP;
END
$do$;
-- Names that differ only in what a file system or a path may fold.
CREATE TABLE public."A" AS SELECT 1 AS "a", 2 AS "A";
CREATE TABLE public."a" AS SELECT 3 AS "a", 4 AS "A";
CREATE TABLE public."s/t" AS SELECT 's/t' AS v;
CREATE TABLE public."s%2Ft" AS SELECT 's%2Ft' AS v;
CREATE SCHEMA "public/s";
CREATE TABLE "public/s"."t" AS SELECT 'public/s . t' AS v;
-- A line of the table of contents longer than any fixed buffer (T132).
DO $$ BEGIN
	EXECUTE 'CREATE TABLE public.wide (' || (SELECT string_agg(format('%I text DEFAULT %L', repeat('w', 50) || n, repeat('z', 40)), ', ')
		FROM generate_series(1, 900) n) || ')';
	EXECUTE 'INSERT INTO public.wide VALUES (' || (SELECT string_agg(quote_literal(n), ', ') FROM generate_series(1, 900) n) || ')';
END $$;
