/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_REPO_H
#define REPO_REPO_H

/*
 * A repository: its identity, and the names of what is in it.
 *
 *	repo_open(&repo, &settings, err);	(struct storage_settings)
 *	repo_incarnation_prefix(...); repo_key_*(...);
 *	repo_close(repo);
 *
 * repo_open() reads the identity object and fails when the place is not a
 * repository (never creates one). A struct repo serves one thread;
 * repo_clone() gives another thread its own without reading again.
 *
 * A repository may lie in several places: one that was made as a copy of
 * another has the same id, so that objects are copied as they lie, and a
 * place id of its own. What is remembered of a place (what it lacks, what is
 * stored there) goes by the place's id.
 */
#include "config/config.h"
#include "core/err.h"
#include "pg/walname.h"
#include "repo/format.h"
#include "storage/storage.h"

#define REPO_ID_TEXT 33 /* 32 digits and the 0 */
#define CLUSTER_NAME_MAX 64

struct data_key;
struct keyring;
struct keyring_unlock;
struct repo_hands;
struct json_reader;

struct repo {
	struct storage *st;
	struct repo_hands *hands; /* repo/each.h: NULL until they are needed */
	uint8_t id[16];
	char id_text[REPO_ID_TEXT];
	char place_text[REPO_ID_TEXT];
	int64_t created;
	uint64_t fingerprint_seed; /* encrypted: of the attempt */
	struct keyring *ring; /* repo/keyring.h; NULL: not encrypted */
	/* Of the backup or dump that is being stored; clones have their own. */
	struct data_key *attempt;
};

/* Where a cluster's data is: one folder an incarnation. */
struct incarnation {
	char cluster[CLUSTER_NAME_MAX];
	int major;
	uint64_t system_id;
};

/* May an encrypted repository be made or opened by this program? */
bool repo_cipher_supported(void);

/*
 * Create the repository (place, README.recovery, identity object), or, when
 * it is one already, just open it: *created tells. A place with other files
 * in it is refused. With `of` it is a place for copies of that repository;
 * ERR_REFUSED when it is there already as another repository.
 */
int repo_init(struct repo **out, const struct storage_settings *set,
    const struct repo *of, bool *created, struct err *err) ERR_USE;

/*
 * ERR_CONFIG with a hint ("dapk-backup init") when there is no repository
 * here; ERR_UNSUPPORTED for a newer version; ERR_DAMAGED.
 */
int repo_open(struct repo **out, const struct storage_settings *set,
    struct err *err) ERR_USE;

/* Of the configuration; texts are borrowed. */
void repo_settings(const struct config_repository *from,
    struct storage_settings *to);

/*
 * What opens it, if it is encrypted. key-file is SFTP's; one that is a key
 * file of ours (its first line tells) opens the repository instead.
 */
void repo_unlock(const struct config_repository *from,
    struct keyring_unlock *to);

/* Is anything there that only an encrypted repository needs? */
bool repo_expects_keys(const struct config_repository *from);

/*
 * Open a configured one; ERR_CONFIG when its id is not the expected one, or
 * when a key is configured and it is not encrypted: a store must not make a
 * host write in clear.
 */
int repo_open_configured(struct repo **out,
    const struct config_repository *from, struct err *err) ERR_USE;

/*
 * The same of one among several: it fails when there is no answer within this
 * time. What is done with it afterwards has its own time limit again.
 */
int repo_open_within(struct repo **out, const struct config_repository *from,
    uint64_t limit_ms, struct err *err) ERR_USE;

/*
 * The same with keys. `recipients`, if it is to be encrypted, is asked when
 * nothing is there yet and names who is let in; the list stays the caller's.
 * A further place (`of`) has its repository's ring, whatever is said here.
 * ERR_CONFIG: a key is expected, and it would not be encrypted.
 */
struct keyring_recipient;
struct repo_keys {
	struct keyring_unlock *unlock; /* what opens it then */
	bool expected;		       /* a key is configured for it */
	int (*recipients)(void *arg, struct keyring_recipient **out,
	    size_t *n, struct err *err);
	void *arg;
};

int repo_init_keys(struct repo **out, const struct storage_settings *set,
    const struct repo *of, const struct repo_keys *keys, bool *created,
    struct err *err) ERR_USE;

/* The same on a storage, which is the repository's (closed) in any case. */
int repo_init_storage(struct repo **out, struct storage *st,
    const struct repo *of, bool *created, struct err *err) ERR_USE;
int repo_open_storage(struct repo **out, struct storage *st,
    struct err *err) ERR_USE;

/*
 * Before the first pack of a backup or dump: in an encrypted repository its
 * data key, which is durably remembered first, so that what this attempt
 * stores can be read again by its next one. Makes fingerprint_seed known.
 */
int repo_begin_attempt(struct repo *repo, struct err *err) ERR_USE;
void repo_end_attempt(struct repo *repo); /* also when none began */

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
/* The same, parsed: json_close(out). On an error it is not open. */
int repo_get_json(struct repo *repo, const char *key, const char *kind,
    struct buf *b, struct json_reader *out, struct err *err) ERR_USE;
int repo_put_text(struct repo *repo, const char *key, const char *kind,
    const char *json, size_t len, struct err *err) ERR_USE;

/*
 * All incarnations of a cluster (NULL: of every cluster), newest system id
 * order is not promised. The caller frees *out.
 */
int repo_incarnations(struct repo *repo, const char *cluster,
    struct incarnation **out, size_t *n, struct err *err) ERR_USE;

#endif
