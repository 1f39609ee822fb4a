/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "info/info.h"

#define A "20260101T000000Z-000000000000000a"
#define B "20260102T000000Z-000000000000000b"
#define C "20260103T000000Z-000000000000000c"
#define GONE "20251231T000000Z-00000000000000ff"

struct line {
	const char *label;
	uint32_t number;
	uint64_t size, plain, live;
};

/* Three backups, oldest first, as their commits name packs. */
static const struct line packs_a[] = { { A, 0, 100, 1000, 1000 },
	{ A, 1, 50, 500, 500 }, { A, 2, 7, 10, 10 } };
static const struct line packs_b[] = { { B, 0, 20, 200, 200 },
	{ A, 0, 100, 1000, 900 }, { A, 1, 50, 500, 500 },
	{ GONE, 3, 30, 300, 100 } };
static const struct line packs_c[] = { { C, 0, 10, 100, 100 },
	{ A, 0, 100, 1000, 400 }, { B, 0, 20, 200, 150 } };

struct fixture {
	struct info_set set;
	struct info_backup backups[3];
	struct commit_pack packs[3][4];
	struct manifest_part part;
};

static void
set_up(struct fixture *f)
{
	static const struct {
		const char *label;
		const struct line *lines;
		size_t n;
	} all[] = { { A, packs_a, 3 }, { B, packs_b, 4 }, { C, packs_c, 3 } };
	size_t i, k;

	memset(f, 0, sizeof(*f));
	f->part.size = 1;
	f->set.list = f->backups;
	f->set.n = 3;
	f->set.unfinished = 2;
	for (i = 0; i < 3; i++) {
		struct info_backup *b = &f->backups[i];

		(void)snprintf(b->label, sizeof(b->label), "%s",
		    all[i].label);
		memcpy(b->commit.label, b->label, sizeof(b->label));
		b->commit.packs = f->packs[i];
		b->commit.n_packs = all[i].n;
		b->commit.parts = &f->part;
		b->commit.n_parts = 1;
		for (k = 0; k < all[i].n; k++) {
			const struct line *l = &all[i].lines[k];
			struct commit_pack *p = &f->packs[i][k];

			(void)snprintf(p->id.label, sizeof(p->id.label),
			    "%s", l->label);
			p->id.attempt = 1;
			p->id.number = l->number;
			p->size = l->size;
			p->plain = l->plain;
			p->live = l->live;
		}
	}
}

static void
removing_a_backup_frees_what_no_other_one_names(void **state)
{
	struct fixture f;

	set_up(&f);
	info_shares(&f.set);
	assert_true(f.set.shares_known);
	/* Its manifest, and the pack that nobody took over. */
	assert_int_equal(f.backups[0].share.frees, 1 + 7);
	/* Another's pack goes too when only this one needs it. */
	assert_int_equal(f.backups[1].share.frees, 1 + 30);
	assert_int_equal(f.backups[2].share.frees, 1 + 10);
}

static void
what_is_alive_is_what_the_newest_backup_needs(void **state)
{
	struct fixture f;
	const struct info_share *s;

	set_up(&f);
	info_shares(&f.set);
	assert_int_equal(f.set.newest, 2);
	s = &f.backups[0].share;
	assert_int_equal(s->made_packs, 3);
	assert_int_equal(s->made_bytes, 157);
	assert_int_equal(s->made_plain, 1510);
	assert_int_equal(s->made_live, 400);
	assert_int_equal(f.backups[1].share.made_live, 150);
	assert_int_equal(f.backups[2].share.made_live, 100);
}

static void
each_backup_referred_to_counts_once_and_removed_ones_too(void **state)
{
	struct fixture f;
	const struct info_share *s;

	set_up(&f);
	info_shares(&f.set);
	assert_int_equal(f.backups[0].share.refers_packs, 0);
	s = &f.backups[1].share;
	assert_int_equal(s->refers_backups, 2);
	assert_int_equal(s->refers_packs, 3);
	assert_int_equal(s->refers_bytes, 180);
	assert_int_equal(s->refers_plain, 1800);
	assert_int_equal(s->refers_live, 1500);
	assert_int_equal(f.backups[2].share.refers_backups, 2);
	/* Of the two folders without a commit one is the removed backup's. */
	assert_int_equal(f.set.orphan_backups, 1);
	assert_int_equal(f.set.orphan_bytes, 30);
	assert_int_equal(f.set.unfinished, 1);
}

static void
nothing_is_said_to_be_free_when_a_commit_cannot_be_read(void **state)
{
	struct fixture f;

	set_up(&f);
	f.backups[1].problem.code = ERR_DAMAGED;
	memset(&f.backups[1].commit, 0, sizeof(f.backups[1].commit));
	info_shares(&f.set);
	assert_false(f.set.shares_known);
	/* Its packs are not those of a removed backup. */
	assert_int_equal(f.set.orphan_backups, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    removing_a_backup_frees_what_no_other_one_names),
		cmocka_unit_test(
		    what_is_alive_is_what_the_newest_backup_needs),
		cmocka_unit_test(
		    each_backup_referred_to_counts_once_and_removed_ones_too),
		cmocka_unit_test(
		    nothing_is_said_to_be_free_when_a_commit_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
