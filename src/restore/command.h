/* SPDX-License-Identifier: PostgreSQL */
#ifndef RESTORE_COMMAND_H
#define RESTORE_COMMAND_H

/*
 * Internal to src/restore: what a restored configuration says of its own
 * place, which is still the source's. One thread.
 */
#include "restore/plan.h"

/* The value that a configuration file's text gives a setting last; "" none. */
void command_setting(const char *text, const char *name, struct buf *out);

/*
 * After the files are copied: data_directory, hba_file and ident_file of the
 * restored postgresql.conf. Fills plan->saved.
 */
int command_find_settings(struct restore_plan *plan, struct err *err) ERR_USE;

#endif
