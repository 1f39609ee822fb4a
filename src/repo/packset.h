/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_PACKSET_H
#define REPO_PACKSET_H

/*
 * What packs of an incarnation are there, in which generations, and which of
 * those are marked damaged (FORMAT.md sections 2 and 9).
 *
 *	packset_new(&ps, repo, &inc, err)
 *	packset_find(ps, &id, &info, err)
 *	packset_free(ps)
 *
 * A backup's folder is listed once, when a pack of it is first asked for;
 * what is put or removed later is not seen (packset_forget() lists anew). It
 * takes 40 bytes a pack. Any thread may call; it has a handle of its own on
 * the storage.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/format.h"
#include "repo/repo.h"

struct packset_info {
	bool exists;	     /* some generation of it is there */
	bool damaged;	     /* all of those are marked */
	uint32_t generation; /* the highest that is not marked; else the highest */
	uint32_t n_marked;   /* generations that are there and marked */
	uint64_t size;	     /* of that generation */
	int64_t mtime;	     /* of that generation: the store's clock */
	bool leaving;	     /* that generation stands in a tombstone */
};

struct packset;
int packset_new(struct packset **out, const struct repo *repo,
    const struct incarnation *inc, struct err *err) ERR_USE;
void packset_free(struct packset *ps); /* NULL is fine */

/* That there is no such pack is no error: !info->exists. */
int packset_find(struct packset *ps, const struct pack_id *id,
    struct packset_info *info, struct err *err) ERR_USE;

/* Forget what a folder (NULL: every folder) was found to hold. */
void packset_forget(struct packset *ps, const char *label);

/*
 * The last part of an object's name: "pack-01-000007.zst", or ".g1.zst" or
 * ".g1.damaged" (*mark) instead of ".zst". False when it is none of these.
 */
bool packset_parse_name(const char *name, uint32_t *attempt,
    uint32_t *number, uint32_t *generation, bool *mark);

/*
 * Look (again) which packs stand in a tombstone, for `leaving`: without this
 * call none does. Not while other threads use the set.
 */
int packset_see_tombstones(struct packset *ps, struct err *err) ERR_USE;

/*
 * May a new backup refer to it? It is there, not about to go, not damaged,
 * and has the size that the commit gives for its generation. The commit does
 * not know the size of another generation (a repaired one): it is opened.
 */
struct commit_pack;
bool packset_usable(struct packset *ps, const struct commit_pack *pack,
    const struct packset_info *info);

/*
 * Can the backup `label`, whose commit names the pack so, be restored from
 * it, as far as listing the folder tells? ERR_DAMAGED: absent, marked, or of
 * another size.
 */
int packset_check(struct packset *ps, const struct commit_pack *pack,
    const char *label, struct err *err) ERR_USE;

/*
 * Can header and index of this generation be read? Then nothing is cut off.
 * Any thread that repo is of.
 */
int packset_prove(struct repo *repo, const struct incarnation *inc,
    const struct pack_id *id, uint32_t generation, uint64_t size,
    struct err *err) ERR_USE;

#endif
