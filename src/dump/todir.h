/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_TODIR_H
#define DUMP_TODIR_H

/*
 * dump --output DIR: what is read goes into a folder in pg_dump's directory
 * format instead of a repository. The struct dump_folder is the target_arg.
 */
#include "dump/copyout.h"

extern const struct copyout_target todir_target;

#endif
