/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "load/reschema.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define ODD "o\"d.d's \\ Shop"

/* What pg_dump 15 wrote of a database made for this. */
static struct archive_entry entries[] = {
	{ .desc = "SCHEMA", .tag = "shop", .defn = "CREATE SCHEMA shop;\n",
	    .drop_stmt = "DROP SCHEMA shop;\n" },
	{ .desc = "COMMENT", .tag = "SCHEMA shop",
	    .defn = "COMMENT ON SCHEMA shop IS 'the shop.customer''s "
		    "schema';\n" },
	{ .desc = "EXTENSION", .tag = "postgis",
	    .defn = "CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA "
		    "shop;\n" },
	{ .desc = "TYPE", .tag = "color", .namespace = "shop",
	    .defn = "CREATE TYPE shop.color AS ENUM (\n    'red'\n);\n" },
	{ .desc = "TYPE", .tag = "rng", .namespace = "shop",
	    .defn = "CREATE TYPE shop.rng AS RANGE (\n    subtype = double "
		    "precision,\n    multirange_type_name = "
		    "shop.rng_multirange\n);\n" },
	{ .desc = "TABLE", .tag = "customer", .namespace = "shop",
	    .defn = "CREATE TABLE shop.customer (\n    id integer NOT NULL,\n"
		    "    m shop.rng\n);\n",
	    .drop_stmt = "DROP TABLE shop.customer;\n" },
	{ .desc = "TABLE", .tag = "shop", .namespace = "shop",
	    .defn = "CREATE TABLE shop.shop (\n    id integer,\n    c "
		    "shop.color DEFAULT 'red'::shop.color,\n    g "
		    "shop.geometry(Point,4326),\n    t text DEFAULT "
		    "'shop.customer'::text\n);\n" },
	{ .desc = "FUNCTION", .tag = "f(integer, shop.color)",
	    .namespace = "shop",
	    .defn = "CREATE FUNCTION shop.f(a integer, b shop.color) RETURNS "
		    "SETOF shop.customer\n    LANGUAGE sql\n    SET "
		    "search_path TO 'shop', 'pg_temp'\n    AS $$ select * "
		    "from shop.customer $$;\n",
	    .drop_stmt = "DROP FUNCTION shop.f(a integer, b shop.color);\n" },
	{ .desc = "FUNCTION", .tag = "workshop()", .namespace = "shop",
	    .defn = "CREATE FUNCTION shop.workshop() RETURNS integer\n    "
		    "LANGUAGE sql\n    AS $$ select 1 from workshop.x $$;\n" },
	{ .desc = "OPERATOR", .tag = "+++", .namespace = "shop",
	    .defn = "CREATE OPERATOR shop.+++ (\n    FUNCTION = shop.f,\n"
		    "    COMMUTATOR = OPERATOR(shop.+++)\n);\n" },
	{ .desc = "SEQUENCE", .tag = "shop_idn_seq", .namespace = "shop",
	    .defn = "ALTER TABLE shop.shop ALTER COLUMN id ADD GENERATED "
		    "ALWAYS AS IDENTITY (\n    SEQUENCE NAME "
		    "shop.shop_idn_seq\n);\n" },
	{ .desc = "SEQUENCE SET", .tag = "shop_idn_seq", .namespace = "shop",
	    .defn = "SELECT pg_catalog.setval('shop.shop_idn_seq', 1, "
		    "false);\n" },
	{ .desc = "TABLE DATA", .tag = "customer", .namespace = "shop",
	    .copy_stmt = "COPY shop.customer (id, m) FROM stdin;\n" },
	{ .desc = "CONSTRAINT", .tag = "customer odd con",
	    .namespace = "shop",
	    .defn = "ALTER TABLE ONLY shop.customer\n    ADD CONSTRAINT "
		    "\"odd con\" UNIQUE (id);\n" },
	{ .desc = "INDEX", .tag = "odd_i", .namespace = "shop",
	    .defn = "CREATE INDEX odd_i ON shop.customer USING btree (m);\n" },
	{ .desc = "DEFAULT ACL", .tag = "DEFAULT PRIVILEGES FOR TABLES",
	    .namespace = "shop",
	    .defn = "ALTER DEFAULT PRIVILEGES FOR ROLE shop IN SCHEMA shop "
		    "GRANT SELECT ON TABLES  TO shop;\n" },
	{ .desc = "VIEW", .tag = "v", .namespace = "shop",
	    .defn = "CREATE VIEW shop.v AS SELECT 1;\n" },
	{ .desc = "FUNCTION", .tag = "h(integer)", .namespace = "shop",
	    .defn = "CREATE FUNCTION shop.h(a integer) RETURNS integer\n    "
		    "LANGUAGE sql\n    RETURN 1;\n" },
	{ .desc = "TABLE", .tag = "left", .namespace = "shop", .skip = true,
	    .defn = "CREATE TABLE shop.left (\n);\n" },
	{ .desc = "TABLE", .tag = "other", .namespace = "public",
	    .defn = "CREATE TABLE public.other (\n    id integer DEFAULT "
		    "nextval('shop.shop_idn_seq'::regclass),\n    customer "
		    "integer\n);\n" },
};
#define ENTRIES N(entries)

