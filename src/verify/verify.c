/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "verify/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/mem.h"
#include "core/time.h"
#include "repo/hash.h"
#include "repo/keyring.h"
#include "verify/verify_work.h"

#define POLL_MS 100
#define UNREAD_MAX 20 /* then the storage is broken, not an object */

const char *
verify_kind_name(enum verify_kind kind)
{
	static const char *const names[] = {
		[VERIFY_COMMIT] = "commit",
		[VERIFY_MANIFEST] = "manifest",
		[VERIFY_PACK] = "pack",
		[VERIFY_ACCOUNTS] = "accounts",
		[VERIFY_WAL] = "wal",
		[VERIFY_GAP] = "gap",
		[VERIFY_CONFLICT] = "conflict",
		[VERIFY_HISTORY] = "history",
		[VERIFY_UNREAD] = "unread",
	};

	return names[kind];
}

bool
verify_backup_holds(const struct verify_backup *b)
{
	return b->removed || (!b->commit_bad && !b->manifest_bad && !b->wal_bad &&
	    b->bad_files == 0 && b->bad_packs == 0);
}

size_t
verify_note(struct vrun *v, enum verify_kind kind, const char *object,
    const char *reason)
{
	struct verify_cluster *cl = v->cl;
	size_t at;

	(void)pthread_mutex_lock(&v->lock);
	cl->findings = xreallocarray(cl->findings, cl->n_findings + 1,
	    sizeof(*cl->findings));
	at = cl->n_findings++;
	memset(&cl->findings[at], 0, sizeof(cl->findings[at]));
	cl->findings[at].kind = kind;
	cl->findings[at].object = xstrdup(object);
	cl->findings[at].reason = xstrdup(reason);
	(void)pthread_mutex_unlock(&v->lock);
	return at;
}

void
verify_set(struct vrun *v, size_t finding, bool spare, bool marked,
    bool repaired)
{
	struct verify_finding *f;

	(void)pthread_mutex_lock(&v->lock);
	f = &v->cl->findings[finding];
	f->spare |= spare;
	f->marked |= marked;
	f->repaired |= repaired;
	(void)pthread_mutex_unlock(&v->lock);
}

static bool
note_unread(struct vrun *v, const struct err *err)
{
	bool enough;

	(void)pthread_mutex_lock(&v->lock);
	if (v->out->unread++ == 0)
		v->out->unread_err = *err;
	enough = v->out->unread > UNREAD_MAX;
	(void)pthread_mutex_unlock(&v->lock);
	return enough;
}

int
verify_judge(struct vrun *v, enum verify_kind kind, const char *object,
    struct err *err, size_t *finding)
{
	switch (err->code) {
	case ERR_DAMAGED:
	case ERR_NOT_FOUND:
	case ERR_UNSUPPORTED:
		*finding = verify_note(v, kind, object,
		    err->code == ERR_NOT_FOUND ? "is not there" : err->msg);
		break;
	case ERR_IO:
	case ERR_STORAGE:
		if (note_unread(v, err))
			return -1;
		*finding = verify_note(v, VERIFY_UNREAD, object, err->msg);
		break;
	case ERR_NONE:
	case ERR_BUG:
	case ERR_USAGE:
	case ERR_CONFIG:
	case ERR_EXISTS:
	case ERR_LOCKED:
	case ERR_POSTGRES:
	case ERR_REFUSED:
	case ERR_CANCELLED:
	default:
		return -1;
	}
	err_clear(err);
	return 0;
}

void
verify_count(struct vrun *v, uint64_t objects, uint64_t bytes)
{
	(void)pthread_mutex_lock(&v->lock);
	v->out->objects += objects;
	v->out->bytes += bytes;
	(void)pthread_mutex_unlock(&v->lock);
	if (v->p->progress != NULL)
		atomic_fetch_add(&v->p->progress->done_bytes, bytes);
}

bool
verify_must_stop(void *run)
{
	struct vrun *v = run;

	return cancel_requested() || pool_failed(v->pool);
}

int
verify_wait(struct vrun *v, struct err *err)
{
	bool idle = false;

	while (!idle) {
		if (pool_poll(v->pool, POLL_MS, &idle, err) != 0)
			return -1;
		if (v->p->tick != NULL)
			v->p->tick(v->p->tick_arg);
	}
	return cancel_check(err);
}

bool
verify_in_share(const struct vrun *v, const char *name)
{
	if (v->p->share_of <= 1)
		return true;
	return hash_64(name, strlen(name), 0) % v->p->share_of ==
	    v->p->share_number % v->p->share_of;
}

