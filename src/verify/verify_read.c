/* SPDX-License-Identifier: PostgreSQL */
/*
 * What fails is read a second time before it counts as damage: a bad cable
 * or a busy disk must not condemn a pack for good.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "verify/verify_work.h"

#define TRIES 2
#define RETRY_MS 100

/* Text for a JSON string: reasons may quote a path of any bytes. */
static void
make_plain(char *s)
{
	for (; *s != '\0'; s++)
		if (*s < 0x20 || *s > 0x7e || *s == '"' || *s == '\\')
			*s = '?';
}

static int
mark(struct vworker *w, const struct pack_id *id, uint32_t generation,
    const char *reason, struct err *err)
{
	char key[STORAGE_KEY_MAX], found[TIME_TEXT_MAX];
	char *text = xstrdup(reason), *json;
	int rc;

	make_plain(text);
	json = xasprintf("{\"found\": \"%s\", \"reason\": \"%s\"}",
	    time_format(time_now(), found), text);
	repo_damage_key(&w->run->inc, id, generation, key);
	rc = repo_put_text(w->repo, key, "damage", json, strlen(json), err);
	free(json);
	free(text);
	if (rc != 0 && err->code == ERR_EXISTS) {
		err_clear(err);
		rc = 0;
	}
	return rc;
}

static int
read_once(struct vworker *w, const struct vpack *vp, uint32_t generation,
    const char *key, const struct pack_facts **facts, struct err *err)
{
	*facts = NULL;
	buf_clear(&w->raw);
	if (storage_get_all(w->repo->st, key, &w->raw, err) != 0)
		return -1;
	verify_count(w->run, 1, w->raw.len);
	if (!rate_take(&w->run->rate, w->raw.len, verify_must_stop, w->run))
		return cancel_error(err);
	if (generation == 0 && vp->size != 0 && w->raw.len != vp->size)
		return err_set(err, ERR_DAMAGED,
		    "%s has %zu bytes, the commit says %llu", key, w->raw.len,
		    (unsigned long long)vp->size);
	return pack_check(w->checker, w->raw.data, w->raw.len, key, &vp->id,
	    &w->run->inc, vp->block_size, facts, err);
}

/*
 * A generation of a pack. *kept: its facts, when there are any; those of the
 * last try, since both say the same or the second is right.
 */
static int
read_generation(struct vworker *w, const struct vpack *vp,
    uint32_t generation, const struct pack_facts **kept, struct err *err)
{
	const struct pack_facts *facts = NULL;
	char key[STORAGE_KEY_MAX];
	unsigned i;
	int rc = -1;

	*kept = NULL;
	repo_pack_key_generation(&w->run->inc, &vp->id, generation, key);
	for (i = 0; i < TRIES && rc != 0; i++) {
		if (i > 0)
			time_sleep_ms(RETRY_MS);
		err_clear(err);
		rc = read_once(w, vp, generation, key, &facts, err);
		if (rc != 0 && (err->code == ERR_CANCELLED ||
		    cancel_requested()))
			return -1;
	}
	if (facts != NULL && (rc == 0 || err->code == ERR_DAMAGED)) {
		struct err why = ERR_INIT;

		if (pack_checker_keep(w->checker, w->run->facts, kept,
			&why) != 0) {
			*err = why;
			return -1;
		}
	}
	return rc;
}

/* A generation that fails: noted, and marked so that no backup uses it. */
static int
note_bad(struct vworker *w, struct vpack *vp, uint32_t generation,
    size_t *finding, struct err *err)
{
	struct vrun *v = w->run;
	char key[STORAGE_KEY_MAX], reason[ERR_MSG_MAX];
	struct err why = ERR_INIT;
	bool damaged = err->code == ERR_DAMAGED;

	repo_pack_key_generation(&v->inc, &vp->id, generation, key);
	memcpy(reason, err->msg, sizeof(reason));
	if (verify_judge(v, VERIFY_PACK, key, err, finding) != 0)
		return -1;
	if (!damaged || v->p->dry_run)
		return 0;
	if (mark(w, &vp->id, generation, reason, &why) == 0)
		verify_set(v, *finding, false, true, false);
	else
		log_warning("%s could not be marked as damaged: %s", key,
		    why.msg);
	return 0;
}

static enum verify_state
state_of(const struct err *err)
{
	if (err->code == ERR_NOT_FOUND)
		return STATE_MISSING;
	if (err->code == ERR_DAMAGED || err->code == ERR_UNSUPPORTED)
		return STATE_BAD;
	return STATE_ERROR;
}