static struct archive_head head = { .version = ARCHIVE_VERSION(1, 14),
	.entries = entries, .n = ENTRIES };

/* The same text with @ for the schema, before and after. */
static char *
with_schema(const char *text, const char *schema)
{
	struct buf b;
	char *out;

	buf_init(&b, 65536);
	for (; *text != '\0'; text++) {
		if (*text == '@')
			buf_add_str(&b, schema);
		else
			buf_add_byte(&b, (uint8_t)*text);
	}
	out = xstrdup(buf_str(&b));
	buf_free(&b);
	return out;
}

/* Each text: "@" is rewritten, "shop" stays. */
static void
expect_texts(const char *const *texts, size_t n)
{
	struct reschema *r = NULL;
	struct err err = ERR_INIT;
	struct buf b;
	size_t i;

	assert_int_equal(reschema_new(&r, &head, "shop", "New", &err), 0);
	for (i = 0; i < n; i++) {
		char *before = with_schema(texts[i], "shop");
		char *after = with_schema(texts[i], "\"New\"");

		buf_init(&b, 65536);
		assert_int_equal(reschema_text(r, before, false, &b),
		    strchr(texts[i], '@') != NULL);
		assert_string_equal(buf_str(&b), after);
		buf_free(&b);
		free(before);
		free(after);
	}
	reschema_free(r);
}

static void
names_of_the_archives_objects_are_rewritten_and_no_others(void **state)
{
	static const char *const texts[] = {
		"ALTER TABLE ONLY @.customer ADD CONSTRAINT shop CHECK (1=1);",
		"ALTER INDEX @.odd_i ATTACH PARTITION @.\"odd con\";",
		"SELECT pg_catalog.setval('@.shop_idn_seq', 5, true);",
		"x integer DEFAULT nextval('@.shop_idn_seq'::regclass)",
		"x text DEFAULT 'shop.customer'::text",
		"x regclass DEFAULT '@.customer'::pg_catalog.regclass",
		"'@.f(integer, @.color)'::regprocedure",
		"x @.color[] DEFAULT '{}'::@.color[], y @.rng_multirange",
		"x shop.geometry, y shop.\"left\", z other.shop.customer",
		"x OPERATOR(@.+++) y OPERATOR(pg_catalog.+) z",
		"COMMENT ON OPERATOR @.+++ (integer, integer) IS 'shop.f';",
		"COMMENT ON COLUMN @.customer.id IS 'of shop.customer';",
		"GRANT SELECT ON TABLE @.shop TO shop;",
		"GRANT USAGE ON SCHEMA @ TO shop;",
		"ALTER PUBLICATION p ADD TABLES IN SCHEMA @;",
		"/* shop.customer */ -- shop.customer\n @.customer",
		"$$ shop.customer $$ $a$ shop.customer $b$ $a$ E'\\' shop.f(' "
		"@.f(1)",
		"@ . customer",
		"\"Shop\".customer, \"shop.customer\", 'it''s shop.customer'",
		"CREATE VIEW @.v AS SELECT shop.id FROM (@.customer "
		"JOIN @.shop ON ((shop.id = customer.id)))",
		"CREATE FUNCTION public.x() RETURNS integer SET search_path "
		"TO shop2, 'shop.x' AS 'shop.f()'",
	};

	(void)state;
	expect_texts(texts, N(texts));
}

