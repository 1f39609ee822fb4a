/* SPDX-License-Identifier: PostgreSQL */
/*
 * The names of gaps: why WAL is missing that no place has. Each has an id
 * that nobody else takes, so what has the name there is the same.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "copy/copy_work.h"
#include "repo/gap.h"

static int
compare_id(const void *a, const void *b)
{
	const struct textset_item *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static int
carry_gap(struct copy *c, const struct textset *set, const char *id,
    struct err *err)
{
	struct copy_worker *w = c->own;
	char key[STORAGE_KEY_MAX];
	const char *json;
	bool taken;
	size_t len;

	if (textset_key(set, id, key, err) != 0)
		return -1;
	buf_clear(&w->raw);
	if (repo_get_text(w->from, key, set->kind, &w->raw, &json, &len,
	    err) != 0) {
		if (!copy_is_of_object(err))
			return -1;
		/* One that has gone meanwhile explains nothing any more. */
		if (err->code != ERR_NOT_FOUND)
			copy_note_damage(c, key, err);
		err_clear(err);
		return 0;
	}
	if (c->p.dry_run) {
		c->result.objects++;
		c->result.bytes += w->raw.len;
		return 0;
	}
	copy_expect(c, w->raw.len);
	if (copy_put(w, key, w->raw.data, w->raw.len, &taken, err) != 0)
		return -1;
	if (taken)
		copy_note_conflict(c, key, "another content is stored at the "
		    "destination under its name");
	return 0;
}

int
copy_gaps(struct copy *c, struct err *err)
{
	struct textset_item *from = NULL, *to = NULL;
	size_t i, n_from = 0, n_to = 0;
	struct textset set;
	int rc = 0;

	gap_textset(&c->inc, &set);
	if (textset_list(c->p.from, &set, &from, &n_from, err) != 0 ||
	    (n_from > 0 &&
		textset_list(c->p.to, &set, &to, &n_to, err) != 0))
		rc = -1;
	for (i = 0; i < n_from && rc == 0; i++)
		if (n_to == 0 || bsearch(&from[i], to, n_to, sizeof(*to),
		    compare_id) == NULL)
			rc = copy_stopped(c, err) != 0 ? -1 :
			    carry_gap(c, &set, from[i].id, err);
	free(from);
	free(to);
	return rc;
}