static int
compare_packs(const void *a, const void *b)
{
	return pack_id_compare(&((const struct vpack *)a)->id,
	    &((const struct vpack *)b)->id);
}

struct vpack *
verify_find_pack(const struct vrun *v, const struct pack_id *id)
{
	struct vpack key = { .id = *id };

	if (v->n_packs == 0)
		return NULL;
	return bsearch(&key, v->packs, v->n_packs, sizeof(key),
	    compare_packs);
}

static bool
is_selected(const struct vrun *v, const char *label)
{
	size_t i;

	for (i = 0; i < v->p->n_labels; i++)
		if (strncmp(label, v->p->labels[i],
			strlen(v->p->labels[i])) == 0)
			return true;
	return v->p->n_labels == 0;
}

struct vset
verify_set_of(const struct vrun *v, enum repo_kind kind)
{
	if (kind == REPO_DUMP)
		return (struct vset){ kind, v->cl->dumps, v->cl->n_dumps,
			v->dump_commits, v->dump_selected };
	return (struct vset){ kind, v->cl->backups, v->cl->n_backups,
		v->commits, v->selected };
}

static int
read_commit(struct vrun *v, enum repo_kind kind, struct verify_backup *b,
    struct commit *c, struct err *err)
{
	size_t finding;
	unsigned tries;
	int rc = -1;

	verify_count(v, 1, 0);
	for (tries = 0; tries < 2 && rc != 0; tries++) {
		err_clear(err);
		rc = commit_get_kind(v->p->repo, &v->inc, kind, b->label, c,
		    err);
	}
	b->commit_bad = rc != 0;
	b->unread = rc != 0 && err->code == ERR_STORAGE;
	if (rc != 0)
		return verify_judge(v, VERIFY_COMMIT, b->label, err,
		    &finding);
	b->stop_time = c->stop_time;
	if (kind == REPO_DUMP)
		b->database = xstrdup(c->dump.database);
	return 0;
}

/* Commits are listed before anything else, since they are put last. */
static int
read_commits(struct vrun *v, enum repo_kind kind, struct err *err)
{
	char(*labels)[FORMAT_LABEL_MAX] = NULL;
	struct verify_backup *list;
	struct commit *commits;
	size_t i, n = 0;
	bool *selected;
	int rc;

	rc = kind == REPO_DUMP ?
	    catalogue_dumps(v->p->repo, &v->inc, &labels, &n, NULL, err) :
	    catalogue_backups(v->p->repo, &v->inc, &labels, &n, NULL, err);
	if (rc != 0)
		return -1;
	list = xcalloc(n + 1, sizeof(*list));
	commits = xcalloc(n + 1, sizeof(*commits));
	selected = xcalloc(n + 1, sizeof(*selected));
	*(kind == REPO_DUMP ? &v->cl->dumps : &v->cl->backups) = list;
	*(kind == REPO_DUMP ? &v->cl->n_dumps : &v->cl->n_backups) = n;
	*(kind == REPO_DUMP ? &v->dump_commits : &v->commits) = commits;
	*(kind == REPO_DUMP ? &v->dump_selected : &v->selected) = selected;
	for (i = 0; i < n; i++)
		memcpy(list[i].label, labels[i], sizeof(list[i].label));
	free(labels);
	for (i = 0; i < n && rc == 0; i++) {
		selected[i] = is_selected(v, list[i].label) &&
		    !v->p->wal_only && verify_in_share(v, list[i].label);
		rc = read_commit(v, kind, &list[i], &commits[i], err);
	}
	return rc;
}

static void
add_packs(struct vrun *v, enum repo_kind kind)
{
	const struct vset s = verify_set_of(v, kind);
	const struct commit *c;
	struct vpack *vp;
	size_t i, k;

	for (i = 0; i < s.n; i++) {
		c = &s.commits[i];
		for (k = 0; k < c->n_packs; k++) {
			vp = &v->packs[v->n_packs++];
			vp->id = c->packs[k].id;
			vp->size = commit_pack_first_size(&c->packs[k]);
			vp->block_size = c->block_size;
			vp->plain = c->packs[k].plain;
			vp->deep = is_selected(v, c->label) &&
			    !v->p->wal_only;
			vp->light = s.selected[i];
		}
	}
}

