/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_RENEW_H
#define REPO_RENEW_H

/*
 * What of the parent is stored anew although it did not change, so that old
 * packs die and no byte grows old unread. Pure: no clock, no I/O, any thread.
 *
 *	renew_init(&p, now, parent's time, refresh age);
 *	once for each pack of the parent:
 *		condemned[i] = renew_pack_condemned(&p, &id, plain, live,
 *		    usable);
 *		made[i] = renew_made(&p, &id);
 *	once for each stretch of RENEW_STRETCH bytes of a file:
 *		before = renew_before(&p, path, offset);
 *	a block is stored anew, changed or not, when its pack is condemned or
 *	made[pack] < before.
 *
 * Condemned: a pack that is not usable, and one of which less than half is
 * referred to by the parent. How much less than half differs from pack to
 * pack (a sixth at most, by a hash), since the packs of one backup wear out
 * together where changes are spread evenly, and would else be stored again
 * in one night. In its first week a pack is condemned only when less than a
 * tenth is left: what was changed lately often changes again, and dies
 * without being stored once more.
 *
 * What is stored anew without a change should go to packs of its own: it
 * will stay, whereas changed pages change again. That is worth a quarter of a
 * full backup in the repository (tests/simulate).
 *
 * Age: each stretch has a turn once in 3/4 of the refresh age, at a time of
 * the period that a hash of its place decides, from the first night on. At
 * its turn what is older than 1/4 of the refresh age is stored anew: what
 * is younger will not be older than the refresh age at the next turn. Nothing
 * but the time tells whether a turn has been taken: a block that is older
 * than its last turn allows is due. So a turn that no backup took (the server
 * was off, a backup failed) is made up for.
 *
 * Bound: a backup takes the turns of the last 1/8 of the period, and of the
 * overdue rest those whose hash is chosen on that day (one in 17): whatever
 * the clock does, about a fifth of the stretches at most. Times that are
 * not known, or lie in the future, count as old, within this bound. When the
 * clock is behind the parent's time nothing is due because of age.
 */
#include <stdbool.h>
#include <stdint.h>

#include "repo/format.h"

#define RENEW_STRETCH ((uint64_t)32 << 20)
#define RENEW_AGE_DEFAULT_DAYS 120

/* As renew_before(): nothing is due. As renew_made(): not known. */
#define RENEW_NONE INT64_MIN

struct renew_params {
	int64_t now, parent_time; /* microseconds since 2000 */
	int64_t refresh_age;	  /* microseconds; 0: never */
	/* For the simulation: renew_init() sets what is used. */
	unsigned condemn_below;	 /* 1/1000 of the plain bytes */
	unsigned condemn_spread; /* 1/1000, below that */
	unsigned young;		 /* 1/1000 of the refresh age: not renewed */
	unsigned settle_days;	 /* until a pack counts as worn */
};

void renew_init(struct renew_params *p, int64_t now, int64_t parent_time,
    uint64_t refresh_age_ms);

/* plain 0: not known; then only `usable` decides. */
bool renew_pack_condemned(const struct renew_params *p,
    const struct pack_id *id, uint64_t plain, uint64_t live, bool usable);

/* When the pack's blocks were read: its label's time. */
int64_t renew_made(const struct renew_params *p, const struct pack_id *id);

/*
 * Blocks of this stretch (offset: any in it) in packs made before the result
 * are due.
 */
int64_t renew_before(const struct renew_params *p, const char *path,
    uint64_t offset);

#endif
