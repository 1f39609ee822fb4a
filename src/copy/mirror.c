/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "copy/mirror.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "copy/copy_work.h"
#include "core/cancel.h"
#include "core/detach.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"

#define SECOND INT64_C(1000000)
#define PAUSE_FIRST (2 * SECOND)
#define PAUSE_MAX (300 * SECOND)
#define COMPARE_EVERY (6 * 3600 * SECOND)
#define BETWEEN_EVERY (2 * SECOND)
#define OPEN_LIMIT_MS 30000
#define WAIT_TURNS 3000 /* for the process in the background */
#define WAIT_TURN_MS 200
#define JOBS_MAX 4
#define NICE 10
/* linux/ioprio.h: the lowest of the best-effort class. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_LOWEST ((2 << 13) | 7)

/* One repository's queue being worked off. */
struct mirror {
	const struct config *cfg;
	unsigned place;
	struct queue *q;
	const struct incarnation *inc;
	struct repo *to;
	struct copy *copy; /* from the source at hand */
	int64_t looked;	   /* for WAL, in between */
	bool unreachable;  /* a source: nothing is proved absent */
	uint64_t failed;   /* items that stay in the queue */
};

/* What is in the queue: WAL files, backups and dumps. */
struct items {
	struct queue_item *list; /* owned */
	size_t n;
	struct copy_item *wal, *sets;
	size_t n_wal, n_sets;
};

static void
items_free(struct items *i)
{
	queue_items_free(i->list, i->n);
	free(i->wal);
	free(i->sets);
	memset(i, 0, sizeof(*i));
}

static bool
parse_set(const char *name, enum repo_kind *kind, const char **label)
{
	if (strncmp(name, "backup-", 7) == 0) {
		*kind = REPO_BACKUP;
		*label = name + 7;
	} else if (strncmp(name, "dump-", 5) == 0) {
		*kind = REPO_DUMP;
		*label = name + 5;
	} else
		return false;
	return label_valid(*label);
}

static int
items_read(struct items *out, struct queue *q, struct err *err)
{
	enum repo_kind kind;
	const char *label;
	size_t i;

	memset(out, 0, sizeof(*out));
	if (queue_list(q, &out->list, &out->n, err) != 0)
		return -1;
	out->wal = xcalloc(out->n + 1, sizeof(*out->wal));
	out->sets = xcalloc(out->n + 1, sizeof(*out->sets));
	for (i = 0; i < out->n; i++) {
		const struct copy_item item = { out->list[i].name,
			COPY_ABSENT };

		if (parse_set(item.name, &kind, &label))
			out->sets[out->n_sets++] = item;
		else
			out->wal[out->n_wal++] = item;
	}
	return 0;
}

/*
 * Carry those that are still absent; the rest has been settled with another
 * source. Names stay ascending.
 */
static int
carry_wal(struct mirror *m, struct copy_item *items, size_t n,
    struct err *err)
{
	struct copy_item *left = xcalloc(n + 1, sizeof(*left));
	size_t i, k = 0, n_left = 0;
	int rc = 0;

	for (i = 0; i < n; i++)
		if (items[i].outcome == COPY_ABSENT)
			left[n_left++] = items[i];
	if (n_left > 0)
		rc = copy_wal_items(m->copy, m->inc, left, n_left, err);
	for (i = 0; i < n; i++) {
		if (items[i].outcome != COPY_ABSENT)
			continue;
		items[i].outcome = left[k++].outcome;
		/* Also after an error: what is there is there. */
		if (items[i].outcome == COPY_DONE)
			queue_done(m->q, items[i].name);
	}
	free(left);
	return rc;
}

/* While a backup is being carried, WAL that comes does not wait. */
static int
between(void *arg, struct err *err)
{
	struct mirror *m = arg;
	struct items items;
	int rc;

	if (time_monotonic() - m->looked < BETWEEN_EVERY)
		return 0;
	if (items_read(&items, m->q, err) != 0)
		return -1;
	rc = items.n_wal == 0 ? 0 :
	    carry_wal(m, items.wal, items.n_wal, err);
	items_free(&items);
	m->looked = time_monotonic();
	return rc;
}

static int
carry_sets(struct mirror *m, struct copy_item *items, size_t n,
    struct err *err)
{
	enum repo_kind kind = REPO_BACKUP;
	const char *label = NULL;
	size_t i;

