/* SPDX-License-Identifier: PostgreSQL */
#ifndef CLI_REPORT_COLLECT_H
#define CLI_REPORT_COLLECT_H

/* What `report` shows beside the catalogue. One thread. */
#include "config/config.h"
#include "report/report.h"

/*
 * The largest tables, by the newest dump of each database, or without any by
 * the files of the newest backup. What cannot be read is left out, and
 * logged.
 */
void report_collect_tables(struct report_tables *out, const struct info *info,
    struct repo *repo);

/*
 * All that the file can say of the cluster and its repositories, as it is in
 * force; secrets are masked. The caller frees by report_settings_free().
 */
void report_collect_settings(struct report_setting **out, size_t *n,
    const struct config *cfg);
void report_settings_free(struct report_setting *list, size_t n);

#endif
