/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "restore/proof.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/cancel.h"
#include "core/log.h"
#include "repo/manifest_names.h"
#include "repo/packset.h"

/* WAL of more stored bytes is not read twice, only looked for. */
#define READ_MAX (UINT64_C(1) << 30)

/* A part of the manifest: without one nothing can be restored. */
static int
prove_object(const struct restore_plan *plan, const char *key, uint64_t size,
    struct err *err)
{
	uint64_t found;

	if (cancel_check(err) != 0)
		return -1;
	if (storage_stat(plan->params.repo->st, key, &found, NULL, err) != 0) {
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_set(err, ERR_DAMAGED, "backup %s needs %s, which is not "
		    "there", plan->backup.label, key);
	} else if (found != size)
		err_set(err, ERR_DAMAGED, "%s of backup %s has %llu bytes "
		    "instead of %llu", key, plan->backup.label,
		    (unsigned long long)found, (unsigned long long)size);
	else
		return 0;
	return err_hint(err, "choose another backup: --backup LABEL; "
	    "dapk-backup info lists them");
}

/* 0: some generation of the pack is there and not known to be damaged. */
static void
note_lost(struct restore_plan *plan, size_t n)
{
	plan_note(plan, "%zu pack%s of backup %s missing or damaged: what "
	    "they hold is lost, and will be zeros (--allow-damage)", n,
	    n == 1 ? "" : "s", plan->backup.label);
	log_warning("%zu pack%s of backup %s missing or damaged: what they "
	    "hold becomes zeros", n, n == 1 ? "" : "s",
	    plan->backup.label);
}

/* All of them, so that one run tells how much is lost. */
static int
prove_packs(struct restore_plan *plan, struct err *err)
{
	const struct commit *c = &plan->backup;
	struct packset *set = NULL;
	struct err e = ERR_INIT;
	size_t i, lost = 0;
	int ret = -1;

	if (packset_new(&set, plan->params.repo, &plan->inc, err) != 0)
		return -1;
	for (i = 0; i < c->n_packs; i++) {
		if (cancel_check(err) != 0)
			goto out;
		if (packset_check(set, &c->packs[i], c->label, &e) == 0)
			continue;
		if (e.code != ERR_DAMAGED) {
			*err = e;
			goto out;
		}
		if (lost++ == 0)
			*err = e;
		if (plan->config->allow_damage)
			log_err(LOG_WARNING, &e);
		err_clear(&e);
	}
	ret = lost == 0 || plan->config->allow_damage ? 0 : -1;
	if (ret == 0 && lost > 0) {
		err_clear(err);
		note_lost(plan, lost);
	}
	if (ret != 0) {
		if (lost > 1)
			err_wrap(err, "%zu packs are lost, the first", lost);
		err_hint(err, "choose another backup: --backup LABEL "
		    "(dapk-backup verify --quick names the newest that "
		    "is whole); or restore what is left: "
		    "--allow-damage");
	}
out:
	packset_free(set);
	return ret;
}

int
proof_backup(struct restore_plan *plan, struct err *err)
{
	const struct commit *c = &plan->backup;
	struct manifest_stored stored[MANIFEST_GENERATIONS_MAX];
	char key[STORAGE_KEY_MAX];
	size_t i, k, n;

	for (i = 0; i < c->n_parts; i++) {
		/* Which of several generations it is, the reader finds out. */
		if (manifest_part_stored(plan->params.repo, &plan->inc, c->kind,
		    c->label, i, stored, &n, err) != 0)
			return -1;
		for (k = 0; k < n && stored[k].size != c->parts[i].size;)
			k++;
		manifest_part_key(&plan->inc, c->kind, c->label, i, key);
		if (k == n && prove_object(plan, key, c->parts[i].size,
		    err) != 0)
			return -1;
	}
	return prove_packs(plan, err);
}

static int
prove_wal(struct restore_plan *plan, struct err *err)
{
	pg_lsn until = plan->reach.end;

	if (plan->found.found)
		until = plan->found.event.end;
	else if (plan->target == TARGET_IMMEDIATE)
		until = plan->backup.stop_lsn;
	return wal_reach_prove(plan->params.repo, &plan->backup, &plan->path,
	    until, READ_MAX, &plan->proof, err);
}

/*
 * To find a free number for the new timeline PostgreSQL asks for one history
 * after the other. One that is missing below a timeline that is stored is an
 * error of archive-get (TRAPS T28), after all the WAL has been replayed.
 */
static int
prove_histories(const struct restore_plan *plan, struct err *err)
{
	uint32_t *list = NULL, t, highest = 0;
	struct history h;
	size_t n = 0;

	if (wal_store_timelines(plan->params.repo, &plan->inc, &list, &n,
		err) != 0)
		return -1;
	if (n > 0)
		highest = list[n - 1];
	free(list);
	for (t = plan_recovery_timeline(plan); t < highest;) {
		t++;
		if (wal_store_history(plan->params.repo, &plan->inc, t, &h,
			err) == 0) {
			history_free(&h);
			continue;
		}
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_set(err, ERR_REFUSED, "%08X.history is not stored, though "
		    "timeline %u is: PostgreSQL looks for it before it begins "
		    "a new timeline, and would fail", (unsigned)t,
		    (unsigned)highest);
		return err_hint(err, "a server that was on timeline %u or a "
		    "later one still has it: dapk-backup archive-push "
		    "PGDATA/pg_wal/%08X.history", (unsigned)t, (unsigned)t);
	}
	return 0;
}

int
proof_recovery(struct restore_plan *plan, struct err *err)
{
	if (prove_histories(plan, err) != 0)
		return -1;
	return prove_wal(plan, err);
}
