/* SPDX-License-Identifier: PostgreSQL */
/*
 * Storing anew what is damaged. A repaired object is a new generation beside
 * the damaged one, which stays as it is; it is checked in memory before it is
 * put, and read back after. Nothing is overwritten.
 *
 * A pack is put together from frames that hold, wherever they are found:
 * other generations of it, another copy of the repository, and the damaged
 * one itself, in which frames are looked for byte by byte, since each says
 * what it is. Its page sums prove that they belong together.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/cancel.h"
#include "core/log.h"
#include "core/mem.h"
#include "repo/keyring.h"
#include "repo/manifest_names.h"
#include "core/sha256.h"
#include "verify/verify_work.h"

#define GENERATIONS_MAX 1000
#define FRAMES_MAX 65536
#define BLOBS_MAX 16

/* An object as it was found. */
struct blob {
	uint8_t *data;
	size_t len;
};

struct found_frame {
	const uint8_t *data;
	size_t len;
	struct frame_header h;
};

/* A pack being put together. */
struct assembly {
	struct vworker *w;
	struct vpack *vp;
	struct blob blobs[BLOBS_MAX];
	size_t n_blobs;
	struct found_frame *frames;
	uint32_t n;	/* highest frame found, plus one */
	uint32_t wanted; /* how many there must be; 0: not known */
	bool last_is_sums; /* says the index */
	uint8_t *plain;
	struct data_key data; /* of an encrypted one */
	struct object_key key;
};

static void
assembly_free(struct assembly *a)
{
	while (a->n_blobs > 0)
		free(a->blobs[--a->n_blobs].data);
	free(a->frames);
	free(a->plain);
	explicit_bzero(&a->data, sizeof(a->data));
	explicit_bzero(&a->key, sizeof(a->key));
}

/* One generation from one place; that it is not there is fine. */
static int
add_blob(struct assembly *a, struct repo *repo, const char *key, bool *found,
    struct err *err)
{
	struct blob *b = &a->blobs[a->n_blobs];
	struct buf raw;

	*found = false;
	buf_init(&raw, STORAGE_OBJECT_MAX);
	if (storage_get_all(repo->st, key, &raw, err) != 0) {
		const bool fatal = err->code == ERR_CANCELLED;

		buf_free(&raw);
		if (fatal)
			return -1;
		if (err->code != ERR_NOT_FOUND)
			log_warning("repair: %s", err->msg);
		err_clear(err);
		return 0;
	}
	*found = true;
	b->data = raw.data; /* now ours */
	b->len = raw.len;
	a->n_blobs++;
	return 0;
}

static int
gather_blobs(struct assembly *a, struct err *err)
{
	struct vrun *v = a->w->run;
	char key[STORAGE_KEY_MAX];
	struct repo *repo;
	size_t i;
	uint32_t g;
	bool found;

	for (i = 0; i <= v->p->n_sources; i++) {
		repo = i < v->p->n_sources ? v->p->sources[i] : a->w->repo;
		found = true;
		for (g = 0; (found || g <= a->vp->info.generation + 1) &&
		     a->n_blobs < BLOBS_MAX; g++) {
			repo_pack_key_generation(&v->inc, &a->vp->id, g, key);
			if (add_blob(a, repo, key, &found, err) != 0)
				return -1;
		}
	}
	return 0;
}

/* Frames of one object, whether or not its index can be read. */
static void
scan_blob(struct assembly *a, const struct blob *b)
{
	struct err why = ERR_INIT;
	const uint8_t *p = b->data, *end = b->data + b->len, *hit;
	struct frame_header h;
	size_t used, len;

	while ((size_t)(end - p) > 12) {
		hit = memmem(p, (size_t)(end - p), "DKFR", 4);
		if (hit == NULL)
			return;
		p = hit + 4;
		if (hit - b->data < 8)
			continue;
		hit -= 8;
		err_clear(&why);
		if (frame_header_decode(hit, (size_t)(end - hit), &h, &used,
			&why) != 0 || h.number >= FRAMES_MAX ||
		    h.payload_len > (size_t)(end - hit) - used)
			continue;
		len = used + h.payload_len;
		if (h.number < a->n && a->frames[h.number].data != NULL) {
			p = hit + len;
			continue;
		}
		if (frame_decode(a->w->codec, hit, len, &a->key, &h, a->plain,
			FORMAT_FRAME_PLAIN_MAX, "", &why) != 0)
			continue;
		if (h.number >= a->n) {
			a->frames = xreallocarray(a->frames, h.number + 1,
			    sizeof(*a->frames));
			memset(a->frames + a->n, 0, (h.number + 1 - a->n) *
			    sizeof(*a->frames));
			a->n = h.number + 1;
		}
		a->frames[h.number] = (struct found_frame){ hit, len, h };
		p = hit + len;
	}
}