/* Tables and aliases that are called as the schema is. */
static void
a_column_of_a_table_with_the_schemas_name_stays(void **state)
{
	static const char *const texts[] = {
		"CREATE VIEW @.v AS\n SELECT shop.id,\n    shop.customer,\n    "
		"c.id AS cid\n   FROM (@.shop\n     LEFT JOIN @.customer c ON "
		"((c.shop_id = shop.customer)));",
		"CREATE VIEW public.pv AS\n SELECT shop.customer\n   FROM "
		"@.customer shop(customer, b, c);",
		"CREATE VIEW @.v AS SELECT shop.customer, @.f(shop.customer), "
		"(shop.customer)::@.color AS color, 'x'::@.color, EXTRACT("
		"year FROM shop.customer), (shop.customer IS DISTINCT FROM "
		"shop.customer) FROM @.shop, @.customer, (SELECT shop.customer "
		"FROM public.other shop) s, ROWS FROM(@.f(shop.customer)) WHERE "
		"(shop.customer IN ( SELECT customer.id FROM @.customer WHERE "
		"(customer.id = shop.customer))) ORDER BY shop.customer, "
		"shop.shop;",
		"CREATE POLICY pol ON @.shop FOR SELECT USING ((id IN ( SELECT "
		"shop.customer FROM @.shop)));",
		"CREATE RULE r AS ON INSERT TO @.shop DO INSTEAD INSERT INTO "
		"@.customer (id) VALUES (1) RETURNING shop.customer;",
		"CREATE TABLE @.shop (c @.color DEFAULT 'red'::@.color, "
		"customer integer);",
		"CREATE FUNCTION @.h(a @.color) RETURNS @.shop BEGIN ATOMIC\n "
		"SELECT shop.customer FROM @.shop;\nEND;",
	};

	(void)state;
	expect_texts(texts, N(texts));
}

/* Finds the entry of the copy. */
static const struct archive_entry *
entry(const struct archive_head *h, const char *desc, const char *tag)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		if (strcmp(h->entries[i].desc, desc) == 0 &&
		    strcmp(h->entries[i].tag, tag) == 0)
			return &h->entries[i];
	fail_msg("no %s %s", desc, tag);
	return NULL;
}

static void
every_entry_of_the_archive_is_rewritten(void **state)
{
	struct archive_entry copy[ENTRIES];
	struct archive_head h = head;
	struct reschema *r = NULL;
	struct err err = ERR_INIT;
	const char *const *bodies;
	size_t n;

	(void)state;
	memcpy(copy, entries, sizeof(copy));
	h.entries = copy;
	assert_int_equal(reschema_new(&r, &h, "shop", "new", &err), 0);
	assert_int_equal(reschema_apply(r, &h, &err), 0);
	assert_string_equal(entry(&h, "SCHEMA", "new")->defn,
	    "CREATE SCHEMA \"new\";\n");
	assert_string_equal(entry(&h, "SCHEMA", "new")->drop_stmt,
	    "DROP SCHEMA \"new\";\n");
	assert_string_equal(entry(&h, "COMMENT", "SCHEMA new")->defn,
	    "COMMENT ON SCHEMA \"new\" IS 'the shop.customer''s schema';\n");
	assert_string_equal(entry(&h, "EXTENSION", "postgis")->defn,
	    "CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA shop;\n");
	assert_string_equal(entry(&h, "TABLE", "shop")->defn,
	    "CREATE TABLE \"new\".shop (\n    id integer,\n    c "
	    "\"new\".color DEFAULT 'red'::\"new\".color,\n    g "
	    "shop.geometry(Point,4326),\n    t text DEFAULT "
	    "'shop.customer'::text\n);\n");
	assert_string_equal(entry(&h, "TABLE", "shop")->namespace, "new");
	assert_string_equal(entry(&h, "TABLE DATA", "customer")->copy_stmt,
	    "COPY \"new\".customer (id, m) FROM stdin;\n");
	assert_string_equal(entry(&h, "FUNCTION", "f(integer, shop.color)")->
	    defn, "CREATE FUNCTION \"new\".f(a integer, b \"new\".color) "
	    "RETURNS SETOF \"new\".customer\n    LANGUAGE sql\n    SET "
	    "search_path TO 'new', 'pg_temp'\n    AS $$ select * from "
	    "shop.customer $$;\n");
	assert_string_equal(entry(&h, "DEFAULT ACL",
	    "DEFAULT PRIVILEGES FOR TABLES")->defn, "ALTER DEFAULT "
	    "PRIVILEGES FOR ROLE shop IN SCHEMA \"new\" GRANT SELECT ON "
	    "TABLES  TO shop;\n");
	assert_string_equal(entry(&h, "TABLE", "left")->namespace, "shop");
	assert_string_equal(entry(&h, "TABLE", "other")->defn,
	    "CREATE TABLE public.other (\n    id integer DEFAULT "
	    "nextval('\"new\".shop_idn_seq'::regclass),\n    customer "
	    "integer\n);\n");
	bodies = reschema_bodies(r, &n);
	assert_int_equal(n, 1);
	assert_string_equal(bodies[0], "f(integer, shop.color)");
	reschema_free(r);
}

