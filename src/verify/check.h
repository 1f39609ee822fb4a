/* SPDX-License-Identifier: PostgreSQL */
#ifndef VERIFY_CHECK_H
#define VERIFY_CHECK_H

/*
 * Proving that backup and archiving work from end to end: each part that does
 * not depend on a failed one is checked, and each finding says what, why and
 * what to type next. Called by one thread.
 */
#include "config/config.h"
#include "core/err.h"

enum check_result { CHECK_OK, CHECK_NOTE, CHECK_FAILED };

/* what: "connection"; detail: a sentence; next: what to type, or NULL. */
typedef void (*check_say)(void *arg, enum check_result result,
    const char *what, const char *detail, const char *next);

/*
 * *failed: how many checks failed. -1 only when it was cancelled or something
 * went wrong that no check is about.
 */
int check_run(const struct config *cfg, check_say say, void *arg,
    unsigned *failed, struct err *err) ERR_USE;

#endif
