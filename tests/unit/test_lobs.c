/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "dump/lobs.h"

#define OBJECTS 5000

/* An archive 1.16 with one group of these OIDs, newest first. */
static void
plan_of(struct lobs_plan *plan, const uint32_t *oids, size_t n)
{
	int32_t dependency = 7;
	struct archive_entry entries[2];
	struct archive_head head;
	struct err err = ERR_INIT;
	struct buf defn;
	size_t i;

	buf_init(&defn, (size_t)1 << 20);
	for (i = n; i > 0; i--)
		buf_printf(&defn, "%u\n", (unsigned)oids[i - 1]);
	memset(&head, 0, sizeof(head));
	memset(entries, 0, sizeof(entries));
	head.version = ARCHIVE_VERSION(1, 16);
	head.entries = entries;
	head.n = 2;
	entries[0].dump_id = 7;
	entries[0].desc = "BLOB METADATA";
	entries[0].tag = "many";
	entries[0].defn = buf_str(&defn);
	entries[1].dump_id = 8;
	entries[1].desc = "BLOBS";
	entries[1].tag = "many";
	entries[1].had_dumper = true;
	entries[1].dependencies = &dependency;
	entries[1].n_dependencies = 1;
	if (lobs_plan(plan, &head, NULL, &err) != 0)
		fail_msg("%s", err.msg);
	buf_free(&defn);
}

static void
every_object_is_in_one_item_ascending(void **state)
{
	uint32_t oids[OBJECTS];
	struct lobs_plan plan;
	size_t i, k, at = 0;
	char want[40];

	(void)state;
	for (i = 0; i < OBJECTS; i++)
		oids[i] = 16384 + (uint32_t)i * 3;
	oids[OBJECTS - 1] = UINT32_MAX;
	plan_of(&plan, oids, OBJECTS);
	assert_int_equal(plan.objects, OBJECTS);
	assert_true(plan.n > OBJECTS / LOBS_ITEM_MAX);
	for (i = 0; i < plan.n; i++) {
		assert_int_equal(plan.list[i].dump_id, 8);
		assert_in_range(plan.list[i].n, 1, LOBS_ITEM_MAX);
		(void)snprintf(want, sizeof(want), "large_objects/%010u",
		    (unsigned)plan.list[i].oids[0]);
		assert_string_equal(plan.list[i].path, want);
		for (k = 0; k < plan.list[i].n; k++)
			assert_int_equal(plan.list[i].oids[k], oids[at++]);
	}
	assert_int_equal(at, OBJECTS);
	lobs_plan_free(&plan);
}

static void
an_object_less_changes_its_item_only(void **state)
{
	uint32_t oids[OBJECTS];
	struct lobs_plan before, after;
	size_t i, k, differ = 0;

	(void)state;
	for (i = 0; i < OBJECTS; i++)
		oids[i] = 20000 + (uint32_t)i;
	plan_of(&before, oids, OBJECTS);
	memmove(oids + 1000, oids + 1001,
	    (OBJECTS - 1001) * sizeof(oids[0]));
	plan_of(&after, oids, OBJECTS - 1);
	for (i = 0; i < after.n; i++) {
		for (k = 0; k < before.n; k++)
			if (strcmp(before.list[k].path,
				after.list[i].path) == 0 &&
			    before.list[k].n == after.list[i].n &&
			    memcmp(before.list[k].oids, after.list[i].oids,
				after.list[i].n * sizeof(uint32_t)) == 0)
				break;
		differ += k == before.n;
	}
	assert_in_range(differ, 1, 2);
	lobs_plan_free(&before);
	lobs_plan_free(&after);
}

static void
an_archive_without_large_objects_has_none(void **state)
{
	struct archive_entry entry = { .desc = "TABLE DATA", .tag = "t",
		.had_dumper = true };
	struct archive_head head = { .version = ARCHIVE_VERSION(1, 14),
		.entries = &entry, .n = 1 };
	struct lobs_plan plan;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(lobs_plan(&plan, &head, NULL, &err), 0);
	assert_int_equal(plan.n, 0);
	assert_int_equal(plan.objects, 0);
	lobs_plan_free(&plan);
}

static void
a_group_that_names_no_objects_is_refused(void **state)
{
	int32_t dependency = 7;
	struct archive_entry entries[2] = {
		{ .dump_id = 7, .desc = "BLOB METADATA", .tag = "x",
		    .defn = "SELECT pg_catalog.lo_create('16400');\n" },
		{ .dump_id = 8, .desc = "BLOBS", .tag = "x",
		    .had_dumper = true, .dependencies = &dependency,
		    .n_dependencies = 1 },
	};
	struct archive_head head = { .version = ARCHIVE_VERSION(1, 16),
		.entries = entries, .n = 2 };
	struct lobs_plan plan;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(lobs_plan(&plan, &head, NULL, &err), -1);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	err_clear(&err);
	entries[1].n_dependencies = 0;
	assert_int_equal(lobs_plan(&plan, &head, NULL, &err), -1);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_object_is_in_one_item_ascending),
		cmocka_unit_test(an_object_less_changes_its_item_only),
		cmocka_unit_test(an_archive_without_large_objects_has_none),
		cmocka_unit_test(a_group_that_names_no_objects_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
