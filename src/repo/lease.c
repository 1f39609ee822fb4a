/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/random.h"
#include "core/time.h"
#include "repo/leaselist.h"

#define TRIES 6
#define WATCH_TURN_MS 500
#define YOUNG_US INT64_C(5000000)
#define RETRY_STORE_US INT64_C(2000000)

struct lease {
	struct repo *repo;
	struct incarnation inc;
	struct lease_info me;
	char name[32];
	uint64_t counts; /* number of the newest object that was confirmed */
	int64_t mtime;	 /* its time by the store's clock */
	int64_t began;	 /* CLOCK_BOOTTIME before it was put */
	int64_t next;	 /* CLOCK_BOOTTIME: time to renew */
	char presumed_dead[LEASE_ID_TEXT]; /* watched, did not move */
	bool warned;
};

static int64_t
valid_us(const struct lease *l)
{
	return (int64_t)l->me.valid_ms * 1000;
}

/* What of its time a holder may use before it counts itself out. */
static int64_t
safe_us(const struct lease *l)
{
	return valid_us(l) / 4 * 3;
}

static int
lease_new(struct lease **out, struct repo *repo,
    const struct incarnation *inc, const struct lease_params *p,
    struct err *err)
{
	struct lease *l;
	uint8_t random[8];

	if (random_bytes(random, sizeof(random), err) != 0)
		return -1;
	l = xcalloc(1, sizeof(*l));
	l->repo = repo;
	l->inc = *inc;
	(void)snprintf(l->name, sizeof(l->name), "%s", p->name);
	(void)snprintf(l->me.id, sizeof(l->me.id), "%016" PRIx64,
	    get_le64(random));
	(void)snprintf(l->me.purpose, sizeof(l->me.purpose), "%s",
	    p->purpose);
	if (p->host != NULL)
		(void)snprintf(l->me.host, sizeof(l->me.host), "%s", p->host);
	else if (gethostname(l->me.host, sizeof(l->me.host)) != 0)
		l->me.host[0] = '\0';
	l->me.host[sizeof(l->me.host) - 1] = '\0';
	if (p->process != NULL)
		(void)snprintf(l->me.process, sizeof(l->me.process), "%s",
		    p->process);
	else
		lease_process(l->me.process);
	l->me.pid = p->pid != 0 ? p->pid : (long)getpid();
	l->me.started = time_now();
	l->me.valid_ms = p->valid_ms != 0 ? p->valid_ms :
					    LEASE_VALID_MS_DEFAULT;
	*out = l;
	return 0;
}

/* Put the next object of ours and list; *own is where it stands there. */
static int
announce(struct lease *l, struct lease_list *list,
    const struct lease_seen **own, struct err *err)
{
	l->me.number++;
	if (lease_list_put(l->repo, &l->inc, l->name, &l->me, err) != 0 ||
	    lease_list_read(list, l->repo, &l->inc, l->name, l->me.id,
	    err) != 0)
		return -1;
	*own = lease_list_find(list, l->me.id, l->me.number);
	if (*own == NULL) {
		err_set(err, ERR_LOCKED, "the lease '%s' of cluster %s that "
		    "this process just put has been removed", l->name,
		    l->inc.cluster);
		return err_hint(err, "try again");
	}
	return 0;
}

/* Remove our objects older than this number; 0: all of them. */
static int
remove_own(struct lease *l, uint64_t below, struct err *err)
{
	return lease_list_remove(l->repo, &l->inc, l->name, l->me.id, NULL,
	    below, err);
}

/* How far another holder is from its end. */
enum living { DEAD, ALIVE, FROM_FUTURE };

static enum living
judge(const struct lease *l, const struct lease_seen *other, int64_t now)
{
	const struct lease_info *o = &other->info;
	int64_t valid = (int64_t)o->valid_ms * 1000;

	if (o->ended || strcmp(o->id, l->presumed_dead) == 0 ||
	    lease_process_dead(o, l->me.process))
		return DEAD;
	if (other->mtime > now && other->mtime - now > valid)
		return FROM_FUTURE;
	return now - other->mtime > valid ? DEAD : ALIVE;
}

/* The newest object of each other holder that is not dead; NULL: none. */
static const struct lease_seen *
find_blocker(const struct lease *l, const struct lease_list *list,
    int64_t now, enum living *how)
{
	const struct lease_seen *found = NULL;
	size_t i;

	for (i = 0; i < list->n; i++) {
		const struct lease_seen *o = &list->list[i];
		enum living state;

		if (!o->newest || strcmp(o->info.id, l->me.id) == 0)
			continue;
		state = judge(l, o, now);
		if (state == DEAD || (found != NULL && *how == ALIVE))
			continue;
		found = o;
		*how = state;
	}
	return found;
}

static int
locked(const struct lease *l, const struct lease_seen *o, int64_t now,
    struct err *err)
{
	char since[TIME_TEXT_MAX], until[TIME_TEXT_MAX];
	int64_t end = o->mtime + (int64_t)o->info.valid_ms * 1000;