	for (i = 0; i < n; i++) {
		if (items[i].outcome != COPY_ABSENT ||
		    !parse_set(items[i].name, &kind, &label))
			continue;
		if (copy_set_item(m->copy, m->inc, kind, label,
		    &items[i].outcome, err) != 0)
			return -1;
		if (items[i].outcome == COPY_DONE)
			queue_done(m->q, items[i].name);
	}
	return 0;
}

static uint64_t
count(const struct items *items, enum copy_outcome outcome)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < items->n_wal; i++)
		n += items->wal[i].outcome == outcome;
	for (i = 0; i < items->n_sets; i++)
		n += items->sets[i].outcome == outcome;
	return n;
}

/* Is in none of the others (any more): nothing is to be done. */
static void
drop_absent(struct mirror *m, const struct items *items)
{
	size_t i;

	for (i = 0; i < items->n_wal; i++)
		if (items->wal[i].outcome == COPY_ABSENT)
			queue_done(m->q, items->wal[i].name);
	for (i = 0; i < items->n_sets; i++)
		if (items->sets[i].outcome == COPY_ABSENT)
			queue_done(m->q, items->sets[i].name);
}

static int
note_compared(struct mirror *m)
{
	const struct copy_result *r = copy_result(m->copy);
	const uint64_t bad = r->damaged + r->conflicts + r->failed +
	    (r->locked.code != ERR_NONE);
	struct queue_note note;

	queue_note_read(m->q, &note);
	note.last_compared = time_now();
	queue_note_write(m->q, &note);
	m->failed += bad;
	return 0;
}

/* With one source; *compare: both sides as a whole. */
static int
use_source(struct mirror *m, struct repo *from, struct items *items,
    bool compare, struct err *err)
{
	const struct config *cfg = m->cfg;
	struct copy_params p = {
		.from = from,
		.to = m->to,
		.what = COPY_EVERYTHING,
		.jobs = cfg->jobs < JOBS_MAX ? cfg->jobs : JOBS_MAX,
		.max_rate = cfg->max_rate,
		.lease_ms = cfg->lease_ms,
		.between = between,
		.between_arg = m,
	};
	int rc;

	if (copy_new(&m->copy, &p, err) != 0)
		return -1;
	if (compare) {
		rc = copy_incarnation(m->copy, m->inc, err);
		if (rc == 0)
			rc = note_compared(m);
	} else {
		rc = carry_wal(m, items->wal, items->n_wal, err);
		if (rc == 0)
			rc = carry_sets(m, items->sets, items->n_sets, err);
	}
	copy_free(m->copy);
	m->copy = NULL;
	return rc;
}

/* The nearest first, and others only for what that does not have. */
static int
use_sources(struct mirror *m, struct items *items, bool compare,
    struct err *err)
{
	const struct config_repository *r;
	struct err why = ERR_INIT;
	struct repo *from;
	unsigned i;
	bool used = false;
	int rc;

	m->unreachable = false;
	for (i = 0; (r = config_repository(m->cfg, i)) != NULL; i++) {
		if (i == m->place ||
		    (used && (compare || count(items, COPY_ABSENT) == 0)))
			continue;
		if (repo_open_within(&from, r, OPEN_LIMIT_MS, &why) != 0) {
			log_err(LOG_WARNING, &why);
			m->unreachable = true;
			continue;
		}
		rc = use_source(m, from, items, compare, err);
		repo_close(from);
		if (rc != 0)
			return -1;
		used = true;
	}
	if (used)
		return 0;
	*err = why;
	return -1;
}

static int
work_items(struct mirror *m, struct items *items, struct err *err)
{
	if (use_sources(m, items, false, err) != 0)
		return -1;
	m->failed += count(items, COPY_FAILED);
	if (m->unreachable)
		m->failed += count(items, COPY_ABSENT);
	else
		drop_absent(m, items);
	return 0;
}

/*
 * 1: something was done; 0: there is nothing to do. An item that cannot be
 * copied stays in the queue, and must not keep both sides from being compared.
 */
static int
round_of(struct mirror *m, struct err *err)
{
	struct queue_note note;
	struct items items;
	int rc = 0;

	if (items_read(&items, m->q, err) != 0)
		return -1;
	queue_note_read(m->q, &note);
	if (items.n > 0)
		rc = work_items(m, &items, err) != 0 ? -1 : 1;
	if (rc >= 0 && (items.n == 0 || m->failed > 0) &&
	    time_now() - note.last_compared > COMPARE_EVERY)
		rc = use_sources(m, &items, true, err) != 0 ? -1 : 1;
	items_free(&items);
	return rc;
}

