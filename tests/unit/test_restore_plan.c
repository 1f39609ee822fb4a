/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "core/time.h"
#include "repo/manifest_names.h"
#include "fixture_wal.h"
#include "restore/plan.h"

#define T0 INT64_C(848599200000000) /* 2026-11-21 18:00:00 UTC */
#define SEC INT64_C(1000000)

/*
 * Segments 4..9 of timeline 1, backup A that ends in 4 (at T0) and B that
 * ends in 6 (at T0 + 25 s). Commits 810 (10 s), 812 (20 s), 820 (30 s),
 * restore point "here" (40 s), commit 830 (50 s), then only a later record.
 */
struct world {
	struct place *p;
	struct config cfg;
	struct restore_plan *plan;
	uint64_t stop_a, stop_b, commit_820, last, switched;
};

static void
put_backup_of(const struct place *p, uint32_t timeline, const char *label,
    uint64_t start, uint64_t stop, int64_t stop_time, uint64_t damaged)
{
	static char local[] = "local", program[] = "test", host[] = "here";
	struct manifest_part part = { .size = 100 };
	struct commit_pack pack = { .id.attempt = 1, .size = 100 };
	char key[STORAGE_KEY_MAX], bytes[100] = { 0 };
	struct commit c;

	memset(&c, 0, sizeof(c));
	c.parts = &part;
	c.n_parts = 1;
	(void)snprintf(c.label, sizeof(c.label), "%s", label);
	c.inc = p->inc;
	c.catalog_version = 202209061;
	c.method = local;
	c.program = program;
	c.host = host;
	c.attempt = 1;
	c.start_lsn = start;
	c.stop_lsn = stop;
	c.timeline = timeline;
	c.start_time = stop_time - 5 * SEC;
	c.stop_time = stop_time;
	wal_segment_name(timeline, wal_segno_of_lsn(start, p->segment_size),
	    p->segment_size, c.wal_first);
	wal_segment_name(timeline, wal_segno_of_lsn(stop - 1, p->segment_size),
	    p->segment_size, c.wal_last);
	c.block_size = 8192;
	c.relation_segment_blocks = 131072;
	c.wal_segment_size = p->segment_size;
	c.damaged_count = damaged;
	(void)snprintf(pack.id.label, sizeof(pack.id.label), "%s", label);
	c.packs = &pack;
	c.n_packs = 1;
	manifest_part_key(&p->inc, REPO_BACKUP, label, 0, key);
	OK(storage_put(p->repo->st, key, bytes, sizeof(bytes), &err));
	repo_pack_key(&p->inc, &pack.id, key);
	OK(storage_put(p->repo->st, key, bytes, sizeof(bytes), &err));
	OK(commit_put(p->repo, &c, &err));
}

static void
put_backup(const struct place *p, const char *label, uint64_t start,
    uint64_t stop, int64_t stop_time, uint64_t damaged)
{
	put_backup_of(p, 1, label, start, stop, stop_time, damaged);
}

#define BACKUP_A "20261121T175955Z-00000000000000aa"
#define BACKUP_B "20261121T180020Z-00000000000000bb"

static uint64_t
here(const struct made_wal *w)
{
	return (made_lsn(w) + 7) & ~UINT64_C(7);
}