/* The packs of all backups and dumps, each once. */
static int
gather_packs(struct vrun *v, struct err *err)
{
	struct vpack *vp;
	char name[FORMAT_LABEL_MAX + 32];
	size_t i, n = 0, kept = 0;

	for (i = 0; i < v->cl->n_backups; i++)
		n += v->commits[i].n_packs;
	for (i = 0; i < v->cl->n_dumps; i++)
		n += v->dump_commits[i].n_packs;
	v->packs = xcalloc(n + 1, sizeof(*v->packs));
	add_packs(v, REPO_BACKUP);
	add_packs(v, REPO_DUMP);
	if (v->n_packs > 0)
		qsort(v->packs, v->n_packs, sizeof(*v->packs),
		    compare_packs);
	for (i = 0; i < v->n_packs; i++) {
		vp = &v->packs[i];
		if (kept == 0 || compare_packs(vp, vp - 1) != 0) {
			v->packs[kept++] = *vp;
			continue;
		}
		if (v->packs[kept - 1].size == 0)
			v->packs[kept - 1].size = vp->size;
		if (v->packs[kept - 1].plain == 0)
			v->packs[kept - 1].plain = vp->plain;
		v->packs[kept - 1].deep |= vp->deep;
		v->packs[kept - 1].light |= vp->light;
	}
	v->n_packs = kept;
	for (i = 0; i < kept; i++) {
		vp = &v->packs[i];
		(void)snprintf(name, sizeof(name), "%s/%u/%u", vp->id.label,
		    vp->id.attempt, vp->id.number);
		vp->deep = vp->deep && verify_in_share(v, name);
		if (packset_find(v->packset, &vp->id, &vp->info, err) != 0)
			return -1;
	}
	return 0;
}

struct garbage {
	struct vrun *run;
	enum repo_kind kind;
};

static bool
is_committed(const struct vrun *v, enum repo_kind kind, const char *label)
{
	const struct vset s = verify_set_of(v, kind);
	size_t i;

	for (i = 0; i < s.n; i++)
		if (strcmp(s.list[i].label, label) == 0)
			return true;
	return false;
}

static int
note_garbage(void *arg, const struct storage_entry *e, struct err *err)
{
	const struct garbage *g = arg;
	struct vrun *v = g->run;
	const char *slash = strchr(e->name, '/');
	struct pack_id id;
	size_t len = slash == NULL ? 0 : (size_t)(slash - e->name);

	memset(&id, 0, sizeof(id));
	id.kind = g->kind;
	if (len > 0 && len < sizeof(id.label)) {
		memcpy(id.label, e->name, len);
		if (sscanf(slash, "/pack-%9u-%9u.", &id.attempt,
			&id.number) == 2 ?
		    verify_find_pack(v, &id) != NULL :
		    is_committed(v, g->kind, id.label))
			return 0;
	}
	v->cl->unreferenced++;
	v->cl->unreferenced_bytes += e->size;
	return 0;
}

static int
count_garbage(struct vrun *v, enum repo_kind kind, struct err *err)
{
	struct garbage g = { v, kind };
	char prefix[STORAGE_KEY_MAX];

	repo_key(&v->inc, repo_folder(kind), prefix);
	return storage_list(v->p->repo->st, prefix, false, note_garbage, &g,
	    err);
}

static void
sum_total(const struct vrun *v)
{
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < v->n_packs; i++)
		if (v->packs[i].deep)
			total += v->packs[i].info.size;
	for (i = 0; i < v->n_wals; i++)
		if (v->wals[i].deep)
			total += v->wals[i].bytes;
	if (v->p->progress != NULL)
		atomic_fetch_add(&v->p->progress->total_bytes, total);
}

static void
set_phase(const struct vrun *v, enum verify_phase phase)
{
	if (v->p->progress != NULL)
		atomic_store(&v->p->progress->phase, phase);
}

/* Damage found tonight concerns backups whose turn it is not. */
static void
select_damaged(struct vrun *v, enum repo_kind kind)
{
	const struct vset s = verify_set_of(v, kind);
	const struct vpack *vp;
	const struct commit *c;
	size_t i, k;

	for (i = 0; i < s.n; i++) {
		c = &s.commits[i];
		for (k = 0; k < c->n_packs && !v->p->wal_only; k++) {
			vp = verify_find_pack(v, &c->packs[k].id);
			if (vp != NULL && (vp->state == STATE_BAD ||
				vp->state == STATE_MISSING) &&
			    is_selected(v, c->label))
				s.selected[i] = true;
		}
	}
}

static bool
is_referred(const struct vrun *v, const struct vpack *vp)
{
	const struct vset s = verify_set_of(v, vp->id.kind);
	const struct commit *c;
	size_t i, k;

	for (i = 0; i < s.n; i++) {
		c = &s.commits[i];
		for (k = 0; !s.list[i].removed && k < c->n_packs; k++)
			if (pack_id_compare(&c->packs[k].id, &vp->id) == 0)
				return true;
	}
	return false;
}

