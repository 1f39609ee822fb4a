/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_PIN_H
#define REPO_PIN_H

/*
 * Pins (FORMAT.md section 3.3): a backup or dump that somebody wants kept,
 * until a time or until the pin is removed. A place's own: a copy keeps what
 * its own retention and pins say.
 *
 *	pin_put(repo, &inc, &pin, err);
 *	pin_list(repo, &inc, &pins, &n, err);		pins_free(pins, n)
 *	pin_remove(repo, &inc, pins[0].id, err);
 */
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "repo/format.h"
#include "repo/repo.h"

#define PIN_ID_TEXT 17 /* 16 digits and the 0 */

struct pin {
	char id[PIN_ID_TEXT]; /* pin_put() fills it in */
	enum repo_kind kind;
	char label[FORMAT_LABEL_MAX];
	int64_t until;	 /* microseconds since 2000; 0: until it is removed */
	int64_t created; /* the maker's clock */
	char *reason;	 /* "" for none */
};

int pin_put(struct repo *repo, const struct incarnation *inc,
    struct pin *pin, struct err *err) ERR_USE;

/* All of them, ended ones too, oldest first. The caller frees. */
int pin_list(struct repo *repo, const struct incarnation *inc,
    struct pin **out, size_t *n, struct err *err) ERR_USE;
void pins_free(struct pin *pins, size_t n);

/* That it is not there is fine. */
int pin_remove(struct repo *repo, const struct incarnation *inc,
    const char *id, struct err *err) ERR_USE;

#endif
