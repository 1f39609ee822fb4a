/* SPDX-License-Identifier: PostgreSQL */
#ifndef WAL_PUSHHISTORY_H
#define WAL_PUSHHISTORY_H

/*
 * Internal to src/wal: a segment of a timeline without that timeline's
 * history in the repository could never be recovered to.
 */
#include "wal/pushfile.h"

/*
 * Before a segment (or .partial) of a timeline above 1 is stored: if its
 * history file is not, store it and those of its ancestors, from the
 * directory that the segment is in. A server that was promoted while its
 * archiving was off (a recovered cluster, whose archiving is turned on later)
 * never hands them over by itself. A file that is not there is a warning: the
 * segment is worth storing all the same.
 */
int wal_push_histories(const struct wal_push_file *segment,
    struct err *err) ERR_USE;

#endif