static void
names_that_need_quotes_are_found_and_written(void **state)
{
	struct archive_entry one[] = {
		{ .desc = "TABLE", .tag = "a \"b\"", .namespace = ODD,
		    .defn = "CREATE TABLE \"o\"\"d.d's \\ Shop\".\"a "
			    "\"\"b\"\"\" (\n    id integer DEFAULT nextval("
			    "E'\"o\"\"d.d''s \\\\ Shop\".\"a \"\"b\"\"\"'"
			    "::regclass)\n);\n" },
	};
	struct archive_head h = { .version = ARCHIVE_VERSION(1, 14),
		.entries = one, .n = 1 };
	struct reschema *r = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(reschema_new(&r, &h, ODD, "it's \"new\"", &err), 0);
	assert_int_equal(reschema_apply(r, &h, &err), 0);
	assert_string_equal(one[0].defn,
	    "CREATE TABLE \"it's \"\"new\"\"\".\"a \"\"b\"\"\" (\n    id "
	    "integer DEFAULT nextval('\"it''s \"\"new\"\"\".\"a "
	    "\"\"b\"\"\"'::regclass)\n);\n");
	assert_string_equal(one[0].namespace, "it's \"new\"");
	reschema_free(r);
}

static void
a_schema_without_objects_is_not_found(void **state)
{
	struct reschema *r = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(reschema_new(&r, &head, "shoop", "new", &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_null(r);
}

/* Whatever is cut off: no byte is lost, and none is read past the end. */
static void
any_beginning_of_a_text_goes_through(void **state)
{
	static const char text[] = "E'a\\'b' \"x\"\"y\" $t$ $t $t$ /* a /* b "
				   "*/ */ U&'x' 1.5e3 :: shop.customer -- c\n"
				   "b'1' nextval('shop.f') $1 '''";
	struct reschema *r = NULL;
	struct err err = ERR_INIT;
	struct buf b;
	size_t i;

	(void)state;
	assert_int_equal(reschema_new(&r, &head, "shop", "shop", &err), 0);
	for (i = 0; i <= strlen(text); i++) {
		char *beginning = xstrndup(text, i);

		buf_init(&b, 65536);
		if (!reschema_text(r, beginning, false, &b))
			assert_string_equal(buf_str(&b), beginning);
		buf_free(&b);
		free(beginning);
	}
	reschema_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    names_of_the_archives_objects_are_rewritten_and_no_others),
		cmocka_unit_test(
		    a_column_of_a_table_with_the_schemas_name_stays),
		cmocka_unit_test(every_entry_of_the_archive_is_rewritten),
		cmocka_unit_test(names_that_need_quotes_are_found_and_written),
		cmocka_unit_test(a_schema_without_objects_is_not_found),
		cmocka_unit_test(any_beginning_of_a_text_goes_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
