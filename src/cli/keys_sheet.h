/* SPDX-License-Identifier: PostgreSQL */
#ifndef CLI_KEYS_SHEET_H
#define CLI_KEYS_SHEET_H

/* The recovery sheet of an encrypted repository: `keys sheet`. */
#include "config/config.h"
#include "core/buf.h"
#include "repo/keyring.h"

/* Bytes that a store or a person chose, safe for a terminal and paper. */
void keys_show_name(struct buf *out, const char *name);

/*
 * secret NULL: without it. The entries are those of keyring_entries(). The
 * buffer is the caller's to wipe.
 */
int keys_sheet(const struct config *cfg, const struct repo *repo,
    const struct keyring_entry *entries, size_t n, const uint8_t *secret,
    struct buf *out, struct err *err) ERR_USE;

#endif