	err_set(err, ERR_LOCKED, "another process holds the lease '%s' of "
	    "cluster %s: %s on host %s, pid %ld, since %s; without a renewal "
	    "it ends at %s", l->name, l->inc.cluster,
	    o->info.purpose[0] == '\0' ? "a process" : o->info.purpose,
	    o->info.host[0] == '\0' ? "(unknown)" : o->info.host,
	    o->info.pid, time_format_local(o->info.started, since),
	    time_format_local(end, until));
	return err_hint(err, "type the same again when it has ended; if it "
	    "died with its host, that is in %lld s at the latest",
	    (long long)((end > now ? end - now : 0) / 1000000 + 1));
}

/*
 * The newest object is from a future further away than a lease lives: the
 * store's clock was set back, and mtimes tell nothing. A living holder puts
 * another object.
 */
static int
watch(struct lease *l, const struct lease_seen *o, struct err *err)
{
	struct lease_list list = { .list = NULL };
	int64_t end = time_boottime() + (int64_t)o->info.valid_ms * 1000;
	const struct lease_seen *again;
	struct lease_seen seen = *o;
	int rc;

	log_warning("the lease '%s' of host %s, pid %ld, has a time in the "
	    "future: watching for %llu s whether it is renewed", l->name,
	    seen.info.host, seen.info.pid,
	    (unsigned long long)seen.info.valid_ms / 1000);
	for (;;) {
		time_sleep_ms(WATCH_TURN_MS);
		if (cancel_check(err) != 0 || lease_list_read(&list, l->repo,
		    &l->inc, l->name, l->me.id, err) != 0)
			return -1;
		again = lease_list_newest(&list, seen.info.id);
		rc = again != NULL && again->info.number != seen.info.number ?
		    locked(l, again, again->mtime, err) : 0;
		if (rc == 0 && again != NULL && time_boottime() < end) {
			lease_list_free(&list);
			continue;
		}
		lease_list_free(&list);
		if (rc == 0)
			memcpy(l->presumed_dead, seen.info.id,
			    sizeof(l->presumed_dead));
		return rc;
	}
}

/*
 * What dead holders left goes, so that one of them that wakes up sees it. It
 * would by other signs too: no reason to fail.
 */
static void
remove_dead(struct lease *l, const struct lease_list *list)
{
	struct err err = ERR_INIT;
	size_t i;

	for (i = 0; i < list->n; i++) {
		const struct lease_seen *o = &list->list[i];

		if (!o->newest || strcmp(o->info.id, l->me.id) == 0)
			continue;
		log_info("the lease '%s' of %s on host %s, pid %ld, has ended "
		    "without being given back", l->name, o->info.purpose,
		    o->info.host, o->info.pid);
		if (lease_list_remove(l->repo, &l->inc, l->name, o->info.id,
			NULL, 0, &err) != 0)
			log_err(LOG_DEBUG, &err);
	}
}

/* 1: it is ours. 0: try again. -1: an error, or another holds it. */
static int
take_once(struct lease *l, bool last_try, struct err *err)
{
	struct lease_list list = { .list = NULL };
	const struct lease_seen *own, *other;
	struct lease_seen blocker;
	enum living how = DEAD;
	int rc = -1;

	l->began = time_boottime();
	if (announce(l, &list, &own, err) != 0)
		goto out;
	l->mtime = own->mtime;
	l->counts = l->me.number;
	other = find_blocker(l, &list, own->mtime, &how);
	if (other == NULL && time_boottime() - l->began < safe_us(l)) {
		remove_dead(l, &list); /* no other kind is in it */
		rc = 1;
		goto out;
	}
	if (remove_own(l, 0, err) != 0)
		goto out;
	rc = 0;
	if (other == NULL)
		goto out; /* the store took too long */
	blocker = *other;
	if (how == FROM_FUTURE)
		rc = watch(l, &blocker, err);
	else if (last_try || l->mtime - blocker.mtime > YOUNG_US)
		rc = locked(l, &blocker, l->mtime, err);
out:
	lease_list_free(&list);
	return rc;
}

/* Two that met each other go apart again. */
static int
wait_a_little(int turn, struct err *err)
{
	uint8_t random[2];

	if (random_bytes(random, sizeof(random), err) != 0)
		return -1;
	time_sleep_ms(20 + get_le16(random) % (100u << turn));
	return cancel_check(err);
}

static int
first_number(struct lease *l, struct err *err)
{
	struct lease_list list = { .list = NULL };
	size_t i;

	if (lease_list_read(&list, l->repo, &l->inc, l->name, l->me.id, err) != 0)
		return -1;
	for (i = 0; i < list.n; i++)
		if (list.list[i].info.number > l->me.number)
			l->me.number = list.list[i].info.number;
	lease_list_free(&list);
	return 0;
}

static void
set_next(struct lease *l)
{
	l->next = l->began + valid_us(l) / 6;
}

const char *
lease_name(enum repo_kind kind)
{
	return kind == REPO_DUMP ? LEASE_DUMPS : LEASE_BACKUPS;
}

