/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_ABSENT_H
#define WAL_ABSENT_H

/*
 * Internal to src/wal: may recovery be told that a WAL file does not exist?
 * PostgreSQL takes "not there" for the end of the archive and opens the
 * database (TRAPS T1), so it is said only when it is proved.
 *
 * In words for people: a file that is not stored is reported as absent only
 * when the repository knows this cluster (major version and system
 * identifier) and
 *   - a segment: no later segment of its timeline is stored, and no stored
 *     timeline left this one after the segment's end. Segments before a
 *     timeline's beginning are absent too: they are on its parent. The
 *     segment that a timeline begins in is absent only when no ancestor's
 *     copy (or .partial) of it has records past the fork.
 *   - a history file: nothing of that timeline or a higher one is stored.
 * Otherwise it is a gap, and an error: recovery stops instead of opening a
 * database that lacks what was committed.
 *
 * Why this is enough and not too much. Recovery asks for a segment on each
 * timeline of its path, newest first (XLogFileReadAnyTLI() of 13 to 18):
 *   - on a newer timeline, before its fork: absent by the second sentence;
 *   - on an older timeline, after its fork: the newer timelines left it
 *     before, so they prove nothing, and it has no later segment itself;
 *   - in the segment of the fork: the newer timeline has a copy of its first
 *     part, so the older one need not have it (it was stored as .partial).
 *     When the newer one lacks it, recovery takes the older one's, and with
 *     it what was written there after the fork: the accident that a recovery
 *     to a point in time was to undo. It asks for a timeline's segment only
 *     when that timeline is on its path, so recovery of the parent alone is
 *     never stopped by this.
 * A hole on the path has later segments behind it, on its own timeline or on
 * one that left it later: in both cases an error.
 */
#include "repo/repo.h"

/*
 * 0: proved. -1: ERR_DAMAGED (a gap, a missing history; the message names
 * what is stored beyond), ERR_REFUSED (this cluster has nothing in this
 * repository: then *unknown is set), or what reading the repository gave.
 */
int wal_absent_prove(struct repo *repo, const struct incarnation *inc,
    const struct wal_file *file, uint32_t segment_size, bool *unknown,
    struct err *err) ERR_USE;

#endif
