/* SPDX-License-Identifier: PostgreSQL */
/* The repositories: reachable, what they should be, and able to do it all. */
#include "config.h"

#include "verify/check_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/mem.h"

/* A store that is out of order makes nobody wait for minutes. */
#define TIMEOUT_MS 10000
#define CLOCK_NOTE_US (5 * INT64_C(1000000))
#define DAY_MS (INT64_C(86400) * 1000)
/*
 * A pack is referred to until it is as old as refresh-age, by a backup that is
 * kept as long as retain says (30 days where it says nothing); two days for
 * nights that were missed and for the clocks.
 */
#define LOCK_RETAIN_DAYS 30
#define LOCK_MORE_DAYS 2

/* A file that a repository's key names. */
static void
check_file(struct check *c, const struct check_place *p, const char *key,
    const char *file, bool secret)
{
	char what[160], next[320];
	struct stat st;

	if (file == NULL)
		return;
	(void)snprintf(what, sizeof(what), "%s %s", p->name, key);
	if (stat(file, &st) != 0) {
		(void)snprintf(next, sizeof(next), "correct %s of "
		    "[repository %s]", key, p->name);
		check_tell(c, CHECK_FAILED, what, next, "%s: %s", file,
		    strerror(errno));
	} else if (secret && (st.st_mode & 0077) != 0) {
		(void)snprintf(next, sizeof(next), "chmod 600 %s", file);
		check_tell(c, CHECK_FAILED, what, next, "%s holds a secret "
		    "and has mode %04o: others than its owner have rights to "
		    "it", file, (unsigned)(st.st_mode & 07777));
	}
}

static void
check_files(struct check *c, const struct check_place *p)
{
	const struct config_repository *from = p->from;
	const char *credentials = from->credentials;

	check_file(c, p, "ca-file", from->ca_file, false);
	check_file(c, p, "key-file", from->key_file, true);
	check_file(c, p, "key-passphrase-file", from->key_passphrase_file,
	    true);
	check_file(c, p, "password-file", from->password_file, true);
	check_file(c, p, "encryption-key-file", from->encryption_key_file,
	    true);
	check_file(c, p, "encryption-passphrase-file",
	    from->encryption_passphrase_file, true);
	check_file(c, p, "encryption-public-key-file",
	    from->encryption_public_key_file, false);
	if (credentials != NULL && strncmp(credentials, "file:", 5) == 0)
		check_file(c, p, "credentials", credentials + 5, true);
}

static uint64_t
retain_days(const struct check_place *p)
{
	return p->from->retain_ms == 0 ? LOCK_RETAIN_DAYS :
	    (p->from->retain_ms + DAY_MS - 1) / DAY_MS;
}

/* How long objects must be locked, in days; 0: no time is enough. */
static uint64_t
lock_days_needed(const struct config *cfg, const struct check_place *p)
{
	return cfg->refresh_age_ms == 0 ? 0 :
	    (cfg->refresh_age_ms + DAY_MS - 1) / DAY_MS + retain_days(p) +
	    LOCK_MORE_DAYS;
}

static void
check_lock(struct check *c, const struct check_place *p)
{
	const uint64_t needed = lock_days_needed(c->cfg, p);
	const unsigned days = p->from->object_lock_days;
	char what[160], next[256];

	if (days == 0 || (needed > 0 && days >= needed))
		return;
	(void)snprintf(what, sizeof(what), "%s object-lock-days", p->name);
	if (needed == 0) {
		check_tell(c, CHECK_FAILED, what, "set refresh-age, to 90d "
		    "perhaps", "with refresh-age = 0 backups refer to objects "
		    "of any age, whose locks have ended");
		return;
	}
	(void)snprintf(next, sizeof(next), "set object-lock-days = %llu, or a "
	    "shorter refresh-age", (unsigned long long)needed);
	check_tell(c, CHECK_FAILED, what, next, "is %u: backups refer to "
	    "objects that are as old as refresh-age, %llu days, and are kept "
	    "for %llu days, so locks must last %llu days with a margin", days,
	    (unsigned long long)((c->cfg->refresh_age_ms + DAY_MS - 1) /
		DAY_MS), (unsigned long long)retain_days(p),
	    (unsigned long long)needed);
}

