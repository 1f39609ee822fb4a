/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_CANCEL_H
#define CORE_CANCEL_H

/*
 * Cancelling by SIGINT or SIGTERM. The handler only notes the signal (TRAPS
 * T67: nothing is logged or freed there); long work asks cancel_requested()
 * at each step and ends with cancel_error(). Thread safe.
 */
#include <stdbool.h>

#include "core/err.h"

/* Install the handlers; also ignores SIGPIPE. Once, before threads start. */
void cancel_install(void);

/* The signal's number, or 0. */
int cancel_signal(void);

bool cancel_requested(void);

/* "TERM"; "?" for one without a name. */
const char *cancel_signal_name(int signo);

/* ERR_CANCELLED "cancelled by SIGINT". Returns -1. */
int cancel_error(struct err *err);

/* 0, or -1 with cancel_error() when a signal came: for the top of a loop. */
int cancel_check(struct err *err) ERR_USE;

#endif