static void
note_success(struct queue *q)
{
	struct queue_note note;

	queue_note_read(q, &note);
	note.last_success = time_now();
	note.failures = 0;
	note.next_try = 0;
	note.error[0] = '\0';
	queue_note_write(q, &note);
}

static void
note_failure(struct queue *q, const struct err *err)
{
	struct queue_note note;
	int64_t pause = PAUSE_FIRST;
	unsigned i;

	queue_note_read(q, &note);
	for (i = 0; i < note.failures && pause < PAUSE_MAX; i++)
		pause *= 2;
	note.failures++;
	note.last_failure = time_now();
	note.next_try = note.last_failure +
	    (pause < PAUSE_MAX ? pause : PAUSE_MAX);
	/* Without a note nobody would know of the pause: plain ASCII it is. */
	for (i = 0; i + 1 < sizeof(note.error) && err->msg[i] != '\0'; i++)
		note.error[i] = err->msg[i] >= ' ' && err->msg[i] <= '~' ?
		    err->msg[i] : '?';
	note.error[i] = '\0';
	queue_note_write(q, &note);
}

int
mirror_work(const struct config *cfg, unsigned place, struct queue *q,
    const struct incarnation *inc, struct err *err)
{
	struct mirror m = { .cfg = cfg, .place = place, .q = q, .inc = inc };
	int rc;

	rc = repo_open_configured(&m.to, config_repository(cfg, place), err);
	while (rc >= 0 && m.failed == 0 && cancel_check(err) == 0) {
		rc = round_of(&m, err);
		if (rc <= 0)
			break;
	}
	if (rc == 0 && cancel_requested())
		rc = -1;
	if (rc >= 0 && m.failed > 0) {
		rc = err_set(err, ERR_REFUSED, "%llu WAL files, backups or "
		    "dumps could not be copied: 'dapk-backup copy' tells "
		    "which", (unsigned long long)m.failed);
	}
	repo_close(m.to);
	if (rc >= 0)
		note_success(q);
	else
		note_failure(q, err);
	return rc < 0 ? -1 : 0;
}

/* The server's own work goes first. Where that is refused nothing is lost. */
static void
step_back(void)
{
	if (setpriority(PRIO_PROCESS, 0, NICE) != 0)
		log_debug("no lower priority for this process");
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_LOWEST);
}

static bool
has_items(struct queue *q)
{
	struct err ignored = ERR_INIT;
	uint64_t n = 0;
	int64_t oldest;

	return queue_lag(q, &n, &oldest, &ignored) == 0 && n > 0;
}

/*
 * In the process of its own. What was added between the last look and the end
 * of the lock has found it held, and nobody else to wake.
 */
static void
work_alone(const struct config *cfg, unsigned place, struct queue *q,
    const struct incarnation *inc, int lock)
{
	struct err err = ERR_INIT;

	step_back();
	do {
		if (mirror_work(cfg, place, q, inc, &err) != 0)
			return; /* noted; the lock ends with the process */
		(void)close(lock);
	} while (has_items(q) && (lock = queue_lock(q)) >= 0);
}

void
mirror_wake(const struct config *cfg, unsigned place, struct queue *q,
    const struct incarnation *inc)
{
	const int64_t now = time_now();
	struct queue_note note;
	pid_t pid;
	int lock;

	queue_note_read(q, &note);
	/* Further away than any pause: the clock was set back. */
	if (note.next_try > now && note.next_try - now <= PAUSE_MAX)
		return;
	if (!has_items(q) && now - note.last_compared <= COMPARE_EVERY)
		return;
	lock = queue_lock(q);
	if (lock < 0)
		return; /* somebody is at it */
	pid = detach_fork();
	if (pid == 0) {
		work_alone(cfg, place, q, inc, lock);
		_exit(0);
	}
	if (pid < 0)
		log_warning("no process can be started that brings repository "
		    "%s up to date", config_repository(cfg, place)->name);
	(void)close(lock);
}

