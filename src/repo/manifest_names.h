/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_MANIFEST_NAMES_H
#define REPO_MANIFEST_NAMES_H

/* What the manifest's writer and reader share: names and the lines' order. */
#include "repo/manifest.h"

enum manifest_rank {
	RANK_HEAD,
	RANK_TABLESPACE,
	RANK_PATHS, /* dir, link, file, data: ascending by path */
	RANK_CONFIG,
	RANK_CONTROL,
	RANK_BACKUP_LABEL,
	RANK_TABLESPACE_MAP,
	RANK_SETTING,
	RANK_END
};

const char *manifest_type_name(enum manifest_type type);
enum manifest_rank manifest_rank(enum manifest_type type);

/* False when the name is not a type's (also for "pack"). */
bool manifest_type_parse(const char *name, enum manifest_type *out);

void manifest_part_key(const struct incarnation *inc, enum repo_kind kind,
    const char *label, size_t part, char out[STORAGE_KEY_MAX]);

/* generation 0 is the first; others are "manifest-00.gN.zst". */
void manifest_part_generation_key(const struct incarnation *inc,
    enum repo_kind kind, const char *label, size_t part, uint32_t generation,
    char out[STORAGE_KEY_MAX]);

/* What is stored of one part: generations other than 0 too, ascending. */
struct manifest_stored {
	uint32_t generation;
	uint64_t size;
};

#define MANIFEST_GENERATIONS_MAX 100

/* The caller gives room for MANIFEST_GENERATIONS_MAX (more are left out). */
int manifest_part_stored(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *label, size_t part,
    struct manifest_stored *out, size_t *n, struct err *err) ERR_USE;

#endif
