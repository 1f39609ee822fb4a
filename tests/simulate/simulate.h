/* SPDX-License-Identifier: PostgreSQL */
#ifndef TESTS_SIMULATE_H
#define TESTS_SIMULATE_H

/*
 * Hundreds of nights of incremental backups of a database whose pages change
 * as those of real tables do. Pages are numbers here: what is stored, where,
 * and what is stored again is decided by the program's own code
 * (repo/renew.h, map_encode()); how well pages compress is a table of
 * measured factors.
 */
#include <stdbool.h>
#include <stdint.h>

#include "backup/gather.h"
#include "repo/renew.h"
#include "core/buf.h"
#include "repo/format.h"

#define SIM_BLOCK 8192u
#define SIM_DAY (INT64_C(86400) * 1000000)
#define SIM_WORKERS 2

/* Why a block is stored; what no change asks for has packs of its own. */
enum sim_why { SIM_CHANGED, SIM_CONDEMNED, SIM_AGED, SIM_WHYS };
enum sim_kind { SIM_NEW, SIM_RENEWED, SIM_KINDS };

struct sim_policy {
	unsigned below;	   /* 1/1000: a pack less alive is condemned */
	unsigned age_days; /* 0: never */
	unsigned young;	   /* 1/1000 of the age */
	unsigned settle_days;
	bool together; /* one kind of packs */
	unsigned mib;  /* compressed size of an incremental's packs */
};

/* Shares of the nightly changed pages, in percent; the rest is uniform. */
struct sim_load {
	const char *name;
	unsigned recent;    /* behind a head that moves through the tables */
	unsigned zipf;	    /* by Zipf's law */
	unsigned zipf_part; /* within one so-manieth of the pages */
};

struct sim_file {
	char path[40];
	uint32_t first, n; /* blocks */
	uint32_t *maps;	   /* frames that hold its map, n_maps of them */
	uint32_t n_maps;
	uint32_t n_runs;
};

struct sim_frame {
	uint32_t pack;
	uint32_t number; /* in its pack */
	uint32_t plain, stored, live; /* bytes */
};

struct sim_pack {
	struct pack_id id;
	uint64_t plain, stored, live;
	int night; /* that made it */
	int last;  /* the last night that refers to it */
	uint32_t n_frames;
	bool condemned;
	int64_t made;
	uint32_t stamp, index; /* of a map that is being made */
};

struct sim_worker {
	uint32_t pack;
	bool open;
};

/* Bytes stored by one backup, and what there is then. */
struct sim_night {
	uint64_t pages[SIM_WHYS]; /* with headers and page sums */
	uint64_t maps;		  /* and the manifest */
	uint64_t repository;
	uint64_t current; /* the packs that this backup refers to */
	uint64_t max_age; /* days */
	uint64_t runs, max_runs;
	double amplification; /* of a restore; 0: not looked */
};

struct sim {
	struct sim_policy policy;
	struct sim_load load;
	uint32_t blocks, n_files;
	struct sim_file *files;
	uint32_t *frame; /* of each block */
	uint8_t *place;	 /* of each block in its frame */
	uint8_t *changed;
	struct sim_frame *frames;
	uint32_t n_frames, cap_frames;
	struct sim_pack *packs;
	uint32_t n_packs, cap_packs;
	uint32_t first_alive; /* packs before are no more */
	struct sim_worker workers[SIM_WORKERS * SIM_KINDS + 1]; /* last: maps */
	uint64_t random;
	int night;
	unsigned window; /* nights that a backup is kept */
	struct sim_night *nights;
	struct run_list runs;
	struct buf map;
	void *compressor;
	uint32_t stamp;
};

void sim_init(struct sim *s, const struct sim_policy *policy,
    const struct sim_load *load, unsigned mib, unsigned nights);
void sim_free(struct sim *s);

/* One backup. The first is a full one. */
void sim_run_night(struct sim *s);

/* sim_load.c: mark about 1 % of the pages as changed. */
void sim_change_pages(struct sim *s);
void sim_make_files(struct sim *s);

#endif
