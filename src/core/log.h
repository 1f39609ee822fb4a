/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_LOG_H
#define CORE_LOG_H

/*
 * Messages on standard error, as text or as one JSON object a line. Event,
 * subject, numbers with units; debug is never needed to understand an error.
 * Each line is one write(2). Thread safe once log_init() was called.
 *
 *	log_info("backup %s: %zu files", label, files);
 */
#include <stdbool.h>

#include "core/err.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

/* Default: LOG_INFO, LOG_TEXT. command ("backup") may be NULL. */
void log_init(enum log_level level, enum log_format format,
    const char *command);

bool log_enabled(enum log_level level);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The error at this level, its hint on a second line (or JSON key). */
void log_err(enum log_level level, const struct err *err);

/*
 * Called before and after a line is written, so that a progress bar on the
 * same terminal can be taken off and drawn again. NULLs remove them.
 */
void log_set_hooks(void (*before)(void *), void (*after)(void *), void *arg);

#endif