static void
build(struct world *x, struct place *p, uint64_t damaged_b)
{
	struct made_wal w = made_new(p->segment_size, 1, 4, 6);
	char name[WAL_SEGMENT_NAME_LEN + 1];
	uint64_t start, i;

	memset(x, 0, sizeof(*x));
	x->p = p;
	x->cfg.cluster = p->inc.cluster;
	x->cfg.jobs = 1;
	made_fill(&w, 10000);
	start = here(&w);
	made_fill(&w, 100000);
	x->stop_a = here(&w);
	put_backup(p, BACKUP_A, start, x->stop_a, T0, 0);
	made_fill(&w, 200000);
	(void)made_commit(&w, 810, T0 + 10 * SEC);
	made_fill(&w, 2 * MB + 300000);
	(void)made_commit(&w, 812, T0 + 20 * SEC);
	start = here(&w);
	made_fill(&w, 2 * MB + 500000);
	x->stop_b = here(&w);
	put_backup(p, BACKUP_B, start, x->stop_b, T0 + 25 * SEC, damaged_b);
	made_fill(&w, 3 * MB + 100000);
	x->commit_820 = made_commit(&w, 820, T0 + 30 * SEC);
	made_fill(&w, 4 * MB);
	(void)made_point(&w, "here", T0 + 40 * SEC);
	made_fill(&w, 5 * MB + 400000);
	(void)made_commit(&w, 830, T0 + 50 * SEC);
	x->last = made_point(&w, "last", T0 + 90 * SEC);
	(void)made_record(&w, RM_HEAP, 0, 3, w.bytes, 100);
	x->switched = made_switch(&w);
	for (i = 4; i <= 9; i++) {
		place_segment(p, &w, i, name);
		place_push(p, name);
	}
	made_free(&w);
}

static int
choose(struct world *x)
{
	struct restore_params params = { .repo = x->p->repo,
		.config = &x->cfg, .program = "/usr/bin/dapk-backup" };

	restore_plan_free(x->plan);
	x->plan = plan_new(&params);
	return plan_choose(x->plan, &err);
}

static void
target(struct world *x, enum config_target type, char *value)
{
	x->cfg.target = type;
	x->cfg.target_value = value;
}

static void
target_time(struct world *x, int64_t t)
{
	static char text[TIME_TEXT_MAX];

	(void)time_format(t, text);
	target(x, TARGET_TIME, text);
}

static void
done(struct world *x)
{
	restore_plan_free(x->plan);
	x->plan = NULL;
}

static void
hints(const char *text)
{
	if (strstr(err.hint, text) == NULL)
		fail_msg("'%s' is not in the hint: %s", text, err.hint);
}

static void
the_newest_backup_that_ended_strictly_before_the_time_is_chosen(void **state)
{
	static const struct {
		int64_t at;
		const char *label;
	} table[] = {
		{ T0 + 1, BACKUP_A },
		{ T0 + 24 * SEC, BACKUP_A },
		{ T0 + 25 * SEC, BACKUP_A }, /* B ends at this very moment */
		{ T0 + 25 * SEC + 1, BACKUP_B },
		{ T0 + 45 * SEC, BACKUP_B },
	};
	struct world x;
	size_t i;

	build(&x, *state, 0);
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		target_time(&x, table[i].at);
		OK(choose(&x));
		assert_string_equal(x.plan->backup.label, table[i].label);
		assert_true(x.plan->found.found);
	}
	done(&x);
}

static void
a_time_is_found_at_the_first_commit_past_it(void **state)
{
	struct world x;

	build(&x, *state, 0);
	target_time(&x, T0 + 30 * SEC);
	OK(choose(&x));
	assert_int_equal(x.plan->found.event.xid, 830);
	x.cfg.exclusive = true;
	OK(choose(&x));
	assert_int_equal(x.plan->found.event.xid, 820);
	done(&x);
}

static void
a_time_after_the_last_commit_becomes_the_last_records_lsn(void **state)
{
	struct world x;
	struct buf b;

	build(&x, *state, 0);
	target_time(&x, T0 + 60 * SEC);
	OK(choose(&x));
	assert_true(x.plan->found.use_lsn);
	assert_int_equal(x.plan->found.event.lsn, x.switched);
	buf_init(&b, PLAN_NOTES_MAX);
	plan_target_text(x.plan, &b);
	assert_non_null(strstr(buf_str(&b), "2026-11-21 18:01:00"));
	buf_free(&b);
	done(&x);
}

static void
what_cannot_be_reached_is_refused_with_what_can(void **state)
{
	static char nix[] = "nix", far[] = "5/0", xid[] = "4711";
	struct world x;

	build(&x, *state, 0);
	target_time(&x, T0);
	FAILS(choose(&x), ERR_REFUSED);
	SAYS(BACKUP_A);
	hints("2026-11-21 18:00:00");
	target_time(&x, T0 + 91 * SEC);
	FAILS(choose(&x), ERR_REFUSED);
	SAYS("after the end of the archive");
	hints("18:01:30");
	target(&x, TARGET_NAME, nix);
	FAILS(choose(&x), ERR_REFUSED);
	hints("\"here\"");
	target(&x, TARGET_LSN, far);
	FAILS(choose(&x), ERR_REFUSED);
	target(&x, TARGET_XID, xid);
	FAILS(choose(&x), ERR_REFUSED);
	done(&x);
}

