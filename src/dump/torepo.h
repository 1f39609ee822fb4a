/* SPDX-License-Identifier: PostgreSQL */
#ifndef DUMP_TOREPO_H
#define DUMP_TOREPO_H

/*
 * What is read goes into the repository (dump/store.h). The struct
 * dump_store is the target_arg.
 */
#include "dump/copyout.h"

extern const struct copyout_target torepo_target;

#endif
