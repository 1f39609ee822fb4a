-- SPDX-License-Identifier: PostgreSQL
-- Large objects (T133): with an owner, grants and a comment, an empty one, one
-- with holes, one of more than 2 MB. After roles.sql.
SELECT lo_create(n::text::oid) FROM unnest(ARRAY[16400, 16401, 16402, 77000, 2147483648, 4294967295]) n;
SELECT lo_put(16400, 0, 'text \\ with \\. and '::bytea || '\x0a5c2e0a00ff');
SELECT lo_put(16402, 5000, '\x01'), lo_put(16402, 900000, '\x0203');
SELECT lo_put(2147483648, 0, (SELECT string_agg(sha512(n::text::bytea), '' ORDER BY n) FROM generate_series(1, 40000) n));
SELECT lo_put(4294967295, 0, '\xffffffff');
ALTER LARGE OBJECT 16400 OWNER TO dump_owner;
GRANT SELECT ON LARGE OBJECT 16400 TO dump_reader;
GRANT UPDATE ON LARGE OBJECT 77000 TO PUBLIC;
COMMENT ON LARGE OBJECT 16402 IS E'it''s\n\\.';
SELECT lo_from_bytea(n::oid, md5(n::text)::bytea) FROM generate_series(100000, 100199) n;
CREATE TABLE with_lobs (id int, o oid);
INSERT INTO with_lobs SELECT row_number() OVER (ORDER BY oid), oid FROM pg_largeobject_metadata;