static void
a_transaction_and_a_restore_point_choose_the_newest_backup_before(void **state)
{
	static char early[] = "812", late[] = "820", name[] = "here";
	struct world x;

	build(&x, *state, 0);
	target(&x, TARGET_XID, early);
	OK(choose(&x));
	assert_string_equal(x.plan->backup.label, BACKUP_A);
	target(&x, TARGET_XID, late);
	OK(choose(&x));
	assert_string_equal(x.plan->backup.label, BACKUP_B);
	target(&x, TARGET_NAME, name);
	OK(choose(&x));
	assert_string_equal(x.plan->backup.label, BACKUP_B);
	done(&x);
}

static void
an_lsn_may_be_where_the_backup_ends(void **state)
{
	char text[LSN_TEXT_MAX];
	struct world x;

	build(&x, *state, 0);
	(void)lsn_format(x.stop_b, text);
	target(&x, TARGET_LSN, text);
	OK(choose(&x));
	assert_string_equal(x.plan->backup.label, BACKUP_B);
	(void)lsn_format(x.stop_b - 8, text);
	OK(choose(&x));
	assert_string_equal(x.plan->backup.label, BACKUP_A);
	(void)lsn_format(x.stop_a - 8, text);
	FAILS(choose(&x), ERR_REFUSED);
	done(&x);
}

static void
a_damaged_backup_is_used_only_when_named(void **state)
{
	static char b[] = "20261121T180020Z";
	struct world x;

	build(&x, *state, 3);
	OK(choose(&x));
	assert_string_equal(x.plan->backup.label, BACKUP_A);
	assert_non_null(strstr(buf_str(&x.plan->notes), "damaged"));
	x.cfg.backup = b;
	OK(choose(&x));
	assert_string_equal(x.plan->backup.label, BACKUP_B);
	done(&x);
}

static void
a_label_may_be_shortened_while_it_is_unique(void **state)
{
	static char both[] = "20261121T1", none[] = "2031";
	struct world x;

	build(&x, *state, 0);
	x.cfg.backup = both;
	FAILS(choose(&x), ERR_USAGE);
	SAYS(BACKUP_A);
	x.cfg.backup = none;
	FAILS(choose(&x), ERR_REFUSED);
	done(&x);
}

static void
remove_segment(struct place *p, const char *segment)
{
	struct keys k;
	size_t i;

	place_keys(p, segment, &k);
	assert_true(k.n > 0);
	for (i = 0; i < k.n; i++)
		OK(storage_remove(p->repo->st, k.key[i], &err));
}

static void
a_gap_is_refused_for_the_end_but_not_before_it(void **state)
{
	struct world x;

	build(&x, *state, 0);
	remove_segment(x.p, "000000010000000000000008");
	FAILS(choose(&x), ERR_REFUSED);
	SAYS("000000010000000000000008");
	hints("--target-lsn");
	target_time(&x, T0 + 26 * SEC);
	OK(choose(&x));
	target_time(&x, T0 + 45 * SEC);
	FAILS(choose(&x), ERR_REFUSED);
	SAYS("000000010000000000000008");
	done(&x);
}

static void
a_backup_without_its_own_wal_is_refused(void **state)
{
	struct world x;

	build(&x, *state, 0);
	remove_segment(x.p, "000000010000000000000006");
	FAILS(choose(&x), ERR_REFUSED);
	SAYS(BACKUP_B);
	x.cfg.target = TARGET_IMMEDIATE; /* the older one is whole */
	OK(choose(&x));
	assert_string_equal(x.plan->backup.label, BACKUP_A);
	done(&x);
}