static void
drop_finding(struct verify_cluster *cl, const char *object)
{
	size_t i;

	for (i = 0; i < cl->n_findings; i++) {
		if (strcmp(cl->findings[i].object, object) != 0)
			continue;
		free(cl->findings[i].object);
		free(cl->findings[i].reason);
		cl->n_findings--;
		memmove(&cl->findings[i], &cl->findings[i + 1],
		    (cl->n_findings - i) * sizeof(cl->findings[0]));
		i--;
	}
}

static int
find_removed(struct vrun *v, enum repo_kind kind, bool *any, struct err *err)
{
	const struct vset s = verify_set_of(v, kind);
	char key[STORAGE_KEY_MAX], tail[128];
	struct verify_backup *b;
	uint64_t size;
	size_t i;

	for (i = 0; i < s.n; i++) {
		b = &s.list[i];
		if (verify_backup_holds(b))
			continue;
		(void)snprintf(tail, sizeof(tail), "%s%s/commit",
		    repo_folder(kind), b->label);
		repo_key(&v->inc, tail, key);
		if (storage_stat(v->p->repo->st, key, &size, NULL, err) == 0)
			continue;
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_clear(err);
		verify_backup_clear(b);
		b->removed = *any = true;
		drop_finding(v->cl, b->label);
	}
	return 0;
}

/* What an expiry removed while this ran is not damaged. */
static int
forget_removed(struct vrun *v, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	bool any = false;
	size_t i;

	if (find_removed(v, REPO_BACKUP, &any, err) != 0 ||
	    find_removed(v, REPO_DUMP, &any, err) != 0)
		return -1;
	for (i = 0; any && i < v->n_packs; i++) {
		if (v->packs[i].state != STATE_MISSING ||
		    is_referred(v, &v->packs[i]))
			continue;
		repo_pack_key_generation(&v->inc, &v->packs[i].id,
		    v->packs[i].info.generation, key);
		drop_finding(v->cl, key);
	}
	return 0;
}

static int
worker_init(void *worker, void *arg, struct err *err)
{
	struct vworker *w = worker;
	struct vrun *v = arg;

	w->run = v;
	if (repo_clone(v->p->repo, &w->repo, err) != 0)
		return -1;
	w->codec = frame_codec_new(1);
	w->checker = pack_checker_new(v->p->repo);
	buf_init(&w->raw, STORAGE_OBJECT_MAX);
	return 0;
}

static void
worker_fini(void *worker)
{
	struct vworker *w = worker;

	pack_cache_free(w->cache);
	pack_checker_free(w->checker);
	frame_codec_free(w->codec);
	buf_free(&w->raw);
	repo_close(w->repo);
}

static int
verify_steps(struct vrun *v, struct err *err)
{
	set_phase(v, VERIFY_PHASE_LIST);
	if (read_commits(v, REPO_BACKUP, err) != 0 ||
	    read_commits(v, REPO_DUMP, err) != 0 ||
	    gather_packs(v, err) != 0 || verify_list_wal(v, err) != 0 ||
	    count_garbage(v, REPO_BACKUP, err) != 0 ||
	    count_garbage(v, REPO_DUMP, err) != 0)
		return -1;
	sum_total(v);
	set_phase(v, VERIFY_PHASE_READ);
	if ((!v->p->wal_only && verify_read_packs(v, err) != 0) ||
	    verify_read_wal(v, err) != 0)
		return -1;
	if (v->p->repair && verify_repair(v, err) != 0)
		return -1;
	set_phase(v, VERIFY_PHASE_PROVE);
	select_damaged(v, REPO_BACKUP);
	select_damaged(v, REPO_DUMP);
	if (!v->p->wal_only && verify_prove(v, err) != 0)
		return -1;
	if (verify_check_chains(v, err) != 0)
		return -1;
	return forget_removed(v, err);
}

static void
sum_up(struct vrun *v)
{
	struct verify_result *r = v->out;
	const struct verify_finding *f;
	const struct verify_backup *b;
	size_t i;

	for (i = 0; i < v->cl->n_findings; i++) {
		f = &v->cl->findings[i];
		if (f->repaired)
			r->repaired++;
		else if (f->kind != VERIFY_UNREAD)
			v->cl->damaged++;
	}
	for (i = 0; i < v->cl->n_backups; i++) {
		b = &v->cl->backups[i];
		v->cl->damaged += b->bad_files;
		r->backups += b->proved;
		r->files += b->files - b->bad_files;
	}
	for (i = 0; i < v->cl->n_dumps; i++) {
		b = &v->cl->dumps[i];
		v->cl->damaged += b->bad_files;
		r->dumps += b->proved;
		r->items += b->files - b->bad_files;
	}
	r->damaged += v->cl->damaged;
}