/* Its key, from any header that can be read: without it none is found. */
static void
find_key(struct assembly *a)
{
	struct err why = ERR_INIT;
	size_t i;

	for (i = 0; a->w->repo->ring != NULL && i < a->n_blobs &&
	     a->key.id == 0; i++) {
		err_clear(&why);
		if (object_key_open(a->w->repo, a->blobs[i].data,
			a->blobs[i].len, &a->data, &a->key, &why) != 0)
			log_debug("repair: %s", why.msg);
	}
}

/* How many frames the pack has, from any index that can be read. */
static void
find_wanted(struct assembly *a)
{
	struct vrun *v = a->w->run;
	struct err why = ERR_INIT;
	struct object_reader r;
	size_t i;

	for (i = 0; i < a->n_blobs && a->wanted == 0; i++) {
		if (object_reader_open_bytes(&r, v->p->repo, a->blobs[i].data,
			a->blobs[i].len, "", OBJECT_PACK,
			v->inc.system_id, &why) == 0) {
			a->wanted = r.n;
			a->last_is_sums = r.n > 0 &&
			    r.entries[r.n - 1].type == FRAME_SUMS;
			object_reader_close(&r);
		}
		err_clear(&why);
	}
}

/*
 * Is all of it found? Without an index the last frame must be one of page
 * sums, which is where a pack ends, and then these say the rest. A dump's pack
 * has none: the commit says how much is in it.
 */
static bool
is_whole(const struct assembly *a, char *reason, size_t size)
{
	uint64_t plain = 0;
	uint32_t i, missing = 0;

	for (i = 0; i < a->n; i++) {
		missing += a->frames[i].data == NULL;
		if (a->frames[i].data != NULL)
			plain += a->frames[i].h.plain_len;
	}
	if (a->wanted > a->n)
		missing += a->wanted - a->n;
	if (missing == 1 && a->wanted == a->n + 1 && a->last_is_sums)
		return true;
	if (a->n == 0 || missing > 0)
		(void)snprintf(reason, size, "%u of its %u frames are found "
		    "nowhere", a->n == 0 ? a->wanted : missing,
		    a->wanted > a->n ? a->wanted : a->n);
	else if (a->wanted == 0 && (a->vp->id.kind == REPO_DUMP ?
	    a->vp->plain != plain :
	    a->frames[a->n - 1].h.type != FRAME_SUMS))
		(void)snprintf(reason, size, "its end is found nowhere");
	else
		return true;
	return false;
}

/* The page sums can be computed anew. */
static int
add_sums(const struct assembly *a, struct object_writer *w, struct err *err)
{
	struct frame_header h = { .type = FRAME_SUMS };
	const uint32_t bs = a->vp->block_size;
	const size_t max = FORMAT_FRAME_PLAIN_MAX / bs + 1;
	const uint64_t seed = a->key.id != 0 ? a->data.seed :
	    a->w->run->p->repo->fingerprint_seed;
	struct page_sum *sums = xcalloc(max, sizeof(*sums));
	const struct found_frame *f;
	struct buf text;
	size_t n, k;
	uint32_t i;
	int rc = 0;

	buf_init(&text, FORMAT_FRAME_PLAIN_MAX);
	for (i = 0; i < a->n && rc == 0; i++) {
		f = &a->frames[i];
		if (f->h.type != FRAME_FILE)
			continue;
		rc = frame_decode(a->w->codec, f->data, f->len, &a->key, &h,
		    a->plain, FORMAT_FRAME_PLAIN_MAX, "", err);
		if (rc != 0)
			break;
		n = page_sums(a->plain, f->h.plain_len, bs,
		    seed, sums);
		buf_add_le32(&text, i);
		buf_add_le32(&text, (uint32_t)n);
		for (k = 0; k < n; k++) {
			buf_add_le64(&text, sums[k].fingerprint);
			buf_add_le32(&text, sums[k].crc);
		}
	}
	if (rc == 0)
		rc = buf_check(&text, "the page sums", err);
	h = (struct frame_header){ .type = FRAME_SUMS };
	if (rc == 0)
		rc = object_writer_add(w, a->w->codec, &h, text.data,
		    text.len, err);
	buf_free(&text);
	free(sums);
	return rc;
}

