/* SPDX-License-Identifier: PostgreSQL */
#ifndef CLI_INFO_SHOW_H
#define CLI_INFO_SHOW_H

/*
 * What `info` shows: collected by info/info.h, printed as text (info_text.c,
 * info_dump.c) or JSON (info_json.c, whose shape dapk-backup-info(1) documents).
 * One thread.
 */
#include <stdio.h>

#include "info/info.h"

void info_print_text(const struct info *info, bool verbose, FILE *out);
int info_print_json(const struct info *info, FILE *out,
    struct err *err) ERR_USE;

/* One by itself; items: of a dump that can be read, else NULL. */
void info_print_one_text(const struct info_found *f,
    const struct dumpset *items, bool verbose, FILE *out);
int info_print_one_json(const struct info *info, const struct info_found *f,
    const struct dumpset *items, FILE *out, struct err *err) ERR_USE;

/* info_dump.c */
void info_print_dump(const struct info_incarnation *inc,
    const struct info_backup *b, bool verbose, FILE *out);
void info_print_items(const struct dumpset *set, bool all, FILE *out);

/* The largest first; the caller frees the list. */
const struct dump_item **info_largest_items(const struct dumpset *set,
    size_t *n);

/* info_text.c: is it usable, pinned, listed for removal? */
void info_print_state(const struct info_backup *b, FILE *out);

/* info_text.c: parent, references, what removing it frees. */
void info_print_share(const struct info_incarnation *inc,
    const struct info_set *set, const struct info_backup *b, bool verbose,
    FILE *out);

#endif
