/* SPDX-License-Identifier: PostgreSQL */
#ifndef CLI_INFO_KNOWN_H
#define CLI_INFO_KNOWN_H

/*
 * What `info` said the last time, kept in the state directory, so that it can
 * be shown, as what it is, while the store cannot be reached.
 */
#include "cli/info_show.h"
#include "config/config.h"

/* Keep it, and what `status` goes by. A failure only costs that. */
void info_known_keep(const struct config *cfg, const struct info *info);

/* What `status` goes by alone. */
void info_known_note(const struct config *cfg,
    const struct config_repository *address, const struct info *info);

/*
 * The store failed so: print what is kept, if anything is, with its age. The
 * error stays the caller's to report.
 */
void info_known_show(const struct config *cfg, const struct err *why);

#endif
