/* SPDX-License-Identifier: PostgreSQL */
#ifndef CLI_PROMPT_H
#define CLI_PROMPT_H

/*
 * Asking a person at the terminal, /dev/tty, for what nobody else may see:
 * standard input may be something else.
 */
#include <stddef.h>

#include "core/err.h"

/*
 * A line without its line feed, not shown while it is typed, into out. size
 * counts the 0. ERR_NOT_FOUND: there is no terminal; ERR_CANCELLED; ERR_USAGE
 * when it does not fit.
 */
int prompt_secret(const char *question, char *out, size_t size,
    struct err *err) ERR_USE;

/* Asked twice, until both agree (three times at most). */
int prompt_new_secret(const char *what, char *out, size_t size,
    struct err *err) ERR_USE;

#endif