static int
write_pack(const struct assembly *a, struct object_writer *w,
    uint32_t generation, struct err *err)
{
	const struct vrun *v = a->w->run;
	struct object_header h;
	uint32_t i;

	memset(&h, 0, sizeof(h));
	h.type = OBJECT_PACK;
	memcpy(h.repository_id, v->p->repo->id, sizeof(h.repository_id));
	h.system_id = v->inc.system_id;
	h.generation = generation;
	(void)snprintf(h.name, sizeof(h.name), "%s", a->vp->id.label);
	h.has_pack = true;
	h.attempt = a->vp->id.attempt;
	h.number = a->vp->id.number;
	object_writer_init(w, STORAGE_OBJECT_MAX, &h);
	if (object_writer_begin(w, &h, a->key.id != 0 ? &a->data : NULL,
		err) != 0)
		return -1;
	for (i = 0; i < a->n; i++)
		if (object_writer_add_encoded(w, a->frames[i].data,
			a->frames[i].len, &a->frames[i].h, err) != 0)
			return -1;
	if (a->wanted == a->n + 1 && add_sums(a, w, err) != 0)
		return -1;
	return object_writer_finish(w, err);
}

/* A generation that neither an object nor a mark has. */
static int
free_generation(struct assembly *a, uint32_t *out, struct err *err)
{
	struct vrun *v = a->w->run;
	char key[STORAGE_KEY_MAX], mark[STORAGE_KEY_MAX];
	uint64_t size;
	uint32_t g;

	for (g = a->vp->info.generation + 1; g < GENERATIONS_MAX; g++) {
		repo_pack_key_generation(&v->inc, &a->vp->id, g, key);
		repo_damage_key(&v->inc, &a->vp->id, g, mark);
		if (storage_stat(a->w->repo->st, key, &size, NULL, err) == 0 ||
		    (err->code == ERR_NOT_FOUND &&
			storage_stat(a->w->repo->st, mark, &size, NULL,
			    err) == 0))
			continue;
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_clear(err);
		*out = g;
		return 0;
	}
	return err_set(err, ERR_REFUSED, "there are %d generations",
	    GENERATIONS_MAX);
}

/* Findings that name an object whose key begins so are mended. */
static void
set_repaired(struct vrun *v, const char *stem)
{
	size_t i;

	for (i = 0; i < v->cl->n_findings; i++)
		if (strncmp(v->cl->findings[i].object, stem,
			strlen(stem)) == 0)
			verify_set(v, i, false, false, true);
}

/* Check, put, read back. */
static int
put_pack(struct assembly *a, struct err *err)
{
	struct vrun *v = a->w->run;
	const struct pack_facts *facts;
	struct object_writer w;
	char key[STORAGE_KEY_MAX];
	uint32_t g = 0;
	int ret = -1;

	memset(&w, 0, sizeof(w));
	if (free_generation(a, &g, err) != 0 ||
	    write_pack(a, &w, g, err) != 0)
		goto out;
	repo_pack_key_generation(&v->inc, &a->vp->id, g, key);
	if (pack_check(a->w->checker, w.bytes.data, w.bytes.len, key,
		&a->vp->id, &v->inc, a->vp->block_size, &facts, err) != 0 ||
	    storage_put(a->w->repo->st, key, w.bytes.data, w.bytes.len,
		err) != 0)
		goto out;
	packset_forget(v->packset, a->vp->id.label);
	a->vp->info.generation = g;
	a->vp->info.exists = true;
	a->vp->info.damaged = false;
	if (verify_read_pack(a->w, a->vp, err) != 0)
		goto out;
	if (a->vp->state != STATE_GOOD) {
		err_set(err, ERR_DAMAGED, "%s does not hold what was put",
		    key);
		goto out;
	}
	log_info("repaired: %s", key);
	repo_pack_key(&v->inc, &a->vp->id, key);
	key[strlen(key) - strlen("zst")] = '\0';
	set_repaired(v, key);
	ret = 0;
out:
	object_writer_free(&w);
	return ret;
}

