/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_TIRED_H
#define WAL_TIRED_H

/*
 * Internal to src/wal: repositories that took long to fail, so that the next
 * calls ask the others before them. Kept in the state directory for two
 * minutes; without one nothing is remembered.
 *
 *	STATE/unreachable/HASH-OF-THE-URL	its time of change counts
 */
#include <stdbool.h>

bool wal_tired(const char *state_directory, const char *url);
void wal_tired_note(const char *state_directory, const char *url);
void wal_tired_forget(const char *state_directory, const char *url);

#endif