static void
run_free(struct vrun *v)
{
	size_t i;

	pool_free(v->pool);
	packset_free(v->packset);
	facts_store_free(v->facts);
	for (i = 0; i < v->cl->n_backups; i++)
		commit_free(&v->commits[i]);
	for (i = 0; i < v->cl->n_dumps; i++)
		commit_free(&v->dump_commits[i]);
	free(v->commits);
	free(v->selected);
	free(v->dump_commits);
	free(v->dump_selected);
	free(v->packs);
	free(v->stored);
	free(v->wals);
	removed_free(&v->removed);
	rate_free(&v->rate);
	(void)pthread_mutex_destroy(&v->lock);
}

static int
verify_cluster(const struct verify_params *p, const struct incarnation *inc,
    struct verify_result *out, struct err *err)
{
	struct vrun v = { .p = p, .out = out, .inc = *inc };
	int ret = -1;

	v.cl = &out->clusters[out->n++];
	v.cl->inc = *inc;
	(void)pthread_mutex_init(&v.lock, NULL); /* does not fail */
	rate_init(&v.rate, p->max_rate);
	v.facts = facts_store_new(VERIFY_FACTS_MEMORY);
	if (packset_new(&v.packset, p->repo, inc, err) == 0 &&
	    pool_new(&v.pool, p->jobs == 0 ? 1 : p->jobs,
		2 * (size_t)(p->jobs == 0 ? 1 : p->jobs),
		sizeof(struct vworker), worker_init, worker_fini, &v,
		err) == 0)
		ret = verify_steps(&v, err);
	if (ret == 0)
		sum_up(&v);
	run_free(&v);
	return ret;
}

static bool
has_label(const struct verify_backup *list, size_t n, const char *prefix)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strncmp(prefix, list[i].label, strlen(prefix)) == 0)
			return true;
	return false;
}

/* Was each label that was asked for found? */
static int
check_labels(const struct verify_params *p, const struct verify_result *r,
    struct err *err)
{
	size_t i, k;
	bool found;

	for (i = 0; i < p->n_labels; i++) {
		found = false;
		for (k = 0; k < r->n && !found; k++)
			found = has_label(r->clusters[k].backups,
			    r->clusters[k].n_backups, p->labels[i]) ||
			    has_label(r->clusters[k].dumps,
				r->clusters[k].n_dumps, p->labels[i]);
		if (found)
			continue;
		err_set(err, ERR_NOT_FOUND, "there is no backup or dump %s",
		    p->labels[i]);
		return err_hint(err, "dapk-backup info lists them");
	}
	return 0;
}

int
verify_run(const struct verify_params *params, struct verify_result *out,
    struct err *err)
{
	struct incarnation *list = NULL;
	int64_t begun = time_monotonic();
	size_t i, n = 0;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	if (!params->quick && keyring_need(params->repo, err) != 0)
		return err->code != ERR_CONFIG ? -1 : err_hint(err,
		    "verify reads everything, so do it where the key is; "
		    "--quick needs none");
	if (repo_incarnations(params->repo, params->cluster, &list, &n,
		err) != 0)
		return -1;
	out->clusters = xcalloc(n + 1, sizeof(*out->clusters));
	for (i = 0; i < n && rc == 0; i++)
		rc = verify_cluster(params, &list[i], out, err);
	free(list);
	if (rc == 0)
		rc = check_labels(params, out, err);
	out->took_us = time_monotonic() - begun;
	return rc;
}

static void
cluster_free(struct verify_cluster *cl)
{
	size_t i;

	for (i = 0; i < cl->n_backups; i++)
		verify_backup_clear(&cl->backups[i]);
	for (i = 0; i < cl->n_dumps; i++) {
		verify_backup_clear(&cl->dumps[i]);
		free(cl->dumps[i].database);
	}
	for (i = 0; i < cl->n_findings; i++) {
		free(cl->findings[i].object);
		free(cl->findings[i].reason);
	}
	free(cl->backups);
	free(cl->dumps);
	free(cl->findings);
	free(cl->windows);
}

void
verify_result_free(struct verify_result *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		cluster_free(&r->clusters[i]);
	free(r->clusters);
	memset(r, 0, sizeof(*r));
}