static int
repair_pack(struct vworker *w, struct vpack *vp, struct err *err)
{
	struct assembly a = { .w = w, .vp = vp };
	char reason[256];
	size_t i;
	int ret = -1;

	a.plain = xmalloc(FORMAT_FRAME_PLAIN_MAX);
	if (gather_blobs(&a, err) != 0)
		goto out;
	find_key(&a);
	for (i = 0; i < a.n_blobs; i++)
		scan_blob(&a, &a.blobs[i]);
	find_wanted(&a);
	if (!is_whole(&a, reason, sizeof(reason))) {
		log_warning("pack %u of attempt %u of %s %s cannot be "
		    "repaired: %s", vp->id.number, vp->id.attempt,
		    repo_kind_name(vp->id.kind), vp->id.label, reason);
		ret = 0;
		goto out;
	}
	ret = put_pack(&a, err);
	if (ret != 0 && err->code == ERR_DAMAGED) {
		log_warning("pack %u of attempt %u of %s %s cannot be "
		    "repaired: %s", vp->id.number, vp->id.attempt,
		    repo_kind_name(vp->id.kind), vp->id.label, err->msg);
		err_clear(err);
		ret = 0;
	}
out:
	assembly_free(&a);
	return ret;
}

/* WAL: an object with its parts, as another copy has it. */

/* Copy as this generation; part 0, which names the others, is put last. */
static int
copy_wal(struct vworker *w, struct repo *source, const struct wal_stored *ws,
    uint32_t generation, struct err *err)
{
	const struct incarnation *inc = &w->run->inc;
	struct format_wal_tag tag;
	char from[STORAGE_KEY_MAX], to[STORAGE_KEY_MAX];
	uint32_t part;

	if (wal_store_describe(source, inc, ws, &tag, NULL, err) != 0)
		return -1;
	for (part = tag.parts; part > 0; part--) {
		wal_store_key(inc, &ws->file, ws->hash, ws->generation,
		    part - 1, from);
		wal_store_key(inc, &ws->file, ws->hash, generation, part - 1,
		    to);
		buf_clear(&w->raw);
		if (storage_get_all(source->st, from, &w->raw, err) != 0)
			return -1;
		if (storage_put(w->repo->st, to, w->raw.data, w->raw.len,
			err) != 0 && err->code != ERR_EXISTS)
			return -1;
		err_clear(err);
	}
	return 0;
}

/* From the first copy that holds, and read back. *done tells. */
static int
fetch_wal(struct vworker *w, const struct wal_stored *wanted,
    uint32_t generation, bool *done, struct err *err)
{
	const struct vrun *v = w->run;
	struct wal_stored *list = NULL, made = *wanted;
	size_t i, k, n;

	*done = false;
	made.generation = generation;
	made.size = 0;
	for (i = 0; i < v->p->n_sources && !*done; i++) {
		if (wal_store_find(v->p->sources[i], &v->inc, &wanted->file,
			&list, &n, err) != 0)
			return -1;
		for (k = 0; k < n && !*done; k++) {
			struct err why = ERR_INIT;

			if (memcmp(list[k].hash, wanted->hash,
				WAL_HASH_SIZE) != 0 ||
			    wal_store_prove(v->p->sources[i], &v->inc,
				&list[k], w->codec, NULL, NULL, &why) != 0)
				continue;
			if (copy_wal(w, v->p->sources[i], &list[k],
				generation, err) != 0 ||
			    wal_store_prove(w->repo, &v->inc, &made, w->codec,
				NULL, NULL, err) != 0) {
				free(list);
				return -1;
			}
			*done = true;
		}
		free(list);
		list = NULL;
	}
	return 0;
}

