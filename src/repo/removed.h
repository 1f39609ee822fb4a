/* SPDX-License-Identifier: PostgreSQL */
#ifndef REPO_REMOVED_H
#define REPO_REMOVED_H

/*
 * What was removed in this place on purpose (FORMAT.md section 9.2), so that
 * a copy from another place, which keeps it longer, does not bring it back.
 *
 *	removed_note_set(repo, &inc, kind, label, err);	before its commit goes
 *	removed_note_wal(repo, &inc, first, last, err);	before the files go
 *
 *	removed_list(repo, &inc, &set, err);
 *	removed_names(&set, kind, label);
 *	removed_free(&set);
 *
 * Losing all of it brings things back, once.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"
#include "pg/walname.h"
#include "repo/format.h"
#include "repo/repo.h"

struct removed {
	char *name; /* "backups-LABEL", "dumps-LABEL", "wal-LAST-FIRST" */
};

struct removed_set {
	struct removed *list; /* ascending */
	size_t n;
};

/* That it is noted already is fine. */
int removed_note_set(struct repo *repo, const struct incarnation *inc,
    enum repo_kind kind, const char *label, struct err *err) ERR_USE;

/* These segments of a timeline; nothing before them is wanted either. */
int removed_note_wal(struct repo *repo, const struct incarnation *inc,
    const char *first, const char *last, struct err *err) ERR_USE;

int removed_list(struct repo *repo, const struct incarnation *inc,
    struct removed_set *out, struct err *err) ERR_USE;
void removed_free(struct removed_set *set); /* also of a zeroed one */

bool removed_names(const struct removed_set *set, enum repo_kind kind,
    const char *label);
/*
 * Is the segment, or what belongs to one (.partial, .backup), not wanted: is
 * it, or a later one of its timeline, noted?
 */
bool removed_names_wal(const struct removed_set *set,
    const struct wal_file *file);
/* Was this segment itself removed? Not, when it was lost. */
bool removed_was_wal(const struct removed_set *set, const char *segment);
/* Were all of them, from one to the other of a timeline? */
bool removed_was_all_wal(const struct removed_set *set, const char *first,
    const char *last, uint32_t segment_size);

#endif
