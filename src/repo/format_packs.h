/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_FORMAT_PACKS_H
#define REPO_FORMAT_PACKS_H

/* Internal: the list of packs that maps and chunk lists begin with. */
#include "repo/cursor.h"
#include "repo/format.h"

#define PACK_LIST_ITEM_MIN 9 /* bytes that one takes at least */

void pack_list_encode(const struct pack_id *packs, uint32_t n,
    struct buf *out);

/* NULL and c->bad when it makes no sense; the caller frees. */
struct pack_id *pack_list_decode(struct cursor *c, uint32_t *n);

#endif