static int
repair_wal(struct vworker *w, struct vwal *wal, struct err *err)
{
	struct vrun *v = w->run;
	const struct wal_stored *ws = wal->list;
	char key[STORAGE_KEY_MAX];
	bool done;

	if (fetch_wal(w, ws, ws->generation + 1, &done, err) != 0)
		return -1;
	if (!done) {
		log_warning("%s cannot be repaired: no copy of it is found",
		    ws->file.name);
		return 0;
	}
	log_info("repaired: %s", ws->file.name);
	wal->state = STATE_GOOD;
	wal_store_key(&v->inc, &ws->file, ws->hash, 0, 0, key);
	key[strlen(key) - strlen("zst")] = '\0';
	set_repaired(v, key);
	return 0;
}

/* Names of WAL files that another copy has. */
struct names {
	struct wal_stored *list;
	size_t n;
};

static int
note_name(void *arg, const struct storage_entry *e, struct err *err)
{
	struct names *names = arg;
	const char *name = strrchr(e->name, '/');
	struct wal_stored ws;
	uint32_t part;

	if (!wal_store_parse(name == NULL ? e->name : name + 1, &ws, &part) ||
	    part != 0)
		return 0;
	ws.size = e->size;
	names->list = xreallocarray(names->list, names->n + 1,
	    sizeof(*names->list));
	names->list[names->n++] = ws;
	return 0;
}

static int
compare_name(const void *key, const void *item)
{
	return strcmp(key, ((const struct vwal *)item)->list->file.name);
}

/* Absent here, and some backup needs it. */
static bool
is_missing(const struct vrun *v, const struct wal_stored *ws)
{
	uint64_t first = UINT64_MAX;
	const struct commit *c;
	size_t i;

	if (v->n_wals > 0 && bsearch(ws->file.name, v->wals, v->n_wals,
		sizeof(*v->wals), compare_name) != NULL)
		return false;
	if (ws->file.type == WAL_FILE_HISTORY)
		return true;
	if (ws->file.type != WAL_FILE_SEGMENT || v->segment_size == 0)
		return false;
	for (i = 0; i < v->cl->n_backups; i++) {
		c = &v->commits[i];
		if (!v->cl->backups[i].commit_bad &&
		    wal_segno_of_lsn(c->start_lsn, v->segment_size) < first)
			first = wal_segno_of_lsn(c->start_lsn,
			    v->segment_size);
	}
	return wal_segno(&ws->file, v->segment_size) >= first;
}

static int
fill_wal(struct vworker *w, struct repo *source, struct err *err)
{
	struct vrun *v = w->run;
	struct names names = { NULL, 0 };
	char prefix[STORAGE_KEY_MAX];
	size_t i, finding;
	bool done;
	int rc;

	repo_key(&v->inc, "wal/", prefix);
	rc = storage_list(source->st, prefix, false, note_name, &names, err);
	for (i = 0; i < names.n && rc == 0; i++) {
		if (!is_missing(v, &names.list[i]))
			continue;
		rc = cancel_check(err);
		if (rc == 0)
			rc = fetch_wal(w, &names.list[i],
			    names.list[i].generation, &done, err);
		if (rc != 0 || !done)
			continue;
		finding = verify_note(v, VERIFY_WAL,
		    names.list[i].file.name, "was not there");
		verify_set(v, finding, false, false, true);
		log_info("repaired: %s", names.list[i].file.name);
	}
	free(names.list);
	return rc;
}

/* Manifests: their bytes are known by SHA-256. */

static bool
is_part(const struct buf *raw, const struct manifest_part *part)
{
	struct err why = ERR_INIT;
	uint8_t sum[SHA256_SIZE];

	return raw->len == part->size &&
	    sha256(raw->data, raw->len, sum, &why) == 0 &&
	    memcmp(sum, part->sha256, sizeof(sum)) == 0;
}