static void
only_a_backup_from_before_the_fork_leads_to_the_latest_timeline(void **state)
{
	static char current[] = "current", two[] = "2", nine[] = "9";
	static char b[] = BACKUP_B;
	struct world x;

	build(&x, *state, 0);
	place_push_text(x.p, "00000002.history",
	    "1\t0/500000\tno recovery target specified\n");
	place_push_range(x.p, 2, 5, 6);
	x.cfg.target = TARGET_IMMEDIATE;
	OK(choose(&x)); /* its own timeline (T88) */
	assert_string_equal(x.plan->backup.label, BACKUP_B);
	assert_string_equal(x.plan->timeline, "current");
	x.cfg.target = TARGET_LATEST;
	OK(choose(&x));
	assert_string_equal(x.plan->backup.label, BACKUP_A);
	assert_int_equal(x.plan->path.timeline, 2);
	assert_non_null(strstr(buf_str(&x.plan->notes), BACKUP_B));
	x.cfg.timeline = current;
	OK(choose(&x));
	assert_string_equal(x.plan->backup.label, BACKUP_B);
	x.cfg.timeline = two;
	x.cfg.backup = b; /* after the fork (T89) */
	FAILS(choose(&x), ERR_REFUSED);
	x.cfg.backup = NULL;
	x.cfg.timeline = nine;
	FAILS(choose(&x), ERR_REFUSED);
	hints("1, 2");
	done(&x);
}

static void
a_transaction_on_another_timeline_is_told(void **state)
{
	static char xid[] = "820";
	struct world x;

	build(&x, *state, 0);
	place_push_text(x.p, "00000002.history",
	    "1\t0/500000\tno recovery target specified\n");
	place_push_range(x.p, 2, 5, 6);
	target(&x, TARGET_XID, xid);
	FAILS(choose(&x), ERR_REFUSED);
	hints("--timeline 1");
	done(&x);
}

/* The LSN that the hint names, as a target. */
static void
target_of_hint(struct world *x)
{
	static char lsn[LSN_TEXT_MAX];
	const char *p = strstr(err.hint, "--target-lsn ");

	assert_non_null(p);
	p += strlen("--target-lsn ");
	(void)snprintf(lsn, sizeof(lsn), "%.*s", (int)strspn(p,
	    "0123456789ABCDEF/"), p);
	target(x, TARGET_LSN, lsn);
}

static void
latest_does_not_run_past_the_fork_of_a_timeline_that_is_lost(void **state)
{
	static char one[] = "1";
	struct world x;

	build(&x, *state, 0);
	place_push_text(x.p, "00000002.history", "1\t0/710000\tx\n");
	FAILS(choose(&x), ERR_REFUSED);
	SAYS("timeline 2 left timeline 1 at LSN 0/710000");
	hints("--timeline 1");
	/* What the hint says works, and ends before the fork. */
	target_of_hint(&x);
	x.cfg.timeline = one;
	OK(choose(&x));
	assert_true(x.plan->found.event.end <= 0x710000);
	/* A target before the fork needs nothing of timeline 2. */
	x.cfg.timeline = NULL;
	target_time(&x, T0 + 15 * SEC);
	OK(choose(&x));
	assert_int_equal(x.plan->path.timeline, 2);
	assert_int_equal(plan_recovery_timeline(x.plan), 1);
	x.cfg.standby = true;
	x.cfg.target = TARGET_LATEST;
	FAILS(choose(&x), ERR_REFUSED);
	done(&x);
}

static void
what_a_commit_names_is_looked_for_before_anything_is_written(void **state)
{
	static char b[] = BACKUP_B;
	struct pack_id id = { .attempt = 1 };
	char key[STORAGE_KEY_MAX];
	struct world x;

	build(&x, *state, 0);
	(void)snprintf(id.label, sizeof(id.label), BACKUP_B);
	repo_pack_key(&x.p->inc, &id, key);
	OK(storage_remove(x.p->repo->st, key, &err));
	x.cfg.backup = b;
	FAILS(choose(&x), ERR_DAMAGED);
	SAYS("pack-01-000000");
	/* Not asked for by name: the one before holds, and is said to. */
	x.cfg.backup = NULL;
	OK(choose(&x));
	assert_string_equal(x.plan->backup.label, BACKUP_A);
	assert_non_null(strstr(buf_str(&x.plan->notes), "is passed over"));
	OK(storage_put(x.p->repo->st, key, "short", 5, &err));
	x.cfg.backup = b;
	FAILS(choose(&x), ERR_DAMAGED);
	SAYS("5 bytes");
	/* When none holds, the newest one's loss is told. */
	x.cfg.backup = NULL;
	(void)snprintf(id.label, sizeof(id.label), BACKUP_A);
	repo_pack_key(&x.p->inc, &id, key);
	OK(storage_remove(x.p->repo->st, key, &err));
	FAILS(choose(&x), ERR_DAMAGED);
	SAYS("5 bytes");
	done(&x);
}

