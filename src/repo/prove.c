/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/prove.h"

#include <stdio.h>
#include <stdlib.h>

#include "repo/manifest.h"
#include "repo/object.h"
#include "repo/walstore.h"

static int
prove_manifest(struct repo *repo, const struct incarnation *inc,
    const struct commit *c, struct err *err)
{
	struct manifest_reader *r = NULL;
	int rc;

	rc = c->kind == REPO_DUMP ?
	    manifest_reader_open_dump(&r, repo, inc, c->label, c->parts,
		c->n_parts, err) :
	    manifest_reader_open(&r, repo, inc, c->label, c->parts,
		c->n_parts, err);
	if (rc == 0)
		rc = manifest_reader_check(r, err);
	manifest_reader_close(r);
	return rc;
}

struct proving {
	struct repo *repo;
	const struct commit *commit;
	struct frame_codec *codec;
	prove_pulse_fn pulse;
	void *arg;
};

static int
ignore(void *arg, const uint8_t *data, size_t len, struct err *err)
{
	const struct proving *p = arg;

	(void)data;
	(void)len;
	return p->pulse(p->arg, err);
}

static int
read_stored(struct proving *p, const struct wal_stored *ws, struct err *err)
{
	return wal_store_prove(p->repo, &p->commit->inc, ws, p->codec, ignore,
	    p, err);
}

/* Of one content a generation that holds; two contents nobody decides. */
static int
prove_file(struct proving *p, const struct wal_file *file, struct err *err)
{
	struct wal_stored *all = NULL, best;
	size_t i, n = 0;
	int rc;

	if (wal_store_pick(p->repo, &p->commit->inc, file, &best, err) != 0)
		return -1;
	rc = read_stored(p, &best, err);
	if (rc == 0 || !prove_is_no(err))
		return rc;
	if (wal_store_find(p->repo, &p->commit->inc, file, &all, &n, err) != 0)
		return -1;
	for (i = 0; i < n && rc != 0; i++) {
		if (all[i].generation == best.generation)
			continue;
		rc = read_stored(p, &all[i], err);
		if (rc != 0 && !prove_is_no(err))
			break;
	}
	free(all);
	if (rc == 0)
		err_clear(err); /* of the generation that does not hold */
	return rc;
}

/* What its server left unfinished, at the end of a timeline, will do too. */
static int
prove_segment(struct proving *p, uint64_t segno, struct err *err)
{
	const struct commit *c = p->commit;
	char name[WAL_SEGMENT_NAME_LEN + 1], partial[sizeof(name) + 8];
	struct wal_stored best;
	struct wal_file file;
	struct err why;

	wal_segment_name(c->timeline, segno, c->wal_segment_size, name);
	if (wal_file_parse(name, &file, err) != 0)
		return -1;
	if (prove_file(p, &file, err) == 0)
		return 0;
	why = *err;
	if (err->code == ERR_NOT_FOUND) {
		err_clear(err);
		(void)snprintf(partial, sizeof(partial), "%s.partial", name);
		if (wal_file_parse(partial, &file, err) == 0 &&
		    wal_store_pick_partial(p->repo, &c->inc, &file,
			c->wal_segment_size, &best, err) == 0 &&
		    read_stored(p, &best, err) == 0)
			return 0;
		if (err->code == ERR_NOT_FOUND)
			*err = why;
	}
	return err_wrap(err, "WAL segment %s, which it needs to be consistent",
	    name);
}

static int
prove_wal(struct proving *p, struct err *err)
{
	const struct commit *c = p->commit;
	struct history path;
	uint64_t segno, last;
	int rc = 0;

	if (wal_store_history(p->repo, &c->inc, c->timeline, &path, err) != 0)
		return err_wrap(err, "the history of its timeline");
	history_free(&path);
	segno = wal_segno_of_lsn(c->start_lsn, c->wal_segment_size);
	/* The stop LSN is the end of a record: it may be a segment's end. */
	last = wal_segno_of_lsn(c->stop_lsn - 1, c->wal_segment_size);
	p->codec = frame_codec_new(1);
	for (; segno <= last && rc == 0; segno++)
		rc = prove_segment(p, segno, err);
	frame_codec_free(p->codec);
	return rc;
}

int
prove_set(struct repo *repo, const struct incarnation *inc,
    const struct commit *c, prove_pulse_fn pulse, void *arg, struct err *err)
{
	struct proving p = { .repo = repo, .commit = c, .pulse = pulse,
		.arg = arg };

	if (pulse(arg, err) != 0 || prove_manifest(repo, inc, c, err) != 0)
		return -1;
	return c->kind == REPO_DUMP ? 0 : prove_wal(&p, err);
}

bool
prove_is_no(const struct err *err)
{
	return err->code == ERR_DAMAGED || err->code == ERR_NOT_FOUND ||
	    err->code == ERR_REFUSED || err->code == ERR_UNSUPPORTED;
}
