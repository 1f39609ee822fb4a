/* SPDX-License-Identifier: PostgreSQL */
#include "config.h"

#include "repo/renew.h"

#include <stdio.h>
#include <string.h>

#include "repo/hash.h"

#define DAY_US (INT64_C(86400) * 1000000)
#define WORN_AT_ONCE 100 /* 1/1000 */
#define LATE_PART 8	 /* turns of this part of a period are all taken */
#define SLOTS 17	 /* of the rest one in so many, another each day */

void
renew_init(struct renew_params *p, int64_t now, int64_t parent_time,
    uint64_t refresh_age_ms)
{
	memset(p, 0, sizeof(*p));
	p->now = now;
	p->parent_time = parent_time;
	if (refresh_age_ms < INT64_MAX / 1000)
		p->refresh_age = (int64_t)refresh_age_ms * 1000;
	p->condemn_below = 500;
	p->condemn_spread = 166;
	p->young = 250;
	p->settle_days = 7;
}

bool
renew_pack_condemned(const struct renew_params *p, const struct pack_id *id,
    uint64_t plain, uint64_t live, bool usable)
{
	char name[FORMAT_LABEL_MAX + 32];
	uint64_t hash, limit;
	int64_t made;
	int len;

	if (!usable)
		return true;
	/* Half of any size that fits in an object: no overflow below. */
	if (plain == 0 || plain >= UINT64_MAX / 1000 || live >= plain)
		return false;
	len = snprintf(name, sizeof(name), "%s/%u/%u", id->label,
	    (unsigned)id->attempt, (unsigned)id->number);
	hash = hash_64(name, (size_t)len, 0);
	limit = p->condemn_below - hash % (p->condemn_spread + 1);
	made = renew_made(p, id);
	if (made != RENEW_NONE &&
	    p->now - made < (int64_t)p->settle_days * DAY_US)
		limit = WORN_AT_ONCE;
	return live * 1000 < plain * limit;
}

int64_t
renew_made(const struct renew_params *p, const struct pack_id *id)
{
	int64_t made;

	/* A small step back of the clock is not the future. */
	if (!label_time(id->label, &made) || made <= 0 ||
	    made - DAY_US > p->now)
		return RENEW_NONE;
	return made;
}

int64_t
renew_before(const struct renew_params *p, const char *path, uint64_t offset)
{
	int64_t young = p->refresh_age / 1000 * p->young;
	int64_t period = p->refresh_age - young, phase, late;
	uint64_t hash;

	if (p->refresh_age < 1000 || p->now <= 0 || p->parent_time > p->now)
		return RENEW_NONE;
	hash = hash_64(path, strlen(path), offset / RENEW_STRETCH);
	phase = (int64_t)((hash >> 1) % (uint64_t)period);
	late = (p->now + phase) % period;
	if (late >= period / LATE_PART &&
	    hash_64(&hash, sizeof(hash), 0) % SLOTS !=
		(uint64_t)(p->now / DAY_US % SLOTS))
		return RENEW_NONE;
	return p->now - late - young;
}
