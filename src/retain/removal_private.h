/* SPDX-License-Identifier: PostgreSQL */
#ifndef RETAIN_REMOVAL_PRIVATE_H
#define RETAIN_REMOVAL_PRIVATE_H

/*
 * Internal to removal*.c:
 *
 *	removal.c	what both steps need
 *	removal_mark.c	step 1: a tombstone
 *	removal_run.c	step 2: the commits that a tombstone names
 *	removal_rest.c	step 2: what else it names
 */
#include "repo/intent.h"
#include "repo/pin.h"
#include "repo/tombstone.h"
#include "retain/removal.h"
#include "retain/survey.h"

struct removal {
	const struct removal_params *params;
	struct removal_report *report;
	int64_t now; /* the store's clock */
	struct tombstone_set stones;
	struct intent *intents;
	size_t n_intents;
	struct pin *pins;
	size_t n_pins;
	char process[LEASE_PROCESS_MAX]; /* this one */
	const struct tombstone *due; /* step 2: the one at hand */
	size_t locked; /* of what it names: what the store did not let go */
	struct survey survey;
};

/* The store's clock, tombstones, intents and pins. */
int removal_begin(struct removal *s, const struct removal_params *params,
    struct removal_report *report, struct err *err) ERR_USE;
void removal_free(struct removal *s);

/* survey_pulse_fn: keeps the lease. */
int removal_pulse(void *arg, struct err *err) ERR_USE;

bool removal_past_grace(const struct removal *s, int64_t mtime);

/*
 * We hold the lease, so whoever put an intent does not; it may be asleep, and
 * gets the grace period to find that out, unless it is known to be dead.
 */
bool removal_intent_lives(const struct removal *s, const struct intent *i);

/* Intents of the other kind concern another folder. */
bool removal_concerns(const struct removal *s, const struct intent *i);

/* Of our kind, by the store's clock: NULL, or a pin that holds it. */
const struct pin *removal_pin(const struct removal *s, const char *label);

/*
 * The tombstone at hand names it: does it stay all the same, for a pin or for
 * retention, that has changed its mind?
 */
bool removal_wanted(const struct removal *s, const char *label);
bool removal_wanted_wal(const struct removal *s, const char *name);

/* May `b` go, which somebody wants removed, for what stays? */
bool removal_may_go(struct removal *s, const struct survey_backup *b);

/*
 * Does a usable backup, or dump of the same database, stay, which was proved
 * to be one? like NULL: any backup.
 */
bool removal_usable_stays(struct removal *s,
    const struct survey_backup *like);

/* May this object go, as far as its folder's state says? */
bool removal_ripe(const struct removal *s, const struct survey_object *o);

struct removal_names {
	char **list;
	size_t n, cap;
};

void removal_names_add(struct removal_names *l, const char *name);
void removal_names_free(struct removal_names *l);

/* The rest of a name in the folder of this kind; NULL: it is not in it. */
const char *removal_in_folder(enum repo_kind kind, const char *name);
bool removal_is_commit(enum repo_kind kind, const char *name);

/* The label in "dumps/LABEL/..."; false when it is not such a name. */
bool removal_label_of(enum repo_kind kind, const char *name,
    char out[FORMAT_LABEL_MAX]);

/* Whose objects it names: of one kind only. */
enum repo_kind removal_stone_kind(const struct tombstone *t);

/*
 * The store keeps an object locked, as a bucket without versions can: it
 * stays, and so does the tombstone, for a later run. Another error stays.
 */
int removal_note_locked(struct removal *s, struct err *err) ERR_USE;

/* What is left to do of the tombstone at hand, when its commits are gone. */
int removal_rest(struct removal *s, struct err *err) ERR_USE;

#endif