static void
needed_wal_is_read_and_what_is_not_needed_is_not(void **state)
{
	char path[700];
	struct world x;
	struct keys k;
	FILE *file;

	build(&x, *state, 0);
	OK(choose(&x));
	assert_true(x.plan->proof.read);
	place_keys(x.p, "000000010000000000000008", &k);
	place_key_path(x.p, k.key[0], path);
	assert_int_equal(chmod(path, 0600), 0);
	file = fopen(path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, 3000, SEEK_SET), 0);
	assert_false(fputs("damage", file) < 0);
	assert_int_equal(fclose(file), 0);
	FAILS(choose(&x), ERR_DAMAGED);
	SAYS("000000010000000000000008");
	target_time(&x, T0 + 26 * SEC);
	OK(choose(&x));
	done(&x);
}

static void
a_hole_in_the_histories_is_told_before_postgresql_meets_it(void **state)
{
	static char one[] = "1";
	struct world x;

	build(&x, *state, 0);
	place_push_text(x.p, "00000003.history", "1\t0/710000\tx\n");
	x.cfg.timeline = one;
	FAILS(choose(&x), ERR_REFUSED);
	SAYS("00000002.history");
	hints("archive-push");
	done(&x);
}

static void
one_backup_without_its_history_does_not_hide_the_others(void **state)
{
	struct world x;

	build(&x, *state, 0);
	put_backup_of(x.p, 3, "20261121T180100Z-00000000000000cc", 8 * MB + 40,
	    8 * MB + 8000, T0 + 60 * SEC, 0);
	x.cfg.target = TARGET_IMMEDIATE;
	OK(choose(&x));
	assert_string_equal(x.plan->backup.label, BACKUP_B);
	done(&x);
}

static void
an_abandoned_timeline_is_taken_only_by_its_number(void **state)
{
	static char one[] = "1", b[] = BACKUP_B;
	struct world x;

	build(&x, *state, 0);
	place_push_text(x.p, "00000002.history", "1\t0/500000\tx\n");
	place_push_range(x.p, 2, 5, 6);
	x.cfg.backup = b; /* after the fork */
	FAILS(choose(&x), ERR_REFUSED);
	SAYS("timeline 2");
	hints("--timeline 1");
	x.cfg.timeline = one;
	OK(choose(&x));
	done(&x);
}

static void
what_a_gap_leaves_is_named_by_a_target_that_works(void **state)
{
	char end[LSN_TEXT_MAX];
	struct world x;

	build(&x, *state, 0);
	remove_segment(x.p, "000000010000000000000008");
	FAILS(choose(&x), ERR_REFUSED);
	target_of_hint(&x);
	OK(choose(&x));
	/* The end of what is stored, exclusive, is the same. */
	(void)lsn_format(x.plan->reach.end, end);
	target(&x, TARGET_LSN, end);
	FAILS(choose(&x), ERR_REFUSED);
	x.cfg.exclusive = true;
	OK(choose(&x));
	assert_true(x.plan->found.use_lsn);
	done(&x);
}

