/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_MEM_H
#define CORE_MEM_H

/*
 * Allocation that does not fail: when memory is exhausted the process says so
 * and aborts, since nothing it could do then is safer. A size that comes from
 * disk, network or user must be checked against a named maximum first (or go
 * through struct buf, which has one). Thread safe.
 */
#include <stddef.h>

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xreallocarray(void *p, size_t n, size_t size);
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), malloc, returns_nonnull));

#endif