void
mirror_tell(const struct config *cfg, const struct repo *repo,
    const struct incarnation *inc, enum repo_kind kind, const char *label)
{
	char item[FORMAT_LABEL_MAX + 16];
	const struct config_repository *r;
	struct err err = ERR_INIT;
	struct queue *q;
	unsigned i;

	(void)snprintf(item, sizeof(item), "%s-%s", repo_kind_name(kind),
	    label);
	for (i = 1; (r = config_repository(cfg, i)) != NULL; i++) {
		q = NULL;
		if (r->name == NULL)
			continue;
		if (queue_open(&q, cfg->state_directory, repo, inc, r->name,
		    &err) == 0 && queue_add(q, item, &err) == 0)
			mirror_wake(cfg, i, q, inc);
		else
			log_warning("%s is not in the queue of repository %s, "
			    "whose next comparison finds it: %s", item,
			    r->name, err.msg);
		queue_close(q);
	}
}

/* Until the process in the background has ended; -1: *err. */
static int
wait_for_lock(struct queue *q, const char *name, int *lock, struct err *err)
{
	unsigned i;

	for (i = 0; i < WAIT_TURNS; i++) {
		*lock = queue_lock(q);
		if (*lock >= 0)
			return 0;
		if (i == 0)
			log_info("repository %s is being brought up to date "
			    "in the background; waiting for that", name);
		if (cancel_check(err) != 0)
			return -1;
		(void)usleep(WAIT_TURN_MS * 1000);
	}
	err_set(err, ERR_LOCKED, "repository %s is being brought up to date "
	    "by another process", name);
	return err_hint(err, "it goes on in the background; 'dapk-backup "
	    "status' shows how far it is");
}

/* What was queued and is there now. */
static int
take_away(struct mirror *m, const struct copy_params *p, struct err *err)
{
	struct items items;
	int rc;

	if (items_read(&items, m->q, err) != 0)
		return -1;
	rc = carry_wal(m, items.wal, items.n_wal, err);
	if (rc == 0 && p->what == COPY_EVERYTHING)
		rc = carry_sets(m, items.sets, items.n_sets, err);
	items_free(&items);
	return rc;
}

static uint64_t
badness(const struct copy_result *r)
{
	return r->damaged + r->conflicts + r->failed;
}

static int
copy_queued(struct mirror *m, const struct copy_params *p, struct err *err)
{
	const uint64_t before = badness(copy_result(m->copy));
	struct copy_result kept;
	struct queue_note note;

	if (copy_incarnation(m->copy, m->inc, err) != 0)
		return -1;
	kept = *copy_result(m->copy);
	if (badness(&kept) == before && kept.locked.code == ERR_NONE) {
		if (take_away(m, p, err) != 0)
			return -1;
		m->copy->result = kept; /* nothing is counted twice */
		if (p->what == COPY_EVERYTHING) {
			queue_note_read(m->q, &note);
			note.last_compared = time_now();
			queue_note_write(m->q, &note);
		}
		note_success(m->q);
		return 0;
	}
	(void)err_set(err, ERR_REFUSED, "the last copy could not bring all: "
	    "'dapk-backup copy' tells more");
	note_failure(m->q, err);
	err_clear(err);
	return 0;
}

static int
copy_one(struct mirror *m, const struct copy_params *p, struct err *err)
{
	const char *name = config_repository(m->cfg, m->place)->name;
	struct err why = ERR_INIT;
	int lock = -1, rc;

	if (name == NULL || p->dry_run || queue_open(&m->q,
	    m->cfg->state_directory, p->to, m->inc, name, &why) != 0) {
		if (why.code != ERR_NONE)
			log_err(LOG_WARNING, &why);
		return copy_incarnation(m->copy, m->inc, err);
	}
	rc = wait_for_lock(m->q, name, &lock, err);
	if (rc == 0) {
		rc = copy_queued(m, p, err);
		if (rc != 0)
			note_failure(m->q, err);
		(void)close(lock);
	}
	queue_close(m->q);
	m->q = NULL;
	return rc;
}

int
mirror_copy_all(const struct config *cfg, unsigned place, struct copy *c,
    const struct copy_params *p, struct err *err)
{
	struct mirror m = { .cfg = cfg, .place = place, .copy = c };
	struct incarnation *incs;
	size_t i, n;
	int rc = 0;

	if (p->n_labels > 0)
		return copy_all(c, err);
	if (repo_incarnations(p->from, p->cluster, &incs, &n, err) != 0)
		return -1;
	for (i = 0; i < n && rc == 0; i++) {
		m.inc = &incs[i];
		rc = copy_one(&m, p, err);
	}
	free(incs);
	return rc;
}