static void
contradicting_options_are_usage_errors(void **state)
{
	static char epoch[] = "4294968106", hex[] = "0x1F", word[] = "newest";
	static char noon[] = "13am";
	struct world x;

	build(&x, *state, 0);
	x.cfg.action = ACTION_PAUSE;
	FAILS(choose(&x), ERR_USAGE);
	x.cfg.action = ACTION_PROMOTE;
	x.cfg.exclusive = true;
	FAILS(choose(&x), ERR_USAGE);
	x.cfg.exclusive = false;
	target(&x, TARGET_XID, epoch);
	FAILS(choose(&x), ERR_USAGE);
	hints("--target-xid 810");
	target(&x, TARGET_TIME, noon);
	FAILS(choose(&x), ERR_USAGE);
	x.cfg.standby = true;
	target_time(&x, T0 + SEC);
	FAILS(choose(&x), ERR_USAGE);
	x.cfg.standby = false;
	x.cfg.timeline = word;
	FAILS(choose(&x), ERR_USAGE);
	x.cfg.timeline = hex;
	FAILS(choose(&x), ERR_REFUSED);
	assert_string_equal(x.plan->timeline, "31");
	done(&x);
}

static void
destinations_that_hold_something_are_refused(void **state)
{
	struct world x;
	char dir[128], file[160], up[160];

	build(&x, *state, 0);
	x.cfg.target = TARGET_IMMEDIATE;
	(void)snprintf(dir, sizeof(dir), "%s/new", x.p->dir);
	x.cfg.restore_dir = dir;
	OK(choose(&x));
	OK(plan_destination(x.plan, &err)); /* absent */
	assert_int_equal(mkdir(dir, 0700), 0);
	OK(choose(&x));
	OK(plan_destination(x.plan, &err)); /* empty */
	(void)snprintf(file, sizeof(file), "%s/x", dir);
	place_write(file, "x", 1);
	OK(choose(&x));
	FAILS(plan_destination(x.plan, &err), ERR_REFUSED);
	if (strstr(err.hint, "rm -rf") != NULL)
		fail_msg("removing is advised: %s", err.hint);
	(void)snprintf(file, sizeof(file), "%s/" PLAN_MARKER, dir);
	(void)snprintf(up, sizeof(up), "%s\n", dir);
	place_write(file, up, strlen(up));
	OK(choose(&x));
	FAILS(plan_destination(x.plan, &err), ERR_REFUSED);
	hints("rm -rf");
	(void)snprintf(file, sizeof(file), "%s/postmaster.pid", dir);
	place_write(file, "1\n", 2);
	OK(choose(&x));
	FAILS(plan_destination(x.plan, &err), ERR_REFUSED);
	SAYS("postmaster.pid");
	(void)snprintf(up, sizeof(up), "%s/../new", dir);
	x.cfg.restore_dir = up;
	OK(choose(&x));
	FAILS(plan_destination(x.plan, &err), ERR_USAGE);
	done(&x);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_newest_backup_that_ended_strictly_before_the_time_is_chosen),
		TEST(a_time_is_found_at_the_first_commit_past_it),
		TEST(a_time_after_the_last_commit_becomes_the_last_records_lsn),
		TEST(what_cannot_be_reached_is_refused_with_what_can),
		TEST(a_transaction_and_a_restore_point_choose_the_newest_backup_before),
		TEST(an_lsn_may_be_where_the_backup_ends),
		TEST(a_damaged_backup_is_used_only_when_named),
		TEST(a_label_may_be_shortened_while_it_is_unique),
		TEST(a_gap_is_refused_for_the_end_but_not_before_it),
		TEST(a_backup_without_its_own_wal_is_refused),
		TEST(only_a_backup_from_before_the_fork_leads_to_the_latest_timeline),
		TEST(a_transaction_on_another_timeline_is_told),
		TEST(latest_does_not_run_past_the_fork_of_a_timeline_that_is_lost),
		TEST(what_a_commit_names_is_looked_for_before_anything_is_written),
		TEST(needed_wal_is_read_and_what_is_not_needed_is_not),
		TEST(a_hole_in_the_histories_is_told_before_postgresql_meets_it),
		TEST(one_backup_without_its_history_does_not_hide_the_others),
		TEST(an_abandoned_timeline_is_taken_only_by_its_number),
		TEST(what_a_gap_leaves_is_named_by_a_target_that_works),
		TEST(contradicting_options_are_usage_errors),
		TEST(destinations_that_hold_something_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