int
lease_take(struct lease **out, struct repo *repo,
    const struct incarnation *inc, const struct lease_params *params,
    struct err *err)
{
	struct err ignored = ERR_INIT;
	struct lease *l;
	int i, rc = 0;

	if (lease_new(&l, repo, inc, params, err) != 0)
		return -1;
	if (first_number(l, err) != 0)
		rc = -1;
	for (i = 0; i < TRIES && rc == 0; i++) {
		if (i > 0 && wait_a_little(i, err) != 0)
			rc = -1;
		else
			rc = take_once(l, i == TRIES - 1, err);
	}
	if (rc == 1) {
		set_next(l);
		*out = l;
		return 0;
	}
	if (rc == 0)
		err_set(err, ERR_STORAGE, "take the lease '%s' of cluster %s: "
		    "%s takes too long to answer", l->name, l->inc.cluster,
		    storage_url(repo->st));
	/* The error at hand is what matters; what stays ends by time. */
	(void)remove_own(l, 0, &ignored);
	free(l);
	return -1;
}

static int
lost(const struct lease *l, const char *why, struct err *err)
{
	err_set(err, ERR_LOCKED, "this process has lost its lease '%s' of "
	    "cluster %s: %s", l->name, l->inc.cluster, why);
	return err_hint(err, "type the same again; a process that was stopped "
	    "or a machine that slept loses its lease after %llu s",
	    (unsigned long long)l->me.valid_ms / 1000);
}

/* Who took over did so after our time: by then its object is newer. */
static bool
taken_over(const struct lease *l, const struct lease_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		if (strcmp(list->list[i].info.id, l->me.id) != 0 &&
		    list->list[i].mtime > l->mtime + valid_us(l))
			return true;
	return false;
}

/* Is the time from our last object to the one just put ours without a gap? */
static int
judge_own(const struct lease *l, const struct lease_list *list,
    const struct lease_seen *own, struct err *err)
{
	if (time_boottime() - l->began > valid_us(l))
		return lost(l, "it was not renewed in time", err);
	if (own->mtime - l->mtime > safe_us(l))
		return lost(l, "by the store's clock it was not renewed in "
		    "time", err);
	if (lease_list_find(list, l->me.id, l->counts) == NULL)
		return lost(l, "another process removed it", err);
	if (taken_over(l, list))
		return lost(l, "another process took it", err);
	return 0;
}

static int
renew(struct lease *l, struct err *err)
{
	struct lease_list list = { .list = NULL };
	struct err ignored = ERR_INIT;
	const struct lease_seen *own;
	int64_t began = time_boottime();
	int rc = -1;

	if (began - l->began > safe_us(l))
		return lost(l, "it was not renewed in time", err);
	rc = announce(l, &list, &own, err);
	if (rc == 0)
		rc = judge_own(l, &list, own, err);
	if (rc == 0) {
		l->mtime = own->mtime;
		l->began = began;
		l->warned = false;
		set_next(l);
		/*
		 * The one before stays until the next time, since a listing
		 * that goes on while names change may miss some of them.
		 */
		if (remove_own(l, l->counts, &ignored) != 0)
			log_err(LOG_DEBUG, &ignored);
		l->counts = l->me.number;
	} else if (err->code != ERR_LOCKED) {
		/* Whether it was put is not known: its number stays used. */
		l->next = time_boottime() + RETRY_STORE_US;
	}
	lease_list_free(&list);
	return rc;
}

int
lease_renew(struct lease *l, struct err *err)
{
	struct err why = ERR_INIT;

	if (time_boottime() < l->next)
		return 0;
	if (renew(l, &why) == 0)
		return 0;
	if (why.code == ERR_LOCKED) {
		*err = why;
		return -1;
	}
	if (!l->warned)
		log_warning("could not renew the lease '%s', trying again: %s",
		    l->name, why.msg);
	l->warned = true;
	return 0;
}

int
lease_confirm(struct lease *l, struct err *err)
{
	return renew(l, err);
}

int64_t
lease_time(const struct lease *l)
{
	return l->mtime;
}

void
lease_release(struct lease *l)
{
	struct err err = ERR_INIT;

	if (l == NULL)
		return;
	if (remove_own(l, 0, &err) != 0) { /* it ends by time */
		log_warning("could not remove the lease '%s': it ends in "
		    "%llu s", l->name,
		    (unsigned long long)l->me.valid_ms / 1000);
		log_err(LOG_DEBUG, &err);
	}
	free(l);
}

int
lease_look(struct repo *repo, const struct incarnation *inc,
    const char *name, struct lease_info **out, size_t *n, struct err *err)
{
	struct lease_list list = { .list = NULL };
	size_t i;

	*out = NULL;
	*n = 0;
	if (lease_list_read(&list, repo, inc, name, NULL, err) != 0)
		return -1;
	*out = xcalloc(list.n + 1, sizeof(**out));
	for (i = 0; i < list.n; i++) {
		if (!list.list[i].newest)
			continue;
		(*out)[*n] = list.list[i].info;
		(*out)[(*n)++].mtime = list.list[i].mtime;
	}
	lease_list_free(&list);
	return 0;
}