int
verify_read_pack(struct vworker *w, struct vpack *vp, struct err *err)
{
	const uint32_t top = vp->info.generation;
	const struct pack_facts *facts = NULL;
	size_t finding = 0;
	uint32_t g;
	int rc;

	rc = read_generation(w, vp, top, &vp->facts, err);
	if (rc == 0 && vp->info.damaged)
		log_warning("pack %u of attempt %u of %s %s is marked "
		    "damaged, but reads well now; nothing new refers to it",
		    vp->id.number, vp->id.attempt,
		    repo_kind_name(vp->id.kind), vp->id.label);
	if (rc == 0) {
		vp->state = STATE_GOOD;
		return 0;
	}
	vp->state = state_of(err);
	if (note_bad(w, vp, top, &finding, err) != 0)
		return -1;
	/* Whoever reads falls back to a lower generation. */
	for (g = top; g > 0 && vp->state != STATE_GOOD; g--) {
		struct err why = ERR_INIT;

		if (read_generation(w, vp, g - 1, &facts, &why) == 0) {
			vp->facts = facts;
			vp->state = STATE_GOOD;
			verify_set(w->run, finding, true, false, false);
		} else if (why.code == ERR_CANCELLED) {
			*err = why;
			return -1;
		}
	}
	packset_forget(w->run->packset, vp->id.label);
	return 0;
}

/* Only its sums, for the maps of a backup whose turn it is. */
static int
read_light(struct vworker *w, struct vpack *vp, struct err *err)
{
	const struct pack_facts *facts;
	char key[STORAGE_KEY_MAX];
	size_t finding;
	int rc = -1;
	unsigned i;

	if (w->cache == NULL)
		w->cache = pack_cache_new_shared(w->repo, &w->run->inc, 16,
		    w->run->packset);
	for (i = 0; i < TRIES && rc != 0; i++) {
		err_clear(err);
		rc = pack_check_light(w->checker, w->cache, &vp->id, vp->size,
		    vp->block_size, &facts, err);
	}
	if (rc == 0) {
		vp->state = STATE_GOOD;
		return pack_checker_keep(w->checker, w->run->facts,
		    &vp->facts, err);
	}
	vp->state = state_of(err);
	repo_pack_key_generation(&w->run->inc, &vp->id, vp->info.generation,
	    key);
	return verify_judge(w->run, VERIFY_PACK, key, err, &finding);
}

static int
run_pack(void *worker, void *job, bool skip, struct err *err)
{
	struct vworker *w = worker;
	struct vpack *vp = job;

	if (skip)
		return 0;
	if (cancel_check(err) != 0)
		return -1;
	return vp->deep ? verify_read_pack(w, vp, err) :
			  read_light(w, vp, err);
}

int
verify_read_packs(struct vrun *v, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	struct vpack *vp;
	size_t i, finding;

	for (i = 0; i < v->n_packs; i++) {
		vp = &v->packs[i];
		repo_pack_key_generation(&v->inc, &vp->id,
		    vp->info.generation, key);
		if (!vp->info.exists) {
			vp->state = STATE_MISSING;
			(void)verify_note(v, VERIFY_PACK, key,
			    "is not there");
		} else if (v->p->quick) {
			verify_count(v, 1, 0);
			if (vp->info.generation == 0 && vp->size != 0 &&
			    vp->info.size != vp->size) {
				vp->state = STATE_BAD;
				finding = verify_note(v, VERIFY_PACK, key,
				    "has not the size that its backup says");
				verify_set(v, finding, false, false, false);
			} else if (vp->info.damaged) {
				vp->state = STATE_BAD;
				finding = verify_note(v, VERIFY_PACK, key,
				    "is marked damaged");
				verify_set(v, finding, false, true, false);
			}
		} else if ((vp->deep || vp->light) &&
		    pool_submit(v->pool, run_pack, vp, err) != 0)
			return -1;
		if (v->p->tick != NULL)
			v->p->tick(v->p->tick_arg);
	}
	return verify_wait(v, err);
}

/* WAL files. */

struct wal_sink {
	struct vrun *run;
	struct wal_summariser *summariser;
};

static int
take_wal(void *arg, const uint8_t *data, size_t len, struct err *err)
{
	struct wal_sink *s = arg;

	if (s->summariser != NULL)
		wal_summariser_feed(s->summariser, data, len);
	if (!rate_take(&s->run->rate, len / 2, verify_must_stop, s->run))
		return cancel_error(err);
	return 0;
}

