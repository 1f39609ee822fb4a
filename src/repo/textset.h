/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_TEXTSET_H
#define REPO_TEXTSET_H

/*
 * A folder of small text objects, each under a random id that nobody else
 * takes: intents, tombstones, pins, holds, gaps. Whoever puts one writes its
 * JSON; whoever reads gets each one parsed.
 *
 *	struct textset set = { .kind = "pin" };
 *	repo_key(inc, "pins/", set.folder);
 *
 *	textset_id(id, err);
 *	textset_put(repo, &set, id, &json, err);
 *	textset_read(repo, &set, fn, arg, err);
 *	textset_remove(repo, &set, id, err);
 */
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "repo/json.h"
#include "repo/repo.h"

#define TEXTSET_ID_MAX 17 /* 16 digits and the 0 */
#define TEXTSET_BODY_MAX ((size_t)64 << 10)

struct textset {
	const char *kind;		/* of the object's first line */
	char folder[STORAGE_KEY_MAX];	/* the key, with its last "/" */
	size_t body_max;		/* 0: TEXTSET_BODY_MAX */
};

struct textset_item {
	char id[TEXTSET_ID_MAX];
	int64_t mtime; /* the store's clock */
};

/* An item's key. */
int textset_key(const struct textset *set, const char *id,
    char out[STORAGE_KEY_MAX], struct err *err) ERR_USE;

int textset_id(char id[TEXTSET_ID_MAX], struct err *err) ERR_USE;

/* Checks the buffer's mark, too. */
int textset_put(struct repo *repo, const struct textset *set, const char *id,
    const struct buf *json, struct err *err) ERR_USE;

/* That it is not there is fine. */
int textset_remove(struct repo *repo, const struct textset *set,
    const char *id, struct err *err) ERR_USE;

/*
 * The items, by id, without reading them; names that are no ids are passed
 * over. The caller frees *out.
 */
int textset_list(struct repo *repo, const struct textset *set,
    struct textset_item **out, size_t *n, struct err *err) ERR_USE;

/*
 * Takes what one item says, by the getters of repo/json.h, whose check
 * follows: what makes no sense is noted in the reader. The object is taken
 * from then on even if that check fails.
 */
typedef void (*textset_fn)(void *arg, const struct textset_item *item,
    struct json_reader *j);

/*
 * Each of them, by id; one that goes meanwhile is passed over. ERR_DAMAGED
 * names the object.
 */
int textset_read(struct repo *repo, const struct textset *set, textset_fn fn,
    void *arg, struct err *err) ERR_USE;

#endif
