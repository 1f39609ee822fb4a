/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_REPO_H
#define REPO_REPO_H

/*
 * A repository: its identity, and the names of what is in it.
 *
 *	repo_open(&repo, "file:///var/lib/dapk-backup", err);
 *	repo_incarnation_prefix(...); repo_key_*(...);
 *	repo_close(repo);
 *
 * repo_open() reads the identity object and fails when the place is not a
 * repository (never creates one). A struct repo serves one thread;
 * repo_clone() gives another thread its own without reading again.
 */
#include "core/err.h"
#include "pg/walname.h"
#include "repo/format.h"
#include "storage/storage.h"

#define REPO_ID_TEXT 33 /* 32 digits and the 0 */
#define CLUSTER_NAME_MAX 64

struct repo {
	struct storage *st;
	uint8_t id[16];
	char id_text[REPO_ID_TEXT];
	int64_t created;
	uint64_t fingerprint_seed;
};

/* Where a cluster's data is: one folder an incarnation. */
struct incarnation {
	char cluster[CLUSTER_NAME_MAX];
	int major;
	uint64_t system_id;
};

/*
 * Create the repository (place, README.recovery, identity object), or, when
 * it is one already, just open it: *created tells. A place with other files
 * in it is refused.
 */
int repo_init(struct repo **out, const char *url, bool *created,
    struct err *err) ERR_USE;

/*
 * ERR_CONFIG with a hint ("dapk-backup init") when there is no repository
 * here; ERR_UNSUPPORTED for a newer version; ERR_DAMAGED.
 */
int repo_open(struct repo **out, const char *url, struct err *err) ERR_USE;

/* The same on a storage, which is the repository's (closed) in any case. */
int repo_init_storage(struct repo **out, struct storage *st, bool *created,
    struct err *err) ERR_USE;
int repo_open_storage(struct repo **out, struct storage *st,
    struct err *err) ERR_USE;
int repo_clone(const struct repo *repo, struct repo **out,
    struct err *err) ERR_USE;
void repo_close(struct repo *repo); /* NULL is fine */

bool cluster_name_valid(const char *name);

/* "clusters/main/15-7312345678901234567/" + tail */
void repo_key(const struct incarnation *inc, const char *tail,
    char out[STORAGE_KEY_MAX]);

/* "backups/" or "dumps/": below the incarnation, a folder for each label. */
const char *repo_folder(enum repo_kind kind);

/* "backups/LABEL/pack-01-000007.zst" under the incarnation */
void repo_pack_key(const struct incarnation *inc, const struct pack_id *pack,
    char out[STORAGE_KEY_MAX]);

/* ".gN.zst" from generation 1 on; and the mark that one does not hold. */
void repo_pack_key_generation(const struct incarnation *inc,
    const struct pack_id *pack, uint32_t generation,
    char out[STORAGE_KEY_MAX]);
void repo_damage_key(const struct incarnation *inc,
    const struct pack_id *pack, uint32_t generation,
    char out[STORAGE_KEY_MAX]);

/* Read and unwrap a text object. The caller frees buf b; *json points in it. */
int repo_get_text(struct repo *repo, const char *key, const char *kind,
    struct buf *b, const char **json, size_t *json_len,
    struct err *err) ERR_USE;
int repo_put_text(struct repo *repo, const char *key, const char *kind,
    const char *json, size_t len, struct err *err) ERR_USE;

/*
 * All incarnations of a cluster (NULL: of every cluster), newest system id
 * order is not promised. The caller frees *out.
 */
int repo_incarnations(struct repo *repo, const char *cluster,
    struct incarnation **out, size_t *n, struct err *err) ERR_USE;

#endif