static int
compare_summaries(const struct wal_stored *ws,
    const struct wal_summary *stored, const struct wal_summary *made,
    struct err *err)
{
	struct buf a, b;
	bool same;

	buf_init(&a, FORMAT_FRAME_PLAIN_MAX);
	buf_init(&b, FORMAT_FRAME_PLAIN_MAX);
	wal_summary_encode(stored, &a);
	wal_summary_encode(made, &b);
	same = a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
	buf_free(&a);
	buf_free(&b);
	if (same)
		return 0;
	return err_set(err, ERR_DAMAGED, "%s: its summary is not that of its "
	    "content", ws->file.name);
}

static int
read_wal_once(struct vworker *w, const struct wal_stored *ws,
    struct wal_summary *stored, struct err *err)
{
	const bool is_wal = ws->file.type == WAL_FILE_SEGMENT ||
	    ws->file.type == WAL_FILE_PARTIAL;
	const uint32_t size = w->run->segment_size;
	struct wal_sink sink = { .run = w->run };
	struct wal_summary made;
	int rc;

	if (is_wal && size != 0)
		sink.summariser = wal_summariser_new(wal_segment_start(
		    wal_segno(&ws->file, size), size), size);
	rc = wal_store_read_summary(w->repo, &w->run->inc, ws, w->codec,
	    take_wal, &sink, stored, err);
	if (sink.summariser != NULL) {
		wal_summariser_finish(sink.summariser, &made);
		if (rc == 0)
			rc = compare_summaries(ws, stored, &made, err);
	}
	return rc;
}

/* The highest generation that holds; each that does not is noted. */
int
verify_read_wal_file(struct vworker *w, struct vwal *wal, struct err *err)
{
	struct wal_summary stored;
	char key[STORAGE_KEY_MAX];
	size_t i, noted = 0, findings[8], n = 0;
	unsigned tries;
	int rc = -1;

	for (i = 0; i < wal->n && rc != 0; i++) {
		for (tries = 0; tries < TRIES && rc != 0; tries++) {
			err_clear(err);
			rc = read_wal_once(w, &wal->list[i], &stored, err);
			if (rc != 0 && err->code == ERR_CANCELLED)
				return -1;
		}
		verify_count(w->run, 1, wal->list[i].size);
		if (rc == 0)
			break;
		wal->state = state_of(err);
		wal_store_key(&w->run->inc, &wal->list[i].file,
		    wal->list[i].hash, wal->list[i].generation, 0, key);
		if (verify_judge(w->run, VERIFY_WAL, key, err, &noted) != 0)
			return -1;
		if (n < sizeof(findings) / sizeof(findings[0]))
			findings[n++] = noted;
	}
	if (rc != 0)
		return 0;
	wal->state = STATE_GOOD;
	wal->known = stored.parsed;
	wal->max_time = stored.max_time;
	while (n > 0)
		verify_set(w->run, findings[--n], true, false, false);
	return 0;
}

static int
run_wal(void *worker, void *job, bool skip, struct err *err)
{
	if (skip)
		return 0;
	if (cancel_check(err) != 0)
		return -1;
	return verify_read_wal_file(worker, job, err);
}

/* Of a segment all parts must be there; the first one's header tells more. */
static void
look_at_wal(struct vrun *v, struct vwal *wal)
{
	const struct wal_stored *ws = wal->list;
	char key[STORAGE_KEY_MAX];
	uint32_t parts;

	verify_count(v, 1 + wal->parts, 0);
	if (v->segment_size == 0 || ws->file.type != WAL_FILE_SEGMENT)
		return;
	parts = (v->segment_size + WAL_PART_LENGTH - 1) / WAL_PART_LENGTH;
	if (wal->parts + 1 >= parts && ws->size > 0)
		return;
	wal->state = STATE_BAD;
	wal_store_key(&v->inc, &ws->file, ws->hash, ws->generation, 0, key);
	(void)verify_note(v, VERIFY_WAL, key, ws->size == 0 ? "is empty" :
	    "parts of it are not there");
}

int
verify_read_wal(struct vrun *v, struct err *err)
{
	size_t i;

	for (i = 0; i < v->n_wals; i++) {
		if (v->p->quick)
			look_at_wal(v, &v->wals[i]);
		else if (v->wals[i].deep &&
		    pool_submit(v->pool, run_wal, &v->wals[i], err) != 0)
			return -1;
		if (v->p->tick != NULL)
			v->p->tick(v->p->tick_arg);
	}
	return verify_wait(v, err);
}
