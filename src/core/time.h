/* SPDX-License-Identifier: PostgreSQL */
#ifndef CORE_TIME_H
#define CORE_TIME_H

/*
 * Points in time as microseconds since 2000-01-01 00:00:00 UTC, PostgreSQL's
 * TimestampTz (src/include/datatype/timestamp.h), and their text forms.
 * Thread safe; time_parse() without a zone reads TZ.
 */
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "core/err.h"

#define TIME_TEXT_MAX 48
#define TIME_UNIX_EPOCH_OFFSET 946684800 /* seconds from 1970 to 2000 */

int64_t time_now(void);
int64_t time_from_unix(int64_t seconds);

/*
 * "2026-11-22 14:31:07+01" and its relatives: date, 'T' or space, HH:MM with
 * optional :SS and fraction, then Z, UTC, or +HH[:MM] / -HHMM. Without a zone
 * the local one (TZ) is meant and *assumed_local is set; a local time that
 * does not exist or exists twice (change of the clocks) is refused, as is
 * everything else ("13am", "2026-02-30"): ERR_USAGE.
 */
int time_parse(const char *s, int64_t *out, bool *assumed_local,
    struct err *err) ERR_USE;

/* "2026-11-22 13:31:07.123456+00": what PostgreSQL and time_parse() read. */
const char *time_format(int64_t t, char out[TIME_TEXT_MAX]);

/* The same without a fraction, in the local zone: for people. */
const char *time_format_local(int64_t t, char out[TIME_TEXT_MAX]);

/* Microseconds on a clock that never jumps, for measuring. */
int64_t time_monotonic(void);

/* The same, but time that the machine slept (suspend) counts too. */
int64_t time_boottime(void);

/* CLOCK_MONOTONIC in timeout_ms milliseconds, for pthread_cond_timedwait(). */
void time_deadline(unsigned timeout_ms, struct timespec *out);

/* Sleep; ends early when a signal came (core/cancel.h). */
void time_sleep_ms(unsigned ms);

#endif
