/* SPDX-License-Identifier: PostgreSQL */
#ifndef VERIFY_VERIFY_WORK_H
#define VERIFY_VERIFY_WORK_H

/*
 * Internal to verify_*.c: one incarnation being verified.
 *
 * The owner's thread fills commits, packs and WAL files and hands them to the
 * pool one by one; a job writes only its own element, and findings under the
 * lock. Facts of packs are read by all once the reading is over.
 */
#include <pthread.h>

#include "pipe/pool.h"
#include "pipe/rate.h"
#include "repo/commit.h"
#include "repo/packset.h"
#include "repo/removed.h"
#include "repo/walstore.h"
#include "verify/verify.h"
#include "verify/verify_facts.h"
#include "verify/verify_pack.h"

enum verify_state {
	STATE_UNREAD, /* not looked at: taken for good */
	STATE_GOOD,
	STATE_BAD,
	STATE_MISSING,
	STATE_ERROR /* could not be read */
};

struct vpack {
	struct pack_id id;
	uint64_t size; /* of the first generation; 0: not known */
	uint32_t block_size; /* of a dump's: 0 */
	uint64_t plain;	     /* by the commit; 0: not known */
	struct packset_info info;
	enum verify_state state;
	bool deep;  /* is read whole; else its sums are, when needed */
	bool light;
	const struct pack_facts *facts; /* NULL: no frame of it can be read */
};

/* One content of one WAL file: generations that stand together. */
struct vwal {
	const struct wal_stored *list; /* the highest generation first */
	size_t n;
	uint32_t parts; /* further ones that are there of the highest */
	uint64_t bytes; /* of the highest, with its parts */
	enum verify_state state;
	bool deep;
	bool known; /* the times below */
	int64_t max_time;
	bool conflict; /* with the one before or after it */
};

struct vrun {
	const struct verify_params *p;
	struct verify_result *out;
	struct verify_cluster *cl;
	struct incarnation inc;
	pthread_mutex_t lock;
	struct rate rate;
	struct packset *packset;
	struct facts_store *facts;
	struct pool *pool;
	struct commit *commits; /* of cl->backups */
	bool *selected;		/* by the user, and of this share */
	struct commit *dump_commits; /* of cl->dumps */
	bool *dump_selected;
	struct vpack *packs;	/* ascending */
	size_t n_packs;
	struct wal_stored *stored; /* by name, hash, generation descending */
	size_t n_stored;
	struct vwal *wals;
	size_t n_wals;
	struct removed_set removed; /* WAL that retention let go */
	uint32_t segment_size; /* 0: no commit and no segment says */
};

struct vworker {
	struct vrun *run;
	struct repo *repo;
	struct frame_codec *codec;
	struct pack_checker *checker;
	struct pack_cache *cache; /* made when first needed */
	struct buf raw;
};

/* The backups, or the dumps, of a run. */
struct vset {
	enum repo_kind kind;
	struct verify_backup *list;
	size_t n;
	struct commit *commits;
	bool *selected;
};

/* verify.c */
struct vset verify_set_of(const struct vrun *v, enum repo_kind kind);
bool verify_in_share(const struct vrun *v, const char *name);
struct vpack *verify_find_pack(const struct vrun *v,
    const struct pack_id *id);

/* Add a finding; the strings are copied. Any thread. Returns its number. */
size_t verify_note(struct vrun *v, enum verify_kind kind, const char *object,
    const char *reason);

/* The finding becomes ... Any thread. */
void verify_set(struct vrun *v, size_t finding, bool spare, bool marked,
    bool repaired);

/*
 * What is to be done about an error: 0 when it was damage or could not be
 * read, and has been noted; -1 when the run must end.
 */
int verify_judge(struct vrun *v, enum verify_kind kind, const char *object,
    struct err *err, size_t *finding);

/* Wait for what was submitted, with progress. */
int verify_wait(struct vrun *v, struct err *err);
bool verify_must_stop(void *run);
void verify_count(struct vrun *v, uint64_t objects, uint64_t bytes);

/* verify_read.c: packs and WAL files, whole. */
int verify_read_packs(struct vrun *v, struct err *err);
int verify_read_wal(struct vrun *v, struct err *err);

/* One pack; also after it was repaired. */
int verify_read_pack(struct vworker *w, struct vpack *vp, struct err *err);
int verify_read_wal_file(struct vworker *w, struct vwal *wal,
    struct err *err);

/* verify_prove.c: every file of the selected backups. */
int verify_prove(struct vrun *v, struct err *err);
void verify_backup_clear(struct verify_backup *b); /* its list of files */

/* The number of packs without which nothing is restored. */
uint64_t verify_count_bad(const struct vrun *v, const struct commit *c);

/* A file or item of b that is bad; file's members become b's or are freed. */
void verify_add_file(struct verify_backup *b, struct verify_file *file);
void verify_add_range(struct verify_file *f, uint64_t first, uint64_t n);

/* verify_dump.c: one dump, by one thread. */
int verify_prove_dump(struct vworker *w, const struct commit *c,
    struct verify_backup *b, struct err *err);

/* verify_wal.c: what is stored of WAL, and how far it leads. */
int verify_list_wal(struct vrun *v, struct err *err);
int verify_check_chains(struct vrun *v, struct err *err);

/* verify_repair.c */
int verify_repair(struct vrun *v, struct err *err);

#endif
