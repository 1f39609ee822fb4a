/* SPDX-License-Identifier: PostgreSQL */
#ifndef CLI_VERIFY_SHOW_H
#define CLI_VERIFY_SHOW_H

/* What `verify` found, for people (verify_text.c) and as JSON. One thread. */
#include <stdio.h>

#include "config/config.h"
#include "verify/verify.h"

void verify_print_text(const struct verify_result *r,
    const struct config *cfg, FILE *out);
int verify_print_json(const struct verify_result *r,
    const struct config *cfg, FILE *out, struct err *err) ERR_USE;

#endif