/*
 * Read the generations of a part until one fits: 1, then w->raw has it; 0:
 * none does, and *end is the first that is not there.
 */
static int
find_part(struct vworker *w, struct repo *repo, const struct commit *c,
    size_t part, uint32_t *end, struct err *err)
{
	char key[STORAGE_KEY_MAX];
	uint32_t g;

	for (g = 0; g < GENERATIONS_MAX; g++) {
		manifest_part_generation_key(&w->run->inc, c->kind, c->label,
		    part, g, key);
		buf_clear(&w->raw);
		if (storage_get_all(repo->st, key, &w->raw, err) == 0) {
			if (is_part(&w->raw, &c->parts[part]))
				return 1;
			continue;
		}
		if (err->code != ERR_NOT_FOUND && err->code != ERR_DAMAGED)
			return -1;
		const bool absent = err->code == ERR_NOT_FOUND;

		err_clear(err);
		if (absent && g >= c->attempt) /* its own is one less */
			break;
	}
	*end = g;
	return 0;
}

static int
repair_part(struct vworker *w, const struct commit *c, size_t part,
    struct err *err)
{
	struct vrun *v = w->run;
	char key[STORAGE_KEY_MAX];
	uint32_t end = 0, ignored;
	size_t i, finding;
	int rc;

	rc = find_part(w, w->repo, c, part, &end, err);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	for (i = 0; i < v->p->n_sources && rc == 0; i++)
		rc = find_part(w, v->p->sources[i], c, part, &ignored, err);
	if (rc <= 0)
		return rc; /* what cannot be read is told when it is needed */
	manifest_part_generation_key(&v->inc, c->kind, c->label, part, end,
	    key);
	if (storage_put(w->repo->st, key, w->raw.data, w->raw.len, err) != 0)
		return -1;
	rc = find_part(w, w->repo, c, part, &ignored, err);
	if (rc <= 0)
		return rc < 0 ? -1 : err_set(err, ERR_DAMAGED,
		    "%s does not hold what was put", key);
	log_info("repaired: %s", key);
	manifest_part_key(&v->inc, c->kind, c->label, part, key);
	finding = verify_note(v, VERIFY_MANIFEST, key, "did not hold");
	verify_set(v, finding, false, false, true);
	return 0;
}

static int
repair_all(struct vworker *w, struct err *err)
{
	struct vrun *v = w->run;
	const struct vset dumps = verify_set_of(v, REPO_DUMP);
	size_t i, k;

	for (i = 0; i < v->n_packs && !v->p->wal_only; i++)
		if ((v->packs[i].state == STATE_BAD ||
			v->packs[i].state == STATE_MISSING) &&
		    (cancel_check(err) != 0 ||
			repair_pack(w, &v->packs[i], err) != 0))
			return -1;
	for (i = 0; i < v->n_wals; i++)
		if ((v->wals[i].state == STATE_BAD ||
			v->wals[i].state == STATE_MISSING) &&
		    (cancel_check(err) != 0 ||
			repair_wal(w, &v->wals[i], err) != 0))
			return -1;
	for (i = 0; i < v->p->n_sources; i++)
		if (fill_wal(w, v->p->sources[i], err) != 0)
			return -1;
	for (i = 0; i < v->cl->n_backups; i++)
		for (k = 0; v->selected[i] && k < v->commits[i].n_parts; k++)
			if (repair_part(w, &v->commits[i], k, err) != 0)
				return -1;
	for (i = 0; i < dumps.n; i++)
		for (k = 0; dumps.selected[i] && k < dumps.commits[i].n_parts;
		     k++)
			if (repair_part(w, &dumps.commits[i], k, err) != 0)
				return -1;
	return 0;
}

static int
run_repair(void *worker, void *job, bool skip, struct err *err)
{
	(void)job;
	return skip ? 0 : repair_all(worker, err);
}

int
verify_repair(struct vrun *v, struct err *err)
{
	if (v->p->dry_run)
		return 0;
	if (pool_submit(v->pool, run_repair, v, err) != 0)
		return -1;
	return verify_wait(v, err);
}
