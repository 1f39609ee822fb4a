/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_RANDOM_H
#define CORE_RANDOM_H

/* Random bytes from the kernel, good for keys and names. Thread safe. */
#include <stddef.h>

#include "core/err.h"

int random_bytes(void *out, size_t len, struct err *err) ERR_USE;

#endif