/* The name of the line for a store: "offsite s3://bucket/prefix". */
static void
store_what(const struct check_place *p, char *out, size_t size)
{
	(void)snprintf(out, size, "%s %s", p->name, p->repo != NULL ?
	    storage_url(p->repo->st) : p->from->url);
}

/* Is it the one that is meant, and another place than those before? */
static bool
check_identity(struct check *c, struct check_place *p, const char *what)
{
	const struct check_place *first = &c->places[0], *q;

	if (p->from->id != NULL &&
	    strcmp(p->from->id, p->repo->id_text) != 0) {
		check_tell(c, CHECK_FAILED, what, "is another disk mounted "
		    "there?", "has id %s, expected is %s", p->repo->id_text,
		    p->from->id);
		return false;
	}
	if (p != first && first->repo != NULL &&
	    (memcmp(p->repo->id, first->repo->id, sizeof(p->repo->id)) != 0 ||
		p->repo->fingerprint_seed != first->repo->fingerprint_seed)) {
		check_tell(c, CHECK_FAILED, what, "name a new, empty place "
		    "and type: dapk-backup init", "is repository %s and no "
		    "place for copies of %s, which is %s", p->repo->id_text,
		    first->name, first->repo->id_text);
		return false;
	}
	for (q = first; q < p; q++) {
		if (q->repo == NULL ||
		    strcmp(q->repo->place_text, p->repo->place_text) != 0)
			continue;
		check_tell(c, CHECK_FAILED, what, "give each [repository "
		    "NAME] a place of its own", "is the same place as %s: "
		    "what is lost there is lost here", q->name);
		return false;
	}
	return true;
}

static void
check_one(struct check *c, struct check_place *p)
{
	struct err err = ERR_INIT;
	struct storage_settings set;
	struct storage_check result;
	struct buf text;
	char what[512];

	check_files(c, p);
	check_lock(c, p);
	repo_settings(p->from, &set);
	if (set.timeout_ms == 0 || set.timeout_ms > TIMEOUT_MS)
		set.timeout_ms = TIMEOUT_MS;
	if (repo_open(&p->repo, &set, &err) != 0)
		p->repo = NULL;
	store_what(p, what, sizeof(what));
	if (p->repo == NULL) {
		check_tell_err(c, what, &err, "dapk-backup init");
		return;
	}
	if (!check_identity(c, p, what))
		goto unusable;
	if (storage_check(p->repo->st, true, &result, &err) != 0) {
		check_tell_err(c, what, &err, "dapk-backup must be able to "
		    "write there as the user that runs PostgreSQL");
		goto unusable;
	}
	buf_init(&text, ERR_MSG_MAX);
	storage_check_text(&result, &text);
	check_tell(c, CHECK_OK, what, NULL, "%s; id %s", buf_str(&text),
	    p->repo->id_text);
	buf_free(&text);
	if (result.clock_us > CLOCK_NOTE_US ||
	    result.clock_us < -CLOCK_NOTE_US)
		check_tell(c, CHECK_NOTE, what, "let both hosts keep time by "
		    "NTP: timedatectl set-ntp true", "its clock is %.1f s %s this host's: "
		    "times of locks, leases and grace periods are the "
		    "store's", (double)llabs(result.clock_us) / 1e6,
		    result.clock_us > 0 ? "ahead of" : "behind");
	return;
unusable:
	/* Told once: the checks that follow leave it out. */
	repo_close(p->repo);
	p->repo = NULL;
}

void
check_stores(struct check *c)
{
	unsigned i;

	c->n_places = 1 + c->cfg->n_others;
	c->places = xcalloc(c->n_places, sizeof(*c->places));
	for (i = 0; i < c->n_places; i++) {
		c->places[i].from = config_repository(c->cfg, i);
		c->places[i].name = c->places[i].from->name != NULL ?
		    c->places[i].from->name : "repository";
		check_one(c, &c->places[i]);
	}
}

void
check_stores_close(struct check *c)
{
	unsigned i;

	for (i = 0; i < c->n_places; i++)
		repo_close(c->places[i].repo);
	free(c->places);
}
